"""The networks of a game, their optimizers, and `update`, the only method that trains them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..utils.modules import copied
from ..utils.processes import average_gradients
from .buffers import Buffers
from .losses import Regularised
from .meters import Meters

Loss = Tensor | Regularised


class Players:
    """Networks by role, and their optimizers by seat.

    A seat is one loss of a role with an optimizer of its own: "role" for the first loss, "role+1"
    for a second one.

    Parameters
    ----------
    nets : dict of role -> Module
        No parameter may belong to two roles.
    make_optimizer : callable (role, parameters) -> torch.optim.Optimizer
    clip_grad_norm : float or None
        Upper bound on the norm of every role's gradient.
    ema_decay : float or None
        Decay per step of the exponential moving average of every role's weights.
    rng : torch.Generator
    """

    def __init__(
        self,
        nets: Mapping[str, nn.Module],
        make_optimizer: Callable[[str, list[Tensor]], torch.optim.Optimizer],
        *,
        clip_grad_norm: float | None = None,
        ema_decay: float | None = None,
        rng: torch.Generator,
    ):
        self.nets = dict(nets)
        self.rng = rng
        self.clip_grad_norm = clip_grad_norm
        self.parameters = {role: trainable(net) for role, net in self.nets.items()}
        _check_disjoint(self.parameters)
        self._make_optimizer = make_optimizer
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.base_lr: dict[str, float] = {}
        for role in self.nets:
            if self.parameters[role]:  # a trunk without layers has none
                self.optimizer(role)
        self.ema_step = None if ema_decay is None else get_ema_multi_avg_fn(ema_decay)
        self.ema = {
            role: [p.detach().clone() for p in params] if self.ema_step else []
            for role, params in self.parameters.items()
        }
        self.n_updates = dict.fromkeys(self.nets, 0)
        self.meters = Meters()
        self.buffers = Buffers(self.nets)
        self.n_steps = 0

    def optimizer(self, seat: str) -> torch.optim.Optimizer:
        """The optimizer of a seat, made on first use."""
        if seat not in self.optimizers:
            role = role_of(seat)
            self.optimizers[seat] = self._make_optimizer(role, self.parameters[role])
            self.base_lr[seat] = self.optimizers[seat].param_groups[0]["lr"]
        return self.optimizers[seat]

    def update(self, **losses: Loss | tuple[Loss, ...]) -> None:
        """One optimizer step for each of the named networks, each on its own loss.

        All gradients are computed before any network steps, so one call with several names is
        simultaneous play, and several calls are alternating play. One tensor under two names costs
        one backward pass. Networks that are not named stay as they are, buffers included. A network
        that is given a tuple of losses has an optimizer for each, and takes a step on each; all
        gradients are computed before the first of these steps. Terms that were added to a loss
        (`engine.losses`) are part of the gradient and are not logged here.
        """
        by_seat = self._by_seat(losses)
        gradients = self._gradients(by_seat)
        for seat in by_seat:
            self._step(seat, gradients[seat])
        for role in losses:
            self._count(role)
        # Autograd does not notice that fused optimizers change parameters: increment the version
        # counters, so that a loss computed before this step cannot be used after it.
        torch.autograd.graph.increment_version([p for r in losses for p in self.parameters[r]])
        for role in self.nets:
            if role in losses:
                self.buffers.keep(role)
            else:
                self.buffers.put_back(role)

    def _by_seat(self, losses: Mapping[str, Loss | tuple[Loss, ...]]) -> dict[str, Tensor]:
        """The losses by seat, checked and logged."""
        if not losses:
            raise ValueError("update() names no network.")
        by_seat: dict[str, Tensor] = {}
        for role, given in losses.items():
            if role not in self.nets:
                raise ValueError(f"update({role}=...): the networks are {', '.join(self.nets)}.")
            several: Any = given if isinstance(given, tuple) and given else (given,)
            alone = [_alone(role, loss) for loss in several]
            if not self.parameters[role]:
                continue
            for i, loss in enumerate(several):
                seat = f"{role}+{i}" if i else role
                by_seat[seat] = loss.total if isinstance(loss, Regularised) else loss
            self.meters.add({f"{role}_loss": torch.stack(alone).sum()})
        return by_seat

    def _gradients(self, losses: Mapping[str, Tensor]) -> dict[str, tuple[Tensor | None, ...]]:
        """The gradient of each seat's loss; one backward pass for a loss that seats share."""
        groups: dict[int, list[str]] = {}
        for seat, loss in losses.items():
            groups.setdefault(id(loss), []).append(seat)
        gradients: dict[str, tuple[Tensor | None, ...]] = {}
        for i, seats in enumerate(groups.values()):
            wanted = [p for seat in seats for p in self.parameters[role_of(seat)]]
            grads = self._backward(losses[seats[0]], seats[0], wanted, keep=i < len(groups) - 1)
            for seat in seats:
                role = role_of(seat)
                n = len(self.parameters[role])
                gradients[seat], grads = grads[:n], grads[n:]
                if all(g is None for g in gradients[seat]):
                    raise ValueError(
                        f"update({role}=...): this loss reaches no parameter of {role!r}; "
                        "compute the loss from that network's output."
                    )
        return gradients

    def _backward(self, loss, seat, wanted, *, keep) -> tuple[Tensor | None, ...]:
        role = role_of(seat)
        if not loss.requires_grad:
            raise ValueError(f"update({role}=...): this loss reaches no parameter at all.")
        try:
            return torch.autograd.grad(loss, wanted, retain_graph=keep, allow_unused=True)
        except RuntimeError as error:
            stale = "modified by an inplace operation", "backward through the graph a second time"
            if not any(words in str(error) for words in stale):
                raise
            raise RuntimeError(
                f"update({role}=...): this loss was used already, or was computed before an update "
                "of a network that it passes through; compute it again after that update."
            ) from error

    def _step(self, seat: str, gradients: tuple[Tensor | None, ...]) -> None:
        params = self.parameters[role_of(seat)]
        gradients = average_gradients(params, gradients)
        for p, g in zip(params, gradients, strict=True):
            p.grad = None if g is None else laid_out_as(p, g)
        if self.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(params, self.clip_grad_norm)
        optimizer = self.optimizer(seat)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _count(self, role: str) -> None:
        self.n_updates[role] += 1
        if self.ema_step is not None and self.parameters[role]:
            with torch.no_grad():
                self.ema_step(self.ema[role], self.parameters[role], self.n_updates[role])

    @contextlib.contextmanager
    def looking_on(self) -> Iterator[None]:
        """A context for forward passes after which all buffers are as they were before."""
        yield
        for role in self.nets:
            self.buffers.put_back(role)

    def scale_lr(self, factor: float) -> None:
        """Set every learning rate to `factor` times its starting value."""
        for seat, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = factor * self.base_lr[seat]

    def finished(self) -> dict[str, nn.Module]:
        """Copies of the networks in eval mode, with averaged weights if `ema_decay` is set."""
        nets = {role: copied(net) for role, net in self.nets.items()}
        for role, net in nets.items():
            net.zero_grad(set_to_none=True)
            with torch.no_grad():
                for p, mean in zip(trainable(net), self.ema[role], strict=bool(self.ema[role])):
                    p.copy_(mean)
            net.eval()
        return nets


def trainable(net: nn.Module) -> list[Tensor]:
    """The parameters of a network that are trained."""
    return [p for p in net.parameters() if p.requires_grad]


def laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient with its parameter's strides, because fused optimizers ignore strides."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def role_of(seat: str) -> str:
    """The role that a seat belongs to."""
    return seat.partition("+")[0]


def _alone(role: str, loss: Any) -> Tensor:
    """A loss without the terms added to it, to be logged."""
    loss = loss.loss if isinstance(loss, Regularised) else loss
    if not isinstance(loss, Tensor) or loss.ndim != 0:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"{loss!r}"
        raise ValueError(f"update({role}=...) needs a scalar tensor, got {got}.")
    return loss.detach()


def _check_disjoint(parameters: Mapping[str, list[Tensor]]) -> None:
    owner: dict[int, str] = {}
    for role, params in parameters.items():
        for p in params:
            other = owner.setdefault(id(p), role)
            if other != role:
                raise ValueError(
                    f"the networks {other!r} and {role!r} share a parameter of shape "
                    f"{tuple(p.shape)}: give the shared layers a role of their own."
                )
