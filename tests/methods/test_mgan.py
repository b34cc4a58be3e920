"""MGAN: modes for every generator, layers dealt out between two networks, the null space."""

import copy
import dataclasses
import functools

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from skgan import DCGANSpec, MGANExtractor, MLPSpec
from skgan.engine.batchnorm import batch_norms
from skgan.nn.mlp import MLPGenerator
from skgan.tools import NullSpaceProjector
from tests.methods.games import alignment, one_step

N_MODES = 8
RING = {
    "generator": MLPSpec(64), "discriminator": MLPSpec(64), "norm": "none", "latent_dim": 16,
    "n_epochs": 60, "batch_size": 256, "lr": 1e-3, "generator_lr": 1e-2, "beta": 0.5,
    "n_shared_layers": 1, "device": "cpu",
}  # fmt: skip


def ring(n=4000):
    """Points near 8 centres on a circle of radius 2."""
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * rng.integers(N_MODES, size=n) / N_MODES
    return 2 * np.c_[np.cos(angle), np.sin(angle)] + 0.05 * rng.normal(size=(n, 2))


def shares(points):
    """The share of the points that lie near each centre."""
    angle = 2 * np.pi * np.arange(N_MODES) / N_MODES
    centres = 2 * np.c_[np.cos(angle), np.sin(angle)]
    distance = np.linalg.norm(points[:, None] - centres, axis=2)
    near = distance.argmin(1)[distance.min(1) < 0.3]
    return np.bincount(near, minlength=N_MODES) / len(points)


@functools.cache
def fitted(n_generators, seed):
    return MGANExtractor(**RING, n_generators=n_generators, random_state=seed).fit(ring())


@pytest.fixture
def small_mgan():
    def make(**settings):
        chosen = {
            "image_shape": (8, 8), "generator": DCGANSpec(4),
            "discriminator": DCGANSpec(4, feature_dim=16), "latent_dim": 6, "n_generators": 3,
            "n_epochs": 1, "batch_size": 60, "random_state": 0, "device": "cpu",
        }  # fmt: skip
        return MGANExtractor(**(chosen | settings))

    return make


# ------------------------------------------------------------------ claims


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_generators_cover_all_modes_where_one_misses_some(seed):
    several, one = fitted(8, seed), fitted(1, seed)
    assert (shares(several.sample(2000, 0)) > 0.02).all()
    assert (shares(one.sample(2000, 0)) > 0.02).sum() <= 4
    own = [shares(several.sample(300, 0, component=k)) for k in range(8)]
    assert min(s.max() for s in own) > 0.6  # each of them at a mode
    assert len({int(s.argmax()) for s in own}) >= 7  # and hardly two at the same


@pytest.mark.parametrize("seed", range(3))
def test_the_classifier_tells_generators_apart(seed):
    est = fitted(8, seed)
    untrained = copy.copy(est).set_params(n_epochs=0).fit(ring())
    for e, low, high in ((est, 0.95, 1), (untrained, 0, 0.4)):
        right = [
            (e.classifier_(e._format.encode(est.sample(200, 1, component=k))).argmax(1) == k)
            for k in range(8)
        ]
        assert low <= float(torch.cat(right).float().mean()) <= high


def test_a_generator_without_beta_is_not_pushed_away():
    """The classifier's term is what keeps generators apart."""
    est = MGANExtractor(**RING | {"beta": 0.0}, n_generators=8, random_state=0).fit(ring())
    assert est.history_[-1]["classifier_loss"] > 10 * fitted(8, 0).history_[-1]["classifier_loss"]


# ------------------------------------------------------------------ the game


@pytest.mark.parametrize("shared_optimizer", ["joint", "discriminator", "both"])
def test_steps_equal_a_loop_written_by_hand(digits, monkeypatch, shared_optimizer):
    X = digits[0][:250]
    settings = {
        "generator": MLPSpec(16), "discriminator": MLPSpec(16, feature_dim=8), "latent_dim": 4,
        "n_generators": 5, "n_shared_layers": 2, "shared_optimizer": shared_optimizer,
        "beta": 0.5, "classifier_weight": 2.0, "batch_size": 50, "lr": 1e-3, "random_state": 3,
        "device": "cpu",
    }  # fmt: skip
    start = MGANExtractor(**settings, n_epochs=0).fit(X)
    nets = start.generator_, start.trunk_, *(getattr(start, f"_{r}_branch_") for r in
                                             ("discriminator", "classifier"))  # fmt: skip
    G, T, D, C = (copy.deepcopy(net).train() for net in nets)
    seen, step = [], MGANExtractor._step

    def watched(self, nets, batch, update):
        noise = batch.latent(10)
        seen.append((batch.x.clone(), noise.clone()))
        step(self, nets, dataclasses.replace(batch, latent=lambda n: noise), update)

    monkeypatch.setattr(MGANExtractor, "_step", watched)
    est = MGANExtractor(**settings, n_epochs=1).fit(X)
    assert len(seen) == est.n_steps_ == 5

    adam = functools.partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.999), fused=True)
    opt = {k: adam(list(net.parameters())) for k, net in
           {"G": G, "T": T, "T again": T, "D": D, "C": C}.items()}  # fmt: skip
    softplus, k = nn.functional.softplus, torch.arange(5).repeat_interleave(10)

    def go(name, loss, net):
        grads = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
        return name, net, grads

    def move(moves):
        for name, net, grads in moves:
            for p, g in zip(net.parameters(), grads, strict=True):
                p.grad = g
            opt[name].step()

    for x, noise in seen:
        z = torch.cat([noise[:, :4].repeat(5, 1), torch.eye(5).repeat_interleave(10, 0)], 1)
        x_hat = G(z)
        f, f_hat = T(x), T(x_hat)
        l_d = softplus(-D(f)).mean() + softplus(D(f_hat)).mean()
        l_c = 2 * nn.functional.cross_entropy(C(f_hat), k)
        of_trunk = {
            "joint": [("T", l_d + l_c)], "discriminator": [("T", l_d)],
            "both": [("T", l_d), ("T again", l_c)],
        }[shared_optimizer]  # fmt: skip
        moves = [go("D", l_d, D), go("C", l_c, C), *(go(n, loss, T) for n, loss in of_trunk)]
        move(moves)
        f_hat = T(G(z))
        l_g = softplus(-D(f_hat)).mean() + 0.5 * nn.functional.cross_entropy(C(f_hat), k)
        move([go("G", l_g, G)])
    mine = (G, T, D, C)
    theirs = est.generator_, est.trunk_, est._discriminator_branch_, est._classifier_branch_
    for a, b in zip(mine, theirs, strict=True):
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=2e-6)


@pytest.mark.parametrize("beta", [0.0, 1e4])
def test_whose_wishes_are_whose(small_mgan, digits, beta):
    """D wants real rows above generated ones; G its rows high, and with beta C to be right."""
    est = small_mgan(n_epochs=0, beta=beta, n_shared_layers=2)
    nets, batch, updates = one_step(est, digits[0])
    assert [set(u) for u in updates] == [{"trunk", "discriminator", "classifier"}, {"generator"}]
    m = 64 // 3
    z, k = est._for_each_generator(batch.latent()[:m, :6].repeat(3, 1))
    fake, scores = nets.discriminator(nets.generator(z), nets.classifier)
    right = scores.log_softmax(1).gather(1, k[:, None]).mean()
    (d_step, g_step), told = updates, est._logits(nets, batch.x).mean() - fake.mean()
    assert alignment(d_step["discriminator"], told, nets.discriminator) < 0  # down the loss, up
    assert alignment(d_step["classifier"], right, nets.classifier) < 0
    wish = right if beta else fake.mean()
    assert alignment(g_step["generator"], wish, nets.generator) < 0


def test_both_losses_of_the_saturating_game_are_one(small_mgan, digits):
    _, _, (d_step, g_step) = one_step(small_mgan(n_epochs=0, beta=0.0, saturating=True), digits[0])
    assert g_step["generator"].item() == pytest.approx(-np.log(2), abs=0.02)
    assert d_step["discriminator"].item() == pytest.approx(2 * np.log(2), abs=0.02)


# ------------------------------------------------------------------ shared layers


@pytest.mark.parametrize("n_shared", [0, 1, 2, 3, "all"])
def test_which_layers_are_shared(small_mgan, digits, n_shared):
    est = small_mgan(n_shared_layers=n_shared).fit(digits[0])
    D, C = est.discriminator_, est.classifier_
    n = 3 if n_shared == "all" else n_shared
    assert len(D.blocks) == len(C.blocks) == 3
    assert [a.conv is b.conv for a, b in zip(D.blocks, C.blocks, strict=True)] == (
        [True] * n + [False] * (3 - n)
    )
    assert bool(list(est.trunk_.parameters())) == (n > 0) == ("trunk_loss" in est.history_[0])
    x = est._format.encode(digits[0][:5])
    assert D(x).shape == (5,) and C(x).shape == (5, 3)
    np.testing.assert_allclose(D(x).detach().numpy(), est.score_samples(digits[0][:5]), atol=1e-6)
    features = [est.set_params(extractor=e).transform(digits[0]) for e in
                ("discriminator", "classifier", "both")]  # fmt: skip
    assert features[2].shape == (300, 32)
    assert np.array_equal(features[2], np.hstack(features[:2]))
    assert np.array_equal(features[0], features[1]) == (n == 3)


def test_own_batch_norm_on_shared_layers(small_mgan, digits):
    est = small_mgan(n_shared_layers=2, share_bn=False, n_epochs=3).fit(digits[0])
    D, C = est.discriminator_, est.classifier_
    assert D.blocks[1].conv is C.blocks[1].conv
    assert D.blocks[1].norm is not C.blocks[1].norm
    assert not torch.equal(D.blocks[1].norm.weight, C.blocks[1].norm.weight)
    shared = small_mgan(n_shared_layers=2).fit(digits[0])
    assert shared.discriminator_.blocks[1].norm is shared.classifier_.blocks[1].norm


def test_a_refit_forgets_layers_that_are_gone(small_mgan, digits):
    est = small_mgan().fit(digits[0])
    assert not list(est.set_params(n_shared_layers=0).fit(digits[0]).trunk_.parameters())


@pytest.mark.parametrize(
    "settings",
    [
        {"n_shared_layers": 0}, {"n_shared_layers": 2}, {"n_shared_layers": 2, "share_bn": False},
        {"shared_optimizer": "discriminator"}, {"shared_optimizer": "both"}, {"same_z": False},
        {"beta": 1.0}, {"classifier_weight": 5.0}, {"saturating": True}, {"norm": "spectral"},
        {"n_generators": 4}, {"extractor": "both"}, {"subspace": "null"}, {"subspace": "row"},
        {"trunk_lr": 1e-2}, {"classifier_lr": 1e-2}, {"latent": "uniform"},
    ],
    ids=str,
)  # fmt: skip
def test_every_setting_changes_the_fit(small_mgan, digits, settings):
    X = digits[0][:120]
    # At first almost nothing passes from heads to trunk; two epochs and a large rate show it.
    chosen = {"n_epochs": 3, "lr": 2e-3}
    default, other = small_mgan(**chosen).fit(X), small_mgan(**(chosen | settings)).fit(X)
    out = other.transform(X)
    assert np.isfinite(out).all()
    assert out.shape != default.transform(X).shape or not np.array_equal(out, default.transform(X))


# ------------------------------------------------------------------ generators


def test_components(small_mgan, digits):
    est = small_mgan(n_epochs=3, lr=1e-2).fit(digits[0])
    own = [est.sample(4, 0, component=k) for k in range(3)]
    assert all(not np.allclose(own[i], own[j]) for i in range(3) for j in range(i))
    mixed, z = est.sample(50, 0), est._draw(50, torch.Generator().manual_seed(0))
    assert z.shape == (50, 9) and (z[:, 6:].sum(1) == 1).all()
    assert mixed.shape == (50, 64)
    assert est.sample_images(2, 0, component=1).shape == (2, 1, 8, 8)
    # A row depends on its own z alone, in whatever order and company.
    G = est.generator_
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(G(z)[order], G(z[order]))
        torch.testing.assert_close(G(z)[7:8], G(z[7:8]))
    for bad in (3, -1, 1.5, True):
        with pytest.raises(ValueError, match="component="):
            est.sample(2, component=bad)


def test_only_the_first_layer_is_not_shared(small_mgan, digits):
    G = small_mgan().fit(digits[0]).generator_
    own = {id(p) for p in G.project.parts.parameters()}
    names = [name for name, p in G.named_parameters() if id(p) not in own]
    assert len(G.project.parts) == 3 and all(name.startswith("layers.") for name in names)
    assert len(list(G.project.parts[0].parameters())) == 3  # the map, gain and shift


def test_table_1():
    """Layers and sizes of Mao et al. 2019, table 1."""
    est = MGANExtractor(n_epochs=0, device="cpu").fit(np.zeros((4, 32, 32), np.uint8))
    convs = [block.conv for block in est.discriminator_.blocks]
    assert [c.out_channels for c in convs] == [128, 256, 512, 128]
    assert [c.kernel_size for c in convs] == [(4, 4)] * 4
    assert [c.stride for c in convs] == [(2, 2)] * 3 + [(1, 1)]
    norms = [type(block.norm).__name__ for block in est.discriminator_.blocks]
    assert norms == ["Identity", "BatchNorm2d", "BatchNorm2d", "Identity"]
    assert isinstance(est.discriminator_.blocks[3].activation, nn.Identity)
    assert est.transform(np.zeros((1, 32, 32), np.uint8)).shape == (1, 128)
    G = est.generator_
    assert [p[0].out_features for p in G.project.parts] == [512 * 16] * 10
    ups = [m for m in G.layers if isinstance(m, nn.ConvTranspose2d)]
    assert [u.out_channels for u in ups] == [256, 128, 1]
    assert (est.latent_dim, est.latent, est.batch_size, est.beta) == (128, "normal", 120, 0.02)
    heads = est.discriminator_.head, est.classifier_.head
    assert all(h.bias is None for h in heads)
    assert [h.out_features for h in heads] == [1, 10]


# ------------------------------------------------------------------ the null space


@pytest.mark.parametrize("extractor", ["discriminator", "classifier"])
def test_null_and_row_parts(small_mgan, digits, extractor):
    X = digits[0]
    est = small_mgan(extractor=extractor, n_shared_layers=1, n_epochs=3).fit(X)
    f, A = est.transform(X), est.head_weight_
    assert A.shape == ((1 if extractor == "discriminator" else 3), 16)
    scores = est.score_samples(X)[:, None]
    if extractor == "classifier":
        scores = est.classifier_(est._format.encode(X)).detach().numpy()
    np.testing.assert_allclose(f @ A.T, scores, atol=1e-5)
    null, row = (est.set_params(subspace=s).transform(X) for s in ("null", "row"))
    size = np.abs(f).max()
    np.testing.assert_allclose(null + row, f, atol=1e-6 * size)
    assert np.abs(null @ A.T).max() <= 1e-6 * size * np.abs(A).sum()
    assert np.linalg.matrix_rank(row, tol=1e-4 * size) == len(A)
    assert est.as_module()(torch.from_numpy(X).float().view(-1, 1, 8, 8)).shape == row.shape
    with pytest.raises(AttributeError, match="head_weight_"):
        est.head_weight_  # noqa: B018
    with pytest.raises(AttributeError, match="head_weight_"):
        est.set_params(extractor="both", subspace=None).head_weight_  # noqa: B018


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_rank_of_a_head_is_told_in_its_own_precision(small_mgan, digits, rank):
    X = digits[0]
    est = small_mgan(extractor="classifier", n_epochs=0).fit(X)
    rng = torch.Generator().manual_seed(0)
    left, right = (torch.randn(s, generator=rng) for s in ((3, rank), (rank, 16)))
    with torch.no_grad():
        est.classifier_.head.weight.copy_(left @ right)
    f = est.transform(X)
    null = NullSpaceProjector(FrozenEstimator(est)).fit(f)
    assert null.rank_ == rank
    parts = null.split(f)
    for subspace, part in zip(("row", "null"), parts, strict=True):
        est.set_params(subspace=subspace)
        np.testing.assert_allclose(est.transform(X), part, atol=1e-5 * np.abs(f).max())


@pytest.mark.parametrize(("n_rows", "each"), [(119, 12), (121, 12), (115, 12), (114, 11), (4, 2)])
def test_as_many_rows_of_each_generator_as_are_nearest(n_rows, each, monkeypatch):
    X = np.random.default_rng(0).normal(size=(n_rows, 3))
    made = []
    forward = MLPGenerator.forward
    monkeypatch.setattr(
        MLPGenerator, "forward", lambda self, z: (made.append(len(z)), forward(self, z))[1]
    )
    spec = MLPSpec(4)
    MGANExtractor(generator=spec, discriminator=spec, batch_size=200, n_epochs=1).fit(X)
    assert made[0] == 10 * each


def test_the_number_of_features_follows_the_parameters(small_mgan, digits):
    est = small_mgan(extractor="classifier").fit(digits[0])
    n = est.n_features_out_
    assert est.set_params(extractor="both").n_features_out_ == 2 * n
    assert est.transform(digits[0]).shape == (300, 2 * n)
    assert not hasattr(small_mgan(), "n_features_out_")


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"n_shared_layers": 4}, ValueError, "n_shared_layers=4 must be 'all' or an integer"),
        ({"n_shared_layers": "some"}, ValueError, "n_shared_layers='some'"),
        ({"n_generators": 0}, ValueError, "n_generators=0"),
        ({"beta": -1}, ValueError, "beta=-1"),
        ({"extractor": "D"}, ValueError, "extractor='D'"),
        ({"subspace": "nil"}, ValueError, "subspace='nil'"),
        ({"shared_optimizer": None}, ValueError, "shared_optimizer=None"),
        ({"same_z": "yes"}, ValueError, "same_z='yes'"),
        ({"discriminator": nn.Linear(64, 1)}, ValueError, "discriminator: .* cannot take a batch"),
        ({"discriminator": 3}, TypeError, "discriminator=3 must be a name"),
        ({"discriminator": DCGANSpec(4, head_layers=2)}, ValueError, "head_layers=2"),
        ({"generator": nn.Linear(6, 64)}, ValueError, "cannot take a batch of shape"),
    ],
    ids=lambda v: str(v)[:40] if isinstance(v, dict) else "",
)  # fmt: skip
def test_errors_name_the_parameter(small_mgan, digits, settings, error, words):
    with pytest.raises(error, match=words):
        small_mgan(**settings).fit(digits[0])


def test_a_generator_of_ones_own(small_mgan, digits):
    def make(latent_dim, output_shape, n_generators):
        d = int(np.prod(output_shape))
        return nn.Sequential(
            nn.Linear(latent_dim + n_generators, d), nn.Tanh(), nn.Unflatten(1, output_shape)
        )

    est = small_mgan(generator=make).fit(digits[0])
    assert est.sample(3, component=2).shape == (3, 64)


@pytest.mark.parametrize("share_bn", [True, False])
def test_heads_are_trained_with_the_batch_norm_that_they_are_used_with(small, digits, share_bn):
    X = digits[0]
    est = small(
        MGANExtractor, image_shape=(8, 8), discriminator=DCGANSpec(4, feature_dim=16),
        n_generators=3, n_shared_layers=2, share_bn=share_bn, batch_size=len(X),
    ).fit(X)  # fmt: skip
    x, nets, joined = est._format.encode(X), est._nets(), (est.discriminator_, est.classifier_)
    assert all(batch_norms([net]) for net in joined)
    with torch.no_grad():
        torch.testing.assert_close(est._logits(nets, x), joined[0](x))
        both = nets.discriminator(x, nets.classifier)
        for verdict, net in zip(both, joined, strict=True):
            torch.testing.assert_close(verdict, net(x))
        for net in joined:
            twin = copy.deepcopy(net)
            for m in batch_norms([twin]):
                m.train().momentum = 1.0
            twin(x)
            for m, kept in zip(batch_norms([twin]), batch_norms([net]), strict=True):
                torch.testing.assert_close(m.running_mean, kept.running_mean, rtol=1e-4, atol=1e-5)
                torch.testing.assert_close(m.running_var, kept.running_var, rtol=1e-4, atol=1e-5)
