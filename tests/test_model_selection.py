"""Splits, cross-validation, polynomial features, early stopping, learning curves. Rows L7 to L12, M13 and Z6 of the mission.

scikit-learn is the reference where it has the same: its splits for a seed, its features, its scores.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minidl
from minidl import nn
from minidl.model_selection import (
    EarlyStopping,
    KFold,
    PolynomialFeatures,
    count_monomials,
    cross_validate,
    learning_curve,
    train_test_split,
)
from minidl.nn import functional as F
from minidl.utils.data import DataLoader, TensorDataset

# --- k-fold (L12)


@given(st.integers(2, 9), st.integers(0, 40), st.booleans())
@settings(max_examples=100, deadline=None)
def test_folds_are_disjoint_cover_all_and_keep_the_remainder(k, more, shuffle):
    n = k + more
    pairs = [(train.tolist(), test.tolist()) for train, test in KFold(k, shuffle=shuffle).split(range(n))]
    held_out = [i for _, test in pairs for i in test]
    assert len(pairs) == k
    assert sorted(held_out) == list(range(n))  # each once: disjoint, and the n mod k that the book drops are there
    assert [len(test) for _, test in pairs] == [n // k + (i < n % k) for i in range(k)]
    for train, test in pairs:
        assert sorted(train + test) == list(range(n))
        assert train == sorted(train)
        assert test == sorted(test)


def test_folds_are_in_order_or_shuffled():
    assert [test.tolist() for _, test in KFold(3).split(range(7))] == [[0, 1, 2], [3, 4], [5, 6]]

    def drawn(seed):
        folds = KFold(3, shuffle=True, generator=minidl.Generator().manual_seed(seed))
        return [test.tolist() for _, test in folds.split(range(30))]

    assert drawn(0) == drawn(0) != drawn(1)
    again = KFold(3, shuffle=True, random_state=4)
    assert [test.tolist() for _, test in again.split(range(30))] == [test.tolist() for _, test in again.split(range(30))]
    minidl.manual_seed(1)
    once = [test.tolist() for _, test in KFold(3, shuffle=True).split(range(30))]
    minidl.manual_seed(1)
    assert once == [test.tolist() for _, test in KFold(3, shuffle=True).split(range(30))] != drawn(2)


@pytest.mark.parametrize("options", [{}, {"shuffle": True, "random_state": 3}, {"shuffle": True, "random_state": 0}])
def test_folds_are_scikit_learns(options):
    theirs = pytest.importorskip("sklearn.model_selection").KFold(4, **options)
    for (train, test), (their_train, their_test) in zip(
        KFold(4, **options).split(range(23)), theirs.split(np.zeros((23, 2))), strict=True
    ):
        assert train.tolist() == their_train.tolist()
        assert test.tolist() == their_test.tolist()
    assert KFold(4, **options).get_n_splits() == 4


# --- two parts


SIZES = [
    {},
    {"test_size": 0.3},
    {"test_size": 7},
    {"train_size": 0.5},
    {"train_size": 5, "test_size": 0.2},
    {"train_size": 0.31},
]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("options", [{"random_state": 1}, {"random_state": 9}, {"shuffle": False}])
def test_two_parts_are_scikit_learns(sizes, options):
    sklearn = pytest.importorskip("sklearn.model_selection")
    X, y = np.arange(46.0).reshape(23, 2), np.arange(23)
    ours = train_test_split(minidl.tensor(X), y, y.tolist(), **sizes, **options)
    theirs = sklearn.train_test_split(X, y, y.tolist(), **sizes, **options)
    assert [np.asarray(x).tolist() for x in ours] == [np.asarray(x).tolist() for x in theirs]
    assert [type(x) for x in ours[::2]] == [minidl.Tensor, np.ndarray, list]


def test_two_parts_of_a_data_set():
    data = TensorDataset(minidl.arange(10.0), minidl.arange(10))
    train, test = train_test_split(data, test_size=0.2, generator=minidl.Generator().manual_seed(0))
    assert len(train) == 8
    assert sorted(y.item() for part in (train, test) for _, y in part) == list(range(10))
    (x, y), *_ = DataLoader(train, batch_size=8)
    assert x.tolist() == y.tolist()


# --- the average over runs


def fit_line(train, validation):
    """Least squares by the closed form; the mean squared errors on both parts."""
    (X, y), (X_validation, y_validation) = train, validation
    ones = minidl.ones(len(X), 1, dtype=X.dtype)
    w = minidl.linalg.pinv(minidl.cat([X, ones], 1)) @ y
    errors = [F.mse_loss(A @ w[:-1] + w[-1], b).item() for A, b in ((X, y), (X_validation, y_validation))]
    return errors


def noisy_line(n, k=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, k))
    return minidl.tensor(X), minidl.tensor(X.sum(1) + rng.normal(size=n))


def test_cross_validation_trains_once_for_each_fold_and_averages():
    seen = []

    def run(train, validation):
        seen.append((train.tolist(), validation.tolist()))
        return len(train), validation.sum().item()

    result = cross_validate(run, minidl.arange(7), cv=3)
    assert seen == [([3, 4, 5, 6], [0, 1, 2]), ([0, 1, 2, 5, 6], [3, 4]), ([0, 1, 2, 3, 4], [5, 6])]
    assert result.scores.tolist() == [[4, 3], [5, 7], [5, 11]]
    assert result.mean.tolist() == [14 / 3, 7]
    assert result.scores.dtype == result.mean.dtype == minidl.float64


def test_cross_validation_of_one_number():
    result = cross_validate(lambda train, validation: minidl.tensor(float(len(validation))), list("abcde"), cv=2)
    assert result.scores.tolist() == [3, 2]
    assert result.mean.item() == 2.5


def test_cross_validation_of_a_line_is_scikit_learns():
    linear_model, selection = (pytest.importorskip(f"sklearn.{name}") for name in ("linear_model", "model_selection"))
    X, y = noisy_line(50)
    for cv in (5, 7):
        theirs = selection.cross_validate(
            linear_model.LinearRegression(),
            X.numpy(),
            y.numpy(),
            cv=cv,
            scoring="neg_mean_squared_error",
            return_train_score=True,
        )
        ours = cross_validate(fit_line, X, y, cv=cv).scores.numpy()
        np.testing.assert_allclose(ours, -np.stack([theirs["train_score"], theirs["test_score"]], 1))


def test_cross_validation_of_a_data_set_gives_data_sets():
    data = TensorDataset(minidl.arange(6.0))
    result = cross_validate(lambda train, validation: sum(x.item() for (x,) in validation), data, cv=KFold(3))
    assert result.scores.tolist() == [1, 5, 9]


def test_learning_curve_is_scikit_learns():
    linear_model, selection = (pytest.importorskip(f"sklearn.{name}") for name in ("linear_model", "model_selection"))
    X, y = noisy_line(57)
    sizes, train, test = selection.learning_curve(
        linear_model.LinearRegression(), X.numpy(), y.numpy(), cv=4, scoring="neg_mean_squared_error"
    )
    curve = learning_curve(fit_line, X, y, cv=4)
    assert curve.train_sizes.tolist() == sizes.tolist()
    ours = curve.scores.numpy()[1:]  # 4 examples for 4 numbers leave no error, but rounding
    np.testing.assert_allclose(ours, -np.stack([train, test], 2)[1:])
    np.testing.assert_allclose(curve.mean.numpy()[1:], ours.mean(1))


def test_errors_meet_as_data_grows():
    """Z6: n examples and k weights make E R_emp = σ²(1 − k/n), and R = σ²(1 + k/(n − k − 1)) for normal X."""
    X, y = noisy_line(6000, k=20, seed=3)
    curve = learning_curve(fit_line, X, y, train_sizes=[30, 100, 400, 4000], cv=5)
    training, validation = curve.mean.numpy().T
    assert (np.diff(training) > 0).all()
    assert (np.diff(validation) < 0).all()
    assert (training < validation).all()
    assert training[1] == pytest.approx(1 - 21 / 100, rel=0.2)
    assert validation[1] == pytest.approx(1 + 21 / 78, rel=0.2)
    assert validation[-1] - training[-1] < 0.05


def test_numbers_and_fractions_of_examples():
    sizes = learning_curve(lambda train, validation: 0, range(10), train_sizes=[0.5, 3, 1.0, 0.01], cv=2).train_sizes
    assert sizes.tolist() == [1, 2, 3, 5]


# --- features (L10)


@pytest.mark.parametrize("degree", range(6))
@pytest.mark.parametrize("variables", range(1, 6))
def test_number_of_monomials(degree, variables):
    """Counted one by one: the exponents in {0, …, d}^k that add up to d."""
    exponents = np.stack(np.meshgrid(*[range(degree + 1)] * variables), -1).reshape(-1, variables)
    count = (exponents.sum(1) == degree).sum()
    assert count_monomials(degree, variables) == math.comb(variables - 1 + degree, variables - 1) == count
    features = PolynomialFeatures(degree).fit(minidl.ones(1, variables))
    assert (features.powers_.sum(1) == degree).sum().item() == count
    assert features.n_output_features_ == len(features.powers_) == math.comb(variables + degree, degree)
    assert len({tuple(row) for row in features.powers_.tolist()}) == features.n_output_features_


@pytest.mark.parametrize("include_bias", [False, True])
@pytest.mark.parametrize("interaction_only", [False, True])
@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
def test_features_are_products_of_columns(degree, interaction_only, include_bias):
    X = minidl.tensor(np.random.default_rng(0).normal(size=(5, 3)))
    features = PolynomialFeatures(degree, interaction_only=interaction_only, include_bias=include_bias)
    Y = features.fit_transform(X)
    assert Y.shape == (5, features.n_output_features_)
    for column, powers in zip(Y.numpy().T, features.powers_.tolist(), strict=True):
        np.testing.assert_allclose(column, np.prod(X.numpy() ** powers, 1))
    assert ([0, 0, 0] in features.powers_.tolist()) == include_bias
    assert any(n > 1 for row in features.powers_.tolist() for n in row) == (degree > 1 and not interaction_only)


def test_features_are_scikit_learns():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    X = np.random.default_rng(1).normal(size=(4, 3))
    for degree in (1, 2, 5):
        for options in ({}, {"interaction_only": True}, {"include_bias": False}):
            ours = PolynomialFeatures(degree, **options)
            theirs = preprocessing.PolynomialFeatures(degree, **options)
            np.testing.assert_allclose(ours.fit_transform(minidl.tensor(X)).numpy(), theirs.fit_transform(X))
            assert ours.powers_.tolist() == theirs.powers_.tolist()
            assert ours.get_feature_names_out() == list(theirs.get_feature_names_out())
            names = ["a", "b", "c"]
            assert ours.get_feature_names_out(names) == list(theirs.get_feature_names_out(names))


def test_features_have_gradients_and_keep_the_dtype():
    X = minidl.tensor(np.random.default_rng(2).normal(size=(2, 2)), requires_grad=True)
    features = PolynomialFeatures(3).fit(X)
    assert minidl.autograd.gradcheck(features.transform, X)
    assert features.transform(X.float()).dtype == minidl.float32
    assert PolynomialFeatures(2).fit_transform(minidl.tensor([[2, 3]])).tolist() == [[1, 2, 3, 4, 6, 9]]


# --- early stopping (M13)


def told(values, **options):
    stop = EarlyStopping(**options)
    return [stop(value) for value in values], stop


def test_it_stops_after_as_many_values_without_gain_as_it_has_patience():
    answers, stop = told([5, 4, 4, 3, 3, 3, 3], patience=3)
    assert answers == [False, False, False, False, False, False, True]
    assert (stop.best, stop.best_epoch, stop.epochs, stop.stopped) == (3, 3, 7, True)
    assert told([5, 4, 4, 3], patience=1)[0] == [False, False, True, False]


def test_a_gain_below_min_delta_is_none_and_max_looks_upwards():
    assert told([1.0, 0.95, 0.91, 0.85], patience=2, min_delta=0.1)[0] == [False, False, True, False]
    answers, stop = told([0.5, 0.7, 0.6, 0.65], patience=2, mode="max")
    assert answers == [False, False, False, True]
    assert stop.best == 0.7
    assert told([math.nan, 1.0, math.nan, math.inf], patience=2)[0] == [False, False, False, True]
    assert told([math.nan, math.nan], patience=2)[0] == [False, True]


def test_the_best_weights_come_back():
    model, stop = nn.BatchNorm1d(2), EarlyStopping(patience=2)
    kept = None
    for epoch, value in enumerate([3.0, 1.0, 2.0, 2.0]):
        model(minidl.randn(4, 2))  # moves the running statistics, too
        with minidl.no_grad():
            model.weight.fill_(epoch)
        if epoch == 1:
            kept = {name: x.clone() for name, x in model.state_dict().items()}
        stopped = stop(minidl.tensor(value), model)
    assert stopped
    weight = model.weight
    stop.restore(model)
    assert model.weight is weight  # in place: an optimizer still holds it
    assert model.state_dict().keys() == kept.keys()
    assert all(x.equal(kept[name]) for name, x in model.state_dict().items())
    with minidl.no_grad():
        model.weight.fill_(9)
    stop.restore(model)  # what was kept is a copy
    assert model.weight.tolist() == [1, 1]


def test_it_goes_on_from_its_state():
    values = [3.0, 1.0, 2.0, 0.5, 0.7, 0.6]
    whole = EarlyStopping(patience=2)
    model = nn.Linear(1, 1)
    first = [whole(value, model) for value in values[:3]]
    state = whole.state_dict()
    other = EarlyStopping(patience=2)
    other.load_state_dict(state)
    rest = [other(value) for value in values[3:]]
    assert first + rest == told(values, patience=2)[0] == [False, False, False, False, False, True]
    assert whole.epochs == 3  # not the same counters


def test_its_state_goes_through_a_file(tmp_path):
    model, stop, other = nn.Linear(2, 1), EarlyStopping(patience=2), EarlyStopping(patience=2)
    stop(2.0, model)
    stop(1.0, model)
    minidl.save(stop.state_dict(), tmp_path / "stop.npz")
    other.load_state_dict(minidl.load(tmp_path / "stop.npz"))
    assert (other.best, other.best_epoch, other.epochs) == (1.0, 1, 2)
    new = nn.Linear(2, 1)
    other.restore(new)
    assert new.weight.equal(model.weight)
    before = other.state_dict()
    with pytest.raises(ValueError, match="epoch 7 of 2 cannot be the best one"):
        other.load_state_dict({**before, "best_epoch": 7})
    assert other.best_epoch == 1  # nothing changed


def test_early_stopping_keeps_the_better_model():
    """On labels of which some are noise, the last model has memorised them; the kept one has the smaller held-out error."""
    rng, generator = np.random.default_rng(0), minidl.Generator().manual_seed(0)
    minidl.manual_seed(0)
    X = minidl.tensor(rng.normal(size=(80, 20)).astype("f4"))
    y = (X[:, 0] > 0).long()
    wrong = minidl.tensor(rng.random(80) < 0.3)
    y = minidl.where(wrong, 1 - y, y)
    X, X_held, y, y_held = train_test_split(X, y, test_size=0.5, generator=generator)
    model, stop = nn.MLP(20, [64], 2), EarlyStopping(patience=1000)
    optimizer = minidl.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        F.cross_entropy(model(X), y).backward()
        optimizer.step()
        with minidl.no_grad():
            stop(F.cross_entropy(model(X_held), y_held), model)
    assert (model(X).argmax(1) == y).all()  # interpolates, noise and all
    last = F.cross_entropy(model(X_held), y_held).item()
    stop.restore(model)
    assert F.cross_entropy(model(X_held), y_held).item() == pytest.approx(stop.best)
    assert stop.best < 0.6 * last


# --- weight decay (L13) and the map that makes a relation linear (M1)


@pytest.mark.parametrize(("kind", "same"), [("SGD", True), ("Adam", True), ("AdamW", False)])
def test_weight_decay_is_a_penalty_in_the_loss_but_for_adamw(kind, same):
    """λ/2 ‖w‖² in the loss adds λw to the gradient. AdamW shrinks w beside Adam's step: w ← (1 − ηλ)w − η m̂/√v̂."""
    X, y = noisy_line(20)
    decay, rate = 0.5, 0.1
    nets = [nn.Linear(3, 1).double() for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    for net, penalty, option in zip(nets, (decay, 0), (0, decay), strict=True):
        optimizer = getattr(minidl.optim, kind)([{"params": net.weight, "weight_decay": option}, {"params": net.bias}], lr=rate)
        for _ in range(3):
            optimizer.zero_grad()
            (F.mse_loss(net(X)[:, 0], y) + penalty / 2 * (net.weight**2).sum()).backward()
            optimizer.step()
    assert minidl.allclose(nets[0].weight, nets[1].weight, rtol=1e-9) == same
    assert same == minidl.allclose(nets[0].bias, nets[1].bias, rtol=1e-9)


def test_a_logarithm_makes_a_monotone_relation_linear():
    """The logit of repaying is linear in ln(income): a line reaches the entropy on it, and cannot on the income itself."""
    income = minidl.tensor(np.geomspace(5e3, 1e6, 200))
    probability = (1.2 * (income / 30_000).log()).sigmoid()
    floor = F.binary_cross_entropy(probability, probability).item()
    losses = []
    for x in (income.log(), income):
        x, model = ((x - x.mean()) / x.std()).unsqueeze(1), nn.Linear(1, 1).double()
        optimizer = minidl.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(400):
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(model(x)[:, 0], probability)
            loss.backward()
            optimizer.step()
        losses.append(loss.item() - floor)
    assert 0 <= losses[0] < 1e-4
    assert losses[1] > 0.02
    step = model(x[:2] + 0.1) - model(x[:2])  # a line moves as far for one step of income as for another
    assert step[0].item() == pytest.approx(step[1].item())


# --- mistakes

DATA = TensorDataset(minidl.arange(4.0))
MISTAKES = [
    (lambda: KFold(1), ValueError, "KFold: n_splits must be 2 or more, got 1"),
    (lambda: KFold(2.5), TypeError, "KFold: n_splits must be an integer, got 2.5"),
    (lambda: KFold(True), TypeError, "KFold: n_splits must be an integer, got True"),
    (lambda: KFold(3, shuffle="yes"), TypeError, "KFold: shuffle must be True or False"),
    (lambda: KFold(3, random_state=1), ValueError, "random_state and generator are for shuffle=True"),
    (lambda: KFold(3, shuffle=True, random_state=-1), ValueError, "random_state must be an integer from 0"),
    (lambda: KFold(3, shuffle=True, random_state=1, generator=minidl.Generator()), ValueError, "not both"),
    (lambda: KFold(3, shuffle=True, generator=1), TypeError, "minidl.Generator"),
    (lambda: KFold(5).split(range(4)), ValueError, "5 parts want as many examples or more, got 4"),
    (lambda: KFold(2).split(minidl.zeros(4), minidl.zeros(5)), ValueError, r"lengths \[4, 5\]"),
    (lambda: KFold(2).split(7), TypeError, "expected tensors, arrays, lists or data sets, got int"),
    (lambda: KFold(2).split(minidl.tensor(1.0)), TypeError, "KFold.split: expected tensors"),
    (lambda: KFold(2).split(range(4), groups=[0, 0, 1, 1]), NotImplementedError, "groups"),
    (lambda: train_test_split(), TypeError, "train_test_split: expected data"),
    (lambda: train_test_split([1, 2, 3], test_size=1.5), ValueError, "test_size must be a fraction between 0 and 1"),
    (lambda: train_test_split([1, 2, 3], test_size=4), ValueError, "of 3 examples"),
    (lambda: train_test_split([1, 2, 3], test_size=True), ValueError, "test_size"),
    (lambda: train_test_split([1, 2, 3], train_size=0.1), ValueError, "make 0 and 3"),
    (lambda: train_test_split([1, 2], [1, 2, 3]), ValueError, r"train_test_split: expected data of one length"),
    (lambda: train_test_split([1, 2, 3], shuffle=False, random_state=0), ValueError, "for shuffle=True"),
    (lambda: cross_validate(3, [1, 2]), TypeError, r"cross_validate: expected a function run\(train, validation\)"),
    (lambda: cross_validate(lambda a, b: 0, [1, 2, 3], cv=1), ValueError, "cv must be 2 or more"),
    (lambda: cross_validate(lambda a, b: 0, [1, 2, 3], cv="5"), TypeError, "cv must be an integer"),
    (lambda: cross_validate(lambda a, b: None, [1, 2, 3], cv=2), TypeError, "what run returns must be a number, got None"),
    (lambda: cross_validate(lambda a, b: [0] * len(b), [1, 2, 3], cv=2), ValueError, "as many numbers each time"),
    (lambda: cross_validate(lambda a, b: [], [1, 2, 3], cv=2), ValueError, "as many numbers each time"),
    (lambda: learning_curve(lambda a, b: 0, [1, 2, 3], cv=3, train_sizes=[3]), ValueError, "numbers from 1 to 2"),
    (lambda: learning_curve(lambda a, b: 0, [1, 2, 3], cv=3, train_sizes=[0.0]), ValueError, "fractions above 0"),
    (lambda: learning_curve(lambda a, b: 0, [1, 2, 3], cv=3, train_sizes=0.5), TypeError, "must be a list"),
    (lambda: learning_curve(lambda a, b: 0, DATA, cv=3, train_sizes=[]), TypeError, "must be a list"),
    (lambda: count_monomials(-1, 2), ValueError, "degree must be 0 or more"),
    (lambda: count_monomials(2, 0), ValueError, "variables must be 1 or more"),
    (lambda: count_monomials(10**9, 10**9), OverflowError, "count_monomials: .* is too large a number"),
    (lambda: PolynomialFeatures(10**6).fit(minidl.ones(1, 9)), MemoryError, "PolynomialFeatures.fit"),
    (lambda: PolynomialFeatures(2.0), TypeError, "degree must be an integer"),
    (lambda: PolynomialFeatures(include_bias=1), TypeError, "include_bias"),
    (lambda: PolynomialFeatures().transform(minidl.ones(1, 1)), RuntimeError, "fit comes first"),
    (lambda: PolynomialFeatures().get_feature_names_out(), RuntimeError, "fit comes first"),
    (lambda: PolynomialFeatures().fit(minidl.ones(1, 2)).transform(minidl.ones(1, 3)), ValueError, "expected 2 columns"),
    (lambda: PolynomialFeatures().fit(minidl.ones(1, 2)).get_feature_names_out(["a"]), ValueError, "expected 2 names"),
    (lambda: PolynomialFeatures().fit(minidl.ones(3)), ValueError, r"expected a matrix .* got shape \(3,\)"),
    (lambda: PolynomialFeatures().fit([[1.0]]), TypeError, "expected a Tensor as X"),
    (lambda: PolynomialFeatures(60).fit(minidl.ones(1, 60)), MemoryError, "PolynomialFeatures.fit: no memory"),
    (lambda: EarlyStopping(0), ValueError, "patience must be 1 or more"),
    (lambda: EarlyStopping(min_delta=-1), ValueError, "min_delta"),
    (lambda: EarlyStopping(mode="lowest"), ValueError, "mode must be 'min' or 'max', got 'lowest'"),
    (lambda: EarlyStopping()(0.5, [nn.Linear(1, 1)]), TypeError, "expected a Module as model"),
    (lambda: EarlyStopping()("low"), TypeError, "value must be a number, got 'low'"),
    (lambda: EarlyStopping().restore(nn.Linear(1, 1)), RuntimeError, "there are no weights"),
    (lambda: EarlyStopping().load_state_dict({"best": 1}), ValueError, "expected a dict with"),
]


@pytest.mark.parametrize(("call", "error", "message"), MISTAKES)
def test_mistakes_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()
