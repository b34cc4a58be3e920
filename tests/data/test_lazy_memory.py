"""A folder of many image files trains and is searched in the memory of a few batches."""

import os
import subprocess
import sys

import numpy as np
import pytest

CHILD = """
import resource, sys
from pathlib import Path
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC
from skgan import DCGANDiscriminatorFeatures, DCGANSpec, LazyImages

spec = DCGANSpec(2, kernel_size=3)
images = LazyImages(sorted(Path(sys.argv[1]).glob("*.png")))
y = np.arange(len(images)) % 2
gan = DCGANDiscriminatorFeatures(
    generator=spec, discriminator=spec, latent_dim=4, n_epochs=1, batch_size=20, layers=-1,
    pool_grid=1, transform_batch_size=20, random_state=0, device="cpu",
)
pipe = Pipeline([("features", gan), ("svm", LinearSVC())])
search = GridSearchCV(pipe, {"svm__C": [0.1, 1.0]}, cv=2, error_score="raise").fit(images, y)
assert search.best_estimator_.predict(images).shape == (len(images),)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_megabytes(folder):
    # One arena: what threads leave to the allocator would blur the measurement.
    env = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)], env=env, check=True, capture_output=True
    )
    return int(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read in Linux' unit")
def test_peak_memory_does_not_grow_with_the_folder(tmp_path):
    image_class = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    peaks = {}
    for n in (500, 5000):  # decoded: 14 and 138 MB
        folder = tmp_path / str(n)
        folder.mkdir()
        for i in range(n):
            pixels = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((24, 24, 1)))
            image_class.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:05d}.png")
        peaks[n] = peak_megabytes(folder)
    # Small batches leave the allocator little to vary by. Holding the files decoded would take
    # 124 MB more, as floats 500.
    assert peaks[5000] - peaks[500] < 30, peaks
