"""One paper a file."""

from .acgan import ACGANFeatures
from .autoencoder import AutoencoderFeatures
from .bigan import BiGANEncoder
from .contrad import ContrastiveDiscriminatorFeatures
from .dcgan import DCGANDiscriminatorFeatures
from .infogan import InfoGANExtractor
from .latent_regressor import LatentRegressorEncoder
from .mgan import MGANExtractor
from .supervised import SupervisedFeatures
from .vaegan import VAEGANEncoder

__all__ = [
    "ACGANFeatures",
    "AutoencoderFeatures",
    "BiGANEncoder",
    "ContrastiveDiscriminatorFeatures",
    "DCGANDiscriminatorFeatures",
    "InfoGANExtractor",
    "LatentRegressorEncoder",
    "MGANExtractor",
    "SupervisedFeatures",
    "VAEGANEncoder",
]
