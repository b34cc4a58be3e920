"""A model card: what a fitted estimator is, in Markdown, as far as the estimator itself can say.

After Mitchell et al. 2019, "Model cards for model reporting", arXiv 1810.03993. What only people
know, such as where the data are from and what the model is meant for, is marked as missing.
"""

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from .utils.files import write_atomically
from .version import __version__

MISSING = "**To be filled in by the author:**"
METHODS = f"{__package__}.methods."
LONGEST = 120  # letters of a parameter's value
MOST_NAMES = 20  # of classes, domains or columns
MOST_ROWS, MOST_COLUMNS = 11, 9  # of the history
TIMES = ("epoch", "seconds", "images_per_second")
FILE = "model.safetensors"


class ModelCard:
    """The side of `BaseGAN` that describes itself for others."""

    def model_card(
        self, path=None, *, probes=None, title=None, intended_use=None, data_source=None,
        known_failures=None,
    ):  # fmt: skip
        """Write a model card: what this fitted estimator is, for those who are to use it.

        The text says what the estimator knows of itself: class and paper, versions, parameters, the
        data's shape and range, networks, training, how to load it and use it. What it cannot know
        is marked "To be filled in by the author".

        Parameters
        ----------
        path : str or path, default=None
            Markdown file to write; one that is there is replaced. None writes none.
        probes : result of a probe, or sequence or dict of them, default=None
            What `skgan.evaluation.probe` has returned, shown as tables; a dict has their titles.
        title : str, default=None
            Heading of the card; the name of the class by default.
        intended_use, data_source, known_failures : str, default=None
            Markdown in place of what is to be filled in: what the model is for and what not; where
            the data are from, and their licence; where it is known to fail.

        Returns
        -------
        text : str

        Raises
        ------
        NotFittedError
        TypeError
            For texts that are none.
        OSError
            If the file cannot be written.
        """
        texts = {
            "title": title, "intended_use": intended_use, "data_source": data_source,
            "known_failures": known_failures,
        }  # fmt: skip
        for name, text in texts.items():
            if not isinstance(text, str | None):
                raise TypeError(f"{name}={text!r} must be text, or None.")
        if not isinstance(path, str | os.PathLike | None):
            raise TypeError(f"path={path!r} must be the name of a file, or None.")
        check_is_fitted(self)
        results = _named(probes)
        sections = {
            "What it is": _what(self),
            "Intended use": intended_use or f"{MISSING} what the model is for, and what it is not.",
            "Data": _data(self, data_source),
            "Networks": _networks(self),
            "Parameters": _parameters(self),
            "Training": _training(self),
            "Evaluation": _evaluation(results),
            "Use": _use(self),
            "Limits": _limits(self, results, known_failures),
        }
        parts = [f"# {title or type(self).__name__}"]
        parts += [f"## {heading}\n\n{text.strip()}" for heading, text in sections.items()]
        card = "\n\n".join(parts) + "\n"
        if path is not None:
            write_atomically(Path(os.path.realpath(path)), card.encode())
        return card


def _named(probes: Any) -> dict[str, Any]:
    if probes is None:
        return {}
    if isinstance(probes, Mapping):
        return {str(name): result for name, result in probes.items()}
    if isinstance(probes, str) or not isinstance(probes, Iterable):
        return {"": probes}
    return {f"Probe {i}": result for i, result in enumerate(probes, 1)}


def _what(e: Any) -> str:
    method = next((c for c in type(e).__mro__ if c.__module__.startswith(METHODS)), type(e))
    summary = (type(e).__doc__ or "").partition("\n\n")[0]
    paper = ""
    if method.__module__.startswith(METHODS):
        paper = (sys.modules[method.__module__].__doc__ or "").partition("\n\n")[0]
    versions = {
        "skgan": __version__, "torch": torch.__version__, "scikit-learn": sklearn.__version__,
        "NumPy": np.__version__, "Python": platform.python_version(),
    }  # fmt: skip
    facts = {
        "class": f"`{type(e).__module__}.{type(e).__qualname__}`",
        "method": " ".join(paper.split()),
        "features": f"{e.n_features_out_:,}",
        "card written": datetime.now(UTC).date().isoformat(),
        "with": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return f"{' '.join(summary.split())}\n\n{_facts(facts)}"


def _data(e: Any, source: str | None) -> str:
    shape, form = e.input_shape_, e._format
    facts: dict[str, str] = {}
    if form.image_shape is None:
        facts["kind"] = f"a table of {shape[0]:,} columns, which are standardised"
        if hasattr(e, "feature_names_in_"):
            facts["columns"] = _listed(e.feature_names_in_)
    else:
        c, h, w = shape
        facts["kind"] = f"images of {h}x{w} pixels with {c} channel(s)"
        facts["values that become -1 and 1"] = str(form.value_range)
    facts["shape of one sample of X"] = f"{form.row_shape}, {form.dtype}"
    facts["samples trained on"] = f"{e._n_rows_measured:,}"
    if share := getattr(e, "validation_fraction", None):
        facts["share of X kept out of training"] = f"{share}"
    for name in ("classes_", "domains_"):
        if hasattr(e, name):
            values = getattr(e, name)
            facts[name.removesuffix("_")] = f"{len(values)}: {_listed(values)}"
    if not hasattr(e, "classes_"):
        facts["labels"] = "played no part in training"
    missing = f"{MISSING} where the data are from, how they were chosen, and their licence."
    return f"{_facts(facts)}\n\n{source or missing}"


def _networks(e: Any) -> str:
    rows = [["role", "class", "parameters"]]
    for role, net in e._kept_nets().items():
        n = sum(p.numel() for p in net.parameters())
        rows.append([role, type(net).__name__, f"{n:,}"])
    return _table(rows)


def _parameters(e: Any) -> str:
    given, default = e.get_params(deep=False), type(e)().get_params(deep=False)
    rows = {name: (_value(name, given[name]), _value(name, default[name])) for name in given}
    others = [name for name, (now, before) in rows.items() if now != before]
    table = _table([["parameter", "value", "default"], *([k, *v] for k, v in rows.items())])
    if not others:
        return f"All parameters have their defaults.\n\n{table}"
    listed = "\n".join(f"- `{name}` is {rows[name][0]}" for name in others)
    return f"Those that differ from the defaults:\n\n{listed}\n\nAll of them:\n\n{table}"


def _value(name: str, value: Any) -> str:
    if name == "checkpoint_dir":  # of a machine that is none of the readers' business
        return "`None`" if value is None else "a folder"
    text = " ".join(repr(value).split()).replace("|", "\\|").replace("`", "'")
    text = text.partition(" at 0x")[0] + ">" if " at 0x" in text else text
    return f"`{text}`" if len(text) <= LONGEST else f"`{text[:LONGEST]}...`"


def _training(e: Any) -> str:
    history = e.history_
    facts = {
        "epochs": f"{e.n_epochs_:,}",
        "steps": f"{e.n_steps_:,}",
        "seconds": f"{sum(row.get('seconds', 0) for row in history):,.1f}",
        "precision": e.precision_,
        "threads": str(e.n_threads_),
        "device of the networks now": str(e._device()),
        "seed": str(e._seed),
    }
    if not history:
        return f"{_facts(facts)}\n\nThe networks are as they were initialised: untrained."
    last = {k: f"{v:.4g}" for k, v in history[-1].items() if k.endswith("_loss")}
    facts |= {f"last {name.replace('_', ' ')}": value for name, value in last.items()}
    columns = list(dict.fromkeys(k for row in history for k in row if k not in TIMES))
    shown, more = columns[: MOST_COLUMNS - 1], columns[MOST_COLUMNS - 1 :]
    chosen = np.unique(np.linspace(0, len(history) - 1, MOST_ROWS).astype(int))
    rows = [["epoch", *shown]]
    for i in chosen:
        row = history[i]
        rows.append([str(row["epoch"]), *(f"{row[k]:.4g}" if k in row else "" for k in shown)])
    text = f"{_facts(facts)}\n\n{_table(rows)}"
    if len(chosen) < len(history):
        text += f"\n\n{len(chosen)} of {len(history)} epochs."
    return text + (f"\n\nAlso in `history_`: {', '.join(more)}." if more else "")


def _evaluation(results: dict[str, Any]) -> str:
    if not results:
        return (
            "The features were not measured for this card: pass what `skgan.evaluation.probe` "
            "returns as `probes`."
        )
    parts = []
    for name, result in results.items():
        heading = f"### {name}\n\n" if name else ""
        parts.append(f"{heading}```text\n{str(result).strip()}\n```")
    return "\n\n".join(parts)


def _use(e: Any) -> str:
    verb = "transform" if hasattr(e, "transform") else "predict"
    shape = ("n", *map(str, e._format.row_shape))
    text = f"`X` has the shape ({', '.join(shape)}), with values on the scale of the training data."
    if _is_plain(e):
        keep, load = (
            f'estimator.save("{FILE}")',
            f'import skgan\n\nestimator = skgan.load("{FILE}")',
        )
    else:
        keep = 'joblib.dump(estimator, "model.joblib")'
        load = 'import joblib\n\nestimator = joblib.load("model.joblib")'
        text += " A joblib file can run any code: open only those of people whom you trust."
    code = f"```python\n{load}\nresult = estimator.{verb}(X)\n```"
    return f"Kept by `{keep}`, it is used so:\n\n{code}\n\n{text}"


def _is_plain(e: Any) -> bool:
    """Whether `save` can keep it: a class of ours, and no modules, functions or random states."""
    values = e.get_params(deep=False).values()
    alive = (nn.Module, np.random.RandomState)
    ours = type(e).__module__.startswith(METHODS)
    return ours and not any(callable(v) or isinstance(v, alive) for v in values)


def _limits(e: Any, results: dict[str, Any], known_failures: str | None) -> str:
    lines = [
        "- It was trained on the data above; on others, such as those of another camera or another "
        "population, it has not been tried.",
        "- Features, and samples where it makes any, repeat what is uneven in the training data.",
    ]
    if e.n_epochs_ == 0:
        lines.append("- The networks are untrained.")
    if not results:
        lines.append("- No accuracy is given: losses of a GAN do not say how good features are.")
    failures = known_failures or f"{MISSING} where it is known to fail."
    return "\n".join(lines) + f"\n\n{failures}"


def _facts(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value)


def _listed(values: Any) -> str:
    words = [str(value) for value in values]
    text = ", ".join(words[:MOST_NAMES]).replace("\n", " ")
    return text + (f" and {len(words) - MOST_NAMES:,} more" if len(words) > MOST_NAMES else "")


def _table(rows: list[list[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])
