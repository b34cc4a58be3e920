"""Training in several processes: gradients are averaged over them.

`torch.autograd.grad` skips the hooks of DistributedDataParallel, so `update` does it itself.
"""

from typing import Any

import torch
from torch import Tensor, distributed


def world_size() -> int:
    """The number of training processes; 1 unless the caller has set up torch.distributed."""
    ready = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if ready else 1


def rank() -> int:
    """The number of this process, counted from 0."""
    return distributed.get_rank() if world_size() > 1 else 0


def from_first(value: int) -> int:
    """The first process's value, returned in all processes."""
    if world_size() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def gather(state: Tensor) -> Tensor:
    """A small tensor of every process, stacked; the tensor itself if there is only one process."""
    if world_size() == 1:
        return state
    states: list[Any] = [None] * world_size()
    distributed.all_gather_object(states, state)
    return torch.stack(states)


def anywhere(own: Any) -> Any:
    """The first of the processes' values that is not None; None if all are."""
    if world_size() == 1:
        return own
    values: list[Any] = [None] * world_size()
    distributed.all_gather_object(values, own)
    return next((value for value in values if value is not None), None)


def mean(value: float) -> float:
    """The mean of the processes' numbers."""
    if world_size() == 1:
        return value
    values: list[Any] = [None] * world_size()
    distributed.all_gather_object(values, value)
    return sum(values) / len(values)


def wait_for_all() -> None:
    """Wait until every process has called this."""
    if world_size() > 1:
        distributed.barrier()


def agreed(*losses: Tensor) -> list[float]:
    """Losses as numbers, means over all processes, so that all of them decide alike."""
    values, n = torch.stack([loss.detach() for loss in losses]), world_size()
    if n > 1:
        distributed.all_reduce(values)
    return (values / n).tolist()


def average_gradients(
    parameters: list[Tensor], gradients: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The mean of the gradients over all processes, sent as one flat vector."""
    n = world_size()
    if n == 1:
        return gradients
    # A parameter unused here may be used elsewhere: every process must send the same shapes.
    dense = [
        torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)
    ]
    flat = torch.cat([g.flatten() for g in dense])
    distributed.all_reduce(flat)
    parts = (flat / n).split([g.numel() for g in dense])
    return tuple(part.view_as(g) for part, g in zip(parts, dense, strict=True))
