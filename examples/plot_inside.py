"""
What a discriminator looks at
=============================

This example shows pictures of what a GAN has learnt: which images its filters respond to and to
which part of them (guided backpropagation, beside the same network untrained), which filters of
the generator draw an object, whether some filters have collapsed, where samples lie in the space
of features, and what the features are worth with few labels, beside baselines.
"""

# %%
# Filters
# -------
# For each filter of the last layer, these are the four images to which it responds most. Below
# each is the part of the response's gradient that passes through positive gradients alone
# (Springenberg et al. 2014). On the left is the same network before training. Guided gradients
# show outlines even there, so look at which images a filter chooses, and whether these have
# something in common.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skgan import DCGANDiscriminatorFeatures, DCGANSpec
from skgan.evaluation import probe
from skgan.inspection import (
    FeatureMapDisplay,
    FilterActivity,
    FilterActivityDisplay,
    FilterResponseDisplay,
    GuidedBackpropDisplay,
    LabelBudgetDisplay,
    ObjectFilters,
    ProbeTableDisplay,
    SampleDisplay,
    oscillating_filters,
    untrained_copy,
)
from skgan.tools import draw_codes, generate

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=500, random_state=0)

activity = FilterActivity()
gan = DCGANDiscriminatorFeatures(
    image_shape=(8, 8), generator=DCGANSpec(32), discriminator=DCGANSpec(32), n_epochs=25,
    lr=5e-4, random_state=0,
)  # fmt: skip
gan.set_callbacks(activity).fit(X_train)

GuidedBackpropDisplay.from_estimator(gan, X_train, filters=range(4))

# %%
# These are the feature maps of the same filters on two images, and the images that excite them
# most.

FilterResponseDisplay.from_estimator(gan, X_train, layer=-1, filters=4, n_images=2)

# %%
# Filters that draw an object
# ---------------------------
# Half of these digits have a bright square in their corner, and a GAN learns to draw it. A box
# marks it wherever a sample has one. `ObjectFilters` finds the feature maps that are active there,
# and draws the same codes without them (Radford et al. 2016, sec. 6.3.1). Nearly half of all maps
# are dropped, so the comparison is with as many maps chosen at random. These change the rest of the
# image about as much, and take away less of the square.

marked = X_train.reshape(-1, 8, 8).copy()
marked[::2, :3, :3] = 16
drawer = DCGANDiscriminatorFeatures(
    generator=DCGANSpec(32), discriminator=DCGANSpec(32), latent_dim=20, n_epochs=40, lr=5e-4,
    random_state=0,
).fit(marked)  # fmt: skip
codes = draw_codes(drawer, 400, random_state=0)
has_square = generate(drawer, codes)[:, :3, :3].mean((1, 2)) > 8
objects = ObjectFilters(
    drawer, codes, [(0, 0, 3, 3) if has else None for has in has_square], random_state=0
)
n_maps, n_drawing = len(objects.weights), len(objects.drawing)
print(f"{n_drawing} of {n_maps} maps of layer {objects.layer} have a positive weight")

shown = codes[has_square][:9]
at_random = np.random.default_rng(0).choice(n_maps, n_drawing, replace=False)
rows = {
    "as generated": objects.images(shown, drop=0),
    "without the maps of the square": objects.images(shown),
    "without as many maps at random": objects.images(shown, drop=at_random),
}
fig, axes = plt.subplots(3, 1, figsize=(8, 3.4), layout="constrained")
rest = np.ones((8, 8), bool)
rest[:3, :3] = False
for ax, (title, images) in zip(axes, rows.items(), strict=True):
    SampleDisplay(images).plot(n_columns=9, ax=ax)
    change = np.abs(images - rows["as generated"])[:, 0, rest].mean()
    square = images[:, 0, :3, :3].mean()
    ax.set_title(f"{title}: brightness of the square {square:.2f}, change elsewhere {change:.2f}")

# %%
# Activity during training
# ------------------------
# Long training can collapse filters to one mode that oscillates (Radford et al. 2016, sec. 7).
# Such a filter hardly differs between samples, and its mean swings from epoch to epoch. The
# callback has recorded every filter. In a healthy run none is flagged.

print("flagged:", {k: v for k, v in oscillating_filters(activity.record).items() if len(v)})
FilterActivityDisplay.from_callback(activity)

# %%
# Where the samples lie
# ---------------------

fig, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
untrained = untrained_copy(gan, X_train)
for ax, (name, estimator) in zip(
    axes, {"trained": gan, "untrained": untrained}.items(), strict=True
):
    FeatureMapDisplay.from_estimator(estimator, X_test, y_test, ax=ax)
    ax.set_title(name)

# %%
# What the features are worth
# ---------------------------
# This is the accuracy of linear classifiers with few labels, on the features and on pixels,
# principal components, the untrained network and whitened random patches. On images of 8x8 pixels
# a plain GAN has little to add. A picture of clusters does not measure what features are worth.

result = probe(
    {"DCGAN": gan, "untrained": untrained}, X_train, y_train, X_test, y_test,
    baselines=("raw", "pca", "patches"), n_labels=(2, 5, 20, 50), n_draws=5, random_state=0,
    selection="first",
)  # fmt: skip
LabelBudgetDisplay.from_result(result)
ProbeTableDisplay.from_result(result)
plt.show()
