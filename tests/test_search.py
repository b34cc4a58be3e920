"""Searches: as many threads as cores, whatever the number of processes."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json
import joblib
import numpy as np
from sklearn.model_selection import cross_validate
from skgan import DCGANDiscriminatorFeatures

X = np.random.default_rng(0).normal(size=(60, 10))
gan = DCGANDiscriminatorFeatures(n_epochs=1, random_state=0)
out = cross_validate(gan, X, cv=4, n_jobs=2, return_estimator=True, scoring=lambda e, X, y=None: 0)
print(json.dumps([joblib.cpu_count(), [e.n_threads_ for e in out["estimator"]]]))
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="counts this process's cores")
def test_two_processes_share_the_cores_between_them():
    free = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=free, capture_output=True, text=True, check=True
    )
    n_cores, n_threads = json.loads(run.stdout.splitlines()[-1])
    assert set(n_threads) == {max(1, n_cores // 2)}
