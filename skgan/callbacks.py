"""Callbacks of skgan's own, for scikit-learn 1.9 or newer: `estimator.set_callbacks(...)`.

Older versions of scikit-learn have no callbacks. This module can be imported there, but estimators
have no `set_callbacks`.
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
    """Appends one line of JSON to a file for every epoch.

    It is set on the GAN itself, also where this is a step of a `Pipeline` or searched by
    `GridSearchCV`: `gan.set_callbacks(JSONLLogger("log.jsonl"))`. It needs scikit-learn 1.9 or
    newer.

    Each line is written at once and flushed, so a file may be read while it grows, and several
    processes (`n_jobs`) may share one file on a local disk. Lines are only ever appended.

    A line holds "time" (when the epoch ended: ISO 8601, in UTC), "run" (an id that all epochs
    below one outermost `fit` share), "place" (the tasks from that `fit` down to this one, as
    "name:number" joined by "/"), "estimator" (the name of its class), and "epoch" and all else
    of the epoch's row of `history_`. Numbers that are not finite become null.

    In a search, "candidate-split-evaluation:7" is fold 7 % n_splits of candidate 7 // n_splits,
    in the order of `cv_results_["params"]`.

    Parameters
    ----------
    path : str or path
        Of the file. Missing folders are made when `fit` begins.

    Raises
    ------
    OSError
        In `fit`, before any training, if the file cannot be written. If writing fails later
        on, such as on a full disk, there is a warning and training goes on.

    Examples
    --------
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.callbacks import JSONLLogger
    >>> gan = DCGANDiscriminatorFeatures().set_callbacks(JSONLLogger("log.jsonl"))
    """

    def __init__(self, path: str | os.PathLike[str]):
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"path={path!r} is no path: give JSONLLogger the name of a file.")
        self.path = path

    def __repr__(self) -> str:
        return f"JSONLLogger({os.fspath(self.path)!r})"

    def setup(self, estimator: Any, context: Any) -> None:
        """See that the file can be written."""
        try:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._append(b"")
        except OSError as error:
            raise OSError(
                f"path={os.fspath(self.path)!r} of JSONLLogger cannot be written "
                f"({error.strerror}): name a file in a folder that is yours."
            ) from error

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing is open between two lines."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Nothing is written when a task begins."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Write the line of an epoch; other tasks, and an epoch cut short, have none."""
        row = getattr(context, "history_row", None)
        if row is None:
            return
        line = {
            "time": datetime.now(UTC).isoformat(),
            "run": str(context.root_uuid),
            "place": _place(context.parent),
            "estimator": type(estimator).__name__,
            **{k: v if math.isfinite(v) else None for k, v in row.items()},
        }
        try:
            self._append(json.dumps(line, allow_nan=False).encode() + b"\n")
        except OSError as error:
            warnings.warn(
                f"JSONLLogger lost epoch {row['epoch']}: {os.fspath(self.path)!r} cannot be "
                f"written ({error.strerror}). Training goes on.",
                UserWarning,
                stacklevel=2,
            )

    def _append(self, line: bytes) -> None:
        # One write call on a file opened for appending: no other process's line gets between.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            if os.write(file, line) < len(line):
                raise OSError(errno.ENOSPC, "the line was cut short")
        finally:
            os.close(file)


def _place(context: Any) -> str:
    """The tasks from the outermost `fit` down to this one; a task of two names has the outer."""
    names = []
    while context is not None:
        names.append(f"{context.source_task_name or context.task_name}:{context.task_id}")
        context = context.parent
    return "/".join(reversed(names))
