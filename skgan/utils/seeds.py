"""Streams of random numbers by seed, and PyTorch's global one for code of others."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch


def stream(seed: int, use: str) -> torch.Generator:
    """A stream of this seed for one use: noise must not repeat the numbers that made the weights.

    A fit itself draws weights, noise and order from `torch.Generator().manual_seed(seed)`.
    """
    (own,) = np.random.SeedSequence([seed, *use.encode()]).generate_state(1)
    return torch.Generator().manual_seed(int(own))


@contextlib.contextmanager
def global_state_from(rng: torch.Generator) -> Iterator[None]:
    """Seed the global state of the CPU from `rng`, and put it back as it was afterwards.

    Not safe while other threads draw from it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(int(torch.randint(2**31, (), generator=rng)))
        yield
