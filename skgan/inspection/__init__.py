"""Displays of fitted estimators and of probes, and what the filters of a network respond to."""

from .activity import ActivityRecord, FilterActivity, oscillating_filters
from .activity_display import FilterActivityDisplay
from .displays import HistoryDisplay, SampleDisplay
from .editing_app import EditApp, edit_app
from .embedding import FeatureMapDisplay
from .filters import FilterResponseDisplay
from .guided import GuidedBackpropDisplay, GuidedGradients, guided_backprop, untrained_copy
from .object_filters import ObjectFilters
from .probes import LabelBudgetDisplay, ProbeTableDisplay
from .reconstruction import ReconstructionDisplay
from .traversal import TraversalDisplay

__all__ = [
    "ActivityRecord",
    "EditApp",
    "FeatureMapDisplay",
    "FilterActivity",
    "FilterActivityDisplay",
    "FilterResponseDisplay",
    "GuidedBackpropDisplay",
    "GuidedGradients",
    "HistoryDisplay",
    "LabelBudgetDisplay",
    "ObjectFilters",
    "ProbeTableDisplay",
    "ReconstructionDisplay",
    "SampleDisplay",
    "TraversalDisplay",
    "edit_app",
    "guided_backprop",
    "oscillating_filters",
    "untrained_copy",
]
