"""Critics of pairs (x, z) that also judge x and z by themselves (BigBiGAN's unary terms)."""

import torch
from torch import Tensor, nn

from .blocks import Critic
from .dcgan import DCGANDiscriminator
from .mlp import MLPDiscriminator

FAMILIES: dict[str, type[Critic]] = {"dcgan": DCGANDiscriminator, "mlp": MLPDiscriminator}


class UnaryDiscriminator(nn.Module):
    """(x, z) -> scores (n, 3): s_x of x alone, s_z of z alone, s_xz of the pair.

    The first two are critics F and H of their own, and a third, J, reads the last hidden layers
    of both (Donahue and Simonyan 2019, arXiv 1907.02544, sec. 2).

    Parameters
    ----------
    family : {"dcgan", "mlp"}
        Of F.
    arguments : dict
        Of F's constructor.
    latent_dim : int
    width : int
        Units of the one hidden layer of H, and of that of J. As a first layer it has no batch
        norm, so J is not blind to how large its inputs are.
    """

    def __init__(self, family, arguments, latent_dim, width):
        super().__init__()
        self.recipe = {
            "family": family, "arguments": dict(arguments), "latent_dim": latent_dim,
            "width": width,
        }  # fmt: skip
        same = ("norm", "bn_affine", "bn_eps", "bias")
        dense = {k: arguments[k] for k in same if k in arguments}
        self.x_critic = FAMILIES[family](**arguments)
        self.z_critic = MLPDiscriminator((latent_dim,), (width,), **dense)
        both = self.x_critic.head.in_features + width
        self.pair_critic = MLPDiscriminator((both,), (width,), **dense)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        f, h = self.x_critic.features(x), self.z_critic.features(z)
        s_xz = self.pair_critic(torch.cat([f, h], dim=1)).unsqueeze(1)
        return torch.cat([self.x_critic.head(f), self.z_critic.head(h), s_xz], dim=1)
