"""Norms of weights, and layers that take their first weights from samples.

Spectral norm (Miyato et al. 2018) is PyTorch's own. Weight norm (Salimans and Kingma 2016, arXiv
1602.07868) learns the direction v of a unit's weights apart from their length g:

    y = g (v / |v|) x + b

By its data-dependent initialisation (sec. 3), g = 1 / std(t) and b = -mean(t) / std(t), where
t = (v / |v|) x over the samples that a fit starts from: there, y has mean 0 and variance 1.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import is_parametrized

from ..utils.domains import domain_of_samples

V_STD = 0.05  # of the first directions v (Salimans and Kingma 2016, sec. 3)
NORMS = ("batch", "none", "spectral", "weight")  # of discriminators and classifiers


class FromData(nn.Module):
    """A layer that takes its first weights from the samples that reach it. Abstract.

    With `from_noisy` they reach it with the noise that layers before it have in training.
    """

    from_noisy = False

    def start(self) -> None:
        """Set all weights to what they are before there are samples."""
        raise NotImplementedError

    def start_from(self, x: Tensor, rng: torch.Generator) -> None:
        """Set the weights by the layer's input x (n, ...)."""
        raise NotImplementedError


class WeightNormed(FromData):
    """A linear layer or convolution with weight norm.

    Parameters
    ----------
    layer : Linear or Conv2d
        Without a bias its outputs have variance 1 on the first samples, but not mean 0.
    learnt_gain : bool
        Whether g is trained, or stays as initialised.
    """

    # As in Improved GAN's released code: without, noise would make outputs the larger, the deeper.
    from_noisy = True

    def __init__(self, layer: Any, learnt_gain: bool = True):
        super().__init__()
        self.layer: Any = parametrizations.weight_norm(layer)
        self.gain.requires_grad_(learnt_gain)

    @property
    def gain(self) -> Tensor:
        """g, of shape (k, 1, ...)."""
        return self.layer.parametrizations.weight.original0

    @property
    def weight(self) -> Tensor:
        """g v / |v|."""
        return self.layer.weight

    @property
    def in_features(self) -> int:
        return self.layer.in_features

    def start(self) -> None:
        self.gain.fill_(1)
        if self.layer.bias is not None:
            self.layer.bias.zero_()

    def start_from(self, x: Tensor, rng: torch.Generator) -> None:
        t = self.layer(x).transpose(0, 1).flatten(1)
        std, mean = t.std(1, correction=0), t.mean(1)
        # A unit that is the same for all samples has no variance to set.
        scale = torch.where(std > 1e-6 * mean.abs() + 1e-12, 1 / std, 1.0)
        self.gain.mul_(scale.view_as(self.gain))
        if self.layer.bias is not None:
            self.layer.bias.sub_(mean).mul_(scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def with_gain(layer: Any) -> Any:
    """The layer with weight norm, but without initialisation by data: g begins at 1."""
    return parametrizations.weight_norm(layer)


def normalised(layer: nn.Module, norm: str, learnt_gain: bool = True) -> nn.Module:
    """The layer with spectral or weight norm, if that is what `norm` names."""
    if norm == "weight":
        return WeightNormed(layer, learnt_gain)
    return parametrizations.spectral_norm(layer) if norm == "spectral" else layer


def is_normalised(layer: nn.Module) -> bool:
    """Whether the weights of a layer are computed from others."""
    return any(map(is_parametrized, layer.modules()))


class BatchNormPerDomain(nn.Module):
    """Batch norm with statistics of its own for each domain, as if each had passed by itself.

    Each sample is normalised with those of its domain (`domain_of_samples`), or of the last domain
    where it is not said. Gains and shifts are the same for all domains: those of a target would be
    trained without labels, and its samples would all get the same class (by entropy terms), or
    features that still tell the domain.

    Parameters
    ----------
    norm : BatchNorm1d or BatchNorm2d
        Has the gains and shifts, and the statistics of the last domain.
    n_domains : int
    """

    def __init__(self, norm: Any, n_domains: int):
        super().__init__()
        self.norm = norm
        self.others = nn.ModuleList(Statistics(norm) for _ in range(n_domains - 1))

    def forward(self, x: Tensor) -> Tensor:
        domain = domain_of_samples()
        if domain is None:
            return self.norm(x)
        if isinstance(domain, int):
            return self._of(domain, x)
        order = domain.argsort(stable=True)
        back = order.argsort()
        counts = domain.bincount(minlength=len(self.others) + 1).tolist()
        parts = enumerate(reordered(x, order, back).split(counts))
        out = torch.cat([self._of(k, part) for k, part in parts if len(part)])
        return reordered(out, back, order)

    def _of(self, domain: int, x: Tensor) -> Tensor:
        """x (n, c, ...), all of this domain, normalised."""
        if domain == len(self.others):
            return self.norm(x)
        return self.others[domain](x, self.norm.weight, self.norm.bias)


class Statistics(_BatchNorm):
    """Batch norm with the gains and shifts of another one, `norm`."""

    def __init__(self, norm: Any):
        super().__init__(norm.num_features, norm.eps, norm.momentum, affine=False)

    def forward(self, x: Tensor, gain: Tensor | None, shift: Tensor | None) -> Tensor:  # type: ignore[override]
        mean, var, seen = self.running_mean, self.running_var, self.num_batches_tracked
        part = self.momentum or 0.0  # of the batch in the running statistics
        if self.training and seen is not None:
            seen.add_(1)
            part = 1 / float(seen) if self.momentum is None else self.momentum
        return F.batch_norm(x, mean, var, gain, shift, self.training, part, self.eps)


class Reordering(torch.autograd.Function):
    """x[order], whose gradient is put back in order by `back`, the inverse permutation.

    PyTorch's own gradient adds up what may be taken several times, which is six times as slow.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(order, back)
        return x[order]

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None, None]:
        order, back = ctx.saved_tensors
        return reordered(gradient[0], back, order), None, None


def reordered(x: Tensor, order: Tensor, back: Tensor) -> Tensor:
    """Samples x[order]; x is reordered(x, order, back)[back]."""
    return Reordering.apply(x, order, back)


def instance_normalised(x: Tensor) -> Tensor:
    """Images (n, c, h, w), each channel of each less its mean, by its standard deviation.

    Both are over the pixels of that channel; 1e-5 is added to the (biased) variance.
    """
    var, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt()
