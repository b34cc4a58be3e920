"""Tools: codes and samples of fitted GANs, copies among images, and features of baselines."""

from .duplicates import NearDuplicates, find_near_duplicates
from .generation import draw_codes, generate
from .latent import (
    attribute_vectors,
    combine_codes,
    interpolate_codes,
    move_codes,
    turn_vector,
)
from .neighbours import MemorisationCheck, memorisation_check, nearest_real
from .nullspace import NullSpaceProjector
from .outliers import GANOutlierDetector
from .patches import RandomPatchFeatures
from .projection import GANProjector
from .scattering import ScatteringFeatures as ScatteringFeatures  # needs kymatio: not public

__all__ = [
    "GANOutlierDetector",
    "GANProjector",
    "MemorisationCheck",
    "NearDuplicates",
    "NullSpaceProjector",
    "RandomPatchFeatures",
    "attribute_vectors",
    "combine_codes",
    "draw_codes",
    "find_near_duplicates",
    "generate",
    "interpolate_codes",
    "memorisation_check",
    "move_codes",
    "nearest_real",
    "turn_vector",
]
