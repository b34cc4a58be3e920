"""Density ratios from a discriminator: what Mao et al. 2019 (arXiv 1912.00789) take apart.

At its best for given generators, D(x) = p_r(x) / (p_r(x) + p_g(x)) (Goodfellow et al. 2014,
proposition 1), so alpha(x) = p_g(x) / p_r(x) = exp(-logit) (corollary 1). Corollary 2: wherever
there are real samples alpha has to be constant, or modes collapse.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .utils.available import available_if
from .utils.checks import check_number
from .utils.docs import A_SCORE_EACH, X_AS_IN_FIT, completed_by
from .utils.parameters import Checked, parameters


def _estimates_a_ratio(estimator: Any) -> bool:
    """For `available_if`: whether D's logit is log p_r / p_g in this game."""
    why = estimator._no_ratio()
    if why:
        raise AttributeError(f"with {why} the discriminator gives no density ratio.")
    return True


@parameters
class DensityRatioMixin(Checked):
    """Games with a discriminator that judges samples: the hook `_logits` is its logit.

    Parameters
    ----------
    validation_fraction : float
        Share of the samples in `fit`, in [0, 1), that is kept out of training. `history_` then
        follows the density ratio on these samples ("alpha_mean", "alpha_cv"). It has to be 0 where
        the discriminator gives no density ratio.
    """

    validation_fraction: float = 0.0

    # Of BaseGAN, with which this is combined.
    _apply: ClassVar[Any]

    def _check(self) -> None:
        fraction = self.validation_fraction
        check_number("validation_fraction", fraction, low=0, high=1, open_high=True)
        super()._check()
        if fraction and self._no_ratio():
            raise ValueError(
                f"validation_fraction={fraction!r} must be 0 here: with {self._no_ratio()} the "
                "discriminator gives no density ratio."
            )

    def _no_ratio(self) -> str:
        """The setting that keeps D's logit from being log p_r / p_g; "" where it is."""
        return ""

    def _share_held_out(self) -> float:
        return self.validation_fraction

    def _logits(self, nets: Any, x: Tensor) -> Tensor:
        """D's logit of samples, (n,) or (n, 1)."""
        raise NotImplementedError

    @completed_by(A_SCORE_EACH)
    def score_samples(self, X):
        """D's logit of every sample: large where D takes it for real."""
        return self._apply(lambda nets: lambda x: self._logits(nets, x).flatten(), X)

    @available_if(_estimates_a_ratio)
    @completed_by(X_AS_IN_FIT)
    def density_ratio(self, X):
        """alpha(x) = p_g(x) / p_r(x), as the discriminator estimates it: exp(-logit).

        Mao et al. 2019, corollary 1; in games on pairs (x, E(x)), that of the pairs. Only for
        losses whose logit is a log ratio: not for hinge, least squares or Wasserstein.

        Returns
        -------
        ndarray of shape (n,), float64
            1 where the discriminator cannot tell; large where generated samples are more frequent.
        """
        logits = self._apply(lambda nets: lambda x: self._logits(nets, x).flatten(), X)
        return alpha(torch.from_numpy(logits)).numpy(force=True)

    @torch.no_grad()
    def _diagnose(self, nets: Any, batches: Any) -> dict[str, float]:
        """Mean and coefficient of variation of alpha over samples that are kept out of training.

        The networks are in training mode, as the game plays them: batch norm by the batch.
        """
        logits = torch.cat([self._logits(nets, batch.x).flatten() for batch in batches])
        a = alpha(logits).numpy()
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(a.mean())
            return {"alpha_mean": mean, "alpha_cv": float(a.std() / mean)}


def alpha(logits: Tensor) -> Tensor:
    """exp(-logit) in float64."""
    return (-logits.cpu().double()).exp()
