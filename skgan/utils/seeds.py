"""Random number generators by seed, and PyTorch's global generator for user-supplied code."""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextvars import ContextVar

import numpy as np
import torch

_global_state = threading.RLock()
if hasattr(os, "register_at_fork"):  # a lock that another thread held would stay held in the child
    os.register_at_fork(after_in_child=lambda: _renew_lock())

_of_layers: ContextVar[torch.Generator | None] = ContextVar("_of_layers", default=None)


def _renew_lock() -> None:
    global _global_state
    _global_state = threading.RLock()


@contextlib.contextmanager
def layers_draw_from(rng: torch.Generator) -> Iterator[None]:
    """Within it, and in this thread alone, skgan's layers draw their noise from `rng`."""
    token = _of_layers.set(rng)
    try:
        yield
    finally:
        _of_layers.reset(token)


def layers_rng() -> torch.Generator | None:
    """The generator that layers draw from; None, PyTorch's global one, outside of a fit."""
    return _of_layers.get()


def stream(seed: int, use: str) -> torch.Generator:
    """A generator for this seed and use, so that noise does not repeat the numbers of the weights.

    The fit itself draws weights, noise and order from `torch.Generator().manual_seed(seed)`.
    """
    (own,) = np.random.SeedSequence([seed, *use.encode()]).generate_state(1)
    return torch.Generator().manual_seed(int(own))


@contextlib.contextmanager
def global_state_kept() -> Iterator[None]:
    """Restore the state of the CPU's global generator afterwards; one thread at a time."""
    with _global_state, torch.random.fork_rng(devices=[]):
        yield


@contextlib.contextmanager
def global_state_from(rng: torch.Generator, offset: int = 0) -> Iterator[None]:
    """Seed the CPU's global generator from `rng`, and restore its state afterwards.

    Processes whose generators are alike draw other numbers with another `offset`.

    One thread at a time: threads in which other fits run wait at this point. It is not safe while
    code of another kind draws from the global generator in another thread.
    """
    with global_state_kept():
        seed = int(torch.randint(2**31, (), generator=rng)) + offset
        torch.random.default_generator.manual_seed(seed)
        yield
