"""Converts X as users pass it to batches for the networks, and back."""
