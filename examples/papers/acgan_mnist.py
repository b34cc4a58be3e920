"""AC-GAN's features on MNIST, beside a GAN's and a classifier's on the same labels.

    python examples/papers/acgan_mnist.py run --data mnist.npz --precision auto
    python examples/papers/acgan_mnist.py table

All have the discriminator of DCGAN, 32 channels wide, and all layers pooled to 4x4 as features.
"labels" says which labels the training of the network has seen: none, those of all training images,
or 10 or 100 a class, with -1 for the others. A linear SVM is then trained on the features with 10
and with 100 labels a class, and scored on the test images. **Where the network has seen all labels,
this is no result with few labels**: rows are to be compared within the same column "labels". Those
of "10" and "100" have seen the very labels that the SVM has, and no other.

Below the same network untrained there are pixels, principal components and whitened patches.

All train for as many steps: an epoch of a classifier that has few labels is a pass over these
alone, so it has more epochs. A seed is also a draw of labels; all methods have the same draws.
"own" is the accuracy of the network's own classifier. The picture has samples of AC-GAN with all
labels, a class in each row, for seed 0; it needs matplotlib, as in `pip install "skgan[plot]"`.
"""

import math

import common
import numpy as np
from sklearn.frozen import FrozenEstimator

from skgan import ACGANFeatures, DCGANDiscriminatorFeatures, SupervisedFeatures
from skgan.evaluation import probe

BUDGETS = (10, 100)
BASELINES = ("raw", "pca", *common.UNLEARNED)
LAYERS = {"layers": "all", "pool_grid": 4}
# The class, and the labels a class that it sees: None for no labels.
METHODS = {
    "acgan_all": (ACGANFeatures, "all"),
    "supervised_all": (SupervisedFeatures, "all"),
    **{f"acgan_{b}": (ACGANFeatures, b) for b in BUDGETS},
    **{f"supervised_{b}": (SupervisedFeatures, b) for b in BUDGETS},
    "dcgan": (DCGANDiscriminatorFeatures, None),
    "untrained": (DCGANDiscriminatorFeatures, None),
}
EPOCHS = {name: 0 if name == "untrained" else 3 for name in METHODS}


def main():
    options = common.study_parser(__doc__, "acgan_mnist", EPOCHS, [0, 1, 2]).parse_args()
    if options.what == "table":
        table(options)
    else:
        common.run_all("acgan_mnist", EPOCHS, study, options)


def study(name, n_epochs, seed, data, options):
    X, y, X_test, y_test = data
    kind, labels = METHODS[name]
    seen = common.few_labels(y, labels, seed) if labels in BUDGETS else y
    estimator = kind(**LAYERS)
    if kind is SupervisedFeatures:
        n_steps = n_epochs * math.ceil(len(X) / estimator.batch_size)
        n_epochs = n_steps // math.ceil(np.sum(seen >= 0) / estimator.batch_size)
    y_trained = None if labels is None else seen
    estimator, report = common.trained(estimator, n_epochs, seed, options, X, y_trained)
    baselines = BASELINES if name == "untrained" else ()
    found = {}
    for budget in BUDGETS if labels in (None, "all") else (labels,):
        few = common.few_labels(y, budget, seed)
        result = probe(
            {"it": FrozenEstimator(estimator)}, X, few, X_test, y_test, baselines=baselines,
            n_labels=budget, n_draws=1, random_state=seed,
        ).to_dict()  # fmt: skip
        for row in ("it", *baselines):
            found.setdefault(row, {})[str(budget)] = common.accuracy(result, budget, row)
    others = {row: found[row] for row in baselines}
    found = found["it"]
    own = float(np.mean(estimator.predict(X_test) == y_test)) if labels else None
    if name == "acgan_all" and seed == 0:
        classes = np.repeat(estimator.classes_, 20)
        samples = estimator.sample_images(len(classes), 0, y=classes)
        common.picture(options.results / "acgan_mnist_samples.png", samples)
    about = {"labels": labels, "accuracy": found, "own": own, "baselines": others}
    return report | about, found | others


def table(options):
    """Means and standard deviations over seeds, in percent."""
    columns = ["network", "epochs", "images", "scored on", "labels", "n_steps"]
    common.print_head([*columns, *(f"SVM, {b} a class" for b in BUDGETS), "own", "seeds"])
    for (name, *key), reports in common.groups("acgan_mnist", EPOCHS, options):
        values = [[100 * r["accuracy"][str(b)] for r in reports if str(b) in r["accuracy"]]
                  for b in BUDGETS]  # fmt: skip
        values.append([100 * r["own"] for r in reports if r["own"] is not None])
        labels = reports[0]["labels"] or "none"
        row = [name, *key, labels, reports[0]["n_steps"], *map(common.cell, values), len(reports)]
        common.print_row(row)
        for other in reports[0].get("baselines", ()):
            values = [[100 * r["baselines"][other][str(b)] for r in reports] for b in BUDGETS]
            cells = [*map(common.cell, values), "-"]
            common.print_row([other, *key, "none", "-", *cells, len(reports)])


if __name__ == "__main__":
    main()
