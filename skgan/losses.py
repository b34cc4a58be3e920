"""The losses of the games: pure functions of logits, each with its formula.

`real` and `fake` are D's logits for real and for generated samples, shape (n,); sigma is the
logistic function. Every function returns a scalar to be minimised, in float32 even if the logits
are bfloat16.
"""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    log_softmax,
    normalize,
    relu,
    softplus,
)

from .utils.devices import without_autocast
from .utils.processes import gathered


def of_whole_minibatch(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let a loss that is no mean over samples see those of all training processes."""

    @functools.wraps(loss)
    def of(*tensors: Tensor, **settings: float) -> Tensor:
        return loss(*map(gathered, tensors), **settings)

    return of


def in_float32(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make a loss compute in float32 on tensors that wide layers or GPUs return in bfloat16."""

    @functools.wraps(loss)
    def of(*tensors: Tensor, **settings: float) -> Tensor:
        exact = (a.float() if a.dtype == torch.bfloat16 else a for a in tensors)
        # Otherwise products within the loss, such as similarities, would be bfloat16 again.
        with without_autocast(tensors[0]):
            return loss(*exact, **settings)

    return of


@in_float32
def ns_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log sigma(D(x)) - E log(1 - sigma(D(G(z)))) (Goodfellow et al. 2014)."""
    return softplus(-real).mean() + softplus(fake).mean()


@in_float32
def ns_generator(fake: Tensor) -> Tensor:
    """-E log sigma(D(G(z))), the non-saturating loss (Goodfellow et al. 2014)."""
    return softplus(-fake).mean()


@in_float32
def saturating_generator(fake: Tensor) -> Tensor:
    """E log(1 - sigma(D(G(z)))), the minimax loss (Goodfellow et al. 2014)."""
    return -softplus(fake).mean()


@in_float32
def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (Miyato et al. 2018)."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


@in_float32
def ls_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2 (Mao et al. 2017)."""
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


@in_float32
def ls_generator(fake: Tensor) -> Tensor:
    """1/2 E (D(G(z)) - 1)^2 (Mao et al. 2017)."""
    return 0.5 * (fake - 1).square().mean()


@in_float32
def wgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x) (Arjovsky et al. 2017)."""
    return fake.mean() - real.mean()


@in_float32
def wgan_generator(fake: Tensor) -> Tensor:
    """-E D(G(z)): the generator's loss of both the hinge and the Wasserstein game."""
    return -fake.mean()


# loss name -> (the discriminator's, the generator's)
GAN_LOSSES = {
    "ns": (ns_discriminator, ns_generator),
    "hinge": (hinge_discriminator, wgan_generator),
    "ls": (ls_discriminator, ls_generator),
    "wgan-gp": (wgan_discriminator, wgan_generator),
}


@in_float32
@of_whole_minibatch
def feature_matching_mean(real: Tensor, fake: Tensor) -> Tensor:
    """|| E f(x) - E f(G(z)) ||^2 for features (n, k) (as in MARTA GAN's paper)."""
    return (real.mean(0) - fake.mean(0)).square().sum()


@in_float32
def feature_matching_paired(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E || f(x) - f(G(z)) ||^2, sample by sample (as in MARTA GAN's released code).

    The released code sums over the batch and divides by a constant. Here the loss is the mean over
    the batch, which does not grow with the batch size.
    """
    return 0.5 * (real - fake).square().sum(1).mean()


FEATURE_MATCHING = {"mean": feature_matching_mean, "paired": feature_matching_paired}


@in_float32
def joint_discriminator(encoded: Tensor, generated: Tensor) -> Tensor:
    """-1/2 E log sigma(D(x, E(x))) - 1/2 E log(1 - sigma(D(G(z), z))) (Donahue et al. 2017)."""
    return 0.5 * ns_discriminator(encoded, generated)


@in_float32
def joint_confuse(encoded: Tensor, generated: Tensor) -> Tensor:
    """-1/2 E log(1 - sigma(D(x, E(x)))) - 1/2 E log sigma(D(G(z), z)): the labels are swapped.

    E's pairs are to be taken for generated ones, and G's pairs for encoded ones: the inverse
    objective of Donahue et al. 2017, sec. 3.4.
    """
    return 0.5 * ns_discriminator(generated, encoded)


@in_float32
def unary_discriminator(encoded: Tensor, generated: Tensor) -> Tensor:
    """Sum over s_x, s_z, s_xz of E max(0, 1 - s) encoded + E max(0, 1 + s) generated.

    For scores (n, 3): one hinge for each score, not one for their sum (Donahue and Simonyan 2019).
    """
    return relu(1 - encoded).sum(1).mean() + relu(1 + generated).sum(1).mean()


@in_float32
def unary_confuse(encoded: Tensor, generated: Tensor) -> Tensor:
    """E (s_x + s_z + s_xz) encoded - E (s_x + s_z + s_xz) generated, for E and G."""
    return encoded.sum(1).mean() - generated.sum(1).mean()


# Whether there are unary terms -> (the discriminator's, the encoder's and generator's)
JOINT_LOSSES = {
    False: (joint_discriminator, joint_confuse),
    True: (unary_discriminator, unary_confuse),
}


@in_float32
def latent_cross_entropy(a: Tensor, z: Tensor) -> Tensor:
    """E 1/d sum_i -[t_i log sigma(a_i) + (1 - t_i) log(1 - sigma(a_i))], t = (z + 1) / 2.

    For z in (-1, 1)^d; it is smallest where 2 sigma(a) - 1 = z.
    """
    return binary_cross_entropy_with_logits(a, (z + 1) / 2)


@in_float32
def normal_kl(mean: Tensor, log_spread: Tensor) -> Tensor:
    """E KL(N(mu, diag sigma^2) || N(0, I)) = E 1/2 sum_i (mu_i^2 + sigma_i^2 - log sigma_i^2 - 1).

    For means and log sigma (n, d).
    """
    return 0.5 * (mean.square() + (2 * log_spread).exp() - 2 * log_spread - 1).sum(1).mean()


@in_float32
def cross_entropy(scores: Tensor, y: Tensor, *weight: Tensor) -> Tensor:
    """-E w(y) log p(y | x), p = softmax of the scores (n, k), for class indices y (n,).

    `weight` is w (k,), the weights of the classes; without it all are 1.
    """
    losses = -log_softmax(scores, 1).gather(1, y[:, None]).squeeze(1)
    for w in weight:
        losses = losses * w[y]
    return losses.mean()


@in_float32
def uniform_cross_entropy(scores: Tensor) -> Tensor:
    """-E 1/k sum_j log p(j | x), p = softmax of the scores (n, k); least where all are likely."""
    return -log_softmax(scores, 1).mean()


HIDING_LOSSES = ("flip", "neg_ce", "uniform")


def hiding_loss(kind: str, scores: Tensor, k: Tensor, uniform: Callable[[int], Tensor]) -> Tensor:
    """The loss of a network that hides domains k (n,) from an adversary with scores (n, K).

        "flip"     E -log p(k' | x), k' another domain, each as likely
        "neg_ce"   E log p(k | x)
        "uniform"  E -1/K sum_j log p(j | x)

    p is the softmax of the scores. `uniform(n)` draws n numbers from [0, 1), for k'.
    """
    if kind == "neg_ce":
        return -cross_entropy(scores, k)
    if kind == "uniform":
        return uniform_cross_entropy(scores)
    n_others = scores.shape[1] - 1
    # Rounding may come to n_others itself.
    drawn = (uniform(len(scores)) * n_others).long().clamp(max=n_others - 1)
    return cross_entropy(scores, (k + 1 + drawn) % (n_others + 1))


@in_float32
def k_plus_one(real: Tensor, fake: Tensor) -> Tensor:
    """-1/2 E log D(x) - 1/2 E log(1 - D(G(z))), D = Z / (Z + 1), Z = sum_k exp(l_k).

    For scores l (n, k) of k classes; the class of generated samples, of score 0, is one more
    (Salimans et al. 2016, arXiv 1606.03498, sec. 5). log Z is the logit of D.
    """
    return 0.5 * (softplus(-real.logsumexp(1)).mean() + softplus(fake.logsumexp(1)).mean())


@in_float32
def conditional_entropy(scores: Tensor) -> Tensor:
    """E_x H[p(y | x)], p = softmax of the scores (n, k), in nats."""
    log_p = log_softmax(scores, 1)
    return -(log_p.exp() * log_p).sum(1).mean()


@in_float32
@of_whole_minibatch
def marginal_entropy(scores: Tensor) -> Tensor:
    """H[E_x p(y | x)], p = softmax of the scores (n, k), in nats."""
    log_mean = log_softmax(scores, 1).logsumexp(0) - math.log(len(scores))
    return -(log_mean.exp() * log_mean).sum()


@in_float32
@of_whole_minibatch
def mean_cross_entropy(scores: Tensor) -> Tensor:
    """-1/k sum_j log E_x p(j | x), p = softmax of the scores (n, k); least for equal means."""
    log_mean = log_softmax(scores, 1).logsumexp(0) - math.log(len(scores))
    return -log_mean.mean()


@in_float32
def confident_ns(scores: Tensor, logits: Tensor) -> Tensor:
    """-E max_k p(k | x) log sigma(D(x, k)), k = argmax p (Li et al. 2017, in the released code).

    p is the softmax of the scores (n, k) and `logits` are D(x, argmax p). Its gradient by the
    scores is that of the probability alone.
    """
    return (log_softmax(scores, 1).amax(1).exp() * softplus(-logits)).mean()


def catgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-H[E_x p(y | x)] + E_x H[p(y | x)] - E_z H[p(y | G(z))] (Springenberg 2016)."""
    return conditional_entropy(real) - marginal_entropy(real) - conditional_entropy(fake)


def catgan_generator(fake: Tensor) -> Tensor:
    """E_z H[p(y | G(z))] - H[E_z p(y | G(z))] (Springenberg 2016)."""
    return conditional_entropy(fake) - marginal_entropy(fake)


@in_float32
def gaussian_nll(mean: Tensor, log_std: Tensor, c: Tensor) -> Tensor:
    """-E sum_i log N(c_i; mu_i, sigma_i^2), in nats, for mu, log sigma and c of shape (n, d)."""
    scaled = (c - mean) * (-log_std).exp()
    return (0.5 * scaled.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(1).mean()


@in_float32
@of_whole_minibatch
def labelled_cross_entropy(scores: Tensor, y: Tensor, *weight: Tensor) -> Tensor:
    """`cross_entropy` of the samples that have a label; those with -1 have none. 0 without any."""
    known, k = y >= 0, y.clamp(min=0)
    each = -log_softmax(scores, 1).gather(1, k[:, None])[:, 0]
    for w in weight:
        each = each * w[k]
    return torch.where(known, each, 0).sum() / known.sum().clamp(min=1)


@in_float32
def squared_error(a: Tensor, b: Tensor) -> Tensor:
    """E 1/d sum_i (a_i - b_i)^2."""
    return (a - b).square().mean()


@in_float32
def absolute_error(a: Tensor, b: Tensor) -> Tensor:
    """E 1/d sum_i |a_i - b_i|."""
    return (a - b).abs().mean()


# prior -> the distance of an encoder's output from z (Donahue et al. 2017, sec. 4.1)
LATENT_LOSSES = {"uniform": latent_cross_entropy, "normal": squared_error}
RECONSTRUCTION_LOSSES = {"l1": absolute_error, "l2": squared_error}


def _log_share(anchors: Tensor, others: Tensor, temperature: float, same: int) -> Tensor:
    """log softmax over the others of cosine similarity / temperature, (n, m).

    Anchor i is left out as its own match: it stands among the others at place `same` + i.
    """
    similarity = normalize(anchors) @ normalize(others).T / temperature
    own = torch.arange(len(anchors), device=similarity.device)
    mask = torch.zeros_like(similarity, dtype=torch.bool)
    mask[own, same + own] = True
    return log_softmax(similarity.masked_fill(mask, -1e9), 1)


@in_float32
@of_whole_minibatch
def nt_xent(a: Tensor, b: Tensor, *, temperature: float = 0.1) -> Tensor:
    """-1/(2n) sum over both views log p(the other view | one view), p a softmax over all 2n - 1.

    Of projections (n, d) of two views of the same samples: SimCLR's (Chen et al. 2020, arXiv
    2002.05709).
    """
    n, both = len(a), torch.cat([a, b])
    log_p = _log_share(both, both, temperature, same=0)
    return -(log_p[:n, n:].diagonal().mean() + log_p[n:, :n].diagonal().mean()) / 2


@in_float32
@of_whole_minibatch
def local_infomax(local: Tensor, whole: Tensor) -> Tensor:
    """-1/(n m) sum_ij log exp(l_ij . g_i) / (exp(l_ij . g_i) + sum_(k != i, j') exp(l_kj' . g_i)).

    For features l (n, d, ...) at the m positions of n images, and g (n, d) of whole images.
    Position j of image i is told from all positions of the other images (InfoMax-GAN; Lee et al.
    2021, arXiv 2007.04589, sec. 3).
    """
    # Paper: the released code keeps an image's own positions in the sum, each as exp(-10).
    with without_autocast(local):
        similarity = torch.einsum("id,kdj->ikj", whole, local.reshape(*whole.shape, -1))
    same = torch.eye(len(whole), dtype=torch.bool, device=whole.device)
    others = similarity.masked_fill(same[:, :, None], -torch.inf).flatten(1).logsumexp(1)
    return softplus(others[:, None] - similarity[same]).mean()


@in_float32
@of_whole_minibatch
def contrast_generated(a: Tensor, b: Tensor, fake: Tensor, *, temperature: float = 0.1) -> Tensor:
    """-1/n sum_i 1/(n-1) sum_(j != i) log p(fake_j | fake_i): generated samples are one class.

    p is a softmax over all other generated samples and both views a, b of the real ones (Jeong and
    Shin 2021, arXiv 2103.09742, sec. 3.2).
    """
    n = len(fake)
    log_p = _log_share(fake, torch.cat([a, b, fake]), temperature, same=2 * len(a))[:, -n:]
    itself = torch.eye(n, dtype=torch.bool, device=log_p.device)
    return -log_p.masked_fill(itself, 0).sum() / (n * max(n - 1, 1))
