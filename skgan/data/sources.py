"""Lazy sources: images in files, Datasets and Zarr-like arrays, decoded on access."""

import contextlib
import hashlib
import numbers
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from torch.utils.data import Dataset, IterableDataset

from ..utils.checks import check_choice, check_number
from .containers import (
    LAZY_PACKAGES,
    packages_of,
    paths_in,
    pictures_in,
    refuse_no_container,
)
from .stores import Files, Items, Pictures, Store, StoredRows, refuse_settings

MODES = ("RGB", "L")

Key = TypeVar("Key")
Value = TypeVar("Value")


class LazyImages:
    """Images that are decoded on access, never all at once.

    Indexing works as for the first axis of an array, and decodes nothing: ``images[indices]`` is
    another `LazyImages`, so `GridSearchCV`, `train_test_split` and the like split it at no cost.
    ``np.asarray(images[indices])`` decodes one batch, ``images[3]`` one image.

    Parameters
    ----------
    source : sequence of str or PathLike, Dataset, or array
        - Paths of image files, as a list, tuple, array, Series or frame of one column. Pixels are
          read as stored:
          an orientation in the EXIF data is not applied, and transparency is dropped. Files of
          more than 8 bits per value, and of several pages or frames, are refused.
        - Images of Pillow, in the same containers.
        - A map-style `torch.utils.data.Dataset`. Its items are images, or tuples whose first
          element is one: a PIL image, an ndarray or a tensor. Items must not change from one
          access to the next, so random transforms are not allowed. A torchvision `ImageFolder`
          without transforms is read from its files, in several threads; others in one thread.
        - An array-like with ``shape``, ``dtype`` and slicing along the first axis: Zarr, HDF5 and
          dask arrays. It is read chunk by chunk.
    size : (h, w) or None, default=None
        In pixels. Files and PIL images are resized, keeping their aspect ratio, until they just
        cover (h, w), and then cropped at the centre (bilinear, antialiased). With None, all images
        must have the size of the first one.
    mode : {"RGB", "L"} or None, default=None
        Convert files and PIL images to colour ("RGB") or grey ("L"). None means "RGB" for files,
        and "L" where the first PIL image is grey; a later one in colour is an error then.

    Attributes
    ----------
    shape : tuple of int
        (n, h, w, 3) for "RGB", (n, h, w) for "L"; otherwise n and the shape of the items or of
        the array's rows, for example (n, c, h, w) for a Dataset of tensors.
    dtype : numpy.dtype
        uint8 for files and PIL images, 0 to 255; otherwise that of the items or the array.
    ndim : int
    targets : ndarray of shape (n,) or (n, k)
        Labels of these images, if the Dataset lists them in ``targets`` or ``labels``; its
        ``target_transform``, if it has one, is applied to each. No image is decoded for them.

    Raises
    ------
    TypeError
        If `source` is none of the above.
    ValueError
        If it is empty, a parameter is unknown, or an image cannot be decoded or has another size
        than the first one. The message names the file or item. The constructor decodes only the
        first image, or the first four of a Dataset with a transform, twice; the others raise when
        their batch is read.
    FileNotFoundError
        If a file is missing.

    Warns
    -----
    UserWarning
        If items of a Dataset differ between two readings, as with a random transform.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from torch.utils.data import TensorDataset
    >>> from skgan.data.sources import LazyImages
    >>> data = TensorDataset(torch.zeros(100, 3, 32, 32), torch.arange(100))
    >>> images = LazyImages(data)
    >>> images[[5, 7]]
    LazyImages(TensorDataset, shape=(2, 3, 32, 32), dtype=float32)
    >>> np.asarray(images[[5, 7]]).shape, images[[5, 7]].targets
    ((2, 3, 32, 32), array([5, 7]))
    """

    def __init__(self, source: Any, size: tuple[int, int] | None = None, mode: str | None = None):
        if size is not None:
            if not isinstance(size, (tuple, list)) or len(size) != 2:
                raise ValueError(f"size={size!r} must be (h, w) in pixels, or None.")
            for side in size:
                check_number("size", side, low=1, integer=True)
        check_choice("mode", mode, (*MODES, None))
        self._store = _make_store(source, size, mode)
        self._rows = np.arange(len(self._store), dtype=np.int64)

    @classmethod
    def of(cls, X: Any) -> Any:
        """X as `LazyImages` if it has to be decoded or read from storage, otherwise X itself.

        Parameters
        ----------
        X : object

        Returns
        -------
        LazyImages or X
            `LazyImages` for paths or images of Pillow in a list, tuple, array, Series or frame of
            one column, for a PyTorch Dataset, and for Zarr, HDF5 and dask arrays with two or more
            axes.

        Raises
        ------
        FileNotFoundError, TypeError, ValueError
            As in `LazyImages`.
        """
        refuse_no_container("X", X)
        if isinstance(X, Dataset):
            # Datasets often keep the size of their images in an attribute `shape`.
            return X if hasattr(X, "__array__") or _is_array_of_samples(X) else cls(X)
        if packages_of(X) & LAZY_PACKAGES and _is_array(X) and len(X.shape) > 1:
            return cls(X)
        decoded = paths_in("X", X) is None and pictures_in(X) is None
        return X if decoded else cls(X)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self._rows), *self._store.row_shape

    @property
    def dtype(self) -> np.dtype:
        return self._store.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def targets(self) -> np.ndarray:
        labels = self._store.labels()
        if labels is None:
            raise AttributeError(
                f"{self._store.name} has no labels in targets or labels: pass y yourself."
            )
        return labels[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"LazyImages({self._store.name}, shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):  # scikit-learn indexes with [rows, ...]
            key, *rest = key or (...,)
            if not all(r is Ellipsis or (isinstance(r, slice) and r == slice(None)) for r in rest):
                raise IndexError(
                    "LazyImages has indices for its first axis only: decode images first, as in "
                    "np.asarray(images[indices])[:, ...]."
                )
        if not isinstance(key, (slice, numbers.Integral)) and key is not Ellipsis:
            key = np.asarray(key)
            if key.size == 0 and key.dtype.kind == "f":  # np.asarray([]) is float
                key = key.astype(np.int64)
        rows = self._rows[key]
        if rows.ndim == 0:
            return self._store.read(rows[None])[0]
        if rows.ndim > 1:
            raise IndexError(f"indices have shape {np.shape(key)}: use one index or a 1-D array.")
        view = object.__new__(type(self))
        view._store, view._rows = self._store, rows
        return view

    def __array__(self, dtype=None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("LazyImages decodes into a new array: copy=False is not possible.")
        decoded = self._store.read(self._rows)
        return decoded if dtype is None else decoded.astype(dtype, copy=False)

    def __getstate__(self) -> dict[str, Any]:
        # Caches such as a pipeline's `memory` hash the pickle, so it must change if files do.
        as_of = None
        with contextlib.suppress(FileNotFoundError):  # reading the images will raise
            as_of = self.fingerprint() if isinstance(self._store, Files) else None
        return self.__dict__ | {"_as_of": as_of}

    def fingerprint(self) -> str:
        """A digest of these images, without decoding all of them.

        Returns
        -------
        str
            64 hexadecimal digits. For files it covers absolute paths, sizes in bytes, times of
            modification, `size` and `mode`; for arrays shape, dtype and all values of these
            images, read in pieces; for Datasets type, length, repr, indices, and the first, middle
            and last item, so that a change of other items is not noticed.

        Raises
        ------
        FileNotFoundError
            If a file is missing.
        """
        digest = hashlib.sha256(repr((self.shape, str(self.dtype))).encode())
        for part in self._store.traits(self._rows):
            digest.update(part)
        return digest.hexdigest()


def read_ahead(rows: Iterable[Key], read: Callable[[Key], Value]) -> Iterator[Value]:
    """Yield ``read(r)`` for every r, reading the next one while the caller uses the current one.

    Parameters
    ----------
    rows : iterable
        Iterated in the calling thread, one item ahead of what was yielded.
    read : callable
        Called in one background thread, in order.

    Yields
    ------
    object
        What `read` returned. If `read` raised, the error is raised at the same item. The thread
        ends with the generator.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="skgan-read-ahead") as pool:
        pending = None
        for row in rows:
            following = pool.submit(read, row)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()


def _make_store(source: Any, size, mode: str | None) -> Store:
    refuse_no_container("source", source)
    if hasattr(source, "__len__") and not isinstance(source, IterableDataset) and not len(source):
        raise ValueError("source is empty: pass at least one image.")
    if (paths := paths_in("source", source)) is not None:
        return Files(paths, size, mode or "RGB")
    if (pictures := pictures_in(source)) is not None:
        return Pictures(pictures, size, mode)
    if _is_plain_folder(source):
        return Files([path for path, _ in source.samples], size, mode or "RGB", source)
    if isinstance(source, Dataset) and hasattr(source, "__len__"):
        return Items(source, size, mode)
    if _is_array(source) and len(source.shape) > 1:
        refuse_settings(size, mode, "an array")
        return StoredRows(source)
    raise TypeError(
        f"source is a {type(source).__name__}: pass a sequence of paths (all str or PathLike) or "
        "of PIL images, a map-style torch Dataset with a length, or an array with shape, dtype and "
        "two or more axes. An IterableDataset cannot be indexed: collect its items in an array."
    )


def _is_array(X: Any) -> bool:
    if not all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__")):
        return False
    # A length that dask does not know yet is nan.
    return all(isinstance(side, numbers.Integral) for side in X.shape)


def _is_array_of_samples(X: Any) -> bool:
    return _is_array(X) and len(X.shape) > 1 and X.shape[0] == len(X)


def _is_plain_folder(X: Any) -> bool:
    """Whether X is an `ImageFolder` without transforms, so that reading its files is enough."""
    folder = sys.modules.get("torchvision.datasets.folder")  # None: X cannot be one
    if folder is None or type(X) is not folder.ImageFolder:
        return False
    return X.transform is None and X.loader is folder.default_loader
