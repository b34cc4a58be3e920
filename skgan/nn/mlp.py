"""The dense family: G, D and E for plain vectors, and for images flattened to vectors.

Two hidden layers by default, and batch norm except in G's last and in D's and E's first layer, as
in BiGAN's permutation-invariant networks (Donahue et al. 2017, arXiv 1605.09782, sec. 4.2).
"""

import math
from typing import Any

from torch import Tensor, nn

from .blocks import (
    Critic,
    Encoder,
    OneOfSeveral,
    Trunk,
    add_noise,
    before,
    make_block,
    map_of_z,
    recorded,
    regularise,
)
from .norms import V_STD, instance_normalised, with_gain


def _blocks(
    input_shape, widths, norm, bn_affine, bn_eps, bias, latent_dim=None, feature_dim=None,
    activation="leaky_relu", norm_first=False, v_std=V_STD,
) -> nn.ModuleList:  # fmt: skip
    """Hidden layers on x; with `latent_dim` those after the first add a linear map of z."""
    blocks, d = nn.ModuleList(), math.prod(input_shape)
    for i, width in enumerate(widths):
        k = before(width, activation)
        first = i == 0 and not norm_first
        linear: Any = nn.Linear(d, k, bias=bias and (norm != "batch" or first))
        if norm == "weight":
            linear.init_std = v_std
        block = make_block(
            linear, k, norm, first=first, affine=bn_affine, latent_dim=latent_dim, eps=bn_eps,
            activation=activation,
        )  # fmt: skip
        blocks.append(block)
        d = width
    if feature_dim is not None:
        linear = nn.Linear(d, feature_dim, bias=bias)
        blocks.append(make_block(linear, feature_dim, norm, plain=True))
    return blocks


class _OnVectors(Trunk):
    """The input of a trunk built by `_blocks`."""

    unit_range: bool

    def prepare(self, x: Tensor) -> Tensor:
        if self.instance_norm:
            return instance_normalised(x).flatten(1)
        x = x.flatten(1)
        return (x + 1) / 2 if self.unit_range else x


class MLPDiscriminator(_OnVectors, Critic):
    """x (n, *input_shape) -> logit (n,), or (x, z) -> logit (n,), or x -> (n, n_outputs).

    Parameters
    ----------
    input_shape : (d,) for tables, (c, h, w) for images
    widths : tuple of int
        Units of every hidden layer, shallow to deep.
    norm : {"batch", "none", "spectral", "weight"}
    bn_affine, bias : bool
        Whether batch norm has learnt gains and shifts and weight norm learnt gains, and whether
        layers without batch norm have biases.
    bn_eps : float
        Added to the variances in batch norm.
    latent_dim : int or None
        Size of z, for a joint critic.
    feature_dim : int or None
        Outputs of a last linear layer, which the head reads.
    n_outputs : int or None
        Outputs of a classifier's head; None for a critic, which has a single logit.
    unit_range : bool
        Whether its layers see pixels in [0, 1] instead of [-1, 1].
    activation : {"leaky_relu", "crelu", "relu", "sigmoid"}
        With CReLU a layer's linear map has half of its units.
    noise : (float, float)
        Standard deviations of noise in training, on the input and after every layer.
    v_std : float
        Standard deviation of the first weights under weight norm.
    norm_first, dropout, instance_norm, n_domains
        As for the convolutional discriminator.
    """

    recipe: dict[str, Any]

    @recorded
    def __init__(
        self, input_shape, widths, norm="batch", bn_affine=True, bn_eps=1e-5, bias=True,
        latent_dim=None, feature_dim=None, n_outputs=None, unit_range=False,
        activation="leaky_relu", noise=(0.0, 0.0), norm_first=False, dropout=0.0,
        instance_norm=False, n_domains=None, v_std=V_STD,
    ):  # fmt: skip
        super().__init__()
        if v_std == V_STD:
            del self.recipe["v_std"]  # the recipe as it was before there was a choice
        self.unit_range = unit_range
        self.blocks = _blocks(
            input_shape, widths, norm, bn_affine, bn_eps, bias, latent_dim, feature_dim, activation,
            norm_first, v_std,
        )  # fmt: skip
        add_noise(self.blocks, noise)
        regularise(self, dropout, instance_norm, n_domains)
        self.set_head(widths[-1] if feature_dim is None else feature_dim, n_outputs, norm)


class MLPEncoder(_OnVectors, Encoder):
    """x (n, *input_shape) -> (n, n_outputs).

    Parameters
    ----------
    input_shape, widths, bn_affine, unit_range, bn_eps, activation
        As for the discriminator.
    n_outputs : int
    bias : bool
        Whether the first layer and the head have biases.
    """

    @recorded
    def __init__(
        self, input_shape, n_outputs, widths, bn_affine=True, bias=True, unit_range=False,
        bn_eps=1e-5, activation="leaky_relu",
    ):  # fmt: skip
        super().__init__()
        self.unit_range = unit_range
        self.blocks = _blocks(
            input_shape, widths, "batch", bn_affine, bn_eps, bias, activation=activation
        )
        self.head = nn.Linear(widths[-1], n_outputs, bias=bias)


class UnitRange(nn.Module):
    """sigma(a), a pixel in [0, 1], mapped to [-1, 1], the range of images outside the networks."""

    def forward(self, a: Tensor) -> Tensor:
        return 2 * a.sigmoid() - 1


class MLPGenerator(nn.Module):
    """z (n, latent_dim) -> x (n, *output_shape): with linear output for tables, tanh for images.

    Parameters
    ----------
    latent_dim : int
    output_shape : (d,) for tables, (c, h, w) for images
    widths : tuple of int
    z_injection : bool
        Whether hidden layers after the first add a linear map of z (BiGAN's released code).
    bias : bool
        Whether the output layer has biases.
    n_generators : int or None
        As for the convolutional generator.
    unit_range : bool
        Whether its layers end in a sigmoid, whose pixels in [0, 1] are then mapped to [-1, 1].
    bn_affine, bn_eps
        As for the discriminator.
    activation : {"relu", "softplus"}
    output_norm : {"none", "weight"}
        Whether the last layer has weight norm, whose gains begin at 1 (Improved GAN's released
        code).
    """

    @recorded
    def __init__(
        self, latent_dim, output_shape, widths, bn_affine=True, z_injection=False, bias=True,
        n_generators=None, unit_range=False, bn_eps=1e-5, activation="relu", output_norm="none",
    ):  # fmt: skip
        super().__init__()
        self.latent_dim, self.output_shape = latent_dim, output_shape
        layers: list[nn.Module] = []
        self.inject = nn.ModuleDict()  # by the index of the layer to whose output it is added
        d = latent_dim
        for width in widths:
            if z_injection and layers:
                self.inject[str(len(layers))] = map_of_z(latent_dim, width)

            def linear(d=d, width=width) -> list[nn.Module]:
                norm = nn.BatchNorm1d(width, eps=bn_eps, affine=bn_affine)
                return [nn.Linear(d, width, bias=False), norm]

            if layers or n_generators is None:
                layers += linear()
            else:
                firsts = [nn.Sequential(*linear()) for _ in range(n_generators)]
                layers += [OneOfSeveral(firsts), nn.Identity()]
            layers.append(nn.Softplus() if activation == "softplus" else nn.ReLU(inplace=True))
            d = width
        last = nn.Linear(d, math.prod(output_shape), bias=bias)
        layers.append(with_gain(last) if output_norm == "weight" else last)
        if len(output_shape) == 3:
            layers.append(UnitRange() if unit_range else nn.Tanh())
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        x = z
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if str(i) in self.inject:
                x = x + self.inject[str(i)](z[:, : self.latent_dim])
        return x.unflatten(1, self.output_shape)
