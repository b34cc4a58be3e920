"""Where lazy images are read from: files, items of a Dataset, or a stored array."""

import importlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from ..utils.callers import warn_caller
from ..utils.seeds import global_state_kept
from .tensors import apart, together

N_TWICE = 4  # items of a Dataset that are read twice, to see whether they repeat
N_THREADS = min(4, os.cpu_count() or 1)  # Pillow releases the GIL while it decodes
FILES_PER_TASK = 8
READ_BYTES = 2**28  # at most this much of an array is read at once
TIFF_BITS = 258  # the tag BitsPerSample
GREY, GREY_OR_TRANSPARENT = ("1", "L"), ("1", "L", "LA", "La")  # Pillow's modes
# Formats whose further "frames" are previews or layers: of phones' photographs, and Photoshop's.
ONE_PICTURE = ("MPO", "PSD")


class Store(Protocol):
    """The images that all views of one `LazyImages` share; never modified."""

    name: str
    row_shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int: ...
    def read(self, rows: np.ndarray) -> np.ndarray: ...
    def labels(self) -> np.ndarray | None: ...
    def traits(self, rows: np.ndarray) -> Iterator[bytes]: ...


class Files:
    """Image files, decoded by a thread pool per batch, as a lasting pool could not be pickled."""

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

        with ThreadPoolExecutor(N_THREADS) as pool:
            # Raises the error of the first bad file in order.
            list(pool.map(fill, range(0, len(rows), FILES_PER_TASK)))
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


class Items:
    """Items of a Dataset, read in one thread, as user code need not be thread-safe."""

    def __init__(self, dataset: Any, size, mode: str | None):
        self.dataset, self.size = dataset, size
        self._arrays: dict[Any, np.ndarray] = {}  # of the Dataset's tensors, once it was pickled
        self.given, self.mode = mode, mode  # what PIL images are converted to
        self.name = type(dataset).__name__
        first = self._image(0)
        if not (1 <= first.ndim <= 3 and first.dtype.kind in "buif"):
            raise ValueError(
                f"{self._where(0)} has shape {first.shape} and dtype {first.dtype}: images are "
                "(h, w), (c, h, w) or (h, w, c) arrays of numbers."
            )
        self.row_shape, self.dtype = first.shape, first.dtype
        self._warn_of_random_items()

    def _warn_of_random_items(self) -> None:
        """Read a few items twice, where functions change them, which may do so at random."""
        if not _has_transform(self.dataset):
            return
        with global_state_kept():
            pairs = [(self._image(i), self._image(i)) for i in range(min(N_TWICE, len(self)))]
        if all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs):
            return
        warn_caller(
            f"items of {self.name} differ from one reading to the next, as its transform draws at "
            "random: features of the same row will differ, too. Leave such changes to augment=, "
            "and give the Dataset a transform that repeats."
        )

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.row_shape), self.dtype)
        for i, row in enumerate(rows.tolist()):
            image = self._image(row)
            if (image.shape, image.dtype) != (self.row_shape, self.dtype):
                raise ValueError(
                    f"{self._where(row)} has shape {image.shape} and dtype {image.dtype}, but the "
                    f"first item has {self.row_shape} and {self.dtype}: resize or convert the "
                    "items in the Dataset, so that all are alike."
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
            mode = self._mode_for(row, image)
            try:
                return _pixels(image, self.size, mode)
            except Exception as error:  # Pillow's decoders raise many types
                raise ValueError(f"{self._where(row)} could not be decoded ({error}).") from error
        if not isinstance(image, (np.ndarray, torch.Tensor)):
            raise TypeError(
                f"{self._where(row)} is a {type(image).__name__}: items must be a PIL image, an "
                "ndarray or a tensor, or a tuple whose first element is one."
            )
        refuse_settings(self.size, self.given, "a Dataset of arrays or tensors")
        return np.asarray(image.detach().cpu() if isinstance(image, torch.Tensor) else image)

    def _mode_for(self, row: int, image: Any) -> str:
        if self.mode is None:
            self.mode = "L" if image.mode in GREY else "RGB"
        if self.given is None and self.mode == "L" and image.mode not in GREY_OR_TRANSPARENT:
            raise ValueError(
                f"{self._where(row)} has Pillow's mode {image.mode!r}, but the first one is grey: "
                "choose one for all, as in LazyImages(..., mode='RGB') or mode='L'."
            )
        return self.mode

    def _where(self, row: int) -> str:
        samples = getattr(self.dataset, "samples", None)  # as in torchvision's ImageFolder
        file = f" ({samples[row][0]!r})" if isinstance(samples, list) else ""
        return f"item {row} of {self.name}{file}"

    def labels(self) -> np.ndarray | None:
        return _labels_of(self.dataset)

    def traits(self, rows: np.ndarray) -> Iterator[bytes]:
        # A default repr contains an address, which differs between processes.
        text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(self.dataset))
        yield repr((self.name, text, len(self), self.size, self.mode)).encode()
        yield rows.tobytes()
        if len(rows):
            yield self.read(rows[[0, len(rows) // 2, -1]]).tobytes()

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name != "_arrays"}
        parts = apart(self.dataset, self._arrays)
        return state if parts is None else state | {"dataset": None, "parts": parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _arrays={})
        if (parts := self.__dict__.pop("parts", None)) is not None:
            self.dataset = together(*parts)


class Pictures(Items):
    """Images of Pillow in a list, which are compared before any is used."""

    def __init__(self, pictures: list[Any], size, mode: str | None):
        super().__init__(pictures, size, mode)
        for row, image in enumerate(pictures):
            if not hasattr(image, "convert"):
                what = type(image).__name__
                raise TypeError(f"{self._where(row)} is a {what}, but others are PIL images.")
            self._mode_for(row, image)
            if size is None and image.size != pictures[0].size:
                (w, h), (w0, h0) = image.size, pictures[0].size
                raise ValueError(
                    f"{self._where(row)} is {h}x{w} pixels (h x w), but the first one is "
                    f"{h0}x{w0}: resize them, as LazyImages(..., size=(h, w)) does."
                )

    def labels(self) -> np.ndarray | None:
        return None

    def traits(self, rows: np.ndarray) -> Iterator[bytes]:
        yield repr((self.name, len(self), self.size, self.mode)).encode()
        for i in range(0, len(rows), FILES_PER_TASK):
            yield self.read(rows[i : i + FILES_PER_TASK]).tobytes()


class StoredRows:
    """Rows of a Zarr, HDF5 or dask array, read along the chunks in which they are stored."""

    def __init__(self, array: Any):
        self.array = array
        self.name = f"{type(array).__module__.split('.')[0]}.{type(array).__name__}"
        self.is_hdf5 = type(array).__module__.split(".")[0] == "h5py"
        self.row_shape = tuple(int(side) for side in array.shape[1:])
        self.dtype = np.dtype(array.dtype)
        chunks = getattr(array, "chunks", None)
        stored = chunks[0] if chunks else 1
        stored = stored[0] if isinstance(stored, tuple) else stored  # of every block, in dask
        row_bytes = max(1, self.dtype.itemsize * int(np.prod(self.row_shape)))
        self.limit = max(1, READ_BYTES // row_bytes)
        self.step = min(max(1, int(stored)), self.limit)

    def __len__(self) -> int:
        return int(self.array.shape[0])

    def read(self, rows: np.ndarray) -> np.ndarray:
        if isinstance(self.array, np.ndarray):
            return self.array[rows]
        if self.is_hdf5:
            self._file()
        out = np.empty((len(rows), *self.row_shape), self.dtype)
        # Every such array supports slices, and stored chunks are read as a whole anyway.
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        cut = np.diff(ordered) > 1
        if self.step > 1 and cut.any():
            cut = np.diff(ordered // self.step) > 0
        for piece in np.split(order, np.flatnonzero(cut) + 1):
            for i in range(0, len(piece), self.limit):  # a run of adjacent rows may be long
                part = piece[i : i + self.limit]
                low, high = int(rows[part[0]]), int(rows[part[-1]]) + 1
                out[part] = np.asarray(self.array[low:high])[rows[part] - low]
        return out

    def _file(self) -> Any:
        """The HDF5 file, which has to be open."""
        if not self.array:
            raise ValueError("the HDF5 file of X has been closed: keep it open while X is used.")
        return self.array.file

    def labels(self) -> np.ndarray | None:
        return None

    def traits(self, rows: np.ndarray) -> Iterator[bytes]:
        for i in range(0, len(rows), self.limit):
            yield self.read(rows[i : i + self.limit]).tobytes()

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self.is_hdf5:
            # An open file cannot be pickled, but it can be opened again.
            state["array"] = None
            file = self._file()
            if file.mode != "r":
                raise TypeError(
                    f"HDF5 file {file.filename!r} is open for writing, and other processes cannot "
                    "open it then: open it with mode 'r'."
                )
            stat = os.stat(file := file.filename)  # for caches that hash the pickle
            state["reopen"] = file, self.array.name, stat.st_size, stat.st_mtime_ns
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "reopen" in state:
            file, name, *_ = self.__dict__.pop("reopen")
            self.array = importlib.import_module("h5py").File(file, "r")[name]


def _has_transform(dataset: Any) -> bool:
    inner = [
        getattr(dataset, "dataset", None),
        *getattr(dataset, "datasets", ()),
    ]  # of a part, a sum
    if any(_has_transform(part) for part in inner if part is not None):
        return True
    return any(getattr(dataset, name, None) for name in ("transform", "transforms"))


def _labels_of(dataset: Any) -> np.ndarray | None:
    """The labels that a Dataset lists, without reading its items, or None."""
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
        if values is not None and hasattr(values, "__len__") and len(values) == len(dataset):
            return _transformed(dataset, np.asarray(values))
    return None


def _transformed(dataset: Any, labels: np.ndarray) -> np.ndarray:
    """Labels as items have them, in torchvision's Datasets by a function of each listed one."""
    change = getattr(dataset, "target_transform", None)
    if change is None:
        return labels
    return np.asarray([np.asarray(change(label)) for label in labels.tolist()])


def refuse_settings(size, mode: str | None, what: str) -> None:
    if size is not None or mode is not None:
        raise ValueError(
            f"size={size!r}, mode={mode!r} are for files and PIL images, but source is {what}: "
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
    except Exception as error:  # Pillow's decoders raise many types
        raise ValueError(
            f"image file {path!r} could not be decoded ({error}): repair it, or leave it out."
        ) from error


def _has_lost_bits(image: Any) -> bool:
    """Whether Pillow decodes colours of more than 8 bits as 8; known of files not yet decoded."""
    if max(np.atleast_1d(getattr(image, "tag_v2", {}).get(TIFF_BITS, 8))) > 8:
        return True
    for decoder, _, _, args in getattr(image, "tile", ()):
        mode, *rest = args if isinstance(args, tuple) else (args,)
        if decoder == "SGI16" or (decoder == "sgi_rle" and rest[-1] == 2):
            return True
        if decoder in ("ppm", "ppm_plain") and rest and rest[0] > 255:
            return True
        if isinstance(mode, str) and re.search(";16[BLNS]", mode):  # as in PNG's "RGB;16B"
            return True
    return False


def _missing(path: str) -> FileNotFoundError:
    text = f"image file {path!r} does not exist: correct the path, or leave it out."
    return FileNotFoundError(text)


def _pixels(image: Any, size, mode: str) -> np.ndarray:
    from PIL import Image, ImageOps

    if image.mode[0] in "IF" or _has_lost_bits(image):
        # Pillow would clip most values to white, or drop the lower bits.
        raise ValueError(
            f"its values, in Pillow's mode {image.mode!r}, have more than 8 bits: convert it to "
            "8 bits, or pass an array"
        )
    n_pages = 1 if image.format in ONE_PICTURE else getattr(image, "n_frames", 1)
    if n_pages > 1:
        raise ValueError(
            f"it has {n_pages} pages or frames, of which one would be read: save each that is "
            "wanted as a file of its own, or pass an array"
        )
    image = image.convert(mode)
    if size is not None:
        h, w = size
        image = ImageOps.fit(image, (w, h), Image.Resampling.BILINEAR)
    return np.asarray(image)
