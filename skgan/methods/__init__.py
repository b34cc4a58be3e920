"""One paper a file."""

from .autoencoder import AutoencoderFeatures
from .bigan import BiGANEncoder
from .dcgan import DCGANDiscriminatorFeatures
from .latent_regressor import LatentRegressorEncoder
from .mgan import MGANExtractor
from .supervised import SupervisedFeatures

__all__ = [
    "AutoencoderFeatures",
    "BiGANEncoder",
    "DCGANDiscriminatorFeatures",
    "LatentRegressorEncoder",
    "MGANExtractor",
    "SupervisedFeatures",
]
