"""Tools for the features of a fitted extractor: the part that its head reads, and the rest."""

from .nullspace import NullSpaceProjector

__all__ = ["NullSpaceProjector"]
