"""minidl.viz.loss_landscape and decision_boundary: numbers, pictures, and that the model is given back as it was."""

import copy
import re

import numpy as np
import pytest

import minidl
from minidl import nn, optim, viz
from minidl.viz.landscape import filter_normalised


@pytest.fixture(autouse=True)
def seeded():
    minidl.manual_seed(0)


class Bowl(nn.Module):
    """The loss ½ Σ c (w − t)² of a matrix and a vector, in float64."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(minidl.randn(3, 4, dtype=minidl.float64))
        self.b = nn.Parameter(minidl.randn(4, dtype=minidl.float64))
        self.c, self.t = minidl.rand(3, 4, dtype=minidl.float64), minidl.randn(3, 4, dtype=minidl.float64)

    def loss(self):
        return 0.5 * (self.c * (self.w - self.t) ** 2).sum() + self.b.square().sum()


def values(model):
    return {name: x.array.copy() for name, x in [*model.named_parameters(), *model.named_buffers()]}


def same(model, before):
    after = values(model)
    return all(np.array_equal(after[name], before[name]) for name in before)


# --- the loss over a plane


def test_the_landscape_of_a_quadratic_is_its_formula():
    bowl = Bowl()
    found = viz.loss_landscape(bowl, bowl.loss, span=2.0, points=5)
    u, v = (d["w"] for d in found.directions)
    w, c, t = (x.detach().numpy() for x in (bowl.w, bowl.c, bowl.t))
    for i, b in enumerate([-2.0, -1.0, 0.0, 1.0, 2.0]):
        for j, a in enumerate([-2.0, -1.0, 0.0, 1.0, 2.0]):
            expected = 0.5 * (c * (w + a * u + b * v - t) ** 2).sum() + (bowl.b.detach().numpy() ** 2).sum()
            assert found.loss[i, j] == pytest.approx(expected, rel=1e-12)
    assert list(found.x) == list(found.y) == [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert found.loss[0, 1] != pytest.approx(found.loss[1, 0]) and found.path is None and "b" not in found.directions[0]


def test_each_filter_of_a_direction_is_as_long_as_the_models():
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ConvTranspose2d(5, 4, 2), nn.Linear(3, 6), nn.Embedding(7, 3)
    )
    with minidl.no_grad():
        model[3].weight[2] = 0.0
    found = filter_normalised(model, np.random.default_rng(0))
    assert sorted(found) == ["0.weight", "2.weight", "3.weight", "4.weight"]
    for name, filters in (("0", 5), ("2", 4), ("3", 6), ("4", 7)):
        w, d = getattr(model, name).weight.detach().numpy(), found[f"{name}.weight"]
        assert w.shape == d.shape and not np.allclose(w, d)
        w, d = (np.moveaxis(a, 1, 0) if name == "2" else a for a in (w, d))
        assert len(w) == filters
        np.testing.assert_allclose([np.linalg.norm(f) for f in d], [np.linalg.norm(f) for f in w], rtol=1e-6)
    assert not found["3.weight"][2].any()


def test_the_seed_decides_the_directions():
    bowl = Bowl()
    a, b, c = (viz.loss_landscape(bowl, bowl.loss, points=3, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.loss, b.loss)
    assert not np.array_equal(a.loss, c.loss) and a.loss[1, 1] == c.loss[1, 1] == bowl.loss().item()
    assert abs(np.corrcoef(*(d["w"].ravel() for d in a.directions))[0, 1]) < 0.9


def test_a_path_of_training_lies_in_the_plane_of_its_principal_components():
    bowl = Bowl()
    states = [copy.deepcopy(bowl.state_dict())]
    for dw, db in ((1.0, 0.0), (2.0, 0.5), (3.0, -0.5)):
        states.append({"w": states[0]["w"].detach().numpy() + dw, "b": states[0]["b"].detach().numpy() + db})
    before = values(bowl)
    found = viz.loss_landscape(bowl, bowl.loss, states, points=4)
    assert same(bowl, before) and found.variance == pytest.approx(1.0)  # the four lie in one plane
    u, v = (np.concatenate([d["w"].ravel(), d["b"]]) for d in found.directions)
    np.testing.assert_allclose([u @ u, v @ v, u @ v], [1, 1, 0], atol=1e-12)
    flat = [np.concatenate([np.asarray(s["w"]).ravel(), np.asarray(s["b"])]) for s in states]
    np.testing.assert_allclose([flat[-1] + a * u + b * v for a, b in found.path], flat, atol=1e-12)
    np.testing.assert_allclose(found.path[-1], 0, atol=1e-12)
    assert np.ptp(found.path[:, 0]) > np.ptp(found.path[:, 1]) and (found.path[0] > 0).all()
    lo, hi = found.path.min(0), found.path.max(0)
    np.testing.assert_allclose([found.x[0], found.y[-1]], [lo[0] - 0.2 * (hi - lo)[0], hi[1] + 0.2 * (hi - lo)[1]])
    w, b = states[-1]["w"] + found.x[2] * u[:12].reshape(3, 4) + found.y[1] * v[:12].reshape(3, 4), 0.0
    b = states[-1]["b"] + found.x[2] * u[12:] + found.y[1] * v[12:]
    expected = 0.5 * (bowl.c.numpy() * (w - bowl.t.numpy()) ** 2).sum() + (b**2).sum()
    assert found.loss[1, 2] == pytest.approx(expected, rel=1e-12)


def test_the_plane_of_a_path_holds_most_of_its_variance():
    bowl = Bowl()
    rng = np.random.default_rng(0)
    states = [{"w": rng.normal(size=(3, 4)) * [9, 4, 1, 1], "b": rng.normal(size=4)} for _ in range(6)]
    found = viz.loss_landscape(bowl, bowl.loss, states, points=2)
    flat = np.stack([np.concatenate([s["w"].ravel(), s["b"]]) for s in states])
    sizes, vectors = np.linalg.eigh(np.cov(flat.T))
    assert found.variance == pytest.approx(sizes[-2:].sum() / sizes.sum()) and found.variance < 0.99
    directions = [np.concatenate([d["w"].ravel(), d["b"]]) for d in found.directions]
    np.testing.assert_allclose(np.abs(np.stack(directions) @ vectors[:, [-1, -2]]), np.eye(2), atol=1e-9)
    np.testing.assert_allclose(found.path, (flat - flat[-1]) @ np.stack(directions).T, atol=1e-9)


def noisy():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))


@pytest.mark.parametrize("train", [False, True])
def test_everything_is_given_back_also_after_an_error(train):
    model, x = noisy(), minidl.randn(8, 3)
    model[2].eval()  # a mode of its own
    loss = model(x).square().mean()
    before, state, grads = values(model), minidl.get_rng_state(), model[0].weight.grad
    calls, seen = [], []

    def loss_fn():
        calls.append([m.training for m in model.modules()])
        seen.append(model[1].running_mean.numpy().copy())
        if len(calls) == 12:
            raise KeyError("no")
        return model(x).square().mean() + minidl.rand(1).sum()

    arrays = [p.array for p in model.parameters()]
    viz.loss_landscape(model, loss_fn, points=3, train=train)
    assert set(map(tuple, calls)) == {(train,) * 5} and all(np.array_equal(s, seen[0]) for s in seen)
    with pytest.raises(KeyError):
        viz.loss_landscape(model, loss_fn, points=3, train=train)
    assert same(model, before) and [m.training for m in model.modules()] == [True, True, True, False, True]
    assert all(p.array is a for p, a in zip(model.parameters(), arrays, strict=True)) and model[0].weight.grad is grads
    assert np.array_equal(minidl.rand(3), after_state(state)) and minidl.is_grad_enabled()
    loss.backward()  # the graph from before can still be walked
    assert np.isfinite(model[0].weight.grad.numpy()).all()


def after_state(state):
    minidl.set_rng_state(state)
    return minidl.rand(3)


def test_each_point_sees_the_same_random_numbers_and_the_middle_is_the_model():
    model, x = noisy(), minidl.randn(8, 3)
    with minidl.no_grad():
        for p in model.parameters():
            if p.ndim == 2:
                p.zero_()  # no direction leads anywhere: all losses are the same, if the random numbers are
    found = viz.loss_landscape(model, lambda: minidl.rand(()) + model(x).sum(), points=3, train=True)
    assert len(np.unique(found.loss)) == 1


def test_infinities_are_kept_and_said():
    bowl = Bowl()
    found = viz.loss_landscape(
        bowl, lambda: (bowl.loss() - bowl.loss().detach() + (bowl.w[0, 0] - bowl.w[0, 0])).log(), points=3
    )
    assert not np.isfinite(found.loss).any() and repr(found) == "<Landscape of 3 × 3 losses of which none is finite>"


def test_what_is_no_landscape_is_refused_with_the_remedy():
    bowl = Bowl()
    state = copy.deepcopy(bowl.state_dict())
    cases = [
        ((lambda: 1, bowl.loss), {}, TypeError, "model must be a Module, got function"),
        ((bowl, bowl.loss()), {}, TypeError, "loss_fn must be a function without arguments .* got Tensor"),
        ((bowl, nn.MSELoss()), {}, TypeError, r"got MSELoss; write lambda: loss_of\(model\(x\), y\)"),
        ((bowl, lambda: bowl.w), {}, ValueError, r"a loss has one element, this has the shape \(3, 4\)"),
        ((bowl, lambda: None), {}, TypeError, "got NoneType; a function that ends without `return`"),
        ((bowl, bowl.loss), {"span": 0}, ValueError, "span must be a number above 0, got 0"),
        ((bowl, bowl.loss), {"points": 1}, ValueError, "points must be an integer of 2 or more, got 1"),
        ((bowl, bowl.loss), {"seed": -1}, ValueError, "seed must be an integer"),
        ((bowl, bowl.loss), {"train": 1}, TypeError, "train must be True or False"),
        ((nn.ReLU(), bowl.loss), {}, ValueError, "the model has no parameters"),
        ((bowl, bowl.loss, [state, state]), {}, ValueError, "at least 3 snapshots, got 2"),
        ((bowl, bowl.loss, [state] * 3), {}, ValueError, "lie on one line or in one point"),
        ((bowl, bowl.loss, state), {}, TypeError, "a list of state_dicts, got OrderedDict"),
        ((bowl, bowl.loss, []), {}, ValueError, "snapshots is empty"),
        ((bowl, bowl.loss, [bowl.state_dict()] * 3), {}, ValueError, r"shares the model's memory.*copy.deepcopy\(model.state"),
        ((bowl, bowl.loss, [{"w": 1}] * 3), {}, ValueError, "does not have the names of the model's state_dict.*: b"),
        ((bowl, bowl.loss, [{"w": np.ones(3), "b": np.ones(4)}] * 3), {}, ValueError, r"\['w'\] has the shape \(3,\)"),
    ]
    for args, options, error, message in cases:
        with pytest.raises(error, match="loss_landscape: .*" + message):
            viz.loss_landscape(*args, **{"points": 3, **options})


# --- snapshots


def test_snapshots_are_copies_by_step_and_a_callback_of_the_trainer():
    model = nn.Linear(2, 1)
    snapshots = viz.Snapshots(model, every=3)
    first = model.weight.detach().numpy().copy()
    for _ in range(7):
        with minidl.no_grad():
            model.weight += 1.0
        snapshots()
    assert snapshots.steps == [0, 3, 6] and len(snapshots) == 3
    np.testing.assert_allclose(
        [s["weight"] - first for s in snapshots.states], [0 * first, 0 * first + 3, 0 * first + 6], atol=1e-5
    )
    model = nn.Linear(2, 1)
    data = [(minidl.randn(4, 2), minidl.randn(4, 1))] * 3
    snapshots = viz.Snapshots(model, every=2)
    trainer = minidl.utils.train.Trainer(
        2, loss=nn.MSELoss(), optimizer=optim.SGD(model.parameters(), 0.1), callbacks=[snapshots], progress=False
    )
    trainer.fit(model, data)
    assert snapshots.steps == [0, 2, 4, 6]
    np.testing.assert_array_equal(snapshots.states[-1]["weight"], model.weight.detach().numpy())
    with pytest.raises(ValueError, match="every must be an integer of 1 or more, got 0"):
        viz.Snapshots(model, every=0)
    with pytest.raises(TypeError, match="expected a Module, got int"):
        viz.Snapshots(3)


# --- regions of classes

X, Y = minidl.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]), minidl.tensor([0, 1, 2])


def test_the_class_and_its_probability_at_each_place():
    scores = nn.Linear(2, 3)
    found = viz.decision_boundary(scores, X, Y, points=7, margin=0.5)
    np.testing.assert_allclose([found.x[0], found.x[-1], found.y[0], found.y[-1]], [-1, 3, -2, 6])
    w, b = scores.weight.detach().numpy().astype(np.float64), scores.bias.detach().numpy()
    for i, x2 in enumerate(found.y):
        for j, x1 in enumerate(found.x):
            s = w @ [x1, x2] + b
            assert found.classes[0, i, j] == s.argmax()
            assert found.confidence[0, i, j] == pytest.approx(np.exp(s.max()) / np.exp(s).sum(), rel=1e-5)
    right = [(w @ p + b).argmax() == c for p, c in zip(X.numpy(), range(3), strict=True)]
    assert found.accuracy == [np.mean(right)] and found.count == 3 and found.labels == [""]


@pytest.mark.parametrize("keep", [True, False])
def test_one_output_is_compared_with_the_threshold(keep):
    def probability(x):
        y = (x[:, :1] * 0.5).sigmoid()
        return y if keep else y[:, 0]

    y = minidl.tensor([0.0, 1.0, 0.0])
    found = viz.decision_boundary(probability, X, y, points=4, threshold=0.7)  # above it from x₁ = 2·log(7/3) = 1.695 on
    np.testing.assert_array_equal(found.classes[0], np.tile(found.x > 1.695, (4, 1)))
    assert found.accuracy == [1.0] and found.count == 2
    assert viz.decision_boundary(probability, X, y[:, None], points=4).accuracy == [1 / 3]


def test_a_frame_for_each_snapshot_and_the_model_is_given_back():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model[1].eval()
    snapshots = viz.Snapshots(model)
    with minidl.no_grad():
        model[0].bias += 100.0 * minidl.tensor([0.0, 1.0, 0.0])
    snapshots()
    with minidl.no_grad():
        model[0].bias += 1000.0 * minidl.tensor([0.0, 0.0, 1.0])
    before, state = values(model), minidl.get_rng_state()
    found = viz.decision_boundary(model, X, Y, snapshots, points=5)
    assert found.labels == ["step 0", "step 1"] and found.classes.shape == (2, 5, 5) and (found.classes[1] == 1).all()
    assert found.accuracy[1] == 1 / 3
    assert same(model, before) and [m.training for m in model.modules()] == [True, True, False, True]
    assert np.array_equal(minidl.rand(3), after_state(state))
    now = viz.decision_boundary(model, X, Y, points=5)
    assert (now.classes == 2).all()
    both = viz.decision_boundary([model, lambda x: -x], X, minidl.tensor([0, 0, 1]), points=5)
    assert both.labels == ["model 1", "model 2"] and (both.classes[0] == 2).all() and both.accuracy == [0.0, 1 / 3]
    many = viz.decision_boundary(model, X, Y, snapshots.states * 50, points=2)
    assert len(many.labels) == 60 and many.labels[0] == "snapshot 1" and many.labels[-1] == "snapshot 100"


def test_a_model_that_draws_random_numbers_leaves_them_as_they_were():
    state = minidl.get_rng_state()
    viz.decision_boundary(lambda x: x + minidl.rand(2), X, minidl.tensor([0, 1, 1]), points=3)
    assert np.array_equal(minidl.rand(3), after_state(state))


def test_a_model_that_fails_is_given_back():
    class Fails(nn.Module):
        def forward(self, x):
            raise KeyError("no")

    model = nn.Sequential(nn.Linear(2, 2), Fails())
    before = values(model)
    with pytest.raises(KeyError):
        viz.decision_boundary(model, X, Y, points=3)
    assert same(model, before) and model.training and minidl.is_grad_enabled()


def test_what_is_no_plane_is_refused_with_the_remedy():
    model = nn.Linear(2, 2)
    cases = [
        ((3, X, Y), {}, TypeError, "model must be a Module or a function, got int"),
        (([], X, Y), {}, ValueError, "the list of models is empty"),
        (([model, 3], X, Y), {}, TypeError, r"model\[1\] must be a Module"),
        ((model, minidl.ones(3, 4), Y), {}, ValueError, r"x must be \(n, 2\), points of a plane, got shape \(3, 4\)"),
        ((model, X * float("nan"), Y), {}, ValueError, "x holds NaN"),
        ((model, X, Y[:2]), {}, ValueError, r"y must be \(3,\), one class for each point, got shape \(2,\)"),
        ((model, X, minidl.tensor([0.5, 0, 1])), {}, ValueError, "y must hold classes 0, 1"),
        ((model, X, Y - 1), {}, ValueError, "y must hold classes 0, 1"),
        ((lambda x: x.sum(), X, Y), {}, ValueError, r"of \(9, 2\) inputs the model must make .* got \(\)"),
        ((lambda x: 3, X, Y), {}, TypeError, "the model must return a tensor, got int"),
        ((lambda x: x, X, Y, [{}]), {}, TypeError, "snapshots are those of one Module"),
        ((model, X, Y), {"points": 1}, ValueError, "points must be an integer of 2 or more"),
        ((model, X, Y), {"margin": -1}, ValueError, "margin must be a number of 0 or more"),
        ((model, X, Y), {"threshold": "0"}, ValueError, "threshold must be a number"),
        ((model, X, Y), {"title": 3}, TypeError, "title must be a text"),
    ]
    for args, options, error, message in cases:
        with pytest.raises(error, match="decision_boundary: " + message):
            viz.decision_boundary(*args, **{"points": 3, **options})


# --- pictures


def test_the_film_is_one_file_that_needs_nothing_else_and_is_the_same_each_time(tmp_path):
    pytest.importorskip("matplotlib")
    model = nn.Linear(2, 3)
    snapshots = viz.Snapshots(model)
    with minidl.no_grad():
        model.weight *= -1.0
    snapshots()
    found = viz.decision_boundary(model, X, Y, snapshots, points=10, title="a <film>")
    path = found.save(tmp_path / "out" / "film.html")
    text = path.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64") == 2 and "http" not in text and "<title>a &lt;film&gt;</title>" in text
    assert "fa-" not in text and text.count("aria-label=") >= 10
    assert text == found.save(tmp_path / "again.html").read_text(encoding="utf-8") and found._repr_html_() in text
    with pytest.raises(ValueError, match="moments must be an integer from 1 to 8, or so many numbers, got 9"):
        found.save(tmp_path / "x.png", moments=9)
    with pytest.raises(ValueError, match=r"there are frames 0 to 1, got moments=\[2\]"):
        found.figure([2])
    assert [axes.get_title()[:6] for axes in found.figure([-1, 0]).axes] == ["step 1", "step 0"]
    with pytest.raises(ValueError, match="a film has all frames"):
        found.save(tmp_path / "x.html", moments=2)
    titles = [axes.get_title() for axes in found.figure(moments=4).axes]
    assert titles == [f"step {k}: {found.accuracy[k]:.1%} right" for k in range(2)]
    assert found.save(tmp_path / "x.png", moments=2).stat().st_size > 1000


def test_pictures_of_a_landscape(tmp_path):
    pytest.importorskip("matplotlib")
    bowl = Bowl()
    found = viz.loss_landscape(bowl, bowl.loss, points=5)
    assert found.save(tmp_path / "a.svg").read_bytes() == found.save(tmp_path / "b.svg").read_bytes()
    picture = found._repr_html_()
    assert picture.startswith('<figure role="img" aria-label="Landscape of 5 × 5 losses from') and "<svg" in picture
    found.loss[0, :2] = np.nan
    (axes, *_) = found.figure("a bowl").axes
    assert axes.get_title() == "a bowl\n2 places (grey) are not finite"
    found.loss[:] = np.inf
    assert "25 places" in found.figure().axes[0].get_title()
    with pytest.raises(ValueError, match=re.escape("expected a name that ends in one of")):
        found.save(tmp_path / "picture.xyz")
