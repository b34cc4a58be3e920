"""MNIST with 100 labels in all: semi-supervised GANs, their classifiers alone, and simple ones.

    python examples/papers/few_labels_mnist.py run --data mnist.npz --precision auto
    python examples/papers/few_labels_mnist.py run --methods fm --epochs 300 --seeds 0
    python examples/papers/few_labels_mnist.py table

A seed is a draw of 10 labels a class, and the seed of all training; the other training images have
no label. The result is the error on the test images in percent, or with --held on training images
that were kept out. Papers have, as means over draws (ssl_bad_gan's table): feature matching with
K + 1 classes .93 +- .065, CatGAN 1.91 +- .10, Triple-GAN .91 +- .58 (from memory).

- "fm": FeatureMatchingClassifier.from_preset("mnist"), the networks and settings of Improved GAN's
  released code (Salimans et al. 2016), but for the number of epochs; with fewer than its 300 the
  rate of the averaged weights is larger by as much, so that the mean is over the same share of the
  training. Such a schedule is **not comparable** with the paper's figure.
- "fm_alone": the same classifier, without the terms that need no labels: as many steps.
- "triple_conv", "triple_conv_alone": TripleGANClassifier.from_preset("mnist"), the settings of
  Triple-GAN's released code (Li et al. 2017), with its switches at the same shares of its 1,030
  epochs, so **not comparable** with the paper's figure either; and its classifier without terms of
  the GAN, for as many steps. "triple", "triple_alone": the same with the classifier of "fm", at a
  third of the cost.
- "catgan": CatGANClassifier (Springenberg 2016) with its own convolutional networks and rates.
- "contrastive": a linear SVM on features of ContrastiveDiscriminatorFeatures.from_preset("best"),
  which are learnt without labels, but with augmentation; none of the others has any.
- "svm": a linear SVM on pixels, whose C is chosen by cross-validation within the labels.
"""

import common
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

import skgan
from skgan.semi_supervised import FewLabelClassifier

PAPER_EPOCHS = 300  # of feature matching
# Of Triple-GAN: epochs in all and before its switches; and its terms of the GAN, switched off.
TRIPLE = {"n_epochs": 1030, "pretrain_epochs": 30, "generated_start": 329}
ALONE = {"adversarial_weight": 0.0, "generated_weight": 0.0}


def feature_matching(n_epochs, **others):
    rate = min(1.0, 1e-4 * PAPER_EPOCHS / n_epochs)
    return skgan.FeatureMatchingClassifier.from_preset("mnist", ema_decay=1 - rate, **others)


def triple(n_epochs, **others):
    switches = {name: round(n * n_epochs / TRIPLE["n_epochs"]) for name, n in TRIPLE.items()}
    return skgan.TripleGANClassifier.from_preset("mnist", **switches, **others)


def triple_dense(n_epochs, **others):
    return triple(n_epochs, classifier="salimans784", classifier_norm="weight", **others)


def pixels_and_svm(n_epochs):
    search = GridSearchCV(LinearSVC(random_state=0), {"C": np.logspace(-4, 0, 5)})
    return make_pipeline(FunctionTransformer(common.as_rows), search)


# The number of epochs, and what is made for it; "fm" is run once with 300, see above.
METHODS = {
    "fm": (15, feature_matching),
    "fm_alone": (15, lambda n: feature_matching(n, unlabelled_weight=0.0)),
    "triple": (15, triple_dense),
    "triple_alone": (15, lambda n: triple_dense(n, **ALONE)),
    "triple_conv": (15, triple),
    "triple_conv_alone": (15, lambda n: triple(n, **ALONE)),
    "catgan": (10, lambda n: skgan.CatGANClassifier()),
    "contrastive": (5, lambda n: skgan.ContrastiveDiscriminatorFeatures.from_preset("best")),
    "svm": (0, pixels_and_svm),
}
EPOCHS = {name: n for name, (n, _) in METHODS.items()}


def main():
    parser = common.study_parser(__doc__, "few_labels_mnist", EPOCHS, [0, 1, 2])
    options = parser.parse_args()
    if options.what == "table":
        table(options)
    else:
        common.run_all("few_labels_mnist", EPOCHS, study, options)


def study(name, n_epochs, seed, data, options):
    X, y, X_test, y_test = data
    few = common.few_labels(y, 10, seed)
    known = few >= 0
    estimator, report = METHODS[name][1](n_epochs), {}
    if name == "svm":
        estimator.fit(X[known], few[known])
    else:
        y_trained = None if name == "contrastive" else few
        estimator, report = common.trained(estimator, n_epochs, seed, options, X, y_trained)
    if name == "contrastive":
        estimator = FewLabelClassifier(FrozenEstimator(estimator)).fit(X, few)
    error = 100 * float(np.mean(estimator.predict(X_test) != y_test))
    rows = np.flatnonzero(known).tolist()
    return report | {"labelled": rows, "error": error}, f"error {error:.2f} %"


def table(options):
    """Means and standard deviations of errors over draws, and differences of paired draws."""
    columns = ["method", "epochs", "images", "scored on", "steps", "error in %", "minus its own"]
    common.print_head([*columns, "draws", "CPU seconds"])
    found = dict(common.groups("few_labels_mnist", EPOCHS, options))
    for (name, *key), reports in found.items():
        errors = {r["seed"]: r["error"] for r in reports}
        alone = {r["seed"]: r["error"] for r in found.get((f"{name}_alone", *key), [])}
        gains = [errors[seed] - alone[seed] for seed in errors.keys() & alone.keys()]
        label = " (the paper's schedule)" if (name, key[0]) == ("fm", PAPER_EPOCHS) else ""
        common.print_row([
            name + label, *key, reports[0].get("n_steps", "-"), common.cell([*errors.values()]),
            common.cell(gains), len(errors),
            round(np.mean([r["cpu_seconds_in_all"] for r in reports])),
        ])  # fmt: skip


if __name__ == "__main__":
    main()
