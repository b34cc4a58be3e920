"""One table describes all data sets; torchvision reads them, and the result is a `Bunch`."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from ..utils.checks import check_choice
from ..utils.docs import F, completed_by

# For each subset, the keyword arguments of torchvision's class; of several, images are joined.
Subsets = dict[str, tuple[dict[str, Any], ...]]


def _splits(*names: str) -> Subsets:
    return {name: ({"split": name},) for name in names}


TRAIN_TEST: Subsets = {
    "train": ({"train": True},),
    "test": ({"train": False},),
    "all": ({"train": True}, {"train": False}),
}
DIGITS = tuple("0123456789")
STL10_NAMES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


@dataclass(frozen=True)
class Reader:
    """What is specific to one data set.

    Attributes
    ----------
    cls : str
        Name of the class in torchvision.datasets.
    folder : str
        Where torchvision looks for the files, relative to data_home.
    about : str
        Title, authors and year, for the description.
    subsets : dict
        For each subset, the keyword arguments of `cls`.
    axes : tuple of int or None
        How to transpose torchvision's array to (n, h, w) or (n, h, w, c).
    names : tuple of str or None
        Names of the classes, where torchvision does not list them.
    """

    cls: str
    folder: str
    about: str
    subsets: Subsets = field(default_factory=TRAIN_TEST.copy)
    axes: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None


READERS = {
    "mnist": Reader(
        "MNIST", "MNIST/raw", "MNIST: handwritten digits (LeCun, Cortes and Burges, 1998).",
        names=DIGITS,
    ),
    "fashion_mnist": Reader(
        "FashionMNIST", "FashionMNIST/raw",
        "Fashion-MNIST: articles of clothing (Xiao, Rasul and Vollgraf, 2017).",
    ),
    "kmnist": Reader(
        "KMNIST", "KMNIST/raw", "KMNIST: cursive Japanese characters (Clanuwat et al., 2018).",
    ),
    # The files hold every character transposed.
    "emnist": Reader(
        "EMNIST", "EMNIST/raw",
        "EMNIST: handwritten letters and digits (Cohen, Afshar, Tapson and van Schaik, 2017).",
        axes=(0, 2, 1),
    ),
    "cifar10": Reader(
        "CIFAR10", "cifar-10-batches-py", "CIFAR-10: small photographs (Krizhevsky, 2009).",
    ),
    "cifar100": Reader(
        "CIFAR100", "cifar-100-python",
        "CIFAR-100: small photographs, fine labels (Krizhevsky, 2009).",
    ),
    "svhn": Reader(
        "SVHN", "", "SVHN: cropped digits of house numbers (Netzer et al., 2011).",
        _splits("train", "test", "extra"), (0, 2, 3, 1), DIGITS,
    ),
    "stl10": Reader(
        "STL10", "stl10_binary", "STL-10: photographs (Coates, Lee and Ng, 2011).",
        _splits("train", "test", "unlabeled"), (0, 2, 3, 1), STL10_NAMES,
    ),
    "usps": Reader(
        "USPS", "", "USPS: handwritten digits of postcodes (Hull, 1994).", names=DIGITS,
    ),
    "celeba": Reader(
        "CelebA", "celeba",
        "CelebA: aligned faces of celebrities with 40 attributes (Liu, Luo, Wang and Tang, 2015).",
        _splits("train", "valid", "test", "all"),
    ),
}  # fmt: skip


def documented(subset: str, shape: str = "", target: str = "") -> Callable[[F], F]:
    """Decorator: complete a loader's docstring by what all loaders share.

    `subset` says how many images the subsets hold, `shape` is the shape of one image, and
    `target` says what its label means.
    """

    def complete(loader: F) -> F:
        subsets = READERS[loader.__name__.removeprefix("load_")].subsets
        names = ", ".join(f'"{name}"' for name in subsets)
        return completed_by(f"""
            Parameters
            ----------
            subset : {{{names}}}, default="train"
                {subset}
            data_home : str or PathLike, default=None
                Folder that holds the data sets. None: the folder that the environment variable
                SKGAN_DATA names, or ~/skgan_data.
            download : bool, default=False
                Whether torchvision may download missing files.
            return_X_y : bool, default=False
                Whether to return (data, target) instead of a `Bunch`.

            Returns
            -------
            Bunch or (data, target)
                data : uint8 ndarray of shape (n, {shape}), 0 to 255
                target : int64 ndarray of shape (n,), {target}
                target_names : ndarray of str
                DESCR : str

            Raises
            ------
            FileNotFoundError
                If files are missing or damaged and `download` is False; the message names the
                folder.
            ValueError
                If a parameter is unknown.
            """)(loader)

    return complete


def open_parts(name: str, subset: str, data_home, download: bool, **settings: Any) -> list[Any]:
    """Torchvision's datasets for a subset, or an error that names the folder and the remedy."""
    reader = READERS[name]
    check_choice("subset", subset, reader.subsets)
    if download not in (True, False):
        raise ValueError(f"download={download!r} must be True or False.")
    import torchvision.datasets

    home = Path(data_home or os.environ.get("SKGAN_DATA") or "~/skgan_data").expanduser()
    cls = getattr(torchvision.datasets, reader.cls)
    try:
        chosen = reader.subsets[subset]
        return [cls(home, download=bool(download), **settings, **given) for given in chosen]
    except (RuntimeError, OSError, ValueError, AssertionError, EOFError, UnpicklingError) as error:
        if download:
            raise  # torchvision says which address failed
        raise FileNotFoundError(
            f"{reader.cls}, subset={subset!r}, is not in {str(home / reader.folder)!r}, or not "
            "complete: pass download=True to fetch it, or data_home='...' (or set SKGAN_DATA) to "
            f"say where it is. torchvision says: {error}"
        ) from error


def load_arrays(name: str, subset: str, data_home, download: bool, return_X_y: bool, **settings):
    """Read a data set that fits in memory: a `Bunch`, or (data, target)."""
    reader = READERS[name]
    parts = open_parts(name, subset, data_home, download, **settings)
    data = _join([np.asarray(part.data) for part in parts])
    if reader.axes is not None:
        data = data.transpose(reader.axes)  # a view, without a copy
    labels = [part.targets if hasattr(part, "targets") else part.labels for part in parts]
    target = _join([np.asarray(part, np.int64) for part in labels])
    if len(data) != len(target):
        raise FileNotFoundError(
            f"{reader.cls}, subset={subset!r}, has {len(data)} images, but {len(target)} labels: "
            "delete its files, and pass download=True to download them again."
        )
    return make_bunch(name, subset, data, target, reader.names or parts[0].classes, return_X_y)


def make_bunch(
    name: str, subset: str, data: Any, target: np.ndarray, names: Any, return_X_y: bool
) -> Any:
    """What the loaders return."""
    if return_X_y:
        return data, target
    shape = " x ".join(map(str, data.shape[1:]))
    description = (
        f"{READERS[name].about}\n\nsubset {subset!r}: {len(data)} images of {shape}, "
        f"{data.dtype}, 0 to 255; {len(names)} names in target_names."
    )
    return Bunch(data=data, target=target, target_names=np.asarray(names), DESCR=description)


def _join(arrays: list[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
