"""The latent regressor, and the joint one: what E inverts, and what G hears of it."""

import numpy as np
import pytest
import torch

from skgan import LatentRegressorEncoder, MLPSpec
from tests.methods.games import cycle_error, linear_gaussian, linear_generator, one_step, recovery

DENSE = {"generator": MLPSpec(16), "encoder": MLPSpec(16), "discriminator": MLPSpec(16)}
TINY = DENSE | {"latent_dim": 4, "n_epochs": 1, "batch_size": 50, "random_state": 0}


@pytest.mark.parametrize("latent", ["uniform", "normal"])
@pytest.mark.parametrize("joint", [False, True])
def test_encoder_inverts_the_generator(latent, joint):
    X = linear_gaussian(2000, latent)
    spec = MLPSpec(32)
    settings = {
        "generator": linear_generator, "encoder": spec, "discriminator": spec, "latent_dim": 2,
        "latent": latent, "joint": joint, "output": "latent", "n_epochs": 30, "batch_size": 200,
        "lr": 2e-3, "lr_decay": "linear", "weight_decay": 0.0, "random_state": 0,
    }  # fmt: skip
    untrained = LatentRegressorEncoder(**(settings | {"n_epochs": 0})).fit(X)
    est = LatentRegressorEncoder(**settings).fit(X)
    assert abs(recovery(untrained, latent)) < 0.01  # its last layer is zero: every code is
    assert recovery(est, latent) >= 0.9
    assert cycle_error(est, X) <= 0.2 < cycle_error(untrained, X)


def weights(est, role):
    return [p.detach() for p in getattr(est, f"{role}_").parameters()]


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("play", ["simultaneous", "alternating"])
def test_only_the_joint_form_reaches_the_generator(digits, play):
    X = digits[0]
    alone, heavy, zero, joint = (
        LatentRegressorEncoder(**TINY, play=play, **s).fit(X)
        for s in (
            {}, {"regressor_weight": 9.0}, {"joint": True, "regressor_weight": 0.0}, {"joint": True}
        )
    )  # fmt: skip
    assert same(weights(alone, "generator"), weights(heavy, "generator"))
    assert same(weights(alone, "generator"), weights(zero, "generator"))
    assert not same(weights(alone, "generator"), weights(joint, "generator"))
    start = LatentRegressorEncoder(**(TINY | {"n_epochs": 0})).fit(X)
    assert not same(weights(start, "encoder"), weights(alone, "encoder"))


@pytest.mark.parametrize("joint", [False, True])
def test_losses_start_at_log_2(digits, joint):
    _, _, (losses,) = one_step(
        LatentRegressorEncoder(**(TINY | {"n_epochs": 0}), joint=joint), digits[0]
    )
    # The last layers of E and D begin at 0.
    assert losses["encoder"].item() == pytest.approx(np.log(2), abs=1e-6)
    assert losses["discriminator"].item() == pytest.approx(np.log(2), abs=1e-6)
    expected = (1.25 if joint else 1.0) * np.log(2)
    assert losses["generator"].item() == pytest.approx(expected, abs=1e-6)


def test_a_normal_prior_has_a_squared_error(digits):
    _, batch, (losses,) = one_step(
        LatentRegressorEncoder(**(TINY | {"n_epochs": 0}), latent="normal"), digits[0]
    )
    assert losses["encoder"].item() == pytest.approx(batch.latent().square().mean().item())
