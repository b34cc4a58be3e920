"""
A discriminator that clusters
=============================

The discriminator of a CatGAN sorts samples into categories. It has to be sure of real samples, to
use all categories equally, and to be unsure of generated samples. Without labels it clusters, and
with a few labels it classifies. This example does both on 8x8 digits, and compares with methods
of scikit-learn that need no network.
"""

# %%
# Clusters
# --------
# `CatGANFeatures` is a clusterer like k-means. Noise in its layers and a penalty on its gradient
# keep the discriminator from being sure too soon. Fits with different seeds differ much. So three
# are made, and the one with the smallest loss is kept, which is a choice that needs no labels.

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.semi_supervised import LabelSpreading

from skgan import CatGANClassifier, CatGANFeatures, MLPSpec
from skgan.inspection import SampleDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=400, random_state=0)

settings = {
    "image_shape": (8, 8), "generator": MLPSpec(128), "discriminator": MLPSpec(128, noise=0.3),
    "n_epochs": 40, "batch_size": 100,
}  # fmt: skip
fits = [
    CatGANFeatures(n_clusters=10, r1_weight=1.0, random_state=seed, **settings).fit(X_train)
    for seed in range(3)
]
losses = [fit.history_[-1]["discriminator_loss"] for fit in fits]
catgan = fits[int(np.argmin(losses))]
kmeans = KMeans(10, n_init=10, random_state=0).fit(X_train)

# %%
# Clusters have no order. So they are matched with the digits one to one, by the best match on the
# training digits. The accuracy is measured with this match, on digits that were not seen.


def matched(clusters, digits):
    """The digit that each cluster stands for, by the best one-to-one match."""
    together = np.zeros((10, 10))
    np.add.at(together, (clusters, digits), 1)
    return linear_sum_assignment(-together)[1]


for loss, fit in zip(losses, fits, strict=True):
    digit = matched(fit.labels_, y_train)
    chosen = ", chosen" if fit is catgan else ""
    print(f" CatGAN: {np.mean(digit[fit.predict(X_test)] == y_test):.2f}, loss {loss:.2f}{chosen}")
digit = matched(kmeans.labels_, y_train)
print(f"k-means: {np.mean(digit[kmeans.predict(X_test)] == y_test):.2f}")

# %%
# k-means is the better clusterer of digits this small. Each row below has members of one cluster
# of the CatGAN. Some clusters are of one digit, and some mix two or three.

rows = [X_train[np.flatnonzero(catgan.labels_ == k)[:15]] for k in np.unique(catgan.labels_)]
rows = [np.pad(row, ((0, 15 - len(row)), (0, 0))) for row in rows]
SampleDisplay(np.concatenate(rows).reshape(-1, 1, 8, 8) / 16).plot(n_columns=15)

# %%
# Few labels
# ----------
# Three digits of each class have a label, and the other training digits have -1.
# `CatGANClassifier` plays the same game, and the labels say which category is which digit.

rng = np.random.default_rng(0)
few = np.full(len(y_train), -1)
for digit in range(10):
    chosen = rng.permutation(np.flatnonzero(y_train == digit))[:3]
    few[chosen] = digit
known = few >= 0

classifier = CatGANClassifier(random_state=0, **settings).fit(X_train, few)
spreading = LabelSpreading(kernel="knn", n_neighbors=7).fit(X_train, few)
logistic = LogisticRegression(max_iter=2000).fit(X_train[known], few[known])

for name, model in (
    ("CatGAN, 30 labels", classifier),
    ("label spreading, 30 labels", spreading),
    ("logistic regression, 30 labels", logistic),
):
    print(f"{name:>30}: {model.score(X_test, y_test):.2f}")

# %%
# With these 30 labels the CatGAN is far ahead of a classifier that sees nothing else, and about
# level with label spreading, which takes no training. Below are samples of its generator. Good
# samples are not the aim of this game: the generator has to make what the discriminator is sure
# of.

SampleDisplay.from_estimator(classifier, n_samples=30, n_columns=10, random_state=0)

plt.show()
