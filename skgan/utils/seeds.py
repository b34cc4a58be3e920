"""Random number generators by seed, and PyTorch's global generator for user-supplied code."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch


def stream(seed: int, use: str) -> torch.Generator:
    """A generator for this seed and use, so that noise does not repeat the numbers of the weights.

    The fit itself draws weights, noise and order from `torch.Generator().manual_seed(seed)`.
    """
    (own,) = np.random.SeedSequence([seed, *use.encode()]).generate_state(1)
    return torch.Generator().manual_seed(int(own))


@contextlib.contextmanager
def global_state_from(rng: torch.Generator) -> Iterator[None]:
    """Seed the CPU's global generator from `rng`, and restore its state afterwards.

    This is not safe while other threads draw from it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(int(torch.randint(2**31, (), generator=rng)))
        yield
