"""Networks that users bring: whatever their make, the promises made of our own hold for them."""

import copy
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import torch
from torch import nn

from skgan import AutoencoderFeatures, DCGANSpec, MGANExtractor, MLPSpec, SupervisedFeatures
from skgan.engine.identity import describe
from skgan.nn import build_network
from skgan.utils.seeds import global_state_kept

OLD_SPECTRAL, OLD_WEIGHT_NORM = nn.utils.spectral_norm, nn.utils.weight_norm


class Reuse(nn.Module):
    """One activation behind every layer."""

    def __init__(self):
        super().__init__()
        self.act = nn.LeakyReLU(0.2)
        self.c1, self.c2 = nn.Conv2d(1, 4, 4, 2, 1), nn.Conv2d(4, 8, 4, 2, 1)
        self.fc = nn.Linear(32, 1)

    def forward(self, x):
        return self.fc(self.act(self.c2(self.act(self.c1(x)))).flatten(1))


class HeadFirst(nn.Module):
    """Its head is registered in front of what it reads, and one layer is never run."""

    def __init__(self):
        super().__init__()
        self.fc, self.idle = nn.Linear(32, 1), nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 8, 4, 2, 1), nn.LeakyReLU(0.2)
        )

    def forward(self, x):
        return self.fc(self.body(x).flatten(1))


def fitted(small, digits, net, **settings):
    return small(image_shape=(8, 8), discriminator=net, **settings).fit(digits[0])


@pytest.mark.parametrize("net", [Reuse, HeadFirst])
@pytest.mark.parametrize(("tap", "n_features"), [("activation", 96), ("conv", 96)])
def test_layers_are_read_as_they_run(small, digits, net, tap, n_features):
    X = digits[0]
    est = fitted(small, digits, net(), tap=tap)
    F = est.transform(X)
    assert F.shape[1] == n_features == len(set(est.get_feature_names_out()))
    D = est.discriminator_
    one, two = (D.c1, D.c2) if net is Reuse else (D.body[0], D.body[2])
    with torch.no_grad():
        first = one(est._format.encode(X))
        active = nn.functional.leaky_relu(first, 0.2)
        maps = [first, two(active)]
        if tap == "activation":
            maps = [active, nn.functional.leaky_relu(maps[1], 0.2)]
    expected = torch.cat([m.flatten(1) for m in maps], dim=1)
    np.testing.assert_allclose(F, expected, atol=1e-5)
    # The logit is none of them.
    assert np.abs(F - est.score_samples(X)[:, None]).max(axis=0).min() > 1e-3


class Tokens(nn.Module):
    """Four patches of 4x4 pixels, each a token: layers give (n, 4, 12)."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm, self.act = nn.Linear(16, 12), nn.LayerNorm(12), nn.GELU()
        self.head = nn.Linear(12, 1)

    def forward(self, x):
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).reshape(len(x), 4, 16)
        return self.head(self.act(self.norm(self.embed(patches))).mean(1))


class Waves(nn.Module):
    """Convolutions along the columns of a table."""

    def __init__(self):
        super().__init__()
        self.conv, self.act, self.head = nn.Conv1d(1, 6, 3, padding=1), nn.ReLU(), nn.Linear(30, 3)

    def forward(self, x):
        return self.head(self.act(self.conv(x[:, None])).flatten(1))


def test_layers_that_are_neither_vectors_nor_maps(small, digits):
    est = fitted(small, digits, Tokens()).set_output(transform="pandas")
    F = est.transform(digits[0])
    assert F.shape == (300, 48) and F.columns[0] == "layer0_unit0" and F.columns[-1].endswith("47")
    table = np.random.default_rng(0).normal(size=(80, 5))
    est = small(SupervisedFeatures, classifier=Waves()).fit(table, np.arange(80) % 3)
    assert est.set_output(transform="pandas").transform(table).shape == (80, 30)


def test_numbers_of_channels_may_be_numpys(small, digits):
    specs = [DCGANSpec(np.int64(4)), DCGANSpec(channels=(np.int64(4), 8), strides=(2, np.int64(2)))]
    for spec in specs:
        est = small(
            MGANExtractor, image_shape=(8, 8), n_epochs=0, generator=spec,
            discriminator=DCGANSpec(np.int64(4), feature_dim=6),
        )  # fmt: skip
        assert est.fit(digits[0]).transform(digits[0]).shape == (300, 6)


# ------------------------------------------------------------------ threads


def encoder():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(),
        nn.Linear(200, 5),
    )  # fmt: skip


@pytest.mark.parametrize("output", ["penultimate", "layers"])
def test_threads_may_share_an_estimator(small, digits, output):
    X = digits[0]
    est = small(
        AutoencoderFeatures, image_shape=(8, 8), n_epochs=1, latent_dim=5, generator=MLPSpec(8),
        encoder=encoder(), output=output, transform_batch_size=10,
    ).fit(X)  # fmt: skip
    alone = est.transform(X)

    def work(i):
        if i % 5 == 0:  # runs the same network, without looking at its layers
            est.reconstruct(X[:10])
        j = i % 30 * 10
        return np.array_equal(est.transform(X[j : j + 10]), alone[j : j + 10])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(200)))


# ------------------------------------------------------------------ random state


class Noisy(nn.Module):
    """A generator that draws noise of its own, also in eval mode."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(8, 64), nn.BatchNorm1d(64), nn.Linear(64, 64)

    def forward(self, z):
        h = self.first(z)
        return self.last(self.norm(h + torch.randn_like(h))).tanh().view(-1, 1, 8, 8)


def test_noise_in_layers_follows_the_seed_outside_of_steps_too(small, digits):
    """In the check of shapes, on rows held out, and where batch norm is measured."""
    D = nn.Sequential(nn.Conv2d(1, 4, 4, 2, 1), nn.LeakyReLU(), nn.Dropout(), nn.Flatten(),
                      nn.Linear(64, 1))  # fmt: skip
    G, found = Noisy(), []
    for i in (1, 2):
        torch.manual_seed(i)
        before = torch.random.get_rng_state()
        est = fitted(small, digits, D, generator=G, validation_fraction=0.25)
        assert torch.equal(torch.random.get_rng_state(), before)
        found.append((est.history_[-1]["alpha_cv"], est.generator_.norm.running_var.tolist()))
    assert found[0] == found[1]


# ------------------------------------------------------------------ parametrised weights


@pytest.mark.parametrize("norm", [OLD_SPECTRAL, OLD_WEIGHT_NORM])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_weights_that_hooks_compute(small, digits, norm):
    net = nn.Sequential(
        norm(nn.Conv2d(1, 4, 4, 2, 1)), nn.LeakyReLU(), nn.Flatten(), norm(nn.Linear(64, 1))
    )
    net(torch.zeros(2, 1, 8, 8))  # leaves a weight with a history
    X = digits[0]
    est = fitted(small, digits, net)
    F = est.transform(X)
    assert np.array_equal(pickle.loads(pickle.dumps(est)).transform(X), F)
    x = torch.from_numpy(X).float().view(-1, 1, 8, 8)
    np.testing.assert_allclose(est.as_module()(x).detach(), F, atol=1e-6)


def parametrised(input_shape, norm):
    spectral = nn.utils.parametrizations.spectral_norm
    return nn.Sequential(
        nn.Flatten(), spectral(nn.Linear(64, 16)), nn.ReLU(), spectral(nn.Linear(16, 1))
    )


def test_a_parametrised_network_of_a_callable_is_pickled(small, digits):
    X = digits[0]
    est = fitted(small, digits, parametrised)
    before = torch.random.get_rng_state()
    twin = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(est))))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(twin.transform(X), est.transform(X))
    assert np.array_equal(twin.score_samples(X), est.score_samples(X))
    assert not twin.discriminator_.training
    other = twin.set_params(warm_start=False, n_epochs=1).fit(X)
    assert not np.array_equal(other.transform(X), est.transform(X))


# ------------------------------------------------------------------ what a checkpoint belongs to


class Slope(nn.Module):
    def __init__(self, slope, order=(1, 2)):
        super().__init__()
        self.layer, self.slope, self.order = nn.Linear(64, 1), slope, list(order)
        self.register_buffer("scale", torch.ones(2), persistent=False)
        self.me = [self]  # a cycle

    def forward(self, x):
        return nn.functional.leaky_relu(self.layer(x.flatten(1)), self.slope)


def changed(net, change):
    twin = copy.deepcopy(net)
    change(twin)
    return twin


@pytest.mark.parametrize(
    "change",
    [
        lambda net: setattr(net, "slope", 3.0),
        lambda net: net.order.append(3),
        lambda net: net.scale.add_(1),
        lambda net: net.layer.bias.requires_grad_(False),
        lambda net: net.layer.weight.data[0, 5].add_(1),
        lambda net: setattr(net, "table", np.arange(5000)),
    ],
)
def test_modules_that_differ_are_told_apart(change):
    net = Slope(0.1)
    assert describe(net) == describe(copy.deepcopy(net))
    assert describe(changed(net, change)) != describe(net)
    assert describe(net.train()) == describe(copy.deepcopy(net).eval())


def closing_over(value, default=None):
    def make(input_shape, norm, extra=default):
        return value

    return make


def test_arrays_are_described_by_all_of_their_values():
    one = np.zeros((32, 64))
    two = one.copy()
    two[16, 32] = 1  # where NumPy's repr has dots
    for wrap in (
        lambda a: a, torch.from_numpy, lambda a: [a], lambda a: {"w": (a, 1)}, closing_over,
        lambda a: closing_over(None, a), lambda a: torch.from_numpy(a).bfloat16(),
    ):  # fmt: skip
        assert describe(wrap(one)) == describe(wrap(one.copy()))
        assert describe(wrap(one)) != describe(wrap(two))


@pytest.mark.parametrize("value", [(), (1,), (0.5, "a"), [], [None], {}, {"a": (1, [2.0])}, {3}])
def test_plain_values_are_described_as_they_are_written(value):
    assert describe(value) == repr(value)


def test_a_network_with_frozen_layers_has_checkpoints_of_its_own(small, digits, tmp_path):
    net = Reuse()
    frozen = changed(net, lambda n: n.c1.requires_grad_(False))
    fitted(small, digits, frozen, checkpoint_dir=tmp_path)
    with pytest.warns(UserWarning, match="starting anew.*discriminator="):
        est = fitted(small, digits, net, checkpoint_dir=tmp_path)
    assert not torch.equal(est.discriminator_.c1.weight, net.c1.weight)


def in_turn_and_in_threads(small, X, seeds):
    """Features of fits with each seed, twice, and whether the global state is as it was."""
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 1)
    )  # fmt: skip

    def one(seed):
        est = small(discriminator=net, image_shape=(8, 8), layers=-1, random_state=seed)
        return est.fit(X).transform(X)

    before = torch.random.get_rng_state()
    in_turn = [one(seed) for seed in seeds]
    threads = joblib.Parallel(4, backend="threading")(joblib.delayed(one)(s) for s in seeds)
    assert not np.array_equal(in_turn[0], in_turn[1])
    return in_turn, threads, torch.equal(torch.random.get_rng_state(), before)


def test_layers_that_draw_repeat_in_threads_and_leave_the_global_state(small, digits):
    in_turn, threads, untouched = in_turn_and_in_threads(small, digits[0][:100], range(4))
    for a, b in zip(in_turn, threads, strict=True):
        np.testing.assert_array_equal(a, b)
    assert untouched


@pytest.mark.slow
def test_a_hundred_fits_in_threads_equal_those_in_turn(small, digits):
    in_turn, threads, untouched = in_turn_and_in_threads(small, digits[0][:100], range(100))
    assert sum(map(np.array_equal, in_turn, threads)) == 100 and untouched


def enter_the_lock():
    def enter():
        with global_state_kept():
            pass

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    thread.join(10)
    os._exit(int(thread.is_alive()))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_process_that_is_forked_while_a_network_trains_can_train_one():
    with global_state_kept():
        child = multiprocessing.get_context("fork").Process(target=enter_the_lock)
        child.start()
        child.join(20)
        child.kill()
    assert child.exitcode == 0


# ------------------------------------------------------------------ probabilities


class Squashed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 1)

    def forward(self, x):
        return torch.sigmoid(self.layer(x.flatten(1)))


@pytest.mark.parametrize(
    "net", [nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Sigmoid()), Squashed()]
)
def test_a_discriminator_that_ends_in_a_sigmoid_is_warned_of(net):
    with pytest.warns(UserWarning, match="discriminator: .* seems to end in a sigmoid.*logit"):
        build_network("discriminator", net, torch.Generator(), input_shape=(1, 8, 8), norm="none")


class OfARange(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 1)

    def forward(self, x):
        assert x.abs().max() <= 1
        return self.layer(x.flatten(1))


def test_a_network_may_look_at_the_range_of_its_input():
    given = {"input_shape": (1, 8, 8), "norm": "none"}
    assert build_network("discriminator", OfARange(), torch.Generator(), **given) is not None


@pytest.mark.parametrize("last", [nn.Identity(), nn.ReLU(), nn.LayerNorm(1)])
def test_logits_are_not_warned_of(recwarn, last):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), last)
    build_network("discriminator", net, torch.Generator(), input_shape=(1, 8, 8), norm="none")
    assert not [w for w in recwarn if "sigmoid" in str(w.message)]
