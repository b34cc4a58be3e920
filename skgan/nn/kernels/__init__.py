"""skgan's own kernels for convolutions and dense layers on CPUs, and contexts that use them."""
