"""Rows of a table that look like flattened images, of which users should be told."""

import math
from typing import Any

import numpy as np

from ..utils.callers import warn_caller

SMALLEST_SIDE = 8  # pixels
LEAST_LEVELS = 16  # of grey: counts, choices and flags have fewer
LOOKED_AT = 1000  # rows
SHARED = 0.1  # the part of the columns that reach the largest value, in images of one range


def side_of_flat_images(X: Any) -> int | None:
    """The side of the square grey images that the rows of a table seem to be, or None.

    Their number of columns is a square, of at least 8x8 pixels, and their values are bytes, or
    whole numbers of one range from 0 that many columns fill up.
    """
    side = math.isqrt(X.shape[1])
    if side < SMALLEST_SIDE or side**2 != X.shape[1]:
        return None
    rows = np.asarray(X[:: max(1, len(X) // LOOKED_AT)][:LOOKED_AT])
    high = rows.max()
    if rows.dtype.kind not in "uif" or rows.min() != 0 or high < LEAST_LEVELS - 1:
        return None
    if rows.dtype.kind == "f" and not np.array_equal(rows, np.floor(rows)):
        return None
    shared = (rows.max(axis=0) == high).mean() >= SHARED
    return side if shared or rows.dtype == np.uint8 else None


def warn_of_flat_images(X: Any) -> None:
    """Warn where the rows of a table seem to be square images."""
    if (side := side_of_flat_images(X)) is not None:
        warn_caller(
            f"X has rows of {X.shape[1]} whole numbers of one range, as images of {side}x{side} "
            f"pixels have. Without image_shape they are rows of a table: their columns are "
            f"standardised, and dense networks are trained. Set image_shape=({side}, {side}) if "
            "they are images; if not, name a network, such as 'mlp', instead of 'auto'."
        )
