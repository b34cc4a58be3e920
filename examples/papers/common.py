"""What the scripts in this folder share: images, result files, means and standard deviations."""

import argparse
import gzip
import json
import subprocess
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_sample_images

import skgan
from skgan import datasets

# What nothing is trained for; scattering where kymatio is installed.
UNLEARNED = ("patches", "scattering") if find_spec("kymatio") else ("patches",)
READERS = {"mnist": datasets.load_mnist, "cifar10": datasets.load_cifar10}


def parser_of(description, work):
    """A parser with the options that all scripts have."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", type=Path, help="npz with X_train, y_train, X_test, y_test")
    parser.add_argument("--work", type=Path, default=Path("runs") / work)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument(
        "--precision", choices=["float32", "bfloat16", "auto"], default="float32",
        help="of the networks' arithmetic",
    )  # fmt: skip
    return parser


def precision_of(options):
    """The command's option for the precision; "" for float32, the default."""
    return "" if options.precision == "float32" else f" --precision {options.precision}"


def load_images(path, dataset="mnist"):
    """(X_train, y_train, X_test, y_test), uint8 images from an npz or downloaded by torchvision."""
    if path is not None:
        with np.load(path) as data:
            found = tuple(data[k] for k in ("X_train", "y_train", "X_test", "y_test"))
        if found[0].ndim != (4 if dataset == "cifar10" else 3):
            raise SystemExit(f"{path} has images of {found[0].shape[1:]}: they are not {dataset}.")
        return found
    subsets = (
        READERS[dataset](subset=s, download=True, return_X_y=True) for s in ("train", "test")
    )
    return tuple(a for subset in subsets for a in subset)


def fashion(part, n):
    """The first images of a part of Fashion-MNIST, from its Debian package or by torchvision."""
    folder = "/usr/share/datasets/fashion-mnist"
    if not Path(folder).is_dir():
        subset = "train" if part == "train" else "test"
        X, y = datasets.load_fashion_mnist(subset=subset, download=True, return_X_y=True)
        return X[:n], y[:n]
    arrays = []
    for name in ("images-idx3", "labels-idx1"):
        with gzip.open(f"{folder}/{part}-{name}-ubyte.gz") as file:
            data = file.read()
        shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
        arrays.append(np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)[:n])
    return tuple(arrays)


def painted(X, seed=0):
    """Digits (n, 28, 28) in colour, (n, 32, 32, 3): each inverts a part of a photograph behind it.

    As MNIST-M (Ganin et al. 2016), with scikit-learn's two sample images in place of BSDS500.
    """
    photographs, rng = load_sample_images().images, np.random.RandomState(seed)
    out = np.empty((len(X), 32, 32, 3), np.uint8)
    for k, x in enumerate(X):
        photograph = photographs[rng.randint(len(photographs))]
        side = rng.randint(32, 97)
        top, left = (rng.randint(n - side) for n in photograph.shape[:2])
        rows = (np.arange(32) * side / 32).astype(int)
        behind = photograph[top + rows][:, left + rows].astype(float)
        ink = np.pad(x, 2)[..., None].astype(float)
        out[k] = np.abs(behind - ink).astype(np.uint8)
    return out


def as_rows(X):
    """Flat images, (n, pixels) in [0, 1]."""
    return X.reshape(len(X), -1).astype(np.float32) / 255


def reconstruction(features, X):
    """Mean distances (pixels in [0, 1]) of reconstructions to their images, and to other images."""
    x, back = as_rows(X), as_rows(features.reconstruct(X))
    own = np.linalg.norm(x - back, axis=1).mean()
    other = np.linalg.norm(x - np.roll(back, 1, axis=0), axis=1).mean()
    return {"own": float(own), "other": float(other), "ratio": float(own / other)}


def report_of(command):
    """The first entries of every result file."""
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {
            "skgan": skgan.__version__, "commit": commit(), "torch": torch.__version__,
        },
    }  # fmt: skip


def commit():
    """The commit of these files; "" where git cannot tell."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def settings_of(features):
    """Parameters that a result depends on, and the values that "auto" was resolved to."""
    left_out = {"checkpoint_dir", "func"}
    settings = {k: v for k, v in features.get_params(deep=False).items() if k not in left_out}
    came_to = {
        k: getattr(features, k) for k in ("precision_", "n_threads_") if hasattr(features, k)
    }
    return settings | came_to


def train_seconds(features):
    return sum(row["seconds"] for row in features.history_)


def write(path, report):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, default=repr) + "\n")


def there_already(path, command):
    """Whether the result of `command` exists; exits if the file is of another command."""
    if not path.exists():
        return False
    made_by = json.loads(path.read_text())["command"]
    if made_by != command:
        raise SystemExit(f"{path} was made by {made_by!r}: move it away to run {command!r}.")
    print(f"{path.name}: there already", flush=True)
    return True


def read_all(folder, pattern):
    """Every report whose file matches, sorted by file name."""
    return [json.loads(p.read_text()) for p in sorted(folder.glob(pattern))]


def cell(values):
    """Mean and standard deviation over seeds; "-" for no values."""
    if len(values) == 0:
        return "-"
    spread = f" ±{np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{spread}"


def print_row(cells):
    print("| " + " | ".join(map(str, cells)) + " |")


def print_head(columns):
    print_row(columns)
    print("|" + "---|" * len(columns))
