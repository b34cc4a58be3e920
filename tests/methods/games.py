"""What tests of encoders share: a problem with a known answer, and a look into one step."""

import dataclasses
import math

import numpy as np
import torch
from torch import nn

from skgan.engine.loop import Batch
from skgan.nn import joined


def linear_gaussian(n=2000, latent="normal"):
    """Rows X = z A + b with z ~ N(0, I): a linear G generates them, and a linear E inverts it."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, 2)) if latent == "normal" else rng.uniform(-1, 1, (n, 2))
    return z @ [[2.0, 1.0], [-0.5, 1.0]] + [3.0, -1.0]


def _turned(net):
    # Linear maps cannot turn a reflection into the identity without collapsing on the way; a
    # rotation by 57 degrees they can undo.
    with torch.no_grad():
        c, s = math.cos(1.0), math.sin(1.0)
        net.weight.mul_(0.1).add_(torch.tensor([[c, -s], [s, c]]))
    return net


def linear_generator(latent_dim, output_shape):
    return _turned(nn.Linear(latent_dim, *output_shape))


def linear_encoder(input_shape, n_outputs):
    return _turned(nn.Linear(*input_shape, n_outputs))


def recovery(est, latent="normal", n=2000):
    """R^2 of z from E(G(z)), without any regression between them: 1 where E inverts G."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(n, 2)) if latent == "normal" else rng.uniform(-1, 1, (n, 2))
    error = np.square(est.transform(est.inverse_transform(z)) - z).sum()
    return 1 - error / np.square(z - z.mean(0)).sum()


def cycle_error(est, X):
    """|| x - G(E(x)) ||^2 as a share of the variance."""
    return np.square(est.reconstruct(X) - X).sum() / np.square(X - X.mean(0)).sum()


def distance_from_the_prior(est, X):
    """By how much the moments of X's codes differ at most from those of N(0, I)."""
    Z = est.transform(X)
    return max(np.abs(np.cov(Z.T) - np.eye(Z.shape[1])).max(), np.abs(Z.mean(0)).max())


def one_step(est, X, seed=0):
    """(networks, batch, losses by role of every update) of one `_step`, in which nothing moves."""
    est.fit(X)  # for what the data teach about the format; the networks are built anew
    rng = torch.Generator().manual_seed(seed)
    nets = est._as_trained(joined(est._build(est.input_shape_, rng)), rng)
    x = est._format.encode(X[:64])
    z = est._draw(len(x), rng)
    batch = Batch(x, 1, 1, lambda n=64: z, lambda *s: torch.randn(*s, generator=rng),
                  lambda *s: torch.rand(*s, generator=rng), lambda **values: None)  # fmt: skip
    updates = []
    est._step(nets, batch, lambda **losses: updates.append(losses))
    return nets, batch, updates


def recording(monkeypatch, cls):
    """Record the rows and the draws of every step of `cls`."""
    seen, step = [], cls._step

    def watched(self, nets, batch, update):
        z = batch.latent()
        seen.append((batch.x.clone(), z.clone()))
        step(self, nets, dataclasses.replace(batch, latent=lambda: z), update)

    monkeypatch.setattr(cls, "_step", watched)
    return seen


def alignment(loss, value, net):
    """The sign of the change of `value` when `net` goes up `loss`."""
    parameters = list(net.parameters())
    pairs = zip(
        torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True),
        torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True),
        strict=True,
    )
    return math.copysign(1, sum(float((a * b).sum()) for a, b in pairs if a is not None))
