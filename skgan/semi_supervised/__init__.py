"""Few labels: an extractor trained on all images and a classifier on the labelled ones."""

from .classifier import FewLabelClassifier
from .folds import LabelledFold

__all__ = ["FewLabelClassifier", "LabelledFold"]
