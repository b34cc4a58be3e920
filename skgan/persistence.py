"""How a fit is kept: as plain data for any pickler, and in files that hold no code at all.

A file is one safetensors file. Its tensors are the weights of the networks, arrays and bytes;
its header holds one JSON document:

| key | holds |
|---|---|
| format_version | 1 |
| class | the estimator's class, by name |
| versions | of skgan, torch, scikit-learn and NumPy that wrote it: for people, not compared |
| parameters | what `get_params(deep=False)` gives |
| state | the fitted attributes that are no networks |
| networks | by attribute: class, and the arguments that build it anew |
| tensors | shape and type of every tensor, to tell a damaged file |

Reading makes plain values, and objects of the classes in `OBJECTS`, `NETWORKS` and those that the
caller names. Nothing is imported, unpickled or evaluated because a file says so.
"""

import copy
import dataclasses
import json
import math
import os
import reprlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from .data.arrays import DataFormat
from .nn import NETWORKS, DCGANSpec, MLPSpec
from .nn.init import lay_out
from .version import __version__

FORMAT_VERSION = 1
HEADER_KEY = "skgan"
TAG = "!"  # a dict with this key stands for a value that JSON does not know

# What parameters and fitted attributes may hold besides plain values, by name.
OBJECTS: dict[str, type] = {c.__name__: c for c in (DataFormat, DCGANSpec, MLPSpec)}
SCALARS: dict[str, type[np.generic]] = {
    "bool": np.bool_, "int8": np.int8, "int16": np.int16, "int32": np.int32, "int64": np.int64,
    "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
    "float16": np.float16, "float32": np.float32, "float64": np.float64, "str": np.str_,
}  # fmt: skip
# scikit-learn's callbacks: live objects, put there for the length of a fit or by the user.
LEFT_OUT = ("_skl_callbacks", "_callback_", "_parent_callback_")


# ------------------------------------------------------------------ networks


def _weights(net: nn.Module) -> dict[str, Tensor]:
    """The state of a network on the CPU, in the order of its shape (not channels-last)."""
    return {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}


def _rebuild(name: str, arguments: dict[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """The network of a class in `NETWORKS`, on the CPU, in eval mode."""
    with torch.device("meta"):
        net = NETWORKS[name](**arguments)
    net.load_state_dict(weights, assign=True)
    return lay_out(net).eval()


def _is_ours(net: nn.Module) -> bool:
    """Whether a recipe can rebuild it; a subclass or a module that a user brought has none."""
    return NETWORKS.get(type(net).__name__) is type(net)


# ------------------------------------------------------------------ for picklers


def pack(net: nn.Module) -> dict[str, Any]:
    """A network as a dict: how to build it, and its weights on the CPU as safetensors bytes.

    A module that a user brought has no recipe of ours: it goes along whole, on the CPU.
    """
    if not _is_ours(net):
        return {"module": copy.deepcopy(net).cpu()}
    name = type(net).__name__
    return {
        "network": name, "arguments": dict(net.recipe), "weights": save_tensors(_weights(net)),
    }  # fmt: skip


def unpack(packed: dict[str, Any]) -> nn.Module:
    """The network that `pack` took apart, on the CPU, in eval mode."""
    if "module" in packed:
        return packed["module"].eval()
    return _rebuild(packed["network"], packed["arguments"], load_tensors(packed["weights"]))


def pack_state(state: dict[str, Any]) -> dict[str, Any]:
    """`state` with every network in it packed."""
    return {k: {"packed": pack(v)} if isinstance(v, nn.Module) and k.endswith("_") else v
            for k, v in state.items()}  # fmt: skip


def unpack_state(state: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `pack_state`."""
    return {
        k: unpack(v["packed"]) if isinstance(v, dict) and set(v) == {"packed"} else v
        for k, v in state.items()
    }


# ------------------------------------------------------------------ values as JSON


class _Encoder:
    """Turns values into what JSON can say; arrays and bytes go to `tensors`, by name."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def encode(self, name: str, value: Any) -> Any:
        """Types are compared exactly: a subclass may mean more than its value.

        Raises
        ------
        TypeError
            For a value that a file of plain data cannot hold.
        """
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
        if kind in (list, tuple):
            items = [self.encode(f"{name}[{i}]", v) for i, v in enumerate(value)]
            return items if kind is list else {TAG: "tuple", "items": items}
        if kind is dict:
            return self._dict(name, value)
        if kind is bytes:
            return self._array(name, np.frombuffer(value, np.uint8)) | {TAG: "bytes"}
        if kind is np.ndarray:
            return self._array(name, value)
        if isinstance(value, np.generic):
            return self._scalar(name, value)
        if kind is torch.device:
            return {TAG: "device", "value": str(value)}
        if isinstance(value, Path):
            return {TAG: "path", "value": str(value)}
        if OBJECTS.get(kind.__name__) is kind:
            parts = {k: self.encode(f"{name}__{k}", v) for k, v in _parts(value).items()}
            return {TAG: "object", "class": kind.__name__, "parts": parts}
        raise _refusal(name, value)

    def _dict(self, name: str, value: dict[Any, Any]) -> dict[str, Any]:
        pairs = [(k, self.encode(f"{name}[{k!r}]", v)) for k, v in value.items()]
        if TAG not in value and all(type(k) is str for k in value):
            return dict(pairs)
        items = [[self.encode(f"a key of {name}", k), v] for k, v in pairs]
        return {TAG: "dict", "items": items}

    def _scalar(self, name: str, value: np.generic) -> dict[str, Any]:
        dtype = "str" if isinstance(value, np.str_) else value.dtype.name
        if dtype not in SCALARS:
            raise _refusal(name, value)
        return {TAG: "scalar", "dtype": dtype, "value": self.encode(name, value.item())}

    def _array(self, name: str, value: np.ndarray) -> dict[str, Any]:
        if value.dtype.kind in "OU" and value.ndim == 1 and all(isinstance(v, str) for v in value):
            dtype = "object" if value.dtype.kind == "O" else "str"
            return {TAG: "strings", "dtype": dtype, "values": list(map(str, value))}
        if value.dtype.name not in SCALARS:
            raise _refusal(name, value)
        native = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
        self.tensors[name] = torch.from_numpy(native)
        return {TAG: "array", "tensor": name}


def _parts(value: Any) -> dict[str, Any]:
    """The arguments that make an object of `OBJECTS` anew."""
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return value.get_params(deep=False)


def _refusal(name: str, value: Any) -> TypeError:
    if isinstance(value, (np.random.RandomState, np.random.Generator)):
        fix = "pass an int"
    elif isinstance(value, nn.Module) or callable(value):
        fix = "describe the network by its name or by a spec such as DCGANSpec(width=64)"
    else:
        fix = "use numbers, strings, paths, tuples, lists, dicts, arrays or specs of skgan"
    shown = " ".join(reprlib.Repr(maxother=80).repr(value).split())
    return TypeError(
        f"{name}={shown} cannot be kept in a file of plain data: {fix}, or keep the estimator "
        "with joblib.dump or pickle, which carry any object."
    )


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `_Encoder.encode`."""

    def decode(v: Any) -> Any:
        return _decode(v, tensors)

    if isinstance(value, list):
        return [decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    match value.get(TAG):
        case None:
            return {k: decode(v) for k, v in value.items()}
        case "tuple":
            return tuple(decode(v) for v in value["items"])
        case "dict":
            return {decode(k): decode(v) for k, v in value["items"]}
        case "float":
            return float(value["value"])
        case "scalar":
            return SCALARS[value["dtype"]](decode(value["value"]))
        case "array":
            return tensors[value["tensor"]].numpy()
        case "strings":
            return np.array(value["values"], dtype={"object": object, "str": str}[value["dtype"]])
        case "bytes":
            return tensors[value["tensor"]].numpy().tobytes()
        case "device":
            return torch.device(value["value"])
        case "path":
            return Path(value["value"])
        case "object":
            return OBJECTS[value["class"]](**{k: decode(v) for k, v in value["parts"].items()})
    raise LookupError(f"unknown kind of value {value[TAG]!r}")


# ------------------------------------------------------------------ files


def write(path: str | os.PathLike[str], estimator: Any) -> None:
    """Keep an estimator in one file of plain data, which `read` opens.

    Parameters
    ----------
    path : str or path
        A file that is there is replaced once the new one is complete, and never lost.
    estimator : BaseGAN

    Raises
    ------
    TypeError
        For a parameter or attribute that is no plain value, such as a module, a callable or a
        RandomState. Nothing is written then.
    """
    encoder = _Encoder()
    parameters = estimator.get_params(deep=False)
    encoded = {k: encoder.encode(k, v) for k, v in parameters.items()}
    state, networks = {}, {}
    for name, value in vars(estimator).items():
        if name in parameters or name.startswith(LEFT_OUT):
            continue
        if isinstance(value, nn.Module) and _is_ours(value):
            arguments: Any = value.recipe
            networks[name] = {
                "class": type(value).__name__,
                "arguments": {k: encoder.encode(f"{name}.{k}", v) for k, v in arguments.items()},
            }
            weights = _weights(value)
            encoder.tensors |= {_tensor_name(name, k): v for k, v in weights.items()}
        else:
            state[name] = encoder.encode(name, value)
    document = {
        "format_version": FORMAT_VERSION,
        "class": type(estimator).__name__,
        "versions": {
            "skgan": __version__, "torch": str(torch.__version__),
            "scikit-learn": sklearn.__version__, "numpy": np.__version__,
        },
        "parameters": encoded,
        "state": state,
        "networks": networks,
        "tensors": {k: _looks(v) for k, v in encoder.tensors.items()},
    }  # fmt: skip
    header = {HEADER_KEY: json.dumps(document, allow_nan=False)}
    _write_atomically(Path(path), save_tensors(encoder.tensors, header))


def read(path: str | os.PathLike[str], classes: Mapping[str, type]) -> Any:
    """The estimator that `write` has kept, with its networks on the CPU.

    Parameters
    ----------
    path : str or path
    classes : dict of type
        The estimators that a file may hold, by name.

    Raises
    ------
    ValueError
        If the file is not one of `write`'s, is damaged, or is newer than this skgan.
    """
    document, tensors = _open(path)
    try:
        _check_document(path, document, classes)
        _check_tensors(path, document["tensors"], tensors)
        return _make(classes[document["class"]], document, tensors)
    except _FileError:
        raise
    except Exception as error:  # whatever a file with nonsense in it leads to
        raise _FileError(
            f"{os.fspath(path)} is damaged ({type(error).__name__}: {error}): copy it anew, or "
            "save the estimator again."
        ) from error


class _FileError(ValueError):
    """A file that cannot be read; the message names its path and the fix."""


def _open(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    open(path, "rb").close()  # Python's own errors for files that are missing or closed to us
    name = os.fspath(path)
    try:
        with safe_open(name, framework="pt", device="cpu") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            # Copies: what comes out is mapped to the file, which may be written anew or deleted.
            tensors = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _FileError(
            f"{name} is no safetensors file, or is cut short ({error}): load opens what save has "
            "written; pickles and joblib files are opened by pickle.load and joblib.load."
        ) from error
    if header is None:
        raise _FileError(
            f"{name} is a safetensors file that skgan's save has not written: load bare weights "
            "with safetensors.torch.load_file, into a module of your own."
        )
    try:
        document = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise _FileError(f"{name} has a damaged header ({error}): copy it anew.") from error
    return document, tensors


def _check_document(
    path: str | os.PathLike[str], document: dict[str, Any], classes: Mapping[str, type]
) -> None:
    version, writer = document["format_version"], document["versions"]["skgan"]
    if type(version) is not int or version < 1:
        raise LookupError(f"format_version={version!r}")
    if version > FORMAT_VERSION:
        raise _FileError(
            f"{os.fspath(path)} has format_version={version}, written by skgan {writer}, but "
            f"skgan {__version__} reads versions up to {FORMAT_VERSION}: upgrade skgan."
        )
    if document["class"] not in classes:
        raise _FileError(
            f"{os.fspath(path)} holds a {document['class']!r}, written by skgan {writer}, which "
            f"is none of the classes that this skgan {__version__} knows "
            f"({', '.join(sorted(classes))}): upgrade skgan; keep classes of your own with "
            "joblib.dump."
        )
    known = classes[document["class"]]().get_params(deep=False)
    unknown = sorted(document["parameters"].keys() - known.keys())
    if unknown:
        raise _FileError(
            f"{os.fspath(path)} sets {', '.join(unknown)}, which {document['class']} of skgan "
            f"{__version__} does not have: open it with skgan {writer}, which wrote it."
        )


def _check_tensors(
    path: str | os.PathLike[str], described: dict[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    for name in sorted(described.keys() | tensors.keys()):
        expected = described.get(name, "none")
        found = _looks(tensors[name]) if name in tensors else "none"
        if found != expected:
            raise _FileError(
                f"{os.fspath(path)} is damaged: tensor {name!r} should be {expected}, but is "
                f"{found}. Copy the file anew, or save the estimator again."
            )


def _make(cls: type, document: dict[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """The estimator that a checked document describes."""
    state = _decode(document["state"], tensors)
    for name, described in document["networks"].items():
        start = _tensor_name(name, "")
        weights = {k[len(start) :]: v for k, v in tensors.items() if k.startswith(start)}
        arguments = _decode(described["arguments"], tensors)
        state[name] = _rebuild(described["class"], arguments, weights)
    estimator = cls(**_decode(document["parameters"], tensors))
    for name in state:
        if hasattr(cls, name) and callable(getattr(cls, name)):
            raise LookupError(f"{name!r} would replace a method")
    vars(estimator).update(state)
    return estimator


def _tensor_name(attribute: str, key: str) -> str:
    return f"{attribute}.{key}"


def _looks(tensor: Tensor) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}


def _write_atomically(path: Path, content: bytes) -> None:
    """Temporary file, fsync, rename, fsync of the folder."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
