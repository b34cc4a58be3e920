"""Critics of pairs (x, z) that also score x and z by themselves (BigBiGAN's unary terms)."""

from typing import Any

import torch
from torch import Tensor, nn

from .blocks import Critic, recorded
from .dcgan import DCGANDiscriminator
from .mlp import MLPDiscriminator

FAMILIES: dict[str, type[Critic]] = {"dcgan": DCGANDiscriminator, "mlp": MLPDiscriminator}


class UnaryDiscriminator(nn.Module):
    """(x, z) -> scores (n, 3): s_x of x alone, s_z of z alone, s_xz of the pair.

    s_x and s_z are the logits of two separate critics, F and H. A third critic, J, computes s_xz
    from the last hidden layers of both (Donahue and Simonyan 2019, arXiv 1907.02544, sec. 2).

    Parameters
    ----------
    family : {"dcgan", "mlp"}
        The family of F.
    arguments : dict
        Arguments of F's constructor.
    latent_dim : int
    width : int
        Units of H's hidden layer, and of J's; both have only one. As a first layer it has no batch
        norm, so that J can see the scale of its inputs.
    """

    @recorded
    def __init__(self, family, arguments, latent_dim, width):
        super().__init__()
        same = ("norm", "bn_affine", "bn_eps", "bias", "activation")
        dense = {k: arguments[k] for k in same if k in arguments}
        self.x_critic = FAMILIES[family](**arguments)
        self.z_critic = MLPDiscriminator((latent_dim,), (width,), **dense)
        both = self.x_critic.head.in_features + width
        self.pair_critic = MLPDiscriminator((both,), (width,), **dense)

    def auxiliary_output(self, task: str, x: Tensor) -> Any:
        """What an auxiliary head of F gives for samples x."""
        return self.x_critic.auxiliary_output(task, x)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        f, h = self.x_critic.features(x), self.z_critic.features(z)
        s_xz = self.pair_critic(torch.cat([f, h], dim=1)).unsqueeze(1)
        return torch.cat([self.x_critic.head(f), self.z_critic.head(h), s_xz], dim=1)
