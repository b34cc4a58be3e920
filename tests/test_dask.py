"""On a cluster by Dask: searches, and features of arrays that no memory holds."""

import os
import pickle
import signal
import time
import warnings

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from skgan import DCGANDiscriminatorFeatures, DCGANSpec, LazyImages

da = pytest.importorskip("dask.array", reason="Dask is not installed")
distributed = pytest.importorskip("dask.distributed", reason="dask.distributed is not installed")

# One worker of pytest-xdist runs this file: each cluster is two processes more.
pytestmark = pytest.mark.xdist_group("dask")


def gan(**settings):
    spec = DCGANSpec(4)
    return DCGANDiscriminatorFeatures(
        generator=spec, discriminator=spec, n_epochs=1, batch_size=32, random_state=0,
        device="cpu", **settings,
    )  # fmt: skip


@pytest.fixture
def images(digits):
    return digits[0][:120].reshape(-1, 8, 8).astype(np.float32) / 16


def test_a_dask_array_is_read_and_transformed_chunk_by_chunk(images):
    est, rows_held = gan().fit(images), []

    def chunk(block):
        rows_held.append(len(block))
        return block

    X = da.from_array(images, chunks=(30, 8, 8)).map_blocks(chunk, dtype=np.float32)
    rows_held.clear()  # Dask looks at an empty block first
    expected = est.transform(images)
    assert np.array_equal(est.set_params(transform_batch_size=30).transform(X), expected)
    assert max(rows_held) == 30 and sum(rows_held) < 3 * len(images)

    # And the other way around: features that are a Dask array, of which nothing is computed yet.
    rows_held.clear()
    features = X.map_blocks(
        est.transform, drop_axis=[1, 2], new_axis=1, dtype=np.float32,
        chunks=(X.chunks[0], est.n_features_out_), meta=np.empty((0, 0), np.float32),
    )  # fmt: skip
    assert rows_held == [] and features.shape == expected.shape
    np.testing.assert_allclose(features.compute(scheduler="sync"), expected, rtol=0, atol=1e-6)


@pytest.fixture
def folder_of_digits(tmp_path, images):
    paths = [tmp_path / "digits" / f"{i:03d}.png" for i in range(len(images))]
    paths[0].parent.mkdir()
    for path, image in zip(paths, images, strict=True):
        Image.fromarray((image * 255).astype(np.uint8)).save(path)
    return paths


@pytest.fixture
def cluster(tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            local_directory=str(tmp_path / "dask"),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        yield client


def search(rates, **settings):
    steps = [("gan", gan(**settings)), ("knn", KNeighborsClassifier(1))]
    return GridSearchCV(Pipeline(steps), {"gan__lr": rates}, cv=2)


@pytest.mark.slow
def test_a_search_on_a_cluster_finds_what_one_here_finds(cluster, folder_of_digits, digits):
    X, y = LazyImages(folder_of_digits, mode="L"), digits[1][:120]
    assert len(pickle.dumps(X)) < 100 * len(X)  # paths are sent, and no images
    rates = [1e-4, 1e-3]
    with joblib.parallel_config("dask"):
        there = search(rates).fit(X, y)
    here = search(rates).fit(X, y)
    assert np.array_equal(there.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"])
    assert np.array_equal(there.predict(X), here.predict(X))


@pytest.mark.slow
def test_a_killed_worker_loses_no_result(cluster, folder_of_digits, digits, tmp_path):
    X, y = LazyImages(folder_of_digits, mode="L"), digits[1][:120]
    rates = [1e-4, 3e-4, 1e-3, 3e-3]
    settings = {"checkpoint_dir": str(tmp_path / "runs")}
    pids = list(cluster.run(os.getpid).values())

    def kill_once_it_trains(runs=str(tmp_path / "runs")):
        until = time.monotonic() + 120
        while not any(files for _, _, files in os.walk(runs)) and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(pids[0], signal.SIGKILL)

    import threading

    killer = threading.Thread(target=kill_once_it_trains)
    killer.start()
    with joblib.parallel_config("dask"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        there = search(rates, **settings).fit(X, y)
    killer.join()
    assert pids[0] not in cluster.run(os.getpid).values()
    here = search(rates).fit(X, y)
    assert np.array_equal(there.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"])
