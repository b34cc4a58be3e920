"""Features from generative adversarial networks, as scikit-learn estimators.

PyTorch is imported when the first of these names is used, so that the command line can answer
`skgan --help` without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from . import methods as methods
    from . import persistence as persistence
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

# The modules that have the names below; those that are not listed are estimators.
_HOMES = {"LazyImages": "data.sources", "DCGANSpec": "nn", "MLPSpec": "nn"}
_ROOMS = ("methods", "persistence")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f".{_HOMES.get(name, 'methods')}", __name__)
    globals()[name] = getattr(home, name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})


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
    from . import methods, persistence

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
