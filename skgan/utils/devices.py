"""Tensors are made on the CPU and moved from there, whatever `torch.set_default_device` says."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])


def cpu_by_default() -> contextlib.AbstractContextManager[Any]:
    """The context in which new tensors lie on the CPU; it costs nothing where they do anyway."""
    usual = torch.get_default_device().type == "cpu"
    return contextlib.nullcontext() if usual else torch.device("cpu")


def without_autocast(x: torch.Tensor) -> contextlib.AbstractContextManager[Any]:
    """The context in which products, where x lies, are of the type of their factors."""
    here = x.device.type
    return contextlib.nullcontext() if here == "meta" else torch.autocast(here, enabled=False)


def on_cpu_by_default(function: F) -> F:
    """The function, run in that context."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with cpu_by_default():
            return function(*args, **kwargs)

    return run  # type: ignore[return-value]
