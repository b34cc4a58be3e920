"""Guided backpropagation: its values by loops written out, and what its display draws."""

import copy
import functools
import os

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from torch import nn

from skgan import (
    BiGANEncoder,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    MGANExtractor,
    MLPSpec,
    SupervisedFeatures,
)
from skgan.callbacks import JSONLLogger
from skgan.inspection import GuidedBackpropDisplay, guided_backprop, untrained_copy
from skgan.utils.modules import ACTIVATIONS

IMAGES = {"image_shape": (8, 8)}


@pytest.fixture
def small(small):
    return functools.partial(small, **IMAGES)


# ---------------------------------------------------------------- a network of two convolutions


def two_convolutions():
    """3x3 with stride 2 and padding 1, ReLU; 2x2, LeakyReLU; on 8x8 pixels: 4x4, then 3x3."""
    rng = torch.Generator().manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(3, 2, 2), nn.LeakyReLU(0.2, inplace=True), nn.Flatten(), nn.Linear(18, 1),
    )  # fmt: skip
    for p in net.parameters():
        nn.init.normal_(p, generator=rng)
    return net


def by_hand(net, image):
    """f^1, f^2 and a function (filter, row, column) -> the guided gradient of f^2 there."""
    w1, b1 = net[0].weight.detach().double().numpy(), net[0].bias.detach().double().numpy()
    w2, b2 = net[2].weight.detach().double().numpy(), net[2].bias.detach().double().numpy()
    padded = np.pad(image.astype(np.float64), 1)
    h1, h2 = np.zeros((3, 4, 4)), np.zeros((2, 3, 3))
    for k, i, j in np.ndindex(*h1.shape):
        h1[k, i, j] = b1[k] + sum(
            w1[k, 0, di, dj] * padded[2 * i + di, 2 * j + dj] for di in range(3) for dj in range(3)
        )
    f1 = np.maximum(h1, 0)
    for k, i, j in np.ndindex(*h2.shape):
        h2[k, i, j] = b2[k] + sum(
            w2[k, c, di, dj] * f1[c, i + di, j + dj]
            for c in range(3) for di in range(2) for dj in range(2)
        )  # fmt: skip

    def guided(k, i, j):
        r2 = 1.0 if h2[k, i, j] > 0 else 0.2
        r1, r0 = np.zeros((3, 4, 4)), np.zeros((10, 10))
        for c, di, dj in np.ndindex(3, 2, 2):
            r1[c, i + di, j + dj] += w2[k, c, di, dj] * r2
        for c, a, b in np.ndindex(3, 4, 4):
            if f1[c, a, b] > 0 and r1[c, a, b] > 0:
                for di, dj in np.ndindex(3, 3):
                    r0[2 * a + di, 2 * b + dj] += w1[c, 0, di, dj] * r1[c, a, b]
        return r0[1:9, 1:9]

    return f1, np.where(h2 > 0, h2, 0.2 * h2), guided


@pytest.fixture
def tiny(small, digits):
    return small(discriminator=two_convolutions(), n_epochs=0).fit(digits[0])


def test_two_convolutions_agree_with_loops_by_hand(tiny, digits):
    X = digits[0][:20]
    found = guided_backprop(tiny, X, filters=[1, 0], n_top=3)
    x = (X / 8 - 1).reshape(-1, 8, 8)
    each = [by_hand(tiny.discriminator_, image) for image in x]
    assert list(found.filters) == [1, 0]
    some_plain_differs = False
    for row, k in enumerate(found.filters):
        peaks = np.array([f2[k].max() for _, f2, _ in each])
        order = np.argsort(-peaks, kind="stable")[:3]
        assert list(found.samples[row]) == list(order)
        np.testing.assert_allclose(found.responses[row], peaks[order], rtol=1e-5)
        for n, sample in enumerate(order):
            _, f2, guided = each[sample]
            position = np.unravel_index(f2[k].argmax(), (3, 3))
            assert tuple(found.positions[row, n]) == position
            np.testing.assert_allclose(found.inputs[row, n, 0], x[sample], atol=1e-6)
            np.testing.assert_allclose(found.gradients[row, n, 0], guided(k, *position), atol=1e-5)
            plain = plain_gradient(tiny.discriminator_[:4], x[sample], k, position)
            some_plain_differs |= not np.allclose(plain, guided(k, *position), atol=1e-3)
    assert some_plain_differs  # so the rule played a part


def plain_gradient(layers, image, k, position):
    x = torch.tensor(image, dtype=torch.float32)[None, None].requires_grad_()
    layers(x)[(0, k, *position)].backward()
    return x.grad[0, 0].numpy()


def test_the_first_layer_has_plain_gradients_of_its_windows(tiny, digits):
    X = digits[0][:20]
    found = guided_backprop(tiny, X, layer=0)
    x = (X / 8 - 1).reshape(-1, 8, 8)
    assert found.gradients.shape == (3, 1, 1, 8, 8)  # all of the three filters
    for k in range(3):
        sample, position = found.samples[k, 0], tuple(found.positions[k, 0])
        f1, _, _ = by_hand(tiny.discriminator_, x[sample])
        np.testing.assert_allclose(found.responses[k, 0], f1[k][position], rtol=1e-5)
        plain = plain_gradient(tiny.discriminator_[:2], x[sample], k, position)
        np.testing.assert_allclose(found.gradients[k, 0, 0], plain, atol=1e-6)


# ---------------------------------------------------------------- skgan's networks


def layer_by_layer(net, x, layer, k, place):
    """The guided gradient of a trunk, from the plain derivatives of one layer at a time."""
    h, steps = net.prepare(x), []
    for block in list(net.blocks)[: layer + 1]:
        before = h.detach().requires_grad_()
        linear = block.norm(block.conv(before))
        middle = linear.detach().requires_grad_()
        h = block.activation(middle.clone())
        steps.append((before, linear, middle, h))
    r = torch.zeros_like(h)
    r.flatten(2 if h.ndim > 2 else 1)[(0, k, place) if h.ndim > 2 else (0, k)] = 1
    for before, linear, middle, h in reversed(steps):
        (r,) = torch.autograd.grad(h, middle, r.clamp(min=0))
        (r,) = torch.autograd.grad(linear, before, r)
    left = x.detach().requires_grad_()
    (r,) = torch.autograd.grad(net.prepare(left), left, r)
    return r[0]


@pytest.mark.parametrize(
    ("spec", "norm"),
    [
        (DCGANSpec(4), "batch"),
        (DCGANSpec(4, activation="relu"), "none"),
        (DCGANSpec(4, activation="crelu"), "batch"),
        (DCGANSpec(4, activation="crelu", downsample="max", kernel_size=3), "spectral"),
        (DCGANSpec(8, first_layer="patches"), "spectral"),
        (DCGANSpec(4, feature_dim=6, noise=0.1), "batch"),
        (MLPSpec(12), "batch"),
    ],
)
@pytest.mark.parametrize("layer", [-1, 0])
def test_every_kind_of_trunk_agrees_with_its_layers_one_by_one(small, digits, spec, norm, layer):
    X = digits[0][:40]
    gan = small(discriminator=spec, norm=norm, n_epochs=1).fit(X)
    found = guided_backprop(gan, X, layer=layer, filters=range(3), n_top=2)
    net = gan.discriminator_
    for row, k in enumerate(found.filters):
        for n in range(2):
            x = torch.from_numpy(found.inputs[row, n])[None]
            with torch.no_grad():
                h = net.taps(x)[layer][0, k]
            place = int(h.argmax())
            width = h.shape[1] if h.ndim else 1
            assert tuple(found.positions[row, n]) == (place // width, place % width)
            assert found.responses[row, n] == pytest.approx(float(h.max()), rel=1e-5)
            expected = layer_by_layer(net, x, layer % len(net.blocks), k, place)
            np.testing.assert_allclose(found.gradients[row, n], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("cls", "network"),
    [(BiGANEncoder, None), (MGANExtractor, None), (MGANExtractor, "classifier")],
)
def test_networks_are_chosen_by_role(small, digits, cls, network):
    X = digits[0][:40]
    gan = small(cls, n_epochs=1).fit(X)
    found = guided_backprop(FrozenEstimator(gan), X, network=network)
    role = network or ("encoder" if cls is BiGANEncoder else "discriminator")
    net = getattr(gan, f"{role}_")
    for k in range(len(found.filters)):
        x = torch.from_numpy(found.inputs[k, 0])[None]
        with torch.no_grad():
            h = net.taps(x)[-1][0, k]
        assert found.responses[k, 0] == pytest.approx(float(h.max()), rel=1e-5)
        expected = layer_by_layer(net, x, len(net.blocks) - 1, k, int(h.argmax()))
        np.testing.assert_allclose(found.gradients[k, 0], expected, atol=1e-6)


def test_the_estimator_is_left_as_it_was_and_results_repeat(small, digits):
    X = digits[0][:40]
    gan = small().fit(X)
    net, features = gan.discriminator_, gan.transform(X)
    before = copy.deepcopy(net.state_dict())
    first = guided_backprop(gan, X, n_top=2)
    with torch.no_grad():  # gradients are turned on where they are needed
        again = guided_backprop(gan, X, n_top=2)
    for name in ("samples", "positions", "responses", "inputs", "gradients"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert not any(m._forward_hooks or m._backward_hooks for m in net.modules())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not net.training
    np.testing.assert_array_equal(gan.transform(X), features)


def test_a_row_of_a_table_has_gradients_by_its_columns(small, digits):
    X = digits[0][:40]
    gan = small(generator=MLPSpec(8), discriminator=MLPSpec(8), image_shape=None).fit(X)
    found = guided_backprop(gan, X)
    assert found.gradients.shape == found.inputs.shape == (6, 1, 64)
    with pytest.raises(ValueError, match=r"trained has inputs of shape \(6, 1, 64\); only images"):
        GuidedBackpropDisplay(found)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layer": 2}, r"layer=2 must be a whole number in \[-2, 1\]"),
        ({"layer": -3}, "layer=-3 must be"),
        ({"filters": [8]}, r"filters=\[8\] must be from 0 to 7: the layer has 8"),
        ({"filters": [-1]}, "filters=.* must be from 0 to 7"),
        ({"filters": []}, "filters=.* must be indices"),
        ({"filters": [0.5]}, "filters=.* must be indices"),
        ({"n_top": 0}, "n_top=0 must be"),
        ({"n_top": 41}, "n_top=41 is more than the 40 samples"),
        ({"network": "encoder"}, "network='encoder' is unknown; use one of 'discriminator'"),
        ({"network": "generator"}, "network='generator' is unknown"),
    ],
)
def test_bad_values_are_named(small, digits, given, message):
    gan = small(n_epochs=0).fit(digits[0][:40])
    with pytest.raises(ValueError, match=message):
        guided_backprop(gan, digits[0][:40], **given)


def test_a_critic_of_pairs_is_refused(small, digits):
    gan = small(BiGANEncoder, n_epochs=0).fit(digits[0][:40])
    with pytest.raises(ValueError, match="judges pairs of samples and codes.*'encoder'"):
        guided_backprop(gan, digits[0][:40], network="discriminator")
    with pytest.raises(NotFittedError):
        guided_backprop(small(), digits[0][:40])


# ---------------------------------------------------------------- the untrained network


def same_weights(a, b):
    pairs = zip(a.discriminator_.parameters(), b.discriminator_.parameters(), strict=True)
    return all(torch.equal(p, q) for p, q in pairs)


def test_an_untrained_copy_is_the_network_before_training(small, digits):
    X = digits[0]
    gan = small(warm_start=True).fit(X)
    if hasattr(gan, "set_callbacks"):
        gan.set_callbacks(JSONLLogger(os.devnull))
    untrained, start = untrained_copy(FrozenEstimator(gan), X), small(n_epochs=0).fit(X)
    assert same_weights(untrained, start) and not same_weights(untrained, gan)
    np.testing.assert_array_equal(untrained.transform(X), start.transform(X))
    assert not hasattr(untrained, "_skl_callbacks")
    assert gan.n_epochs_ == 2


def test_an_untrained_copy_without_a_seed_is_always_the_same(small, digits):
    X = digits[0]
    gan = small(random_state=None, n_epochs=1).fit(X)
    first, again = untrained_copy(gan, X), untrained_copy(gan, X)
    assert same_weights(first, again) and not same_weights(first, gan)


def test_an_untrained_copy_keeps_the_range_of_values(small, digits):
    X = digits[0]
    gan = small(n_epochs=1).fit(X)
    dim = X[:20] / 2  # its own largest value is 8
    untrained = untrained_copy(gan, dim)
    given = guided_backprop(gan, dim), guided_backprop(untrained, dim)
    assert given[0].inputs.max() <= 0 and given[1].inputs.max() <= 0


def test_an_untrained_copy_takes_labels(small, digits):
    X, y = digits
    net = small(SupervisedFeatures, n_epochs=1).fit(X, y)
    assert untrained_copy(net, X, y).n_steps_ == 0


# ---------------------------------------------------------------- the display


def test_rows_hold_samples_and_their_gradients(small, digits, plt):
    X = digits[0]
    gan = small().fit(X)
    display = GuidedBackpropDisplay.from_estimator(gan, X, n_top=2, filters=[3, 1])
    found = guided_backprop(gan, X, n_top=2, filters=[3, 1])
    random = guided_backprop(small(n_epochs=0).fit(X), X, n_top=2, filters=[3, 1])
    assert [ax.get_title() for ax in display.axes_] == ["random weights", "trained"]
    labels = [label.get_text() for label in display.axes_[0].get_yticklabels()]
    assert labels == ["filter 3", "filter 1"]
    for image, expected in zip(display.images_, (random, found), strict=True):
        tiled = image.get_array()
        assert tiled.shape == (2 * 8 + 1, 4 * 8 + 3)
        for row in range(2):
            for n in range(2):
                top, left = 9 * row, 18 * n
                sample = tiled[top : top + 8, left : left + 8]
                np.testing.assert_allclose(sample, (expected.inputs[row, n, 0] + 1) / 2, atol=1e-6)
                drawn = tiled[top : top + 8, left + 9 : left + 17]
                g = expected.gradients[row, n, 0]
                scale = np.quantile(abs(g[g != 0]), 0.98)
                np.testing.assert_allclose(drawn, np.clip(g / scale + 1, 0, 2) / 2, atol=1e-6)


def test_what_is_rendered_are_these_tiles(small, digits, plt):
    X = digits[0]
    gan = small(n_epochs=1).fit(X)
    _, axes = plt.subplots(2, 1)
    display = GuidedBackpropDisplay.from_estimator(gan, X, n_top=2, ax=axes)
    assert list(display.axes_) == list(axes)
    display.figure_.canvas.draw()
    pixels = np.asarray(display.figure_.canvas.buffer_rgba())
    for ax, image in zip(display.axes_, display.images_, strict=True):
        tiled = image.get_array()
        for row, column in [(3, 3), (4, 12), (12, 4), (13, 14), (30, 21)]:
            x, y = ax.transData.transform((column, row))
            seen = pixels[len(pixels) - 1 - int(y), int(x)]
            np.testing.assert_allclose(seen[:3] / 255, tiled[row, column], atol=0.01)


def test_colour_is_kept_and_a_gradient_of_zeros_is_grey(small, plt):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    gan = small(image_shape=None, n_epochs=0).fit(X)
    with torch.no_grad():
        gan.discriminator_.blocks[0].conv.weight[1] = 0
    display = GuidedBackpropDisplay.from_estimator(gan, X, n_top=1, untrained=None, layer=0)
    assert len(display.axes_) == 1
    tiled = display.images_[0].get_array()
    sample = X[display.trained.samples[0, 0]] / 255
    np.testing.assert_allclose(tiled[:8, :8], sample, atol=1e-6)
    assert (tiled[9:17, 9:17] == 0.5).all() and tiled[:8, 9:17].std() > 0


def test_a_display_of_different_gradients_or_axes_is_refused(small, digits, plt):
    X = digits[0][:40]
    gan = small(n_epochs=0).fit(X)
    two, one = guided_backprop(gan, X, n_top=2), guided_backprop(gan, X)
    with pytest.raises(ValueError, match=r"untrained has inputs of shape .*same filters, n_top"):
        GuidedBackpropDisplay(two, one)
    with pytest.raises(ValueError, match="ax holds 1 Axes; pass 2"):
        GuidedBackpropDisplay(one, one).plot(ax=plt.subplots()[1])
    for untrained, n in (("copy", 2), (one, 2), (None, 1)):  # before anything is computed
        axes = plt.subplots(1, 3 - n)[1]
        with pytest.raises(ValueError, match=f"ax holds {3 - n} Axes; pass {n}"):
            GuidedBackpropDisplay.from_estimator("never looked at", X, untrained=untrained, ax=axes)
    with pytest.raises(ValueError, match="untrained='none' is unknown"):
        GuidedBackpropDisplay.from_estimator(gan, X, untrained="none")


def test_the_activations_that_are_followed_are_named(digits):
    """A sigmoid ends no layer and keeps its plain gradient: the docstring and errors say so."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, 2, 1), nn.Sigmoid(), nn.Conv2d(6, 6, 3, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(24, 1),
    )  # fmt: skip
    gan = DCGANDiscriminatorFeatures(
        discriminator=net, image_shape=(8, 8), latent_dim=4, n_epochs=0, random_state=0
    ).fit(X := digits[0])
    found, D = guided_backprop(gan, X, filters=[0]), gan.discriminator_
    x = torch.from_numpy(found.inputs[0]).requires_grad_()
    row, column = found.positions[0, 0]
    (plain,) = torch.autograd.grad(D[:4](x)[0, 0, row, column], x)
    np.testing.assert_allclose(found.gradients[0], plain, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"layer=1 .*\[-1, 0\]\. Layers end in .*ReLU, LeakyReLU"):
        guided_backprop(gan, X, layer=1)
    for kind in ACTIVATIONS:
        assert kind.__name__ in guided_backprop.__doc__


def test_the_default_copy_is_of_the_class_of_the_estimator(small, digits, plt):
    display = GuidedBackpropDisplay.from_estimator(small(n_epochs=0).fit(digits[0]), digits[0])
    np.testing.assert_array_equal(display.trained.gradients, display.untrained.gradients)
    assert isinstance(small(), DCGANDiscriminatorFeatures)
