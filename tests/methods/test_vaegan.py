"""VAE/GAN: who moves down which loss, five steps by hand, and what its codes are worth."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import skgan
from skgan import MLPSpec, VAEGANEncoder
from skgan.losses import normal_kl
from skgan.utils.processes import agreed

from .games import one_step

SMALL = {
    "generator": MLPSpec(16), "encoder": MLPSpec(16), "discriminator": MLPSpec(16),
    "latent_dim": 4, "random_state": 3, "device": "cpu",
}  # fmt: skip
UNITS = 16384
softplus = nn.functional.softplus


# ------------------------------------------------------------------ losses


def test_the_divergence_by_hand_on_four_samples():
    mu = np.array([[0.0, 0.0], [1.0, -2.0], [0.5, 0.0], [3.0, 1.0]])
    s = np.array([[0.0, 0.0], [0.5, -0.5], [-2.0, 0.0], [0.1, 1.0]])
    var = np.exp(s) ** 2
    expected = np.mean([
        sum(0.5 * (m**2 + v - np.log(v) - 1) for m, v in zip(*row, strict=True))
        for row in zip(mu, var, strict=True)
    ])  # fmt: skip
    for dtype in (torch.float64, torch.float32):
        ours = normal_kl(torch.tensor(mu, dtype=dtype), torch.tensor(s, dtype=dtype))
        assert ours.dtype == dtype and ours.item() == pytest.approx(expected, rel=1e-6)
    as_torch = torch.distributions.kl_divergence(
        torch.distributions.Normal(torch.tensor(mu), torch.tensor(s).exp()),
        torch.distributions.Normal(0.0, 1.0),
    )
    assert as_torch.sum(1).mean().item() == pytest.approx(expected)


class Given:
    """A network that gives what it is told, for one step of an estimator on four samples."""

    def __init__(self, *outputs):
        self.outputs = list(outputs)

    def __call__(self, *_inputs):
        return self.outputs.pop(0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_three_losses_by_hand_on_four_samples(dtype):
    """Two units in layer l, so that each of them stands for 8,192 of the paper's."""

    def tensor(rows):
        return torch.tensor(rows, dtype=dtype)

    f, f_rec = [[1.0, 2.0], [0.0, 1.0], [3.0, 0.5], [0.0, 0.0]], [[0.5, 2.0], [1.0, 1.0]] * 2
    real, made, rec = [2.0, -1.0, 0.5, 0.0], [-2.0, 1.0, 0.0, 0.3], [0.1, -0.4, 3.0, -1.0]
    code = [[0.5, 0.1], [-1.0, 0.0], [2.0, -0.5], [0.0, 0.2]]  # mu and log sigma, one dimension
    moves, logged = {}, {}
    likelihood = Given(tensor(f), tensor(f_rec))
    likelihood.n_features = 2

    class Nets:
        generator, encoder = Given("x_rec", "x_hat"), Given(tensor(code))
        discriminator = Given(tensor(made), tensor(real), tensor(rec))

    Nets.likelihood = likelihood

    class Batch:
        x, step = torch.zeros(4, 1), 1
        latent, normal = staticmethod(lambda: None), staticmethod(lambda *s: torch.zeros(s))
        log = staticmethod(lambda **values: logged.update(values))
        agreed = staticmethod(agreed)

    est = VAEGANEncoder(latent_dim=1, gamma=0.3, kl_weight=0.7, balance=(0.68, 0.5))
    est._step(Nets, Batch, lambda **losses: moves.update(losses))

    def log_sigma(logits):
        return np.mean([-np.log(1 / (1 + np.exp(-a))) for a in logits])

    llike = UNITS / 2 * np.mean([
        0.5 * sum((a - b) ** 2 for a, b in zip(*pair, strict=True))
        for pair in zip(f, f_rec, strict=True)
    ])  # fmt: skip
    kl = np.mean([0.5 * (m**2 + np.exp(2 * s) - 2 * s - 1) for m, s in code])
    expected = {
        "encoder": 0.7 * kl + llike,
        "generator": 0.3 * llike + log_sigma(made) + log_sigma(rec),
        "discriminator": log_sigma(real) + sum(log_sigma([-a for a in v]) for v in (made, rec)),
    }
    assert moves.keys() == expected.keys()
    for role, loss in moves.items():
        assert loss.item() == pytest.approx(expected[role], rel=1e-6), role
    assert logged["discriminator_moved"] == logged["generator_moved"] == 1


# ------------------------------------------------------------------ who moves


def gradients(loss, net):
    return torch.autograd.grad(loss, list(net.parameters()), retain_graph=True, allow_unused=True)


@pytest.mark.parametrize("recon_as_fake", [True, False])
@pytest.mark.parametrize("tap", ["conv", "norm", "activation"])
def test_each_network_goes_down_its_own_losses_and_no_other(digits, recon_as_fake, tap):
    """Against formulas by hand on the same networks, samples and noise."""
    X = digits[0][:64]
    est = VAEGANEncoder(
        **SMALL, n_epochs=0, gamma=1e-3, kl_weight=2.0, likelihood_layers=0, likelihood_tap=tap,
        recon_as_fake=recon_as_fake,
    )  # fmt: skip
    nets, batch, (losses,) = one_step(est, X, seed=5)
    G, E, D, x, z_p = nets.generator, nets.encoder, nets.discriminator, batch.x, batch.latent()
    rng = torch.Generator().manual_seed(5)
    est._build(est.input_shape_, rng), est._draw(64, rng)
    eps = torch.randn(64, 4, generator=rng)
    mu, s = E(x)[:, :4], E(x)[:, 4:]
    x_rec, x_hat = G(mu + s.exp() * eps), G(z_p)
    block = D.blocks[0]

    def dis_l(x):
        h = block.conv(x)
        return block.activation(h) if tap == "activation" else h  # no batch norm in the first

    kl = 0.5 * (mu**2 + (2 * s).exp() - 2 * s - 1).sum(1).mean()
    llike = UNITS * 0.5 * (dis_l(x) - dis_l(x_rec)).square().mean()
    fakes = [x_hat, x_rec] if recon_as_fake else [x_hat]
    gan = softplus(-D(x)).mean() + sum(softplus(D(f)).mean() for f in fakes)
    confuse = sum(softplus(-D(f)).mean() for f in fakes)
    by_hand = {
        "encoder": 2.0 * kl + llike, "generator": 1e-3 * llike + confuse, "discriminator": gan,
    }  # fmt: skip
    assert losses.keys() == by_hand.keys()
    for role, loss in losses.items():
        net = getattr(nets, role)
        for a, b in zip(gradients(loss, net), gradients(by_hand[role], net), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5 * max(1, float(b.abs().max())))
    # The losses would move the others, too, if they were let: this is what is kept from them.
    assert any(g is not None and g.abs().max() > 0 for g in gradients(losses["encoder"], D))
    reached = [g is not None and bool(g.abs().max() > 0) for g in gradients(confuse, E)]
    assert any(reached) is recon_as_fake


def test_neither_gamma_nor_the_game_moves_the_encoder_and_no_likelihood_moves_the_critic(digits):
    """One step from the same weights: what each network's move depends on."""

    def after(**settings):
        est = VAEGANEncoder(**SMALL, n_epochs=1, batch_size=64, **settings).fit(digits[0][:64])
        return {role: [p.clone() for p in getattr(est, f"{role}_").parameters()]
                for role in est._roles}  # fmt: skip

    def moved_otherwise(**settings):
        ours = after(**settings)
        return {r for r in base if any(map(lambda p, q: not torch.equal(p, q), base[r], ours[r]))}

    base = after(gamma=1e-3)
    assert moved_otherwise(gamma=1.0) == {"generator"}
    assert moved_otherwise(gamma=1e-3, kl_weight=50.0) == {"encoder"}
    assert moved_otherwise(gamma=1e-3, likelihood_layers=0) == {"generator", "encoder"}
    assert moved_otherwise(gamma=1e-3, recon_as_fake=False) == {"generator", "discriminator"}


@pytest.mark.parametrize("recon_as_fake", [True, False])
def test_five_steps_equal_a_loop_written_by_hand(digits, monkeypatch, recon_as_fake):
    X = digits[0][:250]
    settings = SMALL | {
        "batch_size": 50, "norm": "none", "gamma": 1e-3, "kl_weight": 0.5, "lr": 1e-3,
        "likelihood_layers": 1, "recon_as_fake": recon_as_fake, "weight_decay": 1e-3,
    }  # fmt: skip
    start = VAEGANEncoder(**settings, n_epochs=0).fit(X)
    G, E, D = (copy.deepcopy(getattr(start, f"{role}_")).train() for role in
               ("generator", "encoder", "discriminator"))  # fmt: skip
    seen, step = [], VAEGANEncoder._step

    def watched(self, nets, batch, update):
        eps, z = batch.normal(len(batch.x), 4), batch.latent()
        seen.append((batch.x.clone(), eps, z.clone()))
        fixed = {"latent": lambda: z, "normal": lambda *shape: eps}
        step(self, nets, dataclasses.replace(batch, **fixed), update)

    monkeypatch.setattr(VAEGANEncoder, "_step", watched)
    est = VAEGANEncoder(**settings, n_epochs=1).fit(X)
    assert len(seen) == est.n_steps_ == 5
    opt = {net: torch.optim.RMSprop(net.parameters(), 1e-3, weight_decay=1e-3) for net in (G, E, D)}
    for x, eps, z in seen:
        mu, s = E(x).chunk(2, 1)
        x_rec, x_hat = G(mu + s.exp() * eps), G(z)
        f, f_rec = (D.blocks[1].conv(D.blocks[0](v)) for v in (x, x_rec))
        llike = UNITS / 2 * (f - f_rec).square().mean()
        fakes = [x_hat, x_rec] if recon_as_fake else [x_hat]
        l_e = 0.5 * 0.5 * (mu**2 + (2 * s).exp() - 2 * s - 1).sum(1).mean() + llike
        l_g = 1e-3 * llike + sum(softplus(-D(v)).mean() for v in fakes)
        l_d = softplus(-D(x)).mean() + sum(softplus(D(v)).mean() for v in fakes)
        grads = [gradients(loss, net) for net, loss in ((G, l_g), (E, l_e), (D, l_d))]
        for net, new in zip((G, E, D), grads, strict=True):
            for p, g in zip(net.parameters(), new, strict=True):
                p.grad = g
            opt[net].step()
    for mine, other in zip(
        (G, E, D), (est.generator_, est.encoder_, est.discriminator_), strict=True
    ):
        for p, q in zip(mine.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=2e-5)


# ------------------------------------------------------------------ balance


def test_the_guard_by_hand():
    """Equilibrium .68, margin .35: below .33 Dis waits, above 1.03 Dec does, never both."""
    est = VAEGANEncoder(balance=(0.68, 0.35))
    for real, fake, dis, dec in (
        (0.7, 0.7, True, True), (0.32, 0.7, False, True), (0.7, 0.32, False, True),
        (1.04, 0.7, True, False), (0.7, 1.04, True, False), (0.32, 1.04, True, True),
        (1.04, 0.32, True, True), (0.34, 1.02, True, True),
    ):  # fmt: skip
        assert est._balanced(real, fake) == {"discriminator": dis, "generator": dec}


@pytest.mark.parametrize(
    ("balance", "waiting"), [((50.0, 0.0), "discriminator"), ((0.0, 0.0), "generator")]
)
def test_who_waits_stays_as_it_is_and_the_encoder_always_moves(small, digits, balance, waiting):
    """Losses are always below 50, and above 0."""
    start, est = (
        small(VAEGANEncoder, image_shape=(8, 8), balance=balance, n_epochs=n).fit(digits[0])
        for n in (0, 1)
    )
    same = {
        role: all(
            torch.equal(p, q)
            for p, q in zip(
                getattr(start, f"{role}_").parameters(), getattr(est, f"{role}_").parameters(),
                strict=True,
            )
        )
        for role in est._roles
    }  # fmt: skip
    assert same == {role: role == waiting for role in est._roles}
    (row,) = est.history_
    for role in ("discriminator", "generator"):
        assert row[f"{role}_moved"] == (role != waiting)
        assert (f"{role}_loss" in row) is (role != waiting)


# ------------------------------------------------------------------ the claim


def test_reconstructions_are_of_their_samples_and_codes_are_like_the_prior():
    X, y = load_digits(return_X_y=True)
    network = MLPSpec(64)
    train, test = X[:1200], X[1200:]

    def fitted(n_epochs, seed):
        return VAEGANEncoder(
            image_shape=(8, 8), generator=network, encoder=network, discriminator=network,
            latent_dim=8, likelihood_tap="norm", gamma=1e-4, lr=1e-3, n_epochs=n_epochs,
            random_state=seed, device="cpu",
        ).fit(train)  # fmt: skip

    def ratio(est):
        """Squared error, as a share of that of another sample's reconstruction."""
        R = est.reconstruct(test)
        return np.square(R - test).sum() / np.square(np.roll(R, 1, axis=0) - test).sum()

    assert ratio(fitted(0, 0)) > 0.95
    for seed in (0, 1):
        est = fitted(15, seed)
        assert ratio(est) < 0.5
        Z = est.transform(test)
        assert np.abs(Z.mean(0)).max() < 0.7 and Z.std(0).min() > 0.3 and Z.std(0).max() < 2.5
        # The vector from other digits to zeros makes reconstructions more like zeros.
        zero, others = X[y == 0].mean(0), test[y[1200:] != 0]
        vector = est.attribute_vector(train, y[:1200] == 0)
        before, after = (
            np.square(est.inverse_transform(est.transform(others) + k * vector) - zero).mean()
            for k in (0, 1)
        )
        assert after < 0.75 * before


# ------------------------------------------------------------------ use


def test_transform_gives_the_mean_and_the_generator_is_the_way_back(small, digits):
    X, _ = digits
    est = small(VAEGANEncoder, image_shape=(8, 8)).fit(X)
    with torch.no_grad():
        a = est.encoder_(est._format.encode(X))
    Z = est.transform(X)
    assert Z.shape == (300, 8) and a.shape == (300, 16)
    np.testing.assert_allclose(Z, a[:, :8], atol=1e-5)
    np.testing.assert_allclose(est.inverse_transform(Z), est.reconstruct(X), atol=1e-4)
    assert est.sample(3, 0).shape == (3, 64)
    assert est.get_feature_names_out()[-1] == "latent7"
    est.set_params(output="penultimate")
    assert est.transform(X).shape[1] > 8 and not hasattr(est, "inverse_transform")


def test_attribute_vectors_are_differences_of_mean_codes(small, digits):
    X, y = digits
    est = small(VAEGANEncoder, image_shape=(8, 8)).fit(X)
    Z = est.transform(X)
    expected = Z[y == 3].mean(0) - Z[y != 3].mean(0)
    assert expected.shape == (8,) and np.abs(expected).max() > 0
    words = np.where(y == 3, "three", "other")
    for labels in (y == 3, np.where(y == 3, 1, -1), (y == 3).astype(float), words):
        np.testing.assert_allclose(est.attribute_vector(X, labels), expected, atol=1e-6)
    est.set_params(output="layers")  # the codes are the same whatever `transform` returns
    np.testing.assert_allclose(est.attribute_vector(X, y == 3), expected, atol=1e-6)
    some = words.astype(object)
    some[:100] = None
    expected = Z[100:][y[100:] == 3].mean(0) - Z[100:][y[100:] != 3].mean(0)
    np.testing.assert_allclose(est.attribute_vector(X, some), expected, atol=1e-6)
    for bad, message in (
        (y, r"y has 300 labels of the classes \[0, 1, .*, of two classes"),
        (y[:-1] == 3, "y has 299 labels .* for 300 samples"),
        (np.zeros(300), "at least two classes"),
    ):
        with pytest.raises(ValueError, match=message):
            est.attribute_vector(X, bad)


def test_likelihood_is_of_samples_as_they_are_and_the_game_of_augmented_ones(small, digits):
    passes = []

    def dim(x):
        if x.any():  # it is tried on zeros before training
            passes.append(x)
        return x / 2

    est = small(VAEGANEncoder, image_shape=(8, 8), n_epochs=1, augment=dim).fit(digits[0][:64])
    assert len(passes) == 3 * est.n_steps_


def test_networks_and_layers_of_ones_own(digits, tmp_path):
    D = nn.Sequential(nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, 1))
    est = VAEGANEncoder(**(SMALL | {"discriminator": D}), n_epochs=1, likelihood_layers="all")
    est.fit(digits[0])
    assert est._likelihood_layers(est.discriminator_).n_features == 14
    named = VAEGANEncoder(**SMALL, n_epochs=1, likelihood_layers=[0, -1], balance=(0.68, 0.35))
    named.fit(digits[0]).save(tmp_path / "vaegan")
    other = skgan.load(tmp_path / "vaegan")
    assert np.array_equal(other.transform(digits[0]), named.transform(digits[0]))


def test_bad_values_are_named(digits, monkeypatch):
    def trained(*_args):
        raise AssertionError("training began")

    monkeypatch.setattr("skgan.training.train", trained)
    for settings, message in (
        ({"gamma": -1}, "gamma=-1"),
        ({"kl_weight": float("nan")}, "kl_weight=nan"),
        ({"likelihood_tap": "relu"}, "likelihood_tap='relu' is unknown"),
        ({"likelihood_layers": 9}, r"^likelihood_layers=9 must be 'all', 'learnt' or indices"),
        ({"recon_as_fake": "no"}, "recon_as_fake='no' must be True or False"),
        ({"balance": 0.68}, r"balance=0.68 must be None or two numbers"),
        ({"balance": (0.68, -1)}, r"balance=-1 must be a number"),
        ({"output": "codes"}, "output='codes'"),
    ):
        with pytest.raises(ValueError, match=message):
            VAEGANEncoder(**settings).fit(digits[0])
    net = nn.Sequential(nn.Linear(64, 1))
    with pytest.raises(ValueError, match="^likelihood_tap='conv': the network Sequential has no"):
        VAEGANEncoder(discriminator=net).fit(digits[0])
