"""Training in several processes, each of which has a part of every minibatch.

The processes of torch.distributed draw the same order of samples and the same noise for the whole
minibatch, and each takes its own part. Gradients are averaged over them (`average_gradients`), what
a loss or layer needs of the whole minibatch is sent around with its gradient (`gathered`), and so
several processes compute what one does with all of the minibatch. Without torch.distributed there
is one process, and nothing is sent.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

# How long a process waits awake for the others.
SECONDS_AWAKE = 0.01


def world_size() -> int:
    """The number of training processes; 1 unless the caller has set up torch.distributed."""
    ready = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if ready else 1


def rank() -> int:
    """The number of this process, counted from 0."""
    return distributed.get_rank() if world_size() > 1 else 0


# -------------------------------------------------------------------- the part of a process


@dataclass(frozen=True)
class Part:
    """The samples that this process has of a minibatch: `size` from `start` on, of `total`."""

    start: int
    size: int
    total: int

    def of(self, whole: Any, times: int = 1) -> Any:
        """This process's part of what there is for the whole minibatch.

        With `times`, of each of so many copies of the minibatch, one after the other.
        """
        copies = whole.reshape(times, self.total, *whole.shape[1:])
        own = copies[:, self.start : self.start + self.size]
        return own.reshape(times * self.size, *whole.shape[1:])


_part: ContextVar[Part | None] = ContextVar("_part", default=None)


def equal_part(total: int) -> Part:
    """The part of this process, of a minibatch that the processes share equally."""
    size = total // world_size()
    return Part(rank() * size, size, total)


def near_equal_part(total: int) -> Part:
    """The same where the number of processes need not divide that of samples."""
    n, i = world_size(), rank()
    start = i * total // n
    return Part(start, (i + 1) * total // n - start, total)


@contextlib.contextmanager
def with_part(part: Part | None) -> Iterator[None]:
    """Within it, `drawn` is of this part of a minibatch."""
    token = _part.set(part)
    try:
        yield
    finally:
        _part.reset(token)


def drawn(draw: Callable[[int], Tensor], n: int) -> Tensor:
    """What `draw` gives for n samples; in several processes, this one's part of what all draw.

    All processes call `draw` with the same number of samples, so their generators stay alike. Where
    n is a multiple of the part's size, it is of so many copies of the minibatch.
    """
    part = _part.get()
    if part is None or world_size() == 1:
        return draw(n)
    if part.size and n % part.size == 0:
        times = n // part.size
        return part.of(draw(times * part.total), times)
    return Part(rank() * n, n, world_size() * n).of(draw(world_size() * n))


def own(whole: Tensor) -> Tensor:
    """This process's part of a tensor for the samples of the whole minibatch."""
    part = _part.get()
    return whole if part is None else part.of(whole)


def _add_up(x: Tensor) -> None:
    """Set x to the sum of those of all processes.

    A CPU that waits asleep is often woken at the next tick of its clock only, up to 4 ms late, and
    a step sends many messages. So it waits awake at first, and lets others run meanwhile.
    """
    message = distributed.all_reduce(x, async_op=True)
    until = time.perf_counter() + SECONDS_AWAKE * (x.device.type == "cpu")
    while not message.is_completed() and time.perf_counter() < until:
        _let_others_run()
    message.wait()


def _let_others_run() -> None:
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)


# -------------------------------------------------------------------- with gradients


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient, and the gradient of that."""

    @staticmethod
    def forward(ctx, x):
        total = x.detach().clone(memory_format=torch.contiguous_format)
        _add_up(total)
        return total

    @staticmethod
    def backward(ctx, gradient):
        return _Sum.apply(gradient)


def gathered(x: Tensor) -> Tensor:
    """The tensors (n, ...) of all processes, one after the other; n may differ.

    Its gradient reaches the process that a part has come from.
    """
    if world_size() == 1:
        return x
    sizes = torch.zeros(world_size(), dtype=torch.int64, device=x.device)
    sizes[rank()] = len(x)
    _add_up(sizes)
    return _placed(x, int(sizes[: rank()].sum()), int(sizes.sum()))


def stacked(x: Tensor) -> Tensor:
    """The tensors of all processes, of the same shape in each, as (n_processes, ...)."""
    return _placed(x[None], rank(), world_size())


def _placed(x: Tensor, start: int, total: int) -> Tensor:
    """The rows of all processes (total, ...), where those of this one begin at `start`."""
    index = torch.arange(start, start + len(x), device=x.device)
    padded = x.new_zeros(total, *x.shape[1:]).index_copy(0, index, x)
    if not x.is_floating_point():
        _add_up(padded)
        return padded
    return _Sum.apply(padded)


# -------------------------------------------------------------------- without


def from_first(value: Any) -> Any:
    """The first process's value, returned in all processes."""
    if world_size() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def anywhere(own: Any) -> Any:
    """The first of the processes' values that is not None; None if all are."""
    return next((value for value in _of_all(own) if value is not None), None)


def any_of(own: bool) -> bool:
    """Whether the flag is set in any process: quick enough for every step."""
    if world_size() == 1:
        return own
    flag = torch.tensor(float(own))
    _add_up(flag)
    return bool(flag)


def averaged(values: Mapping[str, float]) -> dict[str, float]:
    """Numbers by name, as means over the processes that have them."""
    found = _of_all(dict(values))
    names = dict.fromkeys(name for of_one in found for name in of_one)
    lists = {name: [of_one[name] for of_one in found if name in of_one] for name in names}
    return {name: sum(numbers) / len(numbers) for name, numbers in lists.items()}


def differing(value: Any) -> list[int]:
    """The numbers of the processes whose value is another than that of the first."""
    first, *others = _of_all(value)
    return [i for i, other in enumerate(others, 1) if other != first]


def _of_all(own: Any) -> list[Any]:
    if world_size() == 1:
        return [own]
    values: list[Any] = [None] * world_size()
    distributed.all_gather_object(values, own)
    return values


def wait_for_all() -> None:
    """Wait until every process has called this."""
    if world_size() > 1:
        distributed.barrier()


def agreed(*losses: Tensor) -> list[float]:
    """Losses as numbers, means over all processes, so that all of them decide alike."""
    values, n = torch.stack([loss.detach() for loss in losses]), world_size()
    if n > 1:
        _add_up(values)
    return (values / n).tolist()


@torch.no_grad()
def average(tensors: list[Tensor]) -> None:
    """Set tensors of floats to their means over all processes."""
    n = world_size()
    for x in tensors if n > 1 else ():
        _add_up(x)
        x.div_(n)


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
    _add_up(flat)
    parts = (flat / n).split([g.numel() for g in dense])
    return tuple(part.view_as(g) for part, g in zip(parts, dense, strict=True))
