"""
Unusual digits: scores and thresholds
=====================================

A detector is trained on images of ordinary digits, and then has to find images that are not: here
digits turned upside down, blotted, or with their halves exchanged. `GANOutlierDetector` puts a
threshold on the score of any estimator of skgan. This example looks at the scores, sets the
threshold for a rate of false alarms, and compares the detector with those of scikit-learn.
"""

# %%
# Ordinary and unusual images
# ---------------------------
# The digits 2, 4 and 7 are ordinary: they look different when they are turned. Three kinds of
# unusual images are made of ordinary ones that were not seen in training.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor

from skgan import AutoencoderFeatures, MLPSpec
from skgan.inspection import SampleDisplay
from skgan.tools import GANOutlierDetector

rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)
X = X[np.isin(y, (2, 4, 7))]
X_train, X_test = train_test_split(X, test_size=0.4, random_state=0)
X_test, X_threshold = X_test[:140], X_test[140:]


def blotted(images):
    images = images.reshape(-1, 8, 8).copy()
    for image in images:
        top, left = rng.integers(0, 6, 2)
        image[top : top + 3, left : left + 3] = 16 - image[top : top + 3, left : left + 3]
    return images.reshape(-1, 64)


unusual = {
    "upside down": X_test[:, ::-1],
    "halves exchanged": np.roll(X_test.reshape(-1, 8, 8), 4, axis=1).reshape(-1, 64),
    "blotted": blotted(X_test),
}

# %%
# The detector
# ------------
# The score is minus the error with which an autoencoder reproduces an image. An autoencoder that
# has seen ordinary digits alone reproduces those best.

autoencoder = AutoencoderFeatures(
    image_shape=(8, 8), encoder=MLPSpec(128), generator=MLPSpec(128), latent_dim=12, lr=1e-3,
    n_epochs=200, batch_size=64, random_state=0,
)  # fmt: skip
detector = GANOutlierDetector(autoencoder).fit(X_train)

# %%
# For each kind, the images in the first row, what the autoencoder makes of them in the second.

fig, axes = plt.subplots(4, 1, figsize=(8, 7.2), layout="constrained")
for ax, (name, images) in zip(axes, {"ordinary": X_test, **unusual}.items(), strict=True):
    back = detector.gan_.reconstruct(images[:12]).clip(0, 16)
    sheet = np.concatenate([images[:12], back]).reshape(-1, 1, 8, 8) / 16
    SampleDisplay(sheet).plot(n_columns=12, ax=ax)
    ax.set_title(name)

# %%
# Scores and the threshold
# ------------------------
# The threshold of `fit` is set by the training images, on which errors are smaller than on new
# ones. For a chosen rate of false alarms, set it by ordinary images that were kept out: here 5 %
# of them.

print(f"false alarms with the threshold of fit: {np.mean(detector.predict(X_test) == -1):.1%}")
detector.offset_ = np.percentile(detector.score_samples(X_threshold), 5)
print(f"with the threshold of kept images: {np.mean(detector.predict(X_test) == -1):.1%}")

fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
bins = np.geomspace(2e-3, 2, 50)
for name, images in {"ordinary": X_test, **unusual}.items():
    caught = np.mean(detector.predict(images) == -1)
    label = f"{name}: {caught:.0%} called unusual"
    ax.hist(-detector.score_samples(images), bins, histtype="stepfilled", alpha=0.45, label=label)
ax.axvline(-detector.offset_, color="black", linestyle="--", label="threshold")
ax.set(xscale="log", xlabel="error of the reconstruction, minus the score", ylabel="images")
ax.legend()

# %%
# The threshold of `fit` calls nearly all new images unusual here: after 200 epochs the
# autoencoder knows the few training images by heart. Where you cannot keep images out, train for
# less long.

# %%
# Beside scikit-learn's detectors
# -------------------------------
# The area under the ROC curve, which needs no threshold. Look at this table before you train
# anything: on images this small, principal components and the local outlier factor are hard to
# beat.


class ByPCA:
    """Minus the error of a reconstruction from principal components."""

    def fit(self, X):
        self.pca = PCA(12, random_state=0).fit(X)
        return self

    def score_samples(self, X):
        return -np.square(X - self.pca.inverse_transform(self.pca.transform(X))).mean(axis=1)


others = {
    "autoencoder": detector,
    "12 principal components": ByPCA().fit(X_train),
    "local outlier factor": LocalOutlierFactor(novelty=True).fit(X_train),
    "isolation forest": IsolationForest(random_state=0).fit(X_train),
}
print(f"{'':>24}" + "".join(f"{name:>18}" for name in unusual))
for name, model in others.items():
    usual = model.score_samples(X_test)
    aucs = [
        roc_auc_score(np.repeat([1, 0], 140), np.concatenate([usual, model.score_samples(images)]))
        for images in unusual.values()
    ]
    print(f"{name:>24}" + "".join(f"{auc:18.3f}" for auc in aucs))

# sphinx_gallery_thumbnail_number = 2
plt.show()
