"""bfloat16 products against PyTorch's float32 layers: values, gradients, and what must hold."""

import contextlib
import copy
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    LatentRegressorEncoder,
    MLPSpec,
)
from skgan.engine import checkpoint, runtime
from skgan.engine.players import Players
from skgan.nn.kernels import conv, windows
from skgan.nn.kernels.conv import HalfKernels, Products, TiledConvolutions
from skgan.nn.kernels.windows import KernelWindows, Windows

ROUNDING = 2**-8  # bfloat16 keeps 8 bits; relative, of norms
CPU = torch.device("cpu")
GEOMETRIES = [
    (4, 2, 1),
    (5, 2, 2),
    (3, 1, 1),
    (3, 2, 1),
    (4, 1, 0),
    (1, 1, 0),
    (5, 1, 2),
    (4, 2, 0),
]


def relative(a, b):
    return float(((a - b).norm() / b.norm()).detach())


def rounded(*shape):
    """Normal draws that bfloat16 holds exactly: only sums and outputs are rounded."""
    return torch.randn(*shape).bfloat16().float()


@pytest.fixture(params=[Products, HalfKernels])
def bfloat16(request):
    """What CPUs with one or the other unit for bfloat16 run.

    Without the units PyTorch's own bfloat16 kernels round partial sums as well.
    """
    if request.param is HalfKernels and not conv.cpu_has_half_kernels():
        pytest.skip("this CPU has no bfloat16 vectors, or matrix units beside them")
    return request.param()


def both(bfloat16, function, x, weight, *args, **kwargs):
    """(output, input gradient, weight gradient): PyTorch's in float32, and in bfloat16."""
    results = []
    for arithmetic in (runtime.arithmetic("float32", CPU), bfloat16):
        x, weight = (t.detach().clone().requires_grad_() for t in (x, weight))
        with arithmetic:
            y = function(x, weight, *args, **kwargs)
        g = torch.linspace(-1, 1, y.numel()).bfloat16().view_as(y)
        results.append((y, *torch.autograd.grad(y, (x, weight), g.to(y.dtype))))
    return results


@pytest.mark.parametrize("side", [4, 7, 8])
@pytest.mark.parametrize(("kernel", "stride", "padding"), GEOMETRIES)
@pytest.mark.parametrize("colours", [3, 20])
@pytest.mark.parametrize("up", [False, True])
def test_values_and_gradients_are_those_of_the_stock_layers(
    up, colours, kernel, stride, padding, side, bfloat16
):
    if side < kernel:
        pytest.skip("the image is smaller than the kernel")
    torch.manual_seed(0)
    function = F.conv_transpose2d if up else F.conv2d
    weight = rounded(24, colours, kernel, kernel)
    x = rounded(5, 24 if up else colours, side, side)
    stock, ours = both(bfloat16, function, x, weight, stride=stride, padding=padding)
    if colours * kernel**2 >= conv.THIN:
        assert ours[0].dtype == torch.bfloat16  # it did take the products
    assert ours[2].dtype == torch.float32
    for a, b in zip(ours, stock, strict=True):
        assert a.shape == b.shape
        assert relative(a.float(), b) < ROUNDING


@pytest.mark.parametrize(
    ("channels", "geometry", "expected"),
    [
        (20, (4, 2, 1, (8, 8), (4, 4)), KernelWindows),
        (3, (4, 2, 1, (8, 8), (4, 4)), Windows),  # images
        (20, (4, 1, 0, (4, 4), (1, 1)), Windows),  # one window is all there is
    ],
)
def test_which_layers_half_kernels_leave_to_the_stock_ones(channels, geometry, expected):
    sides, weight = Windows(*geometry), torch.zeros(24, channels, 4, 4)
    plan = HalfKernels().plan(sides, torch.zeros(5, channels, *sides.large), weight)
    assert type(plan) is expected and plan.small == sides.small
    assert HalfKernels().plan(sides, torch.zeros(5, 1, 8, 8), torch.zeros(1, 1, 4, 4)) is None


def test_output_padding_bias_and_dense_layers(bfloat16):
    torch.manual_seed(0)
    up = {"stride": 2, "padding": 2, "output_padding": 1, "bias": torch.randn(24)}
    dense = rounded(4, 3, 600), rounded(500, 600)
    cases = [
        both(bfloat16, F.conv_transpose2d, rounded(3, 20, 6, 6), rounded(20, 24, 5, 5), **up),
        both(
            bfloat16, F.conv2d, rounded(3, 20, 6, 6), rounded(24, 20, 3, 3), torch.randn(24),
            padding=1,
        ),
        both(bfloat16, F.linear, *dense, torch.randn(500)),
    ]  # fmt: skip
    for stock, ours in cases:
        assert ours[0].dtype == torch.bfloat16
        for a, b in zip(ours, stock, strict=True):
            assert relative(a.float(), b) < 2 * ROUNDING  # the bias is rounded as well


@pytest.mark.parametrize(
    ("function", "shapes", "geometry"),
    [
        (F.conv2d, [(3, 20, 8, 8), (24, 20, 4, 4)], {"stride": 2, "padding": 1}),
        (F.conv2d, [(3, 20, 4, 4), (24, 20, 4, 4)], {}),
        (F.conv2d, [(3, 20, 8, 8), (24, 20, 1, 1)], {}),
        (F.conv_transpose2d, [(3, 20, 4, 4), (20, 24, 4, 4)], {"stride": 2, "padding": 1}),
        (F.linear, [(4, 600), (500, 600)], {}),
    ],
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_activations_may_work_in_place(bfloat16, function, shapes, geometry, channels_last):
    def layer(x, weight):
        if channels_last and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return F.leaky_relu(function(x, weight, **geometry), 0.25, inplace=True)

    # All negative: a sign that rounding turns would change a gradient altogether.
    x, weight = (rounded(*shape).abs() for shape in shapes)
    stock, ours = both(bfloat16, layer, x, -weight)
    for a, b in zip(ours, stock, strict=True):
        assert relative(a.float(), b) < 2 * ROUNDING


@pytest.mark.parametrize("up", [False, True])
def test_gathering_in_parts_changes_nothing(up, monkeypatch):
    torch.manual_seed(0)
    function = F.conv_transpose2d if up else F.conv2d
    x, weight = rounded(9, 20, 8, 8), rounded(20, 20, 4, 4)
    with Products():
        whole = function(x, weight, stride=2, padding=1)
        monkeypatch.setattr(windows, "CHUNK", 3 * 8 * 8 * 20 * 16)
        assert torch.equal(whole, function(x, weight, stride=2, padding=1))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(32, 32, 3, groups=2), nn.Conv2d(32, 32, 3, dilation=2), nn.Conv2d(32, 32, 7),
        nn.Conv2d(32, 32, 3, padding="same"), nn.Conv2d(32, 32, (3, 5)), nn.Conv2d(32, 1, 4),
        nn.Conv2d(32, 32, 4, stride=4), nn.ConvTranspose2d(8, 1, 3),
    ],
)  # fmt: skip
def test_layers_without_a_product_run_in_float32_on_stock_kernels(layer):
    x = torch.randn(2, layer.in_channels, 8, 8)
    expected = layer(x)
    with Products():
        y = layer(x)
        again = layer(x.bfloat16())
    assert y.dtype == again.dtype == torch.float32
    assert torch.equal(y, expected)
    assert relative(again, expected) < ROUNDING


def test_any_module_that_autocast_takes_runs_in_bfloat16(bfloat16):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.GroupNorm(4, 64), nn.SiLU(), nn.Conv2d(64, 64, 3),
        nn.InstanceNorm2d(64), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(64, 512),
        nn.LayerNorm(512), nn.Unflatten(1, (1, 512)),
        nn.TransformerEncoderLayer(512, 4, dropout=0.0, batch_first=True), nn.Flatten(),
        nn.PReLU(), nn.Linear(512, 1),
    )  # fmt: skip
    x = torch.randn(4, 3, 8, 8)
    with bfloat16:
        y = net(x)
        gradients = torch.autograd.grad(y.sum(), list(net.parameters()))
    expected = net(x)
    assert relative(y.float() - y.float().mean(0), expected - expected.mean(0)) < 0.1
    assert all(g.isfinite().all() and g.dtype == torch.float32 for g in gradients)


# -------------------------------------------------------------------- in a game


def game(arithmetic):
    torch.manual_seed(0)
    D = nn.Sequential(
        nn.Conv2d(16, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1), nn.Flatten(),
        nn.Linear(256, 1),
    )  # fmt: skip
    G = nn.Sequential(
        nn.Unflatten(1, (64, 1, 1)), nn.ConvTranspose2d(64, 32, 4), nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    players = Players(
        {"generator": G, "discriminator": D},
        lambda _, p: torch.optim.Adam(p, lr=1e-3, fused=True),
        rng=torch.Generator().manual_seed(0),
    )
    return G, D, players, arithmetic


def test_gradients_that_nobody_wants_are_not_computed(monkeypatch):
    """No weight gradients of a network that stays, nor the gradient of images for D's step."""
    G, D, players, products = game(Products())
    calls = []
    for name in ("weight", "small_side", "large_side"):
        original = getattr(Windows, name)

        def counting(self, *args, name=name, original=original):
            calls.append(name)
            return original(self, *args)

        monkeypatch.setattr(Windows, name, counting)
    x, z = torch.randn(4, 16, 8, 8), torch.randn(4, 64)
    with products:
        fake = G(z)
        d_loss = F.softplus(-D(x)).mean() + F.softplus(D(fake)).mean()
        assert [calls.count(n) for n in ("small_side", "large_side")] == [4, 2]
        calls.clear()
        players.update(discriminator=d_loss)
        # Two passes: both layers' weights, the second layer's input.
        assert [calls.count(n) for n in ("weight", "large_side", "small_side")] == [4, 2, 0]
        g_loss = F.softplus(-D(fake)).mean()
        calls.clear()
        players.update(generator=g_loss)
        # Through D to its input (2 x large), G's weights, G's second layer's input (small).
        assert [calls.count(n) for n in ("weight", "large_side", "small_side")] == [2, 2, 1]


@pytest.fixture(params=[Products, HalfKernels, TiledConvolutions])
def products(request, monkeypatch):
    """Each context; layers of any weight are wide enough for tiles."""
    monkeypatch.setattr(conv, "HEAVY_TILED", 0)
    return request.param()


@pytest.mark.parametrize("role", ["discriminator", "generator"])
def test_a_loss_from_before_a_move_is_refused(role, products):
    G, D, players, _ = game(products)
    with products:
        stale = F.softplus(-D(G(torch.randn(4, 64)))).mean()
        players.update(discriminator=F.softplus(D(torch.randn(4, 16, 8, 8))).mean())
        with pytest.raises(RuntimeError, match="compute it again after that update"):
            players.update(**{role: stale})


@pytest.mark.parametrize("wanted", [0, 1])
def test_a_wide_layer_tells_by_itself_that_its_weight_has_moved(wanted, products):
    """Whether its input's gradient is wanted or its weight's."""
    of = torch.randn(4, 16, 8, 8, requires_grad=True), torch.randn(32, 16, 4, 4, requires_grad=True)
    with products:
        loss = F.conv2d(*of, stride=2, padding=1).float().sum()
    torch.autograd.grad(loss, of[wanted], retain_graph=True)
    torch.autograd.graph.increment_version([of[1]])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, of[wanted])


def test_a_moved_weight_is_cast_anew(bfloat16):
    _, D, players, _ = game(bfloat16)
    x = torch.randn(4, 16, 8, 8)
    with bfloat16:
        before = D(x)
        players.update(discriminator=before.mean())
        after = D(x)
    assert not torch.equal(before, after)
    assert relative(after, D(x)) < 4 * ROUNDING


@pytest.mark.parametrize("arithmetic", [Products, HalfKernels])
def test_weights_that_autocast_casts_are_cast_anew_as_well(arithmetic):
    layer, x = nn.Conv1d(16, 32, 3), torch.randn(4, 16, 8)
    with arithmetic():
        before = layer(x)
        with torch.no_grad():
            layer.weight.mul_(2)
        after = layer(x)
    assert before.dtype == torch.bfloat16 and not torch.equal(before, after)


def test_penalties_take_second_derivatives_on_stock_kernels(products):
    def penalised(arithmetic):
        _, D, _, arithmetic = game(arithmetic)
        x, fake = torch.randn(4, 16, 8, 8), torch.randn(4, 16, 8, 8)
        batch = SimpleNamespace(x=x, step=1, uniform=torch.rand, log=lambda **_: None)
        est = DCGANDiscriminatorFeatures(loss="wgan-gp", norm="none", r1_weight=1.0)
        with arithmetic:
            added = est._added(D, batch, (x,), (fake,))
        return {name: term.item() for name, term in added.terms.items()}

    assert penalised(products) == penalised(runtime.arithmetic("float32", CPU))


@pytest.mark.parametrize("products", [Products, TiledConvolutions], indirect=True)
def test_second_derivatives_of_products_are_an_error(products):
    _, D, _, _ = game(products)
    x = torch.randn(4, 16, 8, 8, requires_grad=True)
    with products, pytest.raises(RuntimeError, match="set precision='float32'"):
        torch.autograd.grad(D(x).sum(), x, create_graph=True)


# -------------------------------------------------------------------- in an estimator


@pytest.fixture(scope="module", params=[False, True], ids=["products", "half kernels"])
def fits(request):
    """The same fit in both precisions, on networks that are wide enough to have products."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "cpu_has_half_kernels", lambda: request.param)
        yield make_fits()


def make_fits():
    X = np.random.default_rng(0).integers(0, 256, (64, 16, 16), np.uint8)
    spec = DCGANSpec(32, n_blocks=2)
    settings = {"generator": spec, "discriminator": spec, "n_epochs": 2, "batch_size": 32,
                "random_state": 0, "device": "cpu", "warm_start": True}  # fmt: skip
    return X, {
        p: DCGANDiscriminatorFeatures(**settings, precision=p).fit(X)
        for p in ("float32", "bfloat16")
    }


def test_a_fit_in_bfloat16_is_close_and_repeats_bit_for_bit(fits):
    X, both = fits
    a, b = both["float32"], both["bfloat16"]
    assert (a.precision_, b.precision_) == ("float32", "bfloat16")
    assert relative(*(torch.from_numpy(e.transform(X)) for e in (b, a))) < 0.02
    assert not np.array_equal(a.transform(X), b.transform(X))
    again = copy.deepcopy(b).set_params(warm_start=False).fit(X)
    assert np.array_equal(again.transform(X), b.transform(X))


def test_a_row_does_not_depend_on_its_batch(fits):
    X, both = fits
    whole = both["bfloat16"].transform(X)
    one = both["bfloat16"].set_params(transform_batch_size=1).transform(X[:5])
    assert np.allclose(whole[:5], one, atol=2 * ROUNDING * np.abs(whole).max())


def test_weights_optimizers_and_statistics_stay_float32_in_stock_layers(fits):
    X, both = fits
    b = both["bfloat16"]
    module = b.as_module()
    kinds = {type(m) for m in module.modules()}
    assert nn.Conv2d in kinds and not any(k.__module__ == conv.__name__ for k in kinds)
    assert {t.dtype for t in module.state_dict().values()} == {torch.float32, torch.int64}
    state = checkpoint.decode(b._training)
    slots = [t for o in state["optimizers"].values() for s in o.values() for t in s.values()]
    assert slots and {t.dtype for t in slots} == {torch.float32}
    x = torch.from_numpy(X).float()[:, None]
    with torch.no_grad():
        out = module(x)
    assert out.dtype == torch.float32
    assert relative(torch.from_numpy(b.transform(X)), out) < 4 * ROUNDING


SPEC, DENSE = DCGANSpec(32, n_blocks=2, z_injection=True), MLPSpec(600)


def nets(spec, *roles):
    return dict.fromkeys(("generator", *roles), spec)


@pytest.mark.parametrize(
    "make",
    [
        lambda **s: DCGANDiscriminatorFeatures(**nets(SPEC, "discriminator"), **s),
        lambda **s: DCGANDiscriminatorFeatures(
            **nets(SPEC, "discriminator"), norm="spectral", loss="hinge", **s
        ),
        lambda **s: DCGANDiscriminatorFeatures(
            **nets(SPEC, "discriminator"), norm="none", loss="wgan-gp", **s
        ),
        lambda **s: DCGANDiscriminatorFeatures(
            **nets(SPEC, "discriminator"), feature_matching="mean", ema_decay=0.9, **s
        ),
        lambda **s: BiGANEncoder(**nets(SPEC, "discriminator", "encoder"), **s),
        lambda **s: BiGANEncoder(
            **nets(SPEC, "discriminator", "encoder"), unary=True, encoder_size=24,
            generator_size=8, **s,
        ),
        lambda **s: BiGANEncoder(
            **nets(DENSE, "discriminator", "encoder"), encoder_output="gaussian",
            latent="normal", play="alternating", **s,
        ),
        lambda **s: LatentRegressorEncoder(
            **nets(DENSE, "discriminator", "encoder"), joint=True, **s
        ),
        lambda **s: AutoencoderFeatures(
            **nets(DENSE, "encoder"), loss="l1", dropout=0.1, noise=0.1, **s
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("half", [False, True], ids=["products", "half kernels"])
def test_every_game_runs_in_bfloat16_with_losses_in_float32(make, half, monkeypatch):
    monkeypatch.setattr(runtime, "cpu_has_half_kernels", lambda: half)
    X = np.random.default_rng(0).integers(0, 256, (48, 16, 16), np.uint8)
    kinds, update = set(), Players.update

    def watching(self, **losses):
        kinds.update(getattr(loss, "total", loss).dtype for loss in losses.values())
        update(self, **losses)

    monkeypatch.setattr(Players, "update", watching)
    settings = {"n_epochs": 2, "batch_size": 24, "random_state": 0, "device": "cpu"}
    stock, ours = (make(**settings, precision=p).fit(X) for p in ("float32", "bfloat16"))
    assert kinds == {torch.float32}
    a, b = stock.transform(X), ours.transform(X)
    assert b.dtype == np.float32 and not np.array_equal(a, b)
    assert np.linalg.norm(a - b) < 0.1 * np.linalg.norm(a)
    if hasattr(ours, "reconstruct"):
        assert ours.reconstruct(X).shape == X.shape


# -------------------------------------------------------------------- the table


@pytest.mark.parametrize(
    ("limit", "amx", "bf16"),
    [(None, True, True), ("ALL", True, True), ("AVX512_CORE_AMX", True, True),
     ("AVX512_CORE_BF16", False, True), ("AVX512_CORE_FP16", False, True),
     ("AVX10_1_512", False, True), ("AVX512_CORE", False, False), ("AVX2", False, False)],
)  # fmt: skip
@pytest.mark.parametrize("unit", ["amx", "bf16", None])
def test_the_limit_on_instruction_sets_is_heeded(limit, amx, bf16, unit, monkeypatch):
    expected = {"amx": amx, "bf16": bf16, None: False}[unit]
    for name, has in {"amx_tile": unit == "amx", "avx512_bf16": unit == "bf16"}.items():
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda has=has: has, raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    if limit is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert conv.cpu_has_products() is (expected and unit == "amx")
    assert conv.cpu_has_half_kernels() is (expected and unit == "bf16")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: DCGANSpec(128).make_discriminator(input_shape=(1, 32, 32), norm="batch"), True),
        (lambda: DCGANSpec(4).make_discriminator(input_shape=(1, 32, 32), norm="batch"), False),
        (lambda: MLPSpec(1024).make_generator(latent_dim=50, output_shape=(784,)), True),
        (lambda: MLPSpec().make_generator(latent_dim=50, output_shape=(10,)), False),
    ],
)
def test_products_are_for_networks_that_fill_them(make, expected, monkeypatch):
    net = make()
    assert conv.products_pay([net]) is expected
    monkeypatch.setattr(runtime, "cpu_has_half_kernels", lambda: False)
    monkeypatch.setattr(runtime, "cpu_has_products", lambda: True)
    assert runtime.resolve_precision("auto", CPU, [net]) == ("bfloat16" if expected else "float32")
    assert runtime.resolve_precision("float32", CPU, [net]) == "float32"
    monkeypatch.setattr(runtime, "cpu_has_products", lambda: False)
    assert runtime.resolve_precision("auto", CPU, [net]) == "float32"
    monkeypatch.setattr(runtime, "cpu_has_half_kernels", lambda: True)
    assert runtime.resolve_precision("auto", CPU, [net]) == ("bfloat16" if expected else "float32")
    kind = HalfKernels if expected else contextlib.nullcontext
    assert isinstance(runtime.arithmetic(runtime.resolve_precision("auto", CPU, [net]), CPU), kind)


def test_a_fit_from_a_faster_machine_is_used_in_float32(fits, monkeypatch):
    """Unless bfloat16 was asked for by name."""
    X, both = fits
    moved = copy.deepcopy(both["bfloat16"])
    exact = copy.deepcopy(moved)
    exact.precision_ = "float32"
    assert not np.array_equal(moved.transform(X), exact.transform(X))
    moved.set_params(precision="auto")
    unit = "cpu_has_half_kernels" if runtime.cpu_has_half_kernels() else "cpu_has_products"
    for name in ("cpu_has_half_kernels", "cpu_has_products"):
        monkeypatch.setattr(runtime, name, lambda: False)
    assert np.array_equal(moved.transform(X), exact.transform(X))
    monkeypatch.setattr(runtime, unit, lambda: True)
    assert not np.array_equal(moved.transform(X), exact.transform(X))


def test_real_products_equal_those_by_way_of_float32(monkeypatch):
    """What CPUs with units for bfloat16 run, on whatever PyTorch has for bfloat16 here."""
    torch.manual_seed(0)
    a, b = rounded(24, 40).bfloat16(), rounded(40, 24).bfloat16()
    out = torch.empty(24, 24, dtype=torch.bfloat16)
    results = []
    for has, target in itertools.product((True, False), (None, out)):
        monkeypatch.setattr(windows, "cpu_has_products", lambda has=has: has)
        monkeypatch.setattr(windows, "cpu_has_half_kernels", lambda: False)
        results.append(windows.product(a, b, out=target).float().clone())
    exact = a.double() @ b.double()
    assert all(relative(r.double(), exact) < ROUNDING for r in results)


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_plan_for_gpus_is_channels_last_under_autocast():
    context = runtime.arithmetic("bfloat16", torch.device("cuda"))
    assert isinstance(context, torch.autocast) and context.device == "cuda"
    assert not context._cache_enabled  # networks move inside of the context
    spec = DCGANSpec(8)
    net = DCGANDiscriminatorFeatures(discriminator=spec, generator=spec, n_epochs=0).fit(
        np.zeros((4, 16, 16), np.uint8)
    )
    weight = net.discriminator_.blocks[1].conv.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_copies_to_a_gpu_are_page_locked_and_asynchronous(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: calls.append("pinned") or x)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda x, d, non_blocking: calls.append((d.type, non_blocking)) or x
    )
    runtime.to_device(torch.zeros(2), torch.device("cuda"))
    assert calls == ["pinned", ("cuda", True)]
    calls.clear()
    runtime.to_device(torch.zeros(2), CPU)
    assert calls == [("cpu", True)]


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bfloat16")])
def test_auto_takes_bfloat16_on_gpus_with_units_for_it_alone(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    nets = [torch.nn.Linear(2, 2)]
    assert runtime.resolve_precision("auto", torch.device("cuda:1"), nets) == expected


@pytest.mark.parametrize("arithmetic", [Products, HalfKernels])
def test_thin_layers_and_small_dense_ones_run_in_float32(arithmetic):
    rng = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [
            (nn.Linear(600, 1), (4, 600)), (nn.Linear(600, 400), (4, 600)),
            (nn.Conv2d(32, 8, 4, 2, 1), (2, 32, 8, 8)), (nn.Conv2d(1, 64, 3), (2, 1, 8, 8)),
        ]  # fmt: skip
        D = DCGANSpec(32).make_discriminator(input_shape=(1, 16, 16), norm="batch")
    for layer, shape in layers:
        x = torch.randn(shape, generator=rng)
        expected = layer(x)
        with arithmetic():
            assert torch.equal(layer(x), expected)
    with arithmetic():
        assert D(torch.randn(4, 1, 16, 16, generator=rng)).dtype == torch.float32
