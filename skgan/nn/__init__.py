"""Families of networks, one per file, and the specs that describe them."""

from .auxiliary import add_heads, obstacle, turned
from .build import build_network
from .dcgan import DCGANDiscriminator, DCGANEncoder, DCGANGenerator
from .embedding import DomainCodes
from .extractors import EncoderFeatures, HeadInput, PooledTaps, SideBySide, with_taps
from .fisher import FisherVectors
from .heads import Head
from .init import layers_from_data, start_from_data
from .joint import UnaryDiscriminator
from .mlp import MLPDiscriminator, MLPEncoder, MLPGenerator
from .specs import DCGANSpec, MLPSpec
from .trunk import Branch, JoinedFeatures, SharedLayers, build_heads, joined, with_trunk

# The classes by name from which a saved fit may be rebuilt.
NETWORKS = {
    net.__name__: net
    for net in (
        Branch, DCGANDiscriminator, DCGANEncoder, DCGANGenerator, DomainCodes, MLPDiscriminator,
        MLPEncoder, MLPGenerator, SharedLayers, UnaryDiscriminator,
    )
}  # fmt: skip

__all__ = [
    "NETWORKS",
    "DCGANSpec",
    "DomainCodes",
    "EncoderFeatures",
    "FisherVectors",
    "Head",
    "HeadInput",
    "JoinedFeatures",
    "MLPSpec",
    "PooledTaps",
    "SideBySide",
    "add_heads",
    "build_heads",
    "build_network",
    "joined",
    "layers_from_data",
    "obstacle",
    "start_from_data",
    "turned",
    "with_taps",
    "with_trunk",
]
