"""Epochs over shuffled minibatches: a loop that is the same for every method."""

import contextlib
import functools
import math
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..utils import processes
from ..utils.domains import samples_from
from ..utils.processes import agreed, anywhere
from ..utils.seeds import global_state_from, layers_draw_from
from . import domains
from .batchnorm import AcrossProcesses
from .labelled import LabelledSamples
from .players import Players
from .runtime import Decay, lr_factor, to_device, warmup_factor

CHECK_EVERY = 50  # steps; to read losses after each would wait for the device


class Source(Protocol):
    """Samples by index, scaled as the networks see them; class and domain indices, or None."""

    labels: np.ndarray | None
    domains: np.ndarray | None

    def __len__(self) -> int: ...

    def batches(self, rows: Iterable[Any]) -> Iterator[Tensor]: ...


@dataclass(frozen=True)
class Batch:
    """One minibatch, as `_step` receives it; in several processes, the part of this one.

    Attributes
    ----------
    x : Tensor (n, ...)
        Images in [-1, 1] or standardised rows of a table, on the training device.
    step, epoch : int
        Numbers of this minibatch and of this pass over the data, both counted from 1.
    latent : callable (n=len(x), times=1) -> Tensor (times * n, latent_dim)
        Draws from the prior; with `times`, as many for each of several generators in turn.
    normal, uniform : callable (n, *shape) -> Tensor (n, *shape)
        Noise from N(0, 1) and from U(0, 1).
    log : callable (**tensors)
        Adds the mean of every tensor, under its name, to this epoch's row of `history_`.
    y : int64 Tensor (n,) or None
        Class index of every sample, -1 where it has no label; None in games without labels.
    domain : int64 Tensor (n,) or None
        Index of the domain of every sample, as many of each; None in games without domains.
    progress : float
        The part of the training that was done before this minibatch, from 0 to 1; 1 in
        `partial_fit`, which has no end.
    agreed : callable (*losses) -> list of float
        Losses as numbers, means over all processes: what a step may decide by.
    labelled : callable (n=len(x)) -> Tensor (n, ...), Tensor (n,)
        Samples with a label, and their class indices; they come in passes over all such samples,
        each in a random order. None in games without labels.
    """

    x: Tensor
    step: int
    epoch: int
    latent: Callable[..., Tensor]
    normal: Callable[..., Tensor]
    uniform: Callable[..., Tensor]
    log: Callable[..., None]
    y: Tensor | None = None
    domain: Tensor | None = None
    progress: float = 1.0
    agreed: Callable[..., list[float]] = agreed
    labelled: Callable[..., tuple[Tensor, Tensor]] | None = None


@dataclass(frozen=True)
class Plan:
    """The settings of the loop, with every "auto" resolved."""

    n_epochs: int
    batch_size: int
    lr_decay: Decay
    device: torch.device
    arithmetic: contextlib.AbstractContextManager
    verbose: int = 0
    name: str = "fit"
    lr_warmup: float = 0.0  # epochs
    global_noise: bool = False  # networks may draw from PyTorch's global random state
    has_end: bool = True  # whether `n_epochs` is all the training that there will be
    sync_batchnorm: bool = True


def n_batches(n: int, batch_size: int) -> int:
    """Minibatches of n samples: of near-equal size, and of at least two samples each."""
    return max(1, min(math.ceil(n / max(1, batch_size)), n // 2))


def samples_per_epoch(source: Source) -> int:
    """How many samples an epoch takes: each once, or as many of each domain."""
    return len(source) if source.domains is None else domains.samples_per_epoch(source.domains)


def steps_per_epoch(source: Source, batch_size: int) -> int:
    """The number of minibatches, of `batch_size` samples for each process."""
    n_domains = 1 if source.domains is None else len(np.unique(source.domains))
    n = samples_per_epoch(source) // n_domains // processes.world_size()
    return n_batches(n, batch_size // n_domains)


def split_rows(rows: Any, batch_size: int) -> list[Any]:
    """All indices in minibatches of at most `batch_size`, whose sizes differ by at most one."""
    return np.array_split(rows, n_batches(len(rows), batch_size))


def transform_batches(estimator: Any, n: int, most: int = 2**18) -> list[slice]:
    """The batches of n samples that `transform` takes, of `most` samples at most.

    "auto": as many samples as hold the pixels of 256 images of 32x32.
    """
    size = estimator.transform_batch_size
    if isinstance(size, str):
        size = max(1, min(2**18 // math.prod(estimator.input_shape_[-2:]), most))
    return [slice(i, i + size) for i in range(0, n, size)]


def train(
    step: Callable[..., None], nets: Any, players: Players, source: Source,
    draw: Callable[[int], Tensor], plan: Plan, history: list[dict[str, float]],
    after_epoch: Callable[[], bool], interrupted: Callable[[], bool],
) -> None:  # fmt: skip
    """Train until `history` has `plan.n_epochs` rows; each epoch appends one.

    `step(nets, batch, update)` trains on one minibatch; `nets` has the networks of `players` as
    attributes. Training stops if `after_epoch`, called after each epoch, or `interrupted`, called
    after each minibatch, returns True.
    """
    for net in players.nets.values():
        net.train()

    def noise(kind: Callable[..., Tensor]) -> Callable[..., Tensor]:
        draws = functools.partial(kind, generator=players.rng, dtype=torch.float32)

        def of_shape(n: int, *shape: int) -> Tensor:
            return to_device(processes.drawn(lambda n: draws((n, *shape)), n), plan.device)

        return of_shape

    with _progress(plan, done=len(history)) as show:
        for epoch in range(len(history), plan.n_epochs):
            started = time.perf_counter()
            parts = minibatches(source, plan.batch_size, players.rng)
            labelled = _labelled(source, players, plan.device)
            own = [processes.equal_part(len(rows)) for rows in parts]
            mine = [part.of(rows) for part, rows in zip(own, parts, strict=True)]
            for i, (rows, x) in enumerate(zip(mine, source.batches(mine), strict=True), 1):
                x = to_device(x, plan.device)
                players.n_steps += 1
                done = (i - 1) / len(parts)
                factor = lr_factor(plan.lr_decay, epoch, plan.n_epochs, done)
                players.scale_lr(factor * warmup_factor(plan.lr_warmup, epoch + i / len(parts)))
                batch = Batch(
                    x, players.n_steps, epoch + 1,
                    functools.partial(_latent, draw, plan.device, len(x)),
                    noise(torch.randn), noise(torch.rand), players.meters.log,
                    y=indices(source.labels, rows, plan.device),
                    domain=indices(source.domains, rows, plan.device),
                    progress=(epoch + done) / plan.n_epochs if plan.has_end else 1.0,
                    labelled=None if labelled is None else labelled.drawing(len(x)),
                )  # fmt: skip
                with contextlib.ExitStack() as stack:
                    stack.enter_context(plan.arithmetic)
                    stack.enter_context(several(own[i - 1], plan.sync_batchnorm))
                    stack.enter_context(layers_draw_from(players.rng))
                    stack.enter_context(samples_from(batch.domain))
                    if plan.global_noise:
                        stack.enter_context(global_state_from(players.rng, processes.rank()))
                    step(nets, batch, players.update)
                if i < len(parts) and i % CHECK_EVERY == 0:
                    _check_means(players.meters.means(), epoch + 1)
                if i < len(parts) and interrupted():
                    _check_weights(players, epoch + 1)
                    return
            row = _epoch_row(
                players, epoch + 1, sum(map(len, parts)), time.perf_counter() - started
            )
            history.append(row)
            show(row)
            if after_epoch() or interrupted():
                return


def _latent(
    draw: Callable[[int], Tensor], device: torch.device, usual: int, n: int | None = None,
    times: int = 1,
) -> Tensor:  # fmt: skip
    """Draws from the prior for a minibatch; in several processes, this one's part of them."""
    n = usual if n is None else n
    of_all = n * processes.world_size()
    return to_device(processes.equal_part(of_all).of(draw(times * of_all), times), device)


@contextlib.contextmanager
def several(part: processes.Part, sync_batchnorm: bool) -> Iterator[None]:
    """In several processes, the context in which this one computes its part of a minibatch."""
    if processes.world_size() == 1:
        yield
        return
    across = AcrossProcesses() if sync_batchnorm else contextlib.nullcontext()
    with processes.with_part(part), across:
        yield


def minibatches(source: Source, batch_size: int, rng: torch.Generator) -> list[np.ndarray]:
    """The indices of an epoch's samples, in a random order; of each domain equally many.

    Several processes share each minibatch, of `batch_size` samples for each of them. As many are
    left out of an epoch as the number of processes leaves over.
    """
    if source.domains is None:
        order = torch.randperm(len(source), generator=rng).numpy()[:, None]
    else:
        order = domains.balanced_order(source.domains, rng)
    n, n_domains = processes.world_size(), order.shape[1]
    shared = order[: len(order) // n * n].reshape(-1, n * n_domains)
    return [rows.ravel() for rows in split_rows(shared, batch_size // n_domains)]


def indices(of: np.ndarray | None, rows: np.ndarray, device: torch.device) -> Tensor | None:
    return None if of is None else to_device(torch.from_numpy(of[rows]), device)


def _labelled(source: Source, players: Players, device: torch.device) -> LabelledSamples | None:
    return None if source.labels is None else LabelledSamples(source, players.rng, device)


def _epoch_row(players: Players, epoch: int, n: int, seconds: float) -> dict[str, float]:
    means = processes.averaged(players.meters.read())
    _check_means(means, epoch)
    _check_weights(players, epoch)
    return {"epoch": epoch, **means, "seconds": seconds, "images_per_second": n / seconds}


def _check_means(means: dict[str, float], epoch: int) -> None:
    found = None
    for name, value in means.items():
        role, _, quantity = name.rpartition("_")
        if quantity not in ("real", "generated") and not math.isfinite(value):
            found = found or (quantity, role, value)
    _raise_if_diverged(found, epoch)


def _check_weights(players: Players, epoch: int) -> None:
    found = None
    for role, parameters in players.parameters.items():
        if not all(bool(p.isfinite().all()) for p in parameters):
            found = found or ("weights", role, math.nan)
    _raise_if_diverged(found, epoch)


def _raise_if_diverged(found: tuple[str, str, float] | None, epoch: int) -> None:
    """Raise what this process found, or another one, or the others would wait for it."""
    if (found := anywhere(found)) is not None:
        what, role, value = found
        raise FloatingPointError(
            f"the {what} of network {role!r} became {value} in epoch {epoch}: lower the learning "
            "rate, set clip_grad_norm, or look for extreme values in X."
        )


@contextlib.contextmanager
def interrupts(on_interrupt: str) -> Iterator[Callable[[], bool]]:
    """A function that returns whether Ctrl-C was pressed; "raise" leaves Ctrl-C as it is.

    With "stop" the first Ctrl-C ends training after the current minibatch, and a second one
    interrupts at once. Only the main thread receives signals.
    """
    main = threading.current_thread() is threading.main_thread()
    if on_interrupt == "raise" or not main:
        yield lambda: False
        return
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def note(number, _frame):
        pressed.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: processes.any_of(bool(pressed))  # all stop after the same minibatch
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _progress(plan: Plan, done: int) -> Iterator[Callable[[dict[str, float]], None]]:
    """A function that shows the row of an epoch, in a progress bar where one is wanted."""
    in_worker = multiprocessing.current_process().name != "MainProcess"
    if not plan.verbose or in_worker or processes.rank() or done >= plan.n_epochs:
        yield lambda row: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=plan.n_epochs, initial=done, desc=plan.name, unit="epoch") as bar:

        def show(row):
            bar.update(1)
            bar.set_postfix({k: f"{v:.3f}" for k, v in row.items() if k.endswith("_loss")})

        yield show
