"""
Samples of a class
==================

An AC-GAN's generator is given a class, and its discriminator has a second head that names the
class of every sample, real or generated. This example asks for 8x8 digits of each class, checks
with a classifier that knows nothing of the GAN whether they are what was asked for, and whether
they can teach a classifier in place of real ones.
"""

# %%
# Train
# -----
# This game is about labels, so `fit` takes them.

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
# Each column has samples of one class, from 0 to 9.

asked = np.tile(np.arange(10), 140)
samples = acgan.sample(len(asked), random_state=0, y=asked)
SampleDisplay(samples[:60].reshape(-1, 1, 8, 8) / 16).plot(n_columns=10)

# %%
# Are they what was asked for?
# ----------------------------
# An SVM that was trained on real digits classifies the generated ones. How far it can be trusted
# is shown by its accuracy on real digits that it has not seen.

svm = SVC(C=10).fit(X_train, y_train)
print(f"generated digits named as asked: {svm.score(samples, asked):.3f}")
print(f"unseen real digits named rightly: {svm.score(X_test, y_test):.3f}")

# %%
# That says nothing about variety: one good sample of each class, repeated, would score as well.
# This game can end in that way: with `norm="none"` and `lr=1e-3`, all samples of a class are
# nearly the same here. So the test is turned round as well: an SVM is trained on 1,400 generated
# digits, and classifies real ones. Also compare the distances of samples to the mean of their
# class with those of real digits.

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
# Its second head is a classifier, which has seen the same labels as the SVM. On digits this
# small, the SVM is the better one.

print(f"AC-GAN {acgan.score(X_test, y_test):.3f}, SVM {svm.score(X_test, y_test):.3f}")

plt.show()
