"""PyTorch's global random state, for code of others that draws from it."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def global_state_from(rng: torch.Generator) -> Iterator[None]:
    """Seed the global state of the CPU from `rng`, and put it back as it was afterwards.

    Not safe while other threads draw from it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(int(torch.randint(2**31, (), generator=rng)))
        yield
