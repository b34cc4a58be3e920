"""Small real and toy data for every test; no test downloads anything."""

import os

# Test processes side by side must not fight for the cores; read when torch is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from skgan import DCGANDiscriminatorFeatures, DCGANSpec


@pytest.fixture(autouse=True)
def seeded():
    """Networks that tests make themselves have the same weights, whatever has run before."""
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def digits():
    """300 handwritten digits, 8x8, as flat rows 0..16, with labels."""
    X, y = load_digits(return_X_y=True)
    return X[:300], y[:300]


@pytest.fixture(scope="session")
def bytes_28():
    """40 images of 28x28 as uint8: digits enlarged and framed."""
    X, _ = load_digits(return_X_y=True)
    images = np.kron(X[:40].reshape(-1, 8, 8), np.ones((3, 3))) * (255 / 16)
    return np.pad(images, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)


@pytest.fixture
def small():
    """A small and quick estimator of any class; keywords override."""

    def make(cls=DCGANDiscriminatorFeatures, **settings):
        spec = DCGANSpec(4)
        chosen = {
            "generator": spec, "discriminator": spec, "encoder": spec, "classifier": spec,
            "trunk": spec, "latent_dim": 8, "n_epochs": 2, "batch_size": 32, "random_state": 0,
            "device": "cpu",
        }  # fmt: skip
        known = cls().get_params(deep=False)
        return cls(**({k: v for k, v in chosen.items() if k in known} | settings))

    return make
