"""Transforms of images: exact values, the same images from the same seed, every place as likely."""

import collections

import numpy as np
import pytest

import minidl
from minidl.utils.data import digits, transforms

DTYPES = [minidl.float32, minidl.float64, minidl.uint8]


def pictures(*shape, dtype=minidl.float32):
    """All values different, and none of them 0: whatever is 0 afterwards came in from outside."""
    return minidl.arange(1, 1 + int(np.prod(shape))).reshape(*shape).to(dtype)


def seeded(seed=0):
    return minidl.Generator().manual_seed(seed)


ALL = {
    "normalize": lambda x, g: transforms.normalize(x, 0.5, 0.25),
    "pad": lambda x, g: transforms.pad(x, 1),
    "shift": lambda x, g: transforms.shift(x, 1, -1),
    "resize": lambda x, g: transforms.resize(x, (7, 3)),
    "resize to nearest": lambda x, g: transforms.resize(x, (7, 3), "nearest"),
    "horizontal_flip": lambda x, g: transforms.horizontal_flip(x),
    "random_crop": lambda x, g: transforms.random_crop(x, (3, 4), 1, generator=g),
    "random_shift": lambda x, g: transforms.random_shift(x, 2, generator=g),
    "random_horizontal_flip": lambda x, g: transforms.random_horizontal_flip(x, generator=g),
}


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name in ALL for dtype in DTYPES if (name, dtype.kind) != ("normalize", "u")]
)
def test_every_transform_keeps_dtype_and_input_and_takes_any_layout(name, dtype):
    x = pictures(2, 3, 5, 4, dtype=dtype)
    before = x.numpy().copy()
    y = ALL[name](x, seeded())
    assert y.dtype == dtype and (x.numpy() == before).all() and not np.shares_memory(y.numpy(), x.numpy())
    assert y.numpy().flags.writeable and y.numpy().flags.c_contiguous
    frozen = before.copy()
    frozen.flags.writeable = False
    strided = np.zeros((2, 3, 10, 4), dtype)[:, :, ::-2]
    strided[:] = before
    for other in (frozen, np.asfortranarray(before), strided):
        again = ALL[name](minidl.from_numpy(other), seeded())
        assert again.equal(y) and again.numpy().flags.c_contiguous
    for other in (frozen[:, None], frozen[0], frozen[:0]):
        out = ALL[name](minidl.from_numpy(other), seeded())
        assert out.shape == (*other.shape[:-2], *y.shape[-2:])


@pytest.mark.parametrize("name", ALL)
def test_promise_25_the_same_seed_gives_the_same_images(name):
    x = pictures(40, 1, 5, 4)
    first = ALL[name](x, seeded(3))
    assert ALL[name](x, seeded(3)).equal(first)
    minidl.manual_seed(3)
    assert ALL[name](x, None).equal(first)
    if name.startswith("random"):
        assert not ALL[name](x, None).equal(first)  # the stream has gone on
        threads = minidl.get_num_threads()
        minidl.set_num_threads(1)
        assert ALL[name](x, seeded(3)).equal(first)
        minidl.set_num_threads(threads)


@pytest.mark.parametrize("name", ALL)
def test_mistakes_are_told(name):
    function = name.split()[0]
    with pytest.raises(TypeError, match=f"^{function}: expected a tensor, got ndarray"):
        ALL[name](np.zeros((1, 5, 4), np.float32), None)
    with pytest.raises(ValueError, match=rf"^{function}: expected images of shape \(\.\.\., C, H, W\), got \(5, 4\)"):
        ALL[name](minidl.zeros(5, 4), None)
    with pytest.raises(ValueError, match=f"^{function}: transforms have no gradients"):
        ALL[name](minidl.zeros(1, 5, 4, requires_grad=True), None)


# --- normalize, pad


def test_normalize():
    x = minidl.tensor([[[0.0, 1.0]], [[2.0, 3.0]]])
    assert transforms.normalize(x, [1.0, 2.0], (1.0, 0.5)).tolist() == [[[-1.0, 0.0]], [[0.0, 2.0]]]
    assert transforms.normalize(x, minidl.tensor([1.0]), 2).tolist() == [[[-0.5, 0.0]], [[0.5, 1.0]]]
    assert transforms.normalize(x, np.float64(0.5), np.float64(0.5)).dtype == minidl.float32
    for mean, std, message in [
        ([1.0] * 3, 1.0, r"one mean or one for each of 2 channels, got shape \(3,\)"),
        (0.0, [[1.0, 1.0]], r"one std or one for each of 2 channels, got shape \(1, 2\)"),
        (0.0, [1.0, 0.0], r"std must be positive, got \[1.0, 0.0\]"),
        (0.0, float("nan"), r"std must be positive"),
    ]:
        with pytest.raises(ValueError, match=message):
            transforms.normalize(x, mean, std)
    with pytest.raises(TypeError, match="expected a floating-point tensor, got uint8"):
        transforms.normalize(x.to(minidl.uint8), 0.0, 1.0)


@pytest.mark.parametrize(
    ("padding", "sides"), [(1, (1, 1, 1, 1)), ([2], (2,) * 4), ((0, 3), (0, 3, 0, 3)), ((1, 2, 3, 0),) * 2]
)
@pytest.mark.parametrize("fill", [0, 9])
def test_pad(padding, sides, fill):
    x = pictures(2, 3, 4, 5)
    left, top, right, bottom = sides
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    np.testing.assert_array_equal(transforms.pad(x, padding, fill).numpy(), expected)


@pytest.mark.parametrize("padding", [-1, 1.0, (1, 2, 3), (1, -2), "12", None])
def test_padding_is_checked(padding):
    with pytest.raises(ValueError, match="expected padding as 1, 2 or 4 integers that are not negative"):
        transforms.pad(minidl.zeros(1, 2, 2), padding)


# --- shift, flip


@pytest.mark.parametrize("dy", [-9, -4, -1, 0, 2, 4, 9])
@pytest.mark.parametrize("dx", [-5, 0, 1, 5])
def test_shift(dy, dx):
    x = pictures(2, 1, 4, 5)
    moved = transforms.shift(x, dy, dx).numpy()
    for (n, c, i, j), value in np.ndenumerate(moved):
        inside = 0 <= i - dy < 4 and 0 <= j - dx < 5
        assert value == (x.numpy()[n, c, i - dy, j - dx] if inside else 0)
    assert (transforms.shift(x, dy, dx, fill=-1).numpy() == np.where(moved == 0, -1, moved)).all()


def test_shift_is_checked():
    with pytest.raises(TypeError, match=r"shift: dy and dx must be integers, got 1\.5 and 0"):
        transforms.shift(minidl.zeros(1, 2, 2), 1.5, 0)


def test_flips():
    x = pictures(6, 2, 3, 4)
    flipped = transforms.horizontal_flip(x)
    np.testing.assert_array_equal(flipped.numpy(), x.numpy()[..., ::-1])
    assert transforms.random_horizontal_flip(x, 0.0).equal(x) and transforms.random_horizontal_flip(x, 1.0).equal(flipped)
    some = transforms.random_horizontal_flip(x, generator=seeded())
    for before, after, mirrored in zip(x, some, flipped, strict=True):  # whole images, with all their channels
        assert after.equal(before) or after.equal(mirrored)
    with pytest.raises(ValueError, match="p must lie between 0 and 1, got 50"):
        transforms.random_horizontal_flip(x, 50)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_images_are_flipped_with_probability_p(p):
    x = minidl.tensor([0.0, 1.0]).reshape(1, 1, 2).expand(20_000, 1, 1, 2)
    share = transforms.random_horizontal_flip(x, p).numpy()[:, 0, 0, 0].mean()
    assert abs(share - p) < 4 * (p * (1 - p) / 20_000) ** 0.5


# --- random_crop, random_shift


def test_a_crop_is_a_part_of_the_padded_image():
    x = pictures(50, 2, 5, 6)
    padded = transforms.pad(x, 1).numpy()
    crops = transforms.random_crop(x, (3, 4), 1, generator=seeded()).numpy()
    places = collections.Counter()
    for image, crop in zip(padded, crops, strict=True):
        found = [(i, j) for i in range(5) for j in range(5) if (image[:, i : i + 3, j : j + 4] == crop).all()]
        assert len(found) == 1
        places[found[0]] += 1
    assert len(places) > 10
    assert transforms.random_crop(x, (5, 6)).equal(x)
    assert transforms.random_crop(x, 5).shape == (50, 2, 5, 5)
    assert (transforms.random_crop(x, 5, 9, fill=-1).numpy() == -1).any()


def test_every_place_is_as_likely():
    x = pictures(1, 4, 5).expand(24_000, 1, 4, 5)
    corners = transforms.random_crop(x, (2, 2)).numpy()[:, 0, 0, 0]
    counts = np.bincount(corners.astype(int), minlength=21)[1:].reshape(4, 5)
    assert (counts[3] == 0).all() and (counts[:, 4] == 0).all()
    chi_squared = ((counts[:3, :4] - 2000) ** 2 / 2000).sum()
    assert chi_squared < 31.3  # 11 degrees of freedom: once in a thousand


def test_a_random_shift_is_a_shift():
    x = pictures(60, 1, 4, 5)
    steps = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    choices = {step: transforms.shift(x, *step) for step in steps}
    moved = transforms.random_shift(x, 2, generator=seeded())
    found = [next(step for step in steps if choices[step][i].equal(moved[i])) for i in range(60)]
    assert {dy for dy, _ in found} == {dx for _, dx in found} == {-2, -1, 0, 1, 2}
    assert transforms.random_shift(x, 0).equal(x)


def test_crops_are_checked():
    x = minidl.zeros(2, 1, 4, 5)
    with pytest.raises(
        ValueError, match=r"random_crop: the size \(7, 5\) is larger than the images, \(6, 7\) with their padding"
    ):
        transforms.random_crop(x, (7, 5), 1)
    for size in [0, 2.5, (1, 2, 3), (-1, 2), None]:
        with pytest.raises(ValueError, match="random_crop: expected size as a positive integer or a pair"):
            transforms.random_crop(x, size)
    with pytest.raises(ValueError, match="random_shift: expected padding"):
        transforms.random_shift(x, -1)


# --- resize


@pytest.mark.parametrize("size", [(5, 4), (28, 28), (10, 12), (2, 3), (1, 1), (7, 2), (3, 9)])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_resize_against_torch(size, mode):
    torch = pytest.importorskip("torch")
    x = minidl.rand(2, 3, 5, 4)
    options = {"align_corners": False, "antialias": True} if mode == "bilinear" else {}
    theirs = torch.nn.functional.interpolate(torch.from_numpy(x.numpy()), size, mode=mode, **options).numpy()
    ours = transforms.resize(x, size, mode).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=0 if mode == "nearest" else 1e-6)
    np.testing.assert_allclose(transforms.resize(x.to(minidl.float64), size, mode).numpy(), theirs, rtol=0, atol=1e-6)


def test_resize_keeps_what_it_should():
    x = minidl.rand(2, 1, 8, 8)
    np.testing.assert_allclose(transforms.resize(x, 8).numpy(), x.numpy(), rtol=1e-6)
    assert transforms.resize(x, 16, "nearest")[..., ::2, 1::2].equal(x)
    np.testing.assert_allclose(transforms.resize(minidl.full((1, 5, 7), 0.3), (11, 3)).numpy(), 0.3, rtol=1e-6)
    ramp = minidl.arange(8.0).reshape(1, 1, 8)  # straight lines between centres: a ramp stays one, but for its ends
    np.testing.assert_allclose(np.diff(transforms.resize(ramp, (1, 24)).numpy()[0, 0, 1:-1]), 1 / 3, atol=1e-6)
    large = transforms.resize(minidl.full((1, 2, 2), 255).to(minidl.uint8), 5)
    assert large.dtype == minidl.uint8 and large.min() == 255
    assert transforms.resize(minidl.tensor([[[0, 255]]]).to(minidl.uint8), (1, 4)).tolist() == [[[0, 64, 191, 255]]]


def test_a_single_size_is_that_of_the_shorter_side():
    assert transforms.resize(minidl.zeros(1, 5, 8), 3).shape == (1, 3, 4)
    assert transforms.resize(minidl.zeros(1, 8, 5), (3, 3)).shape == (1, 3, 3)


def test_resize_is_checked():
    x = minidl.zeros(1, 4, 4)
    with pytest.raises(ValueError, match="interpolation must be 'bilinear' or 'nearest', got 'bicubic'"):
        transforms.resize(x, 8, "bicubic")
    with pytest.raises(TypeError, match="expected a floating-point or uint8 tensor, got int64"):
        transforms.resize(x.to(minidl.int64), 8)
    with pytest.raises(ValueError, match=r"the images have no pixels, their shape is \(1, 0, 4\)"):
        transforms.resize(minidl.zeros(1, 0, 4), 8)
    with pytest.raises(ValueError, match="resize: expected size as a positive integer"):
        transforms.resize(x, 0)


# --- digits as images


def test_digits_as_images():
    pytest.importorskip("sklearn")
    for train in (True, False):
        flat, eight, large = (digits(train, size=size).tensors for size in (None, 8, 28))
        assert eight[0].shape == (len(flat[0]), 1, 8, 8) and large[0].shape == (len(flat[0]), 1, 28, 28)
        assert eight[0].reshape(-1, 64).equal(flat[0]) and eight[1].equal(flat[1]) and large[1].equal(flat[1])
        assert large[0].dtype == minidl.float32 and large[0].min().item() >= 0 and 0.9 < large[0].max().item() <= 1
        np.testing.assert_allclose(large[0].numpy().mean((1, 2, 3)), flat[0].numpy().mean(1), rtol=0.05)
