"""What several tests of the command line need."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
SPEC = "DCGANSpec(width=4)"
SMALL = ("--generator", SPEC, "--discriminator", SPEC, "--latent-dim", "8", "--batch-size", "32")
SMALL += ("--device", "cpu", "--seed", "0")


def save(path, image):
    """An image file of an array, in a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(image).astype(np.uint8)).save(path)


def environment():
    """For processes that import this tree's skgan and compute with one thread."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
