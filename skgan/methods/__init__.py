"""One paper a file."""

from .dcgan import DCGANDiscriminatorFeatures

__all__ = ["DCGANDiscriminatorFeatures"]
