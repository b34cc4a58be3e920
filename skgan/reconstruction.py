"""What an estimator with an encoder and a generator can do: samples from codes, and back."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import check_array
from torch import Tensor, nn

from .nn import EncoderFeatures
from .nn.codes import OUTPUTS
from .parameters import EncoderParameters, LayerParameters
from .utils.available import available_if
from .utils.checks import check_choice
from .utils.docs import A_SCORE_EACH, X_AS_IN_FIT, completed_by
from .utils.parameters import parameters


def _gives_codes(estimator: Any) -> bool:
    if estimator.output == "latent":
        return True
    raise AttributeError(
        f"inverse_transform needs output='latent', but output={estimator.output!r}: the generator "
        "turns codes into samples, not other features."
    )


@parameters
class ReconstructionMixin(EncoderParameters, LayerParameters):
    """Samples from codes, and samples by way of their codes.

    Methods with it have an encoder, a generator, and the hook `_encode(nets, x)` that gives the
    codes of samples without noise.

    Parameters
    ----------
    output : {"penultimate", "latent", "layers"}
        What `transform` returns of the encoder: its penultimate layer (of a user-supplied encoder:
        the input of the linear map or convolution that runs last), the code E(x), or the layers
        that the next four parameters choose.
    """

    output: str = "penultimate"

    _instead_of_sample = ": use reconstruct, or inverse_transform of codes with output='latent'"

    # Of BaseGAN, with which this is combined.
    _nets: ClassVar[Any]
    _decode: ClassVar[Any]
    _decoded: ClassVar[Any]
    _apply: ClassVar[Any]
    _format: ClassVar[Any]
    _extractor: ClassVar[Any]

    def _check(self) -> None:
        check_choice("output", self.output, OUTPUTS)
        super()._check()

    def _encode(self, nets: Any, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _encoder_features(
        self, encoder: nn.Module, names: list[str], code: Callable[[Tensor], Tensor],
        shape: tuple[int, ...],
    ) -> EncoderFeatures:  # fmt: skip
        """The extractor of an encoder that sees samples of `shape`."""
        taps = {
            "layers": self.layers, "tap": self.tap, "pool_grid": self.pool_grid,
            "pool": self.pool, "input_shape": shape,
        }  # fmt: skip
        return EncoderFeatures(encoder, self.output, names, code, taps)

    @available_if(_gives_codes)
    def inverse_transform(self, X):
        """G(z): the samples that the generator makes of codes.

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
        return self._format.decode(self._decoded(z))

    @completed_by(X_AS_IN_FIT)
    def reconstruct(self, X):
        """G(E(x)): every sample by way of its code.

        Returns
        -------
        ndarray of shape (n, ...)
            In the layout, value range and (for uint8) type of the X of `fit`.
        """
        rows = self._apply(lambda nets: lambda x: self._decode(nets, self._encode(nets, x)), X)
        return self._format.decode(torch.from_numpy(rows))

    @completed_by(A_SCORE_EACH)
    def score_samples(self, X):
        """Minus the mean squared error of every sample's reconstruction: low for unusual samples.

        In the units of the networks: images in [-1, 1], standardised columns.
        """

        def score(nets):
            def of(x):
                error = self._decode(nets, self._encode(nets, x)) - x
                return -error.square().flatten(1).mean(1)

            return of

        return self._apply(score, X)
