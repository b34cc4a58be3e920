"""What networks say of rows, batch by batch: into memory, into a file, or one by one."""

import copy
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
from .nn.heads import ScaledExtractor
from .settings import resolve_transform_batch_size
from .utils.files import replacing


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
        return self._extractor(self._nets()).n_features

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
        return self._apply(self._extractor, X)

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
        with replacing(path) as unfinished:
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
        if isinstance(X, Tensor) and get_config()["array_api_dispatch"]:
            return torch.from_numpy(out).to(X.device)
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
        _check_feature_names_in(self, input_features)
        return np.asarray(self._extractor(nets).feature_names(), dtype=object)

    def as_module(self) -> nn.Module:
        """The feature extractor as a module of its own, to fine-tune or to embed elsewhere.

        It maps a tensor of rows in the units of X, images as (n, c, h, w), to the features
        (n, n_features_out_) that `transform` gives. It is a copy in eval mode, made of
        PyTorch's own layers in float32: training it leaves the estimator as it is.
        """
        module = copy.deepcopy(self._extractor(self._nets()))
        shift, scale = self._format.scaling()
        return ScaledExtractor(shift, scale, module).eval()


def _write(path: Path, n: int, parts: Iterator[tuple[slice, np.ndarray]]) -> None:
    out: np.memmap | None = None
    for rows, part in parts:
        if out is None:
            shape = (n, *part.shape[1:])
            out = np.lib.format.open_memmap(path, "w+", np.dtype(np.float32), shape)
        out[rows] = part
    assert out is not None
    out.flush()
