"""Density ratios from a discriminator: what Mao et al. 2019 (arXiv 1912.00789) take apart.

At its best for given generators, D(x) = p_r(x) / (p_r(x) + p_g(x)) (Goodfellow et al. 2014,
proposition 1), so alpha(x) = p_g(x) / p_r(x) = exp(-logit) (corollary 1). Corollary 2: wherever
there are real rows alpha has to be constant, or modes collapse.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from torch import Tensor

from .settings import estimates_a_ratio


class DensityRatioMixin:
    """Games whose discriminator gives a density ratio: the hook `_logits` is D's logit of rows."""

    # Of BaseGAN, beside which this stands.
    _apply: Callable[..., Any]

    def _logits(self, nets: Any, x: Tensor) -> Tensor:
        raise NotImplementedError

    @available_if(estimates_a_ratio)
    def density_ratio(self, X):
        """alpha(x) = p_g(x) / p_r(x), as the discriminator estimates it: exp(-logit).

        Mao et al. 2019, corollary 1; in games on pairs (x, E(x)), that of the pairs. Only for
        losses whose logit is a log ratio: not for hinge, least squares or Wasserstein.

        Parameters
        ----------
        X : array-like, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float64
            1 where the discriminator cannot tell; large where generated rows are more frequent.
        """
        logits = self._apply(lambda nets: lambda x: self._logits(nets, x).flatten(), X)
        return alpha(torch.as_tensor(logits)).numpy(force=True)

    @torch.no_grad()
    def _diagnose(self, nets: Any, batches: Any) -> dict[str, float]:
        """Mean and coefficient of variation of alpha over rows that training never sees.

        The networks are in training mode, as the game plays them: batch norm by the batch.
        """
        a = alpha(torch.cat([self._logits(nets, x).flatten() for x in batches])).cpu().numpy()
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(a.mean())
            return {"alpha_mean": mean, "alpha_cv": float(a.std() / mean)}


def alpha(logits: Tensor) -> Tensor:
    """exp(-logit) in float64."""
    return (-logits.cpu().double()).exp()
