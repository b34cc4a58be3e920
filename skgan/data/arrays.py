"""Arrays: the format of X, learnt in fit; batches for the networks, and their inverse."""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..utils.checks import check_choice, check_finite, check_number
from ..utils.devices import on_cpu_by_default
from ..utils.kinds import Kind, array, is_number, tuple_of
from .ranges import LARGEST, Bounds, Layout, check_scale, chunks, extremes, resolve_range
from .sources import LazyImages, read_ahead

SMALLEST_SIDE = 8  # pixels
USUAL_CHANNELS = (1, 3, 4)
FAR = 16  # how many times its half width a range may be off 0 before float32 loses digits


@dataclass(frozen=True, eq=False)
class DataFormat:
    """How samples of X are converted for the networks: plain data, kept with the fit.

    Attributes
    ----------
    row_shape : tuple of int
        Shape of X without its first axis.
    image_shape : (c, h, w) or None
        Shape of an image; None if X is a table.
    channels_last : bool
        Whether channels are the last axis of X.
    low, high : float, or tuple of float
        The values of X that become -1 and 1, for all channels or one for each (images only).
    mean, scale : float64 ndarray or None
        Mean and standard deviation of each column (tables only).
    dtype : str
        The dtype of X in fit. If it is "uint8", `decode` returns uint8.
    """

    row_shape: tuple[int, ...]
    image_shape: tuple[int, int, int] | None
    channels_last: bool = False
    low: Bounds = 0.0
    high: Bounds = 1.0
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None
    dtype: str = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a sample as the networks receive it: (c, h, w) or (columns,)."""
        return self.row_shape if self.image_shape is None else self.image_shape

    @property
    def value_range(self) -> Any:
        """The range of images, as the parameter of that name takes it."""
        if isinstance(self.low, tuple) and isinstance(self.high, tuple):
            return tuple(zip(self.low, self.high, strict=True))
        return self.low, self.high

    @property
    def is_far(self) -> bool:
        """Whether images are so far from 0 that float32 would lose digits of their differences."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return bool(np.any(np.abs(low + high) > FAR * (high - low)))

    def tensor(self, rows: np.ndarray) -> Tensor:
        """Samples of X, not scaled: float32 (n, c, h, w), or float64 (n, columns).

        Images far from 0 are float64, too.
        """
        if self.image_shape is None or self.is_far:
            return self.laid_out(torch.from_numpy(rows.astype(np.float64)))
        x = torch.from_numpy(rows.astype(np.uint8 if rows.dtype == np.uint8 else np.float32))
        return self.laid_out(x.float())

    def laid_out(self, x: Tensor) -> Tensor:
        """Samples (n, *row_shape) in the shape in which the networks receive them."""
        if self.image_shape is None:
            return x
        c, h, w = self.image_shape
        if self.channels_last:
            return x.reshape(-1, h, w, c).permute(0, 3, 1, 2).contiguous()
        return x.reshape(-1, c, h, w)

    @on_cpu_by_default
    def scaling(self) -> tuple[Tensor, Tensor]:
        """(shift, scale): the networks receive (x - shift) / scale."""
        if self.mean is not None and self.scale is not None:
            return torch.tensor(self.mean), torch.tensor(self.scale)  # copies
        low, high = np.asarray(self.low), np.asarray(self.high)
        half = (high - low) / 2
        if isinstance(self.low, tuple) or self.is_far:  # with axes, float64 stays float64
            dtype = torch.float64 if self.is_far else torch.float32
            shift, scale = (
                torch.tensor(v, dtype=dtype).reshape(-1, 1, 1) for v in (low + half, half)
            )
            return shift, scale
        return torch.tensor(float(low + half)), torch.tensor(float(half))

    def encode(self, rows: np.ndarray) -> Tensor:
        """Samples of X as the networks receive them: images in [-1, 1], standardised columns."""
        shift, scale = self.scaling()
        return self.tensor(rows).sub_(shift).div_(scale).float()

    def decode(self, x: Tensor) -> np.ndarray:
        """The networks' output, converted to the layout and range that X had in fit.

        The dtype is uint8 if that of X was. Otherwise it is float32, or for tables, and images far
        from 0, float64 if float32 could not represent the numbers of X.
        """
        shift, scale = self.scaling()
        x = x.detach().cpu() * scale + shift
        if self.channels_last:
            x = x.permute(0, 2, 3, 1)
        rows = x.reshape(-1, *self.row_shape).numpy()
        if self.image_shape is None or self.is_far:
            rows = rows.astype(np.result_type(self.dtype, np.float32))
        if self.dtype == "uint8":
            return np.clip(np.rint(rows), 0, 255).astype(np.uint8)
        return rows

    def check_shape(self, X: Any) -> None:
        """Raise for samples of another shape than those of fit."""
        if X.shape[1:] != self.row_shape:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but this estimator was fitted on samples "
                f"of shape {self.row_shape}: pass images of the same size, channels and layout; "
                "LazyImages(X, size=(h, w)) resizes files and PIL images."
            )

    def check(self, X: Any) -> None:
        """Raise if the shape, and warn if the range, of X differs from the X of fit."""
        self.check_shape(X)
        if self.image_shape is not None:
            layout = Layout(self.image_shape, bool(self.channels_last))
            check_scale(X, layout, self.low, self.high, self.dtype)
        elif not isinstance(X, LazyImages):
            self._check_table(X)

    def _check_table(self, X: np.ndarray) -> None:
        """Raise for a number that float32 does not hold once its column is standardised."""
        mean: Any = self.mean
        scale: Any = self.scale
        with np.errstate(over="ignore"):
            low, high = extremes(X)
            if max(-low, high) <= (LARGEST * scale - np.abs(mean)).min():
                return
            start = 0
            for chunk in chunks(X):
                beyond = np.abs(chunk - mean) / scale > LARGEST
                if beyond.any():
                    row, column = np.argwhere(beyond)[0]
                    raise ValueError(
                        f"row {start + row}, column {column} of X is {chunk[row, column]:g}, which "
                        "is beyond float32 once the column is standardised as in fit (mean "
                        f"{mean[column]:g}, standard deviation {scale[column]:g}): leave out or "
                        "repair it."
                    )
                start += len(chunk)


_DTYPE = Kind("a type of numbers", lambda v: type(v) is str and np.dtype(v).kind in "biuf")


def _is_sound(form: Any) -> bool:
    """Whether it is a format whose fields are of their kinds and go together."""
    if type(form) is not DataFormat:
        return False
    tuple_of(1, 2, 3).check("_format.row_shape", form.row_shape)
    _DTYPE.check("_format.dtype", form.dtype)
    good = isinstance(form.channels_last, (bool, np.bool_)) and _are_bounds(form)
    mean: Any = form.mean
    scale: Any = form.scale
    if form.image_shape is not None:
        tuple_of(3).check("_format.image_shape", form.image_shape)
        same = math.prod(form.image_shape) == math.prod(form.row_shape)
        return good and same and mean is None and scale is None
    for name, moments in (("mean", mean), ("scale", scale)):
        array("f").check(f"_format.{name}", moments)
        good = good and moments.shape == form.row_shape and moments.dtype == np.float64
    return good and bool(np.isfinite(mean).all() and np.all(scale > 0))


def _are_bounds(form: DataFormat) -> bool:
    """Whether `low` and `high` are two numbers, or as many of each as there are channels."""
    pairs: tuple[Any, ...] = ((form.low, form.high),)
    if type(form.low) is type(form.high) is tuple:
        shape: Any = form.image_shape
        if type(shape) is not tuple or {len(form.low), len(form.high)} != {shape[0]}:
            return False
        pairs = form.value_range
    numbers = all(is_number(bound) for pair in pairs for bound in pair)
    return numbers and all(-math.inf < low < high < math.inf for low, high in pairs)


FORMAT = Kind("a DataFormat whose fields go together", _is_sound)


class ArraySource:
    """The samples of an array, a memmap or `LazyImages`, encoded batch by batch.

    Parameters
    ----------
    X : ndarray or LazyImages
    data_format : DataFormat
    labels : int64 ndarray (n,) or None
        Class indices of the samples, -1 for those without a label.
    domains : int64 ndarray (n,) or None
        Indices of the domains that the samples are from, where domains play a part.
    """

    def __init__(
        self, X: Any, data_format: DataFormat, labels: np.ndarray | None = None,
        domains: np.ndarray | None = None,
    ):  # fmt: skip
        self.X = X
        self.format = data_format
        self.labels, self.domains = labels, domains

    def __len__(self) -> int:
        return len(self.X)

    def batch(self, rows: np.ndarray | slice) -> Tensor:
        decoded = np.asarray(self.X[rows])
        if isinstance(self.X, LazyImages) and decoded.dtype.kind == "f":
            numbers = np.arange(len(self.X))[rows]
            check_finite("X", decoded, numbers)
            encoded = self.format.encode(decoded)
            check_finite("X, in float32,", encoded.numpy(), numbers)
            return encoded
        return self.format.encode(decoded)

    def batches(self, rows: Iterable[np.ndarray | slice]) -> Iterator[Tensor]:
        """Batches in order; lazy images are decoded one batch ahead."""
        if isinstance(self.X, LazyImages):
            return read_ahead(rows, self.batch)
        return map(self.batch, rows)

    def fingerprint(self) -> str:
        """A digest of the shape, dtype and values of X, and of the labels and domains."""
        if isinstance(self.X, LazyImages):
            found = self.X.fingerprint()
        else:
            digest = hashlib.sha256(f"{self.X.shape} {self.X.dtype}".encode())
            for chunk in chunks(self.X):
                digest.update(chunk.tobytes())
            found = digest.hexdigest()[:16]
        for name in ("labels", "domains"):
            if (values := getattr(self, name)) is not None:
                found += f", {name} {hashlib.sha256(values.tobytes()).hexdigest()[:16]}"
        return found


class Subset:
    """The samples of a source, or of such a part of one, at some indices."""

    def __init__(self, source: Any, rows: np.ndarray):
        self.source, self.rows = source, rows
        self.X, self.format = source.X, source.format
        self.labels = None if source.labels is None else source.labels[rows]
        self.domains = None if source.domains is None else source.domains[rows]

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, rows: Iterable[np.ndarray | slice]) -> Iterator[Tensor]:
        """Batches in order."""
        return self.source.batches(self.rows[r] for r in rows)


def opened(X: Any) -> Any:
    """X with tensors as arrays, and what has to be decoded as `LazyImages`.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As in `LazyImages`; a ValueError for masked values.
    """
    X = LazyImages.of(X)
    if isinstance(X, Tensor):
        return (X.float() if X.dtype == torch.bfloat16 else X).numpy(force=True)
    if np.ma.is_masked(X):
        raise ValueError(
            f"X is a masked array with {np.ma.count_masked(X):,} masked values, which networks "
            "would take for values: fill them, as X.filled(0) or an imputer does."
        )
    return X


def check_numeric(X: np.ndarray) -> None:
    """Raise for dates, which scikit-learn accepts."""
    if X.dtype.kind not in "biuf":
        hint = "pass numbers, such as X.astype('int64') for dates."
        raise ValueError(f"X is of type {X.dtype}: {hint}")


def learn_format(X: np.ndarray, image_shape, data_format: str, value_range) -> DataFormat:
    """Determine the format of X.

    Parameters
    ----------
    X : ndarray of shape (n, columns), (n, h, w), (n, c, h, w) or (n, h, w, c)
    image_shape : None, (h, w) or (c, h, w)
        Required for images in 2-D X; with None, 2-D X is a table.
    data_format : {"auto", "channels_first", "channels_last"}
    value_range : "auto", (low, high), or a sequence of (low, high), one a channel

    Raises
    ------
    ValueError
        If the shapes do not match, the layout is ambiguous, or an image side is below 8 pixels.
    """
    check_choice("data_format", data_format, ("auto", "channels_first", "channels_last"))
    image_shape = _check_image_shape(image_shape)
    row_shape = X.shape[1:]
    if X.ndim == 2 and image_shape is None:
        mean, scale = _column_moments(X)
        return DataFormat(row_shape, None, mean=mean, scale=scale, dtype=str(X.dtype))
    if X.ndim == 2:
        if math.prod(image_shape) != row_shape[0]:
            raise ValueError(
                f"image_shape={image_shape} holds {math.prod(image_shape)} values, but X has "
                f"{row_shape[0]} columns: they must be equal."
            )
        channels_last, found = data_format == "channels_last", image_shape
    elif X.ndim == 3:
        channels_last, found = False, (1, *row_shape)
    elif X.ndim == 4:
        channels_last = _is_channels_last(row_shape, data_format)
        a, b, c = row_shape
        found = (c, a, b) if channels_last else (a, b, c)
    else:
        raise ValueError(
            f"X has shape {X.shape}: expected (n, columns), (n, h, w), (n, c, h, w) or "
            "(n, h, w, c)."
        )
    if image_shape is not None and image_shape != found:
        raise ValueError(
            f"image_shape={image_shape}, but X of shape {X.shape} holds images of shape {found}: "
            "drop image_shape, or reshape X."
        )
    if min(found[1:]) < SMALLEST_SIDE:
        raise ValueError(
            f"images are {found[1]}x{found[2]} pixels, but both sides must be at least "
            f"{SMALLEST_SIDE}: enlarge or pad them, or leave image_shape out to treat X as a "
            "table."
        )
    low, high = resolve_range(X, Layout(found, channels_last), value_range)
    return DataFormat(row_shape, found, channels_last, low, high, dtype=str(X.dtype))


def _check_image_shape(image_shape) -> tuple[int, ...] | None:
    if image_shape is None:
        return None
    shape = tuple(image_shape) if isinstance(image_shape, (tuple, list)) else ()
    if len(shape) not in (2, 3):
        raise ValueError(f"image_shape={image_shape!r} must be (c, h, w) or (h, w).")
    for side in shape:
        check_number("image_shape", side, low=1, integer=True)
    return (1, *shape) if len(shape) == 2 else shape


def _is_channels_last(row_shape: tuple[int, ...], data_format: str) -> bool:
    if data_format != "auto":
        return data_format == "channels_last"
    a, b, c = row_shape
    first = min(b, c) >= SMALLEST_SIDE and (b == c or a in USUAL_CHANNELS)
    last = min(a, b) >= SMALLEST_SIDE and (a == b or c in USUAL_CHANNELS)
    if first == last:
        raise ValueError(
            f"X has samples of shape {row_shape}, whose channels could be first or last: set "
            "data_format='channels_first' or 'channels_last'."
        )
    return last


@np.errstate(over="ignore", invalid="ignore")
def _column_moments(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per column; constant columns get scale 1."""
    mean = sum(c.sum(0, dtype=np.float64) for c in chunks(X)) / len(X)
    square = sum(np.square(c - mean).sum(0, dtype=np.float64) for c in chunks(X)) / len(X)
    scale = np.sqrt(square)
    bad = np.isinf(mean) | np.isinf(scale)
    tiny = square < np.finfo(np.float64).tiny  # of a constant column, or it has no digits left
    if tiny.any():
        low = np.min([c.min(0) for c in chunks(X)], axis=0).astype(np.float64)
        high = np.max([c.max(0) for c in chunks(X)], axis=0).astype(np.float64)
        bad |= tiny & (high - low > 1e-12 * np.abs(mean))
    if bad.any():
        raise ValueError(
            f"column {bad.argmax()} of X has no standard deviation that float64 holds: multiply or "
            "divide it by a constant, or repair its extreme values."
        )
    scale[scale <= 1e-12 * np.abs(mean)] = 1.0  # within rounding error of the mean
    return mean, scale
