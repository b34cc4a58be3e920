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

__all__ = ["JSONLLogger"]


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


def place_of(context: Any) -> str:
    """The tasks from the outermost `fit` down to this one; of two names the outer task's counts."""
    names = []
    while context is not None:
        names.append(f"{context.source_task_name or context.task_name}:{context.task_id}")
        context = context.parent
    return "/".join(reversed(names))
