"""How a fit is kept: as plain data for any pickler, and in files that hold no code at all.

A file is one safetensors file (`utils/sealed.py`). Its tensors are the weights of the networks,
arrays and bytes; its header holds one JSON document:

| key | holds |
|---|---|
| format_version | 2 |
| versions | of skgan, torch, scikit-learn and NumPy that wrote it: for people, not compared |
| class | the estimator's class, by name |
| parameters | what `get_params(deep=False)` gives |
| state | the fitted attributes that are no networks: those that the class declares |
| networks | by attribute: class, and the arguments that build it anew |
| sha256 | a digest over all that is read |

Format 1 had no digest, but a table of the tensors' shapes and types.

Reading makes plain values, and objects of the classes in `OBJECTS`, `NETWORKS` and those that the
caller names. Nothing is imported, unpickled or evaluated because a file says so. A file sets no
attribute but those that its class declares (`_holds`, `_networks`), each of its kind.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from .data.arrays import FORMAT, DataFormat
from .nn import NETWORKS, DCGANSpec, MLPSpec, add_heads
from .nn.init import lay_out
from .utils import kinds, plain
from .utils.callers import warn_caller
from .utils.files import write_atomically
from .utils.modules import copied
from .utils.sealed import ERRORS, ForeignError, seal, unseal, verified
from .utils.seeds import global_state_kept
from .version import __version__

__all__ = ["FITTED", "pack_state", "read", "seal", "unpack_state", "unseal", "write"]

FORMAT_VERSION = 2
# Parameters by their names in files, where the class calls them something else by now.
RENAMED = {"n_generator": "generator_steps"}
# What parameters and fitted attributes may hold besides plain values, by name.
OBJECTS: dict[str, type] = {c.__name__: c for c in (DataFormat, DCGANSpec, MLPSpec)}
# scikit-learn's callbacks: live objects, put there for the length of a fit or by the user.
LEFT_OUT = ("_skl_callbacks", "_callback_", "_parent_callback_")
_SETTINGS = kinds.each(dict, "plain settings", kinds.is_setting)
# What builds a network of `NETWORKS`.
_ARGUMENTS = kinds.each(dict, "plain settings", lambda v: kinds.is_setting(v) or _SETTINGS.holds(v))
# What the fit of every estimator may leave, besides networks.
FITTED: dict[str, kinds.Kind] = {
    "n_features_in_": kinds.count(1),
    "feature_names_in_": kinds.array("O"),
    "input_shape_": kinds.tuple_of(1, 3),
    "history_": kinds.ROWS,
    "n_epochs_": kinds.count(),
    "n_steps_": kinds.count(),
    "n_threads_": kinds.count(1),
    "precision_": kinds.one_of("float32", "bfloat16"),
    "_format": FORMAT,
    "_shaped_by": _SETTINGS,
    "_roles": kinds.each(tuple, "names", lambda role: type(role) is str),
    "_seed": kinds.count(),
    "_n_rows_measured": kinds.count(),
    "_training": kinds.Kind("bytes, or None", lambda v: v is None or type(v) is bytes),
    "_sklearn_output_config": kinds.each(
        dict, "containers", lambda v: v in ("default", "pandas", "polars")
    ),
}


def _weights(net: nn.Module) -> dict[str, Tensor]:
    """The state of a network on the CPU, in the order of its shape (not channels-last)."""
    return {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}


def _rebuild(name: str, arguments: dict[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """The network of a class in `NETWORKS`, on the CPU, in eval mode."""
    _ARGUMENTS.check(f"the arguments of {name}", arguments)
    if (n_generators := arguments.get("n_generators") or 0) > len(weights):  # each has its own
        raise ValueError(f"n_generators={n_generators} with {len(weights)} tensors")
    if (n_layers := _longest(arguments)) > max(64, len(weights)):  # those of a head have none
        raise ValueError(f"{n_layers} layers with {len(weights)} tensors")
    net = _bare(name, arguments)  # nothing is allocated until all sizes are compared
    _check_tensors(f" of a {name}", kinds.looks(net.state_dict()), kinds.looks(weights))
    net.load_state_dict(weights, assign=True)
    return lay_out(net).eval()


def _bare(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """The network of a class in `NETWORKS`, on the device "meta", in eval mode."""
    arguments = dict(arguments)
    heads = arguments.pop("auxiliary", None)  # of a critic that has any
    with torch.device("meta"):
        net = NETWORKS[name](**arguments)
        if heads is not None:
            add_heads(net, heads)
    return net.float().eval()


def _longest(value: Any) -> int:
    """The length of the longest sequence in nested arguments."""
    inner = value.values() if isinstance(value, dict) else value if _is_sequence(value) else ()
    return max([len(value) if _is_sequence(value) else 0, *map(_longest, inner)])


def _is_sequence(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _check_tensors(of: str, expected: dict[str, Any], found: dict[str, Any]) -> None:
    for key in {**expected, **found}:
        if expected.get(key) != found.get(key):
            raise ValueError(
                f"tensor {key!r}{of} should be {expected.get(key, 'absent')}, but is "
                f"{found.get(key, 'absent')}"
            )


def _is_ours(net: nn.Module) -> bool:
    """Whether a recipe can rebuild it; a subclass or a user-supplied module has none."""
    return NETWORKS.get(type(net).__name__) is type(net)


def pack(net: nn.Module) -> dict[str, Any]:
    """A network as a dict: how to build it, and its weights on the CPU as safetensors bytes.

    A user-supplied module has no recipe of ours: it goes along whole, on the CPU. One that PyTorch
    cannot pickle, since its weights are parametrised, is made by its callable again.
    """
    if not _is_ours(net):
        if not hasattr(net, "made_by"):
            return {"module": copied(net).cpu()}
        return {"callable": net.made_by, "weights": _weights(net)}
    recipe: Any = net.recipe
    weights = save_tensors(_weights(net))
    return {"network": type(net).__name__, "arguments": dict(recipe), "weights": weights}


def unpack(packed: dict[str, Any]) -> nn.Module:
    """The inverse of `pack`: on the CPU, in eval mode."""
    if "module" in packed:
        return packed["module"].eval()
    if "callable" in packed:
        with global_state_kept():
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
        For a class that is none of skgan's, for a parameter or attribute that is no plain value,
        such as a module, a callable or a RandomState, and for an attribute that its class does
        not declare. Nothing is written then.
    """
    encoder, cls = plain.Encoder(OBJECTS), type(estimator)
    if not cls.__module__.startswith(f"{__package__}.methods."):
        raise TypeError(
            f"{cls.__name__} is a class of your own, which load does not know: keep the estimator "
            "with joblib.dump or pickle, which carry any object."
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
    try:
        _check_fit(cls, {k: vars(estimator)[k] for k in state}, networks, parameters)
    except ValueError as error:
        raise TypeError(
            f"{error}: load would refuse the file. Put that right, or keep the estimator with "
            "joblib.dump or pickle, which carry any object."
        ) from error
    document = {
        "format_version": FORMAT_VERSION,
        "versions": {
            "skgan": __version__, "torch": str(torch.__version__),
            "scikit-learn": sklearn.__version__, "numpy": np.__version__,
        },
        "class": cls.__name__, "parameters": encoded, "state": state, "networks": networks,
    }  # fmt: skip
    write_atomically(Path(os.path.realpath(path)), seal(document, encoder.tensors))


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
        If the file is not one of `write`'s, is damaged, holds what its class does not declare, or
        is newer than this skgan.

    Warns
    -----
    UserWarning
        If it is of format 1 and training was to continue from it: that state is dropped; and if
        it has a `checkpoint_dir`, which is left out.
    """
    content = Path(path).read_bytes()  # Python's own errors for files that are missing
    try:
        document, tensors = verified(content)
        _check_document(document, classes)
        if document["format_version"] == 1:
            _update_format_1(os.fspath(path), document, tensors)
        return _make(classes[document["class"]], document, tensors)
    except ForeignError as error:
        raise ValueError(
            f"{os.fspath(path)} {error}: load opens nothing that skgan's save has not written. "
            "Bare weights are opened by safetensors.torch.load_file, pickles and joblib files by "
            "pickle.load and joblib.load."
        ) from error
    except _UnreadableError as error:
        raise ValueError(f"{os.fspath(path)} {error}") from error
    except ERRORS as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"{os.fspath(path)} is damaged or made up ({reason}): copy it anew, or save the "
            "estimator again."
        ) from error


class _UnreadableError(Exception):
    """Why a file cannot be read, and the fix; what follows its path in the message."""


def _check_document(document: dict[str, Any], classes: Mapping[str, type]) -> None:
    # The first two keys, and what the digest is of, stay what they are in every later format.
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
    parameters, known = document["parameters"], classes[name]().get_params(deep=False)
    for old, new in RENAMED.items():
        if old in parameters and old not in known and new in known and new not in parameters:
            parameters[new] = parameters.pop(old)
    if unknown := parameters.keys() - known.keys():
        raise _UnreadableError(
            f"sets {', '.join(sorted(unknown))}, which {name} of {here} does not have: open it "
            f"with {writer}, which wrote it."
        )


def _update_format_1(path: str, document: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Compare the tensors with their table, and take out of the state what is no longer read."""
    found = {
        k: {"shape": list(v.shape), "dtype": str(v.dtype).removeprefix("torch.")}
        for k, v in tensors.items()
    }
    _check_tensors("", document["tensors"], found)
    document["state"].pop("n_features_out_", None)  # is computed by now
    if document["state"].pop("_training", None) is not None:
        warn_caller(
            f"{path} is of an earlier skgan, whose state of training is in PyTorch's format and is "
            "no longer opened: the estimator can be used, but its training cannot continue; fit "
            "will start anew."
        )


def _make(cls: Any, document: dict[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """The estimator that a checked document describes."""
    state = plain.decode(document["state"], tensors, OBJECTS)
    parameters = plain.decode(document["parameters"], tensors, OBJECTS)
    _leave_out_folder(parameters)
    _check_fit(cls, state, document["networks"], parameters)
    bare = {}
    for name, described in document["networks"].items():
        start = name + "."
        weights = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
        arguments = plain.decode(described["arguments"], tensors, {})
        state[name] = _rebuild(described["class"], arguments, weights)
        bare[name] = _bare(described["class"], arguments)
    estimator = cls(**parameters)
    vars(estimator).update(state)
    if bare:  # it is fitted
        estimator._check_together(bare)
    return estimator


def _leave_out_folder(parameters: dict[str, Any]) -> None:
    """Whoever made a file does not say where the next `fit` reads and writes."""
    folder = parameters.get("checkpoint_dir")
    if folder is None:
        return
    parameters["checkpoint_dir"] = None
    if parameters.get("resume") == "must":
        parameters["resume"] = "auto"
    warn_caller(
        f"checkpoint_dir={os.fspath(folder)!r} of the file is left out: set it anew with "
        "set_params(checkpoint_dir=...) if fit is to write checkpoints there."
    )


def _check_fit(cls: Any, state: Any, networks: Mapping[str, Any], parameters: Any) -> None:
    """Raise a ValueError for what the class does not declare, or where parts do not fit."""
    kinds.check_declared(kinds.declared(cls, "_holds"), state)
    roles = state.get("_roles", ())
    if len({*roles}) != len(roles) or not {*roles} <= {*cls._networks}:
        raise ValueError(f"_roles={roles} must be among {cls._networks}, each of them once")
    places = {cls._place(role) for role in roles}
    if other := places ^ networks.keys():
        raise ValueError(
            f"{', '.join(map(repr, sorted(other)))}: a fit with _roles={roles} has networks in "
            f"{', '.join(sorted(places)) or 'no attribute'}"
        )
    if unknown := state.get("_shaped_by", {}).keys() - parameters.keys():
        raise ValueError(f"_shaped_by: {cls.__name__} has no {', '.join(sorted(unknown))}")
    if "_format" in state and state["_format"].shape != state.get("input_shape_"):
        raise ValueError(f"input_shape_ must be {state['_format'].shape}, as _format has it")
    n_outputs = {p: described["arguments"].get("n_outputs") for p, described in networks.items()}
    kinds.check_outputs(cls, state, n_outputs)
