"""What X may be besides an array: paths of files, images of Pillow; and what it cannot be."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from ..utils.labels import is_missing

LAZY_PACKAGES = {"zarr", "h5py", "dask"}
_PATHS = "a list of image files, for example sorted(Path(folder).rglob('*.png'))"


def packages_of(X: Any) -> set[str]:
    """The packages that the classes of X are from."""
    return {c.__module__.split(".")[0] for c in type(X).__mro__}


def refuse_no_container(name: str, value: Any) -> None:
    """Raise a TypeError for what looks like images, but cannot be indexed as samples."""
    problem = ""
    if isinstance(value, (str, os.PathLike)):
        problem = f"={value!r} is one path: pass {_PATHS}, or torchvision's ImageFolder(folder)."
    elif isinstance(value, (bytes, bytearray, memoryview)):
        problem = f" is one {type(value).__name__}: pass {_PATHS}, or an array of several images."
    elif is_picture(value):
        problem = f" is one image of Pillow: pass a list of images, as in {name}=[image]."
    elif isinstance(value, DataLoader):
        problem = (
            f" is a {type(value).__name__}, which gives batches of its own: pass its dataset, "
            f"{name}=loader.dataset, and batch_size to the estimator."
        )
    elif isinstance(value, Iterator):
        problem = (
            f" is a {type(value).__name__}, which can be read once only and has no length: pass "
            "a list of its items, such as sorted(Path(folder).rglob('*.png')) for paths."
        )
    if problem:
        raise TypeError(name + problem)


@contextlib.contextmanager
def words_named(X: Any) -> Iterator[None]:
    """An error about words among the numbers of a table names their column."""
    try:
        yield
    except ValueError as error:
        about = "could not convert string" in str(error) or "bytes/strings" in str(error)
        if not about or len(np.shape(X)) != 2:
            raise
        for name, column in _columns(X):
            texts = [value for value in np.asarray(column, object) if isinstance(value, str)]
            words = [text for text in texts if not _is_number(text)]
            if words:
                raise ValueError(
                    f"column {name!r} of X has words, such as {words[0]!r}: leave it out, or make "
                    "numbers of it, as scikit-learn's OneHotEncoder and OrdinalEncoder do."
                ) from error
        raise


def _columns(X: Any) -> Iterator[tuple[Any, Any]]:
    """(name or number, values) of the columns of a table."""
    names = getattr(X, "columns", None)
    if names is not None:
        yield from ((name, X[name]) for name in names)
    else:
        yield from enumerate(np.asarray(X, object).T)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_picture(value: Any) -> bool:
    """Whether it is an image of Pillow; which is not imported for it."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def pictures_in(X: Any) -> list[Any] | None:
    """The items of a list, 1-D array or Series that has images of Pillow, otherwise None."""
    items = _items(X)
    return list(items) if items is not None and any(map(is_picture, items)) else None


def paths_in(name: str, X: Any) -> list[str] | None:
    """The paths as str if X is a sequence, or one column, of paths only, otherwise None.

    Raises
    ------
    TypeError
        For bytes, which may be paths or the contents of files.
    ValueError
        For a row without a path among paths.
    """
    items = _items(X)
    if items is None:
        return None
    if any(isinstance(item, bytes) for item in items):
        raise TypeError(
            f"{name} holds bytes: paths are str, as in [os.fsdecode(path) for path in {name}]; "
            "for encoded images pass [PIL.Image.open(io.BytesIO(data)) for data in "
            f"{name}]."
        )
    are_paths = [isinstance(item, (str, os.PathLike)) for item in items]
    if all(are_paths):
        return [os.fspath(path) for path in items]
    missing = [i for i, item in enumerate(items) if is_missing(item)]
    if missing and sum(are_paths) + len(missing) == len(items) and any(are_paths):
        raise ValueError(
            f"row {missing[0]} of {name} has no path, but {items[missing[0]]!r}: leave the row "
            "out, or give the path of its image."
        )
    return None


def _items(X: Any) -> Any:
    """The items of a list or tuple, or of one column of objects or strings; else None."""
    if packages_of(X) & LAZY_PACKAGES:
        stored = getattr(getattr(X, "dtype", None), "kind", "") in "OSU"
        X = np.asarray(X[:]) if stored and len(getattr(X, "shape", ())) == 1 else None
    if isinstance(X, np.ndarray) or hasattr(X, "to_numpy"):  # pandas, polars
        numeric = getattr(getattr(X, "dtype", None), "kind", "O") in "biufcmMV"
        shape: Any = getattr(X, "shape", ())
        column = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
        X = None if numeric or not column else np.asarray(X).reshape(-1).tolist()
    return X if isinstance(X, (list, tuple)) and X else None
