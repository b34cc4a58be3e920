"""What happens where training diverges or collapses."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from skgan import DCGANSpec, SupervisedFeatures
from skgan.callbacks import CollapseGuard
from skgan.engine.players import Players


@pytest.fixture
def diverges(monkeypatch):
    """Makes the losses of these updates, counted from 1, not a number."""
    update = Players.update

    def at(*numbers):
        calls = iter(range(1, 10**6))

        def diverging(self, **losses):
            factor = float("nan") if next(calls) in numbers else 1.0
            update(self, **{role: factor * loss for role, loss in losses.items()})

        monkeypatch.setattr(Players, "update", diverging)

    return at


def made(small, **settings):
    """Ten steps, of two updates, in each of the epochs."""
    return small(image_shape=(8, 8), batch_size=30, **({"n_epochs": 4} | settings))


def test_raise_keeps_the_earlier_fit(small, digits, diverges):
    X = digits[0]
    est = made(small, n_epochs=1).fit(X)
    before = est.transform(X)
    diverges(45)
    with pytest.raises(FloatingPointError, match="loss of network 'discriminator'.*epoch 3"):
        est.set_params(n_epochs=4).fit(X)
    np.testing.assert_array_equal(est.transform(X), before)


@pytest.mark.parametrize("settings", [{}, {"ema_decay": 0.9}, {"optimizer": "sgd", "lr": 1e-3}])
def test_stop_ends_as_the_last_complete_epoch_was(small, digits, diverges, settings):
    X = digits[0]
    two = made(small, n_epochs=2, **settings).fit(X)
    diverges(45)
    with pytest.warns(UserWarning, match="became nan in epoch 3.*after 2 epoch.*ends there"):
        est = made(small, on_divergence="stop", **settings).fit(X)
    assert (est.n_epochs_, est.n_steps_, len(est.history_)) == (2, 20, 2)
    np.testing.assert_array_equal(est.transform(X), two.transform(X))
    np.testing.assert_array_equal(est.sample(3, 0), two.sample(3, 0))


def test_stop_needs_an_epoch_to_go_back_to(small, digits, diverges):
    diverges(5)
    with pytest.raises(FloatingPointError, match="epoch 1"):
        made(small, on_divergence="stop").fit(digits[0])


@pytest.mark.parametrize("first", [3, 45])
def test_restore_goes_on_from_the_last_complete_epoch_with_other_draws(
    small, digits, diverges, first
):  # fmt: skip
    X, whole = digits[0], made(small).fit(digits[0])
    found = []
    for _ in range(2):
        diverges(first)
        with pytest.warns(UserWarning, match="goes on from there with other draws"):
            found.append(made(small, on_divergence="restore").fit(X))
    assert [row["epoch"] for row in found[0].history_] == [1, 2, 3, 4]
    assert found[0].n_steps_ == 40
    np.testing.assert_array_equal(found[0].transform(X), found[1].transform(X))
    assert not np.array_equal(found[0].transform(X), whole.transform(X))
    n_same = (first - 1) // 20
    losses = [[row["generator_loss"] for row in e.history_] for e in (found[0], whole)]
    assert losses[0][:n_same] == losses[1][:n_same] and losses[0][n_same] != losses[1][n_same]


def test_restore_gives_up_after_three_times_and_keeps_the_earlier_fit(small, digits, diverges):
    X = digits[0]
    est = made(small, n_epochs=1).fit(X)
    before = est.transform(X)
    diverges(*range(45, 10_000))
    with warnings.catch_warnings(record=True) as seen, pytest.raises(FloatingPointError):
        warnings.simplefilter("always")
        est.set_params(n_epochs=4, on_divergence="restore").fit(X)
    assert sum("on_divergence='restore'" in str(w.message) for w in seen) == 3
    np.testing.assert_array_equal(est.transform(X), before)


def test_nothing_changes_where_nothing_diverges(small, digits):
    X = digits[0]
    expected = made(small).fit(X).transform(X)
    for verb in ("stop", "restore"):
        found = made(small, on_divergence=verb).fit(X).transform(X)
        np.testing.assert_array_equal(found, expected)


def test_a_checkpoint_of_a_restored_training_goes_on_as_it_did(
    small, digits, diverges, tmp_path
):  # fmt: skip
    X, settings = digits[0], {"on_divergence": "restore", "checkpoint_dir": tmp_path}
    diverges(25)
    with pytest.warns(UserWarning, match="other draws"):
        whole = made(small, checkpoint_keep=9, **settings).fit(X)
    newest = max(tmp_path.rglob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
    newest.unlink()
    again = made(small, resume="must", **settings).fit(X)
    np.testing.assert_array_equal(again.transform(X), whole.transform(X))


# ------------------------------------------------------------------ collapse


class Constant(nn.Module):
    """A generator that makes the same image of every z."""

    def __init__(self):
        super().__init__()
        self.image = nn.Parameter(torch.zeros(1, 8, 8))

    def forward(self, z):
        return torch.tanh(self.image + 0 * z.sum(1).view(-1, 1, 1, 1))


def test_a_generator_that_makes_one_image_is_noticed(small, digits):
    guard = CollapseGuard(patience=2)
    gan = small(generator=Constant(), image_shape=(8, 8), n_epochs=5).set_callbacks(guard)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        gan.fit(digits[0])
    said = [str(w.message) for w in seen if "generated samples are alike" in str(w.message)]
    assert len(said) == 1 and said[0].startswith("after epoch 2")  # once, while it lasts
    assert [look["diversity"] for look in guard.looks] == [0.0] * 5 and gan.n_epochs_ == 5
    stopping = CollapseGuard("stop", every=2, patience=2)
    gan = small(generator=Constant(), image_shape=(8, 8), n_epochs=9).set_callbacks(stopping)
    with pytest.warns(UserWarning, match="after epoch 4.*Training ends"):
        gan.fit(digits[0])
    assert gan.n_epochs_ == 4 and [look["epoch"] for look in stopping.looks] == [2, 4]


def test_training_samples_that_are_all_the_same_are_no_collapse(small):
    guard = CollapseGuard(patience=1)
    small(image_shape=(8, 8), n_epochs=1).set_callbacks(guard).fit(np.full((20, 8, 8), 0.5))
    assert guard.looks[0]["diversity"] == 1.0


def test_a_discriminator_that_is_sure_of_everything_is_noticed(small, digits):
    guard = CollapseGuard(min_diversity=0, min_loss=0.05, max_alpha_cv=2.0)
    gan = small(
        image_shape=(8, 8), n_epochs=12, generator_lr=1e-9, discriminator_lr=2e-3, norm="none",
        discriminator=DCGANSpec(16), validation_fraction=0.2,
    ).set_callbacks(guard)  # fmt: skip
    with pytest.warns(UserWarning, match="sure of everything: its loss is"):
        gan.fit(digits[0])
    assert "discriminator_loss" in guard.looks[-1]["signs"]
    assert gan.history_[-1]["discriminator_loss"] < 0.05
    assert all("alpha_cv" in look for look in guard.looks)


def test_alpha_that_differs_wildly_is_noticed(small, digits):
    guard = CollapseGuard(min_diversity=0, max_alpha_cv=0.05, patience=1)
    gan = small(image_shape=(8, 8), validation_fraction=0.2).set_callbacks(guard)
    with pytest.warns(UserWarning, match="p_g / p_r differs wildly between real samples"):
        gan.fit(digits[0])


def test_a_healthy_training_is_left_alone_to_the_bit(small, digits):
    X, guard = digits[0], CollapseGuard("stop")
    settings = {"image_shape": (8, 8), "n_epochs": 10, "lr": 1e-3, "generator": DCGANSpec(16),
                "discriminator": DCGANSpec(16)}  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        watched = small(**settings).set_callbacks(guard).fit(X)
    assert watched.n_epochs_ == 10 and guard.looks[-1]["diversity"] > 0.15
    np.testing.assert_array_equal(watched.transform(X), small(**settings).fit(X).transform(X))


def test_values_of_a_guard_that_cannot_work(small, digits):
    for settings in ({"action": "end"}, {"every": 0}, {"patience": 0}, {"min_diversity": 2},
                     {"n_samples": 1}, {"min_loss": -1}, {"max_alpha_cv": "x"}):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(settings))):
            CollapseGuard(**settings)
    with pytest.raises(ValueError, match="SupervisedFeatures has none"):
        small(SupervisedFeatures, image_shape=(8, 8)).set_callbacks(CollapseGuard()).fit(*digits)
