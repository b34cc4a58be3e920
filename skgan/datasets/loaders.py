"""One function for each data set; what they share is in reading.py."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..data.sources import LazyImages
from ..utils.checks import check_choice
from .reading import documented, load_arrays, make_bunch, open_parts

Home = str | os.PathLike | None
EMNIST_SPLITS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")


@documented("60,000, 10,000 or all 70,000 images.", "28, 28", "the digit")
def load_mnist(*, subset: str = "train", data_home: Home = None, download: bool = False,
        return_X_y: bool = False) -> Any:  # fmt: skip
    """MNIST: 70,000 handwritten digits, 28x28, grey."""
    return load_arrays("mnist", subset, data_home, download, return_X_y)


@documented("60,000, 10,000 or all 70,000 images.", "28, 28", "the class")
def load_fashion_mnist(*, subset: str = "train", data_home: Home = None, download: bool = False,
        return_X_y: bool = False) -> Any:  # fmt: skip
    """Fashion-MNIST: 70,000 articles of clothing, 28x28, grey."""
    return load_arrays("fashion_mnist", subset, data_home, download, return_X_y)


@documented("60,000, 10,000 or all 70,000 images.", "28, 28", "the class")
def load_kmnist(*, subset: str = "train", data_home: Home = None, download: bool = False,
        return_X_y: bool = False) -> Any:  # fmt: skip
    """KMNIST: 70,000 cursive Japanese characters, 28x28, grey."""
    return load_arrays("kmnist", subset, data_home, download, return_X_y)


@documented("The parts of the chosen split.", "28, 28", "the class")
def load_emnist(*, split: str = "balanced", subset: str = "train", data_home: Home = None,
        download: bool = False, return_X_y: bool = False) -> Any:  # fmt: skip
    """EMNIST: handwritten letters and digits, 28x28, grey.

    Parameters
    ----------
    split : {"byclass", "bymerge", "balanced", "letters", "digits", "mnist"}, default="balanced"
        Which characters: 62, 47, 47, 26, 10 or 10 classes. Labels of "letters" are 1 to 26, and
        target_names[0] is "N/A".

    Notes
    -----
    The files, and torchvision, hold every character transposed. Here they are upright.
    """
    check_choice("split", split, EMNIST_SPLITS)
    return load_arrays("emnist", subset, data_home, download, return_X_y, split=split)


@documented("50,000, 10,000 or all 60,000 images.", "32, 32, 3", "the class")
def load_cifar10(*, subset: str = "train", data_home: Home = None, download: bool = False,
        return_X_y: bool = False) -> Any:  # fmt: skip
    """CIFAR-10: 60,000 photographs in 10 classes, 32x32, colour."""
    return load_arrays("cifar10", subset, data_home, download, return_X_y)


@documented("50,000, 10,000 or all 60,000 images.", "32, 32, 3", "the fine class")
def load_cifar100(*, subset: str = "train", data_home: Home = None, download: bool = False,
        return_X_y: bool = False) -> Any:  # fmt: skip
    """CIFAR-100: 60,000 photographs in 100 classes, 32x32, colour."""
    return load_arrays("cifar100", subset, data_home, download, return_X_y)


@documented("73,257, 26,032, or 531,131 easier images.", "32, 32, 3", "the digit")
def load_svhn(*, subset: str = "train", data_home: Home = None, download: bool = False,
        return_X_y: bool = False) -> Any:  # fmt: skip
    """SVHN: digits of house numbers, 32x32, colour."""
    return load_arrays("svhn", subset, data_home, download, return_X_y)


@documented("5,000, 8,000, or 100,000 images whose labels are -1.", "96, 96, 3", "the class")
def load_stl10(*, subset: str = "train", data_home: Home = None, download: bool = False,
        return_X_y: bool = False) -> Any:  # fmt: skip
    """STL-10: photographs in 10 classes, 96x96, colour."""
    return load_arrays("stl10", subset, data_home, download, return_X_y)


@documented("7,291, 2,007 or all 9,298 images.", "16, 16", "the digit")
def load_usps(*, subset: str = "train", data_home: Home = None, download: bool = False,
        return_X_y: bool = False) -> Any:  # fmt: skip
    """USPS: 9,298 handwritten digits of postcodes, 16x16, grey."""
    return load_arrays("usps", subset, data_home, download, return_X_y)


@documented("162,770, 19,867, 19,962 or all images.")
def load_celeba(*, size: tuple[int, int] | None = None, subset: str = "train",
        data_home: Home = None, download: bool = False,
        return_X_y: bool = False) -> Any:  # fmt: skip
    """CelebA: 202,599 aligned faces, 218x178, colour, decoded on access.

    Parameters
    ----------
    size : (h, w) or None, default=None
        As in `LazyImages`: (64, 64) crops the central 178x178 pixels and resizes them. None keeps
        218x178.
    download : bool, default=False
        Whether torchvision may download missing files, for which it needs the package gdown.

    Returns
    -------
    Bunch or (data, target)
        data : LazyImages of shape (n, h, w, 3), uint8, 0 to 255
        target : int64 ndarray of shape (n, 40), 1 where a face has the attribute, else 0
        target_names : ndarray of str, the attributes
        DESCR : str
    """
    (faces,) = open_parts("celeba", subset, data_home, download)
    folder = Path(faces.root, faces.base_folder, "img_align_celeba")
    data = LazyImages([folder / name for name in faces.filename], size=size)
    names = [name for name in faces.attr_names if name]  # the header line ends with a blank
    target = np.asarray(faces.attr, np.int64)
    return make_bunch("celeba", subset, data, target, names, return_X_y)
