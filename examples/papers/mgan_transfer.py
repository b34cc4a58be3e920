"""Mao et al. 2019, theorems 1 to 3: noise and the null space, and source tasks unlike the target.

    python examples/papers/mgan_transfer.py run
    python examples/papers/mgan_transfer.py table

Networks, images and settings are those of mgan_mnist.py (32 wide, 20,000 images, 5 epochs), whose
checkpoints are used where they exist. Two questions, both fixed before any result was seen:

1. Theorem 1 says that the null space of the head is free of noise. Gaussian noise is added to the
   test images (standard deviation in units of the pixels' range, 0 to 1; values beyond are cut
   off). How accurate is a logistic regression that learnt from clean images, on all features, on
   their null-space part and on their row-space part? And which share of the change that noise
   causes lies in the row space, compared with the share of the clean images' variance there?
2. Theorems 2 and 3 expect a classifier's features to suit tasks like its own, and the
   discriminator to win where the classifier's task is unlike the target. The same trunk is trained
   on labels: digits (the target itself), parity, and the quarter turn by which an image was rotated
   (a different task). All are probed for digits, as are the MGAN's two extractors and the untrained
   trunk.

Each seed is one file in examples/papers/results and is not repeated.
"""

import common
import numpy as np
from mgan_mnist import converged, few_labels, make_mgan, stem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgan

NOISE = (0.0, 0.1, 0.2, 0.3, 0.5)
SUBSPACES = {"all": None, "null": "null", "row": "row"}


def noisy(X, level, seed):
    rng = np.random.default_rng(seed)
    return (X + 255 * level * rng.normal(size=X.shape)).clip(0, 255).astype(np.uint8)


def under_noise(mgan, role, data, seed):
    """Accuracy by subspace and noise, and the row space's share of the change by noise."""
    X, y, X_test, y_test = data
    mgan.set_params(extractor=role)
    accuracy, parts = {}, {}
    for name, subspace in SUBSPACES.items():
        mgan.set_params(subspace=subspace)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        model.fit(mgan.transform(X), y)
        parts[name] = [mgan.transform(noisy(X_test, level, seed)) for level in NOISE]
        accuracy[name] = [float(model.score(F, y_test)) for F in parts[name]]
    mgan.set_params(subspace=None)
    moved = {
        name: [float(np.square(F - parts[name][0]).sum()) for F in parts[name][1:]]
        for name in SUBSPACES
    }
    return {
        "accuracy": accuracy,
        "row_share_of_variance": float(parts["row"][0].var(0).sum() / parts["all"][0].var(0).sum()),
        "row_share_of_noise": [r / a for r, a in zip(moved["row"], moved["all"], strict=True)],
    }


def source_tasks(data, seed, options):
    """The same trunk trained on different labels of the same images."""
    X, y, _, _ = data
    turns = np.random.default_rng(seed).integers(4, size=len(X))
    turned = np.stack([np.rot90(x, t) for x, t in zip(X, turns, strict=True)])
    spec = skgan.DCGANSpec(options.width, feature_dim=128)
    for name, (rows, labels, n_epochs) in {
        "untrained": (X, y, 0), "digits": (X, y, options.epochs),
        "parity": (X, y % 2, options.epochs), "quarter turns": (turned, turns, options.epochs),
    }.items():  # fmt: skip
        yield name, skgan.SupervisedFeatures(
            classifier=spec, batch_size=120, weight_decay=0.0, n_epochs=n_epochs,
            random_state=seed, precision=options.precision,
        ).fit(rows, labels)  # fmt: skip


def digits_from(features, data):
    X, y, X_test, y_test = data
    F, F_test = features.transform(X), features.transform(X_test)
    return {
        "converged": converged(F, y, F_test, y_test)[0],
        "labels10": few_labels(F, y, F_test, y_test),
    }


def run(seed, data, options):
    noise, transfer, settings = {}, {}, {}
    for removed in options.removed:
        mgan = make_mgan(
            options, removed, seed, checkpoint_dir=options.work / stem(options, removed, seed)
        ).fit(data[0])
        settings[f"{removed} removed"] = common.settings_of(mgan)
        for role in ("discriminator", "classifier"):
            noise[f"{role}, {removed} removed"] = under_noise(mgan, role, data, seed)
            transfer[f"{role}, {removed} removed"] = digits_from(mgan, data)
        print(f"seed {seed}: {removed} removed", flush=True)
    for name, features in source_tasks(data, seed, options):
        transfer[name] = digits_from(features, data)
        print(f"seed {seed}: {name} {transfer[name]}", flush=True)
    return common.report_of(command(options, seed)) | {
        "seed": seed, "settings": settings, "noise_levels": NOISE, "noise": noise,
        "transfer": transfer,
    }  # fmt: skip


def command(options, seed):
    return (
        f"python examples/papers/mgan_transfer.py run --seeds {seed} "
        f"--width {options.width} --images {options.images} --epochs {options.epochs} "
        f"--removed {' '.join(map(str, options.removed))}{common.precision_of(options)}"
    )


def result_name(options, seed):
    size = f"width{options.width}_images{options.images}_epochs{options.epochs}"
    return f"mgan_transfer_{size}_seed{seed}.json"


def run_all(options):
    X, y, X_test, y_test = common.load_images(options.data)
    data = X[: options.images], y[: options.images], X_test, y_test
    for seed in options.seeds:
        path = options.results / result_name(options, seed)
        if common.there_already(path, command(options, seed)):
            continue
        common.write(path, run(seed, data, options))


def table(options):
    reports = common.read_all(options.results, result_name(options, "*"))
    if not reports:
        return
    print(f"{len(reports)} seeds; accuracies in %, mean ± standard deviation over seeds\n")
    common.print_head(["features", "subspace", *(f"noise {level}" for level in NOISE)])
    for name in reports[0]["noise"]:
        found = [r["noise"][name] for r in reports]
        for subspace in SUBSPACES:
            by_level = percent([f["accuracy"][subspace] for f in found])
            common.print_row([name, subspace, *map(common.cell, by_level.T)])
    print()
    moved = [f"% of the change by noise {level}" for level in NOISE[1:]]
    common.print_head(["row space of", "% of the variance", *moved])
    for name in reports[0]["noise"]:
        found = [r["noise"][name] for r in reports]
        share = percent([f["row_share_of_variance"] for f in found])
        by_level = percent([f["row_share_of_noise"] for f in found])
        common.print_row([name, *map(common.cell, [share, *by_level.T])])
    print()
    common.print_head(["features", "digits, all labels", "10 labels a class"])
    for name in reports[0]["transfer"]:
        found = [r["transfer"][name] for r in reports]
        both = (percent([f[k] for f in found]) for k in ("converged", "labels10"))
        common.print_row([name, *map(common.cell, both)])


def percent(shares):
    return 100 * np.array(shares)


def main():
    parser = common.parser_of(__doc__, "mgan")
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--removed", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()
    options.dataset = "mnist"
    table(options) if options.what == "table" else run_all(options)


if __name__ == "__main__":
    main()
