"""FeatureMatchingClassifier: its losses and five steps by hand, and what unlabelled samples add."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons
from torch import nn

import skgan
from skgan import FeatureMatchingClassifier, MLPSpec
from skgan.losses import cross_entropy, feature_matching_mean, k_plus_one

REAL = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0], [0.2, 0.1, 0.0], [-4.0, 2.0, 1.0]])
FAKE = np.array([[0.0, -1.0, 2.0], [-3.0, -3.0, -3.0], [1.0, 1.0, 1.0], [0.5, 0.0, -0.5]])
TINY = {
    "generator": MLPSpec(16), "discriminator": MLPSpec(16, n_layers=2), "latent_dim": 4,
    "batch_size": 50, "n_epochs": 1, "lr": 1e-3, "random_state": 3, "device": "cpu",
}  # fmt: skip


def fitted(X, y, **settings):
    return FeatureMatchingClassifier(**(TINY | settings)).fit(X, y)


def same(a, b, X):
    return np.array_equal(a.decision_function(X), b.decision_function(X))


# ------------------------------------------------------------------ losses


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_loss_without_labels_by_hand_on_four_rows(dtype):
    """By the probabilities of K + 1 classes, the last of which has the score 0."""

    def p_generated(scores):
        powers = np.exp([*scores, 0.0])
        return powers[-1] / powers.sum()

    expected = -0.5 * np.mean([np.log(1 - p_generated(s)) for s in REAL])
    expected -= 0.5 * np.mean([np.log(p_generated(s)) for s in FAKE])
    ours = k_plus_one(*(torch.tensor(s, dtype=dtype) for s in (REAL, FAKE)))
    assert ours.dtype == dtype and ours.item() == pytest.approx(expected, rel=1e-6)
    # As the released code writes it.
    lse = [np.log(np.exp(s).sum(1)) for s in (REAL, FAKE)]
    code = -0.5 * lse[0].mean() + 0.5 * sum(np.log1p(np.exp(v)).mean() for v in lse)
    assert ours.item() == pytest.approx(code, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_weighted_cross_entropy_and_feature_matching_by_hand_on_four_rows(dtype):
    y, w = [2, 0, 1, 1], [0.5, 2.0, 3.0]
    terms = [-w[k] * np.log(np.exp(s[k]) / np.exp(s).sum()) for s, k in zip(REAL, y, strict=True)]
    scores, weight = torch.tensor(REAL, dtype=dtype), torch.tensor(w, dtype=dtype)
    ours = cross_entropy(scores, torch.tensor(y), weight)
    assert ours.item() == pytest.approx(np.mean(terms), rel=1e-6)
    expected = ((REAL.mean(0) - FAKE.mean(0)) ** 2).sum()
    ours = feature_matching_mean(*(torch.tensor(s, dtype=dtype) for s in (REAL, FAKE)))
    assert ours.item() == pytest.approx(expected, rel=1e-6)


# ------------------------------------------------------------------ the step


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_five_steps_equal_a_loop_written_by_hand(digits, monkeypatch, weight):
    X, y = digits[0][:250], digits[1][:250]
    few = np.where(np.arange(250) < 60, y, -1)
    balance = {0: 3.0, 7: 0.5}
    settings = {"unlabelled_weight": weight, "supervised_weight": 2.0, "class_weight": balance}
    start = fitted(X, few, **(settings | {"n_epochs": 0}))
    G, T, H = (
        copy.deepcopy(net).train()
        for net in (start.generator_, start.trunk_, start._discriminator_branch_)
    )
    seen, step = [], FeatureMatchingClassifier._step

    def watched(self, nets, batch, update):
        z, labelled = batch.latent(), batch.labelled()
        seen.append((batch.x.clone(), z.clone(), *labelled))
        given = dataclasses.replace(batch, latent=lambda: z, labelled=lambda: labelled)
        step(self, nets, given, update)

    monkeypatch.setattr(FeatureMatchingClassifier, "_step", watched)
    est = fitted(X, few, **settings)
    assert len(seen) == est.n_steps_ == 5
    D = nn.ModuleList([T, H])
    opt = {net: torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (G, D)}

    def move(net, loss):
        params = list(net.parameters())
        for p, g in zip(params, torch.autograd.grad(loss, params), strict=True):
            p.grad = g
        opt[net].step()

    softplus = nn.functional.softplus
    w = torch.tensor([balance.get(k, 1.0) for k in range(10)])
    for x, z, x_l, y_l in seen:
        losses = nn.functional.cross_entropy(H(T(x_l)), y_l, reduction="none")
        loss = 2.0 * (w[y_l] * losses).mean()
        if weight == 0:
            move(D, loss)
            continue
        fake = G(z)
        lse = [H(T(a)).logsumexp(1) for a in (x, fake)]
        unlabelled = -0.5 * lse[0].mean() + 0.5 * sum(softplus(v).mean() for v in lse)
        move(D, loss + weight * unlabelled)
        f, g = T(x), T(fake)  # all hidden layers are the trunk's
        move(G, (f.mean(0) - g.mean(0)).square().sum())
    theirs = est.generator_, est.trunk_, est._discriminator_branch_
    for mine, other in zip((G, T, H), theirs, strict=True):
        for p, q in zip(mine.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=5e-6)


def test_the_generator_matches_the_last_hidden_layer_whatever_transform_returns(digits):
    X, y = digits
    a, b = (fitted(X, y, layers=layers) for layers in (-1, 0))
    assert same(a, b, X) and np.array_equal(a.sample(3, 0), b.sample(3, 0))
    assert not np.array_equal(a.transform(X), b.transform(X))


def test_without_the_gan_the_generator_stays_and_unlabelled_rows_play_no_part(digits):
    X, y = digits
    few = np.where(np.arange(len(y)) < 50, y, -1)
    est = fitted(X, few, unlabelled_weight=0, norm="none")
    start = fitted(X, few, unlabelled_weight=0, norm="none", n_epochs=0)
    for p, q in zip(est.generator_.parameters(), start.generator_.parameters(), strict=True):
        assert torch.equal(p, q)
    assert {k for k in est.history_[0] if k.endswith("_loss")} == {
        "trunk_loss", "discriminator_loss"
    }  # fmt: skip


# ------------------------------------------------------------------ the claim


def moons(seed):
    """600 samples of which 4 a class have a label, and 1,000 test samples."""
    X, y = make_moons(600, noise=0.1, random_state=seed)
    rng = np.random.default_rng(seed)
    few = np.full(len(y), -1)
    for k in (0, 1):
        few[rng.permutation(np.flatnonzero(y == k))[:4]] = k
    return X, few, *make_moons(1000, noise=0.1, random_state=seed + 100)


def test_unlabelled_samples_help_a_classifier_with_few_labels():
    """Against the same classifier, trained as long on the same labels without the GAN."""
    network = MLPSpec(32, n_layers=3, noise=0.1, v_std=0.1)
    alone, ours = [], []
    for seed in range(3):
        X, few, X_test, y_test = moons(seed)
        for scores, weight in ((alone, 0.0), (ours, 1.0)):
            est = FeatureMatchingClassifier(
                discriminator=network, generator=MLPSpec(32), latent_dim=8, batch_size=75,
                n_epochs=60, lr=3e-3, unlabelled_weight=weight, random_state=seed, device="cpu",
            )  # fmt: skip
            scores.append(est.fit(X, few).score(X_test, y_test))
    assert min(np.subtract(ours, alone)) > 0, (ours, alone)
    assert np.mean(ours) > np.mean(alone) + 0.05, (ours, alone)


def test_d_tells_real_samples_from_generated_ones_and_samples_are_near_the_data():
    X, few, *_ = moons(0)
    settings = {"generator": MLPSpec(64), "discriminator": MLPSpec(64), "latent_dim": 8,
                "batch_size": 100, "random_state": 0}  # fmt: skip
    untrained, est = (
        FeatureMatchingClassifier(**settings, n_epochs=n).fit(X, few) for n in (0, 40)
    )
    far = X + 6.0
    assert est.score_samples(X).mean() > est.score_samples(far).mean() + 1

    def error(est):
        samples = est.sample(1000, 0)
        return np.abs(samples.mean(0) - X.mean(0)).max() + np.abs(samples.std(0) - X.std(0)).max()

    assert error(est) < 0.6 * error(untrained)


# ------------------------------------------------------------------ labels


def test_unlabelled_rows_are_trained_on_and_words_are_labels(digits):
    X, y = digits
    hidden = np.arange(len(y)) % 3 > 0
    est = fitted(X, np.where(hidden, -1, y))
    assert est.n_steps_ == 6 and est.classes_.tolist() == list(range(10))
    words = np.array([f"class {k}" for k in range(10)], object)[y]
    for missing in (None, np.nan, -1):
        named = fitted(X, np.where(hidden, missing, words))
        assert np.array_equal(named.predict_proba(X), est.predict_proba(X))
        assert set(named.predict(X)) <= set(words)
    other = X.copy()
    other[hidden] += np.random.default_rng(0).normal(size=other[hidden].shape)
    assert not same(est, fitted(other, np.where(hidden, -1, y)), X)


def test_an_epoch_is_a_pass_over_all_rows_with_one_label_in_a_hundred(digits):
    X, y = np.vstack([digits[0]] * 2), np.full(600, -1)
    y[[3, 5, 8]] = 0, 1, 2
    est = fitted(X, y, n_epochs=2)
    assert est.n_steps_ == 24 and est.predict_proba(X).shape == (600, 3)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [(None, [1, 1, 1]), ({"b": 4}, [1, 4, 1]), ("balanced", [6 / 9, 6 / 3, 6 / 6])],
)
def test_class_weight(weight, expected):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9, 2)), np.array(["a"] * 3 + ["b"] + ["c"] * 2 + [None] * 3, object)
    est = fitted(X, y, class_weight=weight)
    np.testing.assert_allclose(est.class_weight_, expected)


def test_heavier_classes_are_predicted_more_often():
    X, few, *_ = moons(0)
    X = X + np.random.default_rng(0).normal(size=X.shape)
    shares = [
        np.mean(fitted(X, few, class_weight={0: w, 1: 1 / w}, n_epochs=8, lr=3e-3).predict(X) == 0)
        for w in (0.1, 1.0, 10.0)
    ]
    assert all(a < b for a, b in itertools.pairwise(shares)), shares


def test_a_later_call_needs_labels_and_bad_ones_leave_the_fit_alone(digits):
    X, y = digits
    est = fitted(X, y)
    before = est.decision_function(X)
    with pytest.raises(ValueError, match="y is -1 throughout"):
        est.partial_fit(X[:20], np.full(20, -1))
    with pytest.raises(ValueError, match=r"class_weight has \['x'\]"):
        est.set_params(class_weight={"x": 2}).fit(X, y)
    assert np.array_equal(est.set_params(class_weight=None).decision_function(X), before)
    est.partial_fit(X[:20], np.where(y[:20] == 1, y[:20], -1))
    assert est.classes_.tolist() == list(range(10)) and est.n_epochs_ == 2


# ------------------------------------------------------------------ the recipe, and the rest


def test_the_recipe_for_mnist_is_the_released_codes():
    est = FeatureMatchingClassifier.from_preset("mnist")
    assert (est.n_epochs, est.batch_size, est.lr, est.betas) == (300, 100, 3e-3, (0.5, 0.999))
    assert (est.norm, est.latent_dim, est.ema_decay) == ("weight", 100, 0.9999)
    assert est.weight_decay == 0 and est.unlabelled_weight == est.supervised_weight == 1
    X = np.random.default_rng(0).random((30, 28, 28))
    est.set_params(n_epochs=1, random_state=0).fit(X, np.arange(30) % 3)
    assert est.transform(X).shape == (30, 250) and est.sample(2).shape == (2, 28, 28)
    assert est.head_weight_.shape == (3, 250)


def test_a_users_own_network_ends_in_the_features(digits, tmp_path):
    X, y = digits
    net = nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 5), nn.ReLU())
    est = fitted(X, y, discriminator=net, n_epochs=2)
    assert est.transform(X).shape == (300, 5) and est.predict_proba(X).shape == (300, 10)
    with torch.no_grad():
        f = est.trunk_(est._format.encode(X))
    np.testing.assert_allclose(est.transform(X), f, atol=1e-6)


def test_files_keep_the_classes_and_their_weights(digits, tmp_path):
    X, y = digits
    words = np.array([f"class {k}" for k in range(10)])[y]
    est = fitted(X, words, class_weight="balanced")
    est.save(tmp_path / "classifier")
    loaded = skgan.load(tmp_path / "classifier")
    assert same(loaded, est, X) and np.array_equal(loaded.predict(X), est.predict(X))
    assert np.array_equal(loaded.class_weight_, est.class_weight_)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unlabelled_weight": -1}, "unlabelled_weight=-1"),
        ({"supervised_weight": "x"}, "supervised_weight='x'"),
        ({"class_weight": "even"}, "class_weight='even' must be None, 'balanced' or a dict"),
        ({"class_weight": {0: -1}}, "class_weight=-1"),
        ({"class_weight": {99: 1}}, r"class_weight has \[99\]"),
        ({"norm": "layer"}, "norm='layer'"),
    ],
)
def test_bad_values_are_named(digits, monkeypatch, settings, message):
    monkeypatch.setattr("skgan.training.train", lambda *_args: pytest.fail("training began"))
    with pytest.raises(ValueError, match=message):
        fitted(*digits, **settings)


def test_scores_of_samples_are_the_logit_of_being_real():
    """log Z(x) is the log-sum-exp of the scores of the classes."""
    X, few, *_ = moons(0)
    y = np.where(few >= 0, few, -1)
    y[np.flatnonzero(few == 1)[0]] = 2  # three classes, so that decision_function has all scores
    est = FeatureMatchingClassifier(
        generator=MLPSpec(8), discriminator=MLPSpec(8), n_epochs=1, random_state=0, device="cpu"
    ).fit(X, y)
    expected = np.log(np.exp(est.decision_function(X).astype(float)).sum(1))
    np.testing.assert_allclose(est.score_samples(X), expected, atol=1e-5)
