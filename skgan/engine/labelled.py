"""Samples with a label, as many for each minibatch as it asks for, however few there are."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..utils.processes import equal_part, world_size
from .runtime import to_device


class LabelledSamples:
    """Passes over the samples that have a label, each in an order of its own.

    The passes are those of one epoch, so what comes next depends on `rng` alone when an epoch
    begins. Nothing is drawn unless it is asked for.

    Parameters
    ----------
    source : engine.loop.Source
        Its `labels` are -1 where there is no label.
    rng : torch.Generator
    device : torch.device
    """

    def __init__(self, source, rng: torch.Generator, device: torch.device):
        self.source, self.rng, self.device = source, rng, device
        self.labels: np.ndarray = source.labels
        self.rows = np.flatnonzero(self.labels >= 0)
        self.to_come = self.rows[:0]

    def drawing(self, usual: int) -> Callable[..., tuple[Tensor, Tensor]]:
        """`draw`, with a number of samples that is the usual one."""
        return lambda n=usual: self.draw(n)

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """n samples (n, ...) and their class indices (n,), other ones in each process."""
        own, n = equal_part(n * world_size()), n * world_size()
        while len(self.to_come) < n:
            order = torch.randperm(len(self.rows), generator=self.rng).numpy()
            self.to_come = np.concatenate([self.to_come, self.rows[order]])
        rows, self.to_come = self.to_come[:n], self.to_come[n:]
        rows = own.of(rows)
        # With few labels the same samples come again: each is read once.
        distinct, places = np.unique(rows, return_inverse=True)
        (x,) = self.source.batches([distinct])
        y = torch.from_numpy(self.labels[rows])
        return to_device(x[torch.from_numpy(places)], self.device), to_device(y, self.device)
