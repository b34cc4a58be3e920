"""Callbacks of skgan: `estimator.set_callbacks(...)`, on every supported version of scikit-learn.

They are set on the GAN itself, also where it is a step of a pipeline or is searched. A callback of
your own derives from `Callback`.
"""

from .base import Callback, place_of
from .best import BestCheckpoint, EarlyStopping
from .collapse import CollapseGuard
from .files import CSVLogger, JSONLLogger
from .mlflow import MLflowLogger
from .tensorboard import TensorBoardLogger

__all__ = [
    "BestCheckpoint",
    "CSVLogger",
    "Callback",
    "CollapseGuard",
    "EarlyStopping",
    "JSONLLogger",
    "MLflowLogger",
    "TensorBoardLogger",
    "place_of",
]
