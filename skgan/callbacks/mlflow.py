"""A log that MLflow keeps."""

import time
from dataclasses import dataclass
from typing import Any

from ..utils.callers import warn_caller
from ..utils.checks import check_flag
from .base import EpochLogger, check_installed, own_place, run_of

LONGEST = 500  # letters of a parameter
MOST = 100  # parameters at a time, which is MLflow's limit


@dataclass
class _Run:
    client: Any
    id: str
    is_ours: bool  # we have begun it, and end it
    is_done: bool = False


class MLflowLogger(EpochLogger):
    """Logs every number of `history_` after each epoch as metrics of an MLflow run.

    Set it on the GAN itself: `gan.set_callbacks(MLflowLogger())`. It needs
    `pip install "skgan[mlflow]"`, which is MLflow's light client, for a tracking server. To keep
    runs in a local database, install `mlflow` itself.

    The step of a metric is the epoch. In a search each fit has a run of its own, a child of `run`
    if there is one, whose name has the fit's place.

    Parameters
    ----------
    run : str or mlflow.entities.Run, default=None
        A run, or its id, to log to. None: the active run of the process, as in
        ``with mlflow.start_run():``, if there is one; else each fit begins a run, and ends it.
    experiment : str, default="Default"
        Name of the experiment of runs that are begun; it is made if need be.
    tracking_uri : str, default=None
        Where runs are kept, such as "http://127.0.0.1:5000"; None is what MLflow is set to.
    params : bool, default=True
        Whether the estimator's parameters are logged, too, as text of at most 500 letters.

    Raises
    ------
    ImportError
        If MLflow is not installed.
    TypeError, ValueError
        For bad values; in `fit`, where it is set on an estimator that trains no epochs itself, such
        as a pipeline.
    MlflowException
        In `fit`, before any training, if there is no such run, or no way to begin one. If an epoch
        cannot be logged later, a warning is issued and training continues.

    Examples
    --------
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.callbacks import MLflowLogger
    >>> logger = MLflowLogger(tracking_uri="http://127.0.0.1:5000")  # doctest: +SKIP
    >>> gan = DCGANDiscriminatorFeatures().set_callbacks(logger)  # doctest: +SKIP
    """

    def __init__(
        self, run: Any = None, *, experiment: str = "Default", tracking_uri: str | None = None,
        params: bool = True,
    ):  # fmt: skip
        check_installed("MLflowLogger", "mlflow", "mlflow")
        info = getattr(run, "info", None)
        self.run = run if info is None else info.run_id  # an id is plain data
        if not isinstance(self.run, str | None):
            raise TypeError(f"run={run!r} of MLflowLogger must be an MLflow run, its id, or None.")
        if not isinstance(experiment, str) or not experiment:
            raise ValueError(f"experiment={experiment!r} must be the name of an experiment.")
        if not isinstance(tracking_uri, str | None):
            raise TypeError(f"tracking_uri={tracking_uri!r} must be an address, or None.")
        check_flag("params", params)
        self.experiment, self.tracking_uri, self.params = experiment, tracking_uri, params

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Begin a run where the fit begins."""
        training = context.training
        if self in training.notes or not training.is_first_process:
            return
        run = training.notes[self] = self._begin(estimator, context)
        if self.params:
            self._log_params(run, estimator)

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Log a complete epoch; other tasks have no history row."""
        super().on_fit_task_end(estimator, context)
        if context.task_name != "epoch" and self in context.training.notes:
            context.training.notes[self].is_done = True

    def teardown(self, estimator: Any, context: Any) -> None:
        """End the run, if the fit has begun it."""
        training = getattr(context, "training", None)
        run = training and training.notes.pop(self, None)
        if run and run.is_ours:
            try:
                run.client.set_terminated(run.id, "FINISHED" if run.is_done else "FAILED")
            except _failures() as error:
                warn_caller(f"MLflowLogger could not end its run: {error}")

    def _begin(self, estimator: Any, context: Any) -> _Run:
        import mlflow

        client = mlflow.MlflowClient(tracking_uri=self.tracking_uri)
        active = mlflow.active_run() if self.tracking_uri is None else None
        given = self.run or (active and active.info.run_id)
        place = own_place(context)
        tags = {"skgan.estimator": type(estimator).__name__, "skgan.run": str(context.root_uuid)}
        if given is not None:
            around = client.get_run(given)
            if not place:
                return _Run(client, given, is_ours=False)
            tags["mlflow.parentRunId"] = given
            experiment = around.info.experiment_id
        else:
            found = client.get_experiment_by_name(self.experiment)
            experiment = found.experiment_id if found else client.create_experiment(self.experiment)
        name = f"{type(estimator).__name__}-{place or run_of(context)}"
        made = client.create_run(experiment, tags=tags, run_name=name)
        return _Run(client, made.info.run_id, is_ours=True)

    def _log_params(self, run: _Run, estimator: Any) -> None:
        from mlflow.entities import Param

        given = estimator.get_params(deep=False).items()
        params = [Param(name, str(value)[:LONGEST]) for name, value in given]
        try:
            for i in range(0, len(params), MOST):
                run.client.log_batch(run.id, params=params[i : i + MOST])
        except _failures() as error:  # a run's parameters cannot change
            warn_caller(
                f"MLflowLogger could not log the parameters: {error} Training goes on; give each "
                "fit a run of its own, or set params=False."
            )

    def _write(self, estimator: Any, context: Any, row: dict[str, float]) -> None:
        if self not in context.training.notes:
            return
        from mlflow.entities import Metric

        run, now, epoch = context.training.notes[self], int(time.time() * 1000), int(row["epoch"])
        metrics = [Metric(k, float(v), now, epoch) for k, v in row.items() if k != "epoch"]
        run.client.log_batch(run.id, metrics=metrics)

    def _failures(self) -> tuple[type[Exception], ...]:
        return _failures()


def _failures() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException

    return (MlflowException, OSError)
