"""The games' losses: pure functions of logits, each with its formula.

`real` and `fake` are D's logits on real and on generated rows, shape (n,); sigma is the
logistic function. Every function returns a scalar to be minimised.
"""

from torch import Tensor
from torch.nn.functional import relu, softplus


def ns_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log sigma(D(x)) - E log(1 - sigma(D(G(z)))) (Goodfellow et al. 2014)."""
    return softplus(-real).mean() + softplus(fake).mean()


def ns_generator(fake: Tensor) -> Tensor:
    """-E log sigma(D(G(z))), the non-saturating form (Goodfellow et al. 2014)."""
    return softplus(-fake).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (Miyato et al. 2018)."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def ls_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2 (Mao et al. 2017)."""
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def ls_generator(fake: Tensor) -> Tensor:
    """1/2 E (D(G(z)) - 1)^2 (Mao et al. 2017)."""
    return 0.5 * (fake - 1).square().mean()


def wgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x) (Arjovsky et al. 2017)."""
    return fake.mean() - real.mean()


def wgan_generator(fake: Tensor) -> Tensor:
    """-E D(G(z)): the generator's side of the hinge and the Wasserstein games."""
    return -fake.mean()


# loss name -> (the discriminator's, the generator's)
GAN_LOSSES = {
    "ns": (ns_discriminator, ns_generator),
    "hinge": (hinge_discriminator, wgan_generator),
    "ls": (ls_discriminator, ls_generator),
    "wgan-gp": (wgan_discriminator, wgan_generator),
}


def feature_matching_mean(real: Tensor, fake: Tensor) -> Tensor:
    """|| E f(x) - E f(G(z)) ||^2 over features (n, k) (the form in MARTA GAN's paper)."""
    return (real.mean(0) - fake.mean(0)).square().sum()


def feature_matching_paired(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E || f(x) - f(G(z)) ||^2, sample by sample (MARTA GAN's released code).

    The code sums over the batch and divides by a constant; the mean over the batch used here
    does not grow with the batch size.
    """
    return 0.5 * (real - fake).square().sum(1).mean()


FEATURE_MATCHING = {"mean": feature_matching_mean, "paired": feature_matching_paired}
