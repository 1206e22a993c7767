"""Transforms as classes: torchvision's names and options, each beside the function that it calls."""

import numpy as np
import pytest

import minidl
from minidl.utils.data import transforms


@pytest.fixture
def images():
    minidl.manual_seed(0)
    return minidl.rand(3, 2, 6, 8)


def test_an_array_becomes_a_tensor():
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
    x = transforms.ToTensor()(picture)
    assert x.shape == (3, 2, 4) and x.dtype == minidl.float32
    np.testing.assert_array_equal(x.numpy(), picture.transpose(2, 0, 1).astype(np.float32) / 255)
    grey = np.ones((2, 3))
    y = transforms.ToTensor()(grey)
    assert y.shape == (1, 2, 3) and y.dtype == minidl.float64
    grey[:] = 5
    assert (y == 1).all()
    with pytest.raises(TypeError, match="ToTensor: expected an ndarray or a picture, got a tensor already"):
        transforms.ToTensor()(x)
    with pytest.raises(TypeError, match=r"ToTensor: expected a picture of numbers, .* got list, shape \(2,\)"):
        transforms.ToTensor()([1, 2])


@pytest.mark.parametrize(
    ("transform", "function"),
    [
        (transforms.Normalize((0.5, 0.25), (2.0, 4.0)), lambda x: transforms.normalize(x, (0.5, 0.25), (2.0, 4.0))),
        (transforms.Resize((3, 5)), lambda x: transforms.resize(x, (3, 5))),
        (transforms.Resize(3, "nearest"), lambda x: transforms.resize(x, 3, "nearest")),
        (transforms.Pad((1, 2), 7.0), lambda x: transforms.pad(x, (1, 2), 7.0)),
        (transforms.RandomCrop(4, padding=1, fill=7.0), lambda x: transforms.random_crop(x, 4, 1, 7.0)),
        (transforms.RandomHorizontalFlip(0.4), lambda x: transforms.random_horizontal_flip(x, 0.4)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_class_does_what_its_function_does(images, transform, function):
    minidl.manual_seed(1)
    expected = function(images)
    minidl.manual_seed(1)
    found = transform(images)
    assert found.shape == expected.shape and found.tolist() == expected.tolist() != images.tolist()


@pytest.mark.parametrize("size", [2, (3, 5), (6, 1), (7, 8), (5, 11), 9])
def test_the_middle_part(size):
    """Of an image padded with 0 where it is smaller: the odd row and column come last."""
    x = minidl.arange(1.0, 49.0).reshape(1, 6, 8)
    h, w = size if isinstance(size, tuple) else (size, size)
    more = max(h - 6, 0), max(w - 8, 0)
    padded = np.pad(x[0].numpy(), [(n // 2, (n + 1) // 2) for n in more])
    top, left = (round((n - m) / 2) for n, m in zip(padded.shape, (h, w), strict=True))
    assert transforms.CenterCrop(size)(x)[0].tolist() == padded[top : top + h, left : left + w].tolist()


def test_one_after_the_other():
    both = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5), lambda x: x * 2])
    assert both(np.array([[0, 255]], np.uint8)).tolist() == [[[-2.0, 2.0]]]
    text = repr(transforms.Compose([transforms.ToTensor(), transforms.RandomCrop(4)]))
    assert text == "Compose(\n    ToTensor()\n    RandomCrop(size=4, padding=0, fill=0)\n)"
    with pytest.raises(TypeError, match="Compose: expected functions of images, got 5"):
        transforms.Compose([5])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: transforms.Normalize(0, 1, inplace=True), "Normalize: inplace=True is not supported"),
        (lambda: transforms.Resize(3, max_size=5), "Resize: max_size is not supported"),
        (lambda: transforms.Resize(3, antialias=False), "Resize: antialias=False is not supported"),
        (lambda: transforms.Pad(1, padding_mode="reflect"), "Pad: padding_mode must be 'constant', got 'reflect'"),
        (lambda: transforms.RandomCrop(3, pad_if_needed=True), "RandomCrop: pad_if_needed=True is not supported"),
    ],
)
def test_what_is_missing_is_told(make, message):
    with pytest.raises(NotImplementedError, match=message):
        make()
