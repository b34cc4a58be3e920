"""Plots of a fitted estimator: its training curves, and images that it generates."""

from .displays import HistoryDisplay, SampleDisplay
from .embedding import FeatureMapDisplay
from .filters import FilterResponseDisplay
from .guided import GuidedBackpropDisplay, GuidedGradients, guided_backprop, untrained_copy
from .probes import LabelBudgetDisplay, ProbeTableDisplay
from .reconstruction import ReconstructionDisplay
from .traversal import TraversalDisplay

__all__ = [
    "FeatureMapDisplay",
    "FilterResponseDisplay",
    "GuidedBackpropDisplay",
    "GuidedGradients",
    "HistoryDisplay",
    "LabelBudgetDisplay",
    "ProbeTableDisplay",
    "ReconstructionDisplay",
    "SampleDisplay",
    "TraversalDisplay",
    "guided_backprop",
    "untrained_copy",
]
