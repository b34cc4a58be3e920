"""What the critics of every family share: blocks whose stages can be tapped, and the head."""

import torch
from torch import Tensor, nn

TAPS = ("activation", "norm", "conv")


class Block(nn.Module):
    """A linear map, its normalisation and its nonlinearity; each stage can be read out."""

    def __init__(self, conv: nn.Module, norm: nn.Module, activation: nn.Module):
        super().__init__()
        self.conv = conv
        self.norm = norm
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)))

    def stages(self, x: Tensor) -> dict[str, Tensor]:
        conv = self.conv(x)
        norm = self.norm(conv)
        # The activation may work in place.
        return {"conv": conv, "norm": norm, "activation": self.activation(norm.clone())}


class Critic(nn.Module):
    """Blocks in a row, then a bias-free linear head on the last of them: x -> logit (n,).

    Abstract: a family's constructor fills `blocks`, `head` and `head_layers` (how many of the
    last blocks the head reads), and says in `prepare` how x enters the first block.
    """

    blocks: nn.ModuleList
    head: nn.Module
    head_layers: int = 1

    def prepare(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def fuse(self, maps: list[Tensor]) -> Tensor:
        """What the head reads: the last block flattened, or the last few pooled and joined."""
        return torch.cat([m.flatten(1) for m in maps[-self.head_layers :]], dim=1)

    def taps(self, x: Tensor, tap: str = "activation", n_layers: int | None = None) -> list[Tensor]:
        """The given stage of the first `n_layers` blocks (default: of all), shallow to deep."""
        x = self.prepare(x)
        out = []
        for block in list(self.blocks)[:n_layers]:
            assert isinstance(block, Block)
            if tap == "activation":
                x = block(x)
                out.append(x)
            else:
                stages = block.stages(x)
                x = stages["activation"]
                out.append(stages[tap])
        return out

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.fuse(self.taps(x))).squeeze(1)


def make_norm(norm: str, n_channels: int, *, spatial: bool, first: bool) -> nn.Module:
    """Batch norm everywhere but at D's input (DCGAN sec. 3); nothing for the other choices."""
    if norm != "batch" or first:
        return nn.Identity()
    return nn.BatchNorm2d(n_channels) if spatial else nn.BatchNorm1d(n_channels)


def maybe_spectral(module: nn.Module, norm: str) -> nn.Module:
    return nn.utils.parametrizations.spectral_norm(module) if norm == "spectral" else module
