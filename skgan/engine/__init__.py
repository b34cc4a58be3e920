"""Training: the networks and their optimizers, the loop over epochs, devices and precision."""
