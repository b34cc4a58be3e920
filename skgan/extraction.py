"""What networks say of rows, batch by batch: into memory, into a file, or one by one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn import get_config
from sklearn.base import TransformerMixin
from sklearn.utils.validation import _check_feature_names_in
from torch import Tensor, nn

from .data.arrays import ArraySource
from .engine import runtime
from .nn.extractors import ScaledExtractor
from .settings import resolve_transform_batch_size, use_after_fit
from .utils.files import replacing
from .utils.modules import copied


class FeatureExtraction(TransformerMixin):
    """The side of `BaseGAN` that reads fitted networks. Abstract: it has no fit."""

    _nets: Callable[[], Any]
    _device: Callable[[], torch.device]
    _extractor: Callable[[Any], Any]
    _validate: Callable[..., Any]
    _format: Any
    precision: str
    precision_: str
    input_shape_: tuple[int, ...]
    transform_batch_size: int | str

    @property
    def n_features_out_(self) -> int:
        """Number of features, by the parameters as they are now."""
        return self._features().n_features

    def _features(self) -> Any:
        """The extractor, by the parameters as they are now."""
        nets = self._nets()
        with use_after_fit():
            return self._extractor(nets)

    def transform(self, X):
        """Features of X.

        Parameters
        ----------
        X : array-like, as in `fit`

        Returns
        -------
        ndarray of shape (n, n_features_out_), float32
            Row i depends on row i of X alone. A DataFrame after `set_output`; a tensor on the
            device of X where X is one and scikit-learn's `array_api_dispatch` is on.
        """
        features = self._apply(self._extractor, X)
        if isinstance(X, Tensor) and get_config()["array_api_dispatch"]:
            return torch.from_numpy(features).to(X.device)
        return features

    def iter_transform(self, X):
        """Features of X in parts, for outputs that do not fit in memory.

        Parameters
        ----------
        X : array-like, as in `fit`

        Yields
        ------
        ndarray of shape (at most transform_batch_size, n_features_out_), float32
            In the order of X: joined they are what `transform` returns.
        """
        _, parts = self._stream(self._extractor, X)
        return (part for _, part in parts)

    def transform_to(self, X, path):
        """Write the features of X to a NumPy file, whatever their size.

        Parameters
        ----------
        X : array-like, as in `fit`
        path : str or path
            Of the ".npy" file. One that is there is replaced once the new one is complete.

        Returns
        -------
        memmap of shape (n, n_features_out_), float32
            The file, opened for reading.
        """
        path = Path(path)
        if path.suffix != ".npy":
            raise ValueError(f"path={str(path)!r} must end in '.npy'.")
        n, parts = self._stream(self._extractor, X)
        with replacing(path.resolve()) as unfinished:
            _write(unfinished, n, parts)
        return np.load(path, mmap_mode="r")

    def _apply(self, pick: Callable[[Any], Callable[[Tensor], Tensor]], X) -> Any:
        """What `pick` takes from the networks, on all rows of X, as one float32 array."""
        n, parts = self._stream(pick, X)
        out: np.ndarray | None = None
        for rows, part in parts:
            if out is None:
                out = np.empty((n, *part.shape[1:]), np.float32)
            out[rows] = part
        assert out is not None  # validation lets no empty X through
        return out

    def _stream(self, pick, X) -> tuple[int, Iterator[tuple[slice, np.ndarray]]]:
        """The number of rows in X, and what `pick` takes from the networks, part by part.

        X is checked at once; the memory taken does not depend on its number of rows.
        """
        nets = self._nets()
        module = pick(nets)
        source = ArraySource(self._validate(X, reset=False), self._format)
        size = resolve_transform_batch_size(self.transform_batch_size, self.input_shape_)
        rows = [slice(i, i + size) for i in range(0, len(source), size)]
        device = self._device()
        precision = self._precision_here(device)
        arithmetic = runtime.arithmetic(precision, device, vars(nets).values())

        def parts():
            for r, x in zip(rows, source.batches(rows), strict=True):
                with torch.no_grad(), arithmetic:
                    part = module(runtime.to_device(x, device)).float().cpu().numpy()
                yield r, part

        return len(source), parts()

    def _precision_here(self, device: torch.device) -> str:
        """The fit's; or float32 if bfloat16 was not asked for and is slow on this device."""
        chosen = self.precision != "auto" or runtime.has_fast_bfloat16(device)
        return self.precision_ if chosen else "float32"

    def get_feature_names_out(self, input_features=None):
        """Names of the features: layer, channel (or unit) and cell.

        Parameters
        ----------
        input_features : array-like of str or None
            Checked against the names seen in `fit`, and otherwise not used.

        Returns
        -------
        ndarray of str objects, shape (n_features_out_,)
        """
        nets = self._nets()
        if len(self._format.row_shape) == 1:  # else features of X have no names
            _check_feature_names_in(self, input_features)
        return np.asarray(self._extractor(nets).feature_names(), dtype=object)

    @property
    def head_weight_(self) -> np.ndarray:
        """Weights (n_outputs, n_features_out_) of the head that reads these features."""
        weight = self._features().head_weight()
        if weight is None:
            raise AttributeError(
                "head_weight_ exists only where transform returns exactly what one head reads, "
                "such as with layers=-1, pool_grid=None, or with the features of a single head."
            )
        return weight.numpy(force=True)

    def as_module(self) -> nn.Module:
        """The feature extractor as a module of its own, to fine-tune or to embed elsewhere.

        It maps a tensor of rows in the units of X, images as (n, c, h, w), to the features
        (n, n_features_out_) that `transform` gives. It is a copy on the CPU, in eval mode, made of
        PyTorch's own layers in float32: training it leaves the estimator as it is. Columns of a
        table are standardised in float64, as in `transform`; `as_module().float()` is for devices
        that have none (MPS).
        """
        module = copied(self._extractor(self._nets()))
        shift, scale = self._format.scaling()
        # Channels-last weights are quicker, but much of PyTorch and safetensors refuses them.
        module = module.cpu().to(memory_format=torch.contiguous_format)
        return ScaledExtractor(shift, scale, module).eval()


def _write(path: Path, n: int, parts: Iterator[tuple[slice, np.ndarray]]) -> None:
    # In order, and not into a map of the file: a full disk would then end the process.
    with path.open("wb") as file:
        for rows, part in parts:
            if rows.start == 0:
                header = {"descr": "<f4", "fortran_order": False, "shape": (n, *part.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(part, "<f4").data)
