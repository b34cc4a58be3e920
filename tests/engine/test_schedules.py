"""Learning rates over a fit."""

import copy
import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

import skgan
from skgan import DomainAdversarialFeatures
from skgan.engine.identity import identity
from skgan.engine.players import Players
from skgan.engine.runtime import lr_factor, warmup_factor


def falling(progress):
    return 1 - 0.9 * progress


class Steps:
    """A schedule with a setting of its own."""

    def __init__(self, at):
        self.at = at

    def __call__(self, progress):
        return 0.1 if progress >= self.at else 1.0


@pytest.fixture
def made(small):
    """Three steps in each epoch."""

    def make(**settings):
        return small(image_shape=(8, 8), batch_size=100, **({"n_epochs": 4} | settings))

    return make


@pytest.fixture
def factors(monkeypatch):
    """The factors of all steps."""
    found, scale = [], Players.scale_lr

    def noting(self, factor):
        found.append(factor)
        scale(self, factor)

    monkeypatch.setattr(Players, "scale_lr", noting)
    return found


def test_cosine_falls_with_each_step_to_zero(made, digits, factors):
    gan = made(lr_decay="cosine").fit(digits[0])
    assert factors == pytest.approx([(1 + math.cos(math.pi * i / 12)) / 2 for i in range(12)])
    assert lr_factor("cosine", 0, 4) == 1 and lr_factor("cosine", 2, 4) == pytest.approx(0.5)
    assert lr_factor("cosine", 3, 4, 1.0) == pytest.approx(0, abs=1e-15)
    assert gan.n_steps_ == 12


def test_a_function_is_called_with_the_part_that_is_done(made, digits, factors):
    seen = []
    made(lr_decay=lambda p: (seen.append(p), 1 - p)[1]).fit(digits[0])
    assert seen[-12:] == pytest.approx([i / 12 for i in range(12)])
    assert factors == pytest.approx([1 - i / 12 for i in range(12)])


@pytest.mark.parametrize("decay", ["cosine", "linear", falling, Steps(0.5), None])
def test_a_warm_up_rises_to_the_decay(made, digits, factors, decay):
    made(lr_decay=decay, lr_warmup=1.5).fit(digits[0])
    rise = [(i + 1) / 4.5 for i in range(4)] + [1.0] * 8
    fall = [lr_factor(decay, i // 3, 4, i % 3 / 3) for i in range(12)]
    assert factors == pytest.approx([a * b for a, b in zip(rise, fall, strict=True)])


def test_a_warm_up_of_whole_epochs_reaches_one_with_its_last_step():
    assert [warmup_factor(2, e) for e in (0.5, 1, 1.5, 2, 2.5)] == [0.25, 0.5, 0.75, 1, 1]
    assert warmup_factor(0, 0.1) == 1


def test_learning_rates_do_what_the_factors_say(made, digits):
    """A factor of 0 moves nothing; half of it is half of the rate."""
    X = digits[0]
    untrained = made(n_epochs=0).fit(X)
    still = made(lr_decay=lambda p: 0, weight_decay=0.0).fit(X)
    np.testing.assert_array_equal(still.transform(X), untrained.transform(X))
    halved = made(lr_decay=lambda p: 0.5, lr=1e-3).fit(X)
    np.testing.assert_allclose(halved.transform(X), made(lr=5e-4).fit(X).transform(X), rtol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{"lr_decay": "cosine"}, {"lr_decay": falling}, {"lr_warmup": 2.5},
     {"lr_decay": Steps(0.3), "lr_warmup": 0.5}],
    ids=["cosine", "function", "warm-up", "both"],
)  # fmt: skip
def test_a_fit_that_resumes_follows_its_schedule(made, digits, tmp_path, settings, factors):
    X = digits[0]
    whole = made(**settings, lr=1e-3).fit(X)
    n, settings = len(factors), settings | {"lr": 1e-3, "checkpoint_dir": tmp_path}

    class CutError(Exception):
        pass

    def cut(nets, batch, update):
        if batch.epoch == 3:
            raise CutError
        type(est)._step(est, nets, batch, update)

    est = made(**settings)
    est._step = cut
    with pytest.raises(CutError):
        est.fit(X)
    del factors[:]
    again = made(**settings, resume="must").fit(X)
    assert len(factors) == n - 6
    np.testing.assert_array_equal(again.transform(X), whole.transform(X))
    assert not np.array_equal(again.transform(X), made(lr=1e-3).fit(X).transform(X))


def test_a_warm_up_does_not_depend_on_the_number_of_epochs(made, digits):
    X = digits[0]
    assert not made(lr_warmup=3)._has_schedule()
    assert made(lr_decay="cosine")._has_schedule() and made(lr_decay=falling)._has_schedule()
    gan = made(lr_warmup=3, n_epochs=2, warm_start=True).fit(X)
    gan.set_params(n_epochs=4).fit(X)
    np.testing.assert_array_equal(gan.transform(X), made(lr_warmup=3).fit(X).transform(X))


def test_schedules_play_no_part_in_partial_fit(made, digits):
    X = digits[0]
    plain = made().partial_fit(X).transform(X)
    for settings in ({"lr_decay": falling}, {"lr_decay": "cosine"}, {"lr_warmup": 5}):
        np.testing.assert_array_equal(made(**settings).partial_fit(X).transform(X), plain)


@pytest.mark.parametrize(
    ("decay", "words"),
    [
        (lambda p: -0.5, r"gives -0.5 for progress=0"),
        (lambda p: math.nan, "gives nan"),
        (lambda p: math.inf, "gives inf"),
        (lambda p: None, "gives None"),
        (lambda p: True, "gives True"),
        (lambda p: 0.6 - p, r"for progress=0.7"),
        (lambda p: 1 / (p - 0.5), "0.*ZeroDivisionError|gives -2"),
        (lambda: 1.0, r"cannot be called as f\(progress\).*TypeError"),
        ("cosinus", "lr_decay='cosinus' is unknown.*'cosine'"),
    ],
)
def test_a_schedule_that_cannot_work_is_named_before_training(
    made, digits, monkeypatch, decay, words
):  # fmt: skip
    monkeypatch.setattr("skgan.training.train", lambda *_: pytest.fail("it trains"))
    with pytest.raises(ValueError, match=f"(?=.*lr_decay)(?=.*({words}))"):
        made(lr_decay=decay).fit(digits[0])


def test_a_schedule_that_fails_later_is_named_and_the_earlier_fit_kept(made, digits):
    X = digits[0]
    gan = made().fit(X)
    before = gan.transform(X)

    def late(progress):
        return -1.0 if 0.32 < progress < 0.35 else 1.0

    with pytest.raises(ValueError, match="lr_decay=late gives -1.0 for progress=0.3333"):
        gan.set_params(lr_decay=late).fit(X)
    np.testing.assert_array_equal(gan.transform(X), before)


def test_a_function_travels_with_clones_pickles_and_searches(made, digits):
    X, y = digits
    gan = made(lr_decay=falling, n_epochs=2).fit(X)
    for twin in (clone(gan), copy.deepcopy(gan), pickle.loads(pickle.dumps(gan))):
        assert twin.lr_decay is falling
        np.testing.assert_array_equal(twin.fit(X).transform(X), gan.transform(X))
    pipe = Pipeline([("gan", made(n_epochs=1)), ("svm", LinearSVC())])
    GridSearchCV(pipe, {"gan__lr_decay": [falling, Steps(0.5)]}, cv=2, n_jobs=2).fit(X, y)


def test_a_file_refuses_a_function_by_its_name(made, digits, tmp_path):
    gan = made(lr_decay=falling).fit(digits[0])
    with pytest.raises(TypeError, match="lr_decay"):
        gan.save(tmp_path / "gan")
    assert list(tmp_path.iterdir()) == []
    gan = made(lr_decay="cosine", lr_warmup=0.5).fit(digits[0])
    gan.save(tmp_path / "gan")
    twin = skgan.load(tmp_path / "gan")
    assert (twin.lr_decay, twin.lr_warmup) == ("cosine", 0.5)


def test_checkpoints_tell_functions_apart_by_their_code(made):
    def of(decay):
        return identity(made(lr_decay=decay), "data", 4, "1")["lr_decay"]

    assert of(lambda p: 1 - p) != of(lambda p: 1 - p / 2)
    assert of(falling) == of(copy.deepcopy(falling)) != of(Steps(0.5))
    assert of(Steps(0.5)) == of(Steps(0.5)) != of(Steps(0.6))
    assert identity(made(lr_warmup=1), "data", 4, "1") != identity(made(), "data", 4, "1")


def test_a_method_with_a_schedule_of_its_own_takes_others(small, digits):
    X, y = digits
    est = small(DomainAdversarialFeatures, image_shape=(8, 8), trunk="auto")
    domain = np.where(np.arange(len(X)) % 2, 1, -1)
    est.set_params(lr_decay="cosine", lr_warmup=0.5).fit(X, y, sample_domain=domain)
    assert est._has_schedule() and est.n_epochs_ == 2
