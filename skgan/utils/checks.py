"""Checks of arguments: every error names the argument, the value received and the fix."""

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

LARGEST_NUMBER = 1e18  # squares of it are finite in float32, and it fits an int64
LARGEST_SIZE = 2**20  # of a layer: with two such layers, memory overflows long before any number


def is_word(value: Any, word: str) -> bool:
    """Whether `value` is this word; an array is none, where == would compare its entries."""
    return isinstance(value, str) and value == word


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise unless `value` is one of `choices`."""
    choices = tuple(choices)
    plain = value is None or isinstance(value, (str, numbers.Real))
    if not plain or isinstance(value, bool) or value not in choices:
        known = ", ".join(map(repr, choices))
        raise ValueError(f"{name}={value!r} is unknown; use one of {known}.")


def check_flag(name: str, value: Any) -> None:
    """Raise unless `value` is True or False (NumPy's booleans included)."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}={value!r} must be True or False.")


def check_number(
    name: str, value: Any, *, low: float = -math.inf, high: float = LARGEST_NUMBER,
    integer: bool = False, open_low: bool = False, open_high: bool = False, instead: str = "",
    auto: bool = False,
) -> None:  # fmt: skip
    """Raise unless `value` is a number (a whole number if `integer`) from `low` to `high`.

    `open_low` and `open_high` exclude the bound itself. `instead` names what else is accepted, for
    the error message, and `auto` accepts "auto". Short NumPy integers are refused: their products
    wrap around.
    """
    if auto and is_word(value, "auto"):
        return
    if isinstance(value, np.integer) and value.itemsize < 8:
        raise ValueError(
            f"{name}={value!r} is a NumPy integer of {8 * value.itemsize} bits, whose products "
            "wrap around: pass a plain one, such as int(value)."
        )
    kind: type = numbers.Integral if integer else numbers.Real
    good = isinstance(value, kind) and not isinstance(value, bool)
    if good:
        number = (
            value.item() if isinstance(value, np.generic) else value
        )  # or bounds become float16
        above = number > low if open_low else number >= low
        below = number < high if open_high else number <= high
        good = above and below and math.isfinite(number)
    if not good:
        large = isinstance(value, numbers.Real) and value > LARGEST_NUMBER  # type: ignore[operator]
        high = math.inf if high == LARGEST_NUMBER and not large else high
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        what = "a whole number" if integer else "a number"
        instead = "'auto'" if auto else instead
        also = f", or {instead}" if instead else ""
        raise ValueError(f"{name}={value!r} must be {what} in {left}{low}, {high}{right}{also}.")


def check_size(
    name: str, value: Any, *, low: int = 1, high: int = LARGEST_SIZE, instead: str = ""
) -> None:
    """Raise unless `value` is a whole number that memory can hold so many units or channels of."""
    check_number(name, value, low=low, high=high, integer=True, instead=instead)


def check_verbose(value: Any) -> None:
    """Raise unless `value` is a flag or a number of at least 0."""
    if not isinstance(value, bool):
        check_number("verbose", value, low=0)


def random_state_of(value: Any, name: str = "random_state") -> np.random.RandomState:
    """What scikit-learn makes of it; its error does not name the parameter."""
    try:
        return check_random_state(value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{name}={value!r} must be None, a whole number in [0, 2**32 - 1] or a RandomState."
        ) from error


def check_transformer(name: str, value: Any, instead: str = "") -> None:
    """Raise unless `value` has what is needed of a scikit-learn transformer."""
    able = all(hasattr(value, verb) for verb in ("fit", "transform", "get_params"))
    if not able or isinstance(value, type):
        raise ValueError(
            f"{name}={value!r} must be a scikit-learn transformer, that is, an instance with fit "
            f"and transform{instead}."
        )


def check_finite(name: str, rows: np.ndarray, numbers: Sequence[int] | np.ndarray) -> None:
    """Raise for the first row with NaN or infinity; `numbers` says which rows of X these are."""
    good = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    if not good.all():
        raise ValueError(
            f"row {numbers[good.argmin()]} of {name} contains NaN or infinity: leave out or "
            "repair it."
        )


def check_same_columns(name: str, X: Any, name_test: str, X_test: Any) -> None:
    """Raise if both are frames whose columns have other names, or another order."""
    columns, columns_test = (_column_names(part) for part in (X, X_test))
    if columns is None or columns_test is None or columns == columns_test:
        return
    if sorted(map(str, columns)) == sorted(map(str, columns_test)):
        what = "the same columns in another order"
    else:
        pairs = zip(columns, columns_test, strict=False)
        other = [f"{b!r} in place of {a!r}" for a, b in pairs if a != b]
        n = len(columns_test)
        what = other[0] if other else f"{n} columns in place of {len(columns)}"
    raise ValueError(
        f"{name_test} has {what}: pass the columns of {name}, in its order, as in "
        f"{name_test}[{name}.columns]."
    )


def _column_names(X: Any) -> list[Any] | None:
    """Names of the columns of a frame of pandas or polars, None for anything else."""
    columns = getattr(X, "columns", None)
    if columns is None or len(getattr(X, "shape", ())) != 2:
        return None
    return list(columns)
