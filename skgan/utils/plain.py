"""Values as what JSON can say, and back: plain ones, arrays and objects of listed classes.

Decoding makes nothing but these. Nothing is imported or evaluated because a document says so.
"""

import functools
import math
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

TAG = "!"  # a dict with this key stands for a value that JSON does not know
_CODES = "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "U"
SCALARS: dict[str, type[np.generic]] = {np.dtype(c).name: np.dtype(c).type for c in _CODES}
MAX_CHARACTERS = 2**24  # of an array of strings, all as wide as its longest: 64 MB

Objects = Mapping[str, type]


class Encoder:
    """Turns values into what JSON can say; arrays, tensors and bytes go to `tensors`, by name.

    Parameters
    ----------
    objects : dict of type, by name
        Classes whose objects are made anew from the arguments of their constructors: estimators,
        from their parameters, and dataclasses.
    """

    def __init__(self, objects: Objects):
        self.objects = objects
        self.tensors: dict[str, Tensor] = {}

    def encode(self, name: str, value: Any) -> Any:
        """Types are compared exactly: a subclass may mean more than its value.

        Raises
        ------
        TypeError
            For a value that a file of plain data cannot hold.
        """
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
        if kind in (list, tuple, torch.Size):
            items = [self.encode(f"{name}[{i}]", v) for i, v in enumerate(value)]
            return items if kind is list else {TAG: "tuple", "items": items}
        if kind is dict:
            return self._dict(name, value)
        if kind is bytes:
            return self._array(name, np.frombuffer(value, np.uint8)) | {TAG: "bytes"}
        if kind is np.ndarray:
            return self._array(name, value)
        if kind is Tensor:
            self.tensors[name] = value
            return {TAG: "tensor", "tensor": name}
        if isinstance(value, np.generic):
            dtype = "str" if isinstance(value, np.str_) else value.dtype.name
            if dtype not in SCALARS:
                raise _refusal(name, value)
            return {TAG: "scalar", "dtype": dtype, "value": self.encode(name, value.item())}
        if kind is torch.device:
            return {TAG: "device", "value": str(value)}
        if isinstance(value, Path):
            return {TAG: "path", "value": str(value)}
        if self.objects.get(kind.__name__) is kind:
            made_of = value.get_params(deep=False) if hasattr(value, "get_params") else vars(value)
            parts = {k: self.encode(f"{name}__{k}", v) for k, v in made_of.items()}
            return {TAG: "object", "class": kind.__name__, "parts": parts}
        raise _refusal(name, value)

    def _dict(self, name: str, value: dict[Any, Any]) -> dict[str, Any]:
        pairs = [(k, self.encode(f"{name}[{k!r}]", v)) for k, v in value.items()]
        if TAG not in value and all(type(k) is str for k in value):
            return dict(pairs)
        items = [[self.encode(f"a key of {name}", k), v] for k, v in pairs]
        return {TAG: "dict", "items": items}

    def _array(self, name: str, value: np.ndarray) -> dict[str, Any]:
        if value.dtype.kind in "OU" and value.ndim == 1 and all(isinstance(v, str) for v in value):
            strings = list(map(str, value))
            if _n_characters(strings) <= MAX_CHARACTERS:
                dtype = "object" if value.dtype.kind == "O" else "str"
                return {TAG: "strings", "dtype": dtype, "values": strings}
        if value.dtype.name not in SCALARS:
            raise _refusal(name, value)
        native = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
        self.tensors[name] = torch.from_numpy(native)
        return {TAG: "array", "tensor": name}


def shown(value: Any) -> str:
    """A value on one short line; a module's own words are pages long."""
    return " ".join(reprlib.repr(value).split())


def _refusal(name: str, value: Any) -> TypeError:
    if isinstance(value, (np.random.RandomState, np.random.Generator)):
        fix = "pass an int"
    elif isinstance(value, nn.Module) or callable(value):
        fix = "describe a network by its name or by a spec such as DCGANSpec(width=64)"
    else:
        fix = "use numbers, strings, paths, tuples, lists, dicts, arrays or specs of skgan"
    return TypeError(
        f"{name}={shown(value)} cannot be kept in a file of plain data: {fix}, or keep the "
        "estimator with joblib.dump or pickle, which carry any object."
    )


def _n_characters(strings: list[str]) -> int:
    """As NumPy keeps them, each as wide as the longest."""
    return len(strings) * max(map(len, strings), default=0)


class _Unused:
    """The tensors of a file, each of which one value may use, and the room for arrays of strings.

    So what is decoded is no larger than the file, but for strings, which have 64 MB at most.
    """

    def __init__(self, tensors: Mapping[str, Tensor]):
        self.tensors, self.n_characters = dict(tensors), MAX_CHARACTERS

    def take(self, name: Any) -> Tensor:
        if name not in self.tensors:
            raise LookupError(f"tensor {shown(name)} is missing, or is used twice")
        return self.tensors.pop(name)

    def make_room(self, strings: list[str]) -> None:
        self.n_characters -= _n_characters(strings)
        if self.n_characters < 0:
            raise ValueError("arrays of strings have more than 64 MB")


def decode(value: Any, tensors: Mapping[str, Tensor], objects: Objects) -> Any:
    """The inverse of `Encoder.encode`.

    Raises
    ------
    LookupError, RuntimeError, TypeError, ValueError
        For what `Encoder` does not write. A document nested too deeply is a RecursionError.
    """
    return _decode(value, _Unused(tensors), objects)


def _decode(value: Any, unused: _Unused, objects: Objects) -> Any:
    inner = functools.partial(_decode, unused=unused, objects=objects)
    if isinstance(value, list):
        return [inner(v) for v in value]
    if not isinstance(value, dict):
        return value
    match value.get(TAG):
        case None:
            return {k: inner(v) for k, v in value.items()}
        case "tuple":
            return tuple(inner(v) for v in value["items"])
        case "dict":
            return {inner(k): inner(v) for k, v in value["items"]}
        case "float":
            return float(value["value"])
        case "scalar":
            return _scalar(SCALARS[value["dtype"]], inner(value["value"]))
        case "array":
            return unused.take(value["tensor"]).numpy()
        case "tensor":
            return unused.take(value["tensor"])
        case "strings":
            return _strings(value["values"], value["dtype"], unused)
        case "bytes":
            return unused.take(value["tensor"]).numpy().tobytes()
        case "device":
            return torch.device(value["value"])
        case "path":
            return Path(value["value"])
        case "object":
            return objects[value["class"]](**{k: inner(v) for k, v in value["parts"].items()})
    raise LookupError(f"unknown kind of value {value[TAG]!r}")


def _scalar(kind: type[np.generic], value: Any) -> np.generic:
    if not isinstance(value, (bool, int, float, str)):  # NumPy would make an array of a list
        raise TypeError(f"a number, not {shown(value)}, makes a {kind.__name__}")
    return kind(value)


def _strings(values: Any, dtype: str, unused: _Unused) -> np.ndarray:
    if not isinstance(values, list) or not all(type(v) is str for v in values):
        raise TypeError(f"an array of strings holds strings only, not {shown(values)}")
    unused.make_room(values)
    return np.array(values, dtype={"object": object, "str": str}[dtype])
