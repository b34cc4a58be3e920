"""The networks of a game, their optimizers, and the one verb that moves them: `update`."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..utils.modules import copied
from .processes import average_gradients
from .runtime import full_precision

Penalty = Callable[..., Tensor]


class Players:
    """Networks by role, and by seat an optimizer of one: "role", and "role+1" for a second loss.

    Parameters
    ----------
    nets : dict of role -> Module
        With disjoint parameters: one that two roles hold is an error.
    make_optimizer : callable (role, parameters) -> torch.optim.Optimizer
    critics : iterable of str
        Roles whose calls are watched: between two updates, whichever networks they move, a critic
        sees the real rows in its first call and generated ones in its second.
    penalties : dict of critic -> callable (critic, real, fake, rng) -> scalar
        Added to the critic's loss whenever it moves.
    clip_grad_norm : float or None
        Bound on the norm of every role's gradient.
    ema_decay : float or None
        Decay per step of the moving average of every role's weights.
    rng : torch.Generator
    """

    def __init__(
        self,
        nets: Mapping[str, nn.Module],
        make_optimizer: Callable[[str, list[Tensor]], torch.optim.Optimizer],
        *,
        critics: Iterable[str] = (),
        penalties: Mapping[str, Penalty] | None = None,
        clip_grad_norm: float | None = None,
        ema_decay: float | None = None,
        rng: torch.Generator,
    ):
        self.nets = dict(nets)
        self.rng = rng
        self.clip_grad_norm = clip_grad_norm
        self.penalties = dict(penalties or {})
        self.parameters = {role: trainable(net) for role, net in self.nets.items()}
        _check_disjoint(self.parameters)
        self._make_optimizer = make_optimizer
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.base_lr: dict[str, float] = {}
        for role in self.nets:
            self.optimizer(role)
        self.ema_step = None if ema_decay is None else get_ema_multi_avg_fn(ema_decay)
        self.ema = {
            role: [p.detach().clone() for p in params] if self.ema_step else []
            for role, params in self.parameters.items()
        }
        self.n_updates = dict.fromkeys(self.nets, 0)
        self.meters = Meters()
        self._watch = {role: Watch(self.nets[role]) for role in critics}
        self._buffer_slots = {role: _buffer_slots(net) for role, net in self.nets.items()}
        self.n_steps = 0
        self.settle_buffers()

    def optimizer(self, seat: str) -> torch.optim.Optimizer:
        """The optimizer of a role, or of one more loss of it ("role+1", ...)."""
        if seat not in self.optimizers:
            role = role_of(seat)
            self.optimizers[seat] = self._make_optimizer(role, self.parameters[role])
            self.base_lr[seat] = self.optimizers[seat].param_groups[0]["lr"]
        return self.optimizers[seat]

    def update(self, **losses: Tensor | tuple[Tensor, ...]) -> None:
        """Move the named networks, each down its own loss.

        All gradients are taken at the current point before any network steps, so one call with
        several names is simultaneous play and several calls are alternating play. One tensor
        under two names costs one backward pass. Networks that are not named stay as they are,
        buffers included. A network that is given a tuple of losses moves down each of them by
        an optimizer of its own: a step for every loss, all from gradients at the same point.
        """
        by_seat = self._by_seat(losses)
        for seat, loss in by_seat.items():
            if role_of(seat) == seat:
                by_seat[seat] = self._with_penalty(seat, loss)
        gradients = self._gradients(by_seat)
        for seat in by_seat:
            self._step(seat, gradients[seat])
        for role in losses:
            self._count(role)
        # Fused optimizers move parameters behind autograd's back: raise the version counters,
        # so that a loss computed before this step cannot be used after it.
        torch.autograd.graph.increment_version([p for r in losses for p in self.parameters[r]])
        for role in self.nets:
            if role in losses:
                self._keep_buffers(role)
            else:
                self._put_back_buffers(role)
        for watch in self._watch.values():
            watch.forget()

    def _by_seat(self, losses: Mapping[str, Tensor | tuple[Tensor, ...]]) -> dict[str, Tensor]:
        """The losses, checked and noted, by the optimizer that goes down them."""
        by_seat: dict[str, Tensor] = {}
        for role, given in losses.items():
            if role not in self.nets:
                raise ValueError(f"update({role}=...): the networks are {', '.join(self.nets)}.")
            several: Any = given if isinstance(given, tuple) and given else (given,)
            for i, loss in enumerate(several):
                if not isinstance(loss, Tensor) or loss.ndim != 0:
                    got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"{loss!r}"
                    raise ValueError(f"update({role}=...) needs a scalar tensor, got {got}.")
                by_seat[f"{role}+{i}" if i else role] = loss
            total = torch.stack([loss.detach() for loss in several]).sum()
            self.meters.add({f"{role}_loss": total})
        if not losses:
            raise ValueError("update() names no network.")
        return by_seat

    def _with_penalty(self, role: str, loss: Tensor) -> Tensor:
        watch = self._watch.get(role)
        if watch is None or len(watch.calls) < 2:
            if role in self.penalties:
                raise RuntimeError(
                    f"update({role}=...): its penalty needs the real and the generated pass, "
                    f"but {role!r} was called {len(watch.calls) if watch else 0} times."
                )
            return loss
        (real, real_mean), (fake, fake_mean) = watch.calls[:2]
        self.meters.add({f"{role}_real": real_mean, f"{role}_generated": fake_mean})
        if role not in self.penalties:
            return loss
        with watch.looking_away(), full_precision(real[0].device):
            penalty = self.penalties[role](self.nets[role], real, fake, self.rng)
        self.meters.add({f"{role}_penalty": penalty.detach()})
        return loss + penalty

    def _gradients(self, losses: Mapping[str, Tensor]) -> dict[str, tuple[Tensor | None, ...]]:
        """The gradient of each seat's loss; a loss that seats share is run back once."""
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
                        "compute it from that network's output."
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
                f"update({role}=...): this loss was computed before a network that it passes "
                "through moved, or was used already; compute it again after that update."
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
        if self.ema_step is not None:
            with torch.no_grad():
                self.ema_step(self.ema[role], self.parameters[role], self.n_updates[role])

    @contextlib.contextmanager
    def looking_on(self) -> Iterator[None]:
        """Passes through the networks that leave no trace: no buffer moves, no call is watched."""
        with contextlib.ExitStack() as stack:
            for watch in self._watch.values():
                stack.enter_context(watch.looking_away())
            yield
        for role in self.nets:
            self._put_back_buffers(role)

    def settle_buffers(self) -> None:
        """Take every network's buffers as they are now for those that `update` puts back."""
        self._buffers = {role: [b.clone() for b in self._buffers_of(role)] for role in self.nets}
        # By role: what was put back, its versions then, and what it took the place of.
        self._set_aside: dict[str, tuple[list[Tensor], list[int], list[Tensor]]] = {}

    def _buffers_of(self, role: str) -> list[Any]:
        return [module._buffers[name] for module, name in self._buffer_slots[role]]

    def _set_buffers(self, role: str, values: list[Tensor]) -> None:
        for (module, name), value in zip(self._buffer_slots[role], values, strict=True):
            module._buffers[name] = value

    def _put_back_buffers(self, role: str) -> None:
        """As they were when the role last moved; what they are now is set aside."""
        if not self._was_run(role):
            return
        # A graph that is still wanted may hold the buffers of now: replace, don't overwrite.
        moved, back = self._buffers_of(role), [b.clone() for b in self._buffers[role]]
        self._set_buffers(role, back)
        self._set_aside[role] = back, [b._version for b in back], moved

    def _keep_buffers(self, role: str) -> None:
        """As the pass behind the role's loss left them, also if they were put back since."""
        if not self._was_run(role):
            self._set_buffers(role, self._set_aside[role][2])
        self._set_aside.pop(role, None)
        self._buffers[role] = [b.clone() for b in self._buffers_of(role)]

    def _was_run(self, role: str) -> bool:
        """Whether buffers have moved since they were put back."""
        if role not in self._set_aside:
            return True
        back, versions, _ = self._set_aside[role]
        now = self._buffers_of(role)
        return any(
            a is not b or b._version != v for a, b, v in zip(now, back, versions, strict=True)
        )

    def scale_lr(self, factor: float) -> None:
        """Set every learning rate to `factor` times its starting value."""
        for seat, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = factor * self.base_lr[seat]

    def finished(self) -> dict[str, nn.Module]:
        """Copies of the networks for use: averaged weights if asked for, in eval mode."""
        for watch in self._watch.values():
            watch.remove()  # or the copies would be watched as well
        nets = {role: copied(net) for role, net in self.nets.items()}
        self._watch = {role: Watch(self.nets[role]) for role in self._watch}
        for role, net in nets.items():
            net.zero_grad(set_to_none=True)
            with torch.no_grad():
                for p, mean in zip(trainable(net), self.ema[role], strict=bool(self.ema[role])):
                    p.copy_(mean)
            net.eval()
        return nets


def trainable(net: nn.Module) -> list[Tensor]:
    """The parameters of a network that are to move."""
    return [p for p in net.parameters() if p.requires_grad]


def laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient, in memory as its parameter is: fused optimizers take no notice of strides."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def role_of(seat: str) -> str:
    """The role that an optimizer moves."""
    return seat.partition("+")[0]


class Watch:
    """Remembers a critic's calls since the last update: inputs, and the mean output."""

    def __init__(self, net: nn.Module):
        self.calls: list[tuple[tuple[Tensor, ...], Tensor]] = []
        self._away = False
        self._handle = net.register_forward_hook(self._see)

    def _see(self, _module, inputs, output) -> None:
        if not self._away and isinstance(output, Tensor):
            self.calls.append((inputs, output.detach().float().mean()))

    def looking_away(self) -> "Watch":
        return self

    def __enter__(self) -> None:
        self._away = True

    def __exit__(self, *_) -> None:
        self._away = False

    def forget(self) -> None:
        self.calls.clear()

    def remove(self) -> None:
        self._handle.remove()


class Meters:
    """Sums of scalars by name, on their device; read once an epoch."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            # float64 would be refused on some devices; an epoch's sum is small enough for 32.
            value = value.float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def harvest(self) -> dict[str, float]:
        """The means, in the order of first appearance; starts anew."""
        means = {name: float(s) / self._counts[name] for name, s in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means


def _check_disjoint(parameters: Mapping[str, list[Tensor]]) -> None:
    owner: dict[int, str] = {}
    for role, params in parameters.items():
        for p in params:
            other = owner.setdefault(id(p), role)
            if other != role:
                raise ValueError(
                    f"the networks {other!r} and {role!r} share a parameter of shape "
                    f"{tuple(p.shape)}: make what they share a role of its own."
                )


def _buffer_slots(net: nn.Module) -> list[tuple[nn.Module, str]]:
    return [
        (module, name)
        for module in net.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
