"""Splits that keep the shares of the classes: by plain counts, and scikit-learn's for a seed."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minidl
from minidl.model_selection import StratifiedKFold, cross_validate, train_test_split
from minidl.utils.data import TensorDataset

LABELS = {
    "integers": [2, 2, 0, 0, 0, 1, 2, 0, 0, 1, 2, 2, 0, 1, 0, 0, 1, 2, 2, 2, 0, 2, 0],
    "strings": list("ccaaabcaabccabaabcccaca"),
    "booleans": [i % 3 == 0 for i in range(23)],
    "whole floats": [float(i % 4) for i in range(23)],
}


@given(st.lists(st.integers(0, 3), min_size=8, max_size=60), st.integers(2, 5), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:StratifiedKFold.split. a class has")
def test_folds_have_each_class_in_equal_numbers(labels, k, seed):
    counts = Counter(labels)
    if k > max(counts.values()):
        return
    folds = StratifiedKFold(k, shuffle=True, generator=minidl.Generator().manual_seed(seed))
    pairs = [(train.tolist(), test.tolist()) for train, test in folds.split(labels, labels)]
    assert sorted(i for _, test in pairs for i in test) == list(range(len(labels)))  # disjoint, and all are there
    for train, test in pairs:
        assert sorted(train + test) == list(range(len(labels)))
        assert train == sorted(train) and test == sorted(test)
        for label, count in counts.items():
            assert math.floor(count / k) <= sum(labels[i] == label for i in test) <= math.ceil(count / k)
    sizes = [len(test) for _, test in pairs]
    assert max(sizes) - min(sizes) <= 1


def test_folds_lie_as_the_data_do_or_are_shuffled():
    labels = LABELS["integers"]
    for code in range(3):  # without shuffle each class is dealt out in runs
        tests = [[i for i in test.tolist() if labels[i] == code] for _, test in StratifiedKFold(3).split(labels, labels)]
        assert [i for test in tests for i in test] == [i for i, label in enumerate(labels) if label == code]

    def drawn(seed):
        folds = StratifiedKFold(3, shuffle=True, generator=minidl.Generator().manual_seed(seed))
        return [test.tolist() for _, test in folds.split(labels, labels)]

    assert drawn(0) == drawn(0) != drawn(1)
    minidl.manual_seed(1)
    once = [test.tolist() for _, test in StratifiedKFold(3, shuffle=True).split(labels, labels)]
    minidl.manual_seed(1)
    assert once == [test.tolist() for _, test in StratifiedKFold(3, shuffle=True).split(labels, labels)]


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("options", [{}, {"shuffle": True, "random_state": 3}, {"shuffle": True, "random_state": 0}])
def test_folds_are_scikit_learns(kind, options):
    theirs = pytest.importorskip("sklearn.model_selection").StratifiedKFold(3, **options)
    labels = LABELS[kind]
    given = labels if kind == "strings" else minidl.tensor(labels)
    ours = list(StratifiedKFold(3, **options).split(range(23), given))
    for (train, test), (their_train, their_test) in zip(ours, theirs.split(np.zeros(23), labels), strict=True):
        assert train.tolist() == their_train.tolist()
        assert test.tolist() == their_test.tolist()


def test_a_rare_class_is_warned_of_and_is_in_some_parts_only():
    labels = [0] * 6 + [1] * 2
    with pytest.warns(UserWarning, match="a class has 2 examples, fewer than 3 parts") as caught:
        folds = StratifiedKFold(3).split(labels, labels)
    assert caught[0].filename == __file__
    assert sorted(sum(labels[i] for i in test.tolist()) for _, test in folds) == [0, 1, 1]


@pytest.mark.parametrize("sizes", [{}, {"test_size": 0.3}, {"test_size": 7}, {"train_size": 8, "test_size": 0.2}])
@pytest.mark.parametrize("kind", LABELS)
def test_two_parts_are_scikit_learns(kind, sizes):
    sklearn = pytest.importorskip("sklearn.model_selection")
    labels, x = LABELS[kind], np.arange(23)
    for seed in range(4):
        ours = train_test_split(minidl.tensor(x), labels, stratify=labels, random_state=seed, **sizes)
        theirs = sklearn.train_test_split(x, labels, stratify=labels, random_state=seed, **sizes)
        assert [list(part) for part in (ours[0].tolist(), *ours[2:])] == [list(part) for part in (theirs[0], *theirs[2:])]


def test_rows_of_labels_are_classes_as_scikit_learns():
    sklearn = pytest.importorskip("sklearn.model_selection")
    rows, x = np.array([[0, 1], [1, 0], [1, 1]])[LABELS["integers"]], np.arange(23)
    ours = train_test_split(x, stratify=minidl.tensor(rows), random_state=5)
    assert [part.tolist() for part in ours] == [
        part.tolist() for part in sklearn.train_test_split(x, stratify=rows, random_state=5)
    ]


@given(st.lists(st.integers(2, 12), min_size=2, max_size=4), st.floats(0.3, 0.7), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_two_parts_have_each_class_in_its_share(counts, share, seed):
    labels = [code for code, count in enumerate(counts) for _ in range(count)]
    random.Random(seed).shuffle(labels)
    test_size = round(share * len(labels))
    if min(test_size, len(labels) - test_size) < len(counts):
        return
    generator = minidl.Generator().manual_seed(seed)
    train, test = train_test_split(range(len(labels)), test_size=test_size, stratify=labels, generator=generator)
    assert sorted(train + test) == list(range(len(labels)))
    assert len(test) == test_size
    for code, count in enumerate(counts):
        exact = count / len(labels) * len(train)
        assert abs(sum(labels[i] == code for i in train) - exact) < 1


def test_data_sets_and_cross_validation_take_classes():
    x, y = minidl.arange(20.0), minidl.tensor([0, 0, 0, 1] * 5)
    train, test = train_test_split(TensorDataset(x, y), test_size=0.4, stratify=y, random_state=0)
    assert sum(int(label) for _, label in train) == 3 and sum(int(label) for _, label in test) == 2
    result = cross_validate(lambda train, validation: validation[1].sum().item(), x, y, cv=StratifiedKFold(5))
    assert result.scores.tolist() == [1] * 5


MISTAKES = [
    (lambda: StratifiedKFold(3).split(range(6)), TypeError, "StratifiedKFold.split: expected the classes as y"),
    (lambda: StratifiedKFold(3).split(range(6), [0] * 5), ValueError, "expected data of one length"),
    (lambda: StratifiedKFold(3).split(range(6), [0] * 6, groups=[1] * 6), NotImplementedError, "groups"),
    (
        lambda: StratifiedKFold(3).split(range(4), [0, 0, 1, 1]),
        ValueError,
        "3 parts want as many examples of a class",
    ),
    (lambda: StratifiedKFold(2).split(range(2), [0.5, 0.5]), ValueError, "expected classes as y, got fractions such as 0.5"),
    (lambda: StratifiedKFold(2).split(range(2), [math.nan, 0]), TypeError, "numbers .not NaN. or strings"),
    (lambda: StratifiedKFold(2).split(range(2), [[1], [1, 2]]), TypeError, "one label for each example"),
    (lambda: StratifiedKFold(1), ValueError, "StratifiedKFold: n_splits must be 2 or more"),
    (lambda: cross_validate(lambda a, b: 0, [0, 1, 0, 1], cv=StratifiedKFold(2)), TypeError, "expected the classes as y"),
    (lambda: train_test_split(range(4), stratify=[0, 1, 0]), ValueError, "expected data of one length"),
    (
        lambda: train_test_split(range(4), stratify=[0, 1, 0, 0]),
        ValueError,
        "two examples of each class or more",
    ),
    (lambda: train_test_split(range(6), test_size=2, stratify=[0, 1, 2] * 2), ValueError, "of 4 and 2 examples .* each of 3"),
    (lambda: train_test_split(range(4), stratify=[0, 0, 1, 1], shuffle=False), ValueError, "stratify is for shuffle=True"),
    (lambda: train_test_split([[1]] * 4, stratify=[object()] * 4), TypeError, "expected one label for each example"),
]


@pytest.mark.parametrize(("call", "error", "message"), MISTAKES)
def test_mistakes_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()
