"""What the scripts in this folder share: images, result files, means and standard deviations."""

import argparse
import gzip
import json
import subprocess
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_sample_images

import skgan
from skgan import datasets
from skgan.evaluation import LabelBudgetSplit
from skgan.inspection import SampleDisplay

# What nothing is trained for; scattering where kymatio is installed.
UNLEARNED = ("patches", "scattering") if find_spec("kymatio") else ("patches",)
READERS = {"mnist": datasets.load_mnist, "cifar10": datasets.load_cifar10}


def run_or_table(parser, run, table):
    """Do what the command line asks for."""
    options = parser.parse_args()
    (table if options.what == "table" else run)(options)


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


def study_parser(description, work, epochs, seeds):
    """A parser for studies of several methods on MNIST; `epochs` has the default of each method."""
    parser = parser_of(description, work)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--methods", nargs="+", choices=list(epochs), default=list(epochs))
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds)
    parser.add_argument("--epochs", type=int, help="of all that is trained, not each its own")
    parser.add_argument("--images", type=int, help="train on the first so many training images")
    parser.add_argument(
        "--held", action="store_true",
        help="score on the last sixth of the training images, kept out of training: for choices",
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


def parts(options):
    """(X, y) to train on and (X, y) to score on, as --images and --held ask for."""
    X, y, X_test, y_test = load_images(options.data)
    if options.held:
        n = len(X) - len(X) // 6
        X, y, X_test, y_test = X[:n], y[:n], X[n:], y[n:]
    return X[: options.images], y[: options.images], X_test, y_test


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


def few_labels(y, n_labels, seed):
    """y with n_labels a class, and -1 for all others."""
    ((rows, _),) = LabelBudgetSplit(n_labels, 1, random_state=seed).split(y, y)
    few = np.full(len(y), -1)
    few[rows] = y[rows]
    return few


def as_rows(X):
    """Flat images, (n, pixels) in [0, 1]."""
    return X.reshape(len(X), -1).astype(np.float32) / 255


def reconstruction(features, X):
    """Mean distances (pixels in [0, 1]) of reconstructions to their images, and to other images."""
    x, back = as_rows(X), as_rows(features.reconstruct(X))
    own = np.linalg.norm(x - back, axis=1).mean()
    other = np.linalg.norm(x - np.roll(back, 1, axis=0), axis=1).mean()
    return {"own": float(own), "other": float(other), "ratio": float(own / other)}


def in_pairs(X, Z):
    """Rows of 20 images in [0, 1], above rows of their reconstructions: (2 n, 1, h, w)."""
    rows = [a.reshape(-1, 20, 1, *a.shape[1:]) for a in (X, Z)]
    return np.stack(rows, axis=1).reshape(-1, 1, *X.shape[1:]) / 255


def picture(path, images):
    """Saves images (n, c, h, w) in [0, 1] as a sheet with 20 columns."""
    import matplotlib

    matplotlib.use("Agg")
    sheet = SampleDisplay(images).plot(n_columns=20)
    sheet.figure_.savefig(path, dpi=150, bbox_inches="tight")


def accuracy(result, n_labels, name):
    """The mean accuracy of a representation over draws of n_labels a class in a probe's result."""
    of = {"representation": name, "n_labels": n_labels}
    return np.mean([r["accuracy"] for r in result["records"] if of.items() <= r.items()])


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


def run_all(script, epochs, study, options, more=""):
    """Writes what `study(name, n_epochs, seed, data, options)` finds, once by method and seed.

    A study returns its part of the report, and a line to show; `more` are options of its own.
    """
    data = parts(options)
    for seed, name in product(options.seeds, options.methods):
        n_epochs = options.epochs if options.epochs and epochs[name] else epochs[name]
        part = "held" if options.held else "test"
        said = f"python examples/papers/{script}.py run --methods {name} --seeds {seed}"
        said += f" --epochs {n_epochs}" if n_epochs else ""
        said += f" --images {options.images}" if options.images else ""
        said += (" --held" if options.held else "") + more + precision_of(options)
        stem = f"{script}_{name}_epochs{n_epochs}_images{len(data[0])}_{part}_seed{seed}"
        path = options.results / f"{stem}.json"
        if there_already(path, said):
            continue
        options.results.mkdir(parents=True, exist_ok=True)
        started = time.process_time()
        found, line = study(name, n_epochs, seed, data, options)
        report = report_of(said) | {
            "method": name, "seed": seed, "n_epochs": n_epochs, "images": len(data[0]),
            "part": part, **found, "cpu_seconds_in_all": time.process_time() - started,
        }  # fmt: skip
        write(path, report)
        print(f"{stem}: {line}", flush=True)


def trained(estimator, n_epochs, seed, options, X, y=None, **given):
    """A fitted estimator, and what is reported of its training; long ones keep checkpoints.

    `given` is passed on to `fit`.
    """
    estimator.set_params(n_epochs=n_epochs, random_state=seed, verbose=1)
    if estimator.precision == "auto":
        estimator.set_params(precision=options.precision)
    if n_epochs:
        estimator.set_params(checkpoint_dir=options.work, checkpoint_every=max(1, n_epochs // 10))
    started = time.process_time()
    estimator.fit(X, y, **given)
    return estimator, {
        "settings": settings_of(estimator), "n_steps": estimator.n_steps_,
        "cpu_seconds": time.process_time() - started, "train_seconds": train_seconds(estimator),
        "last_epoch": estimator.history_[-1] if estimator.history_ else None,
    }  # fmt: skip


def groups(script, epochs, options):
    """Reports over seeds by method, number of epochs and of images, and part scored on."""
    found = {}
    for report in read_all(options.results, f"{script}_*_seed*.json"):
        key = tuple(report[k] for k in ("method", "n_epochs", "images", "part"))
        found.setdefault(key, []).append(report)
    order = list(epochs)
    return sorted(found.items(), key=lambda item: (order.index(item[0][0]), *item[0][1:]))


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
