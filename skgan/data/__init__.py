"""From X as users have it to batches as networks see them, and back."""
