"""What an estimator with an encoder and a generator can do besides: codes to rows, and back."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_array
from sklearn.utils.metaestimators import available_if
from torch import Tensor, nn

from .nn import EncoderFeatures
from .nn.codes import OUTPUTS, Prior
from .nn.heads import Extractor
from .settings import prior_of
from .utils.checks import check_choice


def _gives_codes(estimator: Any) -> bool:
    if estimator.output == "latent":
        return True
    raise AttributeError(
        f"inverse_transform needs output='latent', but output={estimator.output!r}: the generator "
        "turns codes into rows, not other features."
    )


class ReconstructionMixin:
    """Rows from codes, and rows by way of their codes.

    Methods that mix it in have an `encoder`, a `generator`, and the hook `_encode(nets, x)` that
    gives the code of rows without noise.
    """

    # Of BaseGAN, beside which this stands.
    _nets: Callable[[], Any]
    _decode: Callable[[Any, Tensor], Tensor]
    _apply: Callable[..., Any]
    _device: Callable[[], torch.device]
    _format: Any
    _extractor: Callable[[Any], Extractor]
    output: str
    layers: Any
    tap: str
    pool_grid: int | None
    pool: str

    def _encode(self, nets: Any, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _prior(self) -> Prior:
        prior = prior_of(self)
        assert prior is not None
        return prior

    def _check_features(self) -> None:
        """Raise for bad values among the parameters that say what `transform` returns."""
        check_choice("output", self.output, OUTPUTS)

    def _encoder_features(
        self, encoder: nn.Module, names: list[str], code: Callable[[Tensor], Tensor],
        shape: tuple[int, ...],
    ) -> EncoderFeatures:  # fmt: skip
        """The extractor of an encoder that sees rows of `shape`."""
        taps = {
            "layers": self.layers, "tap": self.tap, "pool_grid": self.pool_grid,
            "pool": self.pool, "input_shape": shape,
        }  # fmt: skip
        return EncoderFeatures(encoder, self.output, names, code, taps)

    @available_if(_gives_codes)
    @torch.no_grad()
    def inverse_transform(self, X):
        """G(z): rows that the generator makes of codes.

        Only with output="latent".

        Parameters
        ----------
        X : array-like of shape (n, k)
            Codes, as `transform` gives them.

        Returns
        -------
        ndarray of shape (n, ...)
            In the layout, value range and (for uint8) type of the X of `fit`.
        """
        nets = self._nets()
        X = X.numpy(force=True) if isinstance(X, Tensor) else X
        k = self._extractor(nets).n_features  # `output` may have been set after `fit`
        if np.ndim(X) != 2 or np.shape(X)[1] != k:
            raise ValueError(
                f"X of shape {np.shape(X)} holds no codes: (n, {k}) is expected, as transform "
                "gives them."
            )
        # A copy: PyTorch warns of arrays that it may not write to.
        z = torch.from_numpy(check_array(X, dtype=np.float32, copy=True))
        rows = [self._decode(nets, part.to(self._device())).float().cpu() for part in z.split(512)]
        return self._format.decode(torch.cat(rows))

    def reconstruct(self, X):
        """G(E(x)): every row by way of its code.

        Parameters
        ----------
        X : array-like, as in `fit`

        Returns
        -------
        ndarray of shape (n, ...)
            In the layout, value range and (for uint8) type of the X of `fit`.
        """
        rows = self._apply(lambda nets: lambda x: self._decode(nets, self._encode(nets, x)), X)
        return self._format.decode(torch.as_tensor(rows))

    def score_samples(self, X):
        """Minus the mean squared error of every row's reconstruction: low for unusual rows.

        In the units of the networks: images in [-1, 1], standardised columns.

        Parameters
        ----------
        X : array-like, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float32
        """

        def score(nets):
            def of(x):
                error = self._decode(nets, self._encode(nets, x)) - x
                return -error.square().flatten(1).mean(1)

            return of

        return self._apply(score, X)
