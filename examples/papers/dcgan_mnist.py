"""DCGAN's protocol on MNIST: features of the discriminator, judged by a linear L2-SVM.

    python examples/papers/dcgan_mnist.py --data mnist.npz
    python examples/papers/dcgan_mnist.py                    # downloads MNIST by torchvision

The GAN trains on all 60,000 training images without labels (28x28, padded to 32). Then an SVM
(squared hinge) learns from all labels, from 100 and from 10 labels a class, next to raw pixels,
PCA and the same network untrained; for few labels also next to random patches, and to scattering
where kymatio is installed. C and the scaling are chosen on training images only: for few
labels by 3-fold cross-validation on the first draw, for all labels on 10,000 images.

Each stage is one file in examples/papers/results and is not repeated; checkpoints of the training
are kept in --work, and a finished training is not repeated.
"""

import time

import common
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.svm import LinearSVC

import skgan
from skgan.evaluation import probe

LABELS = [10, 100]


def main():
    options = parse_options()
    options.work.mkdir(parents=True, exist_ok=True)
    X_train, y_train, X_test, y_test = common.load_images(options.data)
    gan = skgan.DCGANDiscriminatorFeatures(
        n_epochs=options.epochs, random_state=options.seed, checkpoint_dir=options.work, verbose=1,
        precision=options.precision,
    )  # fmt: skip
    stem = f"dcgan_mnist_epochs{options.epochs}_seed{options.seed}"
    data = X_train, y_train, X_test, y_test
    few = {"selection": "first", "n_draws": options.draws, "n_jobs": options.jobs}
    # As in the paper: LinearSVC on unscaled features. C is chosen on 10,000 images, from three of
    # the released code's seven values and 0.1, which is for raw pixels. The limit of 100 passes
    # bounds the time of a fit.
    full = {
        "classifier": LinearSVC(dual=True, max_iter=100),
        "param_grid": {"C": [1e-4, 1e-3, 1e-2, 1e-1]},
        "scaling": ("none",),
        "selection_rows": 10_000,
    }
    baselines = ("raw", "pca")
    beside = (*baselines, *common.UNLEARNED)
    stages = [(f"labels{n}", n, ("trained", "untrained"), beside, few) for n in options.labels]
    if options.all_labels:
        stages.append(("labelsall_baselines", "all", ("untrained",), baselines, full))
        stages.append(("labelsall_trained", "all", ("trained",), (), full))
    estimators: dict[str, FrozenEstimator] = {}
    for stage, budget, names, others, protocol in stages:
        path = options.results / f"{stem}_{stage}.json"
        if options.only and stage not in options.only:
            print(f"{path.name}: not asked for")
            continue
        if common.there_already(path, command(options)):
            continue
        for name in names:
            if name not in estimators:
                other = {} if name == "trained" else {"n_epochs": 0, "checkpoint_dir": None}
                estimators[name] = FrozenEstimator(clone(gan).set_params(**other).fit(X_train))
        started = time.perf_counter()
        result = probe(
            {name: estimators[name] for name in names}, *data, n_labels=budget, baselines=others,
            random_state=options.seed, verbose=1, **protocol,
        )  # fmt: skip
        print(result, flush=True)
        write_report(path, options, gan, estimators.get("trained"), result, started)


def command(options):
    labels = "" if options.labels == LABELS else f" --labels {' '.join(map(str, options.labels))}"
    return (
        "python examples/papers/dcgan_mnist.py "
        f"--epochs {options.epochs} --seed {options.seed} --draws {options.draws}{labels}"
        f"{common.precision_of(options)}"
    )


def write_report(path, options, gan, trained, result, started):
    report = common.report_of(command(options)) | {
        "settings": common.settings_of(trained.estimator if trained else gan),
        "seed": options.seed,
        "last_epoch": trained and trained.history_[-1],
        "train_seconds": trained and common.train_seconds(trained),
        "probe_seconds": time.perf_counter() - started,
        "probe": result.to_dict(),
    }
    common.write(path, report)


def parse_options():
    parser = common.parser_of(__doc__, "dcgan_mnist")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels", type=int, nargs="*", default=LABELS, help="per class")
    parser.add_argument("--no-all-labels", dest="all_labels", action="store_false")
    parser.add_argument("--only", nargs="*", help="stages, such as labels10 labelsall_trained")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=None)
    return parser.parse_args()


if __name__ == "__main__":
    main()
