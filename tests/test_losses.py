"""Losses and penalties against closed forms and against formulas restated in NumPy."""

import numpy as np
import pytest
import torch

from skgan import losses, penalties
from skgan.engine import runtime

CPU = torch.device("cpu")

REAL = np.array([-2.0, 0.0, 0.5, 3.0])
FAKE = np.array([-1.0, 0.25, 2.0, 4.0])


def sigma(a):
    return 1 / (1 + np.exp(-a))


# name -> (D's loss, G's loss), from the papers' formulas
REFERENCE = {
    "ns": (-np.log(sigma(REAL)).mean() - np.log(1 - sigma(FAKE)).mean(),
           -np.log(sigma(FAKE)).mean()),
    "hinge": (-np.minimum(0, REAL - 1).mean() - np.minimum(0, -FAKE - 1).mean(), -FAKE.mean()),
    "ls": (0.5 * ((REAL - 1) ** 2).mean() + 0.5 * (FAKE**2).mean(),
           0.5 * ((FAKE - 1) ** 2).mean()),
    "wgan-gp": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
}  # fmt: skip


@pytest.mark.parametrize("name", losses.GAN_LOSSES)
def test_gan_losses(name):
    d, g = losses.GAN_LOSSES[name]
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    assert d(real, fake).item() == pytest.approx(REFERENCE[name][0])
    assert g(fake).item() == pytest.approx(REFERENCE[name][1])


@pytest.mark.parametrize("name", losses.GAN_LOSSES)
def test_the_players_pull_in_opposite_directions(name):
    """D is rewarded for raising D(x) and lowering D(G(z)), G for raising D(G(z))."""
    d, g = losses.GAN_LOSSES[name]
    real, fake = (torch.zeros(3, requires_grad=True) for _ in range(2))
    d_real, d_fake = torch.autograd.grad(d(real, fake + 0.1), (real, fake))
    (g_fake,) = torch.autograd.grad(g(fake), fake)
    assert (d_real < 0).all() and (d_fake > 0).all() and (g_fake < 0).all()


def test_non_saturating_starts_at_the_known_values():
    d, g = losses.GAN_LOSSES["ns"]
    zero = torch.zeros(5)
    assert d(zero, zero).item() == pytest.approx(2 * np.log(2))
    assert g(zero).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize("name", [n for n, f in vars(losses).items() if hasattr(f, "__wrapped__")])
def test_losses_of_bfloat16_are_computed_in_float32(name):
    loss = getattr(losses, name)
    rng = torch.Generator().manual_seed(0)
    of_three = ("contrast_generated", "gaussian_nll")
    entropies = ("conditional_entropy", "marginal_entropy", "mean_cross_entropy")
    entropies += ("uniform_cross_entropy",)
    of_one = name.endswith("generator") or name in entropies
    n = 1 if of_one else 3 if name in of_three else 2
    tensors = [torch.randn(50, 3, generator=rng).bfloat16() for _ in range(n)]
    if name in ("cross_entropy", "labelled_cross_entropy"):
        tensors[1] = torch.zeros(50, dtype=torch.int64)
    if name == "confident_ns":  # scores, and a logit for each sample
        tensors[1] = tensors[1][:, 0]
    exact = [t.float() if t.is_floating_point() else t for t in tensors]
    assert loss(*tensors).dtype == torch.float32
    assert torch.equal(loss(*tensors), loss(*exact))
    # Networks compute under autocast, which would turn products of similarities to bfloat16.
    with torch.autocast("cpu", torch.bfloat16), runtime.arithmetic("bfloat16", CPU, []):
        assert torch.equal(loss(*tensors), loss(*exact))
        inside = loss(*exact)
    assert torch.equal(inside, loss(*exact))


def test_losses_stay_finite_for_large_logits():
    d, g = losses.GAN_LOSSES["ns"]
    big = torch.tensor([1e4, -1e4])
    assert torch.isfinite(d(big, big)) and torch.isfinite(g(big))


def test_feature_matching_forms():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    real, fake = torch.tensor(a), torch.tensor(b)
    mean = losses.feature_matching_mean(real, fake).item()
    paired = losses.feature_matching_paired(real, fake).item()
    assert mean == pytest.approx(((a.mean(0) - b.mean(0)) ** 2).sum())
    assert paired == pytest.approx(0.5 * ((a - b) ** 2).sum(1).mean())
    shuffled = losses.feature_matching_mean(real, fake.flip(0)).item()
    assert shuffled == pytest.approx(mean)
    assert losses.feature_matching_paired(real, fake.flip(0)).item() != pytest.approx(paired)


@pytest.mark.parametrize("slope", [0.0, 1.0, 3.0])
def test_gradient_penalty_of_a_linear_critic(slope):
    """D(x) = slope * x_0: the gradient's norm is `slope` everywhere."""
    real, fake = torch.randn(8, 5), torch.randn(8, 5)
    out = penalties.gradient_penalty(
        lambda x: slope * x[:, 0] + 0 * x.sum(1), (real,), (fake,), torch.rand(8), weight=10.0
    )
    assert out.item() == pytest.approx(10 * (slope - 1) ** 2, abs=1e-4)


def test_gradient_penalty_mixes_between_real_and_generated_rows():
    seen = []

    def critic(x, z):
        seen.append((x, z))
        return x.sum(1) + z.sum(1)

    real = torch.zeros(500, 1), torch.zeros(500, 2)
    fake = torch.ones(500, 1), torch.ones(500, 2)
    e = torch.rand(500, generator=torch.Generator().manual_seed(0))
    penalties.gradient_penalty(critic, real, fake, e)
    x, z = seen[0]
    assert torch.equal(x, z[:, :1]) and torch.equal(z[:, 0], z[:, 1])
    assert 0 <= x.min() < 0.05 and 0.95 < x.max() <= 1
    assert x.mean().item() == pytest.approx(0.5, abs=0.05)


def test_gradient_penalty_trains_the_critic():
    weight = torch.tensor([3.0], requires_grad=True)
    out = penalties.gradient_penalty(
        lambda x: weight * x[:, 0], (torch.randn(4, 1),), (torch.randn(4, 1),), torch.rand(4)
    )
    (g,) = torch.autograd.grad(out, weight)
    assert g.item() == pytest.approx(10 * 2 * (3 - 1), rel=1e-4)
