"""One paper a file."""

from .acgan import ACGANFeatures
from .autoencoder import AutoencoderFeatures
from .bigan import BiGANEncoder
from .catgan import CatGANClassifier, CatGANFeatures
from .contrad import ContrastiveDiscriminatorFeatures
from .dann import DomainAdversarialFeatures
from .dcgan import DCGANDiscriminatorFeatures
from .disentangled import DisentangledEncoder
from .feature_matching import FeatureMatchingClassifier
from .infogan import InfoGANExtractor
from .latent_regressor import LatentRegressorEncoder
from .mgan import MGANExtractor
from .supervised import SupervisedFeatures
from .triplegan import TripleGANClassifier
from .vaegan import VAEGANEncoder

__all__ = [
    "ACGANFeatures",
    "AutoencoderFeatures",
    "BiGANEncoder",
    "CatGANClassifier",
    "CatGANFeatures",
    "ContrastiveDiscriminatorFeatures",
    "DCGANDiscriminatorFeatures",
    "DisentangledEncoder",
    "DomainAdversarialFeatures",
    "FeatureMatchingClassifier",
    "InfoGANExtractor",
    "LatentRegressorEncoder",
    "MGANExtractor",
    "SupervisedFeatures",
    "TripleGANClassifier",
    "VAEGANEncoder",
]
