"""One paper a file."""

from .autoencoder import AutoencoderFeatures
from .bigan import BiGANEncoder
from .catgan import CatGANClassifier, CatGANFeatures
from .contrad import ContrastiveDiscriminatorFeatures
from .dcgan import DCGANDiscriminatorFeatures
from .feature_matching import FeatureMatchingClassifier
from .latent_regressor import LatentRegressorEncoder
from .mgan import MGANExtractor
from .supervised import SupervisedFeatures

__all__ = [
    "AutoencoderFeatures",
    "BiGANEncoder",
    "CatGANClassifier",
    "CatGANFeatures",
    "ContrastiveDiscriminatorFeatures",
    "DCGANDiscriminatorFeatures",
    "FeatureMatchingClassifier",
    "LatentRegressorEncoder",
    "MGANExtractor",
    "SupervisedFeatures",
]
