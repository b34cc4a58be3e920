"""Penalties on critics: functions (critic, real, fake, rng) -> scalar.

`real` and `fake` are tuples: the inputs of the critic's two passes, so that joint critics
D(x, z) are penalised in all their inputs. The engine adds a penalty to the critic's loss.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Inputs = tuple[Tensor, ...]
Critic = Callable[..., Tensor]


def _gradient_norm(critic: Critic, inputs: Inputs) -> Tensor:
    """|| grad D(inputs) ||_2 per row, shape (n,), with a graph behind it."""
    gradients = torch.autograd.grad(critic(*inputs).sum(), inputs, create_graph=True)
    flat = torch.cat([g.flatten(1) for g in gradients], dim=1)
    # The root has no derivative at zero, where a constant critic sits.
    return (flat.square().sum(1) + 1e-12).sqrt()


def gradient_penalty(
    critic: Critic, real: Inputs, fake: Inputs, rng: torch.Generator, *, weight: float = 10.0
) -> Tensor:
    """weight * E (|| grad D(x^) ||_2 - 1)^2, x^ = e x + (1 - e) G(z), e ~ U(0, 1).

    Gulrajani et al. 2017 (arXiv 1704.00028).
    """
    e = torch.rand(len(real[0]), generator=rng, dtype=torch.float32).to(real[0].device)
    mixed = []
    for x, g in zip(real, fake, strict=True):
        share = e.view(-1, *[1] * (x.ndim - 1))
        mixed.append((share * x + (1 - share) * g).detach().requires_grad_())
    return weight * (_gradient_norm(critic, tuple(mixed)) - 1).square().mean()
