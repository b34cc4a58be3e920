"""Autoencoders: they reproduce, and noise and dropout do what they say."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from skgan import AutoencoderFeatures, MLPSpec
from tests.methods.games import cycle_error, linear_gaussian, one_step

DENSE = {"generator": MLPSpec(32), "encoder": MLPSpec(32)}
TINY = DENSE | {"latent_dim": 4, "n_epochs": 1, "batch_size": 50, "random_state": 0}


@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_rows_come_back(loss):
    X = linear_gaussian()
    settings = {"latent_dim": 2, "lr": 2e-3, "lr_decay": "linear", "loss": loss, "batch_size": 100}
    est = AutoencoderFeatures(**DENSE, **settings, n_epochs=30, random_state=0).fit(X)
    untrained = AutoencoderFeatures(**DENSE, **settings, n_epochs=0, random_state=0).fit(X)
    assert cycle_error(est, X) <= 0.05 < 0.5 < cycle_error(untrained, X)


def test_a_narrow_code_is_about_as_good_as_the_same_number_of_components(digits):
    X = digits[0]
    pca = PCA(8, random_state=0).fit(X)
    linear = np.square(X - pca.inverse_transform(pca.transform(X))).mean()
    est = AutoencoderFeatures(
        image_shape=(8, 8), generator="mlp", encoder="mlp", latent_dim=8, lr=2e-3, n_epochs=100,
        batch_size=50, random_state=0,
    ).fit(X)  # fmt: skip
    assert np.square(X - est.reconstruct(X)).mean() < 1.5 * linear


def test_there_is_nothing_to_sample_from(digits):
    est = AutoencoderFeatures(**TINY).fit(digits[0])
    for name in ("sample", "sample_images"):
        with pytest.raises(AttributeError) as caught:
            getattr(est, name)(2)
        assert "no prior" in str(caught.value.__cause__)
    assert "latent" not in est.get_params() and "discriminator" not in est.get_params()


def test_noise_and_dropout(digits, monkeypatch):
    """E sees noisy rows and G thinned codes, but the target is the clean row."""
    X = digits[0]
    est = AutoencoderFeatures(**(TINY | {"n_epochs": 0}), noise=0.5, dropout=0.25)
    seen = {}
    encode = AutoencoderFeatures._encode

    def watched(self, nets, x):
        seen["x"], seen["z"] = x, encode(self, nets, x)
        nets.generator.register_forward_pre_hook(lambda _, inputs: seen.update(thin=inputs[0]))
        return seen["z"]

    monkeypatch.setattr(AutoencoderFeatures, "_encode", watched)
    nets, batch, (losses,) = one_step(est, X)
    noise = seen["x"] - batch.x
    assert noise.std().item() == pytest.approx(0.5, rel=0.05)
    kept = seen["thin"] != 0
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.1)
    torch.testing.assert_close(seen["thin"][kept], seen["z"][kept] / 0.75)
    out = nets.generator(seen["thin"])
    assert losses["encoder"] is losses["generator"]
    torch.testing.assert_close(losses["encoder"], (out - batch.x).square().mean())


@pytest.mark.parametrize("settings", [{"noise": 0.3}, {"dropout": 0.3}, {"loss": "l1"}], ids=str)
def test_settings_change_the_fit_and_are_repeatable(digits, settings):
    X = digits[0]
    default, one, two = (AutoencoderFeatures(**TINY, **s).fit(X) for s in ({}, settings, settings))
    assert np.array_equal(one.transform(X), two.transform(X))
    assert not np.array_equal(one.transform(X), default.transform(X))
