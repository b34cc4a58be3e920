"""Fitted extractors in files that other programs run: PyTorch's exported programs, and ONNX.

A file holds one graph of plain float32 operations, from samples as `transform` takes them to
features, with the weights and the scaling of the input in it, and a description in JSON. Nothing
of skgan is needed to run it. The graph is recorded from the module of `as_module()`, while that
computes features of zeros: two samples stand for any number of them.
"""

import importlib
import json
import os
import threading
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .data.arrays import DataFormat
from .nn.extractors import Extractor
from .utils.checks import check_choice
from .utils.devices import cpu_by_default
from .utils.files import replacing, write_atomically
from .utils.modules import with_plain_weights
from .version import __version__

__all__ = ["check", "describe", "write"]

SUFFIXES = {"torch": ".pt2", "onnx": ".onnx"}
KEY = "skgan"  # of the description: in ONNX's metadata, and with .json as one of PyTorch's files
INPUT, OUTPUT, BATCH = "x", "features", "batch"
OPSET = 18  # of ONNX: the one that PyTorch's exporter writes without a conversion
MOST_BYTES = 2**31 - 2**20  # that an ONNX file may hold, being one message of protobuf
RECORDING = threading.Lock()  # PyTorch records in one thread at a time


def check(path: Any, kind: Any) -> Path:
    """The path to write to; raises for a kind or a path that cannot be, and missing packages."""
    check_choice("kind", kind, SUFFIXES)
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path={path!r} must be a str or a path, such as 'features.pt2'.")
    path, shown, suffix = Path(path), f"path={os.fspath(path)!r}", SUFFIXES[kind]
    if path.suffix != suffix:
        fits = [f", or set kind={k!r}" for k, s in SUFFIXES.items() if s == path.suffix]
        raise ValueError(f"{shown} must end in {suffix!r} with kind={kind!r}{''.join(fits)}.")
    if path.is_dir():
        raise IsADirectoryError(f"{shown} is a folder: give the path of a file.")
    path = path.resolve()
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{shown}: there is no folder {path.parent}: create it first.")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{shown}: the folder {path.parent} cannot be written to.")
    if kind == "onnx":
        _needs_onnx()
    return path


def _needs_onnx() -> None:
    try:
        for name in ("onnx", "onnxscript"):
            importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            "kind='onnx' needs the packages onnx and onnxscript, which cannot be imported "
            f"({error}): pip install \"skgan[onnx]\", or use kind='torch'."
        ) from error


def describe(
    name: str, form: DataFormat, columns: Iterable[str] | None, features: Iterable[str]
) -> dict[str, Any]:
    """What a file says of itself.

    Parameters
    ----------
    name : str
        Of the estimator's class.
    form : DataFormat
    columns, features : iterable of str
        Names of the columns of X, where it had any, and of the features.
    """
    features = list(map(str, features))
    takes: dict[str, Any] = {
        "name": INPUT, "dtype": "float32", "shape": [BATCH, *form.row_shape],
        "columns": None if columns is None else list(map(str, columns)),
    }  # fmt: skip
    if form.image_shape is not None:
        takes |= {
            "image_shape": list(form.image_shape), "channels_last": bool(form.channels_last),
            "value_range": np.asarray(form.value_range, float).tolist(),
        }  # fmt: skip
    gives = {
        "name": OUTPUT, "dtype": "float32", "shape": [BATCH, len(features)], "names": features,
    }  # fmt: skip
    versions = {"skgan": __version__, "torch": str(torch.__version__)}
    return {"class": name, "versions": versions, "input": takes, "output": gives}


def write(
    path: Path, kind: str, module: nn.Module, form: DataFormat, description: Mapping[str, Any]
) -> None:
    """Write a file atomically.

    Parameters
    ----------
    path : Path
        As `check` returns it.
    kind : {"torch", "onnx"}
    module : Module
        Samples as `form` lays them out -> features. It is changed, and then of no further use.
    form : DataFormat
    description : dict
        As `describe` returns it.
    """
    for extractor in module.modules():
        if isinstance(extractor, Extractor):
            if extractor.not_exported:
                raise ValueError(extractor.not_exported)
            extractor.freeze()
    program = _recorded(Samples(form, with_plain_weights(module)), form.row_shape)
    text = json.dumps(description)
    if kind == "onnx":
        write_atomically(path, _as_onnx(program, text))
        return
    # It keeps weights as they lie in memory, and so it has the kernels of transform.
    with replacing(path) as unfinished, unfinished.open("wb") as file, warnings.catch_warnings():
        # It calls no tensor complete that is not contiguous, but keeps it all the same.
        warnings.filterwarnings("ignore", message="No complete tensor found")
        torch.export.save(program, file, extra_files={f"{KEY}.json": text})


class Samples(nn.Module):
    """Samples in the shape of X -> laid out as networks take them -> features."""

    def __init__(self, form: DataFormat, module: nn.Module):
        super().__init__()
        self.form, self.module = form, module

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()  # it is, and PyTorch records a check of that
        return self.module(self.form.laid_out(x))


def _recorded(module: nn.Module, row_shape: tuple[int, ...]) -> Any:
    """The exported program of a module, for any number of samples of this shape."""
    module.eval().requires_grad_(False)
    # Whatever its caller has switched on plays no part.
    with RECORDING, cpu_by_default(), torch.autocast("cpu", enabled=False):
        example = (torch.zeros(2, *row_shape, dtype=torch.float32),)
        try:
            program = torch.export.export(
                module, example, dynamic_shapes=({0: torch.export.Dim(BATCH)},), strict=False
            )
        except Exception as error:
            raise RuntimeError(
                f"PyTorch cannot record what this network computes ({_reason(error)}): its forward "
                "must be operations on tensors, for any number of samples, without decisions that "
                "depend on their values."
            ) from error
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # has paths of this machine
    return program


def _as_onnx(program: Any, description: str) -> bytes:
    """The content of an ONNX file."""
    held = [*program.state_dict.values(), *program.constants.values()]
    size = sum(t.nbytes for t in held if isinstance(t, Tensor))
    if size > MOST_BYTES:
        raise ValueError(
            f"kind='onnx': the weights have {size / 2**30:.1f} GiB, but an ONNX file holds 2 at "
            "most: use kind='torch'."
        )
    pooling: Any = torch.ops.aten.adaptive_max_pool2d.default
    with RECORDING, cpu_by_default():
        try:
            if any(node.target is pooling and _is_uneven(node) for node in program.graph.nodes):
                program = program.run_decompositions({pooling: _max_pooled})
            exported: Any = torch.onnx.export(
                program, (), dynamo=True, verbose=False, input_names=[INPUT],
                output_names=[OUTPUT], opset_version=OPSET, dynamic_shapes=({0: BATCH},),
            )  # fmt: skip
        except Exception as error:
            raise RuntimeError(
                f"kind='onnx': PyTorch cannot write this network as ONNX ({_reason(error)}): use "
                "kind='torch', or other layers."
            ) from error
        model = exported.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # of use to those who mend PyTorch's exporter
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    model.metadata_props.add(key=KEY, value=description)
    return model.SerializeToString()


def _reason(error: BaseException) -> str:
    """The first line of what was the cause of all."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _is_uneven(node: Any) -> bool:
    """Whether adaptive pooling has cells that are not all of one size."""
    x, size = node.args
    return any(n % k for n, k in zip(x.meta["val"].shape[-2:], size, strict=True))


def _max_pooled(x: Tensor, size: list[int]) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d` by slices, as ONNX has no other form of uneven cells; no indices.

    The cell i of k along a side of n pixels is that from floor(i n / k) to ceil((i + 1) n / k).
    """
    for dim, k in zip((-2, -1), size, strict=True):
        n = x.shape[dim]
        cells = [(i * n // k, -(-(i + 1) * n // k)) for i in range(k)]
        parts = [x.narrow(dim, a, b - a).amax(dim, keepdim=True) for a, b in cells]
        x = torch.cat(parts, dim)
    return x, torch.zeros_like(x, dtype=torch.int64)
