"""Tools: features without training as a baseline, and the part of features that a head reads."""

from .nullspace import NullSpaceProjector
from .patches import RandomPatchFeatures
from .scattering import ScatteringFeatures as ScatteringFeatures  # needs kymatio: not public

__all__ = ["NullSpaceProjector", "RandomPatchFeatures"]
