"""The range of images: learnt in fit, with a word where what is learnt cannot be meant."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..utils.callers import warn_caller
from ..utils.checks import check_number, is_word
from .sources import LazyImages

USUAL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
CHUNK_VALUES = 2**24  # values that are read at a time when a large array is scanned
LOOKED_AT, LAZY_LOOKED_AT = 256, 64  # images of a sample; fewer where each is decoded for it
SAMPLE_VALUES = 2**21  # values of a sample, at most
FEW = 1e-3  # the share of values that does not make a range
APART = 10  # a range this many times as wide as that of the other values is not theirs
LEAST_FILLED = 0.01  # the part of a common range that each channel should fill
LARGEST, SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)

Bounds = float | tuple[float, ...]  # one for all channels, or one a channel


class Layout:
    """Where rows of X have their channels: (c, h, w), and whether channels are last."""

    def __init__(self, image_shape: tuple[int, ...], channels_last: bool):
        self.n_channels, self.last = image_shape[0], channels_last

    def by_channel(self, rows: np.ndarray) -> np.ndarray:
        """The values of each channel, (n, c, pixels)."""
        if self.last:
            return rows.reshape(len(rows), -1, self.n_channels).transpose(0, 2, 1)
        return rows.reshape(len(rows), self.n_channels, -1)


def chunks(X: Any) -> Iterator[np.ndarray]:
    """All of X, in pieces that fit in memory."""
    step = max(1, CHUNK_VALUES // max(1, math.prod(X.shape[1:])))
    return (np.asarray(X[i : i + step]) for i in range(0, len(X), step))


def extremes(X: Any) -> tuple[float, float]:
    """The smallest and the largest value of X."""
    lows, highs = zip(*((c.min(), c.max()) for c in chunks(X)), strict=True)
    return float(min(lows)), float(max(highs))


def sample_of(X: Any) -> np.ndarray:
    """Some samples of X, evenly spread over it."""
    most = LAZY_LOOKED_AT if isinstance(X, LazyImages) else LOOKED_AT
    n = min(len(X), most, max(1, SAMPLE_VALUES // math.prod(X.shape[1:])))
    return np.asarray(X[np.linspace(0, len(X) - 1, n).astype(np.int64)])


def resolve_range(X: Any, layout: Layout, value_range: Any) -> tuple[Bounds, Bounds]:
    """The values of X that become -1 and 1: those given, or with "auto" those learnt.

    Parameters
    ----------
    X : ndarray or LazyImages
        Images.
    layout : Layout
    value_range : "auto", (low, high), or a sequence of (low, high), one a channel

    Returns
    -------
    low, high : float, or tuple of float with one a channel

    Raises
    ------
    ValueError
        If `value_range` is none of these, or if X has NaN, infinity or numbers that float32 does
        not hold.

    Warns
    -----
    UserWarning
        If "auto" finds a range that a few values set, that one channel hardly fills, or bytes of
        0 and 1 only.
    """
    if not is_word(value_range, "auto"):
        low, high = _given(value_range, layout.n_channels)
        if X.dtype.kind == "f" and X.dtype.itemsize > 4 and not isinstance(X, LazyImages):
            _check_held(*extremes(X), "X")
        return low, high
    if X.dtype == np.uint8:
        _warn_of_two_levels(X)
        _warn_of_narrow_channels(X, sample_of(X), layout, 0.0, 255.0)
        return 0.0, 255.0
    smallest, largest = extremes(X)
    if not math.isfinite(smallest + largest):
        raise ValueError("X contains NaN or infinity: leave out or repair these images.")
    _check_held(smallest, largest, "X")
    bounds = _learnt(smallest, largest)
    sample = sample_of(X)
    if not _warn_of_few(X, sample, smallest, largest, bounds):
        _warn_of_narrow_channels(X, sample, layout, *bounds)
    return bounds


def _given(value_range: Any, n_channels: int) -> tuple[Bounds, Bounds]:
    several = isinstance(value_range, (tuple, list)) and bool(value_range)
    several = several and all(isinstance(pair, (tuple, list)) for pair in value_range)
    if several and len(value_range) != n_channels:
        raise ValueError(
            f"value_range={value_range!r} has {len(value_range)} pair(s), but X has {n_channels} "
            "channel(s): give one (low, high) for all channels, or one a channel."
        )
    pairs = [_pair(value_range, pair) for pair in (value_range if several else [value_range])]
    lows, highs = zip(*pairs, strict=True)
    return (lows, highs) if several else pairs[0]


def _pair(value_range: Any, pair: Any) -> tuple[float, float]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(
            f"value_range={value_range!r} must be 'auto', (low, high), or one (low, high) a "
            "channel."
        )
    for bound in pair:
        check_number("value_range", bound, high=math.inf)
    low, high = map(float, pair)
    if low >= high:
        raise ValueError(f"value_range={value_range!r} must have low < high.")
    _check_held(low, high, f"value_range={value_range!r}")
    return low, high


def _learnt(smallest: float, largest: float) -> tuple[float, float]:
    for low, high in USUAL_RANGES:
        inside = low <= smallest and largest <= high
        # Without these conditions, 0..16 would be mistaken for 0..255, and 0..0.4 for -1..1.
        if inside and largest > (low + high) / 2 and (smallest < 0 or low == 0):
            return low, high
    if largest > smallest:
        return smallest, largest
    # Beyond 2^52, one more is the same number.
    return smallest, smallest + max(1.0, 2 * math.ulp(smallest))


def _check_held(low: float, high: float, what: str) -> None:
    """Raise for numbers that are infinite in float32, or that it cannot tell from zero."""
    if max(-low, high) > LARGEST:
        raise ValueError(
            f"{what} reaches {max(low, high, key=abs):g}, but networks compute in float32, whose "
            f"largest number is {LARGEST:.2g}: divide X by a constant, or repair such values."
        )
    if 0 < high - low < SMALLEST:
        raise ValueError(
            f"{what} lies in [{low:g}, {high:g}], whose width is below float32's smallest number, "
            f"{SMALLEST:.2g}: multiply X by a constant."
        )


# ---------------------------------------------------------------- what cannot be meant


def _warn_of_two_levels(X: Any) -> None:
    """Bytes that are masks of 0 and 1 are all but black in the range of bytes."""
    if sample_of(X).max() != 1 or (not isinstance(X, LazyImages) and extremes(X)[1] != 1):
        return
    warn_caller(
        "X is of type uint8 and holds 0 and 1 only: in the range of bytes, 0 to 255, such images "
        "are all but black. Set value_range=(0, 1)."
    )


def _middle(values: np.ndarray) -> tuple[float, float]:
    """The range of all but the most extreme values, which are a share of FEW."""
    n = int(len(values) * FEW / 2)
    ordered = np.partition(values, [n, len(values) - 1 - n])
    return float(ordered[n]), float(ordered[len(values) - 1 - n])


def _warn_of_few(
    X: Any, sample: np.ndarray, smallest: float, largest: float, bounds: tuple[float, float]
) -> bool:
    """Warn of a range that is that of a marker, or of a few values; return whether it is."""
    values = sample.ravel().astype(np.float64)
    for ends in ((), (smallest,), (largest,), (smallest, largest)):
        rest = values[~np.isin(values, ends)]
        low, high = _middle(rest) if len(rest) else (0.0, 0.0)
        width = high - low
        if 0 < APART * width < largest - smallest:
            break
    else:
        return False
    marker = smallest if low - smallest > largest - high else largest
    n_apart = n_marked = 0
    for chunk in chunks(X):
        n_apart += int(((chunk < low - width) | (chunk > high + width)).sum())
        n_marked += int((chunk == marker).sum())
    n = math.prod(X.shape)
    # Levels such as 0, 0.95 and 1 are usual; a border of -9999 around the image is not.
    if n_apart > n * (FEW if bounds in USUAL_RANGES else 0.5):
        return False
    warn_caller(
        f"the range of X, [{smallest:g}, {largest:g}], is set by {n_apart:,} of {n:,} values "
        f"({n_marked:,} of them {marker:g}); nearly all others lie in [{low:g}, {high:g}], and "
        "become all but equal. Replace such values if they mark missing pixels, or set "
        f"value_range, such as value_range=({low:.4g}, {high:.4g})."
    )
    return True


def _warn_of_narrow_channels(
    X: Any, sample: np.ndarray, layout: Layout, low: float, high: float
) -> None:
    """Warn of channels that differ, but by less than a hundredth of the common range."""
    least = LEAST_FILLED * (high - low)

    def narrow(lows: np.ndarray, highs: np.ndarray) -> np.ndarray:
        return (highs > lows) & (highs - lows < least)

    if layout.n_channels == 1 or not narrow(*_of_channels([sample], layout)).any():
        return
    lazy = isinstance(X, LazyImages)  # which would be decoded once more
    lows, highs = _of_channels([sample] if lazy else chunks(X), layout)
    found = np.flatnonzero(narrow(lows, highs))
    if len(found) == 0:
        return
    k = found[0]
    highs = np.where(highs > lows, highs, lows + 1)
    ranges = [f"({a:.4g}, {b:.4g})" for a, b in zip(lows, highs, strict=True)]
    shown = ranges if len(ranges) <= 8 else [*ranges[:8], "..."]
    warn_caller(
        f"channel {k} of X lies in [{lows[k]:g}, {highs[k]:g}], less than 1 % of the range "
        f"({low:g}, {high:g}) that all channels share (so do {len(found)} of "
        f"{layout.n_channels} channels): networks hardly see it. Set value_range to one (low, "
        f"high) a channel, such as those found, [{', '.join(shown)}]."
    )


def _of_channels(parts: Iterable[np.ndarray], layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest value of each channel."""
    found = []
    for part in parts:
        values = layout.by_channel(part)
        found.append((values.min(axis=(0, 2)), values.max(axis=(0, 2))))
    lows, highs = zip(*found, strict=True)
    return np.min(lows, axis=0).astype(float), np.max(highs, axis=0).astype(float)


# ---------------------------------------------------------------- X after fit


def check_scale(X: Any, layout: Layout, low: Bounds, high: Bounds, dtype: str) -> None:
    """Warn where X, after fit, seems to be on another scale than the X of fit.

    All of an array is looked at, but only the first of lazy images: to decode all of them for this
    would be too slow.

    Parameters
    ----------
    X : ndarray or LazyImages
        Images.
    layout : Layout
    low, high : float, or tuple of float with one a channel
        What becomes -1 and 1.
    dtype : str
        The dtype of X in fit.

    Raises
    ------
    ValueError
        If X has numbers that float32 does not hold.
    """
    lazy = isinstance(X, LazyImages)
    if X.dtype == np.uint8 and (low, high) == (0, 255):
        if not lazy and len(X) > 1 and sample_of(X).max() == 1 and extremes(X)[1] == 1:
            _warn_of_scale(0.0, 1.0, low, high)
        return
    sample = np.asarray(X[:LOOKED_AT]) if lazy else sample_of(X)
    whole = sample if lazy else X
    if isinstance(low, tuple) and isinstance(high, tuple):
        lows, highs = _of_channels(chunks(whole), layout)
        parts: Any = zip(
            layout.by_channel(sample).swapaxes(0, 1), lows, highs, low, high, strict=True
        )
    else:
        parts = [(sample, *extremes(whole), low, high)]
    for part, smallest, largest, a, b in parts:
        if not lazy:
            _check_held(smallest, largest, "X")
        if _is_other_scale(part, len(sample), float(smallest), float(largest), a, b, dtype):
            _warn_of_scale(smallest, largest, a, b)
            return


def _is_other_scale(
    values: np.ndarray, n: int, smallest: float, largest: float, low: float, high: float, dtype: str
) -> bool:  # fmt: skip
    """Whether values of n images are on another scale than images in [low, high].

    One dark or bright image must not pass for one of another scale: rules that such images meet,
    too, ask for several images.
    """
    span = high - low
    if smallest < low - span / 2 or largest > high + span / 2:
        return True
    if values.dtype.kind != "f":
        masks = n > 1 and smallest >= 0 and largest == 1 and span >= 200
        # Bytes fill a sixteenth of 12 bits.
        return masks or (values.dtype == np.uint8 and dtype != "uint8" and span > 4 * 255)
    if smallest >= 0 and 0 < largest <= span / 200:
        return True  # fitted on 0..255 and given 0..1: within the range, but every image is black
    if n >= 16 and low <= -span / 4 and smallest == 0 < largest:
        return True  # fitted on -1..1 and given 0..1
    with np.errstate(invalid="ignore", over="ignore"):  # of lazy images, which are checked later
        reach = abs(values.mean(dtype=np.float64)) + 3 * values.std(dtype=np.float64)
        # Fitted on 0..255 and given -1..1, or images less their mean by their deviation.
        if (values < low).mean() > 0.01 and reach <= span / 20:
            return True
    # As the first rule, but for a few bright pixels; dark bytes are whole numbers.
    bright = (values > span / 200).mean()
    return bool(n >= 8 and smallest >= 0 and bright <= FEW and (values != np.rint(values)).any())


def _warn_of_scale(smallest: float, largest: float, low: Bounds, high: Bounds) -> None:
    warn_caller(
        f"X lies in [{smallest:g}, {largest:g}], which is far from value_range=({low:g}, "
        f"{high:g}), which was set or learnt in fit: scale X as it was then, or the features are "
        "meaningless."
    )
