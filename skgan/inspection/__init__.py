"""Plots of a fitted estimator: its training curves, and images that it generates."""

from .displays import HistoryDisplay, SampleDisplay

__all__ = ["HistoryDisplay", "SampleDisplay"]
