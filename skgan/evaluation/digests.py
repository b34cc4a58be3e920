"""Digests of what an extractor holds: proof that a probe has trained nothing that was frozen."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

# Nothing of these is a weight; classes are left out, too.
OPAQUE = (str, bool, int, float, complex, FunctionType, BuiltinFunctionType, MethodType, ModuleType)


def digests(estimator: Any) -> dict[str, str]:
    """A digest of every array, tensor and bytes object that an estimator holds, by its place.

    Attributes are followed to any depth, through estimators, modules, containers and other
    objects. Single numbers and texts play no part: counters may change.
    """
    return {
        place: blake2b(header + content, digest_size=16).hexdigest()
        for place, header, content in _arrays("", estimator, set())
    }


def digest(parts: Mapping[str, str]) -> str:
    """One digest of them all."""
    text = "\n".join(f"{place} {part}" for place, part in sorted(parts.items()))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The places whose content differs, or is there only once, in order."""
    return sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))


def _arrays(place: str, value: Any, seen: set[int]) -> Iterator[tuple[str, bytes, Any]]:
    if value is None or isinstance(value, (type, *OPAQUE)) or id(value) in seen:
        return
    if isinstance(value, (bytes, bytearray)):
        yield place, b"bytes", bytes(value)
    elif isinstance(value, torch.Tensor):
        kept = value.detach().cpu().contiguous()
        header = f"{kept.dtype} {tuple(kept.shape)}".encode()
        yield place, header, kept.reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, np.ndarray) and value.dtype.kind != "O":
        yield place, f"{value.dtype} {value.shape}".encode(), value.tobytes()
    else:
        seen.add(id(value))
        for name, part in _parts(value):
            yield from _arrays(f"{place}.{name}" if place else name, part, seen)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object consists of, by name."""
    if isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((str(i), part) for i, part in enumerate(value))
    elif isinstance(value, np.ndarray):  # of objects
        yield from ((str(i), part) for i, part in enumerate(value.ravel()))
    elif hasattr(value, "__dict__"):
        yield from vars(value).items()
    else:
        yield "", _state(value)


def _state(value: Any) -> Any:
    """What is pickled of an object without `__dict__`, such as scikit-learn's trees."""
    try:
        return value.__getstate__()
    except Exception:  # generators, locks: nothing that is learnt
        return None
