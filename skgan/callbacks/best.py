"""The best epoch by a loss or a score: stop after it, go back to it, keep it in a file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..utils.callers import warn_caller
from ..utils.checks import check_flag, check_number
from .base import Callback, check_is_gan, check_path, check_writable, own_path, row_of
from .values import Record, Values, check_alone


class BestEpoch(Callback):
    """What `EarlyStopping` and `BestCheckpoint` share: they look at a value of each epoch."""

    _values: Values
    patience = 0

    def setup(self, estimator: Any, context: Any) -> None:
        """Check that the value can be had, and forget an earlier fit."""
        check_is_gan(self, estimator)
        self._values.check_for(estimator)
        check_alone(self, estimator)
        self._show(Record(self._values, self._min_delta))

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Where the fit begins: go on from what the history has of the value."""
        training = context.training
        if self not in training.notes:  # the fit, and not one of its epochs
            record = Record(self._values, self._min_delta)
            if self._goes_on(context):
                record.replay(training.history)
            training.notes[self] = record
            self._show(record)
            self._begin(context, record)

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any = None, y: Any = None
    ) -> bool:
        """Look at the epoch's value; True ends training."""
        row = row_of(context)
        if row is None or not self._values.is_due(row):
            return False
        record = context.training.notes[self]
        if record.add(int(row["epoch"]), self._values.of(context, X, y)):
            self._improved(context)
        self._show(record)
        if self._is_over(record) and record.best_epoch is None:
            warn_caller(
                f"{type(self).__name__}: {self._values.column} was never a finite number in "
                f"{len(record.looks)} looks, so there is no best epoch."
            )
        return self._is_over(record)

    def _show(self, record: Record) -> None:
        """Set the attributes that users read to those of the fit that was looked at last."""
        self.looks = record.looks
        self.best_epoch, self.best_value = record.best_epoch, record.best_value

    # What the two do differently.

    _min_delta = 0.0

    def _goes_on(self, context: Any) -> bool:
        return True

    def _begin(self, context: Any, record: Record) -> None: ...

    def _improved(self, context: Any) -> None: ...

    def _is_over(self, record: Record) -> bool:
        return False


class EarlyStopping(BestEpoch):
    """Ends training once a loss or a score has stopped improving.

    Set it on the GAN itself: `gan.set_callbacks(EarlyStopping(...))`, before loggers if they are to
    log the score.

    Losses of a GAN measure how the networks stand against each other, and seldom how good they are:
    a score of what the features are for, on samples that are kept out of training, is the better
    guide.

    What a fit leaves after `restore_best` is what a fit of `n_epochs=best_epoch` leaves, bit for
    bit: networks, optimizers, random state, `n_epochs_`, `n_steps_` and `history_`, unless a
    schedule depends on the number of epochs (`lr_decay`). It also goes back where training ended
    for another reason, such as `n_epochs`. `looks` keeps what came after.

    A fit that goes on from another one counts the other's epochs, too, by what `history_` has of
    the value. So one that was interrupted and resumes from its checkpoint ends as it would have
    ended; and one that had run out of patience already trains no further, and warns: raise
    `patience`. With `restore_best`, a warm start goes on from the best epoch.

    Parameters
    ----------
    monitor : str, default=None
        A column of `history_`, such as "generator_loss". Exactly one of `monitor` and `scorer` is
        needed.
    scorer : callable or str, default=None
        `scorer(estimator, X, y)` returns a number, for the estimator as it would be if training
        ended after the epoch, which costs a pass over the training samples. For classifiers also
        the name of one of scikit-learn's scorers, such as "accuracy". Scores are logged in
        `history_`, by the scorer's name.
    mode : {"min", "max"}, default=None
        Whether smaller or larger values are better. None: "min" for `monitor`, "max" for `scorer`.
    patience : int, default=5
        Training ends after this many looks in a row that found no better value.
    min_delta : float, default=0.0
        By how much a value has to be better.
    restore_best : bool, default=False
        Whether the fit ends as it was after the best epoch, instead of the last one. This keeps a
        copy of the networks and optimizers in memory, and in `checkpoint_dir` if there is one.
    validation_data : (X, y), default=None
        Samples and labels for `scorer`; y may be None. By default those of `fit`, on which a score
        says nothing about overfitting.
    every : int, default=1
        Number of epochs from one look to the next.
    name : str, default=None
        Name of the scores in `history_`, where that of the scorer will not do.

    Attributes
    ----------
    looks : list of dict
        One entry a look of the last fit: "epoch", "value", and "improved".
    best_epoch : int or None
        None as long as no value was finite.
    best_value : float or None
    stopped_epoch : int or None
        The epoch after which patience was over; None if it never was.

    Raises
    ------
    ValueError, TypeError
        For bad values; in `fit`, where it is set on an estimator that trains no epochs itself, such
        as a pipeline, and for a column that `history_` does not have, once there is an epoch.

    Notes
    -----
    NaN and infinity are never better. `partial_fit` trains a single epoch a call, so that there is
    nothing to stop.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.callbacks import EarlyStopping
    >>> def nearest(gan, X, y):
    ...     return cross_val_score(KNeighborsClassifier(1), gan.transform(X), y).mean()
    >>> stopping = EarlyStopping(scorer=nearest, patience=3, restore_best=True)
    >>> gan = DCGANDiscriminatorFeatures().set_callbacks(stopping)
    """

    def __init__(
        self, monitor: str | None = None, *, scorer: Callable[..., float] | str | None = None,
        mode: str | None = None, patience: int = 5, min_delta: float = 0.0,
        restore_best: bool = False, validation_data: Any = None, every: int = 1,
        name: str | None = None,
    ):  # fmt: skip
        self._values = Values("EarlyStopping", monitor, scorer, mode, validation_data, every, name)
        check_number("patience", patience, low=1, integer=True)
        check_number("min_delta", min_delta, low=0)
        check_flag("restore_best", restore_best)
        self.patience, self._min_delta, self.restore_best = patience, min_delta, restore_best
        self.stopped_epoch: int | None = None
        self._show(Record(self._values, min_delta))

    def _show(self, record: Record) -> None:
        super()._show(record)
        over = self._is_over(record)
        self.stopped_epoch = record.looks[-1]["epoch"] if over else None

    def _begin(self, context: Any, record: Record) -> None:
        training, best = context.training, record.best_epoch
        if training.is_partial:
            return
        if self.restore_best and best is not None and not training.keep(best):
            warn_caller(
                f"EarlyStopping(restore_best=True): {self._values.column} was best after epoch "
                f"{best}, whose networks are not kept, as they are in checkpoint_dir: the fit can "
                f"go back to later epochs only."
            )
        if self._is_over(record):
            training.end()
            since = f"has not improved since epoch {best}" if best else "was never a finite number"
            warn_caller(
                f"EarlyStopping(patience={self.patience}): {self._values.column} {since} in "
                f"{len(training.history)} epochs, so this fit trains no further: raise patience to "
                "go on."
            )

    def _improved(self, context: Any) -> None:
        if self.restore_best:
            context.training.keep()

    def _is_over(self, record: Record) -> bool:
        return record.n_without >= self.patience


class BestCheckpoint(BestEpoch):
    """Keeps the estimator of the best epoch in a file, which `skgan.load` opens.

    Set it on the GAN itself: `gan.set_callbacks(BestCheckpoint("best.skgan", scorer=...))`.

    The file is replaced whenever an epoch is better than all before it, as a whole: a crash leaves
    the file as it was. It holds what `save` writes; training does not go on from it, as it does
    from `checkpoint_dir`. A fit that goes on from another one counts the other's epochs if the file
    is from one of them; else its first epoch is the first to be kept.

    In a search each fit has a file of its own: the name is followed by the fit's place, as in
    "best-fit-0-search-0-candidate-split-evaluation-7.skgan".

    Parameters
    ----------
    path : str or path
        Path of the file. Missing folders are created when `fit` begins. "{run}" in it stands for
        eight letters that each outermost `fit` draws: fits of `cross_val_score`, which do not know
        of each other, need it to have files of their own.
    monitor : str, default=None
        A column of `history_`. Exactly one of `monitor` and `scorer` is needed.
    scorer : callable or str, default=None
        As for `EarlyStopping`: `scorer(estimator, X, y)` returns a number.
    mode : {"min", "max"}, default=None
        Whether smaller or larger values are better. None: "min" for `monitor`, "max" for `scorer`.
    validation_data : (X, y), default=None
        Samples and labels for `scorer`; by default those of `fit`.
    every : int, default=1
        Number of epochs from one look to the next.
    name : str, default=None
        Name of the scores in `history_`, where that of the scorer will not do.

    Attributes
    ----------
    looks : list of dict
        One entry a look of the last fit: "epoch", "value", and "improved".
    best_epoch : int or None
        None as long as no value was finite.
    best_value : float or None

    Raises
    ------
    ValueError, TypeError
        For bad values; in `fit`, before any training, for an estimator that `save` cannot keep, and
        where it is set on an estimator that trains no epochs itself, such as a pipeline.
    OSError
        In `fit`, before any training, if the folder cannot be written to. If writing fails later,
        a warning is issued and training continues.

    Examples
    --------
    >>> from skgan import AutoencoderFeatures
    >>> from skgan.callbacks import BestCheckpoint
    >>> best = BestCheckpoint("best.skgan", monitor="generator_loss")
    >>> gan = AutoencoderFeatures().set_callbacks(best)
    """

    def __init__(
        self, path: str | os.PathLike[str], *, monitor: str | None = None,
        scorer: Callable[..., float] | str | None = None, mode: str | None = None,
        validation_data: Any = None, every: int = 1, name: str | None = None,
    ):  # fmt: skip
        check_path("BestCheckpoint", "path", path)
        self._values = Values("BestCheckpoint", monitor, scorer, mode, validation_data, every, name)
        self.path = path
        self._show(Record(self._values, 0.0))

    def setup(self, estimator: Any, context: Any) -> None:
        """Check that the estimator can be saved, and that the file can be written."""
        super().setup(estimator, context)
        path = own_path(self.path, context)
        check_writable("BestCheckpoint", "path", path)
        trial = path.with_name(f".{path.name}.{os.getpid()}.trial")
        try:
            # Parameters that a file cannot hold are better found before training.
            type(estimator)(**estimator.get_params(deep=False)).save(trial)
        finally:
            trial.unlink(missing_ok=True)

    def _path(self, context: Any) -> Path:
        return own_path(self.path, context if row_of(context) is None else context.parent)

    def _goes_on(self, context: Any) -> bool:
        from skgan import load

        history = context.training.history
        if not history:
            return False
        try:
            found = load(self._path(context)).history_
        except (OSError, ValueError, AttributeError):
            return False
        same = [row.get("seconds") for row in history[: len(found)]]
        return bool(found) and [row.get("seconds") for row in found] == same

    def _improved(self, context: Any) -> None:
        fitted, path = context.training.fitted(), self._path(context)
        if not context.training.is_first_process:
            return
        try:
            fitted.save(path)
        except OSError as error:
            warn_caller(
                f"BestCheckpoint lost epoch {fitted.n_epochs_}: {os.fspath(path)!r} cannot be "
                f"written ({error.strerror}). Training continues."
            )
