"""InfoGAN: its losses and five steps by hand, and what its codes recover."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr
from torch import nn

import skgan
from skgan import DCGANSpec, InfoGANExtractor, MLPSpec
from skgan.losses import gaussian_nll
from skgan.nn.codes import Prior

SMALL = {"generator": DCGANSpec(4), "discriminator": DCGANSpec(4), "image_shape": (8, 8),
         "latent_dim": 5, "n_epochs": 1, "batch_size": 50, "random_state": 0,
         "device": "cpu"}  # fmt: skip
DENSE = {"generator": MLPSpec(64), "discriminator": MLPSpec(64), "batch_size": 100, "lr": 1e-3,
         "device": "cpu"}  # fmt: skip
UNIFORM = math.log(2)  # entropy of U(-1, 1) in nats


# ------------------------------------------------------------------ claims


def accuracy(predicted, y, k):
    """Of the best one-to-one match of categories and clusters."""
    together = np.zeros((k, k))
    np.add.at(together, (predicted, y), 1)
    rows, columns = linear_sum_assignment(-together)
    return together[rows, columns].sum() / len(y)


def test_a_categorical_code_recovers_clusters_and_a_passive_q_does_not():
    """The bound reaches the entropy; in a plain GAN with the same Q it stays near 0."""
    rng = np.random.default_rng(0)
    y = rng.integers(5, size=1000)
    angle = 2 * np.pi * y / 5
    X = 4 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.3 * rng.normal(size=(1000, 2))

    def fit(weight, seed):
        est = InfoGANExtractor(
            **DENSE, categories=(5,), n_continuous=0, categorical_weight=weight, n_epochs=20,
            generator_lr=1e-3, random_state=seed,
        )  # fmt: skip
        found = accuracy(est.fit_predict(X), y, 5)
        return found, est.history_[-1]["information_share"]

    informed = np.array([fit(1.0, seed) for seed in range(3)])
    passive = np.array([fit(0.0, seed) for seed in range(3)])
    assert informed.min(0)[0] > 0.98 and informed.min(0)[1] > 0.95, informed
    assert passive.max(0)[0] < 0.9 and passive.max(0)[1] < 0.2, passive


def test_a_continuous_code_recovers_the_position_on_a_curve():
    """The bound reaches its best value at sigma 1; a passive Q knows no more than the prior.

    In about one of four seeds G lays the code along the curve with a fold, and stays there.
    """
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, 1000)
    X = np.stack([np.cos(2 * t), np.sin(2 * t)], 1) + 0.05 * rng.normal(size=(1000, 2))

    def fit(weight, seed):
        est = InfoGANExtractor(
            **DENSE, categories=(), n_continuous=1, continuous_weight=weight, n_epochs=30,
            generator_lr=1e-3, random_state=seed,
        )  # fmt: skip
        code = est.fit_transform(X)[:, 0]
        return abs(spearmanr(code, t)[0]), est.history_[-1]["information_continuous"]

    best = UNIFORM - 0.5 * math.log(2 * math.pi)
    found = np.array([fit(1.0, seed) for seed in range(4)])
    assert np.sort(found[:, 0])[1] > 0.98, found
    assert np.sort(found[:, 1])[1] > best - 0.02 and found[:, 1].max() <= best, found
    for seed in range(2):
        assert fit(0.0, seed)[1] < best - 0.13  # knowing nothing: best - 1/6


# ------------------------------------------------------------------ losses and steps by hand


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_likelihood_of_codes_by_hand_on_four_samples(dtype):
    mean = np.array([[0.1, -0.5], [0.0, 2.0], [-1.0, 0.3], [0.7, 0.7]])
    log_std = np.array([[0.0, -1.0], [0.5, 0.2], [-0.3, 0.0], [1.0, -2.0]])
    c = np.array([[0.3, -0.4], [-0.9, 0.8], [0.0, 0.0], [0.5, -0.1]])
    scores = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [-1.0, 4.0, 0.5], [2.0, -2.0, 0.0]])
    other = np.array([[0.5, 0.0], [1.0, -1.0], [0.0, 3.0], [-2.0, 2.0]])
    chosen, others = np.array([2, 0, 1, 1]), np.array([0, 1, 1, 0])

    def log_normal(x, m, s):
        return math.log(math.exp(-((x - m) ** 2) / (2 * s**2)) / (s * math.sqrt(2 * math.pi)))

    def surprise(rows, which):
        return np.mean(np.log(np.exp(rows).sum(1)) - rows[np.arange(4), which])

    learnt, fixed = (
        -sum(log_normal(c[i, j], mean[i, j], s[i, j]) for i in range(4) for j in range(2)) / 4
        for s in (np.exp(log_std), np.ones((4, 2)))
    )

    def t(*columns):
        return torch.tensor(np.hstack(columns), dtype=dtype)

    ours = gaussian_nll(t(mean), t(log_std), t(c))
    assert ours.dtype == dtype and ours.item() == pytest.approx(learnt, rel=1e-5)

    z = t(np.full((4, 5), 9.0), c, np.eye(3)[chosen], np.eye(2)[others])
    categorical = surprise(scores, chosen) + surprise(other, others)
    for learn_std, expected in ((True, learnt), (False, fixed)):
        est = InfoGANExtractor(latent_dim=5, categories=(3, 2), learn_std=learn_std)
        q = t(mean, scores, other, *([log_std] if learn_std else []))
        nll = est._nll(q, z)
        assert nll["categorical"].item() == pytest.approx(categorical, rel=1e-5)
        assert nll["continuous"].item() == pytest.approx(expected, rel=1e-5)
        est.set_params(categorical_weight=3.0, continuous_weight=0.5)
        assert est._weighted(nll).item() == pytest.approx(3 * categorical + expected / 2, rel=1e-5)
        bounds = est._information(nll)
        assert bounds["information_categorical"] == pytest.approx(math.log(6) - categorical)
        assert bounds["information_share"] == pytest.approx(1 - categorical / math.log(6))
        assert bounds["information_continuous"] == pytest.approx(2 * UNIFORM - expected)


@pytest.mark.parametrize("latent", ["uniform", "normal"])
def test_codes_are_uniform_and_stand_between_the_noise_and_the_categories(latent):
    prior = Prior(latent, 3, (4, 2), n_continuous=2)
    z = prior.draw(4000, torch.Generator().manual_seed(0))
    assert z.shape == (4000, prior.dim) == (4000, 11)
    noise, codes, first, second = z.split([3, 2, 4, 2], dim=1)
    assert (noise.abs().max() > 1) == (latent == "normal")
    assert codes.abs().max() <= 1 and abs(codes.square().mean().item() - 1 / 3) < 0.02
    for part in (first, second):
        assert torch.equal(part.sort(1)[0][:, -1], torch.ones(4000)) and (part.sum(1) == 1).all()
        assert (part.mean(0) - 1 / part.shape[1]).abs().max() < 0.03
    assert prior.names()[3:] == ["continuous0", "continuous1", "category0_0", "category0_1",
                                 "category0_2", "category0_3", "category1_0",
                                 "category1_1"]  # fmt: skip


@pytest.mark.parametrize("weights", [(2.0, 0.5), (0.0, 0.0)])
def test_five_steps_equal_a_loop_written_by_hand(digits, monkeypatch, weights):
    X = digits[0][:250]
    settings = {
        "generator": MLPSpec(16), "discriminator": MLPSpec(16), "latent_dim": 4, "batch_size": 50,
        "categories": (3,), "n_continuous": 2, "learn_std": True, "recognition_hidden": 8,
        "categorical_weight": weights[0], "continuous_weight": weights[1], "norm": "none",
        "random_state": 3, "device": "cpu",
    }  # fmt: skip
    cls = InfoGANExtractor
    start = cls(**settings, n_epochs=0).fit(X)
    G, T, d, Q = (copy.deepcopy(net).train() for net in parts(start))
    seen, step = [], cls._step

    def watched(self, nets, batch, update):
        z = batch.latent()
        seen.append((batch.x.clone(), z.clone()))
        step(self, nets, dataclasses.replace(batch, latent=lambda: z), update)

    monkeypatch.setattr(cls, "_step", watched)
    est = cls(**settings, n_epochs=1).fit(X)
    assert len(seen) == est.n_steps_ == 5
    rates = {G: 1e-3, T: 2e-4, d: 2e-4, Q: 2e-4}  # the paper's
    opt = {net: torch.optim.Adam(net.parameters(), lr, (0.5, 0.999)) for net, lr in rates.items()}

    def move(*moves):
        gradients = [
            torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
            for net, loss in moves
        ]
        for (net, _), grads in zip(moves, gradients, strict=True):
            for p, g in zip(net.parameters(), grads, strict=True):
                p.grad = g
            opt[net].step()

    def losses(f, z):
        """Of Q itself, and with lambda."""
        q = Q(f)
        normal = torch.distributions.Normal(q[:, :2], q[:, 5:].exp())
        continuous = -normal.log_prob(z[:, 4:6]).sum(1).mean()
        category = nn.functional.cross_entropy(q[:, 2:5], z[:, 6:].argmax(1))
        return category + continuous, weights[0] * category + weights[1] * continuous

    softplus = nn.functional.softplus
    for x, z in seen:
        x_hat = G(z)
        f = T(x_hat)
        l_d = softplus(-d(T(x))).mean() + softplus(d(f)).mean()
        l_q, l_i = losses(f, z)
        move((T, l_d + l_i), (d, l_d), (Q, l_q))
        f = T(x_hat)
        move((G, softplus(-d(f)).mean() + losses(f, z)[1]))
    for mine, other in zip((G, T, d, Q), parts(est), strict=True):
        for p, q in zip(mine.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=5e-6)


def parts(est):
    return est.generator_, est.trunk_, est._discriminator_branch_, est._recognition_branch_


def test_the_hidden_layer_of_q_has_batch_norm_by_the_real_samples(digits):
    """As in the paper; in use it is by statistics of X, which `transform` is given."""
    X = digits[0]
    est = InfoGANExtractor(**SMALL, recognition_hidden=6).fit(X)
    (bn,) = (m for m in est._recognition_branch_.modules() if isinstance(m, nn.BatchNorm1d))
    (hidden, _) = (m for m in est._recognition_branch_.modules() if isinstance(m, nn.Linear))
    assert bn.num_features == 6 and hidden.bias is None
    with torch.no_grad():
        a = hidden(est.trunk_.eval()(est._format.encode(X)).flatten(1))
    # Statistics are means over batches, in which the trunk's own batch norm is by the batch.
    torch.testing.assert_close(bn.running_mean, a.mean(0), rtol=0.1, atol=0.02)
    assert (bn.running_mean.abs() > 1e-4).all()


@pytest.mark.parametrize("kind", ["categorical", "continuous"])
def test_each_kind_of_information_reaches_the_trunk_and_the_generator(digits, kind):
    """One step of gradient descent with its weight and without; D's and Q's heads do the same.

    The second time the trunk is held where it is, so that G cannot learn of the weight through it.
    """

    def fit(weight, **rate):
        weights = {"categorical_weight": 0.0, "continuous_weight": 0.0, f"{kind}_weight": weight}
        one_step = SMALL | {"batch_size": 300, "optimizer": "sgd", "norm": "none"}
        return parts(InfoGANExtractor(**one_step, **weights, **rate).fit(digits[0]))

    def same(**rate):
        return [
            all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
            for a, b in zip(fit(0.0, **rate), fit(1.0, **rate), strict=True)
        ]

    assert same()[1:] == [False, True, True]
    assert not same(trunk_lr=1e-30)[0]


# ------------------------------------------------------------------ use


def test_features_are_means_and_probabilities_or_the_trunk(digits, tmp_path):
    X = digits[0]
    est = InfoGANExtractor(**SMALL, categories=(4, 3)).fit(X)
    codes = est.transform(X)
    q = est.recognition_(est._format.encode(X)).detach()
    np.testing.assert_allclose(codes[:, :2], q[:, :2], atol=1e-6)
    np.testing.assert_allclose(codes[:, 2:6], q[:, 2:6].softmax(1), atol=1e-6)
    np.testing.assert_allclose(codes[:, 6:], q[:, 6:].softmax(1), atol=1e-6)
    assert list(est.get_feature_names_out()) == [
        "continuous0", "continuous1", *(f"category0_{i}" for i in range(4)),
        *(f"category1_{i}" for i in range(3)),
    ]  # fmt: skip
    assert np.array_equal(est.predict(X), codes[:, 2:6].argmax(1))
    assert np.array_equal(est.predict(X, code=1), codes[:, 6:].argmax(1))
    assert np.array_equal(
        InfoGANExtractor(**SMALL, categories=(4, 3)).fit_predict(X), est.predict(X)
    )
    assert not hasattr(est, "head_weight_")
    est.save(tmp_path / "gan")
    assert np.array_equal(skgan.load(tmp_path / "gan").predict(X, code=1), est.predict(X, code=1))

    trunk = est.set_params(output="trunk").transform(X)
    with torch.no_grad():
        expected = est.trunk_(est._format.encode(X)).flatten(1)
    np.testing.assert_allclose(trunk, expected, atol=1e-6)
    assert est.head_weight_.shape == (1, trunk.shape[1])
    assert est.set_params(layers="all", pool_grid=1).transform(X).shape == (300, 4 + 8)


def test_a_network_of_the_users_own_is_the_trunk(digits):
    trunk = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 5), nn.ReLU())
    est = InfoGANExtractor(**SMALL | {"discriminator": trunk}).fit(digits[0])
    assert est.transform(digits[0]).shape == (300, 12)
    features = est.set_params(output="trunk").transform(digits[0])
    with torch.no_grad():
        expected = est.trunk_(est._format.encode(digits[0]))
    np.testing.assert_allclose(features, expected, atol=1e-6)


class Echo(nn.Module):
    """A generator whose samples are what it is given."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, z):
        return self.gain * z


def test_one_code_varies_and_all_else_is_fixed():
    X = np.random.default_rng(0).normal(size=(50, 11)) * 3 + 1
    est = InfoGANExtractor(
        generator=Echo(), discriminator=MLPSpec(8), latent_dim=3, categories=(4, 2), n_continuous=2,
        n_epochs=0,
    ).fit(X)  # fmt: skip

    def traverse(*args, **kwargs):
        samples = est.traverse(*args, random_state=0, **kwargs)
        return (samples - X.mean(0)) / X.std(0)

    drawn = (est.sample(5, random_state=0) - X.mean(0)) / X.std(0)
    for code, columns, values, given in (
        ("category0", slice(5, 9), np.eye(4), None),
        ("category1", slice(9, 11), np.eye(2)[[1, 0, 1]], [1, 0, 1]),
        ("continuous0", slice(3, 4), np.linspace(-1, 1, 9)[:, None], None),
        ("continuous1", slice(4, 5), [[-2], [0.5]], (-2, 0.5)),
    ):
        z = traverse(code, given, n_rows=5)
        assert z.shape == (5, len(values), 11)
        expected = np.repeat(drawn[:, None], len(values), axis=1)
        expected[:, :, columns] = values
        np.testing.assert_allclose(z, expected, atol=1e-5)
    assert np.array_equal(est.traverse(random_state=1), est.traverse(random_state=1))


def test_samples_have_the_layout_of_x(digits):
    X = (digits[0] * 15).reshape(-1, 8, 8, 1).astype(np.uint8)
    settings = SMALL | {"image_shape": None, "data_format": "channels_last"}
    est = InfoGANExtractor(**settings, categories=(3,)).fit(X)
    grid = est.traverse("continuous1", [-1, 0, 1], n_rows=2)
    assert grid.shape == (2, 3, 8, 8, 1) and grid.dtype == np.uint8
    assert est.sample(4, component=2).shape == (4, 8, 8, 1)


def test_history_has_the_bound_of_what_codes_there_are(digits):
    both = InfoGANExtractor(**SMALL, categories=(4, 3)).fit(digits[0]).history_[-1]
    assert both["information_share"] == pytest.approx(
        both["information_categorical"] / math.log(12)
    )
    names = {k for k in both if k.startswith("information")}
    assert names == {"information_categorical", "information_continuous", "information_share"}
    one = InfoGANExtractor(**SMALL, categories=()).fit(digits[0]).history_[-1]
    assert {k for k in one if k.startswith("information")} == {"information_continuous"}


def test_a_fit_goes_on_from_a_checkpoint_as_if_never_interrupted(digits, tmp_path):
    through = InfoGANExtractor(**SMALL | {"n_epochs": 2}).fit(digits[0])
    kept = InfoGANExtractor(**SMALL, checkpoint_dir=tmp_path).fit(digits[0])
    kept.set_params(n_epochs=2, resume="must").fit(digits[0])
    assert np.array_equal(kept.transform(digits[0]), through.transform(digits[0]))
    assert np.array_equal(kept.sample(3, 0), through.sample(3, 0))


def test_bad_values_are_named_and_an_earlier_fit_is_kept(digits):
    est = InfoGANExtractor(**SMALL).fit(digits[0])
    before = est.transform(digits[0])
    for settings, message in (
        ({"n_continuous": -1}, "n_continuous=-1"),
        ({"categories": 5}, r"categories=5 must be a tuple of sizes"),
        ({"categories": (1,)}, "categories=1 must be"),
        ({"categories": (), "n_continuous": 0}, r"categories=\(\) with n_continuous=0 leaves no"),
        ({"categorical_weight": -1}, "categorical_weight=-1"),
        ({"continuous_weight": "1"}, "continuous_weight='1'"),
        ({"learn_std": 1}, "learn_std=1 must be True or False"),
        ({"recognition_hidden": 0}, "recognition_hidden=0 .* or None"),
        ({"recognition_lr": 0}, "recognition_lr=0"),
        ({"output": "latent"}, "output='latent' is unknown"),
    ):
        old = {name: getattr(est, name) for name in settings}
        with pytest.raises(ValueError, match=f"^{message}"):
            est.set_params(**settings).fit(digits[0])
        assert np.array_equal(est.set_params(**old).transform(digits[0]), before)


def test_bad_values_in_use_are_named(digits):
    est = InfoGANExtractor(**SMALL).fit(digits[0])
    for call, message in (
        (lambda: est.predict(digits[0], code=1), r"code=1 must be a whole number in \[0, 0\]"),
        (
            lambda: est.traverse("category1"),
            "code='category1' is unknown; use one of 'continuous0'",
        ),
        (lambda: est.traverse("category0", [10]), r"values=10 must be a whole number in \[0, 9\]"),
        (lambda: est.traverse("category0", [0.5]), "values=0.5 must be a whole number"),
        (lambda: est.traverse("continuous0", [np.nan]), "values=nan must be a number"),
        (lambda: est.traverse("continuous0", []), "values=.* must be a list"),
        (lambda: est.traverse(n_rows=0), "n_rows=0"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            call()
    without = InfoGANExtractor(**SMALL, categories=()).fit(digits[0])
    with pytest.raises(ValueError, match=r"^categories=\(\) leaves no category to predict"):
        without.predict(digits[0])
