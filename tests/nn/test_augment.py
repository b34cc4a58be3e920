"""Random changes of samples: each by itself, differentiable, and drawn from one generator."""

import numpy as np
import pytest
import torch

from skgan import DCGANDiscriminatorFeatures
from skgan.nn.augment import NAMES, POLICIES, augmented, policy_of


def draws(seed=0):
    rng = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.rand(shape, generator=rng)


def images(n=6, c=3, h=12, w=10):
    return torch.rand(n, c, h, w, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("name", NAMES)
def test_samples_change_each_by_itself_and_repeatably(name):
    x = images(1).expand(6, -1, -1, -1)
    out = augmented(x, [name], draws())
    assert out.shape == x.shape and out.dtype == torch.float32
    different = {tuple(o.flatten().tolist()) for o in out}
    assert len(different) >= (2 if name in ("flip", "invert") else 5)
    assert torch.equal(out, augmented(x, [name], draws()))
    assert not torch.equal(out, augmented(x, [name], draws(1)))


@pytest.mark.parametrize("names", [[name] for name in NAMES] + list(map(list, POLICIES.values())))
def test_gradients_pass_and_stay_with_their_sample(names):
    x = images().requires_grad_()
    out = augmented(x, names, draws())
    (g,) = torch.autograd.grad(out[2].sum(), x)
    assert g[2].abs().sum() > 0
    assert g[[0, 1, 3, 4, 5]].abs().sum() == 0


def test_flips_and_shifts_are_exact():
    x = images(64)
    out = augmented(x, ["flip"], draws())
    mirrored = [torch.allclose(o, i.flip(2), atol=1e-5) for o, i in zip(out, x, strict=True)]
    same = [torch.allclose(o, i, atol=1e-5) for o, i in zip(out, x, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True)) and 16 < sum(mirrored) < 48
    x = torch.zeros(40, 1, 16, 16)
    x[:, :, 8, 8] = 1.0
    out = augmented(x, ["shift"], draws())
    places = [tuple(np.argwhere(o[0].numpy() > 0.99)[0]) for o in out]
    assert {p for p, _ in places} == {q for _, q in places} == {6, 7, 8, 9, 10}


def test_cutout_takes_a_quarter_at_most():
    out = augmented(torch.ones(50, 1, 16, 16), ["cutout"], draws())
    share = (out == 0).float().mean((1, 2, 3))
    assert share.max() == 0.25 and share.min() >= 1 / 16


def test_elastic_changes_bend_smoothly_and_move_little():
    ramp = torch.linspace(-1, 1, 28).expand(50, 1, 28, 28)
    moved = (augmented(ramp, ["elastic"], draws()) - ramp)[:, 0, 8:20, 8:20]  # away from edges
    assert 0.1 < moved.abs().max() <= 0.22  # cubic interpolation overshoots
    assert abs(moved.mean()) < 0.02
    assert moved.diff(dim=1).abs().max() < 0.07 and moved.diff(dim=2).abs().max() < 0.07


def test_auto_looks_at_the_samples():
    assert policy_of("auto", (1, 28, 28)) == POLICIES["digits"]
    assert policy_of("auto", (3, 32, 32)) == POLICIES["signs"]
    assert policy_of("auto", (7,)) == ("noise",)
    assert policy_of(None, (7,)) is None and policy_of(len, (7,)) is len
    assert policy_of(["flip", "noise"], (1, 8, 8)) == ("flip", "noise")


@pytest.mark.parametrize(
    ("augment", "message"),
    [("shear", "augment='shear' is unknown"), (("flip", "mirror"), "augment='mirror'"),
     (3, "augment=3 is unknown")],
)  # fmt: skip
def test_bad_values_are_named_before_training(augment, message, digits):
    with pytest.raises(ValueError, match=message):
        DCGANDiscriminatorFeatures(augment=augment).fit(digits[0])


def test_images_are_not_cut_out_of_tables(digits):
    with pytest.raises(ValueError, match="augment='flip' is for images.*64 columns"):
        DCGANDiscriminatorFeatures(augment="flip").fit(digits[0])


def test_a_critic_sees_the_changes_and_transform_does_not(small, digits):
    X = digits[0]
    plain, changed = (
        small(image_shape=(8, 8), n_epochs=1, augment=a).fit(X) for a in (None, ("shift", "cutout"))
    )
    assert not np.array_equal(plain.transform(X), changed.transform(X))
    assert np.array_equal(changed.transform(X[:5]), changed.transform(X)[:5])
    again = small(image_shape=(8, 8), n_epochs=1, augment=("shift", "cutout")).fit(X)
    assert np.array_equal(again.transform(X), changed.transform(X))
    own = small(image_shape=(8, 8), n_epochs=1, augment=torch.neg).fit(X)
    assert not np.array_equal(plain.transform(X), own.transform(X))
