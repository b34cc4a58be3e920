"""What callbacks share: the base class, the place of a fit among others, the work of loggers."""

import errno
import importlib.util
import os
import re
from pathlib import Path
from typing import Any

from ..utils.callers import warn_caller


class Callback:
    """The base class of callbacks of your own: four methods that do nothing.

    `estimator.set_callbacks(callback)` sets it on one of skgan's estimators, with any supported
    version of scikit-learn. In a fit, the fit itself is a task and each epoch is a task below it.
    A callback may follow several fits, one after the other or in threads; what belongs to one fit
    alone is best kept in `context.training.notes`.

    Each of the two `on_fit_task` methods may ask for more by keyword-only parameters: `X` and `y`,
    the data of the fit, and `fitted_estimator`, the estimator as it would be if training had ended
    there, which costs a pass over the training samples each time.

    The attributes of `context`:

    - `task_name` and `task_id`: "fit" or "epoch", and its number, from 0;
    - `parent`: the context of the task around this one, or None;
    - `root_uuid`: an id shared by all tasks of one outermost fit;
    - `history_row`, at the end of an epoch only: the epoch's row of `history_`;
    - `training`, but not yet in `setup`: what can be read and asked of the training. Its
      `history` has the rows so far; `fitted()` gives the estimator as it would be if training ended
      now; `log(name, value)` adds a number to the epoch's row of `history_`; and after `keep()`
      the fit ends as it is now, however long training goes on.

    Examples
    --------
    >>> from skgan.callbacks import Callback
    >>> class StopWhenDiscriminatorWins(Callback):
    ...     def on_fit_task_end(self, estimator, context):
    ...         row = getattr(context, "history_row", None)
    ...         return row is not None and row["discriminator_loss"] < 0.1
    """

    def setup(self, estimator: Any, context: Any) -> None:
        """Called once, before the fit begins; an error that is raised here ends it.

        Parameters
        ----------
        estimator : estimator
            The estimator that is fitted.
        context : context
            Of the fit.
        """

    def teardown(self, estimator: Any, context: Any) -> None:
        """Called once, after the fit, also where it has raised.

        Parameters
        ----------
        estimator : estimator
            The estimator that is fitted.
        context : context
            Of the fit. Its training is over.
        """

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Called where the fit begins, and before each epoch.

        Parameters
        ----------
        estimator : estimator
            The estimator that is fitted.
        context : context
            Of the fit or the epoch.
        """

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool | None:
        """Called after each epoch, and where the fit ends.

        Parameters
        ----------
        estimator : estimator
            The estimator that is fitted.
        context : context
            Of the epoch or the fit.

        Returns
        -------
        stop : bool or None
            After an epoch, True ends training; `fit` then returns as usual.
        """
        return None


def row_of(context: Any) -> dict[str, float] | None:
    """The row of the history at the end of a complete epoch; None at any other task."""
    return getattr(context, "history_row", None)


def check_is_gan(callback: Callback, estimator: Any) -> None:
    """Raise unless the callback is set on one of skgan's estimators, which have epochs."""
    if not hasattr(type(estimator), "_networks"):
        raise TypeError(
            f"{type(callback).__name__} is set on a {type(estimator).__name__}, which trains no "
            "epochs itself: set it on skgan's estimator inside of it, as in "
            "gan.set_callbacks(...)."
        )


def check_installed(callback: str, package: str, extra: str) -> None:
    """Raise an ImportError that names the extra, unless the package is there."""
    if importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(
            f'{callback} needs {package}, which is not installed: pip install "skgan[{extra}]"',
            name=package,
        )


def place_of(context: Any) -> str:
    """The tasks from the outermost `fit` down to this one, as "name:number" joined by "/".

    Where a task of an estimator is also one of a search or pipeline around it, the outer name
    counts. With scikit-learn older than 1.9 there is none around it.

    Parameters
    ----------
    context : context

    Returns
    -------
    place : str
    """
    names = []
    while context is not None:
        names.append(f"{context.source_task_name or context.task_name}:{context.task_id}")
        context = context.parent
    return "/".join(reversed(names))


def run_of(context: Any) -> str:
    """The first letters of the id that all tasks of one outermost fit share."""
    return str(context.root_uuid)[:8]


def own_place(context: Any) -> str:
    """Letters that tell the fit from others in the same search; nothing for a fit by itself.

    A pipeline fits each of its steps once, so that it alone needs no letters.
    """
    around = context.parent
    while around is not None and around.estimator_name == "Pipeline":
        around = around.parent
    if around is not None:
        return re.sub(r"[^\w.-]+", "-", place_of(context))
    training = getattr(context, "training", None)
    return run_of(context) if training and training.is_one_of_several else ""


def check_path(callback: str, name: str, path: Any) -> None:
    """Raise a TypeError unless it can be the name of a file or folder."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{name}={path!r} is not a path: pass the name of a {name} to {callback}.")


def own_path(path: str | os.PathLike[str], context: Any) -> Path:
    """The file of one fit: `path`, with letters of its own where several fits would share it."""
    whole = os.fspath(path).replace("{run}", run_of(context))
    place = own_place(context)
    own = Path(whole)
    if not place or (whole != os.fspath(path) and place == run_of(context)):
        return own
    return own.with_stem(f"{own.stem}-{place}")


def check_writable(callback: str, name: str, path: Path) -> None:
    """Raise an OSError unless files can be written beside this one; missing folders are made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "its folder cannot be written to")
    except OSError as error:
        raise OSError(
            f"{name}={os.fspath(path)!r} of {callback} cannot be written ({error.strerror}): use "
            "a folder that you may write to."
        ) from error


class EpochLogger(Callback):
    """Writes something down after each complete epoch; what cannot be written is no reason to stop.

    Classes below it have `_write`, and `_failures`, what may go wrong in it.
    """

    def setup(self, estimator: Any, context: Any) -> None:
        """Check that the estimator trains epochs."""
        check_is_gan(self, estimator)

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Write after a complete epoch; other tasks have no history row."""
        row = row_of(context)
        if row is None:
            return
        try:
            self._write(estimator, context, row)
        except self._failures() as error:
            warn_caller(
                f"{type(self).__name__} lost epoch {row['epoch']}: {self._lost(error)}. "
                "Training continues."
            )

    def _write(self, estimator: Any, context: Any, row: dict[str, float]) -> None:
        raise NotImplementedError

    def _failures(self) -> tuple[type[Exception], ...]:
        return (OSError,)

    def _lost(self, error: Exception) -> str:
        """Why an epoch was lost."""
        return str(error)
