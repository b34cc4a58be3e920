"""The papers' scripts run from end to end on few small images; their figures are not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PAPERS = Path(__file__).parents[1] / "examples" / "papers"
SCRIPTS = {
    "dcgan_mnist": "--epochs 1 --draws 2 --labels 5 --no-all-labels",
    "bigan_mnist": "run --epochs 2 --seeds 0 --draws 2 --methods raw untrained bigan d ae_l2",
    "bigan_layers_mnist": "--epochs 1 --draws 2",
    "mgan_mnist": "run --epochs 1 --width 4 --images 1100 --seeds 0 --removed 0 4",
    "stabilisers": "run --dataset mnist --seeds 0 --labels 5 --methods raw plain best --spread",
    "clusters_mnist": "run --epochs 1 --seeds 0 --held --methods infogan catgan20 raw",
    "few_labels_mnist": "run --epochs 1 --seeds 0 --images 1000 --methods fm fm_alone svm",
    "vaegan_mnist": "run --epochs 1 --seeds 0 --labels 5 --methods norm",
    "acgan_mnist": "run --epochs 1 --seeds 0 --methods acgan_all acgan_10 supervised_10 untrained",
    "disentangled_digits": "run --epochs 1 --seeds 0 --methods raw weight0 weight.1",
    "dann_mnist": "run --epochs 1 --seeds 0 --images 300 --methods rotated_paper_source "
    "rotated_paper_flip rotated_paper_target rotated_instance_alternating",
    "dann_moons": "run --seeds 0 1 --methods simultaneous_15 adversary_15 algorithm_150",
    "projection": "run --dataset mnist --epochs 1 --only test --seeds 0",
    "outliers_digits": "run --seeds 0 --digits 3",
    "near_duplicates": "run --seeds 0 --images 350 --steps 20",
    "mgan_transfer": "run --epochs 1 --width 4 --images 1100 --seeds 0 --removed 4",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Ten classes of 28x28 images, bars at ten heights, in the format of --data."""
    rng = np.random.default_rng(0)
    parts = {}
    for name, n in (("train", 1100), ("test", 100)):
        y = np.arange(n) % 10
        X = rng.integers(0, 60, (n, 28, 28))
        X[np.arange(n), 4 + 2 * y, 5:23] = 255
        parts |= {f"X_{name}": X.astype(np.uint8), f"y_{name}": y}
    path = tmp_path_factory.mktemp("images") / "bars.npz"
    np.savez(path, **parts)
    return path


def run(name, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PAPERS / f"{name}.py"), *arguments],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(PAPERS.parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_writes_its_results_once(name, images, tmp_path):
    places = [
        "--data",
        str(images),
        "--results",
        str(tmp_path / "r"),
        "--work",
        str(tmp_path / "w"),
    ]
    arguments = SCRIPTS[name].split()
    run(name, *arguments, *places)
    results = sorted((tmp_path / "r").glob("*.json"))
    assert results
    for path in results:
        report = json.loads(path.read_text())
        assert report["command"].startswith(f"python examples/papers/{name}.py")
        assert {"date", "versions"} <= report.keys()
    written = [path.stat().st_mtime_ns for path in results]
    if arguments[0] == "run":
        again = run(name, *arguments, *places)
        assert again.count("there already") == len(results)
        table = run(name, "table", *arguments[1:], "--results", str(tmp_path / "r"))
        assert table.count("\n| ") >= 2
    assert [path.stat().st_mtime_ns for path in results] == written


def test_clusters_are_matched_one_to_one_or_by_majority(monkeypatch):
    monkeypatch.syspath_prepend(PAPERS)
    from clusters_mnist import scores

    y = np.arange(400) % 10
    half = np.arange(400) // 10 % 2
    found = scores(10, (y + 3) % 10, y, (y + 3) % 10, y)
    assert found == {"acc": 1.0, "nmi": 1.0, "ari": 1.0, "used": 10}
    assert scores(20, 2 * y + half, y, 2 * y + half, y)["acc"] == 1.0
    # Of ten clusters, two share the zeros, so ones and twos are in one: the twos have a match less,
    # and half of the zeros, whose cluster is left for the other digit.
    shared = np.where(y == 0, half, np.where(y == 1, 2, y))
    assert scores(10, shared, y, shared, y)["acc"] == pytest.approx(0.85)
    # Digits are those of the first images: other ones do not choose them.
    assert scores(10, y, y, (y + 1) % 10, y)["acc"] == 0.0


def test_few_labels_are_as_many_of_each_class(monkeypatch):
    monkeypatch.syspath_prepend(PAPERS)
    from common import few_labels

    y = np.arange(400) % 10
    draws = [few_labels(y, 3, seed) for seed in (0, 0, 1)]
    for few in draws:
        assert np.bincount(few[few >= 0]).tolist() == [3] * 10
        assert np.all((few == y) | (few == -1))
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])
