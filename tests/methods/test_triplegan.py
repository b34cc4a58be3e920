"""TripleGANClassifier: its losses and five steps by hand, what each switch moves, and classes."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import one_hot

import skgan
from skgan import MLPSpec, TripleGANClassifier
from skgan.losses import confident_ns, mean_cross_entropy

TINY = {
    "generator": MLPSpec(16), "discriminator": MLPSpec(16), "classifier": MLPSpec(16),
    "latent_dim": 4, "batch_size": 50, "n_epochs": 1, "generated_start": 0, "random_state": 3,
    "device": "cpu",
}  # fmt: skip
ALONE = {
    "adversarial_weight": 0, "generated_weight": 0, "entropy_weight": 0, "mean_weight": 0,
}  # fmt: skip
ROLES = "generator", "discriminator", "classifier"
SCORES = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0], [0.2, 0.1, 0.0], [-4.0, 2.0, 1.0]])


def fitted(X, y, **settings):
    return TripleGANClassifier(**(TINY | settings)).fit(X, y)


def same_weights(a, b):
    return all(map(torch.equal, a.parameters(), b.parameters()))


# ------------------------------------------------------------------ losses


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_classifiers_losses_by_hand_on_four_rows(dtype):
    p = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
    scores = torch.tensor(SCORES, dtype=dtype, requires_grad=True)
    ours = mean_cross_entropy(scores)
    assert ours.dtype == dtype
    assert ours.item() == pytest.approx(-np.log(p.mean(0)).mean(), rel=1e-6)
    logits = np.array([0.5, -1.0, 2.0, 0.0])
    cost = np.log1p(np.exp(-logits))
    ours = confident_ns(scores, torch.tensor(logits, dtype=dtype))
    assert ours.item() == pytest.approx((p.max(1) * cost).mean(), rel=1e-6)
    # d max p / d scores = max p (e - p), e the most probable class.
    best = np.eye(3)[p.argmax(1)]
    expected = (p.max(1) * cost)[:, None] * (best - p) / 4
    (gradient,) = torch.autograd.grad(ours, scores)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


# ------------------------------------------------------------------ the step


@pytest.mark.parametrize("on", [True, False])
def test_five_steps_equal_a_loop_written_by_hand(digits, monkeypatch, on):
    X, y = digits[0][:250], digits[1][:250]
    few = np.where(np.arange(250) < 60, y, -1)
    balance = {0: 3.0, 7: 0.5}
    settings = {
        "alpha": 0.3, "pseudo_share": 0.25, "adversarial_weight": 2.0, "generated_weight": 0.7,
        "entropy_weight": 0.4, "mean_weight": 0.6, "supervised_weight": 1.5,
        "class_weight": balance, "classifier_norm": "batch",
    } | ({} if on else ALONE)  # fmt: skip
    start = fitted(X, few, **(settings | {"n_epochs": 0}))
    G, D, C = (copy.deepcopy(getattr(start, f"{role}_")).train() for role in ROLES)
    seen, step = [], TripleGANClassifier._step

    def watched(self, nets, batch, update):
        z, labelled = batch.latent(), []

        def draw():
            labelled.append(batch.labelled())
            return labelled[-1]

        given = dataclasses.replace(batch, latent=lambda: z, labelled=draw)
        step(self, nets, given, update)
        seen.append((batch.x.clone(), z.clone(), labelled))

    monkeypatch.setattr(TripleGANClassifier, "_step", watched)
    est = fitted(X, few, **settings)
    assert len(seen) == est.n_steps_ == 5
    opt = {net: torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (G, D, C)}

    def move(net, loss):
        params = [p for p in net.parameters() if p.requires_grad]
        for p, g in zip(params, torch.autograd.grad(loss, params), strict=True):
            p.grad = g
        opt[net].step()

    def taken_for(true, logits):
        return bce(logits, torch.full_like(logits, float(true)))

    w = torch.tensor([balance.get(k, 1.0) for k in range(10)])
    for x, z, labelled in seen:
        x_l, y_l = labelled[-1]
        supervised = (w[y_l] * nn.functional.cross_entropy(C(x_l), y_l, reduction="none")).mean()
        if not on:
            assert len(labelled) == 1
            move(C, 1.5 * supervised)
            continue
        x_d, y_d = labelled[0]
        x_g, y_g = G(z), z[:, 4:]
        y_c = one_hot(C(x).argmax(1), 10).float()
        p, p_c, p_g = D(x_d, one_hot(y_d, 10).float()), D(x, y_c), D(x_g, y_g)
        l_d = 0.75 * taken_for(True, p) + 0.25 * taken_for(True, p_c)
        move(D, l_d + 0.3 * taken_for(False, p_c) + 0.7 * taken_for(False, p_g))
        move(G, 0.7 * taken_for(True, D(x_g, y_g)))
        q = C(x).softmax(1)
        top, k = q.max(1)
        cost = bce(D(x, one_hot(k, 10).float()), torch.ones(len(x)), reduction="none")
        l_c = 1.5 * supervised + 0.3 * 2.0 * (top * cost).mean()
        l_c = l_c - 0.4 * (q * q.log()).sum(1).mean() - 0.6 * q.mean(0).log().mean()
        move(C, l_c + 0.7 * nn.functional.cross_entropy(C(x_g), y_g.argmax(1)))
    for mine, role in zip((G, D, C), ROLES, strict=True):
        for p, q in zip(mine.parameters(), getattr(est, f"{role}_").parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    ("settings", "moved"),
    [
        ({"adversarial_weight": 0}, {"classifier"}),
        ({"generated_weight": 0}, {"classifier"}),
        ({"generated_start": 1}, {"classifier"}),
        ({"entropy_weight": 0}, {"classifier"}),
        ({"mean_weight": 0}, {"classifier"}),
        ({"supervised_weight": 0}, {"classifier"}),
        ({"pseudo_share": 0}, set(ROLES)),
        ({"alpha": 0}, set(ROLES)),
        ({"pretrain_epochs": 1}, set(ROLES)),
    ],
)
def test_a_switch_changes_its_own_networks_and_no_other(digits, settings, moved):
    """After one step: D's loss does not hold the weights of C's terms."""
    X, y = digits
    common = {"optimizer": "sgd", "lr": 0.1, "batch_size": len(X)}
    a, b = fitted(X, y, **common), fitted(X, y, **common, **settings)
    assert a.n_steps_ == b.n_steps_ == 1
    different = {r for r in ROLES if not same_weights(*(getattr(e, f"{r}_") for e in (a, b)))}
    assert different == moved


def test_generated_samples_teach_the_classifier_only_from_their_epoch_on(digits):
    X, y = digits
    without = fitted(X, y, generated_weight=0, n_epochs=2)
    later, now = (fitted(X, y, generated_start=n, n_epochs=2) for n in (2, 1))
    assert np.array_equal(later.decision_function(X), without.decision_function(X))
    assert not np.array_equal(now.decision_function(X), without.decision_function(X))


@pytest.mark.parametrize("settings", [{"pretrain_epochs": 2}, ALONE, {**ALONE, "alpha": 0}])
def test_without_the_game_the_classifier_alone_is_trained(digits, settings):
    X, y = digits
    few = np.where(np.arange(len(y)) < 50, y, -1)
    est, start = (fitted(X, few, **settings, n_epochs=n) for n in (2, 0))
    for role in ROLES:
        alike = same_weights(getattr(est, f"{role}_"), getattr(start, f"{role}_"))
        assert alike is (role != "classifier")
    assert all({k for k in row if k.endswith("_loss")} == {"classifier_loss"}
               for row in est.history_)  # fmt: skip


def test_the_game_begins_after_pretraining(digits):
    est = fitted(*digits, pretrain_epochs=1, n_epochs=2)
    assert ["discriminator_loss" in row for row in est.history_] == [False, True]


# ------------------------------------------------------------------ the claims

CENTRES = np.array([[4.0, 0.0], [-2.0, 3.0], [-2.0, -3.0]])
NAMES = np.array(["east", "north", "south"], object)


def gaussians(n=600, n_labels=4):
    """Three classes of a Gaussian each, of which a few rows have a label."""
    rng = np.random.default_rng(0)
    k = np.arange(n) % 3
    few = np.where(np.arange(n) < 3 * n_labels, NAMES[k], None)
    return CENTRES[k] + 0.5 * rng.normal(size=(n, 2)), NAMES[k], few


def test_with_four_labels_a_class_samples_are_of_the_class_that_is_asked_for():
    """The paper's other claim: a generator of classes from partly labelled samples."""
    X, y, few = gaussians()
    network = MLPSpec(32)
    untrained, est = (
        TripleGANClassifier(
            generator=network, discriminator=network, classifier=network, latent_dim=4, n_epochs=n,
            batch_size=75, lr=2e-3, random_state=0, device="cpu",
        ).fit(X, few)
        for n in (0, 40)
    )  # fmt: skip

    def shares(est):
        samples = [est.sample(300, 0, y=name) for name in NAMES]
        nearest = [np.square(s[:, None] - CENTRES).sum(2).argmin(1) for s in samples]
        return [np.mean(found == k) for k, found in enumerate(nearest)]

    assert min(shares(untrained)) < 0.5 and min(shares(est)) > 0.9, shares(est)
    assert est.score(X, y) > 0.95


# ------------------------------------------------------------------ use


def test_predictions_are_the_classifiers_and_features_its_last_hidden_layer(digits):
    X, y = digits
    est = fitted(X, y)
    with torch.no_grad():
        x = est._format.encode(X)
        scores, f = est.classifier_(x), est.classifier_.features(x)
        k = one_hot(scores.argmax(1), 10).float()
        logits = est.discriminator_(x, k)
    np.testing.assert_allclose(est.decision_function(X), scores, atol=1e-5)
    np.testing.assert_allclose(est.predict_proba(X), scores.softmax(1), atol=1e-5)
    assert np.array_equal(est.predict(X), scores.argmax(1))
    np.testing.assert_allclose(est.transform(X), f, atol=1e-5)
    np.testing.assert_allclose(est.score_samples(X), logits, atol=1e-5)
    assert est.transform(X).shape == (300, 16) and est.head_weight_.shape == (10, 16)
    assert est.set_params(layers="all").transform(X).shape == (300, 32)


def test_averaged_weights_predict(digits):
    X, y = digits
    start, now, averaged = (
        fitted(X, y, batch_size=300, ema_decay=d, n_epochs=n, classifier_norm="none")
        for d, n in ((None, 0), (None, 1), (0.75, 1))
    )
    nets = (e.classifier_.parameters() for e in (start, now, averaged))
    for before, after, mean in zip(*nets, strict=True):
        torch.testing.assert_close(mean, 0.75 * before + 0.25 * after)


def test_unlabelled_rows_are_trained_on_and_words_are_labels(digits):
    X, y = digits
    hidden = np.arange(len(y)) % 3 > 0
    est = fitted(X, np.where(hidden, -1, y))
    assert est.n_steps_ == 6 and est.classes_.tolist() == list(range(10))
    words = np.array([f"class {k}" for k in range(10)], object)[y]
    named = fitted(X, np.where(hidden, None, words))
    assert np.array_equal(named.predict_proba(X), est.predict_proba(X))
    assert np.array_equal(named.sample(2, 0, y="class 3"), est.sample(2, 0, y=3))
    other = X.copy()
    other[hidden] += np.random.default_rng(0).normal(size=other[hidden].shape)
    changed = fitted(other, np.where(hidden, -1, y))
    assert not np.array_equal(changed.decision_function(X), est.decision_function(X))


def test_files_keep_all_three_networks(digits, tmp_path):
    X, y = digits
    est = fitted(X, y)
    est.save(tmp_path / "triple")
    loaded = skgan.load(tmp_path / "triple")
    assert np.array_equal(loaded.predict_proba(X), est.predict_proba(X))
    assert np.array_equal(loaded.score_samples(X), est.score_samples(X))
    assert np.array_equal(loaded.sample(3, 0, y=7), est.sample(3, 0, y=7))


def test_networks_of_ones_own(digits):
    X, y = digits
    asked = {}

    class Pairs(nn.Module):
        def __init__(self, d):
            super().__init__()
            self.layer = nn.Linear(d, 1)

        def forward(self, x, y):
            return self.layer(torch.cat([x, y], 1))

    def discriminator(input_shape, norm, latent_dim):
        asked["discriminator"] = (input_shape, norm, latent_dim)
        return Pairs(input_shape[0] + latent_dim)

    def classifier(input_shape, n_outputs, norm):
        asked["classifier"] = (input_shape, n_outputs, norm)
        return nn.Sequential(nn.Linear(*input_shape, 6), nn.Tanh(), nn.Linear(6, n_outputs))

    est = fitted(
        X, y, discriminator=discriminator, classifier=classifier, norm="none",
        generator=nn.Linear(4 + 10, 64),
    )  # fmt: skip
    assert asked == {"discriminator": ((64,), "none", 10), "classifier": ((64,), 10, "weight")}
    assert est.transform(X).shape == (300, 6) and est.score_samples(X).shape == (300,)
    assert est.sample(2, y=4).shape == (2, 64)


def test_the_recipe_for_mnist_is_the_released_codes():
    est = TripleGANClassifier.from_preset("mnist")
    assert (est.batch_size, est.lr, est.betas) == (100, 1e-3, (0.5, 0.999))
    assert (est.pretrain_epochs, est.generated_start, est.n_epochs) == (30, 30 + 299, 30 + 1000)
    assert (est.alpha, est.generated_weight, est.adversarial_weight) == (0.5, 0.1, 1)
    assert (est.entropy_weight, est.mean_weight, est.ema_decay) == (0.3, 1e-3, 0.99)
    assert (est.latent_dim, est.pseudo_share) == (100, 400 / 401)
    X = np.random.default_rng(0).random((20, 28, 28))
    small = {"n_epochs": 1, "pretrain_epochs": 0, "random_state": 0, "device": "cpu"}
    est.set_params(**small).fit(X, np.arange(20) % 3)
    assert est.predict(X).shape == (20,) and est.sample(2, y=1).shape == (2, 28, 28)
    assert est.discriminator_.blocks[0].conv[1].layer.weight.shape == (1000, 784)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 1.5}, "alpha=1.5 must be a number in"),
        ({"pseudo_share": -0.1}, "pseudo_share=-0.1"),
        ({"adversarial_weight": -1}, "adversarial_weight=-1"),
        ({"generated_weight": "x"}, "generated_weight='x'"),
        ({"generated_start": 0.3}, "generated_start=0.3 must be a whole number"),
        ({"entropy_weight": -1}, "entropy_weight=-1"),
        ({"mean_weight": -1}, "mean_weight=-1"),
        ({"pretrain_epochs": -1}, "pretrain_epochs=-1"),
        ({"classifier_norm": "layer"}, "classifier_norm='layer'"),
        ({"rotation_weight": 1.0}, "rotation_weight=1.0 does not go with a discriminator of pairs"),
        ({"class_weight": {99: 1}}, r"class_weight has \[99\]"),
    ],
)
def test_bad_values_are_named(digits, monkeypatch, settings, message):
    monkeypatch.setattr("skgan.training.train", lambda *_args: pytest.fail("training began"))
    with pytest.raises(ValueError, match=message):
        fitted(*digits, **settings)
