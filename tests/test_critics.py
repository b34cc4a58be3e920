"""What critics can be given besides their loss: R1, terms of a method's own, augmentation."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import skgan
from skgan import (
    BiGANEncoder,
    ContrastiveDiscriminatorFeatures,
    DCGANDiscriminatorFeatures,
    InfoGANExtractor,
    LatentRegressorEncoder,
    MGANExtractor,
    MLPSpec,
    critics,
)
from skgan.base import BaseGAN
from skgan.critics import CriticParameters
from skgan.nn import build_network
from skgan.parameters import GeneratorParameters, PriorParameters, TrunkFeatures
from skgan.penalties import zero_centred_penalty
from skgan.utils.parameters import parameters

CRITICS = (DCGANDiscriminatorFeatures, BiGANEncoder, LatentRegressorEncoder, MGANExtractor)


def test_the_penalty_is_the_formula_on_four_samples():
    """D(x) = (w x)^2 has the gradient 2 (w x) w."""
    w = torch.tensor([1.0, -2.0, 0.5])
    x = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 2.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    expected = 3.0 / 2 * np.mean([4 * s**2 * float(w @ w) for s in (x @ w).tolist()])
    assert zero_centred_penalty(lambda x: (x @ w).square(), (x,), weight=3.0).item() == (
        pytest.approx(expected)
    )


@pytest.mark.parametrize("cls", [*CRITICS, ContrastiveDiscriminatorFeatures])
def test_presets_are_plain_parameters_that_can_be_overridden(cls, small, digits):
    presets = {name: cls.from_preset(name) for name in cls._presets}
    assert "best" in presets
    for name, preset in presets.items():
        assert type(preset) is cls
        defaults = cls().get_params()
        changed = {k: v for k, v in preset.get_params(deep=False).items() if v != defaults[k]}
        assert changed == cls._presets[name], "a preset repeats no default"
    own = cls.from_preset("best", lr=0.5, n_epochs=1)
    assert own.lr == 0.5 and own.n_epochs == 1
    preset = small(cls, image_shape=(8, 8), **{**cls._presets["best"], "batch_size": 32})
    assert np.isfinite(preset.fit(digits[0]).transform(digits[0])).all()
    with pytest.raises(ValueError, match=r"name='better' .*'best'"):
        cls.from_preset("better")
    with pytest.raises(TypeError, match="learning_rate"):
        cls.from_preset("best", learning_rate=1.0)


def test_pairs_are_penalised_in_both_parts():
    def joint(x, z):
        return 2 * x.sum(1) + 3 * z.sum(1)

    x, z = torch.zeros(4, 5), torch.ones(4, 2)
    penalty = zero_centred_penalty(joint, (x, z), weight=1.0)
    assert penalty.item() == pytest.approx((4 * 5 + 9 * 2) / 2)


def test_five_steps_with_lazy_r1_equal_a_loop_written_by_hand(digits, monkeypatch):
    X, spec = digits[0][:250], MLPSpec(16)
    chosen = {
        "generator": spec, "discriminator": spec, "latent_dim": 4, "norm": "none", "lr": 1e-3,
        "batch_size": 50, "random_state": 3, "device": "cpu", "r1_weight": 5.0, "r1_every": 2,
    }  # fmt: skip
    start = DCGANDiscriminatorFeatures(**chosen, n_epochs=0).fit(X)
    G, D = (copy.deepcopy(net).train() for net in (start.generator_, start.discriminator_))
    seen, step = [], DCGANDiscriminatorFeatures._step

    def recording(self, nets, batch, update):
        z = batch.latent()
        seen.append((batch.x.clone(), z.clone()))
        object.__setattr__(batch, "latent", lambda: z)
        step(self, nets, batch, update)

    monkeypatch.setattr(DCGANDiscriminatorFeatures, "_step", recording)
    est = DCGANDiscriminatorFeatures(**chosen, n_epochs=1).fit(X)
    assert len(seen) == 5
    optimizers = {
        net: torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999), weight_decay=2.5e-5)
        for net in (D, G)
    }
    logged = []
    softplus = nn.functional.softplus

    def move(net, loss):
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        for p, g in zip(net.parameters(), gradients, strict=True):
            p.grad = g
        optimizers[net].step()

    for i, (x, z) in enumerate(seen):
        x = x.requires_grad_()
        loss = softplus(-D(x)).mean() + softplus(D(G(z).detach())).mean()
        if i % 2 == 0:  # every second step counts twice
            (slope,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
            logged.append(2 * 5.0 / 2 * slope.square().sum(1).mean())
            loss = loss + logged[-1]
        move(D, loss)
        move(G, softplus(-D(G(z))).mean())
    for mine, theirs in ((G, est.generator_), (D, est.discriminator_)):
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=5e-6)
    (row,) = est.history_
    assert row["discriminator_r1"] == pytest.approx(torch.stack(logged).mean().item(), rel=1e-5)


@pytest.mark.parametrize("cls", [*CRITICS, InfoGANExtractor])
def test_every_class_with_a_critic_has_r1_without_a_line_of_its_own(small, digits, cls):
    settings = {"image_shape": (8, 8), "norm": "spectral", "n_epochs": 1}
    if cls is MGANExtractor:
        settings |= {"n_shared_layers": 1, "n_generators": 3}
    plain = small(cls, **settings).fit(digits[0])
    with_r1 = small(cls, r1_weight=10.0, r1_every=4, **settings).fit(digits[0])
    assert "discriminator_r1" not in plain.history_[0]
    assert with_r1.history_[0]["discriminator_r1"] > 0
    pairs = zip(plain.discriminator_.parameters(), with_r1.discriminator_.parameters(), strict=True)
    assert any(not torch.equal(p, q) for p, q in pairs)
    with pytest.raises(
        ValueError, match=r"^r1_weight=10.0 does not go with norm='batch'.*Use norm"
    ):
        with_r1.set_params(norm="batch").fit(digits[0])


class Dimmed(DCGANDiscriminatorFeatures):
    """Whose critic sees samples at half their strength."""

    passes = []

    def _augmentation(self, rng):
        def dim(x):
            self.passes.append(x)
            return x / 2

        return dim


def test_everything_that_a_critic_sees_in_training_is_augmented(small, digits, monkeypatch):
    X = digits[0][:64]
    judged, call = [], critics.Seen.__call__

    def looking(self, x, *others):
        before = len(Dimmed.passes)
        out = call(self, x, *others)
        judged.append(len(Dimmed.passes) - before)
        return out

    monkeypatch.setattr(critics.Seen, "__call__", looking)
    Dimmed.passes.clear()
    est = small(Dimmed, image_shape=(8, 8), n_epochs=1, feature_matching="mean").fit(X)
    # A step: real and generated for D, generated for G, and the features of both.
    assert len(Dimmed.passes) == est.n_steps_ * 5 and set(judged) == {1}
    n = len(Dimmed.passes)
    features = est.transform(X)
    assert len(Dimmed.passes) == n  # features are of the samples as they are
    plain = small(image_shape=(8, 8), n_epochs=0).fit(X)
    untrained = small(Dimmed, image_shape=(8, 8), n_epochs=0).fit(X)
    assert np.array_equal(untrained.transform(X), plain.transform(X))
    assert not np.array_equal(features, plain.transform(X))


class TwoOutputs(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.recipe = None

    def forward(self, x):
        logit = self.net(x)
        return logit, logit.square()


@parameters
class ThreePasses(PriorParameters, GeneratorParameters, CriticParameters, TrunkFeatures, BaseGAN):
    """A critic with two outputs that judges three kinds of samples."""

    def _build(self, shape, rng):
        G = build_network("generator", self.generator, rng, latent_dim=self.latent_dim,
                          output_shape=shape)  # fmt: skip
        D = build_network("discriminator", self.discriminator, rng, input_shape=shape, norm="none")
        return {"generator": G, "discriminator": TwoOutputs(D)}

    def _step(self, nets, batch, update):
        G, D, x = nets.generator, nets.discriminator, batch.x
        fake = G(batch.latent())
        (real, a), (other, b), (made, c) = D(x), D(x.flip(0)), D(fake)
        l_d = made.mean() - real.mean() - other.mean() + (a + b + c).mean()
        added = self._added(lambda x: D(x)[0], batch, (x,), (fake,))
        update(discriminator=l_d + added)
        batch.log(discriminator_real=real, discriminator_other=other, discriminator_generated=made)
        update(generator=-D(G(batch.latent()))[0].mean())

    def _refresh(self, nets, x, z):
        nets.discriminator(x)
        nets.generator(z)

    def _extractor(self, nets):
        nets.discriminator = nets.discriminator.net
        return super()._extractor(nets)


def test_critics_of_several_outputs_and_three_passes(small, digits):
    est = small(ThreePasses, image_shape=(8, 8), norm="none", r1_weight=1.0, n_epochs=1)
    row = est.fit(digits[0]).history_[0]
    assert {"discriminator_real", "discriminator_other", "discriminator_generated",
            "discriminator_r1", "discriminator_loss"} <= row.keys()  # fmt: skip
    assert all(np.isfinite(v) for v in row.values())
    assert row["discriminator_real"] == pytest.approx(row["discriminator_other"], rel=1e-4)
    assert row["discriminator_real"] != row["discriminator_generated"]


@pytest.mark.parametrize("name", ["ACGANFeatures", "FeatureMatchingClassifier", "InfoGANExtractor"])
def test_the_rate_of_the_discriminator_is_that_of_its_trunk_too(name, digits):
    """With a rate near 0 all of D stays where it began, unless the trunk has a rate of its own."""
    X, y = digits[0][:100], digits[1][:100] % 3
    cls = getattr(skgan, name)

    def trunk(**settings):
        est = cls(
            image_shape=(8, 8), generator=MLPSpec(8), discriminator=MLPSpec(8), random_state=0,
            weight_decay=0.0, **({"n_epochs": 1} | settings),
        ).fit(X, y)  # fmt: skip
        return torch.cat([p.detach().flatten() for p in est.trunk_.parameters()])

    start = trunk(n_epochs=0)
    slow, own = trunk(discriminator_lr=1e-12), trunk(discriminator_lr=1e-12, trunk_lr=1e-3)
    assert (slow - start).abs().max() < 1e-9 < 1e-4 < (own - start).abs().max()
