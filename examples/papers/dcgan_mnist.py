"""DCGAN's protocol on MNIST: features of the discriminator, judged by a linear L2-SVM.

    python examples/papers/dcgan_mnist.py --data mnist.npz
    python examples/papers/dcgan_mnist.py                    # downloads MNIST by torchvision

The GAN trains on all 60,000 training images without labels (28x28, padded to 32). Then an SVM
(squared hinge) learns from all labels, from 100 and from 10 labels a class, next to raw pixels,
PCA and the same network untrained. C and the scaling are chosen on training rows only: for few
labels by 3-fold cross-validation on the first draw, for all labels on 10,000 rows.

Each stage is kept in --work and not done twice, so an interrupted run goes on where it was. The
figures go to examples/papers/results, one file a seed.
"""

import argparse
import json
import pickle
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

import skgan
from skgan.evaluation import probe

RESULTS = Path(__file__).parent / "results"


def load_mnist(path):
    """(X_train, y_train, X_test, y_test); images uint8 (n, 28, 28)."""
    if path is not None:
        with np.load(path) as data:
            return tuple(data[k] for k in ("X_train", "y_train", "X_test", "y_test"))
    from torchvision.datasets import MNIST

    parts = [MNIST("data", train=train, download=True) for train in (True, False)]
    return tuple(a.numpy() for part in parts for a in (part.data, part.targets))


def fitted(estimator, X, path):
    """The estimator fitted on X, read from `path` if it is there, else trained and kept there."""
    if not path.exists():
        estimator.fit(X)
        path.with_suffix(".part").write_bytes(pickle.dumps(estimator))
        path.with_suffix(".part").rename(path)
    return pickle.loads(path.read_bytes())


def main():
    options = parse_options()
    options.work.mkdir(parents=True, exist_ok=True)
    X_train, y_train, X_test, y_test = load_mnist(options.data)
    gan = skgan.DCGANDiscriminatorFeatures(
        n_epochs=options.epochs, random_state=options.seed, verbose=1
    )
    stem = f"dcgan_mnist_epochs{options.epochs}_seed{options.seed}"
    trained = fitted(gan, X_train, options.work / f"{stem}.pkl")
    untrained = fitted(
        clone(gan).set_params(n_epochs=0), X_train, options.work / f"{stem}_untrained.pkl"
    )
    for budget in [*options.labels, "all"] if options.all_labels else options.labels:
        path = RESULTS / f"{stem}_labels{budget}.json"
        if path.exists():
            print(f"{path} is there already")
            continue
        started = time.perf_counter()
        result = probe(
            {"trained": FrozenEstimator(trained), "untrained": FrozenEstimator(untrained)},
            X_train, y_train, X_test, y_test,
            baselines=("raw", "pca"), n_labels=budget, n_draws=options.draws, selection="first",
            random_state=options.seed, n_jobs=options.jobs, verbose=1,
        )  # fmt: skip
        print(result, flush=True)
        report = {
            "command": f"python examples/papers/dcgan_mnist.py {' '.join(sys.argv[1:])}",
            "date": datetime.now(UTC).date().isoformat(),
            "versions": {"skgan": skgan.__version__, "torch": torch.__version__},
            "settings": trained.get_params(),
            "last_epoch": trained.history_[-1],
            "train_seconds": sum(row["seconds"] for row in trained.history_),
            "probe_seconds": time.perf_counter() - started,
            "probe": result.to_dict(),
        }
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps(report, indent=1, default=repr) + "\n")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="npz with X_train, y_train, X_test, y_test")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels", type=int, nargs="*", default=[10, 100], help="per class")
    parser.add_argument("--no-all-labels", dest="all_labels", action="store_false")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--work", type=Path, default=Path("build/dcgan_mnist"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
