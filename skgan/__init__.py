"""Features from generative adversarial networks, as scikit-learn estimators."""

from .methods import DCGANDiscriminatorFeatures
from .nn import DCGANSpec, MLPSpec

__version__ = "0.1.0.dev0"

__all__ = ["DCGANDiscriminatorFeatures", "DCGANSpec", "MLPSpec", "__version__"]
