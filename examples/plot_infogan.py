"""
Codes that samples reveal
=========================

An InfoGAN's generator is given a category and two numbers in addition to its noise, and a second
network has to read both from the samples. So the codes come to stand for something visible. This
example shows what they stand for on 8x8 digits, and how well the category matches the digits,
although no digit was ever named. It compares with k-means, and with a passive InfoGAN whose
generator is not asked to reveal anything.
"""

# %%
# Train
# -----
# `categorical_weight` and `continuous_weight` are the weights of the information. With both at 0
# the generator is that of a plain GAN, and the network that reads the codes has no influence on
# it. `history_` says how much of the category can be read from samples.

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skgan import InfoGANExtractor, MLPSpec
from skgan.inspection import SampleDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=400, random_state=0)

settings = {
    "image_shape": (8, 8), "generator": MLPSpec(128), "discriminator": MLPSpec(128),
    "categories": (10,), "n_continuous": 2, "n_epochs": 60, "batch_size": 100, "lr": 5e-4,
    "generator_lr": 5e-4, "random_state": 0,
}  # fmt: skip
infogan = InfoGANExtractor(continuous_weight=0.1, **settings).fit(X_train)
passive = InfoGANExtractor(categorical_weight=0, continuous_weight=0, **settings).fit(X_train)

for name, gan in (("InfoGAN", infogan), ("passive", passive)):
    last = gan.history_[-1]
    print(f"{name}: {last['information_share']:.2f} of the entropy of the category")

# %%
# What the category stands for
# ----------------------------
# Each column has one category. Each row has its own noise and numbers. Where a column shows the
# same digit throughout, its category has come to stand for this digit. Some columns show two
# digits, and some digits have two columns: the game asks that categories can be read, not that
# they are digits.

grid = infogan.traverse("category0", n_rows=6, random_state=0)
SampleDisplay(grid.reshape(-1, 1, 8, 8) / 16).plot(n_columns=10)

# %%
# What the numbers stand for
# --------------------------
# In each row one of the two numbers goes from -2 to 2, twice as far as in training, where it is
# between -1 and 1; all else is fixed.

values = np.linspace(-2, 2, 9)
fig, axes = plt.subplots(1, 2, figsize=(9, 4.3), layout="constrained")
for ax, code in zip(axes, ("continuous0", "continuous1"), strict=True):
    rows = infogan.traverse(code, values, n_rows=8, random_state=1)
    SampleDisplay(rows.reshape(-1, 1, 8, 8) / 16).plot(n_columns=9, ax=ax)
    ax.set_title(code)

# %%
# What changes can be measured: the ink of samples, and how far their strokes lean, in columns a
# row. Which number means what differs between seeds.

across, down = np.meshgrid(np.arange(8), np.arange(8))


def lean(images):
    """Covariance of column and row over the variance of the row, of the ink of every image."""
    weight = images.clip(1e-6) / images.clip(1e-6).sum(axis=1, keepdims=True)
    x, y = across.ravel(), down.ravel()
    centre_x, centre_y = (weight * x).sum(1, keepdims=True), (weight * y).sum(1, keepdims=True)
    covariance = (weight * (x - centre_x) * (y - centre_y)).sum(axis=1)
    return covariance / (weight * (y - centre_y) ** 2).sum(axis=1)


for code in ("continuous0", "continuous1"):
    for name, measure in (("ink", lambda images: images.sum(axis=1)), ("lean", lean)):
        columns = infogan.traverse(code, values[::2], n_rows=200, random_state=1).swapaxes(0, 1)
        print(f"{code}, {name:>4}: {np.round([measure(c).mean() for c in columns], 2)}")

# %%
# Categories and digits
# ---------------------
# Categories have no order, so they are matched with the digits one to one, as well as can be on
# the training digits. The accuracy is of the digits that were not seen, with that match.


def matched(categories, digits):
    """The digit that each category stands for, by the best one-to-one match."""
    together = np.zeros((10, 10))
    np.add.at(together, (categories, digits), 1)
    return linear_sum_assignment(-together)[1]


kmeans = KMeans(10, n_init=10, random_state=0).fit(X_train)
for name, clusterer in (("InfoGAN", infogan), ("passive", passive), ("k-means", kmeans)):
    digit = matched(clusterer.predict(X_train), y_train)
    print(f"{name:>8}: {np.mean(digit[clusterer.predict(X_test)] == y_test):.2f}")

# %%
# The information makes the category stand for a digit: the passive InfoGAN is far behind. But
# k-means is the better clusterer of digits this small, where distances of 64 pixels show most of
# what there is to find. Other seeds give other matches, and some of them are worse.

plt.show()
