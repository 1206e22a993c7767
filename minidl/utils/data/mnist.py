"""MNIST and the data sets of its form: 60,000 + 10,000 grey images of 28×28 pixels in ten classes, as IDX files."""

from pathlib import Path

import numpy as np

from ...tensors.record import wrap
from .. import data
from .dataset import Dataset
from .idx import read_idx


class MNIST(Dataset):
    """The handwritten digits of LeCun, Cortes and Burges.

    root: the folder that has, or gets, the files. They are looked for in root/MNIST/raw (torchvision's place), root/MNIST and
    root itself, gzipped or not, under the names train-images-idx3-ubyte or train-images.idx3-ubyte and so on.
    train: the 60,000 images to learn from; False gives the 10,000 of the test set, in files that begin with t10k.
    transform, target_transform: applied to the images and to the label that an index gives.
    download: fetch the two files if they are not there (10 MB), from the first of `mirrors` that has them, and check their MD5.

    `data[i]` is an image and its label, a float32 tensor (1, 28, 28) with values in [0, 1] and an int: what torchvision gives
    with the transform ToTensor(). `data[a:b]` is a batch of both, shapes (N, 1, 28, 28) and (N,), and by far the fastest way:
    TensorDataset(*data[:]) for a DataLoader. `transform` then gets the batch.

    data.data: the bytes, uint8 (N, 28, 28). data.targets: the labels, int64 (N,).

    >>> import pathlib, tempfile
    >>> from minidl.utils.data import write_idx
    >>> folder = pathlib.Path(tempfile.mkdtemp())  # two images stand for the 10,000
    >>> write_idx(folder / "t10k-images-idx3-ubyte", np.full((2, 28, 28), 255, "uint8"))
    >>> write_idx(folder / "t10k-labels-idx1-ubyte", np.array([7, 2], "uint8"))
    >>> x, y = MNIST(folder, train=False)[:]
    >>> x.shape, x.max(), y
    ((2, 1, 28, 28), tensor(1.), tensor([7, 2]))
    """

    # The first mirror and the MD5 sums are torchvision's (torchvision/datasets/mnist.py), the second mirror is the CVDF's. The
    # original site, yann.lecun.com, no longer has the files.
    mirrors = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine",
    ]  # fmt: skip

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        for name, function in {"transform": transform, "target_transform": target_transform}.items():
            if function is not None and not callable(function):
                raise TypeError(f"{type(self).__name__}: {name} must be a function or None, got {function!r}")
        self.root, self.train = Path(root).expanduser(), train
        self.transform, self.target_transform = transform, target_transform
        if download:
            self.download()
        found = self._find()
        if not found:
            raise FileNotFoundError(self._missing())
        images, labels = map(read_idx, found)
        if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
            raise ValueError(f"{found[0]}: expected bytes of shape (N, 28, 28), got {images.dtype} of shape {images.shape}")
        if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{found[1]}: expected a byte for each of {len(images)} images, got {labels.dtype} of shape {labels.shape}"
            )
        if labels.max(initial=0) >= len(self.classes):
            first = int((labels >= len(self.classes)).argmax())
            raise ValueError(f"{found[1]}: labels must be 0 to {len(self.classes) - 1}, number {first} is {labels[first]}")
        self.data, self.targets = wrap(images), wrap(labels.astype(np.int64))

    def __getitem__(self, index):
        pixels, labels = self.data[index].array, self.targets[index].array
        images = wrap(np.divide(pixels, np.float32(255), dtype=np.float32)[..., None, :, :])
        labels = wrap(labels) if labels.ndim else labels.item()
        return (
            images if self.transform is None else self.transform(images),
            labels if self.target_transform is None else self.target_transform(labels),
        )

    def __len__(self):
        return len(self.data)

    def __repr__(self):
        split = "Train" if self.train else "Test"
        return (
            f"Dataset {type(self).__name__}\n    Number of datapoints: {len(self)}\n"
            f"    Root location: {self.root}\n    Split: {split}"
        )

    @property
    def raw_folder(self):
        """Where downloads go: root/MNIST/raw, as in torchvision."""
        return self.root / type(self).__name__ / "raw"

    @property
    def class_to_idx(self):
        """The label of each class name."""
        return {name: label for label, name in enumerate(self.classes)}

    def download(self):
        """Fetches the two files of this part into `raw_folder`, unless they are there in one of the usual places."""
        if not self._find():
            for name, md5 in self.resources:
                if name.startswith(self._part()):
                    data.download([mirror + name for mirror in self.mirrors], self.raw_folder / name, checksum=f"md5:{md5}")

    def _part(self):
        return "train" if self.train else "t10k"

    def _folders(self):
        return self.raw_folder, self.raw_folder.parent, self.root

    def _find(self):
        """The files of images and labels, from one folder: all data sets of this form use the same names. None without them."""
        for folder in self._folders():
            names = f"{self._part()}-images{{}}idx3-ubyte", f"{self._part()}-labels{{}}idx1-ubyte"
            both = [
                next(filter(Path.is_file, (folder / (name.format(mark) + end) for mark in "-." for end in ("", ".gz"))), None)
                for name in names
            ]
            if all(both):
                return both
        return None

    def _missing(self):
        name, part = type(self).__name__, self._part()
        folders = "".join(f"\n  {folder}" for folder in self._folders())
        return (
            f"{name}: found no {part}-images-idx3-ubyte with {part}-labels-idx1-ubyte beside it (or with .gz at the end, or "
            f"with .idx in place of -idx) in{folders}\nWith a network, {name}({str(self.root)!r}, download=True) gets them; "
            f"without, copy the files of {self.mirrors[0]} into one of these folders."
        )


class FashionMNIST(MNIST):
    """Zalando's pictures of clothes: made to take the place of MNIST, and harder. The arguments and the shapes are MNIST's.

    The files are looked for in root/FashionMNIST/raw, root/FashionMNIST and root. A download takes 26 MB.

    >>> FashionMNIST.classes[:3]
    ['T-shirt/top', 'Trouser', 'Pullover']
    """

    # As above: torchvision's mirror and MD5 sums; the second mirror is the repository of the authors.
    mirrors = [
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
