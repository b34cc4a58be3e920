"""Network families, one a file, and the specs that name them."""

from .dcgan import DCGANDiscriminator, DCGANEncoder, DCGANGenerator
from .heads import EncoderFeatures, PooledTaps
from .joint import UnaryDiscriminator
from .mlp import MLPDiscriminator, MLPEncoder, MLPGenerator
from .specs import DCGANSpec, MLPSpec, build_network

# What a saved fit may be rebuilt from, by name.
NETWORKS = {
    net.__name__: net
    for net in (
        DCGANDiscriminator, DCGANEncoder, DCGANGenerator, MLPDiscriminator, MLPEncoder,
        MLPGenerator, UnaryDiscriminator,
    )
}  # fmt: skip

__all__ = [
    "NETWORKS",
    "DCGANSpec",
    "EncoderFeatures",
    "MLPSpec",
    "PooledTaps",
    "build_network",
]
