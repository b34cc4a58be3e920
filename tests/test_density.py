"""The density ratio: against closed forms, matched and collapsed, and over a training."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    DCGANDiscriminatorFeatures,
    LatentRegressorEncoder,
    MLPSpec,
)


class Shifted(nn.Module):
    """z * scale + shift: a generator whose density is known."""

    def __init__(self, shift, scale):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor([float(shift)]))
        self.scale = nn.Parameter(torch.tensor([float(scale)]))

    def forward(self, z):
        return z * self.scale + self.shift


def judge_of(shift, scale):
    """D near its best against a generator that stands still, on rows from N(0, 1)."""
    X = np.random.default_rng(0).normal(size=(4000, 1))
    X = (X - X.mean()) / X.std()
    return DCGANDiscriminatorFeatures(
        generator=Shifted(shift, scale), generator_lr=1e-12, discriminator=MLPSpec(32),
        norm="none", latent_dim=1, latent="normal", lr=3e-3, lr_decay="linear", n_epochs=20,
        batch_size=200, weight_decay=0.0, validation_fraction=0.25, random_state=0, device="cpu",
    ).fit(X)  # fmt: skip


def test_the_ratio_of_two_gaussians():
    """p_g / p_r = exp(s x - s^2 / 2) for N(s, 1) over N(0, 1); its CV is sqrt(exp(s^2) - 1)."""
    est, x = judge_of(0.5, 1), np.linspace(-1.5, 1.5, 31)[:, None]
    error = np.log(est.density_ratio(x)) - (0.5 * x[:, 0] - 0.125)
    assert np.abs(error).mean() < 0.06
    assert est.history_[-1]["alpha_cv"] == pytest.approx(np.sqrt(np.exp(0.25) - 1), abs=0.1)
    np.testing.assert_allclose(est.density_ratio(x), np.exp(-est.score_samples(x).astype(float)))


def test_alpha_is_constant_for_a_matched_generator_and_not_for_a_collapsed_one():
    matched, collapsed = judge_of(0, 1).history_[-1], judge_of(0, 0.3).history_[-1]
    assert matched["alpha_cv"] < 0.1 and matched["alpha_mean"] == pytest.approx(1, abs=0.05)
    assert collapsed["alpha_cv"] > 0.8


@pytest.mark.parametrize("cls", [DCGANDiscriminatorFeatures, BiGANEncoder, LatentRegressorEncoder])
def test_the_rest_of_the_training_does_not_notice(small, digits, cls):
    """Rows held out are looked at, and leave no trace: a fit on the others alone is the same."""
    X = digits[0]
    est = small(cls, image_shape=(8, 8), validation_fraction=0.2).fit(X)
    assert est.n_steps_ == 2 * 8  # 240 rows in batches of 32
    for row in est.history_:
        assert row["alpha_cv"] > 0 and row["alpha_mean"] > 0
    assert "alpha_cv" not in small(cls, image_shape=(8, 8)).fit(X).history_[0]
    # The same rows, chosen as `fit` chooses them.
    order = torch.randperm(300, generator=torch.Generator().manual_seed(est._seed)).numpy()
    kept = X[np.sort(order[60:])]
    alone = clone(est).set_params(validation_fraction=0.0, value_range=(0, 16)).fit(kept)
    watched = clone(est).set_params(value_range=(0, 16)).fit(X)
    assert np.array_equal(alone.transform(X), watched.transform(X))
    again = clone(watched).set_params(warm_start=True, n_epochs=1).fit(X)
    again.set_params(n_epochs=2).fit(X)
    assert np.array_equal(again.transform(X), watched.transform(X))
    assert again.history_[1]["alpha_cv"] == watched.history_[1]["alpha_cv"]


def test_where_there_is_no_ratio(small, digits):
    X = digits[0]
    est = small(image_shape=(8, 8), loss="hinge").fit(X)
    assert not hasattr(est, "density_ratio")
    with pytest.raises(ValueError, match=r"validation_fraction=0.5 must be 0 here: with loss='hi"):
        est.set_params(validation_fraction=0.5).fit(X)
    assert not hasattr(small(BiGANEncoder, image_shape=(8, 8), unary=True).fit(X), "density_ratio")
    assert not hasattr(AutoencoderFeatures(), "density_ratio")
    for bad in (1.0, -0.1, "half"):
        with pytest.raises(ValueError, match="validation_fraction="):
            small(image_shape=(8, 8), validation_fraction=bad).fit(X)
    with pytest.raises(ValueError, match="leaves 0 to train on"):
        small(image_shape=(8, 8), validation_fraction=0.5).fit(X[:2])
