"""
Images of many bands, each in its own unit
==========================================

Satellites measure more than red, green and blue: reflectances in the near infrared, temperatures
in kelvin, and more. This example synthesises small scenes of six bands and five kinds of land,
and learns features from them without labels. It shows why bands with different units need a value
range each, and when a look at the mean of every band is enough.
"""

# %%
# Scenes
# ------
# Six bands: four reflectances, a vegetation index between -1 and 1, and a temperature in kelvin.
# Forests, orchards and fields are all green: on average they differ little, but trees of an orchard
# stand in rows, a forest is a mass of crowns, and a field is even. Light and weather change from
# scene to scene.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skgan import ContrastiveDiscriminatorFeatures
from skgan.evaluation import LabelBudgetSplit
from skgan.tools import RandomPatchFeatures

SIDE, BANDS = 16, ("blue", "green", "red", "near infrared", "index", "temperature")
LAND = ("water", "forest", "orchard", "field", "town")


def cover(kind, rng):
    """How much of each pixel is covered by plants, or by buildings in a town; in [0, 1]."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    if kind == "water":
        return np.zeros((SIDE, SIDE))
    if kind == "field":
        return 0.5 + 0.1 * gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3) * 5
    if kind == "forest":
        grain = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 0.8)
        return np.clip(0.5 + 0.8 * grain, 0, 1)
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = -rows * np.sin(angle) + columns * np.cos(angle)
    if kind == "orchard":
        return 0.5 + 0.5 * np.sin(2 * np.pi * along / 4 + phase)
    streets = (np.sin(2 * np.pi * along / 6 + phase) > 0.6) | (np.sin(2 * np.pi * across / 6) > 0.6)
    return 1.0 - streets


def scene(kind, rng):
    share = cover(kind, rng)[..., None]
    ground = np.array([0.12, 0.16, 0.20, 0.26])
    plants = np.array([0.04, 0.09, 0.05, 0.45])
    if kind == "water":
        ground = plants = np.array([0.06, 0.05, 0.03, 0.02])
    if kind == "town":
        ground, plants = np.array([0.10, 0.10, 0.11, 0.12]), np.array([0.24, 0.24, 0.26, 0.30])
    reflectance = share * plants + (1 - share) * ground
    reflectance *= rng.uniform(0.6, 1.4) * (1 + 0.06 * rng.normal(size=(SIDE, SIDE, 4)))
    red, infrared = reflectance[..., 2], reflectance[..., 3]
    index = (infrared - red) / (infrared + red)
    warm = {"water": 285.0, "town": 301.0}.get(kind, 295.0)
    temperature = warm + rng.normal(0, 6) - 4 * (index - 0.3) + 0.3 * rng.normal(size=(SIDE, SIDE))
    return np.concatenate([reflectance, index[..., None], temperature[..., None]], axis=2)


rng = np.random.default_rng(0)
y = rng.integers(0, 5, 800)
X = np.stack([scene(LAND[k], rng) for k in y]).astype(np.float32)
X_train, X_test, y_train, y_test = X[:400], X[400:], y[:400], y[400:]
print(f"X {X.shape}: from {X.min():.2f} to {X.max():.2f}")

fig, axes = plt.subplots(3, 5, figsize=(9, 5.6), layout="constrained")
for k, column in enumerate(axes.T):
    first = X_train[y_train == k][:2]
    for ax, image in zip(column, first, strict=False):
        ax.imshow(np.clip(image[..., [3, 2, 1]] / 0.5, 0, 1))  # plants appear red
    column[2].imshow(first[1][..., 5], cmap="inferno", vmin=275, vmax=310)
    column[0].set_title(LAND[k])
axes[0, 0].set_ylabel("infrared, red, green")
axes[1, 0].set_ylabel("another scene")
axes[2, 0].set_ylabel("its temperature")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])

# %%
# A range for each band
# ---------------------
# Networks see values between -1 and 1. One range for all bands would be set by the temperatures, so
# that all reflectances fall on nearly the same number. `fit` warns of this. With one pair for each
# band, all bands fill their range.

ranges = [(float(X_train[..., k].min()), float(X_train[..., k].max())) for k in range(len(BANDS))]
for band, (low, high) in zip(BANDS, ranges, strict=True):
    print(f"{band:>14}: {low:7.2f} to {high:7.2f}")

gan = ContrastiveDiscriminatorFeatures.from_preset(
    "best", data_format="channels_last", augment=("shift", "flip"), n_epochs=6, random_state=0
)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    one_range = clone(gan).fit(X_train)
print(caught[0].message)
each_band = clone(gan).set_params(value_range=ranges).fit(X_train)

# %%
# What the features are worth
# ---------------------------
# Two, five and twenty labels for each kind of land, and ten draws of them; a linear classifier on
# standardised features. Mean and spread of every band are often used in practice, and need no
# training.


def band_statistics(X):
    return np.concatenate([X.mean(axis=(1, 2)), X.std(axis=(1, 2))], axis=1)


low, high = np.array(ranges).T
scaled = ((X - low) / (high - low)).transpose(0, 3, 1, 2)  # patches have no range for each band
patches = RandomPatchFeatures(n_patches=256, random_state=0).fit(scaled[:400])
untrained = clone(each_band).set_params(n_epochs=0).fit(X_train)
features = {
    "mean and spread of each band": band_statistics(X_test),
    "all pixels": X_test.reshape(len(X_test), -1),
    "random patches": patches.transform(scaled[400:]),
    "untrained, a range for each band": untrained.transform(X_test),
    "trained, one range": one_range.transform(X_test),
    "trained, a range for each band": each_band.transform(X_test),
}
classifier = make_pipeline(StandardScaler(), LinearSVC(C=0.01))
budgets = (2, 5, 20)
print(f"{'labels of each kind':>33}" + "".join(f"{n:8d}" for n in budgets))
for name, Z in features.items():
    scores = [
        cross_val_score(
            classifier, Z, y_test, cv=LabelBudgetSplit(n_labels=n, n_splits=10, random_state=0)
        ).mean()
        for n in budgets
    ]
    print(f"{name:>33}" + "".join(f"{score:8.3f}" for score in scores))

# %%
# With one range for all bands next to nothing can be learnt. With a range for each band, training
# adds a little to the untrained network. But twelve simple numbers are the better features with two
# labels, and whitened random patches with twenty: kinds of land such as these need no learning.
# Where a table like this turns out so, save yourself the training.

# sphinx_gallery_thumbnail_number = 1
plt.show()
