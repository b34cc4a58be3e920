"""Callbacks of skgan, for scikit-learn 1.9 or newer: `estimator.set_callbacks(...)`.

With older versions this module can be imported, but estimators have no `set_callbacks`.
"""

import errno
import json
import math
import os
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .utils.checks import check_choice, check_number, random_state_of
from .utils.fitted import FittedNetworks

__all__ = ["CollapseGuard", "JSONLLogger"]


class JSONLLogger:
    """Appends one line of JSON to a file after every epoch.

    Set it on the GAN itself, even if the GAN is a step of a `Pipeline` or is searched by
    `GridSearchCV`: `gan.set_callbacks(JSONLLogger("log.jsonl"))`. It needs scikit-learn 1.9 or
    newer.

    Every line is written immediately, so the file may be read during training, and several
    processes (`n_jobs`) may share one file on a local disk. Existing lines are never changed.

    A line holds "time" (the end of the epoch: ISO 8601, in UTC), "run" (an id shared by all epochs
    within one outermost `fit`), "place" (the tasks from that `fit` down to this one, as
    "name:number" joined by "/"), "estimator" (the name of its class), "epoch", and all other
    entries of the epoch in `history_`. Numbers that are not finite become null.

    In a search, "candidate-split-evaluation:7" is fold 7 % n_splits of candidate 7 // n_splits,
    in the order of `cv_results_["params"]`.

    Parameters
    ----------
    path : str or path
        Path of the file. Missing folders are created when `fit` begins.

    Raises
    ------
    OSError
        In `fit`, before any training, if the file cannot be written. If writing fails later, such
        as on a full disk, a warning is issued and training continues.

    Examples
    --------
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.callbacks import JSONLLogger
    >>> gan = DCGANDiscriminatorFeatures().set_callbacks(JSONLLogger("log.jsonl"))
    """

    def __init__(self, path: str | os.PathLike[str]):
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"path={path!r} is not a path: pass the name of a file to JSONLLogger.")
        self.path = path

    def __repr__(self) -> str:
        return f"JSONLLogger({os.fspath(self.path)!r})"

    def setup(self, estimator: Any, context: Any) -> None:
        """Check that the file can be written."""
        try:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._append(b"")
        except OSError as error:
            raise OSError(
                f"path={os.fspath(self.path)!r} of JSONLLogger cannot be written "
                f"({error.strerror}): use a folder that you may write to."
            ) from error

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing: the file is open only while a line is written."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing when a task begins."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Write a line after a complete epoch; other tasks have no history row."""
        row = getattr(context, "history_row", None)
        if row is None:
            return
        line = {
            "time": datetime.now(UTC).isoformat(),
            "run": str(context.root_uuid),
            "place": place_of(context.parent),
            "estimator": type(estimator).__name__,
            **{k: v if math.isfinite(v) else None for k, v in row.items()},
        }
        try:
            self._append(json.dumps(line, allow_nan=False).encode() + b"\n")
        except OSError as error:
            warnings.warn(
                f"JSONLLogger lost epoch {row['epoch']}: {os.fspath(self.path)!r} cannot be "
                f"written ({error.strerror}). Training continues.",
                UserWarning,
                stacklevel=2,
            )

    def _append(self, line: bytes) -> None:
        # A single write to a file opened for appending is not mixed with other processes' lines.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            if os.write(file, line) < len(line):
                raise OSError(errno.ENOSPC, "the line was cut short")
        finally:
            os.close(file)


class CollapseGuard:
    """Warns, or ends training, when generated samples or the discriminator have collapsed.

    Set it on the GAN itself: `gan.set_callbacks(CollapseGuard())`. It needs scikit-learn 1.9 or
    newer. Each epoch that it looks at costs a pass over the training samples, for the batch-norm
    statistics of the networks as they would be if training ended there.

    It knows three signs, and acts once one of them was there `patience` times in a row:

    - generated samples are alike: the mean distance between two of them is less than
      `min_diversity` of that between two training samples. Before training it is, so the first
      epochs need some patience;
    - the discriminator is sure of everything, and teaches the generator nothing: its loss is below
      `min_loss`. Only for losses whose logit is a log ratio, which reach 0;
    - p_g / p_r differs wildly between real samples: its coefficient of variation, "alpha_cv" in
      `history_` of fits with `validation_fraction`, is above `max_alpha_cv` (Mao et al. 2019: 0
      where the generator is right).

    Parameters
    ----------
    action : {"warn", "stop"}, default="warn"
        "stop" also ends training after that epoch; `fit` returns with what was learnt.
    every : int, default=1
        Number of epochs from one look to the next.
    patience : int, default=3
        How many looks in a row have to show the same sign.
    min_diversity : float, default=0.1
        From 0 to 1.
    min_loss : float, default=0.01
    max_alpha_cv : float, default=100.0
    n_samples : int, default=256
        Number of training samples, and of generated ones, that are compared.

    Attributes
    ----------
    looks : list of dict
        One entry a look: "epoch", "diversity" as a share of that of training samples where samples
        can be drawn, "discriminator_loss" and "alpha_cv" where the fit has them, and "signs", the
        tuple of those that were seen.

    Raises
    ------
    ValueError
        For bad values, and in `fit`, before any training, for estimators without a generator.

    Examples
    --------
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.callbacks import CollapseGuard
    >>> guard = CollapseGuard("stop", every=5)
    >>> gan = DCGANDiscriminatorFeatures().set_callbacks(guard)  # doctest: +SKIP
    """

    def __init__(
        self, action: str = "warn", *, every: int = 1, patience: int = 3,
        min_diversity: float = 0.1, min_loss: float = 0.01, max_alpha_cv: float = 100.0,
        n_samples: int = 256,
    ):  # fmt: skip
        check_choice("action", action, ("warn", "stop"))
        for name, number in (("every", every), ("patience", patience)):
            check_number(name, number, low=1, integer=True)
        check_number("min_diversity", min_diversity, low=0, high=1)
        check_number("min_loss", min_loss, low=0)
        check_number("max_alpha_cv", max_alpha_cv, low=0)
        check_number("n_samples", n_samples, low=2, integer=True)
        self.action, self.every, self.patience = action, every, patience
        self.min_diversity, self.min_loss, self.max_alpha_cv = min_diversity, min_loss, max_alpha_cv
        self.n_samples = n_samples
        self.looks: list[dict[str, Any]] = []

    def setup(self, estimator: Any, context: Any) -> None:
        """Begin a new list of looks."""
        if "generator" not in getattr(estimator, "_networks", ()):
            name = type(estimator).__name__
            raise ValueError(f"CollapseGuard needs a generator to look at, and {name} has none.")
        self.looks = []

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing: the looks stay."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing when a task begins."""

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any = None, fitted_estimator: Any = None
    ) -> bool:
        """Look at the networks after an epoch; True ends training."""
        row = getattr(context, "history_row", None)
        if row is None or row["epoch"] % self.every or fitted_estimator is None:
            return False
        look = {"epoch": int(row["epoch"])} | {
            name: row[name] for name in ("discriminator_loss", "alpha_cv") if name in row
        }
        networks = FittedNetworks(fitted_estimator)
        if networks.has_generator:
            look["diversity"] = self._diversity(networks, X)
        look["signs"] = tuple(self._signs(estimator, look))
        self.looks.append(look)
        lasting = [sign for sign in look["signs"] if self._lasts(sign)]
        for sign in lasting:
            warnings.warn(self._message(sign, look), UserWarning, stacklevel=2)
        return bool(lasting) and self.action == "stop"

    def _diversity(self, networks: FittedNetworks, X: Any) -> float:
        """The mean distance between two generated samples, as a share of that between real ones."""
        rows = np.sort(random_state_of(0).permutation(len(X))[: self.n_samples])
        real = networks.encoded(X[rows]).cpu()
        drawn = networks.generate_in_parts(networks.draw(self.n_samples, 0))
        of_real = _spread(real)
        return _spread(drawn) / of_real if of_real else 1.0  # training samples may all be the same

    def _signs(self, estimator: Any, look: dict[str, Any]) -> list[str]:
        found = {
            "diversity": look.get("diversity", 1.0) < self.min_diversity,
            "discriminator_loss": hasattr(estimator, "density_ratio")
            and look.get("discriminator_loss", math.inf) < self.min_loss,
            "alpha_cv": look.get("alpha_cv", 0.0) > self.max_alpha_cv,
        }
        return [sign for sign, seen in found.items() if seen]

    def _lasts(self, sign: str) -> bool:
        """Whether the sign was there just now for as long as it takes, and not for longer."""
        n = self.patience
        seen = [sign in look["signs"] for look in self.looks]
        return len(seen) >= n and all(seen[-n:]) and (len(seen) == n or not seen[-n - 1])

    def _message(self, sign: str, look: dict[str, Any]) -> str:
        what = {
            "diversity": "generated samples are alike: the mean distance between two of them is "
            f"{look.get('diversity', 0):.3g} of that between training samples",
            "discriminator_loss": "the discriminator is sure of everything: its loss is "
            f"{look.get('discriminator_loss', 0):.3g}",
            "alpha_cv": "p_g / p_r differs wildly between real samples: its coefficient of "
            f"variation is {look.get('alpha_cv', 0):.3g}",
        }[sign]
        end = " Training ends." if self.action == "stop" else ""
        return (
            f"after epoch {look['epoch']}, {what}. Lower the discriminator's learning rate, or use "
            f"a stabiliser, such as norm='spectral' or augment='auto'.{end}"
        )


def _spread(x: torch.Tensor) -> float:
    """The mean Euclidean distance between two different samples."""
    return float(torch.pdist(x.flatten(1).double()).mean())


def place_of(context: Any) -> str:
    """The tasks from the outermost `fit` down to this one; of two names the outer task's counts."""
    names = []
    while context is not None:
        names.append(f"{context.source_task_name or context.task_name}:{context.task_id}")
        context = context.parent
    return "/".join(reversed(names))
