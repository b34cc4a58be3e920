"""Features from generative adversarial networks, as scikit-learn estimators."""

from . import methods, persistence
from .data.sources import LazyImages
from .methods import (
    ACGANFeatures,
    AutoencoderFeatures,
    BiGANEncoder,
    CatGANClassifier,
    CatGANFeatures,
    ContrastiveDiscriminatorFeatures,
    DCGANDiscriminatorFeatures,
    DisentangledEncoder,
    DomainAdversarialFeatures,
    FeatureMatchingClassifier,
    InfoGANExtractor,
    LatentRegressorEncoder,
    MGANExtractor,
    SupervisedFeatures,
    TripleGANClassifier,
    VAEGANEncoder,
)
from .nn import DCGANSpec, MLPSpec
from .version import __version__


def load(path):
    """The fitted estimator that its `save` has kept in a file, with its networks on the CPU.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    estimator

    Raises
    ------
    ValueError
        If the file is not one of `save`'s, is damaged, or is newer than this skgan.
    """
    return persistence.read(path, {name: getattr(methods, name) for name in methods.__all__})


__all__ = [
    "ACGANFeatures",
    "AutoencoderFeatures",
    "BiGANEncoder",
    "CatGANClassifier",
    "CatGANFeatures",
    "ContrastiveDiscriminatorFeatures",
    "DCGANDiscriminatorFeatures",
    "DCGANSpec",
    "DisentangledEncoder",
    "DomainAdversarialFeatures",
    "FeatureMatchingClassifier",
    "InfoGANExtractor",
    "LatentRegressorEncoder",
    "LazyImages",
    "MGANExtractor",
    "MLPSpec",
    "SupervisedFeatures",
    "TripleGANClassifier",
    "VAEGANEncoder",
    "__version__",
    "load",
]
