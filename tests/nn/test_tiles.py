"""Convolutions in tiles against PyTorch's: values, gradients, and what must hold."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skgan import DCGANDiscriminatorFeatures, DCGANSpec
from skgan.engine import runtime
from skgan.nn.kernels import conv, tiles
from skgan.nn.kernels.conv import TiledConvolutions
from skgan.nn.kernels.tiles import Tiles
from tests.nn import test_conv

CPU = torch.device("cpu")


@pytest.fixture
def light(monkeypatch):
    """Layers of any weight are wide enough, on any CPU."""
    monkeypatch.setattr(conv, "HEAVY_TILED", 0)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


def relative(a, b):
    return float(((a - b).norm() / b.norm()).detach())


def both(function, x, weight, *args, **kwargs):
    """(output, input gradient, weight gradient): PyTorch's, and in tiles."""
    results = []
    for context in (contextlib.nullcontext(), TiledConvolutions()):
        x, weight = (t.detach().clone().requires_grad_() for t in (x, weight))
        with context:
            y = function(x, weight, *args, **kwargs)
        g = torch.linspace(-1, 1, y.numel()).view_as(y)
        results.append((y, *torch.autograd.grad(y, (x, weight), g)))
    return results


@pytest.fixture
def calls(monkeypatch):
    """The names of the products that were taken."""
    taken = []
    for name in ("weight", "small_side", "large_side"):
        original = getattr(Tiles, name)

        def counting(self, *args, name=name, original=original):
            taken.append(name)
            return original(self, *args)

        monkeypatch.setattr(Tiles, name, counting)
    return taken


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("small", [(2, 2), (4, 4), (2, 6), (8, 4)])
@pytest.mark.parametrize("up", [False, True])
def test_values_and_gradients_are_those_of_the_stock_layers(light, calls, up, small, layout):
    torch.manual_seed(0)
    function, side = (F.conv_transpose2d, 1) if up else (F.conv2d, 2)
    weight = torch.randn(24, 20, 4, 4).to(memory_format=layout)
    x = torch.randn(5, 24 if up else 20, side * small[0], side * small[1])
    stock, ours = both(function, x.to(memory_format=layout), weight, stride=2, padding=1)
    assert sorted(calls) == ["large_side", "small_side", "weight"]
    for a, b in zip(ours, stock, strict=True):
        assert a.shape == b.shape and a.dtype == torch.float32
        assert relative(a, b) < 2e-6


@pytest.mark.parametrize("up", [False, True])
def test_images_in_parts_change_nothing_but_rounding(light, up, monkeypatch):
    torch.manual_seed(0)
    function = F.conv_transpose2d if up else F.conv2d
    x, weight = torch.randn(9, 20, 8, 8), torch.randn(20, 20, 4, 4)
    _, whole = both(function, x, weight, stride=2, padding=1)
    monkeypatch.setattr(tiles, "CHUNK", 2 * 9 * 8 * 8 * 20)
    _, parts = both(function, x, weight, stride=2, padding=1)
    for a, b in zip(whole, parts, strict=True):
        assert relative(a, b) < 2e-6


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(32, 32, 4, 2, 1), (6, 8)), (nn.Conv2d(32, 32, 4, 2, 1), (9, 8)),
        (nn.Conv2d(32, 32, 5, 2, 2), (8, 8)), (nn.Conv2d(32, 32, 4, 2, 0), (10, 10)),
        (nn.Conv2d(32, 32, 4, 1, 1), (8, 8)), (nn.Conv2d(32, 32, 4, 2, 1, groups=2), (8, 8)),
        (nn.Conv2d(32, 32, 4, 2, 1, padding_mode="circular"), (9, 9)),
        (nn.Conv2d(32, 1, 4, 2, 1), (8, 8)), (nn.ConvTranspose2d(8, 32, 4, 2, 1), (4, 4)),
        (nn.ConvTranspose2d(32, 32, 4, 2, 1), (3, 4)), (nn.Linear(8, 900), (8, 8)),
        (nn.ConvTranspose2d(32, 32, 4, 2, 1, output_padding=1), (4, 4)),
        (nn.Conv2d(32, 32, 4, 2, 1).double(), (8, 8)),
    ],
)  # fmt: skip
def test_layers_that_make_no_tiles_run_on_stock_kernels(light, calls, layer, shape):
    channels = getattr(layer, "in_channels", 32)
    x = torch.randn(2, channels, *shape, dtype=layer.weight.dtype)
    expected = layer(x)
    with TiledConvolutions():
        assert torch.equal(layer(x), expected)
    assert not calls


def test_thin_layers_of_light_weight_run_on_stock_kernels(calls):
    with TiledConvolutions():
        nn.Conv2d(128, 255, 4, 2, 1)(torch.randn(1, 128, 8, 8))
        assert not calls
        nn.Conv2d(128, 256, 4, 2, 1)(torch.randn(1, 128, 8, 8))
    assert calls == ["small_side"]


# -------------------------------------------------------------------- in a game


def game(**settings):
    G, D, players, _ = test_conv.game(None, **settings)
    return G, D, players


def test_gradients_that_nobody_wants_are_not_computed(light, calls):
    G, D, players = game()
    x, z = torch.randn(4, 16, 8, 8), torch.randn(4, 64)
    with TiledConvolutions():
        fake = G(z)
        d_loss = F.softplus(-D(x)).mean() + F.softplus(D(fake)).mean()
        calls.clear()
        players.update(discriminator=d_loss)
        # Two passes: both layers' weights, the second layer's input.
        assert [calls.count(n) for n in ("weight", "large_side", "small_side")] == [4, 2, 0]
        g_loss = F.softplus(-D(fake)).mean()
        calls.clear()
        players.update(generator=g_loss)
        # Through D to its input, then the weight and the input of G's second layer.
        assert [calls.count(n) for n in ("weight", "large_side", "small_side")] == [1, 2, 1]


def test_a_moved_weight_is_taken_anew(light):
    _, D, players = game()
    x = torch.randn(4, 16, 8, 8)
    with TiledConvolutions():
        before = D(x)
        players.update(discriminator=before.mean())
        after = D(x)
    assert relative(before, after) > 1e-3
    assert relative(after, D(x)) < 1e-5


# -------------------------------------------------------------------- in an estimator


def test_a_fit_in_tiles_is_close_to_one_without(light, monkeypatch, calls):
    X = np.random.default_rng(0).integers(0, 256, (64, 16, 16), np.uint8)
    spec = DCGANSpec(16, n_blocks=3)
    est = DCGANDiscriminatorFeatures(
        generator=spec, discriminator=spec, n_epochs=2, batch_size=32, random_state=0,
        device="cpu", precision="float32",
    )  # fmt: skip
    ours = est.fit(X).transform(X)
    assert {"weight", "small_side", "large_side"} <= set(calls)
    assert np.array_equal(est.fit(X).transform(X), ours)
    one = est.set_params(transform_batch_size=1).transform(X[:5])
    np.testing.assert_allclose(one, ours[:5], atol=1e-5)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    calls.clear()
    stock = est.fit(X).transform(X)
    assert not calls
    assert np.linalg.norm(ours - stock) < 1e-2 * np.linalg.norm(stock)


@pytest.mark.parametrize(
    ("width", "capability", "expected"),
    [(128, "AVX2", True), (64, "AVX2", True), (32, "AVX2", False), (128, "AVX512", False),
     (128, "DEFAULT", False)],
)  # fmt: skip
def test_tiles_are_for_wide_networks_where_they_were_measured(
    width, capability, expected, monkeypatch
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    spec = DCGANSpec(width)
    with torch.device("meta"):
        net = spec.make_discriminator(input_shape=(1, 32, 32), norm="batch")
    assert conv.tiles_pay([net]) is expected
    context = runtime.arithmetic("float32", CPU, [net])
    assert isinstance(context, TiledConvolutions) is expected
    assert isinstance(runtime.arithmetic("float32", torch.device("cuda"), [net]),
                      contextlib.nullcontext)  # fmt: skip
