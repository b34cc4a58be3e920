"""Lazy sources: images in files, Datasets and Zarr-like arrays, decoded when they are asked for."""

import hashlib
import importlib
import numbers
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

from ..utils.checks import check_choice, check_number

N_THREADS = min(4, os.cpu_count() or 1)  # PIL decodes without the GIL
FILES_PER_TASK = 8  # fewer than this are decoded in the calling thread
READ_BYTES = 2**28  # largest piece of an array that is read at once
MODES = ("RGB", "L")
LAZY_PACKAGES = {"zarr", "h5py", "dask"}

Key = TypeVar("Key")
Value = TypeVar("Value")


class LazyImages:
    """Images that are decoded when they are asked for, never all at once.

    Rows are taken as from an array, and nothing is decoded by that: ``images[rows]`` is another
    `LazyImages`, so `GridSearchCV`, `train_test_split` and the like slice it for free.
    ``np.asarray(images[rows])`` decodes one batch, ``images[3]`` one image.

    Parameters
    ----------
    source : sequence of str or PathLike, Dataset, or array
        - Paths of image files, as a list, tuple, 1-D array or Series. The pixels are read as they
          are stored: an orientation in the file's EXIF data is not applied, transparency is
          dropped.
        - A map-style `torch.utils.data.Dataset`. Its items are images or tuples that begin with
          one: a PIL image, an ndarray or a tensor. They must not change between two readings, so
          random transforms do not belong there. A torchvision `ImageFolder` without transforms is
          read through its paths, in several threads; items of others in one.
        - Anything with ``shape``, ``dtype`` and slices of rows: Zarr, HDF5 and dask arrays. They
          are read chunk by chunk.
    size : (h, w) or None, default=None
        In pixels. Files and PIL images are resized, with their aspect kept, until they just cover
        (h, w), and the rest is cut off evenly on both sides (bilinear, antialiased). None: all
        images must have the size of the first one.
    mode : {"RGB", "L"} or None, default=None
        What files and PIL images are converted to: colour, or grey. None is "RGB" for files, and
        "L" for a Dataset whose first item is a grey PIL image.

    Attributes
    ----------
    shape : tuple of int
        (n, h, w, 3) for "RGB", (n, h, w) for "L"; otherwise (n, ...) as the items or the array
        have it, for example (n, c, h, w) for a Dataset of tensors.
    dtype : numpy.dtype
        uint8 for files and PIL images, 0 to 255; otherwise that of the items or the array.
    ndim : int
    targets : ndarray of shape (n,) or (n, k)
        Labels of these rows, where the Dataset lists them (``targets`` or ``labels``). No image is
        decoded for them.

    Raises
    ------
    TypeError
        If `source` is none of the above.
    ValueError
        If it is empty, a parameter is unknown, an image cannot be decoded, or has another size
        than the first one. The message names the file or item. Only the first image is decoded
        here; the others raise when their batch is read.
    FileNotFoundError
        If a file is missing.

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
        _check_size(size)
        check_choice("mode", mode, (*MODES, None))
        self._store = _make_store(source, size, mode)
        self._rows = np.arange(len(self._store), dtype=np.int64)

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
                f"{self._store.name} lists no labels as targets or labels: pass y yourself."
            )
        return labels[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"LazyImages({self._store.name}, shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):  # scikit-learn asks for [rows, ...]
            key, rest = (key[0] if key else ...), key[1:]
            if any(
                not (r is Ellipsis or (isinstance(r, slice) and r == slice(None))) for r in rest
            ):
                raise IndexError(
                    "LazyImages is indexed by rows only: decode them first, as in "
                    "np.asarray(images[rows])[:, ...]."
                )
        if not isinstance(key, (slice, numbers.Integral)) and key is not Ellipsis:
            key = np.asarray(key)
            if key.size == 0 and key.dtype.kind == "f":  # what NumPy makes of []
                key = key.astype(np.int64)
        rows = self._rows[key]
        if rows.ndim == 0:
            return self._store.read(rows[None])[0]
        if rows.ndim > 1:
            raise IndexError(f"rows have shape {np.shape(key)}: one index, or a 1-D array of them.")
        view = object.__new__(type(self))
        view._store, view._rows = self._store, rows
        return view

    def __array__(self, dtype=None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("LazyImages decodes into a new array: copy=False is not possible.")
        decoded = self._store.read(self._rows)
        return decoded if dtype is None else decoded.astype(dtype, copy=False)

    def fingerprint(self) -> str:
        """A digest of what these rows would decode to, without decoding them all.

        Returns
        -------
        str
            64 hexadecimal digits. Of files: absolute paths, sizes in bytes, times of change, `size`
            and `mode`. Of arrays: shape, dtype and all bytes of these rows, read in pieces. Of
            Datasets: type, length, repr, rows, and the first, middle and last item; a change of
            other items goes unnoticed.

        Raises
        ------
        FileNotFoundError
            If a file is missing.
        """
        digest = hashlib.sha256(repr((self.shape, str(self.dtype))).encode())
        for part in self._store.traits(self._rows):
            digest.update(part)
        return digest.hexdigest()


def as_lazy(X: Any) -> Any:
    """X as `LazyImages` where it has to be decoded or read from elsewhere, else X itself.

    Parameters
    ----------
    X : object

    Returns
    -------
    LazyImages or X
        `LazyImages` for a list, tuple, 1-D array or Series of paths (all of them), for a Dataset
        of torch, and for Zarr, HDF5 and dask arrays with two axes or more.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As `LazyImages`.
    """
    if isinstance(X, Dataset):
        is_array = hasattr(X, "shape") or hasattr(X, "__array__")
        return X if is_array else LazyImages(X)
    packages = {c.__module__.split(".")[0] for c in type(X).__mro__}
    if packages & LAZY_PACKAGES and _is_array(X) and len(X.shape) > 1:
        return LazyImages(X)
    return X if _as_paths(X) is None else LazyImages(X)


def read_ahead(rows: Iterable[Key], read: Callable[[Key], Value]) -> Iterator[Value]:
    """Yield ``read(r)`` for every r, the next one being read while the caller works on this one.

    Parameters
    ----------
    rows : iterable
        Taken in the calling thread, one item further than what was yielded.
    read : callable
        Called in one background thread, in order.

    Yields
    ------
    object
        What `read` returned. If it raised, so does this, at the same item. The thread has ended
        when the generator has ended or was closed.
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


# ---------------------------------------------------------------- where images come from


class _Store(Protocol):
    """What a view of rows looks into; shared by all views, and never changed."""

    name: str
    row_shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int: ...
    def read(self, rows: np.ndarray) -> np.ndarray: ...
    def labels(self) -> np.ndarray | None: ...
    def traits(self, rows: np.ndarray) -> Iterator[bytes]: ...


class _Files:
    """Image files, decoded in a few threads. No pool outlives a batch, so this can be pickled."""

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: list[str], size, mode: str, dataset: Any = None):
        self.name = f"{len(paths)} files"
        self.paths, self.size, self.mode = paths, size, mode
        self._labels = None if dataset is None else _labels_of(dataset)
        self.row_shape = _decode(paths[0], size, mode).shape

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.row_shape), self.dtype)

        def fill(start: int) -> None:
            for i, row in enumerate(rows[start : start + FILES_PER_TASK], start):
                out[i] = self._image(self.paths[row])

        starts = range(0, len(rows), FILES_PER_TASK)
        if len(starts) < 2 or N_THREADS < 2:
            for start in starts:
                fill(start)
            return out
        with ThreadPoolExecutor(N_THREADS) as pool:
            for _ in pool.map(fill, starts):  # raises what the first bad file in order raised
                pass
        return out

    def _image(self, path: str) -> np.ndarray:
        image = _decode(path, self.size, self.mode)
        if image.shape != self.row_shape:
            (h, w), (h0, w0) = image.shape[:2], self.row_shape[:2]
            raise ValueError(
                f"image file {path!r} is {h}x{w} pixels (h x w), but the first one, "
                f"{self.paths[0]!r}, is {h0}x{w0}: pass size=(h, w) to resize all of them."
            )
        return image

    def labels(self) -> np.ndarray | None:
        return self._labels

    def traits(self, rows: np.ndarray) -> Iterator[bytes]:
        yield repr((self.size, self.mode)).encode()
        for row in rows:
            path = self.paths[row]
            try:
                stat = os.stat(path)
            except FileNotFoundError as error:
                raise _missing(path) from error
            yield repr((os.path.abspath(path), stat.st_size, stat.st_mtime_ns)).encode()


class _Items:
    """Items of a Dataset, read one after the other: a user's code need not be thread-safe."""

    def __init__(self, dataset: Any, size, mode: str | None):
        self.dataset, self.size, self.mode = dataset, size, mode
        self.name = type(dataset).__name__
        first = self._image(0)
        if not (1 <= first.ndim <= 3 and first.dtype.kind in "buif"):
            raise ValueError(
                f"{self._where(0)} has shape {first.shape} and dtype {first.dtype}: images are "
                "(h, w), (c, h, w) or (h, w, c) arrays of numbers."
            )
        self.row_shape, self.dtype = first.shape, first.dtype

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.row_shape), self.dtype)
        for i, row in enumerate(rows.tolist()):
            image = self._image(row)
            if (image.shape, image.dtype) != (self.row_shape, self.dtype):
                raise ValueError(
                    f"{self._where(row)} has shape {image.shape} and dtype {image.dtype}, but the "
                    f"first item has {self.row_shape} and {self.dtype}: all items must be alike; "
                    "resize or convert them in the Dataset."
                )
            out[i] = image
        return out

    def _image(self, row: int) -> np.ndarray:
        try:
            item = self.dataset[row]
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{self._where(row)} could not be read: {error}") from error
        except Exception as error:
            raise ValueError(f"{self._where(row)} could not be read: {error}") from error
        image = item[0] if isinstance(item, (tuple, list)) and item else item
        if hasattr(image, "convert") and hasattr(image, "mode"):  # PIL, without importing it
            if self.mode is None:
                self.mode = "L" if image.mode in ("1", "L") else "RGB"
            return _pixels(image, self.size, self.mode)
        if not isinstance(image, (np.ndarray, torch.Tensor)):
            raise TypeError(
                f"{self._where(row)} is a {type(image).__name__}: items must be a PIL image, an "
                "ndarray or a tensor, or a tuple that begins with one."
            )
        _refuse_settings(self.size, self.mode, "a Dataset of arrays or tensors")
        return np.asarray(image.detach().cpu() if isinstance(image, torch.Tensor) else image)

    def _where(self, row: int) -> str:
        samples = getattr(self.dataset, "samples", None)  # torchvision's folders
        file = f" ({samples[row][0]!r})" if isinstance(samples, list) else ""
        return f"item {row} of {self.name}{file}"

    def labels(self) -> np.ndarray | None:
        return _labels_of(self.dataset)

    def traits(self, rows: np.ndarray) -> Iterator[bytes]:
        # Addresses in a default repr differ from one process to the next.
        text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(self.dataset))
        yield repr((self.name, text, len(self), self.size, self.mode)).encode()
        yield rows.tobytes()
        if len(rows):
            yield self.read(rows[[0, len(rows) // 2, -1]]).tobytes()


class _Rows:
    """Rows of a Zarr, HDF5 or dask array, in pieces along the chunks they are stored in."""

    def __init__(self, array: Any):
        self.array = array
        self.name = f"{type(array).__module__.split('.')[0]}.{type(array).__name__}"
        self.row_shape = tuple(int(side) for side in array.shape[1:])
        self.dtype = np.dtype(array.dtype)
        chunks = getattr(array, "chunks", None)
        stored = chunks[0] if chunks else 1
        stored = stored[0] if isinstance(stored, tuple) else stored  # dask lists every block
        row_bytes = max(1, self.dtype.itemsize * int(np.prod(self.row_shape)))
        self.limit = max(1, READ_BYTES // row_bytes)
        self.step = min(max(1, int(stored)), self.limit)

    def __len__(self) -> int:
        return int(self.array.shape[0])

    def read(self, rows: np.ndarray) -> np.ndarray:
        if isinstance(self.array, np.ndarray):
            return self.array[rows]
        out = np.empty((len(rows), *self.row_shape), self.dtype)
        # Slices alone: every such array has them, and a stored chunk is read whole in any case.
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        new = (ordered[1:] // self.step != ordered[:-1] // self.step) & (np.diff(ordered) > 1)
        for piece in np.split(order, np.flatnonzero(new) + 1):
            for i in range(0, len(piece), self.limit):  # runs of neighbours may be long
                part = piece[i : i + self.limit]
                low, high = int(rows[part[0]]), int(rows[part[-1]]) + 1
                out[part] = np.asarray(self.array[low:high])[rows[part] - low]
        return out

    def labels(self) -> np.ndarray | None:
        return None

    def traits(self, rows: np.ndarray) -> Iterator[bytes]:
        for i in range(0, len(rows), self.limit):
            yield self.read(rows[i : i + self.limit]).tobytes()

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if type(self.array).__module__.split(".")[0] == "h5py":
            # An open file cannot be pickled, but can be opened again.
            state["array"] = None
            state["reopen"] = (self.array.file.filename, self.array.name)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        reopen = self.__dict__.pop("reopen", None)
        if reopen is not None:
            file, name = reopen
            self.array = importlib.import_module("h5py").File(file, "r")[name]


# ---------------------------------------------------------------- helpers


def _make_store(source: Any, size, mode: str | None) -> _Store:
    if isinstance(source, (str, os.PathLike)):
        raise TypeError(
            f"source={source!r} is one path: pass a list of image files, for example "
            "sorted(Path(folder).rglob('*.png')), or torchvision's ImageFolder(folder)."
        )
    if hasattr(source, "__len__") and not isinstance(source, IterableDataset) and not len(source):
        raise ValueError("source is empty: pass at least one image.")
    paths = _as_paths(source)
    if paths is not None:
        return _Files(paths, size, mode or "RGB")
    if _is_plain_folder(source):
        return _Files([path for path, _ in source.samples], size, mode or "RGB", source)
    if isinstance(source, Dataset) and hasattr(source, "__len__"):
        return _Items(source, size, mode)
    if _is_array(source) and len(source.shape) > 1:
        _refuse_settings(size, mode, "an array")
        return _Rows(source)
    raise TypeError(
        f"source is a {type(source).__name__}: pass a sequence of paths (all str or PathLike), a "
        "map-style torch Dataset with a length, or an array of two axes or more with shape and "
        "dtype. Streams (IterableDataset) have no rows: collect them in an array."
    )


def _as_paths(X: Any) -> list[str] | None:
    """Paths as str if X is a sequence of nothing but paths, else None."""
    if isinstance(X, np.ndarray) or hasattr(X, "to_numpy"):  # ndarray; Series of pandas, polars
        numeric = getattr(getattr(X, "dtype", None), "kind", "O") in "biufcmMVS"
        X = None if numeric or len(X.shape) != 1 else np.asarray(X).tolist()
    if not isinstance(X, (list, tuple)) or not X:
        return None
    if not all(isinstance(path, (str, os.PathLike)) for path in X):
        return None
    return [os.fspath(path) for path in X]


def _is_array(X: Any) -> bool:
    if not all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__")):
        return False
    # dask: nan where a length is not known yet.
    return all(isinstance(side, numbers.Integral) for side in X.shape)


def _is_plain_folder(X: Any) -> bool:
    """Whether X is an `ImageFolder` whose items are just what its files hold."""
    folder = sys.modules.get("torchvision.datasets.folder")  # not imported: X can't be one
    if folder is None or type(X) is not folder.ImageFolder:
        return False
    return X.transform is None and X.loader is folder.default_loader


def _labels_of(dataset: Any) -> np.ndarray | None:
    """Labels that a Dataset lists, without reading its items; None if it does not."""
    if isinstance(dataset, Subset):
        labels = _labels_of(dataset.dataset)
        return None if labels is None else labels[np.asarray(dataset.indices, np.int64)]
    if isinstance(dataset, ConcatDataset):
        parts = [_labels_of(part) for part in dataset.datasets]
        known = [part for part in parts if part is not None]
        return np.concatenate(known) if len(known) == len(parts) else None
    if isinstance(dataset, TensorDataset):
        return dataset.tensors[1].cpu().numpy() if len(dataset.tensors) > 1 else None
    for name in ("targets", "labels"):
        values = getattr(dataset, name, None)
        if hasattr(values, "__len__") and len(values) == len(dataset):
            return np.asarray(values)
    return None


def _check_size(size: Any) -> None:
    if size is None:
        return
    if not (isinstance(size, (tuple, list)) and len(size) == 2):
        raise ValueError(f"size={size!r} must be (h, w) in pixels, or None.")
    for side in size:
        check_number("size", side, low=1, integer=True)


def _refuse_settings(size, mode: str | None, what: str) -> None:
    if size is not None or mode is not None:
        raise ValueError(
            f"size={size!r}, mode={mode!r} are for files and PIL images, and source is {what}: "
            "leave them out."
        )


def _decode(path: str, size, mode: str) -> np.ndarray:
    """The pixels of a file: uint8, (h, w, 3) or (h, w)."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return _pixels(image, size, mode)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except Exception as error:  # Pillow's decoders raise many kinds
        raise ValueError(
            f"image file {path!r} could not be decoded ({error}): repair it, or leave it out."
        ) from error


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"image file {path!r} does not exist: correct the path, or leave it out."
    )


def _pixels(image: Any, size, mode: str) -> np.ndarray:
    from PIL import Image, ImageOps

    if image.mode[0] in "IF":
        # Pillow would clip most values to white.
        raise ValueError(
            f"its values, of Pillow's mode {image.mode!r}, have more than 8 bits: convert it to "
            "8 bits, or pass an array"
        )
    image = image.convert(mode)
    if size is not None:
        h, w = size
        image = ImageOps.fit(image, (w, h), Image.Resampling.BILINEAR)
    return np.asarray(image)
