"""The first layer of whitened patches: its values, where they come from, and what training does."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import skgan
from skgan import BiGANEncoder, DCGANDiscriminatorFeatures, DCGANSpec, SupervisedFeatures
from skgan.nn.patches import THRESHOLD, WhitenedPatches, patch_block
from skgan.utils.whitening import whitener


def images(n=40, c=2, side=16, seed=0):
    """Smooth images in [-1, 1]."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, c, side // 4, side // 4, generator=rng)
    return 2 * F.interpolate(coarse, side, mode="bilinear") - 1


def started(size, stride, x):
    layer = WhitenedPatches(x.shape[1], 5, size, stride, trained=False)
    with torch.no_grad():
        layer.start_from(x, torch.Generator().manual_seed(0))
    return layer


@pytest.mark.parametrize(("size", "stride"), [(6, 2), (3, 2), (3, 1), (4, 1)])
def test_responses_are_those_of_a_loop_over_windows(size, stride):
    x = images()
    layer = started(size, stride, x)
    before = (size - stride) // 2
    padded = np.pad(
        x.double().numpy(), [(0, 0), (0, 0), *[(before, size - stride - before)] * 2], mode="edge"
    )
    filters, floor = layer.weight.double().numpy(), float(layer.floor)
    out = layer(x)
    assert out.shape == (40, 10, 16 // stride, 16 // stride)
    assert torch.equal(out[:, 5:], -out[:, :5])
    rng = np.random.RandomState(0)
    for _ in range(60):
        n, i, j = rng.randint(40), rng.randint(16 // stride), rng.randint(16 // stride)
        w = padded[n, :, i * stride : i * stride + size, j * stride : j * stride + size]
        w = w - w.mean()
        w = w / np.sqrt((w**2).sum() + floor**2)
        right = (filters * w).sum((1, 2, 3))
        np.testing.assert_allclose(out[n, :5, i, j].numpy(), right, atol=2e-4)


def test_channels_are_what_exceeds_the_threshold_on_either_side():
    x = images()
    block = patch_block((2, 16, 16), 10, 2, trained=False)
    with torch.no_grad():
        block.conv.start_from(x, torch.Generator().manual_seed(0))
    r = block.stages(x)["conv"]
    right = (r - THRESHOLD).clamp(min=0)
    assert torch.equal(block(x), right) and torch.equal(r[:, 5:], -r[:, :5])
    assert (right > 0).float().mean() > 0.2


def test_brightness_and_contrast_do_not_count_and_constant_images_have_no_response():
    x = images()
    layer = started(6, 2, x)
    torch.testing.assert_close(layer(0.5 * x + 0.3), layer(x), atol=0.05, rtol=0.05)
    assert layer(torch.full((2, 2, 16, 16), 0.7)).abs().max() < 1e-3
    layer = started(6, 2, torch.full((3, 2, 16, 16), 0.7))
    assert torch.isfinite(layer(x)).all() and layer(x).abs().max() == 0


def test_filters_that_were_trained_on_do_not_see_brightness_either():
    x = images()
    layer = WhitenedPatches(2, 5, 6, 2, trained=True)
    with torch.no_grad():
        layer.start_from(x, torch.Generator().manual_seed(0))
        layer.weight += 0.3  # as a step may
        layer.requires_grad_(False)
        torch.testing.assert_close(layer(x + 0.3), layer(x), atol=1e-3, rtol=1e-3)


def test_responses_to_random_windows_are_white():
    x = images(400, side=32)
    layer = WhitenedPatches(2, 200, 6, 1, trained=False)
    with torch.no_grad():
        layer.start_from(x, torch.Generator().manual_seed(0))
    r = layer(x)[:, :, 4:-4, 4:-4].transpose(0, 1).flatten(1)
    plain = F.conv2d(x, layer.weight)[:, :, 4:-4, 4:-4].transpose(0, 1).flatten(1)
    condition = [np.linalg.cond(np.cov(values[:40].numpy())) for values in (r, plain)]
    assert condition[0] < condition[1]
    basis, gains = whitener(torch.randn(500, 8, generator=torch.Generator().manual_seed(0)), 1.0)
    assert basis.shape == (8, 8) and (gains > 0).all()


@pytest.mark.parametrize("first_layer", ["patches", "trained_patches"])
def test_filters_come_from_the_samples_of_fit_and_stay_unless_they_are_trained_on(
    small, digits, first_layer
):
    X, _ = digits
    spec = DCGANSpec(8, n_blocks=2, first_layer=first_layer)
    fits = {
        n: small(
            DCGANDiscriminatorFeatures, image_shape=(8, 8), discriminator=spec, n_epochs=n
        ).fit(X)
        for n in (0, 2)
    }  # fmt: skip
    before, after = (fits[n].discriminator_.blocks[0].conv.weight for n in (0, 2))
    assert before.abs().sum() > 0 and before.shape == (4, 1, 3, 3)
    assert torch.equal(before, after) == (first_layer == "patches")
    assert after.requires_grad == (first_layer != "patches")
    other = small(
        DCGANDiscriminatorFeatures, image_shape=(8, 8), discriminator=spec, n_epochs=0
    ).fit(X[::-1] ** 2)
    assert not torch.equal(other.discriminator_.blocks[0].conv.weight, before)


def test_encoders_and_classifiers_have_it_too(small, digits, tmp_path):
    X, y = digits
    spec = DCGANSpec(8, n_blocks=2, first_layer="patches")
    for cls, role in ((BiGANEncoder, "encoder"), (SupervisedFeatures, "classifier")):
        est = small(cls, image_shape=(8, 8), **{role: spec}).fit(X, y)
        layer = getattr(est, f"{role}_").blocks[0].conv
        assert isinstance(layer, WhitenedPatches) and layer.weight.abs().sum() > 0
        est.save(tmp_path / "fit.safetensors")
        loaded = skgan.load(tmp_path / "fit.safetensors")
        np.testing.assert_array_equal(loaded.transform(X), est.transform(X))


def test_a_fit_that_goes_on_keeps_its_filters(small, digits):
    X, _ = digits
    spec = DCGANSpec(8, n_blocks=2, first_layer="patches")
    est = small(
        DCGANDiscriminatorFeatures, image_shape=(8, 8), discriminator=spec, n_epochs=1,
        warm_start=True,
    ).fit(X)  # fmt: skip
    weight = copy.deepcopy(est.discriminator_.blocks[0].conv.weight)
    est.set_params(n_epochs=2).fit(X[::-1] ** 2)
    assert torch.equal(est.discriminator_.blocks[0].conv.weight, weight)


def test_rows_that_are_held_out_play_no_part(small, digits):
    X, _ = digits
    spec = DCGANSpec(8, n_blocks=2, first_layer="patches")
    weights = []
    for change in (0, 1):
        est = small(
            DCGANDiscriminatorFeatures, image_shape=(8, 8), discriminator=spec, n_epochs=0,
            validation_fraction=0.3,
        )  # fmt: skip
        n = len(X)
        seed = int(np.random.RandomState(est.random_state).randint(2**31 - 1))
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).numpy()
        X_ = X.copy()
        if change:
            X_[order[: round(0.3 * n)]] = 0
        weights.append(est.fit(X_).discriminator_.blocks[0].conv.weight)
    assert torch.equal(*weights)


def test_learnt_layers_are_all_but_the_fixed_one(small, digits):
    X, _ = digits
    for first_layer, first in (("patches", 1), ("trained_patches", 0), ("learnt", 0)):
        spec = DCGANSpec(channels=(8, 6, 4), first_layer=first_layer)
        fit = small(
            DCGANDiscriminatorFeatures, image_shape=(8, 8), discriminator=spec, layers="learnt"
        ).fit(X)
        names = fit.get_feature_names_out()
        assert names[0].startswith(f"layer{first}_") and names[-1].startswith("layer2_")
    with pytest.raises(ValueError, match="layers='some' must be 'all', 'learnt' or indices"):
        small(DCGANDiscriminatorFeatures, image_shape=(8, 8), layers="some").fit(X)


def test_an_odd_number_of_channels_is_refused(small, digits):
    spec = DCGANSpec(7, n_blocks=2, first_layer="patches")
    with pytest.raises(ValueError, match="7 channels"):
        small(DCGANDiscriminatorFeatures, image_shape=(8, 8), discriminator=spec).fit(digits[0])
    with pytest.raises(ValueError, match="first_layer='pca'"):
        spec = DCGANSpec(first_layer="pca")
        small(DCGANDiscriminatorFeatures, image_shape=(8, 8), discriminator=spec).fit(digits[0])
