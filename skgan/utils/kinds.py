"""What a value may be, in words and as a test: of these a class declares what it holds."""

import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from .plain import shown

LARGEST = 2**63 - 1
LARGEST_SIZE = 2**31 - 1  # of one axis


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes
    ----------
    words : str
        What it is, as it reads after "must be".
    holds : callable
        Whether a value is of this kind.
    """

    words: str
    holds: Callable[[Any], bool]

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError unless the value is of this kind."""
        if not self.holds(value):
            raise ValueError(f"{name}={shown(value)} must be {self.words}")


def count(low: int = 0) -> Kind:
    """A whole number."""
    return Kind(f"a whole number from {low} to {LARGEST}", lambda v: _is_whole(v, low))


def one_of(*choices: Any) -> Kind:
    """One of these values, and of its type."""
    words = " or ".join(map(repr, choices))
    return Kind(words, lambda v: any(type(v) is type(c) and v == c for c in choices))


def tuple_of(*lengths: int) -> Kind:
    """Sizes from 1 on, as many as one of `lengths`."""

    def holds(v: Any) -> bool:
        right = type(v) is tuple and len(v) in lengths
        return right and all(_is_whole(n, 1, LARGEST_SIZE) for n in v)

    return Kind(f"a tuple of {' or '.join(map(str, lengths))} sizes from 1", holds)


def array(codes: str, ndim: int = 1) -> Kind:
    """An array of the kinds of type in `codes`; objects are strings."""

    def holds(v: Any) -> bool:
        plain = type(v) is np.ndarray and v.dtype.kind in codes and v.ndim == ndim
        return plain and (v.dtype.kind != "O" or all(type(s) is str for s in v))

    return Kind(f"an array of {ndim} dimension(s) and of type {' or '.join(codes)}", holds)


def instance(of: type) -> Kind:
    """An object of exactly this class."""
    return Kind(f"a {of.__name__}", lambda v: type(v) is of)


def each(outer: Any, words: str, inner: Callable[[Any], bool]) -> Kind:
    """A list or tuple of values that pass a test, or a dict from names to such values."""

    def holds(v: Any) -> bool:
        if type(v) is not outer or (outer is dict and not all(type(k) is str for k in v)):
            return False
        return all(inner(item) for item in (v.values() if outer is dict else v))

    return Kind(f"a {outer.__name__} of {words}", holds)


def is_number(v: Any) -> bool:
    """Whether it is a number of Python's or NumPy's; also one that is not finite."""
    return isinstance(v, numbers.Real) and not isinstance(v, bool)


def is_setting(v: Any) -> bool:
    """Whether it is a plain setting: a number, a string, None, or a tuple or list of these."""
    if type(v) in (tuple, list):
        return all(map(is_setting, v))
    return v is None or isinstance(v, (bool, str, np.bool_)) or is_number(v)


def _is_whole(v: Any, low: int, high: int = LARGEST) -> bool:
    whole = isinstance(v, (int, np.integer)) and not isinstance(v, bool)
    return whole and low <= int(v) <= high


ROWS = each(list, "rows from names to numbers", each(dict, "numbers", is_number).holds)


def look(value: Any) -> str:
    """Type and shape of a tensor, in words; of anything else its class."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"


def looks(tensors: Mapping[Any, Any]) -> dict[Any, str]:
    """`look` of each, by name."""
    return {k: look(v) for k, v in tensors.items()}


def check_declared(declared: Mapping[str, Kind], values: Mapping[str, Any]) -> None:
    """Raise a ValueError for the first value that is not declared, or is of another kind."""
    for name, value in values.items():
        if name not in declared:
            raise ValueError(f"{name!r} is no attribute that a fit leaves")
        declared[name].check(name, value)


def declared(cls: Any, name: str) -> dict[str, Any]:
    """What a class and those above it declare by this name, as one dict."""
    found: dict[str, Any] = {}
    for above in reversed(cls.__mro__):
        found |= vars(above).get(name, {})
    return found


def check_outputs(cls: Any, values: Mapping[str, Any], n_outputs: Mapping[str, Any]) -> None:
    """Raise a ValueError for a value that does not fit the outputs of the network it belongs to.

    Parameters
    ----------
    cls : class
        It declares which network that is: `_one_per_output` for an array with an entry per output,
        `_index_of_output` for one of indices.
    values : dict
        What a fit has left.
    n_outputs : dict
        The number of outputs of each network, by the attribute that keeps it.
    """
    indices = declared(cls, "_index_of_output")
    for name, role in (declared(cls, "_one_per_output") | indices).items():
        place = cls._place(role)
        n = n_outputs.get(place, 1)  # a fit with a single value has no network to tell it
        count(1).check(f"n_outputs of {place}", n)
        value = values.get(name, np.arange(n))
        if name in indices:
            if not all(0 <= i < n for i in value):
                raise ValueError(f"{name} must be below {n}, the number of outputs of {place}")
        elif len(value) != n:
            raise ValueError(f"{name} has {len(value)} entries, but {place} {n} outputs")
