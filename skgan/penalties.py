"""Penalties on critics, functions of the critic and its inputs that return a scalar.

`real` and `generated` are tuples: the inputs of the critic's two passes, so that critics of pairs
D(x, z) are penalised in all their inputs.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Inputs = tuple[Tensor, ...]
Critic = Callable[..., Tensor]


def _squared_gradient(critic: Critic, inputs: Inputs) -> Tensor:
    """|| grad D(inputs) ||^2 of every sample, shape (n,), as part of the graph."""
    inputs = tuple(x.detach().requires_grad_() for x in inputs)
    gradients = torch.autograd.grad(critic(*inputs).sum(), inputs, create_graph=True)
    return torch.cat([g.flatten(1) for g in gradients], dim=1).square().sum(1)


def gradient_penalty(
    critic: Critic, real: Inputs, generated: Inputs, e: Tensor, *, weight: float = 10.0
) -> Tensor:
    """weight * E (|| grad D(x^) ||_2 - 1)^2, x^ = e x + (1 - e) G(z), with e (n,) from U(0, 1).

    Gulrajani et al. 2017 (arXiv 1704.00028).
    """
    mixed = []
    for x, g in zip(real, generated, strict=True):
        share = e.view(-1, *[1] * (x.ndim - 1))
        mixed.append(share * x + (1 - share) * g)
    # The root has no derivative at zero, where a constant critic sits.
    norm = (_squared_gradient(critic, tuple(mixed)) + 1e-12).sqrt()
    return weight * (norm - 1).square().mean()


def zero_centred_penalty(critic: Critic, inputs: Inputs, *, weight: float) -> Tensor:
    """weight / 2 * E || grad D(x) ||^2: R1 where x is real (Mescheder et al. 2018, sec. 4.1)."""
    return weight / 2 * _squared_gradient(critic, inputs).mean()
