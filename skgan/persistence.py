"""How a fit is kept: as plain data for any pickler, and in files that hold no code at all.

A file is one safetensors file. Its tensors are the weights of the networks, arrays and bytes;
its header holds one JSON document:

| key | holds |
|---|---|
| format_version | 1 |
| versions | of skgan, torch, scikit-learn and NumPy that wrote it: for people, not compared |
| class | the estimator's class, by name |
| parameters | what `get_params(deep=False)` gives |
| state | the fitted attributes that are no networks |
| networks | by attribute: class, and the arguments that build it anew |
| tensors | shape and type of every tensor, to tell a damaged file |

Reading makes plain values, and objects of the classes in `OBJECTS`, `NETWORKS` and those that the
caller names. Nothing is imported, unpickled or evaluated because a file says so.
"""

import dataclasses
import functools
import json
import math
import os
import reprlib
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
from .utils.files import write_atomically
from .utils.modules import copied
from .version import __version__

FORMAT_VERSION = 1
HEADER_KEY = "skgan"  # in the metadata of a safetensors file
TAG = "!"  # a dict with this key stands for a value that JSON does not know

# What parameters and fitted attributes may hold besides plain values, by name.
OBJECTS: dict[str, type] = {c.__name__: c for c in (DataFormat, DCGANSpec, MLPSpec)}
_CODES = "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "U"
SCALARS: dict[str, type[np.generic]] = {np.dtype(c).name: np.dtype(c).type for c in _CODES}
# scikit-learn's callbacks: live objects, put there for the length of a fit or by the user.
LEFT_OUT = ("_skl_callbacks", "_callback_", "_parent_callback_")


def _weights(net: nn.Module) -> dict[str, Tensor]:
    """The state of a network on the CPU, in the order of its shape (not channels-last)."""
    return {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}


def _rebuild(name: str, arguments: dict[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """The network of a class in `NETWORKS`, on the CPU, in eval mode."""
    n_generators = arguments.get("n_generators") or 0
    if n_generators > len(weights):  # each has its own; a damaged file may say any number
        raise ValueError(f"n_generators={n_generators} with {len(weights)} tensors")
    with torch.device("meta"):
        net = NETWORKS[name](**arguments)
    net.load_state_dict(weights, assign=True)
    return lay_out(net).eval()


def _is_ours(net: nn.Module) -> bool:
    """Whether a recipe can rebuild it; a subclass or a module that a user brought has none."""
    return NETWORKS.get(type(net).__name__) is type(net)


def pack(net: nn.Module) -> dict[str, Any]:
    """A network as a dict: how to build it, and its weights on the CPU as safetensors bytes.

    A module that a user brought has no recipe of ours: it goes along whole, on the CPU. One that
    PyTorch cannot pickle, since its weights are parametrised, is made by its callable again.
    """
    if not _is_ours(net):
        if not hasattr(net, "made_by"):
            return {"module": copied(net).cpu()}
        return {"callable": net.made_by, "weights": _weights(net)}
    recipe: Any = net.recipe
    weights = save_tensors(_weights(net))
    return {"network": type(net).__name__, "arguments": dict(recipe), "weights": weights}


def unpack(packed: dict[str, Any]) -> nn.Module:
    """The network that `pack` took apart, on the CPU, in eval mode."""
    if "module" in packed:
        return packed["module"].eval()
    if "callable" in packed:
        with torch.random.fork_rng(devices=[]):
            net = copied(packed["callable"]())
        net.load_state_dict(packed["weights"])
        net.made_by = packed["callable"]
        return net.eval()
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
        if kind in (list, tuple, torch.Size):
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
        fix = "describe a network by its name or by a spec such as DCGANSpec(width=64)"
    else:
        fix = "use numbers, strings, paths, tuples, lists, dicts, arrays or specs of skgan"
    shown = " ".join(reprlib.repr(value).split())  # a module's is pages long
    return TypeError(
        f"{name}={shown} cannot be kept in a file of plain data: {fix}, or keep the estimator "
        "with joblib.dump or pickle, which carry any object."
    )


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `_Encoder.encode`."""
    decode = functools.partial(_decode, tensors=tensors)
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
        For a class that is none of skgan's, and for a parameter or attribute that is no plain
        value, such as a module, a callable or a RandomState. Nothing is written then.
    """
    encoder = _Encoder()
    if not type(estimator).__module__.startswith(f"{__package__}.methods."):
        raise TypeError(
            f"{type(estimator).__name__} is a class of your own, which load does not know: keep "
            "the estimator with joblib.dump or pickle, which carry any object."
        )
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
            encoder.tensors |= {f"{name}.{k}": v for k, v in _weights(value).items()}
        else:
            state[name] = encoder.encode(name, value)
    document = {
        "format_version": FORMAT_VERSION,
        "versions": {
            "skgan": __version__, "torch": str(torch.__version__),
            "scikit-learn": sklearn.__version__, "numpy": np.__version__,
        },
        "class": type(estimator).__name__,
        "parameters": encoded,
        "state": state,
        "networks": networks,
        "tensors": {k: _looks(v) for k, v in encoder.tensors.items()},
    }  # fmt: skip
    header = {HEADER_KEY: json.dumps(document, allow_nan=False)}
    write_atomically(Path(os.path.realpath(path)), save_tensors(encoder.tensors, header))


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
    open(path, "rb").close()  # Python's own errors for files that are missing or closed to us
    try:
        document, tensors = _open(os.fspath(path))
        _check_document(document, classes)
        _check_tensors(document["tensors"], tensors)
        return _make(classes[document["class"]], document, tensors)
    except _UnreadableError as error:
        raise ValueError(f"{os.fspath(path)} {error}") from error
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError,
            ValueError) as error:  # fmt: skip
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"{os.fspath(path)} is damaged ({reason}): copy it anew, or save the estimator again."
        ) from error


class _UnreadableError(Exception):
    """Why a file cannot be read, and the fix; what follows its path in the message."""


def _open(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(name, framework="pt", device="cpu") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            # Copies: some versions map what comes out to the file, which may be overwritten.
            tensors = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _UnreadableError(
            f"is no safetensors file, or is cut short ({error}): load opens what save has "
            "written; pickles and joblib files are opened by pickle.load and joblib.load."
        ) from error
    if header is None:
        raise _UnreadableError(
            "is a safetensors file that skgan's save has not written: load bare weights with "
            "safetensors.torch.load_file, into a module of your own."
        )
    return json.loads(header), tensors


def _check_document(document: dict[str, Any], classes: Mapping[str, type]) -> None:
    # The first two keys stay what they are in every later format.
    version = document["format_version"]
    writer, here = f"skgan {document['versions']['skgan']}", f"skgan {__version__}"
    if type(version) is not int or version < 1:
        raise ValueError(f"format_version={version!r}")
    if version > FORMAT_VERSION:
        raise _UnreadableError(
            f"has format_version={version}, written by {writer}, but {here} reads format "
            f"versions up to {FORMAT_VERSION}: upgrade skgan."
        )
    name = document["class"]
    if name not in classes:
        raise _UnreadableError(
            f"holds a {name!r}, written by {writer}, which is none of the classes that {here} "
            f"opens ({', '.join(sorted(classes))}): upgrade skgan. Classes of your own are kept "
            "with joblib.dump."
        )
    unknown = document["parameters"].keys() - classes[name]().get_params(deep=False).keys()
    if unknown:
        raise _UnreadableError(
            f"sets {', '.join(sorted(unknown))}, which {name} of {here} does not have: open it "
            f"with {writer}, which wrote it."
        )


def _check_tensors(described: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
    for name in sorted(described.keys() | tensors.keys()):
        expected = described.get(name, "absent")
        found = _looks(tensors[name]) if name in tensors else "absent"
        if found != expected:
            raise _UnreadableError(
                f"is damaged: its tensor {name!r} should be {expected}, but is {found}. Copy the "
                "file anew, or save the estimator again."
            )


def _make(cls: type, document: dict[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """The estimator that a checked document describes."""
    state = _decode(document["state"], tensors)
    for name, described in document["networks"].items():
        start = f"{name}."
        weights = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
        arguments = _decode(described["arguments"], tensors)
        state[name] = _rebuild(described["class"], arguments, weights)
    estimator = cls(**_decode(document["parameters"], tensors))
    for name in state:
        if hasattr(cls, name) and callable(getattr(cls, name)):
            raise LookupError(f"{name!r} would replace a method")
    vars(estimator).update(state)
    return estimator


def _looks(tensor: Tensor) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
