"""Logs of the history: as a table, for TensorBoard, for MLflow."""

import copy
import csv
import functools
import importlib.util
import io
import math
import pickle
import warnings

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from skgan import AutoencoderFeatures
from skgan.callbacks import (
    BestCheckpoint,
    Callback,
    CollapseGuard,
    CSVLogger,
    EarlyStopping,
    JSONLLogger,
    MLflowLogger,
    TensorBoardLogger,
)  # fmt: skip

try:
    import sklearn.callback as newer
except ImportError:
    newer = None


def needs(package):
    found = importlib.util.find_spec(package) is not None
    return pytest.mark.skipif(not found, reason=f"{package} is not installed")


with_tensorboard, with_mlflow = needs("tensorboard"), needs("mlflow")
with_sklearn_callbacks = pytest.mark.skipif(newer is None, reason="scikit-learn is older than 1.9")


@pytest.fixture
def made(small):
    return functools.partial(small, image_shape=(8, 8), batch_size=100)


class Each(Callback):
    """Does something after each epoch."""

    def __init__(self, do):
        self.do = do

    def on_fit_task_end(self, estimator, context):
        if getattr(context, "history_row", None):
            self.do(context)


# ------------------------------------------------------------------ CSV


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def as_text(history):
    names = dict.fromkeys(name for row in history for name in row)
    return [{name: str(row.get(name, "")) for name in names} for row in history]


def test_the_table_is_the_history_after_every_epoch(made, digits, tmp_path):
    path, seen = tmp_path / "a" / "log.csv", []
    logger = CSVLogger(path)
    gan = made(n_epochs=3).set_callbacks(logger, Each(lambda _: seen.append(rows_of(path))))
    gan.fit(digits[0])
    assert seen == [as_text(gan.history_[:n]) for n in (1, 2, 3)]
    assert repr(logger) == f"CSVLogger({str(path)!r})"
    gan.fit(digits[0])  # begins anew
    assert rows_of(path) == as_text(gan.history_)


def test_rows_may_have_other_columns_than_those_before(made, digits, tmp_path):
    path = tmp_path / "log.csv"

    def add(context):
        if context.history_row["epoch"] == 2:
            context.training.log("extra", math.nan)

    gan = made(n_epochs=3).set_callbacks(Each(add), CSVLogger(path)).fit(digits[0])
    assert rows_of(path) == as_text(gan.history_)
    assert [row["extra"] for row in rows_of(path)] == ["", "nan", ""]


@pytest.mark.parametrize("way", ["warm_start", "checkpoints"])
def test_a_fit_that_goes_on_has_the_rows_of_both(made, digits, tmp_path, way):
    path, folder = tmp_path / "log.csv", tmp_path / "runs"
    settings = {"warm_start": True} if way == "warm_start" else {"checkpoint_dir": folder}
    gan = made(n_epochs=2, **settings).set_callbacks(CSVLogger(path)).fit(digits[0])
    gan.set_params(n_epochs=3).fit(digits[0])
    assert rows_of(path) == as_text(gan.history_) and len(rows_of(path)) == 3


def test_a_table_that_cannot_be_written(made, digits, tmp_path):
    with pytest.raises(OSError, match=r"path=.* of CSVLogger cannot be written.*folder"):
        made().set_callbacks(CSVLogger(tmp_path)).fit(digits[0])
    folder = tmp_path / "folder"
    remove = Each(lambda _: folder.exists() and folder.rmdir())
    gan = made(n_epochs=1).set_callbacks(remove, CSVLogger(folder / "log.csv"))
    with pytest.warns(UserWarning, match="CSVLogger lost epoch 1: .*Training continues"):
        gan.fit(digits[0])
    with pytest.raises(TypeError, match="path=None is not a path"):
        CSVLogger(None)


# ------------------------------------------------------------------ TensorBoard


def events_in(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()


@with_tensorboard
def test_tensorboard_shows_every_number_of_the_history(made, digits, tmp_path):
    logger = TensorBoardLogger(tmp_path / "runs")
    gan = made(n_epochs=3).set_callbacks(logger).fit(digits[0])
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("DCGANDiscriminatorFeatures-")
    events = events_in(folder)
    assert set(events.Tags()["scalars"]) == set(gan.history_[0]) - {"epoch"}
    for name in events.Tags()["scalars"]:
        logged = [(e.step, e.value) for e in events.Scalars(name)]
        assert logged == [(row["epoch"], np.float32(row[name])) for row in gan.history_]
    assert events.Tags()["images"] == []
    gan.fit(digits[0])
    assert len(list((tmp_path / "runs").iterdir())) == 2  # another fit


@with_tensorboard
def test_tensorboard_shows_samples_every_few_epochs(made, digits, tmp_path):
    X = digits[0]
    logger = TensorBoardLogger(tmp_path, samples_every=2, n_samples=4)
    gan = made(n_epochs=5).set_callbacks(logger).fit(X)
    (folder,) = tmp_path.iterdir()
    images = events_in(folder).Images("samples")
    assert [image.step for image in images] == [2, 4]
    from PIL import Image

    shown = np.asarray(Image.open(io.BytesIO(images[1].encoded_image_string)))[..., 0]
    four = made(n_epochs=4).fit(X).sample_images(4, random_state=0)
    assert shown.shape == (16, 16) or shown.shape == (8, 32)
    assert abs(shown.mean() / 255 - four.mean()) < 0.01
    assert np.array_equal(gan.transform(X), made(n_epochs=5).fit(X).transform(X))


@with_tensorboard
def test_tensorboard_has_a_folder_for_every_fit_of_a_search(made, digits, tmp_path):
    gan = made(n_epochs=1).set_callbacks(TensorBoardLogger(tmp_path))
    pipe = Pipeline([("gan", gan), ("svm", LinearSVC())])
    GridSearchCV(pipe, {"gan__lr": [1e-4, 1e-3]}, cv=2, n_jobs=2).fit(*digits)
    folders = {path.parent for path in tmp_path.rglob("events*")}
    assert len(folders) == 5
    if newer:
        assert len(list(tmp_path.iterdir())) == 1
        assert sum("candidate-split-evaluation-3" in folder.name for folder in folders) == 1


@with_tensorboard
def test_tensorboard_closes_its_file_where_training_fails(made, digits, tmp_path, monkeypatch):
    from torch.utils import tensorboard

    closed, close = [], tensorboard.SummaryWriter.close
    monkeypatch.setattr(
        tensorboard.SummaryWriter, "close", lambda self: (closed.append(1), close(self))
    )

    def fail(_):
        raise RuntimeError("as a test")

    with pytest.raises(RuntimeError, match="as a test"):
        made().set_callbacks(TensorBoardLogger(tmp_path), Each(fail)).fit(digits[0])
    assert closed == [1]


@with_tensorboard
def test_what_tensorboard_cannot_show_is_said_before_training(made, small, digits, tmp_path):
    X = digits[0]
    with pytest.raises(ValueError, match="samples_every=1 .*AutoencoderFeatures makes no images"):
        est = small(AutoencoderFeatures, image_shape=(8, 8))
        est.set_callbacks(TensorBoardLogger(tmp_path, samples_every=1)).fit(X)
    with pytest.raises(ValueError, match="samples_every=1 .*makes no images"):
        table = small(generator="auto", discriminator="auto")
        table.set_callbacks(TensorBoardLogger(tmp_path, samples_every=1)).fit(X)
    for settings in ({"samples_every": 0}, {"n_samples": 0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            TensorBoardLogger(tmp_path, **settings)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="folder=.* of TensorBoardLogger cannot be made"):
        made().set_callbacks(TensorBoardLogger(tmp_path / "file")).fit(X)
    with pytest.raises(TypeError, match="folder=3 is not a path"):
        TensorBoardLogger(3)


# ------------------------------------------------------------------ MLflow


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlruns").as_uri()


def client_of(store):
    import mlflow

    return mlflow.MlflowClient(tracking_uri=store)


def runs_in(client, experiment="Default"):
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id]) if found else []


@with_mlflow
def test_mlflow_keeps_every_number_of_the_history(made, digits, store):
    logger = MLflowLogger(tracking_uri=store, experiment="digits")
    gan = made(n_epochs=3, lr=1e-3).set_callbacks(logger).fit(digits[0])
    client = client_of(store)
    (run,) = runs_in(client, "digits")
    assert run.info.status == "FINISHED"
    assert run.info.run_name.startswith("DCGANDiscriminatorFeatures-")
    assert run.data.params["lr"] == "0.001" and len(run.data.params) == len(gan.get_params(False))
    assert set(run.data.metrics) == set(gan.history_[0]) - {"epoch"}
    for name in run.data.metrics:
        logged = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
        assert logged == [(row["epoch"], row[name]) for row in gan.history_]
    gan.fit(digits[0])
    assert len(runs_in(client, "digits")) == 2


@with_mlflow
def test_mlflow_logs_to_a_run_that_is_there(made, digits, store):
    client = client_of(store)
    run = client.create_run("0")
    logger = MLflowLogger(run, tracking_uri=store, params=False)
    gan = made().set_callbacks(logger).fit(digits[0])
    assert logger.run == run.info.run_id
    found = client.get_run(run.info.run_id)
    assert found.info.status == "RUNNING"  # whoever began it ends it
    assert found.data.metrics["generator_loss"] == gan.history_[-1]["generator_loss"]
    assert found.data.params == {}
    other = MLflowLogger(run.info.run_id, tracking_uri=store)
    made().set_callbacks(other).fit(digits[0])
    with pytest.warns(UserWarning, match="could not log the parameters.*params=False"):
        made(lr=1e-3).set_callbacks(other).fit(digits[0])
    assert len(runs_in(client)) == 1


@with_mlflow
def test_mlflow_logs_to_the_active_run(made, digits, store):
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store)
    try:
        with mlflow.start_run() as run:
            made().set_callbacks(MLflowLogger()).fit(digits[0])
        found = client_of(store).get_run(run.info.run_id)
        assert "generator_loss" in found.data.metrics and len(runs_in(client_of(store))) == 1
    finally:
        mlflow.set_tracking_uri(before)


@with_mlflow
def test_mlflow_has_a_run_for_every_fit_of_a_search(made, digits, store):
    client = client_of(store)
    around = client.create_run("0").info.run_id
    gan = made(n_epochs=1).set_callbacks(MLflowLogger(around, tracking_uri=store))
    pipe = Pipeline([("gan", gan), ("svm", LinearSVC())])
    GridSearchCV(pipe, {"gan__lr": [1e-4, 1e-3]}, cv=2).fit(*digits)
    inner = [run for run in runs_in(client) if run.info.run_id != around]
    assert len(inner) == 5
    assert {run.data.tags["mlflow.parentRunId"] for run in inner} == {around}
    assert {run.info.status for run in inner} == {"FINISHED"}
    assert sorted(run.data.params["lr"] for run in inner)[:2] == ["0.0001", "0.0001"]
    if newer:
        assert sum("candidate-split-evaluation-3" in run.info.run_name for run in inner) == 1


@with_mlflow
def test_a_run_whose_training_fails_has_failed(made, digits, store):
    def fail(_):
        raise RuntimeError("as a test")

    with pytest.raises(RuntimeError, match="as a test"):
        made().set_callbacks(MLflowLogger(tracking_uri=store), Each(fail)).fit(digits[0])
    (run,) = runs_in(client_of(store))
    assert run.info.status == "FAILED" and "generator_loss" in run.data.metrics


@with_mlflow
def test_an_epoch_that_mlflow_loses_is_said(made, digits, store, monkeypatch):
    import mlflow
    from mlflow.exceptions import MlflowException

    log = mlflow.MlflowClient.log_batch

    def gone(self, run_id, metrics=(), params=()):
        if metrics:
            raise MlflowException("no answer")
        return log(self, run_id, params=params)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", gone)
    with pytest.warns(UserWarning, match="MLflowLogger lost epoch 1: no answer. Training contin"):
        gan = made(n_epochs=1).set_callbacks(MLflowLogger(tracking_uri=store)).fit(digits[0])
    assert gan.n_epochs_ == 1


@with_mlflow
def test_what_mlflow_cannot_do_is_said_before_training(made, digits, store, monkeypatch):
    from mlflow.exceptions import MlflowException

    monkeypatch.setattr("skgan.training.train", lambda *_: pytest.fail("it trains"))
    with pytest.raises(MlflowException, match="nonsense"):
        made().set_callbacks(MLflowLogger("nonsense", tracking_uri=store)).fit(digits[0])
    for settings in ({"run": 3}, {"tracking_uri": 3}, {"params": "x"}, {"experiment": ""}):
        with pytest.raises((TypeError, ValueError), match=next(iter(settings))):
            MLflowLogger(**settings)


# ------------------------------------------------------------------ all of them


@pytest.mark.parametrize(
    ("make", "extra"),
    [(lambda: TensorBoardLogger("runs"), "tensorboard"), (MLflowLogger, "mlflow")],
)
def test_a_missing_package_is_named_with_its_extra(make, extra, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=rf'{extra}, which is not.*pip install "skgan\[{extra}\]'):
        make()


def loggers(tmp_path):
    found = [JSONLLogger(tmp_path / "log.jsonl"), CSVLogger(tmp_path / "log.csv")]
    if importlib.util.find_spec("tensorboard"):
        found.append(TensorBoardLogger(tmp_path / "runs"))
    if importlib.util.find_spec("mlflow"):
        found.append(MLflowLogger(tracking_uri=(tmp_path / "mlruns").as_uri()))
    return found


def test_loggers_are_plain_data_and_change_nothing(made, digits, tmp_path, store):
    X, all_of_them = digits[0], loggers(tmp_path)
    gan = made().set_callbacks(*all_of_them)
    before = [joblib.hash(logger) for logger in all_of_them]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        gan.fit(X)
    assert np.array_equal(gan.transform(X), made().fit(X).transform(X))
    for logger, then in zip(all_of_them, before, strict=True):
        assert joblib.hash(logger) == joblib.hash(copy.deepcopy(logger)) == then
        assert vars(pickle.loads(pickle.dumps(logger))) == vars(logger)


@with_sklearn_callbacks
def test_loggers_are_set_on_the_gan_itself(made, digits, tmp_path):
    guard = CollapseGuard()
    for callback in (*loggers(tmp_path), guard):
        pipe = Pipeline([("gan", made()), ("svm", LinearSVC())]).set_callbacks(callback)
        with pytest.raises(TypeError, match=f"{type(callback).__name__} is set on a Pipeline"):
            pipe.fit(*digits)


def test_every_callback_derives_from_the_base_class():
    for cls in (
        BestCheckpoint, CSVLogger, CollapseGuard, EarlyStopping, JSONLLogger, MLflowLogger,
        TensorBoardLogger,
    ):  # fmt: skip
        assert issubclass(cls, Callback)
