"""Penalties by gradients in the input: functions of a network and its inputs, parts of a loss.

Those of critics return a scalar. `real` and `generated` are tuples: the inputs of the critic's two
passes, so that critics of pairs D(x, z) are penalised in all their inputs.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

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


def virtual_adversarial(
    scores_of: Critic, x: Tensor, scores: Tensor, d: Tensor, *, radius: float
) -> Tensor:
    """KL(p(y | x) || p(y | x + r)) of every sample, shape (n,): virtual adversarial training.

    p is the softmax of the scores (n, k), which is a constant on the left. r, also a constant, has
    the length `radius` and the direction in which the divergence grows fastest, as one step of the
    power method from noise d (of the shape of x) finds it (Miyato et al. 2018, arXiv 1704.03976,
    sec. 3.3).
    """
    # Paper: the gradient is taken at 1e-6 of the unit vector along d; in float32, probabilities
    # so close to each other differ by little more than their rounding.
    log_p, x = _log_p(scores.detach()), x.detach()
    near = (1e-2 * _unit(d)).requires_grad_()
    (g,) = torch.autograd.grad(_kl(log_p, scores_of(x + near)).sum(), near)
    return _kl(log_p, scores_of(x + radius * _unit(g)))


def _kl(log_p: Tensor, scores: Tensor) -> Tensor:
    """KL(p || softmax of the scores) of every sample, shape (n,)."""
    return (log_p.exp() * (log_p - _log_p(scores))).sum(1)


def _log_p(scores: Tensor) -> Tensor:
    return log_softmax(scores.float() if scores.dtype == torch.bfloat16 else scores, 1)


def _unit(d: Tensor) -> Tensor:
    """Every sample divided by its length."""
    length = torch.linalg.vector_norm(d.flatten(1), dim=1) + 1e-12
    return d / length.view(-1, *[1] * (d.ndim - 1))
