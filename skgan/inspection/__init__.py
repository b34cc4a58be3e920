"""Plots of a fitted estimator: its training curves, and images that it generates."""

from .displays import HistoryDisplay, SampleDisplay
from .guided import GuidedBackpropDisplay, GuidedGradients, guided_backprop, untrained_copy

__all__ = [
    "GuidedBackpropDisplay",
    "GuidedGradients",
    "HistoryDisplay",
    "SampleDisplay",
    "guided_backprop",
    "untrained_copy",
]
