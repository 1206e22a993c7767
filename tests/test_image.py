"""Borders, windows, other sizes, channels shuffled and dropped: functions, their errors, layers."""

import itertools
import re

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn
from minidl.autograd import gradcheck


def raises(message, error=ValueError):
    return pytest.raises(error, match=re.escape(message))


def compare(torch, function, x, *args, tol=1e-5, **options):
    """A function of both frameworks: values, and the gradient where there is one."""
    z = torch.tensor(x.numpy(), requires_grad=x.is_floating_point())
    x = x.clone().requires_grad_() if x.is_floating_point() else x
    y, other = getattr(F, function)(x, *args, **options), getattr(torch.nn.functional, function)(z, *args, **options)
    assert y.shape == tuple(other.shape)
    assert str(y.dtype) in str(other.dtype)
    np.testing.assert_allclose(y.numpy(force=True), other.detach().numpy(), rtol=tol, atol=tol)
    if x.is_floating_point():
        dy = minidl.randn(y.shape, dtype=y.dtype)
        y.backward(dy)
        other.backward(torch.tensor(dy.numpy()))
        np.testing.assert_allclose(x.grad.numpy(), z.grad.numpy(), rtol=tol, atol=10 * tol)


# --- pad

WIDTHS = [(1, 2), (0, 0), (-1, 2), (1, 0, 2, 3), (0, -2, -1, 2), (3, 3, 3, 3), (-1, -1, -1, -1)]


@pytest.mark.parametrize("widths", [*WIDTHS, (), (1, 0, 0, 1, 2, 0), (0, 0, 0, 0, 1, -1, 2, 0)])
def test_constant_border_is_torchs(widths):
    torch = pytest.importorskip("torch")
    for value in (None, 0, -1.5):
        compare(torch, "pad", minidl.randn(2, 3, 4, 5), widths, value=value)
    compare(torch, "pad", minidl.arange(120).reshape(2, 3, 4, 5), widths, value=7)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("widths", WIDTHS)
def test_continued_border_is_torchs(mode, widths):
    torch = pytest.importorskip("torch")
    for lead in (1,), (2, 3):
        shape = (*lead, *(4, 5)[-(len(widths) // 2) :])
        compare(torch, "pad", minidl.randn(shape), widths, mode)


def test_promise_26_borders_that_make_no_sense():
    x = minidl.ones(2, 3, 4, 5)
    with raises("expected two integers for each axis, (left, right, top, bottom, …), got (1,)"):
        F.pad(x, (1,))
    for wrong in (1, (1.0, 2.0)):
        with raises("expected two integers for each axis"):
            F.pad(x, wrong)
    with raises("10 numbers are for 5 axes, and input (2, 3, 4, 5) has 4"):
        F.pad(x, (1,) * 10)
    for widths, mode in (((-3, -3), "constant"), ((-6, 2), "constant"), ((-3, -2, 0, 0), "reflect")):
        with raises(f"{widths} cuts too much off an axis of 5, in mode '{mode}' (input (2, 3, 4, 5))"):
            F.pad(x, widths, mode)
    assert F.pad(x, (-3, -2)).shape == (2, 3, 4, 0)
    with raises("mode must be 'constant', 'reflect', 'replicate' or 'circular', got 'mirror'"):
        F.pad(x, (1, 1), "mirror")
    with raises("mode 'reflect' takes no value, got 3"):
        F.pad(x, (1, 1, 1, 1), "reflect", 3)
    with raises("mode 'reflect' can add 4 to an axis of 5, and (5, 1, 1, 1) asks for more"):
        F.pad(x, (5, 1, 1, 1), "reflect")
    with raises("mode 'circular' can add 5 to an axis of 5, and (6, 1, 1, 1) asks for more"):
        F.pad(x, (6, 1, 1, 1), "circular")
    with raises("mode 'replicate' can add 0 to an axis of 0"):
        F.pad(x[..., :0], (1, 0, 0, 0), "replicate")
    with raises("mode 'circular' pads all but the first one or two axes; (1, 1) does not fit input (2, 3, 4, 5)"):
        F.pad(x, (1, 1), "circular")


# --- windows

GEOMETRIES = [
    {"kernel_size": 3},
    {"kernel_size": (2, 3), "padding": (1, 2)},
    {"kernel_size": (3, 2), "stride": (2, 3)},
    {"kernel_size": [2, 2], "dilation": (2, 3), "padding": 1, "stride": 2},
    {"kernel_size": (6, 7)},
]


@pytest.mark.parametrize("options", GEOMETRIES)
def test_windows_are_torchs_and_adjoint(options):
    torch = pytest.importorskip("torch")
    for shape in ((2, 3, 6, 7), (3, 6, 7)):
        x = minidl.randn(shape)
        compare(torch, "unfold", x, **options)
        columns = F.unfold(x, **options)
        compare(torch, "fold", minidl.randn(columns.shape), (6, 7), **options)
        y = minidl.randn(columns.shape)
        assert (columns * y).sum().item() == pytest.approx((x * F.fold(y, (6, 7), **options)).sum().item(), abs=1e-3)


def test_promise_22_26_windows_that_do_not_fit():
    x = minidl.ones(1, 2, 5, 5)
    with raises("unfold: a kernel of (6, 6) has (0, 0) places in input (1, 2, 5, 5)"):
        F.unfold(x, 6)
    with raises("expected an input (N, C, H, W) or (C, H, W), only the batch empty, got shape (5, 5)"):
        F.unfold(x[0, 0], 2)
    with raises("fold: a kernel of (3, 3) has 3·3 places in (5, 5)"):
        F.fold(minidl.ones(1, 18, 8), 5, 3)
    with raises("fold: expected an input (N, C·9, L) or (C·9, L), got shape (1, 17, 9)"):
        F.fold(minidl.ones(1, 17, 9), 5, 3)
    with raises("unfold: kernel_size must be an integer of 1 or more or 2 of them, got (0, 0)"):
        F.unfold(x, 0)
    with raises("floating-point", TypeError):
        F.unfold(x.long(), 2)


# --- other sizes


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_repeated_pixels_are_torchs(mode):
    torch = pytest.importorskip("torch")
    for n, out in itertools.product((1, 2, 3, 5, 7, 10, 13), (1, 2, 3, 4, 6, 7, 14, 29)):
        x = minidl.arange(n, dtype=minidl.float32).reshape(1, 1, n)
        z = torch.nn.functional.interpolate(torch.tensor(x.numpy()), size=out, mode=mode)
        assert F.interpolate(x, size=out, mode=mode).tolist() == z.tolist()
    for n, factor in itertools.product((1, 2, 3, 5, 8), (0.5, 0.7, 1.1, 4 / 3, 2, 2.3, 3)):
        x = minidl.arange(n, dtype=minidl.float32).reshape(1, 1, n)
        if int(n * factor):
            for recompute in (None, True):
                options = {"scale_factor": factor, "mode": mode, "recompute_scale_factor": recompute}
                assert (
                    F.interpolate(x, **options).tolist()
                    == torch.nn.functional.interpolate(torch.tensor(x.numpy()), **options).tolist()
                )
    for shape, size in [((2, 3, 4), 7), ((2, 3, 4, 5), (8, 3)), ((1, 2, 2, 3, 2), (3, 2, 5))]:
        compare(torch, "interpolate", minidl.randn(shape), size, mode=mode)


@pytest.mark.parametrize("align_corners", [None, True])
@pytest.mark.parametrize("how", ["size", "factor", "recomputed"])
def test_mixed_pixels_are_torchs(align_corners, how):
    torch = pytest.importorskip("torch")
    for sizes in [(4, 5, 3), (1, 2, 1), (6, 4, 2)]:
        for d, mode in enumerate(("linear", "bilinear", "trilinear"), 1):
            x = minidl.randn(2, 2, *sizes[:d])
            options = {"size": (5, 1, 4)[:d]} if how == "size" else {"scale_factor": (1.7, 2.0, 1.3)[:d]}
            options["recompute_scale_factor"] = True if how == "recomputed" else None
            compare(torch, "interpolate", x, mode=mode, align_corners=align_corners, **options)


def test_interpolation_of_float64_passes_the_gradient_check():
    x = minidl.randn(1, 2, 3, 4, dtype=minidl.float64, requires_grad=True)
    assert gradcheck(lambda x: F.interpolate(x, (5, 3), mode="bilinear"), (x,))
    assert gradcheck(lambda x: F.interpolate(x, scale_factor=2), (x,))


def test_nearest_pixels_carry_infinities_nowhere_else():
    x = minidl.tensor([[[[1.0, float("inf")], [2.0, 3.0]]]])
    y = F.interpolate(x, scale_factor=2)
    assert y.isinf().sum() == 4
    assert not y.isnan().any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of size and scale_factor, got None and None"),
        ({"size": 7, "scale_factor": 2}, "give one of size and scale_factor, got 7 and 2"),
        ({"size": (7,) * 3}, "size must be an integer of 1 or more or 2 of them, got (7, 7, 7)"),
        ({"size": 0}, "size must be an integer of 1 or more"),
        ({"scale_factor": (2, 2, 2)}, "expected 2 scale factors for input (1, 2, 4, 5), got (2, 2, 2)"),
        ({"scale_factor": 0.1}, "would get size (0, 0)"),
        ({"size": 7, "mode": "linear"}, "mode 'linear' takes an input with 3 axes, got shape (1, 2, 4, 5)"),
        (
            {"size": 7, "mode": "cubic"},
            "mode must be one of 'nearest', 'nearest-exact', 'area' and 'linear',",
        ),
        ({"size": 7, "align_corners": False}, "align_corners is for linear modes and 'bicubic', not for 'nearest'"),
        ({"size": 7, "recompute_scale_factor": True}, "recompute_scale_factor=True is for a scale_factor, got a size"),
    ],
)
def test_promise_35_sizes_that_make_no_sense(options, message):
    with raises(message):
        F.interpolate(minidl.ones(1, 2, 4, 5), **options)


def test_promise_35_modes_that_are_missing():
    with raises("mode 'lanczos' is not supported; use 'bicubic'", NotImplementedError):
        F.interpolate(minidl.ones(1, 1, 4, 4), 3, mode="lanczos")
    with raises("antialias=True is for the modes 'bilinear' and 'bicubic', not for 'area'"):
        F.interpolate(minidl.ones(1, 1, 4, 4), 3, mode="area", antialias=True)
    with raises("mode 'circular' can add 3 to an axis of 3, and (4, -1) asks for more"):
        F.pad(minidl.ones(1, 1, 4), (4, -1), "circular")
    with raises("expected floating-point numbers, got int64", TypeError):
        F.interpolate(minidl.ones(1, 1, 4, 4).long(), 3)


# --- channels


def test_shuffled_pixels_are_torchs():
    torch = pytest.importorskip("torch")
    for lead in (), (2,), (2, 3):
        compare(torch, "pixel_shuffle", minidl.randn(*lead, 18, 2, 4), 3)
        compare(torch, "pixel_unshuffle", minidl.randn(*lead, 2, 6, 9), 3)
    x = minidl.arange(72).reshape(2, 1, 6, 6)
    assert (F.pixel_shuffle(F.pixel_unshuffle(x, 3), 3) == x).all()
    with raises("expected an input (…, C·4, H, W), got shape (7, 2, 3)"):
        F.pixel_shuffle(minidl.ones(7, 2, 3), 2)
    with raises("expected an input (…, C, H·2, W·2), got shape (8, 2, 3)"):
        F.pixel_unshuffle(minidl.ones(8, 2, 3), 2)
    with raises("upscale_factor must be an integer of 1 or more, got (0,)"):
        nn.PixelShuffle(0)(minidl.ones(8, 2, 3))


def test_dropout_takes_whole_channels():
    for drop, shape in ((F.dropout2d, (50, 8, 3, 4)), (F.dropout1d, (50, 8, 12)), (F.dropout1d, (400, 12))):
        x = minidl.ones(shape, requires_grad=True)
        y = drop(x, 0.25)
        channels = y.detach().reshape(400, 12)
        assert set(minidl.unique(channels).tolist()) == {0.0, np.float32(4 / 3)}
        assert (channels.amax(1) == channels.amin(1)).all()
        assert 0.6 < (channels[:, 0] > 0).float().mean() < 0.9
        y.sum().backward()
        assert (x.grad == y.detach()).all()
        assert drop(x, training=False) is x
        assert drop(x, 0.0) is x
        assert not drop(x, 1.0).any()
        with raises("p must lie in [0, 1], got 1.5"):
            drop(x, 1.5)
    with raises("expected an input (N, C, H, W); for (N, C, L) use dropout1d, got shape (2, 3, 4)"):
        F.dropout2d(minidl.ones(2, 3, 4))
    with raises("expected an input (N, C, L) or (C, L), got shape (3,)"):
        F.dropout1d(minidl.ones(3))
    with raises("p must lie in [0, 1], got -1"):
        nn.Dropout1d(-1)


def test_the_dropped_channels_are_torchs():
    torch = pytest.importorskip("torch")
    for name, shape in (("dropout2d", (7, 5, 2, 3)), ("dropout1d", (7, 5, 3)), ("dropout1d", (40, 3))):
        x, z = minidl.ones(shape), torch.ones(shape)
        minidl.manual_seed(5)
        torch.manual_seed(5)
        for p in (0.1, 0.5):
            ours, theirs = getattr(F, name)(x, p), getattr(torch.nn.functional, name)(z, p)
            assert np.array_equal(ours.numpy(), theirs.numpy())
        assert minidl.rand(3).tolist() == torch.rand(3).tolist()


# --- layers

LAYERS = {
    "Upsample(scale_factor=2, mode='bilinear')": (1, 2, 3, 4),
    "Upsample(scale_factor=(2, 1.5))": (1, 2, 3, 4),
    "Upsample((3, 4))": (1, 2, 3, 4),
    "Upsample(size=3, mode='bilinear', align_corners=True)": (1, 2, 3, 4),
    "Upsample(scale_factor=1.3, mode='linear', recompute_scale_factor=True)": (1, 2, 5),
    "UpsamplingNearest2d(scale_factor=2)": (1, 2, 3, 4),
    "UpsamplingBilinear2d(size=5)": (1, 2, 3, 4),
    "PixelShuffle(2)": (1, 8, 3, 4),
    "PixelUnshuffle(2)": (1, 2, 4, 6),
    "ZeroPad1d(2)": (1, 2, 3),
    "ZeroPad2d(1)": (1, 2, 3, 4),
    "ZeroPad2d((1, 2, -1, 4))": (2, 3, 4),
    "ConstantPad1d(1, 2)": (1, 2, 3),
    "ConstantPad2d((1, 0, 2, 1), 3.5)": (1, 2, 3, 4),
    "ReflectionPad1d(2)": (1, 2, 3),
    "ReflectionPad2d((1, 2, 1, 0))": (1, 2, 3, 4),
    "ReplicationPad1d((3, 1))": (2, 3),
    "ReplicationPad2d(2)": (1, 2, 3, 4),
    "CircularPad1d(1)": (1, 2, 3),
    "CircularPad2d(1)": (2, 3, 4),
    "Unfold((2, 3), padding=1)": (1, 2, 3, 4),
    "Fold((4, 5), 2, stride=2)": (1, 8, 4),
    "Dropout1d(0.3)": (5, 4, 3),
    "Dropout2d()": (5, 4, 3, 2),
}


@pytest.mark.parametrize("text", LAYERS)
def test_layers_are_torchs(text):
    torch = pytest.importorskip("torch")
    minidl.manual_seed(2)
    torch.manual_seed(2)
    layer, other = eval(f"nn.{text}"), eval(f"torch.nn.{text}")
    x, z = minidl.randn(LAYERS[text]), torch.randn(LAYERS[text])
    assert repr(layer) == repr(other)
    assert not layer.state_dict()
    np.testing.assert_allclose(layer(x).numpy(), other(z).numpy(), rtol=1e-5, atol=1e-6)


def test_promise_35_borders_of_layers_that_make_no_sense():
    for make in (lambda: nn.ZeroPad2d((1, 2)), lambda: nn.ReflectionPad1d((1, 2, 3, 4)), lambda: nn.ZeroPad1d(1.5)):
        with raises("padding must be an integer or"):
            make()
