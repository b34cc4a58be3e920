"""The output of fitted networks for X, batch by batch: in memory, in a file, or part by part."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn import get_config
from sklearn.base import TransformerMixin
from sklearn.utils.validation import _check_feature_names_in
from torch import Tensor, nn

from . import export
from .data.arrays import ArraySource
from .engine import runtime
from .engine.loop import transform_batches
from .nn.extractors import Extractor, ScaledExtractor, with_taps
from .nn.trunk import joined, with_trunk
from .settings import check_use, use_after_fit
from .utils.devices import cpu_by_default, on_cpu_by_default
from .utils.docs import X_AS_IN_FIT, completed_by
from .utils.domains import domain_of_samples, samples_from
from .utils.files import replacing
from .utils.modules import copied


class FeatureExtraction(TransformerMixin):
    """The methods of `BaseGAN` that apply fitted networks. Abstract: it has no fit."""

    _nets: Callable[[], Any]
    _device: Callable[[], torch.device]
    _extractor: Callable[[Any], Any]
    _place: Callable[[str], str]
    _prior: Callable[[], Any]
    _refresh: Callable[..., None]
    _roles: tuple[str, ...]
    _validate: Callable[..., Any]
    _format: Any
    precision: str
    precision_: str
    input_shape_: tuple[int, ...]
    transform_batch_size: int | str

    # How many of the training samples `_look_at` gets after each epoch.
    _n_looked_at: ClassVar[int] = 0

    def _look_at(self, nets: Any, batches: Iterator[Any]) -> dict[str, float]:
        """What is logged of training samples: batches with `x`, `y` and `domain`, in eval mode.

        `nets` has the networks by role, and `nets.features`. The samples are the same after every
        epoch, as many of each domain.
        """
        return {}

    @property
    def n_features_out_(self) -> int:
        """Number of features, for the present values of the parameters."""
        return self._features().n_features

    def _features(self) -> Any:
        """The extractor for the present values of the parameters."""
        nets = self._nets()
        with use_after_fit():
            return self._extractor(nets)

    def _layers(self, nets: Any, role: str, x: Tensor, tap: str) -> list[Tensor]:
        """What the layers of a network below its head make of samples, shallow to deep."""
        return with_taps(getattr(nets, role)).taps(x, tap)

    @completed_by(X_AS_IN_FIT)
    def transform(self, X):
        """Features of X.

        Returns
        -------
        ndarray of shape (n, n_features_out_), float32
            Row i depends on sample i of X alone. After `set_output` it is a DataFrame; if X is a
            tensor and scikit-learn's `array_api_dispatch` is on, a tensor on the device of X.
        """
        features = self._apply(self._extractor, X)
        if isinstance(X, Tensor) and get_config()["array_api_dispatch"]:
            return torch.from_numpy(features).to(X.device)
        return features

    @completed_by(X_AS_IN_FIT)
    def iter_transform(self, X):
        """Features of X in parts, for features that do not fit in memory.

        Yields
        ------
        ndarray of shape (at most transform_batch_size, n_features_out_), float32
            In the order of X. Joined, the parts are what `transform` returns.
        """
        _, parts = self._stream(self._extractor, X)
        return (part for _, part in parts)

    def transform_to(self, X, path):
        """Write the features of X to a NumPy file; they need not fit in memory.

        Parameters
        ----------
        X : array-like, as in `fit`
        path : str or path
            Of the ".npy" file. An existing file is replaced once the new one is complete.

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
        """The output for X of the function that `pick` makes of the networks, as one array."""
        n, parts = self._stream(pick, X)
        out: np.ndarray | None = None
        for rows, part in parts:
            if out is None:
                out = np.empty((n, *part.shape[1:]), np.float32)
            out[rows] = part
        assert out is not None  # validation rejects an empty X
        return out

    @on_cpu_by_default
    def _stream(self, pick, X) -> tuple[int, Iterator[tuple[slice, np.ndarray]]]:
        """The number of samples in X, and the output of the function that `pick` makes, in parts.

        X is checked at once. The memory needed does not depend on the number of samples.
        """
        nets = self._nets()
        module = pick(nets)
        source = ArraySource(self._validate(X, reset=False), self._format)
        most = getattr(module, "most_samples", Extractor.most_samples)
        rows = transform_batches(self, len(source), most)
        device = self._device()
        arithmetic = runtime.arithmetic(self._precision_here(device), device, vars(nets).values())
        of = domain_of_samples()

        def parts():
            for r, x in zip(rows, source.batches(rows), strict=True):
                domain = runtime.to_device(of[r], device) if isinstance(of, Tensor) else of
                with cpu_by_default(), torch.no_grad(), arithmetic, samples_from(domain):
                    part = module(runtime.to_device(x, device)).float().cpu().numpy()
                yield r, part

        return len(source), parts()

    def _precision_here(self, device: torch.device) -> str:
        """That of the fit, or float32 if precision="auto" and bfloat16 is slow on this device."""
        chosen = self.precision != "auto" or runtime.has_fast_bfloat16(device)
        return self.precision_ if chosen else "float32"

    def get_feature_names_out(self, input_features=None):
        """Names of the features: layer, and channel and position ("cell"), or unit.

        Parameters
        ----------
        input_features : array-like of str or None
            Compared with the names seen in `fit`, and not used otherwise.

        Returns
        -------
        ndarray of str objects, shape (n_features_out_,)
        """
        nets = self._nets()
        if len(self._format.row_shape) == 1:  # otherwise the columns of X have no names
            _check_feature_names_in(self, input_features)
        return np.asarray(self._extractor(nets).feature_names(), dtype=object)

    @property
    def head_weight_(self) -> np.ndarray:
        """Weights of the head that reads these features, a row for each of its outputs."""
        weight = self._features().head_weight()
        if weight is None:
            raise AttributeError(
                "head_weight_ exists only if transform returns exactly the input of one head, as "
                "with layers=-1, pool_grid=None, or with the features of a single head."
            )
        return weight.numpy(force=True)

    def as_module(self) -> nn.Module:
        """The feature extractor as a PyTorch module, to fine-tune or to build into other networks.

        It maps a tensor of samples in the units of X, images as (n, c, h, w), to the features
        (n, n_features_out_) that `transform` returns. It is a copy on the CPU, in eval mode, made
        of PyTorch's own layers in float32; training it leaves the estimator unchanged. Columns of
        a table are standardised in float64, as in `transform`; on devices without float64 (MPS),
        use `as_module().float()`.
        """
        # Channels-last weights are faster, but parts of PyTorch and safetensors reject them.
        return self._module().to(memory_format=torch.contiguous_format)

    def _module(self) -> ScaledExtractor:
        """That of `as_module`, with weights that lie in memory as those of the estimator do."""
        module = copied(self._extractor(self._nets())).cpu()
        shift, scale = self._format.scaling()
        return ScaledExtractor(shift, scale, module).eval()

    def export(self, path, kind="torch") -> None:
        """Write the extractor, with the scaling of its input, to a file for programs without skgan.

        What is in the file takes samples in the shape of the X of `fit`, (n, ...) with any n from
        1 up, in the units of X and as float32 (also where X was uint8: pixels from 0 to 255), and
        returns features (n, n_features_out_) in float32. They are those of `transform` for the same
        float32 samples, up to rounding, which is that of bfloat16 where `precision_` is: the file
        computes in float32. It checks the shape and the type of samples, not their range or NaN.

        A description in JSON is in the file, too: class, versions, shapes, value range, names of
        columns and features.

        Parameters
        ----------
        path : str or path
            Of the file, which ends in ".pt2" (torch) or ".onnx". An existing one is replaced once
            the new one is complete.
        kind : {"torch", "onnx"}
            "torch" is a program of `torch.export`, run as `torch.export.load(path).module()(x)`;
            its description is the extra file "skgan.json". "onnx" is a model with the input "x"
            and the output "features", for ONNX Runtime and others; its description is the metadata
            "skgan". It needs `pip install "skgan[onnx]"`.

        Raises
        ------
        ValueError
            For an unknown kind, another ending, features that are gradients (output="fisher"), or
            weights of more than 2 GiB in ONNX.
        OSError
            If the folder of the path does not exist or cannot be written to, before any work.
        ImportError
            If packages for ONNX are missing.
        RuntimeError
            If PyTorch cannot record the operations of a user-supplied network, or ONNX has none
            of the kind. Nothing is written then, as with all of these errors.
        """
        checked = export.check(path, kind)
        export.write(checked, kind, self._module(), self._format, self._description())

    def _description(self) -> dict[str, Any]:
        """What an exported file says of itself."""
        columns = getattr(self, "feature_names_in_", None)
        names = self._features().feature_names()
        return export.describe(type(self).__name__, self._format, columns, names)

    def _check_together(self, bare: Mapping[str, nn.Module]) -> None:
        """Raise unless the networks take samples, codes and each other's outputs.

        `bare` has them on the device "meta", by the attribute that keeps them: there only shapes
        are computed. Nothing is said where parameters were set after `fit`; use does that.
        """
        prior = self._prior()
        nets = joined(with_trunk({role: bare[self._place(role)] for role in self._roles}))
        unknown = contextlib.suppress(NotImplementedError)  # from where shapes depend on values
        with unknown, torch.device("meta"), torch.no_grad():
            try:
                check_use(self)
                features = self._extractor(SimpleNamespace(**nets))
            except ValueError:
                return
            x = torch.empty(2, *self.input_shape_)
            z = torch.empty(2, 0 if prior is None else prior.dim)
            self._refresh(SimpleNamespace(**nets), x, z)
            if (n := features(x).shape[1]) != features.n_features:
                raise ValueError(f"{n} features of each sample, and {features.n_features} names")


def _write(path: Path, n: int, parts: Iterator[tuple[slice, np.ndarray]]) -> None:
    # Not through a memory map, with which a full disk would kill the process.
    with path.open("wb") as file:
        for rows, part in parts:
            if rows.start == 0:
                header = {"descr": "<f4", "fortran_order": False, "shape": (n, *part.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(part, "<f4").data)
