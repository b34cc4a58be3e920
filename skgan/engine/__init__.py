"""Training: networks as players, the loop, and where it runs."""
