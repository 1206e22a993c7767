"""Data sets, samplers, batches, worker processes; and the same order as PyTorch's for the same seed."""

import collections
import multiprocessing
import os
import random
import re
import signal
import time

import numpy as np
import pytest

import minidl
from minidl.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    digits,
    get_worker_info,
    loader as loader_module,
    random_split,
)


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __getitem__(self, i):
        if i >= self.n:
            raise IndexError(f"no square {i}")
        return i * i

    def __len__(self):
        return self.n


class Slow(TensorDataset):
    """Reads sample by sample: the twin of what a DataLoader does with a TensorDataset at once."""


def rows(n=10):
    return minidl.arange(float(2 * n)).reshape(n, 2), minidl.arange(n)


# --- data sets


def test_tensor_dataset():
    x, y = rows()
    data = TensorDataset(x, y)
    assert len(data) == 10
    assert [part.tolist() for part in data[3]] == [[6.0, 7.0], 3]
    assert [part.tolist() for part in data[8:]] == [[[16.0, 17.0], [18.0, 19.0]], [8, 9]]
    assert data[-1][1].item() == 9
    with pytest.raises(IndexError):
        data[10]


def test_tensor_dataset_is_checked():
    with pytest.raises(ValueError, match=r"tensors of one length, got shapes \[\(3,\), \(2,\)\]"):
        TensorDataset(minidl.zeros(3), minidl.zeros(2))
    with pytest.raises(TypeError, match="argument 1 has type ndarray; write"):
        TensorDataset(minidl.zeros(3), np.zeros(3))
    with pytest.raises(TypeError, match=r"argument 0 has shape \(\)"):
        TensorDataset(minidl.tensor(1.0))


def test_subset_and_concat():
    subset = Subset(Squares(10), [5, 1, 2])
    both = subset + Squares(3)
    assert isinstance(both, ConcatDataset) and len(both) == 6
    assert [both[i] for i in range(-6, 6)] == [25, 1, 4, 0, 1, 4] * 2
    for i in (6, -7):
        with pytest.raises(IndexError, match=f"index {i} is out of range for 6 samples"):
            both[i]
    assert Subset(TensorDataset(*rows()), [4, 6, 8])[[0, 2]][1].tolist() == [4, 8]


def test_random_split():
    parts = random_split(range(10), [7, 3], generator=minidl.Generator().manual_seed(42))
    assert [len(p) for p in parts] == [7, 3]
    assert sorted([*parts[0], *parts[1]]) == list(range(10))
    assert [len(p) for p in random_split(range(11), [0.5, 0.25, 0.25])] == [6, 3, 2]
    with pytest.raises(ValueError, match=r"lengths \[7, 4\] must add up to 10"):
        random_split(range(10), [7, 4])
    with pytest.raises(ValueError, match="must not be negative"):
        random_split(range(10), [1.5, -0.5])
    with pytest.warns(UserWarning, match="subset 1 gets none"):
        random_split(range(2), [0.9, 0.05, 0.05])


# --- samplers


def test_samplers():
    assert list(SequentialSampler(Squares(4))) == [0, 1, 2, 3]
    orders = [list(RandomSampler(Squares(20))) for _ in range(2)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]) == list(range(20))
    drawn = list(RandomSampler(Squares(3), replacement=True, num_samples=100))
    assert len(drawn) == 100 and set(drawn) == {0, 1, 2}
    longer = list(RandomSampler(Squares(3), num_samples=7))
    assert [sorted(longer[i : i + 3]) for i in (0, 3)] == [[0, 1, 2]] * 2 and len(longer) == 7
    assert sorted(SubsetRandomSampler([7, 3, 5])) == [3, 5, 7]
    weighted = list(WeightedRandomSampler([0.0, 1.0, 3.0], 4000))
    assert 0 not in weighted and np.mean(weighted) == pytest.approx(1.75, abs=0.05)
    assert sorted(WeightedRandomSampler(minidl.tensor([1.0, 2.0, 3.0]), 3, replacement=False)) == [0, 1, 2]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("n", [0, 1, 5, 6])
def test_batch_sampler(n, drop_last):
    sampler = BatchSampler(range(n), 3, drop_last)
    expected = [b for b in ([*range(n)][i : i + 3] for i in range(0, n, 3)) if len(b) == 3 or not drop_last]
    assert list(sampler) == expected and len(sampler) == len(expected)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandomSampler([]), ValueError, "the data set is empty"),
        (lambda: RandomSampler([1], num_samples=0), ValueError, "num_samples must be 1 or more, got 0"),
        (lambda: RandomSampler([1], replacement=1), TypeError, "replacement must be True or False, got 1"),
        (lambda: WeightedRandomSampler([1.0], 1.5), TypeError, "num_samples must be an integer, got 1.5"),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, "one axis, got shape (1, 1)"),
        (lambda: BatchSampler([1], 0, False), ValueError, "batch_size must be 1 or more, got 0"),
        (lambda: BatchSampler([1], True, False), ValueError, "batch_size must be 1 or more, got True"),
        (lambda: BatchSampler([1], 2, None), TypeError, "drop_last must be True or False, got None"),
    ],
)
def test_samplers_are_checked(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


# --- from samples to batches

Point = collections.namedtuple("Point", "x y")


def test_default_collate():
    def same(batch, expected):
        got = default_collate(batch)
        assert got.equal(expected) and got.dtype == expected.dtype

    same([minidl.ones(2), minidl.zeros(2)], minidl.tensor([[1.0, 1.0], [0.0, 0.0]]))
    same([np.ones(2, "float32"), np.zeros(2, "float32")], minidl.tensor([[1.0, 1.0], [0.0, 0.0]]))
    same([np.float32(1), np.float32(2)], minidl.tensor([1.0, 2.0]))
    same([1.5, 2.5], minidl.tensor([1.5, 2.5], dtype=minidl.float64))
    same([1, 2], minidl.tensor([1, 2]))
    same([True, False], minidl.tensor([True, False]))
    assert default_collate(["a", "b"]) == ["a", "b"]
    x, (y, name) = default_collate([(1, (2, "a")), (3, (4, "b"))])
    assert (x.tolist(), y.tolist(), name) == ([1, 3], [2, 4], ["a", "b"])
    point = default_collate([Point(1, 2), Point(3, 4)])
    assert isinstance(point, Point) and point.y.tolist() == [2, 4]
    ordered = default_collate([collections.OrderedDict(a=1), collections.OrderedDict(a=2)])
    assert isinstance(ordered, collections.OrderedDict) and ordered["a"].tolist() == [1, 2]


def test_default_collate_is_checked():
    with pytest.raises(TypeError, match="got object"):
        default_collate([object()])
    with pytest.raises(RuntimeError, match=r"different lengths: \[1, 2\]"):
        default_collate([(1,), (1, 2)])
    with pytest.raises(ValueError, match="default_collate: expected equal shapes"):
        default_collate([minidl.ones(2), minidl.ones(3)])


def test_default_convert():
    converted = default_convert({"a": (np.ones(2), 1.5), "b": Point(np.int64(3), "x"), "c": [minidl.ones(1)]})
    assert converted["a"][0].equal(minidl.ones(2, dtype=minidl.float64)) and converted["a"][1] == 1.5
    assert converted["b"].x.item() == 3 and converted["b"].y == "x" and converted["c"][0].item() == 1


# --- DataLoader


def listed(loader):
    return [[part.tolist() for part in batch] for batch in loader]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("make", [lambda d: d, lambda d: Subset(d, [9, 2, 4, 4, 0, 1, 7])])
def test_whole_batches_at_once_give_what_single_samples_give(make, shuffle, drop_last):
    results = []
    for kind in (TensorDataset, Slow):
        minidl.manual_seed(3)
        loader = DataLoader(make(kind(*rows())), batch_size=3, shuffle=shuffle, drop_last=drop_last)
        results.append(listed(loader))
        assert len(results[-1]) == len(loader)
    assert results[0] == results[1]


def test_a_batch_is_a_copy():
    x, y = rows()
    for batch, _ in DataLoader(TensorDataset(x, y), batch_size=5):
        batch += 1000
    assert x.max().item() < 1000


def test_a_subclass_with_its_own_getitem_is_asked():
    class Doubled(TensorDataset):
        def __getitem__(self, i):
            return self.tensors[0][i] * 2

    assert next(iter(DataLoader(Doubled(minidl.arange(3)), batch_size=3))).tolist() == [0, 2, 4]


def test_a_data_set_may_fetch_batches_itself():
    class Batched(Squares):
        def __getitems__(self, indices):
            return [-self[i] for i in indices]

    assert next(iter(DataLoader(Batched(3), batch_size=3))).tolist() == [0, -1, -4]


def test_an_order_of_ones_own():
    class Backwards(Sampler):
        def __iter__(self):
            return iter([3, 2, 1, 0])

        def __len__(self):
            return 4

    data = Squares(4)
    loader = DataLoader(data, batch_size=3, sampler=Backwards())
    assert [b.tolist() for b in loader] == [[9, 4, 1], [0]] and len(loader) == 2
    loader = DataLoader(data, batch_sampler=[(0, 3), (1,)])
    assert [b.tolist() for b in loader] == [[0, 9], [1]] and len(loader) == 2
    assert list(DataLoader(data, batch_size=None)) == [0, 1, 4, 9]
    whole = DataLoader(TensorDataset(minidl.arange(4)), batch_size=None, sampler=BatchSampler(range(4), 2, False))
    assert [part.tolist() for (part,) in whole] == [[0, 1], [2, 3]]
    loader = DataLoader(data, batch_size=2, collate_fn=sum)
    assert list(loader) == [1, 13]


def test_a_stream():
    class Count(IterableDataset):
        def __iter__(self):
            return iter(range(5))

    assert [b.tolist() for b in DataLoader(Count(), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Count(), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Count(), batch_size=None)) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="has its own order"):
        DataLoader(Count(), shuffle=True)
    with pytest.raises(NotImplementedError, match="use num_workers=0"):
        DataLoader(Count(), num_workers=1)
    with pytest.raises(NotImplementedError, match="ChainDataset"):
        Count() + Count()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be 1 or more, got 0"),
        ({"sampler": [0], "shuffle": True}, ValueError, "not both"),
        ({"batch_sampler": [[0]], "batch_size": 2}, ValueError, "takes the place of batch_size"),
        ({"batch_sampler": [[0]], "drop_last": True}, ValueError, "takes the place of batch_size"),
        ({"batch_size": None, "drop_last": True}, ValueError, "drop_last needs a batch_size"),
        ({"num_workers": -1}, ValueError, "num_workers and timeout must be 0 or more"),
        ({"timeout": 1}, ValueError, "which need num_workers > 0"),
        ({"prefetch_factor": 0}, ValueError, "prefetch_factor must be an integer of 1 or more, got 0"),
    ],
)
def test_promise_35_arguments_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        DataLoader(Squares(4), **options)


def test_pin_memory_says_that_it_does_nothing():
    with pytest.warns(UserWarning, match="pin_memory=True has no effect"):
        DataLoader(Squares(4), pin_memory=True)


# --- PyTorch's order


def test_promise_25_shuffling_gives_pytorchs_order_and_leaves_its_generator_where_pytorch_does():
    torch = pytest.importorskip("torch")
    for own in (False, True):
        orders = []
        for t in (minidl, torch):
            t.manual_seed(7)
            generator = t.Generator().manual_seed(5) if own else None
            loader = t.utils.data.DataLoader(list(range(37)), batch_size=8, shuffle=True, generator=generator)
            orders.append([[b.tolist() for b in loader] for _ in range(2)])
            orders[-1].append(t.rand(3).tolist())
        assert orders[0] == orders[1]


def test_samplers_and_splits_against_pytorch():
    torch = pytest.importorskip("torch")
    results = []
    for t in (minidl, torch):
        t.manual_seed(1)
        d = t.utils.data
        shared = t.Generator().manual_seed(2)
        results.append(
            [
                [list(part) for part in d.random_split(range(23), [10, 13])],
                [list(part) for part in d.random_split(range(23), [0.3, 0.3, 0.4], generator=shared)],
                list(d.RandomSampler(range(10), generator=shared)),
                list(d.RandomSampler(range(10), num_samples=25, generator=shared)),
                list(d.RandomSampler(range(10), replacement=True, num_samples=70, generator=shared)),
                list(d.RandomSampler(range(10), replacement=True)),
                list(d.SubsetRandomSampler([5, 6, 7, 8], generator=shared)),
                list(d.WeightedRandomSampler([0.1, 0.9, 0.4], 9, generator=shared)),
                t.rand(2, generator=shared).tolist(),
                t.rand(2).tolist(),
            ]
        )
    assert results[0] == results[1]


def test_an_epoch_without_shuffling_uses_as_many_random_numbers_as_pytorchs():
    torch = pytest.importorskip("torch")
    for t in (minidl, torch):
        t.manual_seed(7)
        list(t.utils.data.DataLoader(list(range(5))))
    assert minidl.rand(3).tolist() == torch.rand(3).tolist()


# --- worker processes. What they run stands at the top of the file, where a spawned process finds it.

METHODS = [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()]
# Python 3.12 and later warn when a process with threads forks; minidl's kernels stay serial in the child.
may_fork = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def gradient(i):
    """8 i, by way of a kernel and a graph."""
    w = minidl.full((4, 4), 1.0, requires_grad=True)
    ((w @ w).sum() * i).backward()
    return w.grad[0, 0].item()


class Noisy(Dataset):
    def __getitem__(self, i):
        return gradient(i), minidl.rand(1), os.getpid(), get_worker_info().id

    def __len__(self):
        return 11


class Failing(Squares):
    def __getitem__(self, i):
        if i == 5:
            raise KeyError("sample 5 is broken")
        return super().__getitem__(i)


class Dying(Squares):
    def __getitem__(self, i):
        if i == 5:
            os._exit(3)
        return super().__getitem__(i)


@may_fork
@pytest.mark.parametrize("method", METHODS)
def test_promise_39_workers_keep_the_order_and_are_seeded(method):
    gradient(1)  # compiles for the workers, too
    minidl.ones(300, 300) @ minidl.ones(300, 300)  # the parent has used its threads before it forks
    epochs = []
    for _ in range(2):
        minidl.manual_seed(0)
        loader = DataLoader(Noisy(), batch_size=2, num_workers=2, multiprocessing_context=method)
        epochs.append(list(loader))
        assert len(epochs[-1]) == len(loader) == 6
    first, second = epochs
    gradients, numbers, processes, workers = (minidl.cat([b[k].flatten() for b in first]).tolist() for k in range(4))
    assert gradients == [8.0 * i for i in range(11)]
    assert len(set(numbers)) == 11
    assert len(set(processes)) == 2 and os.getpid() not in processes
    assert workers == [0, 0, 1, 1] * 2 + [0, 0, 1]
    assert numbers == minidl.cat([b[1].flatten() for b in second]).tolist()
    assert not multiprocessing.active_children()
    assert get_worker_info() is None


@may_fork
def test_shuffling_does_not_depend_on_the_number_of_workers():
    orders = []
    for workers in (0, 1, 3):
        minidl.manual_seed(0)
        loader = DataLoader(
            Squares(10), batch_size=3, shuffle=True, num_workers=workers, multiprocessing_context=workers and "fork"
        )
        orders.append([b.tolist() for b in loader])
    assert orders[0] == orders[1] == orders[2]


@may_fork
def test_an_error_in_a_worker_is_raised_with_its_traceback():
    loader = DataLoader(Failing(10), batch_size=2, num_workers=2, multiprocessing_context="fork")
    seen = []
    with pytest.raises(KeyError, match="sample 5 is broken") as caught:
        for batch in loader:
            seen.append(batch.tolist())
    assert seen == [[0, 1], [4, 9]]
    assert "in DataLoader worker 0" in str(caught.value.__cause__) and "raise KeyError" in str(caught.value.__cause__)
    assert not multiprocessing.active_children()


@may_fork
def test_a_worker_that_dies_is_told():
    loader = DataLoader(Dying(10), batch_size=2, num_workers=2, multiprocessing_context="fork")
    with pytest.raises(RuntimeError, match="worker 0 died, exit code 3"):
        list(loader)
    assert not multiprocessing.active_children()


KILLS = 40


class Own(Dataset):
    """Samples that say which process made them, and may be large."""

    def __init__(self, size=1):
        self.size = size

    def __getitem__(self, i):
        return minidl.full((self.size,), float(os.getpid()), dtype=minidl.float64)

    def __len__(self):
        return 50


@may_fork
def test_a_worker_that_is_killed_between_batches_is_told():
    chance = random.Random(11)
    for attempt in range(KILLS):
        loader = DataLoader(Own(), num_workers=2, multiprocessing_context="fork")
        with pytest.raises(RuntimeError, match=r"worker \d died, exit code -9 \(killed; if for want of memory, take fewer"):
            for i, batch in enumerate(loader):
                if i == attempt % 5:
                    os.kill(int(batch.item()), signal.SIGKILL)
                    time.sleep(chance.choice([0, 0, 0.001, 0.01]))
        assert i >= attempt % 5
        assert not multiprocessing.active_children()


@may_fork
def test_a_worker_that_is_killed_in_the_middle_of_a_batch_is_told():
    batches = iter(DataLoader(Own(1_000_000), num_workers=1, multiprocessing_context="fork"))
    worker = int(next(batches)[0, 0])
    time.sleep(0.3)  # its next batch is larger than what the connection holds: it waits with a part of it sent
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="worker 0 died, exit code -9"):
        next(batches)


class Leaving(Squares):
    """Its worker dies, but a process that the worker started lives on, and has a copy of the connection."""

    def __getitem__(self, i):
        if i == 3:
            if not os.fork():
                time.sleep(5)
            os._exit(3)
        return super().__getitem__(i)


@may_fork
@pytest.mark.parametrize("timeout", [0, 15])
def test_a_worker_that_dies_is_told_when_its_connection_stays_open(monkeypatch, timeout):
    monkeypatch.setattr(loader_module, "_LOOK", 0.1)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="worker 1 died, exit code 3; with num_workers=0 its error shows"):
        list(DataLoader(Leaving(10), num_workers=2, timeout=timeout, multiprocessing_context="fork"))
    assert time.monotonic() - start < 4


class Sleeping(Squares):
    def __getitem__(self, i):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(30 if i == 2 else 0)
        return super().__getitem__(i)


@may_fork
def test_a_timeout_ends_the_waiting_and_the_workers(monkeypatch):
    monkeypatch.setattr(loader_module, "_JOIN", 0.2)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"no batch from worker 0 within 0\.5 s"):
        list(DataLoader(Sleeping(10), num_workers=2, timeout=0.5, multiprocessing_context="fork"))
    assert 0.5 < time.monotonic() - start < 10 and not multiprocessing.active_children()


class Odd:
    def __reduce__(self):
        return open, ("/no file of this name",)


class Strange(Squares):
    def __getitem__(self, i):
        return Odd()


@may_fork
def test_a_batch_that_cannot_be_made_here_is_an_error_of_its_own_and_no_death():
    with pytest.raises(FileNotFoundError, match="no file of this name"):
        next(iter(DataLoader(Strange(3), batch_size=None, num_workers=1, multiprocessing_context="fork")))


class Unsendable(Squares):
    def __getitem__(self, i):
        return lambda: i


@may_fork
def test_a_batch_that_cannot_be_sent_is_told_with_the_remedy():
    for workers in (1, 2):
        batches = DataLoader(Unsendable(3), batch_size=None, num_workers=workers, multiprocessing_context="fork")
        with pytest.raises(RuntimeError, match=r"of type function cannot be sent .*; make it of tensors, .* num_workers=0"):
            list(batches)


@may_fork
def test_two_loaders_at_once_end_at_once():
    """The workers of the second have copies of the connections of the first: its workers must see the end all the same."""
    start = time.monotonic()
    pairs = list(zip(*(DataLoader(Own(), num_workers=2, multiprocessing_context="fork") for _ in range(2)), strict=True))
    first, second = (iter(DataLoader(Squares(100), num_workers=2, multiprocessing_context="fork")) for _ in range(2))
    next(first), next(second)
    first.close()
    second.close()
    assert len(pairs) == 50 and not multiprocessing.active_children() and time.monotonic() - start < 4


@may_fork
def test_leaving_an_epoch_early_ends_the_workers():
    for batch in DataLoader(Squares(100), num_workers=2, multiprocessing_context="fork"):
        assert batch.tolist() == [0]
        break
    del batch
    assert not multiprocessing.active_children()


# --- digits


def test_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    data, target = datasets.load_digits(return_X_y=True)
    train, test = digits(), digits(train=False)
    assert len(train) + len(test) == len(data) == 1797
    for part in (train, test):
        x, y = part.tensors
        assert x.dtype == minidl.float32 and x.shape[1] == 64 and y.dtype == minidl.int64
        assert x.min().item() == 0 and x.max().item() == 1
        shares = np.bincount(y.numpy()) / np.bincount(target)
        np.testing.assert_allclose(shares, len(part) / len(data), atol=0.005)
    ours = np.concatenate([np.c_[p.tensors[0].numpy() * 16, p.tensors[1].numpy()] for p in (train, test)])
    theirs = np.c_[data, target]
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


def test_the_split_of_the_digits_is_fixed():
    pytest.importorskip("sklearn")
    first = digits(train=False)
    minidl.manual_seed(123)
    assert digits(train=False).tensors[0].equal(first.tensors[0])
    assert not digits(train=False, seed=1).tensors[0].equal(first.tensors[0])
    assert len(digits(train=False, fraction=0.5)) == pytest.approx(898, abs=5)
    with pytest.raises(ValueError, match="fraction must lie between 0 and 1, got 20"):
        digits(fraction=20)


def test_digits_without_scikit_learn_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        digits()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d, ten: d.DataLoader(ten, generator=5), TypeError, "generator: expected a minidl.Generator or None, got int"),
        (lambda d, ten: d.RandomSampler(ten, generator=0), TypeError, "generator: expected a minidl.Generator"),
        (lambda d, ten: d.SubsetRandomSampler([1], generator=0), TypeError, "generator: expected a minidl.Generator"),
        (lambda d, ten: d.WeightedRandomSampler([1.0], 1, generator=0), TypeError, "generator: expected a minidl.Generator"),
        (lambda d, ten: d.random_split(ten, [5, 5], generator=0), TypeError, "generator: expected a minidl.Generator"),
        (lambda d, ten: d.transforms.random_shift(minidl.ones(1, 4, 4), 1, generator=0), TypeError, "generator: expected"),
        (lambda d, ten: d.DataLoader(5), TypeError, "DataLoader: expected a data set, with __getitem__ and __len__, got int"),
        (lambda d, ten: d.DataLoader(ten, num_workers="1"), TypeError, "DataLoader: num_workers must be an integer"),
        (lambda d, ten: d.DataLoader(ten, num_workers=1.5), TypeError, "DataLoader: num_workers must be an integer"),
        (lambda d, ten: d.DataLoader(ten, collate_fn=5), TypeError, "DataLoader: collate_fn must be a function"),
        (lambda d, ten: d.DataLoader(ten, sampler=5), TypeError, "DataLoader: sampler must be an iterable of indices, got 5"),
        (lambda d, ten: d.DataLoader(ten, batch_sampler=5), TypeError, "DataLoader: batch_sampler must be an iterable"),
        (lambda d, ten: d.BatchSampler(5, 2, False), TypeError, "BatchSampler: expected a sampler"),
        (lambda d, ten: next(iter(d.DataLoader(ten, sampler=["1"]))), TypeError, "expected integers from the sampler, got"),
        (lambda d, ten: next(iter(d.DataLoader(ten, sampler=[1.7]))), TypeError, "expected integers from the sampler, got"),
        (lambda d, ten: d.write_idx("never", minidl.ones(2)), TypeError, "write_idx: expected an ndarray, got Tensor"),
    ],
)
def test_promise_26_what_makes_no_sense_is_told_at_once(call, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        call(minidl.utils.data, minidl.utils.data.TensorDataset(minidl.arange(10)))
    assert not list(tmp_path.iterdir())
