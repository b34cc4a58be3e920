"""AC-GAN: both losses and five steps by hand, samples of a class, and labels that are missing."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from sklearn.base import is_classifier
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from torch import nn

import skgan
from skgan import ACGANFeatures, DCGANSpec, MLPSpec
from skgan.losses import cross_entropy, labelled_cross_entropy

SMALL = {
    "generator": MLPSpec(16), "discriminator": MLPSpec(16), "latent_dim": 4, "batch_size": 50,
    "norm": "none", "n_epochs": 1, "random_state": 3, "device": "cpu",
}  # fmt: skip
CENTRES = np.array([[4.0, 0.0], [-2.0, 3.0], [-2.0, -3.0]])
NAMES = np.array(["east", "north", "south"])


def gaussians(n=900):
    """Three classes of a Gaussian each, with a standard deviation of 0.5."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    return CENTRES[y] + 0.5 * rng.normal(size=(n, 2)), y


# ------------------------------------------------------------------ losses and steps


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_loss_of_labels_by_hand_on_four_samples(dtype):
    scores = np.array([[1.0, 0.0, -1.0], [0.5, 0.5, 0.5], [2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    given = torch.tensor(scores, dtype=dtype, requires_grad=True)
    partly = labelled_cross_entropy(given, torch.tensor([2, -1, 0, -1]))
    assert partly.dtype == dtype
    assert partly.item() == pytest.approx(-np.log([p[0, 2], p[2, 0]]).mean(), rel=1e-6)
    (gradient,) = torch.autograd.grad(partly, given)
    assert torch.equal(gradient[[1, 3]], torch.zeros(2, 3, dtype=dtype))
    y = torch.tensor([2, 1, 0, 0])
    assert labelled_cross_entropy(given, y).item() == pytest.approx(cross_entropy(given, y).item())
    w = torch.tensor([3.0, 5.0, 0.5], dtype=dtype)
    weighted = labelled_cross_entropy(given, torch.tensor([2, -1, 0, -1]), w).item()
    assert weighted == pytest.approx(-(0.5 * np.log(p[0, 2]) + 3 * np.log(p[2, 0])) / 2, rel=1e-6)
    none = labelled_cross_entropy(given, torch.full((4,), -1))
    assert none.item() == 0 and torch.autograd.grad(none, given)[0].abs().max() == 0


@pytest.mark.parametrize("class_weight", [None, {0: 3.0, 4: 0.5}])
@pytest.mark.parametrize("hidden", [False, True])
def test_five_steps_equal_a_loop_written_by_hand(digits, monkeypatch, hidden, class_weight):
    X, y = digits[0][:250], digits[1][:250]
    if hidden:  # whole minibatches may be without labels
        y = np.where(np.arange(250) % 3, -1, y)
    settings = SMALL | {
        "real_class_weight": 0.5, "generated_class_weight": 2.0, "generator_class_weight": 3.0,
        "lr": 1e-3, "class_weight": class_weight,
    }  # fmt: skip
    w = torch.ones(10)
    for k, factor in (class_weight or {}).items():
        w[k] = factor
    start = ACGANFeatures(**(settings | {"n_epochs": 0})).fit(X, y)
    places = "generator_", "trunk_", "_discriminator_branch_", "_classifier_branch_"
    G, T, d, c = (copy.deepcopy(getattr(start, place)).train() for place in places)
    seen, step = [], ACGANFeatures._step

    def watched(self, nets, batch, update):
        z = batch.latent()
        seen.append((batch.x.clone(), batch.y.clone(), z.clone()))
        step(self, nets, dataclasses.replace(batch, latent=lambda: z), update)

    monkeypatch.setattr(ACGANFeatures, "_step", watched)
    est = ACGANFeatures(**settings).fit(X, y)
    assert len(seen) == est.n_steps_ == 5
    assert any((labels < 0).any() for _, labels, _ in seen) is hidden
    opt = {net: torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (G, T, d, c)}
    softplus = nn.functional.softplus

    def move(*moves):
        grads = [torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
                 for net, loss in moves]  # fmt: skip
        for (net, _), new in zip(moves, grads, strict=True):
            for p, g in zip(net.parameters(), new, strict=True):
                p.grad = g
            opt[net].step()

    for x, labels, z in seen:
        assert z.shape == (50, 14) and (z[:, 4:].sum(1) == 1).all()
        k = z[:, 4:].argmax(1)
        x_hat = G(z)
        l_s = softplus(-d(T(x))).mean() + softplus(d(T(x_hat))).mean()
        known = labels >= 0
        scores = c(T(x))[known] + w.log()
        each = nn.functional.cross_entropy(scores, labels[known], reduction="none")
        l_c = 0.5 * (w[labels[known]] * each).mean()
        l_c = l_c + 2.0 * nn.functional.cross_entropy(c(T(x_hat)), k)
        move((T, l_s + l_c), (d, l_s), (c, l_c))
        l_g = softplus(-d(T(x_hat))).mean()
        move((G, l_g + 3.0 * nn.functional.cross_entropy(c(T(x_hat)), k)))
    for mine, place in zip((G, T, d, c), places, strict=True):
        for p, q in zip(mine.parameters(), getattr(est, place).parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=5e-6)


def test_every_row_keeps_its_own_label(digits, monkeypatch):
    X, y = digits
    y = np.where(y == 3, -1, y)
    seen, step = [], ACGANFeatures._step

    def watched(self, nets, batch, update):
        seen.append((batch.x, batch.y))
        step(self, nets, batch, update)

    monkeypatch.setattr(ACGANFeatures, "_step", watched)
    est = ACGANFeatures(**SMALL).fit(X, y)
    assert est.classes_.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    rows, labels = (torch.cat(part) for part in zip(*seen, strict=True))
    label = {row.numpy().tobytes(): k for row, k in zip(est._format.encode(X), y, strict=True)}
    given = [est.classes_[k] if k >= 0 else -1 for k in labels.tolist()]
    assert given == [label[row.numpy().tobytes()] for row in rows]


# ------------------------------------------------------------------ the claim


def fitted(seed, n_epochs=30, **settings):
    X, y = gaussians()
    settings = SMALL | {
        "generator": MLPSpec(32), "discriminator": MLPSpec(32), "lr": 1e-3, "n_epochs": n_epochs,
    } | settings  # fmt: skip
    return ACGANFeatures(**(settings | {"random_state": seed})).fit(X, NAMES[y])


def shares(est, n=200):
    """For each class that is asked for, the share of samples nearest to that class's mean."""
    return [
        np.mean(np.square(est.sample(n, 0, y=name)[:, None] - CENTRES).sum(2).argmin(1) == k)
        for k, name in enumerate(NAMES)
    ]


def test_samples_that_are_asked_of_a_class_are_of_that_class():
    assert np.mean(shares(fitted(0, n_epochs=0))) < 0.5
    X, y = gaussians()
    for seed in (0, 1, 2):
        est = fitted(seed)
        assert min(shares(est)) > 0.95
        for centre, name in zip(CENTRES, NAMES, strict=True):  # which are 6 and more apart
            assert np.linalg.norm(est.sample(500, 1, y=name).mean(0) - centre) < 1.2, (seed, name)
        assert est.score(X, NAMES[y]) > 0.98


def test_without_the_classifier_a_class_means_nothing_to_the_generator():
    """The counterpart: the same game with the generator's class weight at 0."""
    assert min(shares(fitted(0, generator_class_weight=0.0))) < 0.5


def test_features_of_few_labelled_rows_know_the_classes_of_all():
    """Most rows without a label: they are real samples to D, and nothing to C."""
    X, y = load_digits(return_X_y=True)
    some = np.where(np.arange(1200) % 5, -1, y[:1200])
    network = DCGANSpec(8)
    untrained, trained = (
        ACGANFeatures(
            image_shape=(8, 8), generator=network, discriminator=network, n_epochs=n, lr=1e-3,
            batch_size=64, random_state=0, device="cpu",
        ).fit(X[:1200], some).score(X[1200:], y[1200:])
        for n in (0, 10)
    )  # fmt: skip
    assert untrained < 0.3 and trained > 0.8


# ------------------------------------------------------------------ use


@pytest.fixture(scope="module")
def words():
    return fitted(0, n_epochs=1)


def test_sample_takes_labels_as_in_y(words):
    est = words
    z = est._draw(5, torch.Generator().manual_seed(0), 1)
    assert z.shape == (5, 7) and (z[:, 4:] == torch.tensor([0.0, 1.0, 0.0])).all()
    assert np.array_equal(est.sample(6, 0, y="north"), est.sample(6, 0, component=1))
    each = ["south", "east", "east", "north"]
    own = est.sample(4, 0, y=each)
    assert np.array_equal(own, est.sample(4, 0, y=np.array(each)))
    assert np.array_equal(own, est.sample(4, 0, component=[2, 0, 0, 1]))
    for i, name in enumerate(each):
        assert np.array_equal(own[i], est.sample(4, 0, y=[name] * 4)[i])
    assert not np.allclose(own[0], est.sample(4, 0, y="east")[0])
    assert est.sample(4, 0).shape == (4, 2)


def test_labels_of_numbers_and_images(digits, small):
    X, y = digits
    est = small(ACGANFeatures, image_shape=(8, 8)).fit(X, 10 * y)
    assert np.array_equal(est.sample(3, 0, y=70), est.sample(3, 0, component=7))
    assert np.array_equal(est.sample(2, 0, y=[70, 0]), est.sample(2, 0, component=(7, 0)))
    assert est.sample_images(2, 0, y=[90.0, 10.0]).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"y": "west"}, r"y has \['west'\], but the classes are \['east', 'north', 'south'\]"),
        ({"y": ["east", "west"]}, r"y has \['west'\]"),
        ({"y": ["east"]}, r"y has the shape \(1,\) for n_samples=2"),
        ({"y": [["east"], ["east"]]}, r"y has the shape \(2, 1\)"),
        ({"y": "east", "component": 0}, "leave one of them None"),
        ({"component": 3}, "component=3 must be a whole number"),
        ({"component": [0, 1, 2]}, "component has 3 entries for n_samples=2"),
        ({"component": [0, -1]}, "component=-1"),
        ({"component": "0"}, "component='0'"),
    ],
)
def test_what_cannot_be_asked_for(words, asked, message):
    for sample in (words.sample, words.sample_images):
        with pytest.raises(ValueError, match=message):
            sample(2, **asked)


def test_nothing_is_asked_of_an_estimator_that_is_not_fitted():
    for asked in ({}, {"y": 3}, {"component": 3}):
        with pytest.raises(NotFittedError):
            ACGANFeatures().sample(2, **asked)


def test_features_are_the_trunks_and_both_heads_stand_on_them(digits):
    X, y = digits
    est = ACGANFeatures(**(SMALL | {"layers": -1, "pool_grid": None})).fit(X, y)
    F = est.transform(X)
    with torch.no_grad():
        x = est._format.encode(X)
        np.testing.assert_allclose(F, est.trunk_(x), atol=1e-5)
        for head, given in (("classifier", est.decision_function(X)),
                            ("discriminator", est.score_samples(X))):  # fmt: skip
            weight = getattr(est, f"{head}_").head.weight.numpy()
            np.testing.assert_allclose((F @ weight.T).squeeze(), given, atol=1e-4)
    assert is_classifier(est) and est.density_ratio(X).shape == (300,)


def test_files_and_networks_of_ones_own(digits, tmp_path):
    X, y = digits
    est = ACGANFeatures(**SMALL).fit(X, y)
    est.save(tmp_path / "acgan")
    other = skgan.load(tmp_path / "acgan")
    assert np.array_equal(other.sample(4, 0, y=3), est.sample(4, 0, y=3))
    assert np.array_equal(other.predict(X), est.predict(X))
    trunk = nn.Sequential(nn.Linear(64, 6), nn.ReLU())

    def linear(latent_dim, output_shape):
        assert latent_dim == 4 + 10
        return nn.Linear(latent_dim, *output_shape)

    own = ACGANFeatures(**(SMALL | {"discriminator": trunk, "generator": linear})).fit(X, y)
    assert own.transform(X).shape == (300, 6) and own.predict_proba(X).shape == (300, 10)


def test_going_on_keeps_the_classes(digits):
    X, y = digits
    est = ACGANFeatures(**SMALL).partial_fit(X, y).partial_fit(X[y < 2], y[y < 2])
    assert est.classes_.tolist() == list(range(10)) and est.sample(2, y=9).shape == (2, 64)
    est.fit(X[y < 3], y[y < 3])
    assert est.classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"y has \[9\]"):
        est.sample(2, y=9)


def test_bad_values_are_named(digits, monkeypatch):
    def trained(*_args):
        raise AssertionError("training began")

    monkeypatch.setattr("skgan.training.train", trained)
    for name in ("real_class_weight", "generated_class_weight", "generator_class_weight"):
        with pytest.raises(ValueError, match=f"^{name}=-1"):
            ACGANFeatures(**{name: -1}).fit(*digits)
    with pytest.raises(ValueError, match="requires y to be passed"):
        ACGANFeatures().fit(digits[0])
    for nothing in (None, np.nan):
        with pytest.raises(ValueError, match="y has no label: all entries are None, NaN or -1"):
            ACGANFeatures().fit(digits[0], np.full(300, nothing, object))
    with pytest.raises(ValueError, match="class_weight has .*12.*not among the classes"):
        ACGANFeatures(class_weight={12: 2}).fit(*digits)
    with pytest.raises(ValueError, match=r"y holds 1 class\(es\)"):
        ACGANFeatures().fit(digits[0], np.zeros(300))
