"""Features from generative adversarial networks, as scikit-learn estimators."""

from .methods import DCGANDiscriminatorFeatures
from .nn import DCGANSpec, MLPSpec
from .version import __version__

__all__ = ["DCGANDiscriminatorFeatures", "DCGANSpec", "MLPSpec", "__version__"]
