"""The convolutional family: sizes, presets, pooling, initialisation."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch.nn import functional as F

from skgan.nn import DCGANSpec, MLPSpec, PooledTaps, build_network
from skgan.nn.dcgan import pool_to_grid


def rng():
    return torch.Generator().manual_seed(0)


def critic(shape, choice="auto", norm="batch"):
    return build_network("discriminator", choice, rng(), input_shape=shape, norm=norm)


def maker(shape, choice="auto", latent_dim=10):
    return build_network("generator", choice, rng(), latent_dim=latent_dim, output_shape=shape)


def features(net, shape, **settings):
    chosen = {"layers": "all", "tap": "activation", "pool_grid": 4, "pool": "max"} | settings
    return PooledTaps(net, input_shape=shape, **chosen)


@pytest.mark.parametrize(
    ("preset", "shape", "n_features", "n_layers"),
    [
        ("imagenet32", (3, 32, 32), 28_672, 6),  # DCGAN sec. 5.1
        ("svhn32", (3, 32, 32), 7_168, 3),  # the released analysis script
        ("faces64", (3, 64, 64), (128 + 256 + 512 + 1024) * 16, 4),
        ("marta256", (3, 256, 256), (16 + 32 + 64 + 128 + 256 + 512) * 16, 6),
        ("dcgan", (1, 28, 28), (32 + 64 + 128) * 16, 3),
    ],
)
def test_presets_give_the_papers_widths(preset, shape, n_features, n_layers):
    with torch.device("meta"):  # shapes need no memory
        net = {"dcgan": "dcgan"}.get(preset, preset)
        from skgan.nn.build import NAMED_SPECS

        net = NAMED_SPECS[preset]["discriminator"].make_discriminator(
            input_shape=shape, norm="batch"
        )
        extractor = features(net, shape)
    assert len(extractor.layers) == n_layers
    assert extractor.n_features == n_features == len(extractor.feature_names())


def test_imagenet32_on_real_tensors():
    net, shape = critic((3, 32, 32), "imagenet32"), (3, 32, 32)
    assert [m.shape[1:] for m in net.taps(torch.zeros(1, *shape))] == [
        (128, 32, 32), (128, 16, 16), (256, 16, 16), (256, 8, 8), (512, 8, 8), (512, 4, 4),
    ]  # fmt: skip
    g = maker(shape, "imagenet32", 256)
    assert g(torch.zeros(2, 256)).shape == (2, *shape)


def test_marta_reads_the_fused_layers_that_it_exports():
    net = critic((3, 256, 256), "marta256")
    fused = features(net, (3, 256, 256), layers=(-3, -2, -1))
    assert fused.n_features == 14_336
    assert fused.head_weight().shape == (1, 14_336)
    x = torch.randn(2, 3, 256, 256, generator=rng())
    torch.testing.assert_close((fused(x) @ fused.head_weight().T).flatten(), net(x))


@pytest.mark.parametrize(
    "size", [(8, 8), (9, 13), (25, 25), (28, 28), (32, 32), (33, 40), (50, 50), (96, 64), (256, 8)]
)
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_any_size_and_number_of_channels(size, channels):
    shape = (channels, *size)
    d, g = critic(shape, DCGANSpec(4)), maker(shape, DCGANSpec(4))
    fake = g(torch.randn(2, 10, generator=rng()))
    assert fake.shape == (2, *shape)
    assert fake.abs().max() <= 1
    assert d(fake).shape == (2,)
    assert features(d, shape)(fake).shape == (2, features(d, shape).n_features)


@pytest.mark.parametrize("kernel_size", [3, 4, 5])
def test_kernels_halve_and_double(kernel_size):
    spec = DCGANSpec(4, n_blocks=3, kernel_size=kernel_size)
    d, g = critic((1, 32, 32), spec), maker((1, 32, 32), spec)
    assert [m.shape[-1] for m in d.taps(torch.zeros(1, 1, 32, 32))] == [16, 8, 4]
    assert g(torch.zeros(2, 10)).shape == (2, 1, 32, 32)


def test_28_pixels_run_as_32_with_a_dark_margin():
    d = critic((1, 28, 28))
    x = torch.rand(2, 1, 28, 28, generator=rng())
    padded = d.prepare(x)
    assert padded.shape == (2, 1, 32, 32)
    assert torch.equal(padded[:, :, 2:30, 2:30], x)
    assert (padded[:, :, :2] == -1).all() and (padded[..., -2:] == -1).all()


def test_pooling_is_the_papers():
    """Non-overlapping windows with kernel = stride = side / 4."""
    x = torch.randn(3, 5, 16, 16, generator=rng())
    assert torch.equal(pool_to_grid(x, 4, "max"), F.max_pool2d(x, 4, 4))
    assert torch.equal(pool_to_grid(x, 1, "avg"), x.mean((2, 3), keepdim=True)) or torch.allclose(
        pool_to_grid(x, 1, "avg"), x.mean((2, 3), keepdim=True)
    )
    assert pool_to_grid(x, None, "max") is x
    assert pool_to_grid(x, 32, "max") is x


def test_features_are_joined_shallow_to_deep_and_channel_major():
    shape = (1, 16, 16)
    net = critic(shape, DCGANSpec(4)).eval()
    x = torch.randn(2, *shape, generator=rng())
    maps = [F.max_pool2d(m, m.shape[-1] // 4) if m.shape[-1] > 4 else m for m in net.taps(x)]
    expected = torch.cat([m.reshape(2, -1) for m in maps], 1)
    extractor = features(net, shape)
    assert torch.equal(extractor(x), expected)
    names = extractor.feature_names()
    i = names.index("layer1_channel3_cell2x1")
    assert torch.equal(expected[:, i], maps[1][:, 3, 2, 1])


def test_layers_and_taps():
    shape = (1, 16, 16)
    net = critic(shape, DCGANSpec(4)).eval()
    x = torch.randn(2, *shape, generator=rng())
    assert torch.equal(features(net, shape, layers=-1)(x), features(net, shape, layers=[1])(x))
    last = features(net, shape, layers=np.int64(-1))(x)
    assert torch.equal(last, features(net, shape, layers=-1)(x))
    conv, norm, act = (net.taps(x, tap)[1] for tap in ("conv", "norm", "activation"))
    torch.testing.assert_close(net.blocks[1].norm(conv), norm)
    torch.testing.assert_close(F.leaky_relu(norm, 0.2), act)
    for tap in ("conv", "norm"):
        out = features(net, shape, tap=tap, layers=-1, pool_grid=None)(x)
        torch.testing.assert_close(out, net.taps(x, tap)[1].flatten(1))
    for bad in ([2], -3, [], "last", [0.5], 0.5, None, True):
        with pytest.raises(ValueError, match="layers="):
            features(net, shape, layers=bad)


def test_initialisation_is_the_papers_and_seeded():
    nets = [critic((3, 64, 64), DCGANSpec(32)) for _ in range(2)]
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(p, q)
    weights = torch.cat([b.conv.weight.flatten() for b in nets[0].blocks])
    assert weights.mean().abs() < 1e-3
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    gains = torch.cat([b.norm.weight for b in list(nets[0].blocks)[1:]])
    assert gains.mean().item() == pytest.approx(1, abs=0.01)
    assert gains.std().item() == pytest.approx(0.02, rel=0.2)


def test_building_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    for norm in ("batch", "spectral", "none"):
        critic((1, 16, 16), norm=norm)
        critic((5,), norm=norm)
    maker((1, 16, 16))
    critic((4,), lambda input_shape, norm: torch.nn.Linear(4, 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_where_batch_norm_stands():
    d, g = critic((1, 32, 32)), maker((1, 32, 32))
    norms = [type(b.norm).__name__ for b in d.blocks]
    assert norms == ["Identity", "BatchNorm2d", "BatchNorm2d"]
    kinds = [type(m).__name__ for m in g.layers]
    assert kinds == [
        "BatchNorm2d", "ReLU", "ConvTranspose2d", "BatchNorm2d", "ReLU", "ConvTranspose2d",
        "BatchNorm2d", "ReLU", "ConvTranspose2d", "Tanh",
    ]  # fmt: skip


def test_spectral_norm_bounds_every_layer():
    for net in (critic((1, 16, 16), norm="spectral"), critic((20,), norm="spectral")):
        net.eval()
        for module in [*(b.conv for b in net.blocks), net.head]:
            top = torch.linalg.matrix_norm(module.weight.flatten(1), 2)
            assert top.item() == pytest.approx(1, abs=0.05)


def test_a_dense_family_for_tables():
    d, g = critic((10,)), maker((10,))
    assert [b.conv.out_features for b in d.blocks] == [64, 64]
    assert g(torch.zeros(3, 10)).shape == (3, 10)
    eps = [m.eps for m in (*d.modules(), *g.modules()) if isinstance(m, torch.nn.BatchNorm1d)]
    assert eps == [1e-5] * 3  # PyTorch's
    assert MLPSpec(7, n_layers=3).make_discriminator(input_shape=(4,), norm="none").recipe[
        "widths"
    ] == (7, 7, 7)


@pytest.mark.parametrize(
    ("spec", "shape"), [(DCGANSpec(4), (1, 16, 16)), (MLPSpec(8), (1, 16, 16)), (MLPSpec(8), (5,))]
)
@pytest.mark.parametrize("norm", ["batch", "none", "spectral"])
def test_crelu_keeps_the_channels_and_halves_the_filters(spec, shape, norm):
    x = torch.randn(4, *shape, generator=rng())
    plain, net = (
        critic(shape, spec, norm),
        critic(shape, clone(spec).set_params(activation="crelu"), norm),
    )
    net.eval()
    assert [m.shape for m in net.taps(x)] == [m.shape for m in plain.taps(x)]
    for block, normed, h in zip(net.blocks, net.taps(x, "norm"), net.taps(x), strict=True):
        assert block.conv.weight.shape[0] == h.shape[1] // 2 == normed.shape[1]
        expected = np.concatenate([np.maximum(s * normed.numpy(force=True), 0) for s in (1, -1)], 1)
        assert np.array_equal(h.numpy(force=True), expected)
    assert sum(b.conv.weight.numel() for b in net.blocks) < sum(
        b.conv.weight.numel() for b in plain.blocks
    )


def test_crelu_in_encoders_classifiers_and_critics_of_pairs():
    x, z = torch.randn(3, 1, 16, 16, generator=rng()), torch.randn(3, 5, generator=rng())
    for spec in (DCGANSpec(4, activation="crelu"), MLPSpec(8, activation="crelu")):
        E = build_network("encoder", spec, rng(), input_shape=(1, 16, 16), n_outputs=5)
        C = build_network("classifier", spec, rng(), input_shape=(1, 16, 16), n_outputs=2)
        assert E(x).shape == (3, 5) and C(x).shape == (3, 2)
        for unary, shape in ((False, (3,)), (True, (3, 3))):
            D = build_network("discriminator", spec, rng(), input_shape=(1, 16, 16), norm="batch",
                              latent_dim=5, unary=unary)  # fmt: skip
            assert D(x, z).shape == shape
        # Blocks hold no LeakyReLU, and the generator has none in either case.
        for net in (E, C, D):
            assert not any(isinstance(m, torch.nn.LeakyReLU) for m in net.modules())
        assert "ReLU" in {type(m).__name__ for m in maker((1, 16, 16), spec).modules()}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (DCGANSpec(0), "width=0"),
        (DCGANSpec(4, activation="elu"), "activation='elu' is unknown"),
        (MLPSpec(4, activation=None), "activation=None is unknown"),
        (DCGANSpec(3, activation="crelu"), "activation='crelu' .* has 3: use an even"),
        (MLPSpec(7, activation="crelu"), "activation='crelu' .* has 7: use an even"),
        (DCGANSpec(4, kernel_size=7), "kernel_size=7"),
        (DCGANSpec(channels=(4, 8), strides=(2,)), "2 blocks"),
        (DCGANSpec(channels=(4, 8), strides=(2, 1)), "kernel_size=4"),
        (DCGANSpec(channels=64), "channels=64 must be None, or a tuple"),
        (DCGANSpec(channels=()), r"channels=\(\) must be None, or a tuple"),
        (DCGANSpec(channels=(4, 8), strides=2), "strides=2 must be None, or a tuple"),
        (DCGANSpec(4, kernel_size=4.5), "kernel_size=4.5"),
        (DCGANSpec(4, bn_affine="False"), "bn_affine='False'"),
        (DCGANSpec(4, head_layers=9), "head_layers=9"),
        (MLPSpec(n_layers=0), "n_layers=0"),
        (MLPSpec(bn_eps=0), r"bn_eps=0 must be a number in \(0"),
        ("resnet", "'dcgan', 'mlp'"),
    ],
)
def test_bad_specs(spec, message):
    with pytest.raises(ValueError, match=message):
        critic((1, 16, 16), spec)


def test_convolutions_refuse_tables():
    with pytest.raises(ValueError, match="image_shape"):
        critic((10,), "dcgan")
