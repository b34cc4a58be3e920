"""Digits found without labels on MNIST: InfoGAN and CatGAN beside k-means.

    python examples/papers/clusters_mnist.py run --data mnist.npz --precision auto
    python examples/papers/clusters_mnist.py run --methods infogan --epochs 32 --seeds 0
    python examples/papers/clusters_mnist.py table

All train on the training images without labels. What a category stands for is read off 10,000 of
them: where there are as many categories as digits, they are matched one-to-one (the Hungarian
algorithm); of 20, each is given the digit that most of its images are. Accuracy (ACC), normalised
mutual information (NMI) and adjusted Rand index (ARI) are of the test images, or with --held of
training images that were kept out.

InfoGAN (Chen et al. 2016) has the paper's codes, rates and number of steps, 5,000 of 128 images,
which are 11 epochs here, with the class's own networks, and as "infogan_paper" with the paper's,
which have dense layers of 1,024 units. An error of 5 % is the paper's, an NMI of .90 +- .03 that
of a re-run by others. "share" is the bound of the information as a part of the code's entropy.

CatGAN (Springenberg 2016) has the class's own networks and rates, and as "catgan20_dense" the dense
ones of Improved GAN ("salimans784"); its paper has an error of 9.7 % for the best run with 20
categories and dense networks.

Beside them k-means with 10 and with 20 clusters: on pixels, on 64 principal components, and on the
last layer of the discriminator of DCGAN, untrained and after as many epochs as InfoGAN.
"""

import common
import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn

from skgan import CatGANFeatures, DCGANDiscriminatorFeatures, InfoGANExtractor

N_DIGITS, N_MATCHED = 10, 10_000


PIXELS = FunctionTransformer(common.as_rows)


def paper_generator(latent_dim, output_shape):
    """G for MNIST (Chen et al. 2016, appendix C.1), for 28x28 images in [-1, 1]."""
    return initialised(nn.Sequential(
        nn.Linear(latent_dim, 1024, bias=False), nn.BatchNorm1d(1024), nn.ReLU(),
        nn.Linear(1024, 128 * 7 * 7, bias=False), nn.BatchNorm1d(128 * 7 * 7), nn.ReLU(),
        nn.Unflatten(1, (128, 7, 7)), nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False),
        nn.BatchNorm2d(64), nn.ReLU(), nn.ConvTranspose2d(64, 1, 4, 2, 1), nn.Tanh(),
    ))  # fmt: skip


def paper_trunk(input_shape, norm):
    """The layers that D and Q share; their heads are linear on it, Q's with a hidden layer."""
    return initialised(nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1), nn.LeakyReLU(0.1),
        nn.Conv2d(64, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.LeakyReLU(0.1),
        nn.Flatten(), nn.Linear(128 * 7 * 7, 1024, bias=False), nn.BatchNorm1d(1024),
        nn.LeakyReLU(0.1),
    ))  # fmt: skip


def initialised(net):
    """With weights from N(0, 0.02), as in the released code."""
    for module in net:
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
    return net


def infogan_paper():
    return InfoGANExtractor(generator=paper_generator, discriminator=paper_trunk)


def dcgan():
    return DCGANDiscriminatorFeatures(layers=-1, pool_grid=None)


# The number of epochs, and what is fitted: it has clusters itself, or is what k-means sees.
METHODS = {
    "infogan": (11, InfoGANExtractor),
    "infogan_paper": (11, infogan_paper),
    "catgan20": (5, lambda: CatGANFeatures(n_clusters=20)),
    "catgan10": (5, lambda: CatGANFeatures(n_clusters=10)),
    "catgan20_dense": (5, lambda: CatGANFeatures(
        n_clusters=20, generator="salimans784", discriminator="salimans784", latent_dim=100,
    )),
    "dcgan": (11, dcgan),
    "untrained": (0, dcgan),
    "pca": (0, lambda: make_pipeline(PIXELS, PCA(64, random_state=0))),
    "raw": (0, lambda: PIXELS),
}  # fmt: skip
EPOCHS = {name: n for name, (n, _) in METHODS.items()}


def main():
    options = common.study_parser(__doc__, "clusters_mnist", EPOCHS, [0, 1, 2, 3, 4]).parse_args()
    if options.what == "table":
        table(options)
    else:
        common.run_all("clusters_mnist", EPOCHS, study, options)


def study(name, n_epochs, seed, data, options):
    X, y, X_test, y_test = data
    estimator, report = METHODS[name][1](), {}
    if hasattr(estimator, "n_epochs"):
        estimator, report = common.trained(estimator, n_epochs, seed, options, X)
    else:
        estimator.fit(X)
    found = {}
    for k, labels, labels_test in clusterings(estimator, seed, X, X_test):
        found[k] = scores(k, labels[:N_MATCHED], y[:N_MATCHED], labels_test, y_test)
    return report | {"clusters": found}, found


def clusterings(estimator, seed, X, X_test):
    """(number of clusters, labels of training images, labels of test images), one or several."""
    if hasattr(estimator, "predict"):
        k = getattr(estimator, "n_clusters", N_DIGITS)
        yield k, estimator.predict(X[:N_MATCHED]), estimator.predict(X_test)
        return
    Z, Z_test = estimator.transform(X), estimator.transform(X_test)
    for k in (N_DIGITS, 2 * N_DIGITS):
        means = KMeans(k, n_init=4, random_state=seed).fit(Z)
        yield k, means.labels_, means.predict(Z_test)


def scores(k, labels, y, labels_test, y_test):
    """ACC, NMI and ARI of test images, the digit of every cluster being that of the others."""
    counts = np.zeros((k, N_DIGITS))
    np.add.at(counts, (labels, y), 1)
    digits = counts.argmax(1)
    if k == N_DIGITS:
        _, digits = linear_sum_assignment(counts, maximize=True)
    return {
        "acc": float(np.mean(digits[labels_test] == y_test)),
        "nmi": float(normalized_mutual_info_score(y_test, labels_test)),
        "ari": float(adjusted_rand_score(y_test, labels_test)),
        "used": len(np.unique(labels_test)),
    }


def table(options):
    """Means and standard deviations over seeds, in percent."""
    columns = ["method", "epochs", "images", "scored on", "clusters", "in use", "ACC", "NMI", "ARI"]
    common.print_head([*columns, "share", "seeds"])
    for (name, *key), reports in common.groups("clusters_mnist", EPOCHS, options):
        share = [100 * r["last_epoch"]["information_share"] for r in reports if "infogan" in name]
        for k in reports[0]["clusters"]:
            of = [r["clusters"][k] for r in reports]
            values = [common.cell([100 * s[m] for s in of]) for m in ("acc", "nmi", "ari")]
            used = common.cell([s["used"] for s in of])
            common.print_row([name, *key, k, used, *values, common.cell(share), len(of)])


if __name__ == "__main__":
    main()
