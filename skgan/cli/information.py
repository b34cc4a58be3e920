"""What a file says of the estimator in it."""

import inspect
import json
from pathlib import Path
from typing import Any

from ..utils.fitted import FittedNetworks


def describe(model: Any, path: Path) -> dict[str, Any]:
    """What is known of a fitted estimator and its file, as plain data.

    Parameters
    ----------
    model : estimator
        What `skgan.load` has read from the file, which has been checked thereby.
    path : Path
    """
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        written_by = json.loads(file.metadata()["skgan"])["versions"]
    fitted = FittedNetworks(model)
    defaults = inspect.signature(type(model)).parameters
    parameters = {
        name: value
        for name, value in model.get_params(deep=False).items()
        if repr(value) != repr(defaults[name].default)
    }
    about: dict[str, Any] = {
        "class": type(model).__name__,
        "written_by": written_by,
        "parameters": parameters,
        "input_shape": list(model.input_shape_),
        "value_range": fitted.value_range if len(model.input_shape_) == 3 else None,
        "n_epochs": model.n_epochs_,
        "n_steps": model.n_steps_,
        "last_epoch": model.history_[-1] if model.history_ else None,
        "n_features": model.n_features_out_,
        "n_weights": _weights(vars(fitted.nets)),
        "n_bytes": path.stat().st_size,
    }
    if hasattr(model, "classes_"):
        about["classes"] = model.classes_.tolist()
    return about


def _weights(nets: dict[str, Any]) -> dict[str, int]:
    """The number of weights of each network; layers that several share count with the trunk."""
    counted: set[int] = set()
    found = {}
    for role in sorted(nets, key=lambda role: role != "trunk"):
        own = {id(p): p.numel() for p in nets[role].parameters() if id(p) not in counted}
        counted |= own.keys()
        found[role] = sum(own.values())
    return found


def as_json(about: dict[str, Any]) -> str:
    """The description as JSON; values that JSON has not are text."""
    return json.dumps(about, indent=2, default=repr, ensure_ascii=False)


def as_text(about: dict[str, Any]) -> str:
    """The description as lines for people."""
    shape = about["input_shape"]
    if len(shape) == 3:
        low_high = about["value_range"]
        what = f"images of {shape[1]}x{shape[2]} pixels (h x w), {shape[0]} channel(s)"
        what += f", values {_range(low_high)}"
    else:
        what = f"a table of {shape[0]} columns"
    versions = ", ".join(f"{name} {version}" for name, version in about["written_by"].items())
    weights = ", ".join(f"{role} {n:,}" for role, n in about["n_weights"].items())
    rows = [
        ("class", about["class"]),
        ("written by", versions),
        ("input", what),
        ("features", f"{about['n_features']:,}"),
        ("epochs", f"{about['n_epochs']:,} ({about['n_steps']:,} steps)"),
    ]
    if about["last_epoch"]:
        values = ", ".join(f"{k} {v:.4g}" for k, v in about["last_epoch"].items() if k != "epoch")
        rows.append(("last epoch", values))
    if "classes" in about:
        rows.append(("classes", ", ".join(map(str, about["classes"]))))
    rows += [("weights", weights), ("file", f"{about['n_bytes']:,} bytes")]
    lines = [f"{name:<12}{text}" for name, text in rows]
    lines.append("parameters that differ from the defaults:" if about["parameters"] else
                 "parameters are the defaults")  # fmt: skip
    lines += [f"  {name} = {_short(value)}" for name, value in about["parameters"].items()]
    return "\n".join(lines)


def _range(low_high: Any) -> str:
    if isinstance(low_high[0], tuple):  # of each channel
        return ", ".join(map(_range, low_high))
    return f"{low_high[0]:g} to {low_high[1]:g}"


def _short(value: Any) -> str:
    """A value on one line, as in Python."""
    return " ".join(repr(value).split())
