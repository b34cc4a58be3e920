"""ContraD: both contrastive losses and five steps by hand, and what its features are worth."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

from skgan import ContrastiveDiscriminatorFeatures, DCGANSpec, MLPSpec
from skgan.engine.batchnorm import batch_norms
from skgan.losses import contrast_generated, nt_xent

A = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 2.0], [-3.0, 4.0]])
B = np.array([[2.0, 1.0], [0.0, 1.0], [1.0, -1.0], [-1.0, 0.5]])
C = np.array([[0.5, 0.5], [-1.0, 0.0], [0.3, -0.4], [2.0, 2.0]])


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_loss_of_views_by_hand_on_four_rows():
    rows, t = unit(np.vstack([A, B])), 0.5
    terms = []
    for i, anchor in enumerate(rows):
        others = {j: np.exp(rows[j] @ anchor / t) for j in range(8) if j != i}
        terms.append(-np.log(others[(i + 4) % 8] / sum(others.values())))
    for dtype in (torch.float64, torch.float32):
        ours = nt_xent(*(torch.tensor(x, dtype=dtype) for x in (A, B)), temperature=t)
        assert ours.item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_the_loss_of_generated_samples_by_hand_on_four_rows():
    """Anchors are generated ones only: each wants to be near the others, and far from all views."""
    real, fake, t = unit(np.vstack([A, B])), unit(C), 0.2
    terms = []
    for i, anchor in enumerate(fake):
        friends = [np.exp(fake[j] @ anchor / t) for j in range(4) if j != i]
        total = sum(friends) + sum(np.exp(r @ anchor / t) for r in real)
        terms.append(-np.mean(np.log(np.array(friends) / total)))
    for dtype in (torch.float64, torch.float32):
        rows = (torch.tensor(x, dtype=dtype) for x in (A, B, C))
        ours = contrast_generated(*rows, temperature=t)
        assert ours.item() == pytest.approx(np.mean(terms), rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_five_steps_equal_a_loop_written_by_hand(digits, monkeypatch, weight):
    X = digits[0][:250]
    settings = {
        "generator": MLPSpec(16), "discriminator": MLPSpec(16), "latent_dim": 4, "batch_size": 50,
        "n_hidden": 8, "n_projection": 6, "temperature": 0.3, "generator_weight": weight,
        "norm": "none", "lr": 1e-3, "random_state": 3, "device": "cpu",
    }  # fmt: skip
    start = ContrastiveDiscriminatorFeatures(**settings, n_epochs=0).fit(X)
    G, T = copy.deepcopy(start.generator_).train(), copy.deepcopy(start.trunk_).train()
    d, P, Q = (copy.deepcopy(getattr(start, place)).train() for place in
               ("_discriminator_branch_", "projection_", "fake_projection_"))  # fmt: skip
    seen, step, cls = [], ContrastiveDiscriminatorFeatures._step, ContrastiveDiscriminatorFeatures
    noises = []

    def changed(x):
        if not noises:  # it is tried before training
            return x
        noises[-1].append(torch.randn(x.shape, generator=rng))
        return x + noises[-1][-1]

    def watched(self, nets, batch, update):
        z = batch.latent()
        seen.append((batch.x.clone(), z.clone()))
        noises.append([])
        step(self, nets, dataclasses.replace(batch, latent=lambda: z), update)

    rng = torch.Generator().manual_seed(7)
    monkeypatch.setattr(cls, "_step", watched)
    est = cls(**settings, n_epochs=1, augment=changed).fit(X)
    assert len(seen) == est.n_steps_ == 5
    opt = {net: torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (G, T, d, P, Q)}

    def move(*moves):
        gradients = [
            torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
            for net, loss in moves
        ]
        for (net, _), grads in zip(moves, gradients, strict=True):
            for p, g in zip(net.parameters(), grads, strict=True):
                p.grad = g
            opt[net].step()

    def close(sim, positive):
        """-log softmax of the positive among all but the anchor itself."""
        sim = sim - 1e9 * torch.eye(len(sim))[: len(sim)] if sim.shape[0] == sim.shape[1] else sim
        return -sim.log_softmax(1).gather(1, positive[:, None]).mean()

    normalize, softplus = nn.functional.normalize, nn.functional.softplus
    for (x, z), noise in zip(seen, noises, strict=True):
        if weight == 0:
            h = normalize(P(T(torch.cat([x, x]) + noise[0])))
            both = torch.cat([torch.arange(50, 100), torch.arange(50)])
            loss = close(h @ h.T / 0.3, both)
            move((T, loss), (P, loss))
            continue
        fake = G(z)
        f = T(torch.cat([x, x, fake]) + noise[0])
        h, q = normalize(P(f)[:100]), normalize(Q(f))
        both = torch.cat([torch.arange(50, 100), torch.arange(50)])
        loss = close(h @ h.T / 0.3, both)
        sim = q[100:] @ q.T / 0.3
        sim[torch.arange(50), 100 + torch.arange(50)] = -1e9
        log_p = sim.log_softmax(1)[:, 100:]
        off = ~torch.eye(50, dtype=torch.bool)
        loss = loss - 2.0 * log_p[off].mean()
        logits = d(f.detach())
        l_d = softplus(-logits[:50]).mean() + softplus(logits[100:]).mean()
        move((T, loss), (P, loss), (Q, loss), (d, l_d))
        move((G, softplus(-d(T(fake + noise[1]))).mean()))
    theirs = (est.generator_, est.trunk_, est._discriminator_branch_, est.projection_,
              est.fake_projection_)  # fmt: skip
    for mine, other in zip((G, T, d, P, Q), theirs, strict=True):
        for p, q in zip(mine.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=5e-6)


def test_the_trunk_learns_by_contrast_alone_and_d_on_stopped_features(digits):
    """With the contrastive part gone, nothing that d learns reaches the trunk."""
    settings = {"image_shape": (8, 8), "discriminator": DCGANSpec(4), "generator": DCGANSpec(4),
                "random_state": 0, "batch_size": 64}  # fmt: skip
    start = ContrastiveDiscriminatorFeatures(**settings, n_epochs=0).fit(digits[0])
    est = ContrastiveDiscriminatorFeatures(
        **settings, n_epochs=1, trunk_lr=1e-12, weight_decay=0.0
    ).fit(digits[0])
    moved = {
        role: any(
            (p - q).abs().max() > 1e-6 for p, q in zip(a.parameters(), b.parameters(), strict=True)
        )
        for role, a, b in zip(
            est._roles, est._kept_nets().values(), start._kept_nets().values(), strict=True
        )
    }
    assert moved == {"generator": True, "trunk": False, "discriminator": True, "projection": True,
                     "fake_projection": True}  # fmt: skip


def test_without_a_generator_only_the_trunk_and_its_projection_move(digits):
    est = ContrastiveDiscriminatorFeatures(
        image_shape=(8, 8), discriminator=DCGANSpec(4), generator=DCGANSpec(4), random_state=0,
        generator_weight=0, n_epochs=1, batch_size=64,
    ).fit(digits[0])  # fmt: skip
    assert {k for k in est.history_[0] if k.endswith("_loss")} == {"trunk_loss", "projection_loss"}
    assert not hasattr(est, "density_ratio")


def test_few_labels_are_worth_more_on_its_features_than_on_an_untrained_trunk():
    """The paper's claim about representations, on real digits: 5 labels a class, two seeds."""
    X, y = load_digits(return_X_y=True)
    network = DCGANSpec(16)

    def accuracy(epochs, seed):
        est = ContrastiveDiscriminatorFeatures(
            image_shape=(8, 8), discriminator=network, generator=DCGANSpec(8), n_epochs=epochs,
            batch_size=128, lr=1e-3, temperature=0.2, norm="batch", random_state=seed,
            device="cpu",
        ).fit(X[:1000])  # fmt: skip
        F = est.transform(X)
        F = F / np.linalg.norm(F, axis=1, keepdims=True)
        scores = []
        for draw in range(5):
            order = np.random.default_rng(draw).permutation(1000)
            few = np.concatenate([order[y[order] == k][:5] for k in range(10)])
            head = LogisticRegression(C=10, max_iter=500).fit(F[few], y[few])
            scores.append(head.score(F[1000:], y[1000:]))
        return np.mean(scores)

    untrained, trained = ([accuracy(n, seed) for seed in (0, 1)] for n in (0, 12))
    assert min(trained) > max(untrained) + 0.03, (untrained, trained)


def test_features_are_those_of_the_users_own_trunk_and_not_of_a_head(digits):
    trunk = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 5), nn.ReLU())
    est = ContrastiveDiscriminatorFeatures(
        image_shape=(8, 8), discriminator=trunk, generator=DCGANSpec(4), n_epochs=1, random_state=0
    ).fit(digits[0])
    features = est.transform(digits[0])
    assert features.shape == (300, 5)
    with torch.no_grad():
        expected = est.trunk_(est._format.encode(digits[0]))
    np.testing.assert_allclose(features, expected, atol=1e-6)


@pytest.mark.parametrize("own", [False, True])
def test_the_hidden_layer_of_the_projection_head_is_another_output(digits, own):
    trunk = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU()) if own else DCGANSpec(4)
    est = ContrastiveDiscriminatorFeatures(
        image_shape=(8, 8), discriminator=trunk, generator=DCGANSpec(4), n_hidden=6, n_epochs=1,
        output="projection", device="cpu", precision="float32", random_state=0,
    ).fit(digits[0])  # fmt: skip
    linear, activation, _ = est._nets().projection.head
    with torch.no_grad():
        f = est._nets().projection.features(est._format.encode(digits[0]))
        expected = activation(linear(f)).numpy()
    np.testing.assert_allclose(est.transform(digits[0]), expected, atol=1e-5)
    assert list(est.get_feature_names_out()) == [f"projection_unit{i}" for i in range(6)]
    with torch.no_grad():
        x = torch.from_numpy(digits[0][:, None].reshape(-1, 1, 8, 8))
        np.testing.assert_allclose(est.as_module()(x), expected, atol=1e-5)
    trunk = est.set_params(output="trunk").transform(digits[0])
    both = np.hstack([f / np.linalg.norm(f, axis=1, keepdims=True) for f in (trunk, expected)])
    np.testing.assert_allclose(est.set_params(output="both").transform(digits[0]), both, atol=1e-5)
    assert list(est.get_feature_names_out())[-6:] == [f"projection_unit{i}" for i in range(6)]


def test_running_statistics_are_another_choice(digits):
    """Batch norm is in the trunk, whichever head the features are read with."""
    settings = {"image_shape": (8, 8), "norm": "batch", "discriminator": DCGANSpec(4),
                "generator": DCGANSpec(4), "n_epochs": 2, "batch_size": 32, "random_state": 0,
                "device": "cpu"}  # fmt: skip
    real, running = (
        ContrastiveDiscriminatorFeatures(bn_stats=s, **settings).fit(digits[0])
        for s in ("real", "running")
    )
    a, b = (batch_norms([e.trunk_])[0] for e in (real, running))
    assert torch.equal(a.weight, b.weight)
    assert not torch.allclose(a.running_mean, b.running_mean, rtol=1e-2)


def test_bad_values_are_named(digits):
    for settings, message in (
        ({"augment": None}, "augment=None leaves nothing to learn"),
        ({"temperature": 0}, "temperature=0"),
        ({"generator_weight": -1}, "generator_weight=-1"),
        ({"n_hidden": 0}, "n_hidden=0"),
        ({"output": "head"}, "output='head'"),
    ):
        with pytest.raises(ValueError, match=message):
            ContrastiveDiscriminatorFeatures(**settings).fit(digits[0])
