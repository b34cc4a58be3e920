"""Pictures of a fitted estimator: how its training went, and what it generates."""

from .displays import HistoryDisplay, SampleDisplay

__all__ = ["HistoryDisplay", "SampleDisplay"]
