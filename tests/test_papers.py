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
