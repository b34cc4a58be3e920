"""A fit in progress: an estimator's networks as players, trained and then handed back to it."""

import contextlib
import functools
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .data.arrays import ArraySource, Subset
from .data.flat import warn_of_flat_images
from .engine import batchnorm, checkpoint, loop, reporting, runtime
from .engine.checkpoint import Checkpoints
from .engine.loop import Plan, indices, interrupts, minibatches, several, split_rows, train
from .engine.players import Players
from .nn import joined, layers_from_data, start_from_data
from .utils import processes
from .utils.callers import warn_caller
from .utils.checks import check_choice, check_number, is_word, random_state_of
from .utils.domains import samples_from
from .utils.parameters import Checked, names_of, parameter, parameters
from .utils.seeds import global_state_from, stream

# Samples that layers may take their first weights from, and values in all.
MOST_SAMPLES, MOST_VALUES = 512, 2**24
MOST_FAILURES = 3  # after which on_divergence="restore" gives up


@parameters
class CheckpointParameters(Checked):
    """What is kept of a fit that may be interrupted.

    Parameters
    ----------
    checkpoint_dir : path or None
        Folder for checkpoints. Fits with other parameters or data may share it.
    checkpoint_every : int
        Number of epochs between two checkpoints. The last epoch always has one.
    checkpoint_keep : int
        How many of the newest checkpoints are kept.
    resume : {"auto", "never", "must"}
        Whether `fit` continues from the newest checkpoint of the same fit (class, version,
        parameters and data): where there is one, never, or always, with an error where there is
        none.
    on_interrupt : {"raise", "stop"}
        What Ctrl-C does in `fit`. "raise" ends it without a result. "stop" ends training after the
        current minibatch and keeps what was learnt; `n_epochs_` counts complete epochs.
    on_divergence : {"raise", "stop", "restore"}
        What happens where a loss or weight stops being finite. "raise": FloatingPointError, and an
        earlier fit is kept. "stop": training ends as it was after the last complete epoch, of which
        there must be one. "restore": it goes on from there, with other draws, up to three times.
        Both warn; they keep a copy of the networks and optimizers in memory.
    """

    checkpoint_dir: Any = parameter(default=None, free=True)
    checkpoint_every: int = parameter(default=1, free=True)
    checkpoint_keep: int = parameter(default=2, free=True)
    resume: str = parameter(default="auto", free=True)
    on_interrupt: str = parameter(default="raise", free=True)
    on_divergence: str = parameter(default="raise", free=True)

    def _check(self) -> None:
        for name in ("checkpoint_every", "checkpoint_keep"):
            check_number(name, getattr(self, name), low=1, integer=True)
        plain = isinstance(self.checkpoint_dir, (str, os.PathLike, type(None)))
        if not plain or self.checkpoint_dir == "":
            raise ValueError(f"checkpoint_dir={self.checkpoint_dir!r} must be a path, or None.")
        check_choice("resume", self.resume, ("auto", "never", "must"))
        if self.resume == "must" and self.checkpoint_dir is None:
            raise ValueError("resume='must' needs checkpoint_dir, the folder to resume from.")
        check_choice("on_interrupt", self.on_interrupt, ("raise", "stop"))
        check_choice("on_divergence", self.on_divergence, ("raise", "stop", "restore"))
        super()._check()


class Training:
    """The networks of an estimator's game, begun anew or going on from a state.

    Parameters
    ----------
    estimator : BaseGAN
        Its hooks are called, its parameters read; `finish` sets its fitted attributes.
    source : ArraySource
    state : dict, bytes or None
        Of an earlier training of the same networks (`engine.checkpoint.take`).
    validation_fraction : float
        Share of the samples that is kept out of it, and diagnosed after each epoch.
    """

    source: ArraySource | Subset

    def __init__(
        self, estimator: Any, source: ArraySource, state: Any = None,
        validation_fraction: float = 0.0,
    ):  # fmt: skip
        self.estimator, self.source = estimator, source
        self.device = runtime.resolve_device(estimator.device)
        choices = [getattr(estimator, name) for name in names_of(estimator, "network")]
        chosen = not all(is_word(choice, "auto") for choice in choices)
        if state is None and source.format.image_shape is None and not chosen:
            warn_of_flat_images(source.X)
        _check_processes(estimator, source)
        seed = int(random_state_of(estimator.random_state).randint(2**31 - 1))
        self.seed = processes.from_first(seed)
        rng = torch.Generator().manual_seed(self.seed)
        nets = estimator._completed(estimator._build(source.format.shape, rng), rng)
        # Layers of user-supplied networks may draw from the global random state.
        self.user_supplied = not all(hasattr(net, "recipe") for net in nets.values())
        self.precision = runtime.resolve_precision(estimator.precision, self.device, nets.values())
        self.arithmetic = runtime.arithmetic(self.precision, self.device, nets.values())
        # Raises for layers that the networks do not have.
        self.features = estimator._extractor(SimpleNamespace(**joined(nets)))
        self.history: list[dict[str, float]] = []
        self.held_out: Subset | None = None
        if state is None:
            self._hold_out(source, validation_fraction)
            self._start_from_data(nets)
        self.players = Players(
            {role: net.to(self.device) for role, net in nets.items()},
            functools.partial(_make_optimizer, estimator),  # not a method: no cycle of references
            clip_grad_norm=estimator.clip_grad_norm,
            ema_decay=estimator.ema_decay,
            rng=rng,
        )
        # From how many samples an earlier fit measured its batch-norm statistics.
        self.rows_before: int | None = getattr(estimator, "_n_rows_measured", None)
        if state is not None:
            self.seed = checkpoint.put_back(self.players, self.history, state)
            self._hold_out(source, validation_fraction)
        self.looked_at = self._subsample(estimator._n_looked_at)

    def _start_from_data(self, nets: dict[str, nn.Module]) -> None:
        """Set the first weights of layers that take them from samples, on the CPU."""
        if not layers_from_data(nets.values()):
            return
        e, rng = self.estimator, stream(self.seed, "weights from data")
        most = max(2, min(MOST_SAMPLES, MOST_VALUES // math.prod(self.source.format.shape)))
        rows = torch.randperm(len(self.source), generator=rng)[:most].sort()[0]
        (x,) = self.source.batches([rows.numpy()])
        whole = SimpleNamespace(**joined(nets))
        with self._noise_of_layers():
            start_from_data(nets.values(), lambda: e._refresh(whole, x, e._draw(len(x), rng)), rng)

    def _hold_out(self, source: ArraySource, fraction: float) -> None:
        if not fraction:
            return
        n = len(source)
        n_held = max(2, round(fraction * n))
        if n - n_held < 2:
            raise ValueError(
                f"validation_fraction={fraction!r} of {n} samples leaves {n - n_held} to train on: "
                "at least 2 are needed on both sides."
            )
        order = torch.randperm(n, generator=torch.Generator().manual_seed(self.seed)).numpy()
        self.held_out = Subset(source, np.sort(order[:n_held]))
        self.source = Subset(source, np.sort(order[n_held:]))

    def _subsample(self, n: int) -> Subset | None:
        """At most n of the training samples, of all domains alike; None for n = 0."""
        if not n:
            return None
        of = self.source.domains
        of = np.zeros(len(self.source), int) if of is None else of
        order = torch.randperm(len(of), generator=stream(self.seed, "looked at")).numpy()
        numbers = np.unique(of)
        parts = [order[of[order] == k][: n // len(numbers)] for k in numbers]
        return Subset(self.source, np.sort(np.concatenate(parts)))

    def run(
        self, n_epochs: int, checkpoints: Checkpoints | None = None,
        earlier: Iterable[nn.Module] | None = None,
    ) -> None:  # fmt: skip
        """Train until `n_epochs` are done in all, then set the estimator's fitted attributes.

        `earlier` has the networks before a `partial_fit`, which follows no schedule.
        """
        e, history = self.estimator, self.history
        finish = functools.partial(self.finish, list(earlier or ()))
        if checkpoints and len(history) < n_epochs:
            checkpoints.open()
        report = reporting.Report(
            e, self.source.X, n_epochs - len(history), history, finish, self.state, checkpoints,
            is_partial=earlier is not None,
        )  # fmt: skip

        def after_epoch() -> bool:
            if not e.sync_batchnorm:
                batchnorm.average_statistics(self.players.nets.values())
            history[-1] |= self._diagnose() | self._look()
            due, stop = len(history) == n_epochs or len(history) % e.checkpoint_every == 0, False
            try:
                stop = report.epoch_done()
            finally:  # with what callbacks add to the history, and also where one of them raises
                if checkpoints and (due or stop):
                    checkpoints.write(self.state())
            return stop

        plan = Plan(
            n_epochs, e.batch_size, e.lr_decay if earlier is None else None, self.device,
            self.arithmetic, e.verbose, type(e).__name__,
            lr_warmup=e.lr_warmup if earlier is None else 0.0, global_noise=self.user_supplied,
            has_end=earlier is None, sync_batchnorm=e.sync_batchnorm,
        )  # fmt: skip
        draw = functools.partial(e._draw, rng=self.players.rng)
        whole = joined(self.players.nets) | {"features": self.features}
        nets = e._as_trained(whole, self.players.rng)
        with interrupts(e.on_interrupt) as interrupted:
            play = lambda after_epoch: train(  # noqa: E731
                e._step, nets, self.players, self.source, draw, plan, history, after_epoch,
                interrupted,
            )  # fmt: skip
            if not report.ended:
                self._play(play, after_epoch)
            if report.kept is not None and report.kept["n_steps"] != self.players.n_steps:
                self._put_back(report.kept)
            finish()
        report.fit_done()

    def _play(
        self, play: Callable[[Callable[[], bool]], None], after_epoch: Callable[[], bool]
    ) -> None:
        """Train, and do what `on_divergence` says where networks stop being finite."""
        verb = self.estimator.on_divergence
        if verb == "raise":
            return play(after_epoch)
        good = [self.state()]  # the last one that was finite

        def keep() -> bool:
            stop = after_epoch()
            good[0] = self.state()
            return stop

        for n_failures in itertools.count(1):
            try:
                return play(keep)
            except FloatingPointError as error:
                done = len(good[0]["history"])
                if n_failures > MOST_FAILURES or (verb == "stop" and not done):
                    raise
                self._go_back(good[0], n_failures)
                what = "ends there" if verb == "stop" else "goes on from there with other draws"
                warn_caller(
                    f"{error} on_divergence={verb!r}: training went back to where it was after "
                    f"{done} epoch(s), and {what}."
                )
                if verb == "stop":
                    return None

    def _put_back(self, state: checkpoint.State) -> None:
        """Go back to an earlier state of this training."""
        for optimizer in self.players.optimizers.values():
            optimizer.state.clear()
        self.players.meters.read()
        checkpoint.put_back(self.players, self.history, state)

    def _go_back(self, state: checkpoint.State, n_failures: int) -> None:
        """To a state of this training; the draws that follow are others than before."""
        self._put_back(state)
        use = f"failure {n_failures} after step {self.players.n_steps}"
        self.players.rng.set_state(stream(self.seed, use).get_state())

    def _diagnose(self) -> dict[str, float]:
        """What the method makes of the samples that are kept out of training."""
        if self.held_out is None:
            return {}
        batches = self._batches(self.held_out)
        with self.arithmetic, self.players.looking_on(), self._noise_of_layers():
            return self.estimator._diagnose(SimpleNamespace(**joined(self.players.nets)), batches)

    def _batches(self, source: ArraySource | Subset, rows: Any = ()) -> Iterator[SimpleNamespace]:
        """All samples in their order, as batches with `x`, `y` and `domain`."""
        rows = rows or split_rows(np.arange(len(source)), self._batch_size())
        for r, x in zip(rows, source.batches(rows), strict=True):
            yield SimpleNamespace(
                x=x.to(self.device), y=indices(source.labels, r, self.device),
                domain=indices(source.domains, r, self.device),
            )  # fmt: skip

    def _look(self) -> dict[str, float]:
        """What the method makes of some of the training samples, with networks in eval mode."""
        if self.looked_at is None:
            return {}
        batches, nets = self._batches(self.looked_at), self.players.nets.values()
        whole = joined(self.players.nets) | {"features": self.features}
        for net in (*nets, *whole.values()):
            net.eval()
        with torch.no_grad(), self.arithmetic, self.players.looking_on(), self._noise_of_layers():
            found = self.estimator._look_at(SimpleNamespace(**whole), batches)
        for net in (*nets, *whole.values()):
            net.train()
        return found

    def _batch_size(self) -> int:
        """Of the minibatches that all processes share."""
        return self.estimator.batch_size * processes.world_size()

    def _noise_of_layers(self) -> contextlib.AbstractContextManager[None]:
        """Outside of steps: what layers of user-supplied networks draw, they draw by the seed."""
        if not self.user_supplied:
            return contextlib.nullcontext()
        return global_state_from(torch.Generator().manual_seed(self.seed + len(self.history)))

    def state(self) -> checkpoint.State:
        """Everything that the next epoch depends on."""
        return checkpoint.take(self.players, self.history, self.seed)

    def finish(self, earlier: list[nn.Module]) -> None:
        """Set the fitted attributes to what has been learnt so far; training may go on."""
        e = self.estimator
        nets = self.players.finished()
        with self._noise_of_layers():
            self._measure_batchnorm(nets, earlier)
        for role, net in nets.items():
            batchnorm.check_finite(role, net)
        for role in set(getattr(e, "_roles", ())) - set(nets):  # of a fit with other networks
            delattr(e, e._place(role))
        for role, net in nets.items():
            setattr(e, e._place(role), net)
        e._roles, e._seed = tuple(nets), self.seed
        e.history_ = [dict(row) for row in self.history]
        e.n_epochs_, e.n_steps_ = len(self.history), self.players.n_steps
        e.n_threads_, e.precision_ = torch.get_num_threads(), self.precision
        rng = stream(self.seed, "measurements")
        with self._noise_of_layers(), torch.no_grad(), self.arithmetic:
            whole = SimpleNamespace(**joined(nets))
            draw = lambda n: e._draw(n, rng).to(self.device)  # noqa: E731
            batches = self._batches(self.source, loop.transform_batches(e, len(self.source)))
            e._measure(whole, draw, batches, going_on=bool(earlier))

    def _measure_batchnorm(self, nets: dict[str, nn.Module], earlier: list[nn.Module]) -> None:
        """Batch-norm statistics from one pass over the samples, and draws from the prior.

        They go on from those of the networks in `earlier`, if there are any.
        """
        e = self.estimator
        measured = [i for i, role in enumerate(nets) if role not in e._keeps_statistics()]
        namespace = SimpleNamespace(**joined(nets))
        rng = stream(self.seed, "batch norm")
        n, source = len(self.source), self.source
        rows = split_rows(np.arange(n), self._batch_size())
        if source.domains is not None:  # as in training, all domains in each batch
            rows = minibatches(source, e.batch_size, stream(self.seed, "order of domains"))
        parts = [processes.near_equal_part(len(r)) for r in rows]
        own = [part.of(r) for part, r in zip(parts, rows, strict=True)]
        if source.domains is None:  # rows in their order are read faster as slices
            own = [slice(r[0], r[-1] + 1) if len(r) else r for r in own]

        def run(batch: tuple[processes.Part, Any, Tensor]) -> None:
            part, rows, x = batch
            domain = indices(source.domains, rows, self.device)
            z = part.of(e._draw(part.total, rng))
            with self.arithmetic, several(part, e.sync_batchnorm), samples_from(domain):
                e._refresh(namespace, x.to(self.device), z.to(self.device))

        n_earlier = (self.rows_before or n) if earlier else 0
        batchnorm.measure(
            [list(nets.values())[i] for i in measured],
            zip(parts, own, source.batches(own), strict=True),
            run,
            [earlier[i] for i in measured] if earlier else (),
            share=n / (n + n_earlier),
        )
        if not e.sync_batchnorm:
            batchnorm.average_statistics(list(nets.values())[i] for i in measured)
        e._n_rows_measured = n + n_earlier


def _check_processes(estimator: Any, source: ArraySource) -> None:
    """Raise where several processes cannot share the samples, or have others each."""
    n_processes, n = processes.world_size(), len(source)
    if n_processes == 1:
        return
    some = [source.batch(np.array([i])).numpy().tobytes() for i in (0, n // 2, n - 1)]
    labels = [None if of is None else of.tobytes() for of in (source.labels, source.domains)]
    if others := processes.differing((n, source.format.shape, some, labels)):
        raise ValueError(
            f"X, or its labels, differs between the training processes (in {others} it is not that "
            "of process 0): pass all of it to each of them, which take the parts that are theirs."
        )
    if n < 2 * n_processes:
        raise ValueError(
            f"X has {n} samples: training in {n_processes} processes needs at least 2 for each."
        )


def _make_optimizer(estimator: Any, role: str, parameters: list[Tensor]) -> torch.optim.Optimizer:
    # A trunk is that of the discriminator, if there is one.
    e, names = estimator, (f"{role}_lr", "discriminator_lr" if role == "trunk" else "lr", "lr")
    lr = next(own for name in names if (own := getattr(e, name, None)) is not None)
    return runtime.make_optimizer(
        e.optimizer, parameters, lr=lr, betas=e.betas, weight_decay=e.weight_decay
    )
