"""
Samples of a class
==================

An AC-GAN's generator is given a class, and its discriminator has a second head that names the class
of every sample, real or generated. This example asks for 8x8 digits of each class, checks with a
classifier that knows nothing of the GAN whether they are what was asked for, and whether they can
teach a classifier in place of real ones.
"""

# %%
# Train
# -----
# Labels are what this game is about, so `fit` takes them.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from skgan import ACGANFeatures, MLPSpec
from skgan.inspection import HistoryDisplay, SampleDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=400, random_state=0)

acgan = ACGANFeatures(
    image_shape=(8, 8), generator=MLPSpec(128), discriminator=MLPSpec(128), latent_dim=32,
    n_epochs=60, batch_size=100, lr=5e-4, random_state=0,
)  # fmt: skip
acgan.fit(X_train, y_train)
HistoryDisplay.from_estimator(acgan)

# %%
# Digits that were asked for
# --------------------------
# A column of each class, 0 to 9, and a draw of the noise in each row.

asked = np.tile(np.arange(10), 140)
samples = acgan.sample(len(asked), random_state=0, y=asked)
SampleDisplay(samples[:60].reshape(-1, 1, 8, 8) / 16).plot(n_columns=10)

# %%
# Are they what was asked for?
# ----------------------------
# An SVM that has learnt real digits names the generated ones. How often it names unseen real digits
# rightly is what it can be trusted with.

svm = SVC(C=10).fit(X_train, y_train)
print(f"generated digits named as asked: {svm.score(samples, asked):.3f}")
print(f"unseen real digits named rightly: {svm.score(X_test, y_test):.3f}")

# %%
# That says nothing about variety: one good sample of each class, repeated, would score as well.
# That is how this game may end: with `norm="none"` and `lr=1e-3`, all samples of a class here are
# nearly the same. So the other way round: an SVM learns 1,400 generated digits, and names real
# ones; and the distances of samples to the mean of their class, beside those of real digits.

taught = SVC(C=10).fit(samples, asked)
print(f"unseen real digits, by an SVM taught by generated ones: {taught.score(X_test, y_test):.3f}")


def spread(images, classes):
    """Mean distance of images to the mean of their class."""
    means = np.array([images[classes == k].mean(axis=0) for k in range(10)])
    return np.linalg.norm(images - means[classes], axis=1).mean()


print(f"distance to the mean of the class: generated {spread(samples, asked):.1f}, "
      f"real {spread(X_train, y_train):.1f}")  # fmt: skip

# %%
# The discriminator classifies as well
# ------------------------------------
# Its second head is a classifier of its own, which has seen the same labels as the SVM. The SVM is
# the better one on digits this small.

print(f"AC-GAN {acgan.score(X_test, y_test):.3f}, SVM {svm.score(X_test, y_test):.3f}")

plt.show()
