"""What must be equal in two fits for one to resume from the other's checkpoint."""

import contextlib
import functools
import hashlib
import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import nn

from ..utils.parameters import names_of


def identity(
    estimator: Any, data: str, n_epochs: int, version: str, state: bytes | None = None
) -> dict[str, str]:
    """All that must be equal for one fit to resume from another's checkpoint, as text by name.

    Parameters
    ----------
    estimator : BaseEstimator
    data : str
        A digest of the training data.
    n_epochs : int
        The total number of epochs.
    version : str
        Of skgan.
    state : bytes or None
        The training state that a warm start continues from.
    """
    free = names_of(estimator, "free")
    p = {k: v for k, v in estimator.get_params(deep=False).items() if k not in free}
    if estimator._has_schedule():
        p["n_epochs"] = n_epochs
    described = {k: describe(v) for k, v in sorted(p.items())}
    if state is not None:
        described["goes_on_from"] = _digest(state)
    return {"estimator": type(estimator).__name__, "skgan": version, "data": data, **described}


def describe(value: Any, within: tuple[int, ...] = ()) -> str:
    """The value as text that is the same in every process.

    For a module it depends on its weights, on which of them are trained, and on all other
    attributes of its layers; for a function on its code, defaults and closure, not on the functions
    it calls; for a class on its name alone. `within` has the ids of the objects that contain this
    value.
    """
    if id(value) in within:
        return "itself"
    inner = functools.partial(describe, within=(*within, id(value)))
    if isinstance(value, torch.Tensor):
        return f"tensor {_digest(_bits(value))}"
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return f"array {value.dtype} {value.shape} {_digest(value.tobytes())}"
    if type(value) in (list, tuple):
        words = ", ".join(map(inner, value))
        comma = "," if len(value) == 1 else ""
        return f"[{words}]" if type(value) is list else f"({words}{comma})"
    if type(value) is dict:
        return "{" + ", ".join(f"{inner(k)}: {inner(v)}" for k, v in value.items()) + "}"
    if isinstance(value, nn.Module):
        return f"{type(value).__name__} {_digest(*_parts_of(value, inner))}"
    if isinstance(value, functools.partial):
        given = [value.func, *value.args, *(x for kv in sorted(value.keywords.items()) for x in kv)]
        return f"partial({', '.join(map(inner, given))})"
    if inspect.isroutine(value) or inspect.isclass(value):
        return " ".join([f"{value.__module__}.{value.__qualname__}", *_code_of(value, inner)])
    if isinstance(value, np.random.RandomState):
        parts: Any = value.get_state()
        return f"RandomState {_digest(repr([np.asarray(p).tolist() for p in parts]).encode())}"
    if type(value).__repr__ is object.__repr__:  # which would show a memory address
        cls = type(value)
        return f"{cls.__module__}.{cls.__qualname__} {getattr(value, '__dict__', '')}"
    return repr(value)


def _parts_of(net: nn.Module, inner: Callable[[Any], str]) -> Iterator[bytes]:
    """All that defines a module: its layers, weights, buffers and plain attributes."""
    yield repr(net).encode()
    for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
        yield f"{name} {tensor.requires_grad}".encode() + _bits(tensor)
    for name, module in net.named_modules():
        own = {k: v for k, v in vars(module).items() if k not in _OF_EVERY_MODULE}
        yield f"{name} {inner(own)}".encode()


def _bits(tensor: torch.Tensor) -> bytes:
    bits = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + bits


_OF_EVERY_MODULE = {*vars(nn.Module()), "training"}


def _code_of(function: Any, inner: Callable[[Any], str]) -> list[str]:
    """A digest of a Python function's code; an empty list for classes and functions in C."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    if not inspect.isfunction(function):
        return []
    enclosed = []
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # an empty cell
            value = cell.cell_contents
            # Only the code of an enclosed function, which may be the function itself.
            known = inspect.isfunction(value)
            enclosed.append(repr(_words(value.__code__)) if known else inner(value))
    given = inner(function.__defaults__), inner(function.__kwdefaults__), enclosed
    return [_digest(repr([given, _words(function.__code__)]).encode())]


def _words(code: CodeType) -> list[Any]:
    def word(constant: Any) -> Any:
        if isinstance(constant, CodeType):
            return _words(constant)
        # The order of a set differs from process to process.
        return sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)

    return [code.co_code, code.co_names, *map(word, code.co_consts)]


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]
