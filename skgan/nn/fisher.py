"""The gradient of a critic's output by its weights, as features of a sample.

    v(x) = (grad D(x) - m) / s

The gradient is by all weights of D; m and s are its mean and standard deviation over generated
samples, weight by weight: the Adversarial Fisher Vectors of Zhai et al. 2019 (arXiv 1910.13101).

One backward pass gives the gradient at the output of every layer, sample by sample. A layer's
weights see its input window by window (those of a linear layer see all of it at once), so their
gradient for one sample is the sum over windows of gradient times input: one batched matrix product
a layer.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..utils.devices import without_autocast
from ..utils.modules import watching
from ..utils.seeds import stream
from .blocks import trying_out
from .extractors import Extractor

LAYERS = (nn.Conv2d, nn.Linear)
MOST_VALUES = 2**21  # numbers in the gradients of one batch; more of them would leave the cache
ROUNDING = 1e-6  # a standard deviation below this share of the root mean square is no spread


class SampleGradients(nn.Module):
    """The gradient of D(x) by the weights, for every sample: x -> (n, size) for each weight.

    By those of all convolutions and linear layers that run. A weight that is computed from others,
    as under spectral norm, counts as it enters the layer.

    Parameters
    ----------
    net : Module
        D: x -> (n,) or (n, 1), each sample by itself.
    input_shape : tuple of int
        Of one sample.
    """

    def __init__(self, net: nn.Module, input_shape: tuple[int, ...]):
        super().__init__()
        self.net = net
        with trying_out(net, (2, *input_shape)) as (x,):
            calls = self._run(x)[1]
        _check_layers(net, calls)
        ran = {layer for layer, _, _ in calls}
        self.layers = {name: m for name, m in net.named_modules() if m in ran}
        self.sizes = {
            f"{name}.{kind}".removeprefix("."): getattr(layer, kind).numel()
            for name, layer in self.layers.items()
            for kind in ("weight", "bias") if getattr(layer, kind) is not None
        }  # fmt: skip

    def _run(self, x: Tensor) -> tuple[Tensor, list[tuple[Any, Tensor, Tensor]]]:
        """D(x), and every call of a layer with its input and output."""
        calls = []

        def note(layer, inputs, output):
            calls.append((layer, inputs[0], output))
            return output.clone()  # an in-place activation may follow

        with watching(self.net, LAYERS, note):
            return self.net(x), calls

    def forward(self, x: Tensor) -> Iterator[Tensor]:
        differentiable = torch.is_grad_enabled()
        # `transform` runs without gradients, but these are what it computes.
        with torch.inference_mode(False), torch.enable_grad():
            out, calls = self._run(x.clone().requires_grad_())
            outputs = [output for _, _, output in calls]
            at_outputs = torch.autograd.grad(
                out.sum(), outputs, create_graph=differentiable, materialize_grads=True
            )
        for layer in self.layers.values():
            own = [
                _windows(layer, seen, gradient)
                for (called, seen, _), gradient in zip(calls, at_outputs, strict=True)
                if called is layer
            ]
            with without_autocast(x):
                yield _total(g.transpose(1, 2) @ windows for windows, g in own)
                if layer.bias is not None:
                    yield _total(g.sum(1) for _, g in own)


def _windows(layer: Any, x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """What the weights of a layer see (n, windows, d), and the gradient there (n, windows, k)."""
    x, gradient = x.float(), gradient.float()
    if isinstance(layer, nn.Linear):
        x, gradient = x.unsqueeze(1), gradient.unsqueeze(1)
        return x.flatten(1, -2), gradient.flatten(1, -2)
    windows = F.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    return windows.transpose(1, 2), gradient.flatten(2).transpose(1, 2)


def _total(gradients: Iterable[Tensor]) -> Tensor:
    """The gradient over all calls of a layer, flattened."""
    first, *others = (g.flatten(1) for g in gradients)
    return sum(others, start=first)


def _check_layers(net: nn.Module, calls: list[tuple[Any, Tensor, Tensor]]) -> None:
    """Raise a ValueError for weights whose gradients are no products of windows."""

    def refuse(what: str) -> None:
        raise ValueError(
            "output='fisher' takes gradients by the weights of nn.Conv2d (without groups, padded "
            f"by zeros) and nn.Linear, without batch norm, but the discriminator "
            f"{type(net).__name__} has {what}. Use output='layers', or another discriminator."
        )

    for layer, x, _ in calls:
        plain = isinstance(layer, nn.Linear) or (
            layer.groups == 1 and layer.padding_mode == "zeros" and type(layer.padding) is tuple
        )
        if not plain or len(x) != 2:
            refuse(f"{layer}, for inputs of shape {tuple(x.shape)} from 2 samples")
    known = {p for m in net.modules() if isinstance(m, LAYERS) for p in m.parameters()}
    for name, module in net.named_modules():
        others = [p for p in module.parameters(recurse=False) if p not in known]
        if others or isinstance(module, nn.modules.batchnorm._BatchNorm):
            refuse(f"{name}, a {type(module).__name__}")


class CountSketch(nn.Module):
    """A random linear map v (n, d) -> (n, k) that keeps inner products in expectation.

    Each entry of v is added to one of the k sums, with a random sign (Charikar et al. 2002).
    Random entries share a sum, and all sums have about as many.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, d: int, k: int, rng: torch.Generator):
        super().__init__()
        slots = -(-d // k) * k
        order = torch.randperm(slots, generator=rng)
        sign = torch.randint(0, 2, (slots,), generator=rng) * 2.0 - 1
        self.register_buffer("order", order.where(order < d, 0))
        self.register_buffer("sign", sign.where(order < d, 0.0))
        self.k = k

    def forward(self, v: Tensor) -> Tensor:
        return (v.index_select(1, self.order) * self.sign).unflatten(1, (-1, self.k)).sum(1)


class FisherVectors(Extractor):
    """Standardised gradients of D(x) by its weights, or a sketch of them: x -> (n, k).

    Parameters
    ----------
    net, input_shape
        As for `SampleGradients`.
    n_components : int or None
        Entries of the sketch. None: the vectors themselves, with an entry for every weight.
    seed : int
        Of the sketch.
    moments : Tensor (2, n_weights) or None
        m and s, as `moments` has measured them. Without them there are names, but no vectors.
    """

    measured: Tensor | None
    sketches: nn.ModuleList
    not_exported = (
        "output='fisher' cannot be exported: these features are gradients, and a file holds no "
        "more than a network's own operations. Use output='layers', or keep the estimator by save."
    )

    def __init__(self, net, input_shape, n_components, seed, moments=None):
        super().__init__()
        self.gradients = SampleGradients(net, input_shape)
        self.sizes = list(self.gradients.sizes.values())
        n_weights, self.n_components = sum(self.sizes), n_components
        if n_components is not None and n_components > n_weights:
            raise ValueError(
                f"n_components={n_components} is more than the {n_weights} weights of the "
                "discriminator: use None, for all of them, or less."
            )
        if moments is not None and tuple(moments.shape) != (2, n_weights):
            raise ValueError(
                f"moments of shape {tuple(moments.shape)} are none of the gradients of this "
                f"discriminator, which has {n_weights} weights: fit anew."
            )
        device = next(net.parameters()).device
        self.register_buffer("measured", None if moments is None else moments.to(device))
        rng = stream(seed, "sketch")
        sketched = self.sizes if n_components is not None else ()
        self.sketches = nn.ModuleList(CountSketch(d, n_components, rng) for d in sketched)
        self.sketches.to(device)
        self.n_features = n_weights if n_components is None else n_components
        self.most_samples = max(1, MOST_VALUES // n_weights)

    def forward(self, x: Tensor) -> Tensor:
        if self.measured is None:
            raise ValueError(
                "output='fisher' needs the mean and the standard deviation of gradients, which "
                "fit measures at its end where output='fisher' is set: fit with it."
            )
        means, stds = (m.split(self.sizes) for m in self.measured)
        parts = zip(self.gradients(x), means, stds, strict=True)
        vectors = (g.sub_(m).div_(s) for g, m, s in parts)
        if not self.sketches:
            return torch.cat(list(vectors), dim=1)
        return _total(sketch(v) for sketch, v in zip(self.sketches, vectors, strict=True))

    @torch.no_grad()
    def moments(self, batches: Iterable[Tensor]) -> Tensor:
        """The mean and the standard deviation (2, n_weights) of gradients over these samples.

        Where a gradient is the same for all of them, the standard deviation is given as 1.
        """
        n, mean, square = 0, torch.zeros(()), torch.zeros(())
        for x in batches:
            k, g = len(x), torch.cat(list(self.gradients(x.float())), dim=1)
            var, own = (m.double() for m in torch.var_mean(g, 0, correction=0))
            # Chan et al. 1983: no difference of large numbers.
            step, n = own - mean.to(own), n + k
            square = square.to(own) + k * var + step.square() * (k * (n - k) / n)
            mean = mean.to(own) + step * (k / n)
        std = (square / n).sqrt()
        spread = std > ROUNDING * (mean.square() + std.square()).sqrt()
        return torch.stack([mean, std.where(spread, 1.0)]).float()

    def feature_names(self) -> list[str]:
        """The weight that an entry is the gradient by; a number for each entry of a sketch."""
        if self.n_components is not None:
            return [f"fisher{i}" for i in range(self.n_components)]
        sizes = self.gradients.sizes.items()
        return [f"{name}{i}" for name, size in sizes for i in range(size)]
