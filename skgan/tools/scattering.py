"""Scattering coefficients, the baseline "scattering" of `probe`: wavelets, nothing is trained.

Bruna and Mallat 2013, "Invariant scattering convolution networks" (IEEE TPAMI 35). Computed by
kymatio, an optional dependency.
"""

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..utils.parameters import parameters
from .reading import ReadsSamples

BATCH_VALUES = 2**17  # pixels of the images that are computed at a time
N_SCALED_BY = 256  # images from which the scale of the pixels is taken


def scattering_class() -> Any:
    """Kymatio's `Scattering2D` for PyTorch."""
    try:
        # Not kymatio.torch, whose three-dimensional part needs SciPy below 1.17.
        from kymatio.scattering2d.frontend.torch_frontend import ScatteringTorch2D
    except ImportError as error:
        raise ImportError(
            "baselines='scattering' needs kymatio, which cannot be imported "
            f"({error}): run pip install 'skgan[scattering]', or leave this baseline out."
        ) from error
    return ScatteringTorch2D


@parameters
class ScatteringFeatures(ReadsSamples, TransformerMixin, BaseEstimator):
    """Scattering coefficients of order 0 to 2 of every channel, for 8 directions.

    The largest scale is 2^J pixels, with J=2 for images of 28x28 and 32x32; it doubles with their
    side. The coefficients are on a grid of side / 2^J.
    """

    def fit(self, X: Any, y: Any = None) -> "ScatteringFeatures":
        """Learn the format and the units of X; y is ignored."""
        scattering_class()
        source = self._read(X, reset=True)
        if self._format.image_shape is None:
            raise ValueError("X is a table: scattering is for images; set image_shape.")
        largest = source.batch(slice(0, N_SCALED_BY)).abs().max().item()
        self.scale_ = largest if largest > 0 else 1.0
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Coefficients (n, k), float32."""
        check_is_fitted(self)
        source = self._read(X, reset=False)
        _, h, w = self.input_shape_
        J = max(1, int(np.log2(min(h, w) / 7)))
        scattering = scattering_class()(J=J, shape=(h, w))
        size = max(1, BATCH_VALUES // int(np.prod(self.input_shape_)))
        rows = [slice(i, i + size) for i in range(0, len(source), size)]
        with torch.no_grad():
            parts = [scattering(x / self.scale_).flatten(1) for x in source.batches(rows)]
        return torch.cat(parts).numpy()
