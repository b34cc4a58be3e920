"""Stopping after the best epoch, going back to it, and keeping it in a file."""

import functools
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

import skgan
from skgan import SupervisedFeatures
from skgan.callbacks import BestCheckpoint, Callback, CSVLogger, EarlyStopping
from skgan.callbacks.values import Record, Values
from skgan.engine.players import Players

try:
    import sklearn.callback as newer
except ImportError:
    newer = None


class Scores:
    """A scorer that gives these values after the epochs, and counts its calls."""

    def __init__(self, *values):
        self.values, self.calls = values, []

    def __call__(self, estimator, X, y):
        self.calls.append((estimator.n_epochs_, X, y))
        return self.values[estimator.n_epochs_ - 1]


BEST_IS_3 = 1, 2, 5, 4, 3, 3, 3, 3, 3, 3


@pytest.fixture
def made(small):
    return functools.partial(small, image_shape=(8, 8), batch_size=100)


def same(a, b, X):
    """All that a fit leaves, but for times."""
    assert (a.n_epochs_, a.n_steps_, a._seed) == (b.n_epochs_, b.n_steps_, b._seed)
    losses = [[row["generator_loss"] for row in e.history_] for e in (a, b)]
    assert losses[0] == losses[1]
    for role in a._roles:
        theirs = dict(b._kept_nets()[role].state_dict())
        for name, tensor in a._kept_nets()[role].state_dict().items():
            assert torch.equal(tensor, theirs[name]), (role, name)
    np.testing.assert_array_equal(a.transform(X), b.transform(X))


# ------------------------------------------------------------------ when it stops


def test_it_stops_after_as_many_looks_without_improvement(made, digits):
    stopping = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=2)
    gan = made(n_epochs=9).set_callbacks(stopping).fit(digits[0])
    assert gan.n_epochs_ == stopping.stopped_epoch == 5
    assert (stopping.best_epoch, stopping.best_value) == (3, 5.0)
    assert [look["epoch"] for look in stopping.looks] == [1, 2, 3, 4, 5]
    assert [look["value"] for look in stopping.looks] == [1, 2, 5, 4, 3]
    assert [look["improved"] for look in stopping.looks] == [True, True, True, False, False]
    same(gan, made(n_epochs=5).fit(digits[0]), digits[0])


def test_a_monitored_loss_is_that_of_the_history(made, digits):
    stopping = EarlyStopping("discriminator_loss", patience=1, min_delta=1.0)
    gan = made(n_epochs=9).set_callbacks(stopping).fit(digits[0])
    assert gan.n_epochs_ == 2  # no epoch is better than the first by 1
    assert [look["value"] for look in stopping.looks] == [
        row["discriminator_loss"] for row in gan.history_
    ]
    assert stopping.best_value == gan.history_[0]["discriminator_loss"]
    whole = EarlyStopping("seconds", patience=9)
    made(n_epochs=2).set_callbacks(whole).fit(digits[0])
    assert whole.stopped_epoch is None


def of(values, mode, min_delta=0.0):
    record = Record(Values("EarlyStopping", "a", None, mode, None, 1, None), min_delta)
    return [record.add(i, value) for i, value in enumerate(values, 1)], record


def test_what_is_better():
    nan, inf = float("nan"), float("inf")
    assert of([3, 3, 2, 4], "min")[0] == [True, False, True, False]
    assert of([3, 3, 2, 4], "max")[0] == [True, False, False, True]
    assert of([3, 2.9, 2.4], "min", 0.5)[0] == [True, False, True]
    assert of([3, 3.5, 3.6], "max", 0.5)[0] == [True, False, True]
    found, record = of([nan, -inf, 2, nan, inf, 1], "min")
    assert found == [False, False, True, False, False, True] and record.best_epoch == 6
    assert of([nan, nan], "max")[1].best_epoch is None
    assert of([1, nan, 1], "max")[1].n_without == 2


def test_smaller_losses_and_larger_scores_are_better_unless_said_otherwise(made, digits):
    for settings, best in (({}, 3), ({"mode": "min"}, 1), ({"mode": "max"}, 3)):
        stopping = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=9, **settings)
        made(n_epochs=4).set_callbacks(stopping).fit(digits[0])
        assert stopping.best_epoch == best
    assert EarlyStopping("generator_loss")._values.mode == "min"


def test_only_every_kth_epoch_is_scored(made, digits):
    scores = Scores(*BEST_IS_3)
    stopping = EarlyStopping(scorer=scores, every=2, patience=1)
    gan = made(n_epochs=9).set_callbacks(stopping).fit(digits[0])
    assert [call[0] for call in scores.calls] == [2, 4, 6] and gan.n_epochs_ == 6
    assert ["score" in row for row in gan.history_] == [False, True] * 3


def test_nan_only_is_said(made, digits):
    stopping = EarlyStopping(scorer=lambda *_: float("nan"), patience=2, restore_best=True)
    with pytest.warns(UserWarning, match="score was never a finite number in 2 looks"):
        gan = made(n_epochs=5).set_callbacks(stopping).fit(digits[0])
    assert gan.n_epochs_ == 2 and stopping.best_epoch is None


def test_scores_are_of_the_fit_so_far_on_the_data_of_fit_or_on_others(made, digits):
    X, y = digits
    features = []

    def scorer(estimator, X, y):
        features.append(estimator.transform(X))
        seen.append((X, y))
        return 0.0

    seen = []
    made(n_epochs=2).set_callbacks(EarlyStopping(scorer=scorer)).fit(X, y)
    assert all(np.array_equal(a, X) and b is y for a, b in seen)
    for shown, n in zip(features, (1, 2), strict=True):
        np.testing.assert_array_equal(shown, made(n_epochs=n).fit(X).transform(X))
    seen = []
    X_val, y_val = X[:50], y[:50]
    stopping = EarlyStopping(scorer=scorer, validation_data=(X_val, y_val))
    made(n_epochs=1).set_callbacks(stopping).fit(X)
    assert seen[0][0] is X_val and seen[0][1] is y_val


def test_a_scorer_by_name_for_a_classifier(small, digits):
    X, y = digits
    stopping = EarlyStopping(scorer="accuracy", validation_data=(X[:100], y[:100]), patience=9)
    est = small(SupervisedFeatures, image_shape=(8, 8), n_epochs=3).set_callbacks(stopping)
    est.fit(X[100:], y[100:])
    assert stopping.looks[-1]["value"] == est.score(X[:100], y[:100])
    assert est.history_[-1]["accuracy"] == est.score(X[:100], y[:100])


# ------------------------------------------------------------------ what it leaves


@pytest.mark.parametrize(
    "settings",
    [{}, {"ema_decay": 0.9}, {"norm": "spectral", "optimizer": "sgd"}, {"lr_warmup": 1.5},
     {"augment": "auto", "validation_fraction": 0.2}],
)  # fmt: skip
@pytest.mark.parametrize("n_epochs", [5, 9])
def test_the_best_epoch_comes_back_bit_for_bit(made, digits, settings, n_epochs):
    """Also where training ends for another reason, before patience is over."""
    X = digits[0]
    stopping = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=3, restore_best=True)
    gan = made(n_epochs=n_epochs, **settings).set_callbacks(stopping).fit(X)
    assert stopping.stopped_epoch == (6 if n_epochs == 9 else None)
    assert len(stopping.looks) == min(n_epochs, 6)  # what came after is here
    assert [row["score"] for row in gan.history_] == [1, 2, 5]
    three = made(n_epochs=3, **settings).fit(X)
    same(gan, three, X)
    np.testing.assert_array_equal(gan.sample(3, 0), three.sample(3, 0))


def test_ctrl_c_goes_back_to_the_best_epoch_too(made, digits):
    X = digits[0]
    stopping = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=9, restore_best=True)
    gan = made(n_epochs=9, on_interrupt="stop").set_callbacks(stopping)
    step = gan._step

    def interrupting(nets, batch, update):
        step(nets, batch, update)
        if batch.epoch == 5:
            signal.raise_signal(signal.SIGINT)

    gan._step = interrupting
    gan.fit(X)
    del gan._step
    same(gan, made(n_epochs=3).fit(X), X)


def test_training_that_diverges_goes_back_to_the_best_epoch(made, digits, monkeypatch):
    X = digits[0]
    update, calls = Players.update, iter(range(10**6))

    def diverging(self, **losses):
        factor = float("nan") if next(calls) == 26 else 1.0  # in the fifth of epochs of 6 updates
        update(self, **{role: factor * loss for role, loss in losses.items()})

    three = made(n_epochs=3).fit(X)
    for verb in ("stop", "restore"):
        calls = iter(range(10**6))
        stopping = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=9, restore_best=True)
        gan = made(n_epochs=6, on_divergence=verb).set_callbacks(stopping)
        with monkeypatch.context() as patch, pytest.warns(UserWarning, match="epoch 5"):
            patch.setattr(Players, "update", diverging)
            gan.fit(X)
        same(gan, three, X)
        n_seen = 4 if verb == "stop" else 6
        assert [look["epoch"] for look in stopping.looks] == [*range(1, n_seen + 1)]


def test_an_error_keeps_the_earlier_fit(made, digits):
    X = digits[0]
    gan = made(n_epochs=1).fit(X)
    before = gan.transform(X)
    stopping = EarlyStopping(scorer=Scores(3, 2), patience=9, restore_best=True)
    with pytest.raises(IndexError):
        gan.set_params(n_epochs=3).set_callbacks(stopping).fit(X)
    np.testing.assert_array_equal(gan.transform(X), before)


# ------------------------------------------------------------------ going on


def test_a_warm_start_goes_on_from_the_best_epoch(made, digits):
    X = digits[0]
    gan = made(n_epochs=9, warm_start=True)
    gan.set_callbacks(EarlyStopping(scorer=Scores(*BEST_IS_3), patience=2, restore_best=True))
    gan.fit(X)
    assert gan.n_epochs_ == 3
    gan.set_callbacks().set_params(n_epochs=5).fit(X)
    same(gan, made(n_epochs=5).fit(X), X)


def test_a_warm_start_with_the_callback_counts_what_was_before(made, digits):
    X = digits[0]
    one = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=3)
    made(n_epochs=9).set_callbacks(one).fit(X)
    two = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=3)
    gan = made(n_epochs=4, warm_start=True).set_callbacks(two).fit(X)
    gan.set_params(n_epochs=9).fit(X)
    assert two.looks == one.looks and two.stopped_epoch == one.stopped_epoch == gan.n_epochs_ == 6
    with pytest.warns(UserWarning, match="not improved since epoch 3 in 6 epochs.*raise patience"):
        gan.fit(X)
    assert gan.n_epochs_ == 6 and len(gan.history_) == 6
    gan.set_callbacks(EarlyStopping(scorer=Scores(*BEST_IS_3), patience=5)).fit(X)
    same(gan, made(n_epochs=8).fit(X), X)


def test_a_warm_start_that_finds_nothing_better_ends_where_it_began(made, digits):
    X = digits[0]
    stopping = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=2, restore_best=True)
    gan = made(n_epochs=9, warm_start=True).set_callbacks(stopping).fit(X)
    gan.fit(X)
    same(gan, made(n_epochs=3).fit(X), X)
    better = EarlyStopping(scorer=Scores(1, 2, 5, 4, 3, 9, 1), patience=9, restore_best=True)
    gan.set_params(n_epochs=7).set_callbacks(better).fit(X)
    same(gan, made(n_epochs=6).fit(X), X)


def test_a_best_epoch_whose_networks_are_gone_is_said(made, digits):
    X = digits[0]
    gan = made(n_epochs=5, warm_start=True)
    gan.set_callbacks(EarlyStopping(scorer=Scores(*BEST_IS_3), patience=9)).fit(X)
    late = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=9, restore_best=True)
    with pytest.warns(UserWarning, match="best after epoch 3, whose networks are not kept"):
        gan.set_params(n_epochs=6).set_callbacks(late).fit(X)
    assert gan.n_epochs_ == 6 and late.best_epoch == 3


class Crash(Callback):
    def __init__(self, after):
        self.after = after

    def on_fit_task_end(self, estimator, context):
        row = getattr(context, "history_row", None)
        if row and row["epoch"] == self.after:
            raise RuntimeError("the power is gone")


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("crash", [2, 3, 4, 5])
def test_a_fit_that_crashed_resumes_and_ends_as_if_it_had_not(
    made, digits, tmp_path, crash, every
):  # fmt: skip
    X = digits[0]
    settings = {"n_epochs": 9, "checkpoint_dir": tmp_path, "checkpoint_every": every}
    first = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=3, restore_best=True)
    with pytest.raises(RuntimeError, match="power"):
        made(**settings).set_callbacks(first, Crash(crash)).fit(X)
    again = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=3, restore_best=True)
    scored = again._values.scorer
    gan = made(**settings).set_callbacks(again).fit(X)
    assert scored.calls[0][0] == crash - crash % every + 1  # it did resume
    same(gan, made(n_epochs=3).fit(X), X)
    assert again.stopped_epoch == 6 and [look["value"] for look in again.looks] == [*BEST_IS_3[:6]]


def test_a_fit_that_was_stopped_stays_stopped_when_it_is_called_again(made, digits, tmp_path):
    X = digits[0]
    settings = {"n_epochs": 9, "checkpoint_dir": tmp_path, "random_state": 1}

    def fit(patience, restore_best):
        scores = Scores(*BEST_IS_3)
        stopping = EarlyStopping(scorer=scores, patience=patience, restore_best=restore_best)
        return made(**settings).set_callbacks(stopping).fit(X), scores

    first, _ = fit(2, True)
    with pytest.warns(UserWarning, match="trains no further"):
        again, scores = fit(2, True)
    assert scores.calls == [] and again.n_epochs_ == 3
    same(again, first, X)
    longer, scores = fit(4, True)
    assert [call[0] for call in scores.calls] == [6, 7]
    same(longer, first, X)
    with pytest.warns(UserWarning, match="trains no further"):
        same(fit(2, False)[0], made(n_epochs=7, random_state=1).fit(X), X)
    # Without the callback nothing is gone back to.
    whole = made(**settings).fit(X)
    assert whole.n_epochs_ == 9


def test_what_another_training_has_kept_is_not_taken(made, digits, tmp_path):
    """Fits without a seed share a folder, but not their networks."""
    X = digits[0]
    settings = {"n_epochs": 5, "checkpoint_dir": tmp_path, "random_state": None}
    keep = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=9, restore_best=True)
    made(**settings).set_callbacks(keep).fit(X)
    kept = next(tmp_path.rglob("kept*")).read_bytes()
    worse = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=9)
    made(**settings, resume="never").set_callbacks(worse).fit(X)
    next(tmp_path.rglob("kept*")).write_bytes(kept)  # of the first training
    again = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=9, restore_best=True)
    with pytest.warns(UserWarning, match="best after epoch 3, whose networks are not kept"):
        gan = made(**settings).set_callbacks(again).fit(X)
    assert gan.n_epochs_ == 5


def test_a_damaged_file_of_the_best_epoch_is_passed_over(made, digits, tmp_path):
    X = digits[0]
    settings = {"n_epochs": 5, "checkpoint_dir": tmp_path}
    keep = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=9, restore_best=True)
    made(**settings).set_callbacks(keep).fit(X)
    (path,) = tmp_path.rglob("kept*")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.warns(UserWarning, match="is damaged"):
        gan = made(**settings).set_callbacks(keep).fit(X)
    assert gan.n_epochs_ == 5


def test_partial_fit_is_neither_stopped_nor_taken_back(made, digits):
    X = digits[0]
    stopping = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=1, restore_best=True)
    gan = made().set_callbacks(stopping)
    for _ in range(6):
        gan.partial_fit(X)
    assert gan.n_epochs_ == 6 and stopping.best_epoch == 3
    plain = made()
    for _ in range(6):
        plain.partial_fit(X)
    same(gan, plain, X)


def test_a_schedule_is_that_of_the_whole_fit(made, digits):
    """`lr_decay` depends on the total, so the best epoch is not what a shorter fit leaves."""
    X = digits[0]
    stopping = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=9, restore_best=True)
    gan = made(n_epochs=9, lr_decay="cosine", lr=1e-2).set_callbacks(stopping).fit(X)
    shorter = made(n_epochs=3, lr_decay="cosine", lr=1e-2).fit(X)
    assert gan.n_epochs_ == 3 and not np.array_equal(gan.transform(X), shorter.transform(X))


# ------------------------------------------------------------------ the file of the best epoch


def test_the_file_has_the_best_epoch(made, digits, tmp_path):
    X = digits[0]
    path = tmp_path / "a" / "best.skgan"
    best = BestCheckpoint(path, scorer=Scores(*BEST_IS_3))
    gan = made(n_epochs=5).set_callbacks(best).fit(X)
    assert gan.n_epochs_ == 5 and best.best_epoch == 3
    same(skgan.load(path), made(n_epochs=3).fit(X), X)
    assert os.listdir(path.parent) == ["best.skgan"]
    # A new fit begins a new file.
    made(n_epochs=1).set_callbacks(BestCheckpoint(path, scorer=Scores(0))).fit(X)
    assert skgan.load(path).n_epochs_ == 1


def test_the_file_is_there_after_a_kill(tmp_path):
    path = tmp_path / "best.skgan"
    code = f"""
import os
from sklearn.datasets import load_digits
from skgan import DCGANDiscriminatorFeatures, DCGANSpec
from skgan.callbacks import BestCheckpoint, Callback

class Kill(Callback):
    def on_fit_task_end(self, estimator, context):
        if getattr(context, "history_row", {{}}).get("epoch") == 3:
            os._exit(9)

small = DCGANSpec(4)
gan = DCGANDiscriminatorFeatures(image_shape=(8, 8), generator=small, discriminator=small,
                                 n_epochs=9, random_state=0)
best = BestCheckpoint({str(path)!r}, scorer=lambda e, X, y: [1, 2, 0][e.n_epochs_ - 1])
gan.set_callbacks(best, Kill()).fit(load_digits().data[:100])
"""
    root = Path(skgan.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 9
    assert skgan.load(path).n_epochs_ == 2


@pytest.mark.parametrize("way", ["warm_start", "checkpoints"])
def test_the_file_goes_on_with_its_fit(made, digits, tmp_path, way):
    X, path = digits[0], tmp_path / "best.skgan"
    folder = {"checkpoint_dir": tmp_path / "runs"}
    settings = {"warm_start": True} if way == "warm_start" else folder

    def best(*scores):
        return BestCheckpoint(path, scorer=Scores(*scores), name="quality")

    gan = made(n_epochs=3, **settings).set_callbacks(best(1, 5, 2)).fit(X)
    gan.set_params(n_epochs=4).set_callbacks(again := best(1, 5, 2, 3)).fit(X)
    assert skgan.load(path).n_epochs_ == again.best_epoch == 2
    other = made(n_epochs=1, random_state=5).set_callbacks(best(9)).fit(X)
    same(skgan.load(path), other, X)
    # The file is of another training by now.
    gan.set_params(n_epochs=5).set_callbacks(again := best(1, 5, 2, 3, 4)).fit(X)
    assert skgan.load(path).n_epochs_ == again.best_epoch == 5


def test_every_fit_of_a_search_has_its_file(made, digits, tmp_path):
    X, y = digits
    gan = made(n_epochs=1).set_callbacks(
        BestCheckpoint(tmp_path / "best.skgan", monitor="generator_loss"),
        CSVLogger(tmp_path / "log.csv"),
    )
    pipe = Pipeline([("gan", gan), ("svm", LinearSVC())])
    pipe.fit(X, y)
    assert sorted(os.listdir(tmp_path)) == ["best.skgan", "log.csv"]
    for path in tmp_path.iterdir():
        path.unlink()
    search = GridSearchCV(pipe, {"gan__lr": [1e-4, 1e-3]}, cv=2, n_jobs=2).fit(X, y)
    files = sorted(tmp_path.glob("best-*.skgan"))
    assert len(files) == len(list(tmp_path.glob("log-*.csv"))) == 5
    features = search.best_estimator_["gan"].transform(X)
    assert sum(np.array_equal(skgan.load(f).transform(X), features) for f in files) == 1
    if newer:
        assert sum("candidate-split-evaluation-3" in f.name for f in files) == 1


def test_fits_that_do_not_know_of_each_other_need_their_run_in_the_name(made, digits, tmp_path):
    X, y = digits
    logger = CSVLogger(tmp_path / "log-{run}.csv")
    pipe = Pipeline([("gan", made(n_epochs=1).set_callbacks(logger)), ("svm", LinearSVC())])
    cross_val_score(pipe, X, y, cv=3)
    assert len(list(tmp_path.glob("log-*.csv"))) == 3
    clone(pipe["gan"]).fit(X)
    assert all(len(p.stem) == len("log-") + 8 for p in tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_said_before_training(made, digits, tmp_path, monkeypatch):
    X = digits[0]
    monkeypatch.setattr("skgan.training.train", lambda *_: pytest.fail("it trains"))
    with pytest.raises(OSError, match=r"path=.* of BestCheckpoint cannot be written"):
        made().set_callbacks(BestCheckpoint(tmp_path, monitor="seconds")).fit(X)
    with pytest.raises(TypeError, match="generator"):
        best = BestCheckpoint(tmp_path / "b", monitor="seconds")
        made(generator=lambda **_: None).set_callbacks(best).fit(X)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TypeError, match="path=3 is not a path"):
        BestCheckpoint(3, monitor="seconds")


def test_a_full_disk_costs_the_file_only(made, digits, tmp_path, monkeypatch):
    from skgan import persistence

    write = persistence.write_atomically

    def full(path, content):
        if "trial" in path.name:
            return write(path, content)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(persistence, "write_atomically", full)
    gan = made().set_callbacks(BestCheckpoint(tmp_path / "best", monitor="epoch"))
    with pytest.warns(UserWarning, match="BestCheckpoint lost epoch 1: .*No space left"):
        gan.fit(digits[0])
    assert gan.n_epochs_ == 2


# ------------------------------------------------------------------ together, and wrong uses


def test_the_same_score_is_computed_once(made, digits, tmp_path):
    X, scores = digits[0], Scores(*BEST_IS_3)
    best = BestCheckpoint(tmp_path / "best", scorer=scores)
    stopping = EarlyStopping(scorer=scores, patience=1, restore_best=True)
    gan = made(n_epochs=9).set_callbacks(best, stopping, CSVLogger(tmp_path / "log.csv")).fit(X)
    assert [call[0] for call in scores.calls] == [1, 2, 3, 4] and gan.n_epochs_ == 3
    assert best.best_epoch == 3
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert len(lines) == 5 and lines[0].endswith(",score")  # with the epoch taken back
    # A monitor may follow a score that another callback logs.
    follower = EarlyStopping("score", mode="max", patience=1)
    made(n_epochs=9).set_callbacks(BestCheckpoint(tmp_path / "b", scorer=scores), follower).fit(X)
    assert follower.best_epoch == 3


def test_scores_of_one_name_that_differ_are_refused(made, digits):
    X = digits[0]
    two = (EarlyStopping(scorer=Scores(1)), EarlyStopping(scorer=Scores(2)))
    with pytest.raises(ValueError, match="scores called 'score', which are different.*name="):
        made().set_callbacks(*two).fit(X)
    two = (EarlyStopping(scorer=Scores(1, 1)), EarlyStopping(scorer=Scores(2, 2), name="b"))
    gan = made().set_callbacks(*two).fit(X)
    assert [(row["score"], row["b"]) for row in gan.history_] == [(1, 2), (1, 2)]
    with pytest.raises(ValueError, match="history_ has 'generator_loss' already"):
        made().set_callbacks(EarlyStopping(scorer=Scores(1), name="generator_loss")).fit(X)
    both = (EarlyStopping("epoch", restore_best=True), EarlyStopping("seconds", restore_best=True))
    with pytest.raises(ValueError, match="one best epoch only"):
        made().set_callbacks(*both).fit(X)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "either monitor.*or scorer"),
        ({"monitor": "a", "scorer": "accuracy"}, "either monitor.*or scorer"),
        ({"monitor": 3}, "monitor=3"),
        ({"scorer": 3}, "scorer=3"),
        ({"scorer": "accurate"}, "accurate"),
        ({"monitor": "a", "mode": "auto"}, "mode='auto'"),
        ({"monitor": "a", "patience": 0}, "patience=0"),
        ({"monitor": "a", "min_delta": -1}, "min_delta=-1"),
        ({"monitor": "a", "restore_best": "yes"}, "restore_best='yes'"),
        ({"monitor": "a", "every": 0}, "every=0"),
        ({"monitor": "a", "validation_data": ([1], [2])}, "validation_data.*scorer"),
        ({"scorer": len, "validation_data": 3}, "validation_data must be a pair"),
        ({"scorer": len, "name": 3}, "name=3"),
        ({"monitor": "a", "name": "b"}, "name='b'"),
    ],
)
def test_values_that_cannot_work(settings, words):
    with pytest.raises(ValueError, match=words):
        EarlyStopping(**settings)


def test_what_fit_finds_wrong(made, digits):
    X = digits[0]
    with pytest.raises(ValueError, match="'loss'.*no column of history_.*discriminator_loss"):
        made().set_callbacks(EarlyStopping("loss")).fit(X)
    with pytest.raises(ValueError, match="scorer='accuracy' needs an estimator with predict"):
        made().set_callbacks(EarlyStopping(scorer="accuracy")).fit(X)
    with pytest.raises(TypeError, match="scorer='score'.*must return a number.*None"):
        made().set_callbacks(EarlyStopping(scorer=lambda *_: None)).fit(X)


@pytest.mark.skipif(newer is None, reason="before scikit-learn 1.9 pipelines have no callbacks")
def test_it_is_set_on_the_gan_itself(made, digits, tmp_path):
    pipe = Pipeline([("gan", made()), ("svm", LinearSVC())])
    for callback in (
        EarlyStopping("seconds"),
        BestCheckpoint(tmp_path / "b", monitor="seconds"),
        CSVLogger(tmp_path / "log.csv"),
    ):
        name = type(callback).__name__
        with pytest.raises(TypeError, match=f"{name} is set on a Pipeline.*set it on skgan's"):
            pipe.set_callbacks(callback).fit(*digits)


def test_it_can_be_pickled(made, digits):
    stopping = EarlyStopping(scorer=Scores(*BEST_IS_3), patience=1)
    gan = made(n_epochs=9).set_callbacks(stopping).fit(digits[0])
    twin = pickle.loads(pickle.dumps(gan))
    assert twin._skl_callbacks[0].best_epoch == 3
    assert twin.fit(digits[0]).n_epochs_ == 4


def test_in_threads_each_fit_has_its_own_best(made, digits):
    import joblib

    X = digits[0]

    def loss(estimator, X, y):
        at = 2 if estimator.random_state else 1
        return -abs(estimator.n_epochs_ - at)

    stopping = EarlyStopping(scorer=loss, patience=2, restore_best=True)
    gans = [made(n_epochs=6, random_state=i % 2).set_callbacks(stopping) for i in range(4)]
    joblib.Parallel(4, backend="threading")(joblib.delayed(gan.fit)(X) for gan in gans)
    assert [gan.n_epochs_ for gan in gans] == [1, 2, 1, 2]
