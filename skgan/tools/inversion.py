"""What the projection of samples to codes is made of: codes, losses, and the encoder's training."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..nn import build_network
from ..nn.codes import Prior
from ..utils.fitted import FittedNetworks
from ..utils.seeds import layers_draw_from, stream

NORMAL_BOUND = 3.0  # standard deviations
N_SCALED_BY = 1024  # samples at most that errors are scaled by
ENCODER_BATCH = 64
PASSES, MOST_STEPS = 20, 1000  # of the encoder's training


class Codes:
    """The parts of z: numbers, which a gradient can follow, and one-hot categories, which not.

    Parameters
    ----------
    prior : Prior
    """

    def __init__(self, prior: Prior):
        self.sizes = list(prior.categories)
        self.n_numbers = prior.dim - sum(self.sizes)
        self.bound = torch.ones(self.n_numbers)
        self.variance = torch.full((self.n_numbers,), 1 / 3)  # of U(-1, 1)
        if prior.latent == "normal":
            self.bound[: prior.latent_dim] = NORMAL_BOUND
            self.variance[: prior.latent_dim] = 1

    @property
    def has_categories(self) -> bool:
        return bool(self.sizes)

    def parts(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers (n, n_numbers) and the categories (n, rest) of codes."""
        self.bound = self.bound.to(z.device)
        return z[:, : self.n_numbers], z[:, self.n_numbers :]

    def clipped(self, numbers: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(numbers, -self.bound), self.bound)

    def soft(self, a: Tensor) -> Tensor:
        """The code for an encoder's output (n, dim): numbers in range, and probabilities."""
        numbers, scores = self.parts(a)
        parts = [self.bound * (numbers / self.bound).tanh()]
        return torch.cat([*parts, *(s.softmax(1) for s in scores.split(self.sizes, 1))], 1)

    def hard(self, a: Tensor) -> Tensor:
        """The same with the most probable category of each part."""
        numbers, scores = self.parts(self.soft(a))
        parts = [F.one_hot(s.argmax(1), s.shape[1]).float() for s in scores.split(self.sizes, 1)]
        return torch.cat([numbers, *parts], 1)

    def next(self, categories: Tensor) -> Tensor:
        """The categories with the one after in the first part."""
        if not self.sizes:
            return categories
        first, *rest = categories.split(self.sizes, 1)
        return torch.cat([first.roll(1, 1), *rest], 1)


@dataclass(frozen=True)
class Difference:
    """How much samples differ: pixels, and features of an estimator, relative to the mean sample's.

    Attributes
    ----------
    networks : FittedNetworks
    feature_weight : float
    pixel_scale, feature_scale : float
        The mean squared errors that count as 1.
    """

    networks: FittedNetworks
    feature_weight: float
    pixel_scale: float = 1.0
    feature_scale: float = 1.0

    @classmethod
    def learnt(cls, networks: FittedNetworks, X: Any, feature_weight: float) -> "Difference":
        """With the scales of (at most 1,024 of) the samples of an X that was checked."""
        rows = np.linspace(0, len(X) - 1, min(len(X), N_SCALED_BY)).round().astype(int)
        scales = [1.0, 1.0]
        with torch.no_grad():
            x = networks.encoded(X[rows])
            of = [x, networks.features(x)] if feature_weight else [x]
            for i, values in enumerate(of):
                scales[i] = float(values.var(0, correction=0).mean()) or 1.0
        return cls(networks, feature_weight, *scales)

    def to(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """The loss (n,) of codes (n, d) for samples (n, ...)."""
        with torch.no_grad():
            features = self.networks.features(x) if self.feature_weight else None

        def loss(z: Tensor) -> Tensor:
            x_hat = self.networks.generate(z)
            error = (x_hat - x).square().flatten(1).mean(1) / self.pixel_scale
            if features is None:
                return error
            other = (self.networks.features(x_hat) - features).square().mean(1)
            return error + self.feature_weight * other / self.feature_scale

        return loss


def trained_encoder(
    networks: FittedNetworks, codes: Codes, difference: Difference, X: Any, choice: Any, *,
    n_steps: int | str, lr: float, seed: int, verbose: int,
) -> nn.Module:  # fmt: skip
    """E, trained so that G(E(x)) is close to x for the samples of an X that was checked.

    Half of the loss is that of samples x, and half the error of codes z for samples G(z), whose
    codes are known.

    Raises
    ------
    FloatingPointError
        If the loss stops being finite.
    """
    rng = stream(seed, "encoder")
    encoder = build_network(
        "encoder", choice, rng, input_shape=networks.shape, n_outputs=networks.prior.dim
    ).to(networks.device)
    optimizer = torch.optim.Adam(encoder.parameters(), lr, (0.5, 0.999))
    rows = minibatches(len(X), rng)
    if isinstance(n_steps, str):
        n_steps = min(PASSES * max(len(X) // ENCODER_BATCH, 1), MOST_STEPS)
    with reporting(verbose, n_steps, "encoder") as progress, torch.enable_grad():
        for _ in range(n_steps):
            x = networks.encoded(X[next(rows)])
            z = networks.prior.draw(len(x), rng).to(networks.device)
            with torch.no_grad():
                x_hat = networks.generate(z)
            with layers_draw_from(rng):
                real = difference.to(x)(codes.soft(encoder(x))).mean()
                known = code_loss(codes, encoder(x_hat), z)
            loss = real + known
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    "the encoder's loss is no longer finite: try a smaller encoder_lr."
                )
            optimizer.zero_grad()
            loss.backward(inputs=list(encoder.parameters()))
            optimizer.step()
            progress()
    return encoder.eval().requires_grad_(False)


def code_loss(codes: Codes, a: Tensor, z: Tensor) -> Tensor:
    """The squared error of numbers relative to their range, and cross-entropy of categories."""
    numbers, one_hot = codes.parts(z)
    found, _ = codes.parts(codes.soft(a))
    loss = ((found - numbers) / codes.bound).square().mean()
    _, scores = codes.parts(a)
    for s, c in zip(scores.split(codes.sizes, 1), one_hot.split(codes.sizes, 1), strict=True):
        loss = loss + F.cross_entropy(s, c.argmax(1))
    return loss


def minibatches(n: int, rng: torch.Generator) -> Iterator[np.ndarray]:
    """Indices of minibatches, passes over n samples in random orders without end."""
    size = min(ENCODER_BATCH, n)
    while True:
        order = torch.randperm(n, generator=rng).numpy()
        for first in range(0, n - size + 1, size):
            yield order[first : first + size]


@contextlib.contextmanager
def reporting(verbose: int, total: int, what: str) -> Iterator[Callable[..., None]]:
    """A function to call after each of `total` steps; with `verbose` it moves a progress bar."""
    if not verbose:
        yield lambda n=1: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=what, unit="step") as bar:
        yield functools.partial(bar.update)
