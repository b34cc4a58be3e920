"""Layers and heads for several domains: batch norm by domain, dropout, first weights."""

import copy

import pytest
import torch
from torch import nn

from skgan import DCGANSpec, MLPSpec
from skgan.nn import Head, build_heads
from skgan.nn.init import build_seeded
from skgan.nn.noise import Dropout
from skgan.nn.norms import BatchNormPerDomain, instance_normalised, reordered
from skgan.utils.domains import samples_from
from skgan.utils.seeds import layers_draw_from


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_each_domain_has_batch_norm_of_its_own():
    x = torch.randn(9, 3, generator=generator()) * 2 + 1
    domain = torch.tensor([1, 0, 2, 2, 0, 1, 1, 0, 2])
    layer = BatchNormPerDomain(nn.BatchNorm1d(3), 3)
    nn.init.normal_(layer.norm.weight, generator=generator())
    nn.init.normal_(layer.norm.bias, generator=generator())
    apart = [copy.deepcopy(layer.norm) for _ in range(3)]
    norms = [*layer.others, layer.norm]
    with samples_from(domain):
        out = layer(x)
    for k, norm in enumerate(apart):
        torch.testing.assert_close(out[domain == k], norm(x[domain == k]))
        torch.testing.assert_close(norms[k].running_var, norm.running_var)
        torch.testing.assert_close(norms[k].running_mean, norm.running_mean)
    expected = sum((norm(x[domain == k]) ** 3).sum() for k, norm in enumerate(apart))
    (out**3).sum().backward()
    expected.backward()
    for name in ("weight", "bias"):  # one for all domains
        grads = sum(getattr(norm, name).grad for norm in apart)
        torch.testing.assert_close(getattr(layer.norm, name).grad, grads)
    assert len(list(layer.parameters())) == 2
    layer.eval()
    with samples_from(domain):
        mixed = layer(x)
    with samples_from(1):
        torch.testing.assert_close(layer(x)[domain == 1], mixed[domain == 1])
    torch.testing.assert_close(layer(x)[domain == 2], mixed[domain == 2])  # the last, if not said
    layer.train()
    kept, seen = layer.norm.running_var.clone(), layer.others[0].running_var.clone()
    with samples_from(torch.zeros(9, dtype=torch.long)):  # domains may be absent
        layer(x)
    torch.testing.assert_close(layer.norm.running_var, kept)
    assert not torch.equal(layer.others[0].running_var, seen)


def test_instance_norm_by_hand():
    x = torch.randn(2, 3, 4, 5, generator=generator()).double() * 3 + 1
    y = instance_normalised(x)
    for i in range(2):
        for c in range(3):
            a = x[i, c]
            expected = (a - a.mean()) / (a.var(correction=0) + 1e-5).sqrt()
            torch.testing.assert_close(y[i, c], expected)
    assert instance_normalised(torch.ones(1, 1, 8, 8)).abs().max() == 0


def test_padding_of_normalised_images_has_their_mean():
    spec = DCGANSpec(2)
    net = spec.make_classifier(input_shape=(1, 28, 28), n_outputs=2, norm="none")
    x = torch.rand(2, 1, 28, 28, generator=generator())
    assert net.prepare(x)[0, 0, 0, 0] == -1
    net.instance_norm = True
    padded = net.prepare(x)
    assert padded.shape[2:] == (32, 32) and padded[0, 0, 0, 0] == 0
    assert padded[:, :, 2:-2, 2:-2].mean().abs() < 1e-6


def test_dropout_keeps_the_mean_and_draws_by_the_fit():
    layer, h = Dropout(0.25), torch.ones(100, 100)
    assert torch.equal(layer.eval()(h), h)
    layer.train()
    before = torch.get_rng_state()
    with layers_draw_from(generator()):
        a = layer(h)
    with layers_draw_from(generator()):
        assert torch.equal(a, layer(h))
    assert torch.equal(before, torch.get_rng_state())
    assert sorted(a.unique().tolist()) == pytest.approx([0, 4 / 3])
    assert a.mean().item() == pytest.approx(1, abs=0.02)


def test_heads_of_several_hidden_layers():
    head = Head("code", 3, (7, 5), relu=True, batch_norm=True, n_domains=2, dropout=0.1)
    kinds = [type(m).__name__ for m in head.on(4)]
    one = ["Linear", "BatchNormPerDomain", "ReLU", "Dropout"]
    assert kinds == [*one, *one, "Linear"]
    assert head.of_hidden() == {"relu": True, "batch_norm": True, "n_domains": 2, "dropout": 0.1}
    assert isinstance(Head("code", 3, ()).on(4), nn.Linear)
    assert [type(m).__name__ for m in Head("scores", 3, 6).on(4)] == [
        "Linear", "LeakyReLU", "Linear",
    ]  # fmt: skip
    plain = build_heads(
        MLPSpec(4), generator(), {"a": Head("scores", 3, 6)}, input_shape=(2,), norm="none"
    )
    assert "hidden" not in plain["a"].recipe


def test_first_weights_keep_the_size_of_what_passes():
    net = build_seeded(lambda: nn.Linear(4000, 200), generator(), he_weights=True)
    assert net.weight.std().item() == pytest.approx((2 / 4000) ** 0.5, rel=0.02)
    heads = {"a": Head("code", 4)}
    x = torch.randn(200, 3, 28, 28, generator=generator())
    for he, low, high in ((True, 0.3, 3), (False, 0, 0.1)):
        nets = build_heads(
            "ganin28", generator(), heads, input_shape=(3, 28, 28), norm="none", he_weights=he
        )
        with torch.no_grad():
            f = nets["trunk"](x)
        assert f.shape[1:] == (48, 7, 7) and low < f.square().mean().sqrt() < high


def test_max_pooling_in_place_of_strides():
    spec = DCGANSpec(channels=(2, 4, 4), strides=(2, 1, 2), kernel_size=3, downsample="max")
    net = spec.make_classifier(input_shape=(1, 16, 16), n_outputs=2, norm="batch")
    assert [b.conv.stride for b in net.blocks] == [(1, 1)] * 3
    assert [m.shape[-1] for m in net.taps(torch.zeros(2, 1, 16, 16))] == [8, 8, 4]
    with pytest.raises(ValueError, match="kernel_size=4 cannot keep the image size at stride 1"):
        DCGANSpec(downsample="max").make_classifier(input_shape=(1, 16, 16), n_outputs=2)
    with pytest.raises(ValueError, match="downsample='avg' is unknown"):
        DCGANSpec(downsample="avg").make_classifier(input_shape=(1, 16, 16), n_outputs=2)


def test_reordered_samples_and_their_gradients():
    """Also the gradient of a gradient, which penalties take."""
    order = torch.tensor([2, 0, 3, 1])
    back = order.argsort()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.equal(reordered(x, order, back), x[order])
    assert torch.equal(reordered(reordered(x, order, back), back, order), x)
    assert torch.autograd.gradcheck(lambda x: reordered(x**3, order, back), x)
    assert torch.autograd.gradgradcheck(lambda x: reordered(x**3, order, back), x)


def test_statistics_of_all_domains_start_at_0_and_1():
    """Networks are built without memory, which then holds anything."""
    net = build_seeded(lambda: BatchNormPerDomain(nn.BatchNorm2d(64), 3), generator())
    for norm in (*net.others, net.norm):
        assert torch.equal(norm.running_mean, torch.zeros(64))
        assert torch.equal(norm.running_var, torch.ones(64))
        assert norm.num_batches_tracked == 0
