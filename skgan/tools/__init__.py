"""What is done with features behind an extractor: the parts that its head reads, or does not."""

from .nullspace import NullSpaceProjector

__all__ = ["NullSpaceProjector"]
