"""Layers, losses and functions beside PyTorch's, where that has samples of none: values, gradients, random numbers."""

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F

torch = pytest.importorskip("torch")

rng = np.random.default_rng(0)
X, Y, Z = (rng.normal(size=(5, 4)) for _ in range(3))
SIGNS, ONE_SIGN = np.sign(rng.normal(size=(5, 4))), np.sign(rng.normal(size=5))
LABELS, COUNTS = rng.integers(0, 4, 5), rng.integers(0, 5, (5, 4)).astype(float)
SEVERAL = np.array([[3, 0, -1, 1], [-1, 0, 1, 2], [0, 1, 2, 3], [2, 2, -1, -1], [1, 3, 0, -1]])
WEIGHTS = rng.uniform(0.5, 2, 4)
IMAGES, SIGNALS, VOLUMES = rng.normal(size=(2, 3, 7, 5)), rng.normal(size=(2, 3, 7)), rng.normal(size=(1, 2, 3, 4, 5))
INDEX, FLAT = rng.integers(0, 6, (4, 3)), rng.integers(0, 6, 9)
EDGES = np.array([[-700, -30.0, -6, -3.0, -1, -0.5, -0.2, 0], [0.2, 0.5, 1, 3, 6, 7, 30, 700]])


def compare(name, args, wanted=(0,), slopes=True, **options):
    """Both functions, in float64 and float32: results, and gradients of the arguments at the places `wanted`."""
    for dtype in (np.float64, np.float32):
        outcomes = []
        for lib, space in ((minidl, F), (torch, torch.nn.functional)):

            def tensor(x, lib=lib, dtype=dtype):
                if isinstance(x, np.ndarray):
                    return lib.tensor(x.astype(dtype) if x.dtype.kind == "f" else x)
                return x

            given = [tensor(x) for x in args]
            for i in wanted:
                given[i].requires_grad_()
            lib.manual_seed(3)
            y = getattr(space, name)(*given, **{key: tensor(x) for key, x in options.items()})
            (y.exp() if y.ndim == 0 else y.tanh()).sum().backward()
            outcomes.append([y.detach().numpy(), *(given[i].grad.numpy() for i in wanted if slopes)])
        tolerance = 1e-7 if dtype == np.float64 else 2e-4
        for found, expected in zip(*outcomes, strict=True):
            assert found.shape == expected.shape and found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, tolerance, tolerance)


ACTIVATIONS = "celu selu mish glu softsign tanhshrink hardtanh relu6 hardsigmoid hardswish hardshrink softshrink rrelu"


@pytest.mark.parametrize("name", ACTIVATIONS.split())
def test_activations_at_their_corners_and_far_out(name):
    compare(name, [EDGES])


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_random_slopes_and_alpha_dropout_draw_the_same_numbers(p):
    compare("rrelu", [X], training=True, upper=0.2 + p)
    compare("rrelu", [rng.normal(size=(3, 3))], training=True)
    compare("alpha_dropout", [X], p=p, training=True)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("name", "args", "wanted", "options"),
    [
        ("margin_ranking_loss", (X, Y, SIGNS), (0, 1), {"margin": 0.3}),
        ("hinge_embedding_loss", (X, SIGNS), (0,), {"margin": 0.7}),
        ("cosine_embedding_loss", (X, Y, ONE_SIGN), (0, 1), {"margin": 0.1}),
        ("cosine_embedding_loss", (X[0], Y[0], np.array(-1.0)), (0, 1), {}),
        ("soft_margin_loss", (X, SIGNS), (0,), {}),
        ("multi_margin_loss", (X, LABELS), (0,), {"p": 2, "margin": 0.6, "weight": WEIGHTS}),
        ("multi_margin_loss", (X[0], np.array(2)), (0,), {}),
        ("multilabel_margin_loss", (X, SEVERAL), (0,), {}),
        ("multilabel_margin_loss", (X[0], SEVERAL[0]), (0,), {}),
        ("multilabel_soft_margin_loss", (X, (SIGNS > 0) * 1.0), (0,), {"weight": WEIGHTS}),
        ("triplet_margin_loss", (X, Y, Z), (0, 1, 2), {"margin": 0.5, "p": 3, "swap": True}),
        ("triplet_margin_loss", (X[0], Y[0], Z[0]), (0, 1, 2), {}),
        ("triplet_margin_with_distance_loss", (X, Y, Z), (0, 1, 2), {"margin": 0.5, "swap": True}),
        ("poisson_nll_loss", (X, COUNTS), (0,), {"full": True}),
        ("poisson_nll_loss", (abs(X), COUNTS), (0,), {"log_input": False, "full": True, "eps": 1e-3}),
    ],
)
def test_losses(name, args, wanted, options, reduction):
    compare(name, args, wanted, reduction=reduction, **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"max_norm": 1.0}, {"max_norm": 1.0, "norm_type": 1.0}, {"scale_grad_by_freq": True, "padding_idx": 2}],
)
def test_embedding(options):
    compare("embedding", [INDEX, rng.normal(size=(6, 3))], (1,), **options)


@pytest.mark.parametrize("options", [{}, {"max_norm": 1.0}, {"padding_idx": 2}, {"padding_idx": -1}])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags(mode, options):
    """PyTorch's scale_grad_by_freq is left out: there the counts are those of other rows."""
    table = rng.normal(size=(6, 3))
    compare("embedding_bag", [INDEX, table], (1,), mode=mode, **options)
    for offsets in ([0, 2, 2, 5], [0, 9, 9, 9]):
        compare("embedding_bag", [FLAT, table, np.array(offsets)], (1,), mode=mode, **options)
    last = {**options, "include_last_offset": True}
    compare("embedding_bag", [FLAT, table, np.array([0, 2, 2, 5, 9])], (1,), mode=mode, **last)
    compare("embedding_bag", [FLAT[:0], table, np.array([0, 0])], (1,), mode=mode, **options)
    if mode == "sum":
        compare("embedding_bag", [INDEX, table], (1,), mode=mode, per_sample_weights=rng.normal(size=INDEX.shape), **options)


SIZES = [
    {"size": (3, 9)},
    {"size": (7, 2)},
    {"size": 1},
    {"scale_factor": (0.6, 1.7)},
    {"scale_factor": 1.1},
    {"scale_factor": (0.6, 1.7), "recompute_scale_factor": True},
]


@pytest.mark.parametrize("align_corners", [None, False, True])
@pytest.mark.parametrize(("mode", "antialias"), [("bicubic", False), ("bicubic", True), ("bilinear", True)])
def test_interpolation(mode, antialias, align_corners):
    for options in SIZES:
        slopes = options.get("scale_factor") != 1.1  # where the size stays PyTorch's gradient is that of another function
        compare("interpolate", [IMAGES], slopes=slopes, mode=mode, antialias=antialias, align_corners=align_corners, **options)


def test_area_interpolation():
    for x in (SIGNALS, IMAGES, VOLUMES):
        compare("interpolate", [x], size=3, mode="area")
        compare("interpolate", [x], scale_factor=1.7, mode="area")


def test_circular_borders_that_cut_off():
    for widths in ((1, 2, 3, 0), (2, -1, 0, 0), (-1, 2, 1, -2), (-1, -1, -2, 0), (4, -1, 0, 0), (0, 0, -3, 3)):
        compare("pad", [IMAGES], pad=widths, mode="circular")


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dim", [0, -1])
def test_gumbel_softmax_draws_the_same_numbers(dim, hard):
    compare("gumbel_softmax", [X], tau=0.7, hard=hard, dim=dim)


def test_first_values():
    for shape in ((4, 2, 3), (4, 4, 3, 3), (6, 2, 3, 4)):
        for groups in (1, 2):
            found = minidl.nn.init.dirac_(minidl.empty(*shape), groups)
            assert found.tolist() == torch.nn.init.dirac_(torch.empty(*shape), groups).tolist()
    minidl.manual_seed(1)
    torch.manual_seed(1)
    found = minidl.nn.init.sparse_(minidl.empty(7, 5), 0.3, 0.5)
    np.testing.assert_allclose(found.numpy(), torch.nn.init.sparse_(torch.empty(7, 5), 0.3, 0.5).numpy(), rtol=1e-6)
