"""BiGAN: its claims on a problem with a known answer, its signs, its parts."""

import copy
import math
import warnings

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from skgan import BiGANEncoder, DCGANSpec, MLPSpec
from skgan.losses import JOINT_LOSSES, ns_discriminator
from skgan.nn import build_network
from skgan.nn.codes import Prior, resize
from tests.methods.games import (
    alignment,
    cycle_error,
    distance_from_the_prior,
    linear_encoder,
    linear_gaussian,
    linear_generator,
    one_step,
    recording,
    recovery,
)

LINEAR = {
    "generator": linear_generator, "encoder": linear_encoder, "discriminator": MLPSpec(32),
    "latent_dim": 2, "latent": "normal", "encoder_output": "linear", "output": "latent",
    "n_epochs": 60, "batch_size": 200, "lr": 3e-3, "lr_decay": "linear", "weight_decay": 0.0,
}  # fmt: skip


@pytest.fixture
def small_bigan():
    def make(**settings):
        spec = DCGANSpec(4)
        chosen = {
            "image_shape": (8, 8), "generator": spec, "encoder": spec, "discriminator": spec,
            "latent_dim": 6, "n_epochs": 2, "batch_size": 32, "random_state": 0, "device": "cpu",
        }  # fmt: skip
        return BiGANEncoder(**(chosen | settings))

    return make


# ------------------------------------------------------------------ claims


# Batch norm would hide from D how far out a batch is and how wide.
@pytest.mark.parametrize("seed", range(3))
def test_encoder_and_generator_invert_each_other(seed):
    """Theorem 2, on a linear Gaussian problem; and theorem 1: real rows' codes are the prior's.

    Without the second, a generator that inverts an encoder which never moves would do.
    """
    X = linear_gaussian()
    settings = LINEAR | {"norm": "none", "n_epochs": 120, "random_state": seed}
    untrained = BiGANEncoder(**(settings | {"n_epochs": 0})).fit(X)
    est = BiGANEncoder(**settings).fit(X)
    assert recovery(untrained) < 0
    assert recovery(est) >= 0.95
    assert cycle_error(est, X) <= 0.2 < cycle_error(untrained, X)
    assert distance_from_the_prior(est, X) <= 0.2 < 0.5 < distance_from_the_prior(untrained, X)


def test_ali_inverts_its_generator():
    """ALI: the codes of an encoder with noise (Dumoulin et al. 2017)."""
    X = linear_gaussian()

    def gaussian_encoder(input_shape, n_outputs):
        return nn.Linear(*input_shape, n_outputs)

    settings = LINEAR | {"norm": "none", "n_epochs": 120, "random_state": 0}
    settings |= {"encoder": gaussian_encoder, "encoder_output": "gaussian"}
    untrained = BiGANEncoder(**(settings | {"n_epochs": 0})).fit(X)
    est = BiGANEncoder(**settings).fit(X)
    assert recovery(untrained) < 0.5
    assert recovery(est) >= 0.95
    assert cycle_error(est, X) <= 0.2 < cycle_error(untrained, X)


def test_a_categorical_part_finds_clusters():
    """Three clusters, a prior of three categories: each cluster has one of its own."""
    rng = np.random.default_rng(0)
    cluster = rng.integers(3, size=2000)
    angle = 2 * np.pi * cluster / 3
    X = 3 * np.c_[np.cos(angle), np.sin(angle)] + 0.1 * rng.normal(size=(2000, 2))
    settings = {
        "generator": MLPSpec(64), "encoder": MLPSpec(64), "discriminator": MLPSpec(64),
        "latent_dim": 2, "categories": (3,), "norm": "none", "output": "latent", "lr": 1e-3,
        "batch_size": 200, "random_state": 0, "weight_decay": 0.0,
    }  # fmt: skip

    def purity(n_epochs):
        est = BiGANEncoder(**settings, n_epochs=n_epochs).fit(X)
        category = est.transform(X)[:, 2:].argmax(1)
        counts = np.zeros((3, 3))
        np.add.at(counts, (cluster, category), 1)
        return counts.max(0).sum() / len(X), len(set(counts.argmax(1)))

    assert purity(0)[1] < 3 or purity(0)[0] < 0.9
    assert purity(60) >= (0.95, 3)


@pytest.mark.parametrize("seed", range(3))
def test_unary_terms_do_not_collapse(seed):
    X = linear_gaussian()
    settings = LINEAR | {"unary": True, "lr": 5e-3, "random_state": seed}
    est = BiGANEncoder(**settings).fit(X)
    assert recovery(est) >= 0.95
    assert cycle_error(est, X) <= 0.2
    spread = est.transform(X).std(0)
    assert (spread > 0.7).all() and (spread < 1.4).all()


def test_with_information_a_categorical_part_finds_clusters_and_without_it_seldom():
    """Five clusters. L_I reaches the entropy; a BiGAN alone leaves much of the code unused."""
    rng = np.random.default_rng(0)
    y = rng.integers(5, size=1000)
    angle = 2 * np.pi * y / 5
    X = 4 * np.c_[np.cos(angle), np.sin(angle)] + 0.3 * rng.normal(size=(1000, 2))
    settings = {
        "generator": MLPSpec(64), "encoder": MLPSpec(64), "discriminator": MLPSpec(64),
        "latent_dim": 8, "categories": (5,), "norm": "none", "output": "latent", "lr": 1e-3,
        "batch_size": 100, "n_epochs": 20, "weight_decay": 0.0, "play": "alternating",
    }  # fmt: skip

    def fit(weight, seed):
        est = BiGANEncoder(**settings, info_weight=weight, random_state=seed).fit(X)
        matches = np.zeros((5, 5))
        np.add.at(matches, (est.transform(X)[:, 8:].argmax(1), y), 1)
        one_to_one = linear_sum_assignment(-matches)
        made = est.transform(est.sample(1000, 0, component=np.arange(1000) % 5))[:, 8:]
        told = np.log(made[np.arange(1000), np.arange(1000) % 5]).mean() / np.log(5) + 1
        return matches[one_to_one].sum() / len(X), told

    informed = np.array([fit(1.0, seed) for seed in range(3)])
    alone = np.array([fit(0.0, seed) for seed in range(3)])
    assert informed.min(0)[0] > 0.95 and informed.min(0)[1] > 0.95, informed
    assert (alone.mean(0) < 0.9).all(), alone  # one seed in eight finds all clusters by itself


# ------------------------------------------------------------------ the game


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_five_steps_equal_a_loop_written_by_hand(digits, monkeypatch, weight):
    """Simultaneous play: every gradient is taken before any network moves."""
    X = digits[0][:250]
    spec = MLPSpec(16)
    settings = {
        "generator": spec, "encoder": spec, "discriminator": spec, "latent_dim": 4,
        "batch_size": 50, "random_state": 3, "device": "cpu",
        "categories": (3, 2), "info_weight": weight,
    }  # fmt: skip
    start = BiGANEncoder(**settings, n_epochs=0).fit(X)
    G, E, D = (
        copy.deepcopy(n).train() for n in (start.generator_, start.encoder_, start.discriminator_)
    )
    seen = recording(monkeypatch, BiGANEncoder)
    est = BiGANEncoder(**settings, n_epochs=1).fit(X)
    assert len(seen) == est.n_steps_ == 5

    softplus = nn.functional.softplus  # -log sigma(-a)
    optimizers = [
        torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999), weight_decay=2.5e-5, fused=True)
        for net in (D, G, E)
    ]
    bounds = []
    for x, z in seen:
        a, x_hat = E(x), G(z)
        numbers, first, second = a[:, :4], a[:, 4:7], a[:, 7:]
        z_hat = [2 * torch.sigmoid(numbers) - 1, first.softmax(1), second.softmax(1)]
        encoded, generated = D(x, torch.cat(z_hat, 1)), D(x_hat, z)
        d_loss = 0.5 * (softplus(-encoded).mean() + softplus(generated).mean())
        eg_loss = 0.5 * (softplus(encoded).mean() + softplus(-generated).mean())
        if weight:
            told = E(x_hat)[:, 4:]
            log_q = torch.cat([told[:, :3].log_softmax(1), told[:, 3:].log_softmax(1)], 1)
            nll = -(z[:, 4:] * log_q).sum(1).mean()
            eg_loss = eg_loss + weight * nll
            bounds.append(math.log(6) - nll.item())
        grads = [
            torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
            for loss, net in ((d_loss, D), (eg_loss, G), (eg_loss, E))
        ]
        for net, optimizer, grad in zip((D, G, E), optimizers, grads, strict=True):
            for p, g in zip(net.parameters(), grad, strict=True):
                p.grad = g
            optimizer.step()
    for mine, theirs in ((G, est.generator_), (E, est.encoder_), (D, est.discriminator_)):
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-6)
    logged = {k: v for k, v in est.history_[-1].items() if k.startswith("information")}
    expected = [np.mean(bounds), np.mean(bounds) / math.log(6)] if weight else []
    assert list(logged.values()) == pytest.approx(expected, abs=1e-5)
    assert list(logged) == ["information_categorical", "information_share"][: len(expected)]


@pytest.mark.parametrize("output", ["squashed", "gaussian"])
def test_what_is_lost_of_the_categories_by_hand_on_four_samples(output):
    """-E log Q(c | G(z)), of two codes; what E says of the numbers of z plays no part."""
    scores = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [-1.0, 4.0, 0.5], [2.0, -2.0, 0.0]])
    other = np.array([[0.5, 0.0], [1.0, -1.0], [0.0, 3.0], [-2.0, 2.0]])
    first, second = np.array([2, 0, 1, 1]), np.array([0, 1, 1, 0])

    def surprise(rows, which):
        return np.mean(np.log(np.exp(rows).sum(1)) - rows[np.arange(4), which])

    def t(*columns):
        return torch.tensor(np.hstack(columns))

    noise = np.random.default_rng(0).normal(size=(4, 10))
    est = BiGANEncoder(latent_dim=5, categories=(3, 2), encoder_output=output)
    a = t(noise[:, :5], scores, other, *([noise[:, 5:]] if output == "gaussian" else []))
    lost = est._nll(a, t(noise[:, :5], np.eye(3)[first], np.eye(2)[second]))
    assert lost.item() == pytest.approx(surprise(scores, first) + surprise(other, second))


@pytest.mark.parametrize("play", ["simultaneous", "alternating"])
def test_information_moves_the_generator_and_the_encoder_alone(small_bigan, digits, play):
    """E sees a generated image as it sees a real one of X, whatever size G works at."""
    sizes = {"encoder_size": 12, "generator_size": 16, "categories": (3,), "play": play}

    def losses(weight):
        est = small_bigan(**sizes, info_weight=weight, n_epochs=0)
        nets, batch, updates = one_step(est, digits[0])
        return nets, batch, {k: (v + 0).item() for u in updates for k, v in u.items()}

    (*_, plain), (nets, batch, informed) = losses(0.0), losses(2.0)
    z = batch.latent()
    seen = resize(resize(nets.generator(z), (8, 8)), (12, 12))
    nll = nn.functional.cross_entropy(nets.encoder(seen)[:, 6:], z[:, 6:].argmax(1)).item()
    for role, more in (("discriminator", 0), ("generator", 2 * nll), ("encoder", 2 * nll)):
        assert informed[role] == pytest.approx(plain[role] + more, abs=1e-5)


def test_information_needs_categories(small_bigan, digits):
    for settings, message in (
        ({"info_weight": 1.0}, r"info_weight=1.0 with categories=\(\) has no code to tell"),
        ({"info_weight": -1, "categories": (3,)}, "info_weight=-1 must be"),
        ({"info_weight": "1", "categories": (3,)}, "info_weight='1' must be"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            small_bigan(**settings).fit(digits[0])


@pytest.mark.parametrize("unary", [False, True])
@pytest.mark.parametrize("play", ["simultaneous", "alternating"])
def test_whose_wishes_are_whose(small_bigan, digits, unary, play, monkeypatch):
    """E wants D(x, E(x)) down, G wants D(G(z), z) up, D the opposite of both."""
    monkeypatch.setattr("skgan.methods.bigan.zero_head", lambda net: net)  # a D with opinions
    nets, batch, updates = one_step(small_bigan(unary=unary, play=play, n_epochs=0), digits[0])
    assert [set(u) for u in updates] == (
        [{"discriminator", "generator", "encoder"}]
        if play == "simultaneous"
        else [{"discriminator"}, {"generator", "encoder"}]
    )
    losses = {k: v for u in updates for k, v in u.items()}
    z = batch.latent()
    prior = Prior("uniform", 6)
    encoded = nets.discriminator(batch.x, prior.code(nets.encoder(batch.x), "squashed")).mean()
    generated = nets.discriminator(nets.generator(z), z).mean()
    assert alignment(losses["encoder"], encoded, nets.encoder) > 0  # down the loss, D falls
    assert alignment(losses["generator"], generated, nets.generator) < 0
    assert alignment(losses["discriminator"], encoded - generated, nets.discriminator) < 0


def test_both_losses_start_at_log_2(small_bigan, digits):
    _, _, ((losses),) = one_step(small_bigan(n_epochs=0, discriminator="mlp"), digits[0])
    for loss in losses.values():
        assert loss.item() == pytest.approx(np.log(2), abs=1e-6)  # D's last layer begins at 0
    assert losses["generator"] is losses["encoder"]


def test_a_last_layer_with_spectral_norm_does_not_begin_at_zero(small_bigan, digits):
    """0 has no spectral norm."""
    est = small_bigan(norm="spectral", n_epochs=1).fit(digits[0])
    assert np.isfinite(est.transform(digits[0])).all()
    assert np.isfinite(est.history_[-1]["discriminator_loss"])


def test_losses_against_numbers():
    a, b = torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 0.5])
    tell, confuse = JOINT_LOSSES[False]
    assert tell(a, b).item() == pytest.approx(0.5 * ns_discriminator(a, b).item())
    assert confuse(a, b).item() == pytest.approx(tell(b, a).item())
    s = torch.tensor([[0.5, 2.0, -1.0]])
    t = torch.tensor([[-2.0, 0.0, 0.5]])
    tell, confuse = JOINT_LOSSES[True]
    assert tell(s, t).item() == pytest.approx((0.5 + 0 + 2) + (0 + 1 + 1.5))
    assert confuse(s, t).item() == pytest.approx(1.5 - -1.5)


# ------------------------------------------------------------------ parts


def test_prior_with_categories():
    prior = Prior("uniform", 3, (4, 2))
    z = prior.draw(500, torch.Generator().manual_seed(0))
    assert z.shape == (500, prior.dim) == (500, 9)
    assert z[:, :3].abs().max() <= 1
    for part in (z[:, 3:7], z[:, 7:]):
        assert set(part.unique().tolist()) == {0.0, 1.0} and (part.sum(1) == 1).all()
        assert part.mean(0).sub(1 / part.shape[1]).abs().max() < 0.08
    assert len(set(prior.names())) == 9


def test_codes():
    prior = Prior("normal", 2, (3,))
    a = torch.randn(5, prior.n_outputs("gaussian"), generator=torch.Generator().manual_seed(0))
    assert a.shape == (5, 7)
    z = prior.code(a, "gaussian", lambda *shape: torch.ones(shape))
    torch.testing.assert_close(z[:, :2], a[:, :2] + a[:, 5:].exp())
    torch.testing.assert_close(z[:, 2:], a[:, 2:5].softmax(1))
    torch.testing.assert_close(prior.code(a, "gaussian")[:, :2], a[:, :2])
    torch.testing.assert_close(prior.code(a[:, :5], "squashed")[:, :2], torch.tanh(a[:, :2] / 2))
    torch.testing.assert_close(prior.code(a[:, :5], "linear")[:, :2], a[:, :2])


@pytest.mark.parametrize(
    "settings",
    [
        {"encoder_output": "linear"}, {"encoder_output": "gaussian", "latent": "normal"},
        {"categories": (3, 2)}, {"encoder_size": 16}, {"generator_size": (16, 16)},
        {"unary": True}, {"play": "alternating"}, {"norm": "none"}, {"norm": "spectral"},
        {"discriminator": "mlp"}, {"encoder": "mlp", "generator": "mlp"}, {"encoder_lr": 1e-3},
        {"categories": (3, 2), "info_weight": 1.0},
    ],
    ids=str,
)  # fmt: skip
def test_every_setting_changes_the_fit(small_bigan, digits, settings):
    X = digits[0][:100]
    default, other = small_bigan().fit(X), small_bigan(**settings).fit(X)
    out = other.transform(X)
    assert np.isfinite(out).all()
    assert out.shape != default.transform(X).shape or not np.array_equal(out, default.transform(X))
    assert other.sample(2).shape == (2, 64) and other.reconstruct(X).shape == X.shape
    assert other.score_samples(X).shape == (100,)


@pytest.mark.parametrize("output", ["penultimate", "latent", "layers"])
def test_outputs(small_bigan, digits, output):
    X = digits[0][:100]
    est = small_bigan(output=output, categories=(3,)).fit(X)
    Z = est.transform(X)
    x = torch.from_numpy(X).float().reshape(-1, 1, 8, 8) / 8 - 1
    with torch.no_grad():
        maps = est.encoder_.taps(x)
        expected = {
            "penultimate": maps[-1].flatten(1),
            "latent": Prior("uniform", 6, (3,)).code(est.encoder_(x), "squashed"),
            "layers": torch.cat([m.flatten(1) for m in maps], 1),
        }[output]
    np.testing.assert_allclose(Z, expected, atol=1e-5)
    names = est.get_feature_names_out()
    assert len(set(names)) == Z.shape[1] == est.n_features_out_
    assert hasattr(est, "inverse_transform") == (output == "latent")


def test_codes_go_back_to_rows(small_bigan, bytes_28):
    est = small_bigan(image_shape=None, output="latent").fit(bytes_28)
    rows = est.inverse_transform(est.transform(bytes_28))
    assert rows.dtype == np.uint8 and rows.shape == bytes_28.shape
    assert np.array_equal(rows, est.reconstruct(bytes_28))
    error = np.square((rows / 127.5) - (bytes_28 / 127.5)).mean((1, 2))
    np.testing.assert_allclose(-est.score_samples(bytes_28), error, rtol=0.05)
    with pytest.raises(ValueError, match=r"\(n, 6\)"):
        est.inverse_transform(np.zeros((2, 5)))
    est.set_params(output="penultimate")
    with pytest.raises(AttributeError) as caught:
        est.inverse_transform(np.zeros((2, 6)))
    assert "output='latent'" in str(caught.value)


def test_generalised_form(small_bigan):
    """Sec. 3.5: the encoder sees more pixels than G makes; X has its own size."""
    X = np.random.default_rng(0).random((20, 3, 20, 20))
    est = small_bigan(image_shape=None, encoder_size=24, generator_size=(16, 12)).fit(X)
    assert est.encoder_.recipe["image_shape"] == (3, 24, 24)
    assert est.generator_.recipe["image_shape"] == (3, 16, 12)
    assert est.discriminator_.recipe["image_shape"] == (3, 16, 12)
    for rows in (est.sample(20), est.reconstruct(X), est.set_params(output="latent").
                 inverse_transform(est.transform(X))):  # fmt: skip
        assert rows.shape == X.shape
    tensor = torch.from_numpy(X)
    with torch.no_grad():
        np.testing.assert_allclose(est.as_module()(tensor), est.transform(X), atol=1e-5)
    x = torch.zeros(1, 1, 20, 20)
    x[..., ::2] = 1  # stripes of one pixel are grey from afar, not an alias
    assert (resize(x, (10, 10)) - 0.5).abs().max() < 0.1
    with pytest.raises(ValueError, match="encoder_size=16 is for images"):
        small_bigan(image_shape=None, encoder_size=16).fit(X.reshape(20, -1))


def test_networks_of_the_papers_mnist():
    """Sec. 4.2: two layers of 1024, batch norm without gain and shift, no biases, z injected."""
    est = BiGANEncoder(
        image_shape=(28, 28), generator="bigan784", encoder="bigan784", discriminator="bigan784",
        n_epochs=0, random_state=0,
    ).fit(np.random.default_rng(0).random((10, 784)))  # fmt: skip
    shapes = {
        role: [tuple(p.shape) for p in getattr(est, f"{role}_").parameters()]
        for role in ("encoder", "generator", "discriminator")
    }
    assert shapes["encoder"] == [(1024, 784), (1024, 1024), (50, 1024)]
    assert shapes["discriminator"] == [(1024, 784), (1024, 1024), (1024, 50), (1, 1024)]
    assert sorted(shapes["generator"]) == [(784, 1024), (1024, 50), (1024, 50), (1024, 1024)]
    norms = [m for m in est.encoder_.modules() if isinstance(m, nn.BatchNorm1d)]
    assert len(norms) == 1 and norms[0].weight is None
    nets = nn.ModuleList([est.encoder_, est.generator_, est.discriminator_])
    assert [m.eps for m in nets.modules() if isinstance(m, nn.BatchNorm1d)] == [1e-8] * 4
    # Pixels are in [0, 1] inside: black is 0 for E and D, and the end of a sigmoid for G.
    black = torch.full((2, 1, 28, 28), -1.0)
    for net in (est.encoder_, est.discriminator_):
        assert not net.prepare(black).any() and (net.prepare(-black) == 1).all()
    a, z = [], torch.rand(2, 50) * 2 - 1
    handle = est.generator_.layers[-2].register_forward_hook(lambda m, i, o: a.append(o))
    x = est.generator_(z)
    handle.remove()
    torch.testing.assert_close((x.flatten(1) + 1) / 2, a[0].sigmoid())
    table = build_network("encoder", "bigan784", torch.Generator(), input_shape=(5,), n_outputs=2)
    assert torch.equal(table.prepare(torch.ones(1, 5)), torch.ones(1, 5))


@pytest.mark.parametrize("make", [lambda: MLPSpec(16), lambda: DCGANSpec(8, kernel_size=5)])
def test_where_z_enters(make):
    """Every layer of D behind the first adds a map of z to what its batch norm sees."""
    spec = make()
    rng = torch.Generator().manual_seed(0)
    shape = {"input_shape": (1, 16, 16), "norm": "batch"}
    D = build_network("discriminator", spec, rng, **shape, latent_dim=400, unary=False).eval()
    assert [b.inject is None for b in D.blocks] == [True] + [False] * (len(D.blocks) - 1)
    assert D.blocks[1].inject.weight.std().item() == pytest.approx(0.02, rel=0.1)
    x = torch.randn(3, 1, 16, 16, generator=rng)
    z = torch.randn(3, 400, generator=rng)
    first, second = D.taps(x, "conv", z=z)[:2]
    plain = D.blocks[1].conv(D.blocks[0].activation(first))
    expected = plain + D.blocks[1].inject(z).view(3, -1, *[1] * (plain.ndim - 2))
    torch.testing.assert_close(second, expected)
    if type(spec) is DCGANSpec:
        spec.set_params(z_std=0.1)
        D = build_network("discriminator", spec, rng, **shape, latent_dim=400, unary=False)
        assert D.blocks[1].inject.weight.std().item() == pytest.approx(0.1, rel=0.1)
    spec = type(spec)(8, z_injection=True)
    G = build_network("generator", spec, rng, latent_dim=5, output_shape=(1, 16, 16))
    assert len(G.inject) >= 1 and G(torch.zeros(2, 5)).shape == (2, 1, 16, 16)


def test_brought_networks(small_bigan, digits):
    class Pairs(nn.Module):
        def __init__(self, k):
            super().__init__()
            self.layer = nn.Linear(70, k)

        def forward(self, x, z):
            return self.layer(torch.cat([x.flatten(1), z], 1))

    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 6))
    for unary, k in ((False, 1), (True, 3)):
        est = small_bigan(discriminator=Pairs(k), unary=unary, encoder=encoder).fit(digits[0])
        assert est.transform(digits[0]).shape == (300, 9)
        with pytest.raises(ValueError, match=r"\(2, 1, 8, 8\) and \(2, 6\) into \(2, 2\)"):
            est.set_params(discriminator=Pairs(2)).fit(digits[0])
    with pytest.raises(ValueError, match=r"encoder: .*\(2, 6\) is expected"):
        small_bigan(encoder=nn.Sequential(nn.Flatten(), nn.Linear(64, 5))).fit(digits[0])
    with pytest.raises(ValueError, match="n_layers=1"):
        small_bigan(discriminator=MLPSpec(8, n_layers=1)).fit(digits[0])


class HeadFirst(nn.Module):
    """Whose last layer is registered first, with functions for activations."""

    def __init__(self, *between):
        super().__init__()
        self.head, self.first, self.second = nn.Linear(7, 6), nn.Linear(64, 9), nn.Linear(9, 7)
        self.between = nn.Sequential(*between)

    def forward(self, x):
        h = self.second(torch.relu(self.first(x.flatten(1))))
        return self.head(self.between(torch.relu(h)))


@pytest.mark.parametrize(
    "encoder",
    [
        HeadFirst(),
        HeadFirst(nn.BatchNorm1d(7)),
        HeadFirst(nn.Dropout(0.2)),
        nn.Sequential(
            nn.Flatten(), nn.Linear(64, 7), nn.ReLU(), nn.BatchNorm1d(7), nn.Linear(7, 6)
        ),
        nn.Sequential(
            nn.Conv2d(1, 7, 3), nn.ReLU(), nn.AvgPool2d(6), nn.Flatten(), nn.Linear(7, 6)
        ),
        nn.Sequential(nn.Conv2d(1, 7, 8), nn.ReLU(inplace=True), nn.Conv2d(7, 6, 1), nn.Flatten()),
    ],
)
def test_penultimate_of_a_brought_encoder_is_what_its_last_layer_reads(
    small_bigan, digits, encoder
):
    X = digits[0]
    est = small_bigan(encoder=encoder, n_epochs=1).fit(X)
    F = est.transform(X)
    assert F.shape == (300, 7) and len(set(est.get_feature_names_out())) == est.n_features_out_ == 7
    E = est.encoder_
    head = E.head if isinstance(E, HeadFirst) else [m for m in E if hasattr(m, "weight")][-1]
    weight, bias = head.weight.detach().flatten(1).numpy(), head.bias.detach().numpy()
    with torch.no_grad():
        np.testing.assert_allclose(F @ weight.T + bias, E(est._format.encode(X)), atol=1e-5)
        x = torch.from_numpy(X).float().view(-1, 1, 8, 8)
        np.testing.assert_allclose(est.as_module()(x), F, atol=1e-5)


def test_an_encoder_without_a_last_layer_is_refused(small_bigan, digits, monkeypatch):
    class Matrix(nn.Module):
        def __init__(self):
            super().__init__()
            self.A = nn.Parameter(torch.randn(64, 6, generator=torch.Generator().manual_seed(0)))

        def forward(self, x):
            return x.flatten(1) @ self.A

    with pytest.raises(ValueError, match="encoder Matrix .*Use output='latent'"):
        small_bigan(encoder=Matrix()).fit(digits[0])
    assert small_bigan(encoder=Matrix(), output="latent").fit(digits[0]).n_features_out_ == 6


def test_codes_that_are_none(small_bigan, bytes_28):
    est = small_bigan(image_shape=None, output="latent").fit(bytes_28)
    Z = est.transform(bytes_28)
    with pytest.raises(ValueError, match="contains NaN"):
        est.inverse_transform(np.where(Z[0, 0] < Z, np.nan, Z))
    with pytest.raises(TypeError, match="dense"):
        est.inverse_transform(scipy.sparse.csr_array(Z))
    expected = est.inverse_transform(Z)
    Z.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(est.inverse_transform(Z), expected)


def test_squashed_codes_need_a_bounded_prior(small_bigan, digits):
    with pytest.raises(ValueError, match="latent='normal'"):
        small_bigan(latent="normal").fit(digits[0])


def test_alis_codes_are_drawn_in_training(small, digits):
    """mu + exp(s) eps: without eps nothing would move s."""
    settings = {"image_shape": (8, 8), "encoder_output": "gaussian", "latent": "normal"}
    settings |= {"latent_dim": 6, "weight_decay": 0.0}
    start, est = (small(BiGANEncoder, **settings, n_epochs=n).fit(digits[0]) for n in (0, 1))
    moved = est.encoder_.head.weight != start.encoder_.head.weight
    assert moved.shape[0] == 12 and moved.float().mean(1).min() > 0.9


def test_a_component_is_one_of_the_first_part_alone():
    z = Prior("uniform", 1, (3, 4)).draw(200, torch.Generator().manual_seed(0), component=2)
    assert z[:, 1:4].mean(0).tolist() == [0, 0, 1]
    assert (z[:, 4:].mean(0) > 0.1).all()
