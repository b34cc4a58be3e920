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
    widths : tuple of int
        Hidden units of H, and of J.
    """

    def __init__(self, family, arguments, latent_dim, widths):
        super().__init__()
        self.recipe = {
            "family": family, "arguments": dict(arguments), "latent_dim": latent_dim,
            "widths": tuple(widths),
        }  # fmt: skip
        dense = {k: arguments[k] for k in ("norm", "bn_affine", "bias") if k in arguments}
        self.x_critic = FAMILIES[family](**arguments)
        self.z_critic = MLPDiscriminator((latent_dim,), widths, **dense)
        width = self.x_critic.head.in_features + widths[-1]
        self.pair_critic = MLPDiscriminator((width,), widths, **dense)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        f, h = self.x_critic.features(x), self.z_critic.features(z)
        s_xz = self.pair_critic(torch.cat([f, h], dim=1)).unsqueeze(1)
        return torch.cat([self.x_critic.head(f), self.z_critic.head(h), s_xz], dim=1)
