"""Weight norm with its first weights from data, and noise in layers."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

import skgan
from skgan import (
    BiGANEncoder,
    ContrastiveDiscriminatorFeatures,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    MGANExtractor,
    MLPSpec,
)
from skgan.nn.noise import GaussianNoise
from skgan.nn.norms import WeightNormed
from skgan.utils.seeds import layers_draw_from

FAMILIES = {"mlp": MLPSpec(16), "dcgan": DCGANSpec(4), "features": DCGANSpec(4, feature_dim=6),
            "crelu": MLPSpec(widths=(12, 8), activation="crelu")}  # fmt: skip


def fitted(X, cls=DCGANDiscriminatorFeatures, **settings):
    shared = {"image_shape": (8, 8), "norm": "weight", "random_state": 0, "device": "cpu"}
    return cls(**(shared | settings)).fit(X)


@pytest.mark.parametrize("spec", FAMILIES.values(), ids=FAMILIES)
def test_at_the_start_every_unit_has_mean_0_and_variance_1_on_the_samples(digits, spec):
    X = digits[0]
    est = fitted(X, discriminator=spec, n_epochs=0)
    D, x = est.discriminator_, est._format.encode(X)
    with torch.no_grad():
        for t in [*D.taps(x, "conv"), D(x)[:, None]]:
            t = t.transpose(0, 1).flatten(1)
            torch.testing.assert_close(t.mean(1), torch.zeros(len(t)), rtol=0, atol=1e-4)
            varies = t.std(1) > 0
            assert varies.any()
            torch.testing.assert_close(
                t[varies].std(1, correction=0), torch.ones(int(varies.sum())), rtol=0, atol=1e-3
            )


def test_the_layer_is_the_formula():
    v, x = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[1.0, 2.0], [-1.0, 0.5]])
    net = WeightNormed(nn.Linear(2, 2))
    with torch.no_grad():
        net.layer.parametrizations.weight.original1.copy_(v)
        net.gain.copy_(torch.tensor([[2.0], [3.0]]))
        net.layer.bias.copy_(torch.tensor([0.5, -1.0]))
        expected = x @ torch.tensor([[1.2, 1.6], [3.0, 0.0]]).T + net.layer.bias
        torch.testing.assert_close(net(x), expected)
        torch.testing.assert_close(net.weight, torch.tensor([[1.2, 1.6], [3.0, 0.0]]))


def test_a_unit_without_variance_keeps_its_gain():
    """A constant column, and one that is zero: no division by zero."""
    net = WeightNormed(nn.Linear(1, 3))
    with torch.no_grad():
        net.start()
        net.start_from(torch.ones(5, 1), torch.Generator())
    assert torch.equal(net.gain, torch.ones(3, 1)) and net(torch.ones(2, 1)).isfinite().all()


@pytest.mark.parametrize("learnt", [True, False])
def test_bn_affine_says_whether_gains_of_hidden_layers_are_learnt(digits, learnt):
    nets = {"discriminator": MLPSpec(16, bn_affine=learnt), "generator": MLPSpec(16)}
    start, after = (fitted(digits[0], n_epochs=n, lr=1e-2, **nets).discriminator_ for n in (0, 1))
    for a, b in zip(start.blocks, after.blocks, strict=True):
        assert torch.equal(a.conv.gain, b.conv.gain) is not learnt
        assert not torch.equal(a.conv.weight, b.conv.weight)
    assert not torch.equal(start.head.gain, after.head.gain)


@pytest.mark.parametrize(
    ("cls", "own"),
    [
        (DCGANDiscriminatorFeatures, {"r1_weight": 1.0, "rotation_weight": 1.0}),
        (DCGANDiscriminatorFeatures, {"discriminator": DCGANSpec(4, noise=0.2)}),
        (DCGANDiscriminatorFeatures, {"output": "fisher", "n_components": 8}),
        (BiGANEncoder, {"unary": True}), (MGANExtractor, {"n_generators": 2}),
        (ContrastiveDiscriminatorFeatures, {}),
    ],
)  # fmt: skip
def test_it_goes_with_every_game_with_pickles_and_with_files(digits, small, tmp_path, cls, own):
    X = digits[0][:100]
    settings = {"image_shape": (8, 8), "n_epochs": 1, "norm": "weight"} | own
    est, again = (small(cls, **settings).fit(X) for _ in range(2))
    est.save(tmp_path / "gan")
    for other in (again, pickle.loads(pickle.dumps(est)), skgan.load(tmp_path / "gan")):
        assert np.array_equal(other.transform(X), est.transform(X))
    assert np.isfinite(est.transform(X)).all() and est.as_module() is not None


# ------------------------------------------------------------------ noise


def test_noise_is_gaussian_drawn_from_the_generator_of_the_fit_and_absent_in_use():
    layer, h = GaussianNoise(0.5), torch.full((200, 300), 2.0)
    before = torch.get_rng_state()
    with layers_draw_from(torch.Generator().manual_seed(1)):
        out = layer(h)
    assert torch.equal(before, torch.get_rng_state())
    expected = h + 0.5 * torch.randn(h.shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(out, expected) and abs(float((out - 2).std()) - 0.5) < 0.01
    assert torch.equal(layer.eval()(h), h)


@pytest.mark.parametrize("spec", [MLPSpec, DCGANSpec])
def test_noise_stands_before_the_first_layer_and_after_every_one(digits, spec):
    X = digits[0][:60]
    D = fitted(X, discriminator=spec(8, noise=(0.3, 0.5)), n_epochs=0).discriminator_
    layers = [m for m in D.modules() if isinstance(m, GaussianNoise)]
    assert [m.sigma for m in layers] == [0.3] + [0.5] * len(D.blocks)
    x, order = torch.from_numpy(X).float().view(-1, 1, 8, 8), []
    for m in (*layers, *(b.conv[-1] if i == 0 else b.conv for i, b in enumerate(D.blocks))):
        m.register_forward_hook(lambda m, _i, _o: order.append(type(m).__name__))
    D(x)
    noise, layer = "GaussianNoise", "WeightNormed"
    assert order == [noise, layer, noise] + [layer, noise] * (len(D.blocks) - 1)
    before = D(x)
    assert torch.equal(D(x), before) and not torch.equal(D.train()(x), before)


@pytest.mark.parametrize("spec", [MLPSpec, DCGANSpec])
def test_outputs_begin_with_variance_one_as_training_sees_them(digits, spec):
    """With noise before it, a layer's first gains are smaller than without."""
    X = digits[0]

    def outputs(noise, training):
        est = fitted(X, discriminator=spec(8, noise=noise), n_epochs=0)
        D, x = est.discriminator_.train(training), est._format.encode(X)
        with torch.no_grad(), layers_draw_from(torch.Generator().manual_seed(0)):
            seen = D.taps(x, "conv")
        return [float(t.transpose(0, 1).flatten(1).std(1).mean()) for t in seen]

    noise = (0.3, 0.5)
    np.testing.assert_allclose(outputs(noise, True), 1.0, atol=0.1)
    np.testing.assert_allclose(outputs((0.0, 0.0), False), 1.0, atol=0.1)
    assert max(outputs(noise, False)) < 0.95


def test_first_weights_under_weight_norm_have_the_size_that_is_asked_for(digits):
    def sizes(**settings):
        D = fitted(digits[0], discriminator=MLPSpec(64, **settings), n_epochs=0).discriminator_
        return [float(b.conv.layer.parametrizations.weight.original1.std()) for b in D.blocks]

    np.testing.assert_allclose(sizes(), 0.05, rtol=0.05)
    np.testing.assert_allclose(sizes(v_std=0.2), 0.2, rtol=0.05)


def test_noise_acts_in_training_and_is_the_same_for_the_same_seed(digits):
    X, nets = digits[0], {"generator": MLPSpec(8), "n_epochs": 2, "lr": 1e-2}
    noisy = [fitted(X, discriminator=MLPSpec(8, noise=0.5), **nets) for _ in range(2)]
    quiet = fitted(X, discriminator=MLPSpec(8), **nets)
    assert np.array_equal(noisy[0].transform(X), noisy[1].transform(X))
    assert not np.allclose(noisy[0].transform(X), quiet.transform(X))
    going = fitted(X, discriminator=MLPSpec(8, noise=0.5), **(nets | {"n_epochs": 1}),
                   warm_start=True)  # fmt: skip
    assert np.array_equal(going.set_params(n_epochs=2).fit(X).transform(X), noisy[0].transform(X))


def test_the_networks_of_improved_gan_for_mnist():
    X = np.random.default_rng(0).random((12, 28, 28))
    est = fitted(X, image_shape=None, generator="salimans784", discriminator="salimans784",
                 latent_dim=100, n_epochs=0, layers=-1)  # fmt: skip
    widths = [block.conv[-1].weight.shape[0] if i == 0 else block.conv.weight.shape[0]
              for i, block in enumerate(est.discriminator_.blocks)]  # fmt: skip
    assert widths == [1000, 500, 250, 250, 250] and est.transform(X).shape == (12, 250)
    G = est.generator_.layers
    assert [m.out_features for m in G if isinstance(m, nn.Linear)] == [500, 500, 784]
    assert sum(isinstance(m, nn.Softplus) for m in G) == 2
    norms = torch.linalg.vector_norm(G[-2].weight, dim=1)
    torch.testing.assert_close(norms, torch.ones(784))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise": -0.1}, "noise=-0.1"), ({"noise": (0.1, "x")}, "noise='x'"),
        ({"widths": ()}, "widths=()"), ({"widths": (8, 0)}, "widths=0"),
        ({"generator_activation": "tanh"}, "generator_activation='tanh'"),
        ({"output_norm": "batch"}, "output_norm='batch'"),
    ],
)  # fmt: skip
def test_bad_settings_are_named(digits, settings, message):
    import re

    with pytest.raises(ValueError, match=re.escape(message)):
        fitted(digits[0], discriminator=MLPSpec(8, **settings))
