"""An image changed by way of its code: Zhu et al. 2016 (arXiv 1609.03552), sec. 4.

    z* = argmin_z  |m (G(z) - target)|^2 / |m|   the user's constraint, where the mask m is
                 + a |z - z0|^2                  closeness to the code z0 of the image
                 + b softplus(-D(G(z)))          realism, by the discriminator

The path from the image to the edited one is a line between their codes, each point of which G makes
a sample of.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils import Bunch
from torch import Tensor

from ..utils.checks import check_number, random_state_of
from ..utils.descent import minimised
from ..utils.fitted import FittedNetworks
from ..utils.products import SameForAllRows
from .inversion import Codes

SPREAD = 0.5  # of the starts around the image's code, as a share of the prior's range
REALISM = 0.1  # its weight where a discriminator judges samples


class Editing:
    """The side of a projector that edits images."""

    # Of the projector.
    _networks: Callable[[], FittedNetworks]
    _project: Callable[[Any], tuple[Tensor, Tensor]]
    pixel_scale_: float
    tol: float

    def edit(
        self, x, target, mask, *, closeness_weight=1.0, realism_weight=None, n_steps=100,
        n_starts=16, n_frames=9, code=None, random_state=0,
    ):  # fmt: skip
        """Change an image so that it meets a target where a mask is, and stays realistic.

        Several optimisations begin at and around the image's code; the best one counts (Zhu et al.
        2016, sec. 4).

        Parameters
        ----------
        x : array-like, one sample of the shape of those in `fit`
            The image to edit.
        target : array-like of the shape of x
            What the edited image is to look like where `mask` is not 0. Elsewhere it plays no part.
        mask : array-like of shape (h, w), or of the shape of a sample as networks see it
            Weights, at least 0, some of them above 0. For a table of shape (columns,).
        closeness_weight : float, default=1.0
            Weight of the mean squared distance to the image's code, relative to the prior's
            variance.
        realism_weight : float or None, default=None
            Weight of the discriminator's loss softplus(-D(G(z))). None is 0.1, or 0 for a GAN whose
            discriminator does not judge samples; that needs 0 or None.
        n_steps : int, default=100
            Steps of each optimisation.
        n_starts : int, default=16
            Number of optimisations. One begins at the image's code, the others within half of the
            prior's range around it.
        n_frames : int, default=9
            Number of samples on the path, at least 2.
        code : array-like of shape (d,), default=None
            The image's code, if it is known, within the prior's range; None projects x.
        random_state : None, int or RandomState, default=0
            Seed of the starts.

        Returns
        -------
        Bunch
            - images : ndarray of shape (n_frames, ...), the path from the image's reconstruction
              to the edited image, in the layout, value range and (for uint8) type of the X of
              `fit`;
            - codes : ndarray of shape (n_frames, d), float32;
            - constraint : ndarray of shape (n_frames,), the weighted mean squared error where the
              mask is, relative to that of the mean sample;
            - closeness : ndarray of shape (n_frames,), the distance to the image's code;
            - realism : ndarray of shape (n_frames,), the discriminator's logit, large for real
              samples, or what the game has in its place; None where it does not judge samples.

        Raises
        ------
        ValueError
            For a mask or a target of another shape, a mask without weight, a code beyond the
            prior's range, and for a `realism_weight` above 0 where there is no judge.
        """
        networks = self._networks()
        if realism_weight is None:
            realism_weight = REALISM if networks.has_logits else 0.0
        for name, value in (
            ("closeness_weight", closeness_weight),
            ("realism_weight", realism_weight),
        ):
            check_number(name, value, low=0)
        for name, value, low in (
            ("n_steps", n_steps, 1),
            ("n_starts", n_starts, 1),
            ("n_frames", n_frames, 2),
        ):
            check_number(name, value, low=low, integer=True)
        if realism_weight and not networks.has_logits:
            raise ValueError(
                f"realism_weight={realism_weight!r} must be 0 or None here: no discriminator of "
                f"{type(networks.estimator).__name__} judges samples."
            )
        codes = Codes(networks.prior)
        wanted = one_sample(networks, "target", target)
        weights = checked_mask(mask, wanted)
        z0 = self._code_of(networks, x, code)
        numbers, categories = codes.parts(z0)
        variance = codes.variance.to(numbers)

        def terms(z: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            x_hat = networks.generate(z)
            constraint = ((x_hat - wanted).square() * weights).flatten(1).sum(1) / self.pixel_scale_
            closeness = ((codes.parts(z)[0] - numbers).square() / variance).mean(1)
            return constraint, closeness, networks.logits(x_hat) if networks.has_logits else None

        def loss(w: Tensor) -> Tensor:
            constraint, closeness, logits = terms(torch.cat([w, categories.expand(len(w), -1)], 1))
            total = constraint + closeness_weight * closeness
            if logits is not None and realism_weight:
                total = total + realism_weight * F.softplus(-logits)
            return total

        starts = around(numbers, codes, n_starts, random_state)
        with SameForAllRows():
            found, losses = minimised(loss, starts, n_steps, codes.bound, self.tol)
        z1 = torch.cat([found[losses.argmin()][None], categories], 1)
        share = torch.linspace(0, 1, n_frames, device=z0.device)[:, None]
        path = (1 - share) * z0 + share * z1
        with torch.no_grad():
            constraint, closeness, logits = terms(path)
        return Bunch(
            images=networks.like_X(networks.generate_in_parts(path)),
            codes=path.numpy(force=True),
            constraint=constraint.numpy(force=True),
            closeness=closeness.sqrt().numpy(force=True),
            realism=None if logits is None else logits.numpy(force=True),
        )

    def _code_of(self, networks: FittedNetworks, x: Any, code: Any) -> Tensor:
        """The code (1, d) of an image, which may be known."""
        if code is None:
            row = np.asarray(x)
            one_sample(networks, "x", row)
            return self._project(row[None])[0].to(networks.device)
        return networks.checked_code(code)


def one_sample(networks: FittedNetworks, name: str, row: Any) -> Tensor:
    """One sample of the layout of X as networks see it, (1, ...)."""
    row = np.asarray(row)
    expected = networks.row_shape
    if row.shape != expected:
        raise ValueError(
            f"{name} has shape {row.shape}; pass one sample of shape {expected}, such as X[0]."
        )
    return networks.samples(row[None])


def checked_mask(mask: Any, sample: Tensor) -> Tensor:
    """The weights of a sample's values, which add up to 1."""
    shape = tuple(sample.shape[1:])
    shapes = [shape[1:], shape] if len(shape) == 3 else [shape]
    weights = torch.as_tensor(np.asarray(mask, np.float32), device=sample.device)
    if weights.shape not in shapes:  # no broadcasting: whether of rows or columns, who would know?
        raise ValueError(
            f"mask has shape {tuple(weights.shape)}; pass one of shape "
            f"{' or '.join(map(str, shapes))}."
        )
    if not bool(torch.isfinite(weights).all()) or weights.min() < 0 or weights.max() <= 0:
        raise ValueError(
            f"mask has weights from {weights.min():g} to {weights.max():g}; pass weights of at "
            "least 0, some of them above 0."
        )
    weights = weights.expand(shape)
    return weights / weights.sum()


def around(numbers: Tensor, codes: Codes, n: int, random_state: Any) -> Tensor:
    """The numbers of a code (1, d), and n - 1 draws around them."""
    rng = random_state_of(random_state)
    moved = torch.as_tensor(rng.uniform(-SPREAD, SPREAD, (n - 1, numbers.shape[1])))
    moved = numbers + codes.bound * moved.to(numbers)
    return codes.clipped(torch.cat([numbers, moved]))
