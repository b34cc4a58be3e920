"""Logs in files: a line of JSON an epoch, or a table."""

import csv
import errno
import io
import json
import math
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..utils.files import write_atomically
from .base import EpochLogger, check_path, check_writable, own_path, place_of


class FileLogger(EpochLogger):
    """What logs in one file share. Abstract."""

    def __init__(self, path: str | os.PathLike[str]):
        check_path(type(self).__name__, "path", path)
        self.path = path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({os.fspath(self.path)!r})"


class JSONLLogger(FileLogger):
    """Appends one line of JSON to a file after every epoch.

    Set it on the GAN itself, even if the GAN is a step of a `Pipeline` or is searched by
    `GridSearchCV`: `gan.set_callbacks(JSONLLogger("log.jsonl"))`.

    Every line is written immediately, so the file may be read during training, and several
    processes (`n_jobs`) may share one file on a local disk. Existing lines are never changed.

    A line holds "time" (the end of the epoch: ISO 8601, in UTC), "run" (an id shared by all epochs
    within one outermost `fit`), "place" (the tasks from that `fit` down to this one, as
    "name:number" joined by "/"), "estimator" (the name of its class), "epoch", and all other
    entries of the epoch in `history_`. Numbers that are not finite become null.

    In a search, "candidate-split-evaluation:7" is fold 7 % n_splits of candidate 7 // n_splits,
    in the order of `cv_results_["params"]`. With scikit-learn older than 1.9, fits do not know that
    they are in a search: each has a "run" of its own, and "fit:0" as its place.

    Parameters
    ----------
    path : str or path
        Path of the file. Missing folders are created when `fit` begins.

    Raises
    ------
    TypeError
        If `path` is no path; in `fit`, where it is set on an estimator that trains no epochs
        itself, such as a pipeline.
    OSError
        In `fit`, before any training, if the file cannot be written. If writing fails later, such
        as on a full disk, a warning is issued and training continues.

    Examples
    --------
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.callbacks import JSONLLogger
    >>> gan = DCGANDiscriminatorFeatures().set_callbacks(JSONLLogger("log.jsonl"))
    """

    def setup(self, estimator: Any, context: Any) -> None:
        """Check that the file can be written."""
        super().setup(estimator, context)
        try:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._append(b"")
        except OSError as error:
            raise OSError(
                f"path={os.fspath(self.path)!r} of JSONLLogger cannot be written "
                f"({error.strerror}): use a folder that you may write to."
            ) from error

    def _write(self, estimator: Any, context: Any, row: dict[str, float]) -> None:
        if not context.training.is_first_process:
            return
        line = {
            "time": datetime.now(UTC).isoformat(),
            "run": str(context.root_uuid),
            "place": place_of(context.parent),
            "estimator": type(estimator).__name__,
            **{k: v if math.isfinite(v) else None for k, v in row.items()},
        }
        self._append(json.dumps(line, allow_nan=False).encode() + b"\n")

    def _lost(self, error: Any) -> str:
        return f"{os.fspath(self.path)!r} cannot be written ({error.strerror})"

    def _append(self, line: bytes) -> None:
        # A single write to a file opened for appending is not mixed with other processes' lines.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            if os.write(file, line) < len(line):
                raise OSError(errno.ENOSPC, "the line was cut short")
        finally:
            os.close(file)


class CSVLogger(FileLogger):
    """Keeps `history_` in a file as a table (CSV), written anew after every epoch.

    Set it on the GAN itself: `gan.set_callbacks(CSVLogger("log.csv"))`.

    The table has a row an epoch and a column for each entry of any row; what a row does not have is
    left empty. A reader sees the whole table as it was after one epoch, also after a crash. A fit
    that goes on from another one, by `warm_start` or from a checkpoint, has the rows of both, and
    any other fit begins a new table. Epochs that `EarlyStopping(restore_best=True)` takes back at
    the end of a fit stay in the table.

    In a search each fit has a file of its own: the name is followed by the fit's place, as in
    "log-fit-0-search-0-candidate-split-evaluation-7.csv".

    Parameters
    ----------
    path : str or path
        Path of the file. Missing folders are created when `fit` begins. "{run}" in it stands for
        eight letters that each outermost `fit` draws: fits of `cross_val_score`, which do not know
        of each other, need it to have files of their own.

    Raises
    ------
    TypeError
        If `path` is no path; in `fit`, where it is set on an estimator that trains no epochs
        itself, such as a pipeline.
    OSError
        In `fit`, before any training, if the folder cannot be written to. If writing fails later,
        a warning is issued and training continues.

    Examples
    --------
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.callbacks import CSVLogger
    >>> gan = DCGANDiscriminatorFeatures().set_callbacks(CSVLogger("log.csv"))
    """

    def setup(self, estimator: Any, context: Any) -> None:
        """Check that the file can be written."""
        super().setup(estimator, context)
        check_writable("CSVLogger", "path", own_path(self.path, context))

    def _write(self, estimator: Any, context: Any, row: dict[str, float]) -> None:
        training = context.training
        if not training.is_first_process:
            return
        rows = training.history
        columns = list(dict.fromkeys(name for row in rows for name in row))
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(own_path(self.path, context.parent), table.getvalue().encode())
