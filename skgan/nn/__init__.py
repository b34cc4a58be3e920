"""Network families, one a file, and the specs that name them."""

from .dcgan import DCGANDiscriminator, DCGANGenerator
from .heads import PooledTaps
from .mlp import MLPDiscriminator, MLPGenerator
from .specs import DCGANSpec, MLPSpec, build_network

# What a saved fit may be rebuilt from, by name.
NETWORKS = {
    net.__name__: net
    for net in (DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator)
}

__all__ = ["NETWORKS", "DCGANSpec", "MLPSpec", "PooledTaps", "build_network"]
