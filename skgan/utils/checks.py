"""Checks of parameters: every error names the parameter, the value received and the fix."""

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise unless `value` is one of `choices`."""
    choices = tuple(choices)
    plain = value is None or isinstance(value, (str, numbers.Real))
    if not plain or isinstance(value, bool) or value not in choices:
        known = ", ".join(map(repr, choices))
        raise ValueError(f"{name}={value!r} is unknown; use one of {known}.")


def check_flag(name: str, value: Any) -> None:
    """Raise unless `value` is True or False (NumPy's own included)."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}={value!r} must be True or False.")


def check_number(
    name: str, value: Any, *, low: float = -math.inf, high: float = math.inf,
    integer: bool = False, open_low: bool = False, open_high: bool = False, instead: str = "",
) -> None:  # fmt: skip
    """Raise unless `value` is a number (a whole one if `integer`) from `low` to `high`.

    `open_low` and `open_high` leave the bound itself out. `instead` names what else would have
    been accepted, for the message.
    """
    kind: type = numbers.Integral if integer else numbers.Real
    good = isinstance(value, kind) and not isinstance(value, bool)
    if good:
        above = value > low if open_low else value >= low
        below = value < high if open_high else value <= high
        good = above and below and math.isfinite(value)
    if not good:
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        what = "a whole number" if integer else "a number"
        also = f", or {instead}" if instead else ""
        raise ValueError(f"{name}={value!r} must be {what} in {left}{low}, {high}{right}{also}.")
