"""Kernels of our own for convolutions and products on CPUs, and the contexts that use them."""
