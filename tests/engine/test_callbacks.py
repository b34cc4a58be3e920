"""Callbacks follow a fit and never change it, with every version of scikit-learn."""

import copy
import functools
import gc
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import warnings
import weakref
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from skgan.callbacks import Callback, CollapseGuard, JSONLLogger
from skgan.training import Training

try:
    from sklearn.callback import ProgressBar, ScoringMonitor
except ImportError:
    ProgressBar = ScoringMonitor = None
try:
    import rich
except ImportError:
    rich = None

ROOT = Path(__file__).parents[2]
new = pytest.mark.skipif(ProgressBar is None, reason="scikit-learn has callbacks from 1.9 on")
with_rich = pytest.mark.skipif(rich is None, reason="ProgressBar needs rich")


@pytest.fixture
def small(small):
    return functools.partial(small, image_shape=(8, 8))


class Recorder:
    """Notes every hook; `at` is what it does at the end of epochs."""

    def __init__(self, at=lambda epoch, estimator: None):
        self.at = at
        self.seen = []

    def setup(self, estimator, context):
        self.seen.append("setup")
        self.max_subtasks = context.max_subtasks

    def teardown(self, estimator, context):
        self.seen.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.seen.append(f"begin {context.task_name} {context.task_id}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None):
        self.seen.append(f"end {context.task_name} {context.task_id}")
        if row := getattr(context, "history_row", None):
            return self.at(row["epoch"], estimator)


class Keeper(Recorder):
    """Keeps the fitted estimators that hooks are shown, by the task's place in time."""

    def __init__(self):
        super().__init__()
        self.begun, self.ended, self.data = [], [], []

    def on_fit_task_begin(self, estimator, context, *, fitted_estimator=None):
        self.begun.append(fitted_estimator)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.ended.append(fitted_estimator)
        self.data.append((X, y))


def epochs(*numbers):
    return [f"{verb} epoch {i}" for i in numbers for verb in ("begin", "end")]


def whole_fit(n_epochs):
    return ["setup", "begin fit 0", *epochs(*range(n_epochs)), "end fit 0", "teardown"]


def probe(estimator, X, y):
    return cross_val_score(KNeighborsClassifier(1), estimator.transform(X), y, cv=2).mean()


def live_attributes(estimator):
    allowed = {"_skl_callbacks", "_skl_callbacks_of_clone"}
    return [k for k in vars(estimator) if "callback" in k and k not in allowed]


@pytest.mark.parametrize("n_epochs", [0, 1, 3])
def test_each_epoch_is_a_task_below_the_fit(small, digits, n_epochs):
    recorder = Recorder()
    gan = small(n_epochs=n_epochs).set_callbacks(recorder).fit(digits[0])
    assert recorder.seen == whole_fit(n_epochs)
    assert recorder.max_subtasks == n_epochs == gan.n_epochs_
    assert live_attributes(gan) == []


def test_an_epoch_begins_before_its_first_minibatch(small, digits):
    recorder = Recorder()
    gan = small(n_epochs=2).set_callbacks(recorder)
    step = gan._step

    def watched(nets, batch, update):
        recorder.seen.append(f"step of epoch {batch.epoch - 1}")
        step(nets, batch, update)

    gan._step = watched
    gan.fit(digits[0])
    seen = list(dict.fromkeys(recorder.seen))
    assert seen[2:8] == [
        f"{verb} epoch {i}" for i in (0, 1) for verb in ("begin", "step of", "end")
    ]


@pytest.mark.parametrize("way", ["warm_start", "checkpoints", "partial_fit"])
def test_a_fit_that_goes_on_counts_what_is_left(small, digits, tmp_path, way):
    X, _ = digits
    settings = {"warm_start": True} if way == "warm_start" else {}
    if way == "checkpoints":
        settings = {"checkpoint_dir": tmp_path}
    gan = small(n_epochs=2, **settings)
    recorder = Recorder()
    if way == "partial_fit":
        gan.partial_fit(X).set_callbacks(recorder).partial_fit(X)
        left, total = 1, 2
    else:
        gan.fit(X).set_params(n_epochs=5).set_callbacks(recorder).fit(X)
        left, total = 3, 5
    assert recorder.seen == whole_fit(left)
    assert recorder.max_subtasks == left and gan.n_epochs_ == total


def test_a_finished_checkpoint_leaves_no_epoch(small, digits, tmp_path):
    recorder = Recorder()
    for _ in range(2):
        gan = small(checkpoint_dir=tmp_path).set_callbacks(recorder).fit(digits[0])
    assert recorder.seen == whole_fit(2) + whole_fit(0)
    assert gan.n_epochs_ == 2


def test_a_hook_that_returns_true_stops_the_epochs(small, digits):
    X, _ = digits
    recorder = Recorder(lambda epoch, _: epoch == 2)
    gan = small(n_epochs=5).set_callbacks(recorder, JSONLLogger(os.devnull)).fit(X)
    assert recorder.seen == whole_fit(2) and recorder.max_subtasks == 5
    assert gan.n_epochs_ == len(gan.history_) == 2
    assert np.array_equal(gan.transform(X), small(n_epochs=2).fit(X).transform(X))


def test_the_epoch_behind_which_a_hook_stops_has_a_checkpoint(small, digits, tmp_path):
    gan = small(n_epochs=9, checkpoint_dir=tmp_path, checkpoint_every=5)
    gan.set_callbacks(Recorder(lambda epoch, _: epoch == 2)).fit(digits[0])
    assert [p.stem for p in tmp_path.rglob("epoch*")] == ["epoch-000002"]


@pytest.mark.parametrize(
    "settings",
    [{}, {"norm": "spectral", "loss": "hinge"}, {"bn_stats": "running", "ema_decay": 0.9}],
)
def test_watching_changes_no_bit_and_shows_the_fit_as_if_it_had_ended(small, digits, settings):
    X, y = digits
    keeper = Keeper()
    watched = small(n_epochs=3, **settings).set_callbacks(keeper).fit(X, y)
    plain = [small(n_epochs=n, **settings).fit(X) for n in range(4)]
    expected = [gan.transform(X) for gan in plain]
    assert np.array_equal(watched.transform(X), expected[3])
    # The fit's own end comes last; its begin has nothing to show.
    assert keeper.begun[0] is None
    for shown, features in zip(keeper.begun[1:], expected[:3], strict=True):
        assert np.array_equal(shown.transform(X), features)
    for shown, n in zip(keeper.ended, (1, 2, 3, 3), strict=True):
        assert shown is not watched and live_attributes(shown) == []
        assert np.array_equal(shown.transform(X), expected[n])
        assert shown.n_epochs_ == len(shown.history_) == n
        assert np.array_equal(shown.sample(3, 0), plain[n].sample(3, 0))
    assert all(np.array_equal(x, X) and labels is y for x, labels in keeper.data)


def test_what_a_hook_is_shown_has_no_stale_state_of_an_earlier_fit(small, digits):
    X, _ = digits
    keeper = Keeper()
    gan = small(n_epochs=1, warm_start=True).fit(X)
    gan.set_params(n_epochs=2).set_callbacks(keeper).fit(X)
    shown = keeper.ended[0]
    assert shown._training is None and shown.n_epochs_ == 2
    assert shown.partial_fit(X).n_epochs_ == 3  # on from its own networks
    assert gan.partial_fit(X).n_epochs_ == 3


@new
def test_scoring_monitor_scores_every_epoch_and_leaves_the_fit_alone(small, digits):
    X, y = digits
    monitor = ScoringMonitor(scoring={"svm": probe})
    watched = small(n_epochs=2).set_callbacks(monitor).fit(X, y)
    logged = [row["svm"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert logged == [probe(small(n_epochs=n).fit(X), X, y) for n in (1, 2)]
    assert np.array_equal(watched.transform(X), small(n_epochs=2).fit(X).transform(X))


@new
def test_scoring_monitor_in_a_pipeline_in_a_search(small, digits):
    X, y = digits
    monitor = ScoringMonitor(scoring={"svm": probe})
    pipe = Pipeline([("gan", small().set_callbacks(monitor)), ("svm", LinearSVC())])
    GridSearchCV(pipe, {"gan__lr": [1e-4, 1e-3]}, cv=2, n_jobs=2).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == (2 * 2 + 1) * 2
    assert len({row["parent_task_id_path"] for row in rows}) == 5
    assert all(0 <= row["svm"] <= 1 for row in rows)


@pytest.mark.parametrize("error", [FloatingPointError, KeyboardInterrupt])
def test_callbacks_are_taken_down_when_fit_raises(small, digits, error):
    X, _ = digits

    def fail(epoch, _):
        raise error("as a test")

    gan = small().fit(X)
    before, features = vars(gan).copy(), gan.transform(X)
    recorder = Recorder(fail)
    with pytest.raises(error):
        gan.set_callbacks(recorder).set_params(random_state=1).fit(X)
    assert recorder.seen == [*whole_fit(1)[:4], "teardown"]
    gan.set_callbacks()
    assert vars(gan).keys() == before.keys()
    assert np.array_equal(gan.transform(X), features)
    gan.set_callbacks(recorder)
    recorder.at, recorder.seen = (lambda *_: None), []
    gan.fit(X)
    assert recorder.seen == whole_fit(2)


def test_callbacks_are_taken_down_when_training_diverges(small, digits):
    recorder = Recorder()
    gan = small(lr=1e18, optimizer="sgd").set_callbacks(recorder)
    with pytest.raises(FloatingPointError):
        gan.fit(digits[0])
    assert recorder.seen[0] == "setup" and recorder.seen[-1] == "teardown"
    assert vars(gan).keys() == gan.get_params(deep=False).keys() | {"_skl_callbacks"}


def test_bad_values_are_found_before_any_hook(small, digits):
    recorder = Recorder()
    with pytest.raises(ValueError):
        small(batch_size=-1).set_callbacks(recorder).fit(digits[0])
    assert recorder.seen == []


def test_an_epoch_that_ctrl_c_cuts_short_ends_too(small, digits):
    keeper, recorder = Keeper(), Recorder()
    gan = small(n_epochs=4, on_interrupt="stop").set_callbacks(recorder, keeper)
    step = gan._step

    def interrupting(nets, batch, update):
        step(nets, batch, update)
        if batch.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    gan._step = interrupting
    gan.fit(digits[0])
    assert recorder.seen == whole_fit(2)
    assert gan.n_epochs_ == 1
    assert [shown and shown.n_epochs_ for shown in keeper.ended] == [1, None, 1]


def test_clones_and_copies_keep_their_callbacks(small, digits):
    X, _ = digits
    logger = JSONLLogger(os.devnull)
    gan = small().set_callbacks(logger)
    assert clone(gan)._skl_callbacks == [logger]
    gan.fit(X)
    for twin in (pickle.loads(pickle.dumps(gan)), copy.copy(gan), copy.deepcopy(gan)):
        assert [c.path for c in twin._skl_callbacks] == [os.devnull]
        assert live_attributes(twin) == []
        assert np.array_equal(twin.transform(X), gan.transform(X))
        assert twin.fit(X).n_epochs_ == 2


def test_a_copy_made_in_the_middle_of_a_fit_holds_no_context(small, digits):
    states = []
    recorder = Recorder(lambda _, estimator: states.append(estimator.__getstate__()))
    gan = small().set_callbacks(recorder)
    Pipeline([("gan", gan), ("svm", LinearSVC())]).fit(*digits)
    assert len(states) == 2
    for state in states:
        assert [k for k in state if "callback" in k] == ["_skl_callbacks"]


def test_caches_know_an_estimator_with_callbacks_again(small, digits, tmp_path):
    X, y = digits
    log = tmp_path / "log.jsonl"
    logger = JSONLLogger(log)
    gan = clone(small(n_epochs=1)).set_callbacks(logger)  # clone: parameters that share nothing
    # Before scikit-learn 1.9 a clone knows that it is one; caches see clones only.
    gan = gan if ProgressBar else clone(gan)
    before = joblib.hash(gan)
    clone(gan).fit(X)
    assert joblib.hash(clone(gan)) == joblib.hash(gan) == before
    log.unlink()
    for _ in range(2):
        steps = [("gan", gan), ("svm", LinearSVC())]
        pipe = Pipeline(steps, memory=joblib.Memory(tmp_path / "cache", verbose=0)).fit(X, y)
    assert len(log.read_text().splitlines()) == 1  # the second fit came from the cache
    assert live_attributes(pipe["gan"]) == []


@new
@with_rich
def test_progress_bar_shows_the_fit(small, digits, capsys):
    gan = small(n_epochs=3)
    gan.set_callbacks(ProgressBar()).fit(digits[0])
    shown = capsys.readouterr().out
    assert "DCGANDiscriminatorFeatures - fit" in shown and "100%" in shown
    gan.set_params(n_epochs=0).fit(digits[0])


@new
@with_rich
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_bar_nested_in_a_search_over_pipelines(small, digits, n_jobs, capsys):
    X, y = digits
    pipe = Pipeline([("gan", small()), ("svm", LinearSVC())])
    search = GridSearchCV(pipe, {"gan__lr": [1e-4, 1e-3]}, cv=2, n_jobs=n_jobs)
    with warnings.catch_warnings():
        # LinearSVC has no callbacks, and says so.
        warnings.filterwarnings("ignore", "The estimator LinearSVC does not support callbacks")
        search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    shown = capsys.readouterr().out
    assert "GridSearchCV - fit" in shown
    fits = re.findall(r"Pipeline - fit-transform-gan \| DCGANDiscriminatorFeatures - fit", shown)
    assert len(fits) == 5  # 2 candidates in 2 folds each, and the refit
    assert "100%" in shown and not re.search(r"\b[0-9]{1,2}%", shown)
    assert not hasattr(search.best_estimator_["gan"], "_skl_callbacks")
    assert live_attributes(search.best_estimator_["gan"]) == []
    plain = GridSearchCV(pipe, {"gan__lr": [1e-4, 1e-3]}, cv=2).fit(X, y)
    assert np.array_equal(plain.decision_function(X), search.decision_function(X))


def read_lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_jsonl_logger_writes_a_line_an_epoch(small, digits, tmp_path):
    path = tmp_path / "a" / "b" / "log.jsonl"
    gan = small(n_epochs=3, warm_start=True).set_callbacks(JSONLLogger(path)).fit(digits[0])
    gan.set_params(n_epochs=4).fit(digits[0])
    lines = read_lines(path)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    for line, row in zip(lines, gan.history_, strict=True):
        assert {k: line[k] for k in row} == row
        assert line["estimator"] == "DCGANDiscriminatorFeatures"
        assert line["place"] == "fit:0"
        assert (datetime.now(UTC) - datetime.fromisoformat(line["time"])).total_seconds() < 600
    assert len({line["run"] for line in lines[:3]}) == 1 and lines[2]["run"] != lines[3]["run"]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_jsonl_logger_tells_the_fits_of_a_search_apart(small, digits, tmp_path, n_jobs):
    X, y = digits
    path = tmp_path / "log.jsonl"
    gan = small().set_callbacks(JSONLLogger(path))
    pipe = Pipeline([("gan", gan), ("svm", LinearSVC())])
    GridSearchCV(pipe, {"gan__lr": [1e-4, 1e-3]}, cv=2, n_jobs=n_jobs).fit(X, y)
    lines = read_lines(path)
    if ProgressBar is None:  # fits do not know of each other
        assert len({line["run"] for line in lines}) == 5
        assert {line["place"] for line in lines} == {"fit:0"} and len(lines) == 10
        return
    assert len({line["run"] for line in lines}) == 1
    by_place = {}
    for line in lines:
        by_place.setdefault(line["place"], []).append(line["epoch"])
    assert all(found == [1, 2] for found in by_place.values())
    fits = sorted(re.sub("^.*/(?=.*/)", "", place) for place in by_place)
    candidates = [f"candidate-split-evaluation:{i}/fit-transform-gan:0" for i in range(4)]
    assert fits[:4] == candidates and fits[4].startswith("refit")


def test_jsonl_logger_turns_what_is_not_finite_into_null(tmp_path):
    class Context:
        history_row = {"epoch": 1, "discriminator_real": float("nan"), "seconds": float("inf")}
        root_uuid, task_name, task_id, source_task_name = "id", "epoch", 0, None
        parent, training = None, SimpleNamespace(is_first_process=True)

    path = tmp_path / "log.jsonl"
    JSONLLogger(path).on_fit_task_end(object(), Context())
    (line,) = read_lines(path)
    assert line["discriminator_real"] is None and line["seconds"] is None and line["epoch"] == 1


def test_jsonl_logger_fails_early_or_not_at_all(small, digits, tmp_path, monkeypatch):
    gan = small().set_callbacks(JSONLLogger(tmp_path))
    with pytest.raises(OSError, match=r"path=.* of JSONLLogger cannot be written"):
        gan.fit(digits[0])
    assert live_attributes(gan) == [] and not hasattr(gan, "history_")
    folder = tmp_path / "folder"
    remove = Recorder(lambda *_: (folder / "log").unlink(missing_ok=True) or folder.rmdir())
    gan = small(n_epochs=1).set_callbacks(remove, JSONLLogger(folder / "log"))
    with pytest.warns(UserWarning, match="JSONLLogger lost epoch 1"):
        gan.fit(digits[0])
    assert gan.n_epochs_ == 1


def test_lines_of_several_processes_stay_whole(tmp_path):
    path = tmp_path / "log.jsonl"
    code = """
import sys
from skgan.callbacks import Callback, CollapseGuard, JSONLLogger
from skgan.training import Training
for _ in range(300):
    JSONLLogger(sys.argv[1])._append(sys.argv[2].encode() * 3000 + b"\\n")
"""
    command = [sys.executable, "-c", code, path]
    running = [subprocess.Popen([*command, letter]) for letter in "ab"]
    assert [process.wait() for process in running] == [0, 0]
    lines = path.read_text().splitlines()
    assert sorted(lines) == ["a" * 3000] * 300 + ["b" * 3000] * 300


def test_jsonl_logger_is_plain_data_on_every_scikit_learn(tmp_path):
    logger = JSONLLogger(tmp_path / "log.jsonl")
    for twin in (pickle.loads(pickle.dumps(logger)), copy.deepcopy(logger)):
        assert twin.path == logger.path and repr(twin) == repr(logger)
    assert joblib.hash(logger) == joblib.hash(copy.deepcopy(logger))
    with pytest.raises(TypeError, match="path=None is not a path"):
        JSONLLogger(None)
    assert not (tmp_path / "log.jsonl").exists()


def test_what_is_no_callback_is_refused(small):
    class Half:
        def setup(self, estimator, context): ...

    for bad in (Half(), Callback, "x"):
        with pytest.raises(TypeError, match="callbacks must be instances"):
            small().set_callbacks(Callback(), bad)


def test_the_base_class_does_nothing(small, digits):
    X, _ = digits
    gan = small().set_callbacks(Callback()).fit(X)
    assert np.array_equal(gan.transform(X), small().fit(X).transform(X))
    gan.set_callbacks()
    assert not [k for k in vars(gan) if "callback" in k]


def test_a_context_says_which_task_it_is(small, digits):
    seen = []

    class Reader(Callback):
        def on_fit_task_begin(self, estimator, context):
            above = context.parent
            seen.append((context.task_name, context.task_id, above and above.task_name,
                         context.root_uuid, context.estimator_name, context.max_subtasks,
                         context.source_task_name, len(context.training.history)))  # fmt: skip

    gan = small(n_epochs=2).set_callbacks(Reader()).fit(digits[0])
    name = type(gan).__name__
    uuids = {entry[3] for entry in seen}
    assert len(uuids) == 1
    uuid = uuids.pop()
    assert seen == [
        ("fit", 0, None, uuid, name, 2, None, 0),
        ("epoch", 0, "fit", uuid, name, 0, None, 0),
        ("epoch", 1, "fit", uuid, name, 0, None, 1),
    ]
    gan.fit(digits[0])
    assert seen[-1][3] != uuid


def test_hooks_may_ask_for_what_there_is_only(small, digits):
    class Greedy(Callback):
        def on_fit_task_end(self, estimator, context, *, labels=None): ...

    with pytest.raises(TypeError, match="on_fit_task_end.*Greedy.*labels"):
        small().set_callbacks(Greedy()).fit(digits[0])


def test_errors_of_taking_down_are_raised_together(small, digits):
    class Stuck(Callback):
        def teardown(self, estimator, context):
            taken.append(self)
            raise RuntimeError("stuck")

    for n, kind in ((1, RuntimeError), (2, ExceptionGroup)):
        taken = []
        gan = small().set_callbacks(*(Stuck() for _ in range(n)))
        with pytest.raises(kind):
            gan.fit(digits[0])
        assert len(taken) == n and live_attributes(gan) == []


# ------------------------------------------------------------------ context.training


def test_a_number_that_is_logged_is_in_the_history_and_its_checkpoint(small, digits, tmp_path):
    class Counting(Callback):
        def on_fit_task_end(self, estimator, context):
            if row := getattr(context, "history_row", None):
                context.training.log("count", 10 * row["epoch"])
                assert context.history_row["count"] == 10 * row["epoch"]
                with pytest.raises(ValueError, match="history_ has 'count' already in epoch"):
                    context.training.log("count", 0)

    settings = {"n_epochs": 3, "checkpoint_dir": tmp_path}
    gan = small(**settings).set_callbacks(Counting()).fit(digits[0])
    assert [row["count"] for row in gan.history_] == [10, 20, 30]
    again = small(**settings, resume="must").fit(digits[0])
    assert again.history_ == gan.history_


def test_the_estimator_as_fitted_so_far_is_made_once_and_only_if_asked_for(
    small, digits, monkeypatch
):  # fmt: skip
    X, passes, shown = digits[0], [], []
    finish = Training.finish
    monkeypatch.setattr(
        Training, "finish", lambda self, earlier: (passes.append(1), finish(self, earlier))[1]
    )

    class Looking(Callback):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            row = getattr(context, "history_row", None)
            if row and row["epoch"] == 2:
                fitted = context.training.fitted()
                assert fitted is context.training.fitted()
                shown.append((fitted.transform(X), fitted_estimator.transform(X)))

    class Every(Callback):
        def on_fit_task_end(self, estimator, context):
            row = getattr(context, "history_row", None)
            if row and row["epoch"] == 2:
                shown.append((context.training.fitted().transform(X),) * 2)

    small(n_epochs=3).set_callbacks(Every(), Every()).fit(X)
    assert len(passes) == 2  # after the second epoch, and at the end
    small(n_epochs=3).set_callbacks(Looking()).fit(X)
    expected = small(n_epochs=2).fit(X).transform(X)
    assert all(np.array_equal(x, expected) for pair in shown for x in pair) and len(shown) == 3


def test_what_is_kept_is_how_the_fit_ends(small, digits):
    X, _ = digits

    class KeepSecond(Callback):
        def on_fit_task_end(self, estimator, context):
            if (row := getattr(context, "history_row", None)) and row["epoch"] == 2:
                assert context.training.keep()

    gan = small(n_epochs=4, ema_decay=0.9).set_callbacks(KeepSecond()).fit(X)
    assert (gan.n_epochs_, len(gan.history_)) == (2, 2)
    two = small(n_epochs=2, ema_decay=0.9).fit(X)
    assert np.array_equal(gan.transform(X), two.transform(X))


def test_training_is_over_after_the_fit(small, digits):
    class Late(Callback):
        def setup(self, estimator, context):
            self.context = context

    late = Late()
    small().set_callbacks(late).fit(digits[0])
    with pytest.raises(RuntimeError, match="during training only: it is over"):
        late.context.training.history.clear()


def test_networks_of_a_fit_are_let_go(small, digits):
    """The parts of a fit that contexts hold must not keep its networks and optimizers alive."""
    seen = []

    class Watch(Callback):
        def on_fit_task_end(self, estimator, context):
            report = context.training._report
            seen.append(weakref.ref(report))

    gc.collect()
    gc.disable()
    try:
        small(n_epochs=1).set_callbacks(Watch()).fit(digits[0])
        assert [ref() for ref in seen] == [None, None]
    finally:
        gc.enable()


def test_callbacks_in_threads_do_not_mix(small, digits):
    X, _ = digits
    guard = CollapseGuard("stop", patience=2, min_diversity=1.0)
    gans = [small(n_epochs=4, random_state=i).set_callbacks(guard) for i in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        joblib.Parallel(4, backend="threading")(joblib.delayed(gan.fit)(X) for gan in gans)
    assert [gan.n_epochs_ for gan in gans] == [2] * 4  # the second look in a row


def test_callbacks_work_in_clones_and_searches_of_every_version(small, digits):
    X, y = digits
    recorder = Recorder()
    pipe = Pipeline([("gan", small(n_epochs=1).set_callbacks(recorder)), ("svm", LinearSVC())])
    GridSearchCV(pipe, {"gan__lr": [1e-4, 1e-3]}, cv=2).fit(X, y)
    assert recorder.seen.count("setup") == recorder.seen.count("teardown") == 5
    assert recorder.seen.count("end epoch 0") == 5


@new
@with_rich
def test_the_page_about_callbacks_runs(tmp_path, monkeypatch):
    page = ROOT / "docs" / "guide" / "callbacks.md"
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    names = {"__name__": "__main__"}
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) == text.count("```python") > 5
    for block in blocks:  # one after the other, as on the page
        above = text[: block.start(1)].count("\n")
        exec(compile("\n" * above + block.group(1), str(page), "exec"), names)
