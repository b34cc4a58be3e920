"""Warnings that point at the line of the user's program from which skgan was called."""

import sys
import warnings

# What may stand between that line and the place that warns.
BETWEEN = {"skgan", "sklearn", "torch", "contextlib", "joblib"}


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line outside of skgan, and of what skgan is called through."""
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
