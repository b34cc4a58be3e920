"""Network families, one a file, and the specs that name them."""

from .dcgan import DCGANDiscriminator, DCGANEncoder, DCGANGenerator
from .heads import EncoderFeatures, PooledTaps
from .joint import UnaryDiscriminator
from .mlp import MLPDiscriminator, MLPEncoder, MLPGenerator
from .shared import Branch, Joined, JoinedFeatures, SharedLayers, build_branches
from .specs import DCGANSpec, MLPSpec, build_network

# What a saved fit may be rebuilt from, by name.
NETWORKS = {
    net.__name__: net
    for net in (
        Branch, DCGANDiscriminator, DCGANEncoder, DCGANGenerator, MLPDiscriminator, MLPEncoder,
        MLPGenerator, SharedLayers, UnaryDiscriminator,
    )
}  # fmt: skip

__all__ = [
    "NETWORKS",
    "DCGANSpec",
    "EncoderFeatures",
    "Joined",
    "JoinedFeatures",
    "MLPSpec",
    "PooledTaps",
    "build_branches",
    "build_network",
]
