"""What bfloat16 costs in quality: the same fits in both precisions, and a linear probe.

    python examples/benchmarks/precision.py --data mnist.npz --seeds 0 1 2
    python examples/benchmarks/precision.py                  # downloads MNIST by torchvision

For each seed DCGANDiscriminatorFeatures trains on the same MNIST images in float32 and in
bfloat16, from the same initial weights and for as many epochs; an untrained network (0 epochs) is
the baseline. A linear SVM then learns from 10 and from 100 labels a class. CPUs without matrix
units compute bfloat16 by way of float32, with the same rounding, more slowly; those with
AVX512-BF16 have kernels of their own for it, which round differently.

Each seed is one file in examples/papers/results and is not repeated.
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator

import skgan
from skgan.datasets import load_mnist
from skgan.evaluation import probe

RESULTS = Path(__file__).parents[1] / "papers" / "results"


def images_and_labels(path):
    """(X_train, y_train, X_test, y_test); images uint8 (n, 28, 28)."""
    if path is not None:
        with np.load(path) as data:
            return tuple(data[k] for k in ("X_train", "y_train", "X_test", "y_test"))
    subsets = (load_mnist(subset=s, download=True, return_X_y=True) for s in ("train", "test"))
    return tuple(a for subset in subsets for a in subset)


def run(seed, data, options):
    X_train, y_train, X_test, y_test = data
    X = X_train[: options.images]
    settings = {"n_epochs": options.epochs, "random_state": seed, "device": "cpu"}
    kinds = {
        "float32": {"precision": "float32"},
        "bfloat16": {"precision": "bfloat16"},
        "untrained": {"n_epochs": 0},
    }
    fits = {}
    for name, more in kinds.items():
        fits[name] = skgan.DCGANDiscriminatorFeatures(**(settings | more)).fit(X)
        assert fits[name].precision_ == name or name == "untrained"
    report = {
        "command": command(seed, options),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"skgan": skgan.__version__, "torch": torch.__version__},
        "seed": seed,
        "settings": settings,
        "last_epoch": {k: e.history_[-1] for k, e in fits.items() if e.history_},
    }
    result = probe(
        {name: FrozenEstimator(e) for name, e in fits.items()},
        X, y_train[: len(X)], X_test, y_test,
        n_labels=(10, 100), n_draws=options.draws, selection="first", baselines=(),
        random_state=0,
    )  # fmt: skip
    print(f"seed {seed}\n{result}", flush=True)
    return report | {"probe": result.to_dict()}


def command(seed, options):
    suffix = f" --suffix {options.suffix}" if options.suffix else ""
    return (
        f"python examples/benchmarks/precision.py --seeds {seed} "
        f"--images {options.images} --epochs {options.epochs} --draws {options.draws}{suffix}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="npz with X_train, y_train, X_test, y_test")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument(
        "--suffix", default="", help="for the result files' names: _avx512 on such a CPU"
    )
    options = parser.parse_args()
    data = images_and_labels(options.data)
    for seed in options.seeds:
        path = RESULTS / f"precision_mnist{options.suffix}_seed{seed}.json"
        if path.exists():
            made_by = json.loads(path.read_text())["command"]
            if made_by != command(seed, options):
                raise SystemExit(
                    f"{path} was made by {made_by!r}: move it away, or pass a --suffix."
                )
            print(f"{path.name}: there already")
            continue
        report = run(seed, data, options)
        path.write_text(json.dumps(report, indent=1, default=repr) + "\n")


if __name__ == "__main__":
    main()
