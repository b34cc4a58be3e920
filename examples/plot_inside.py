"""
What a discriminator looks at
=============================

This example shows pictures of what a GAN has learnt: which images its filters respond to and to
which part of them (guided backpropagation, beside the same network untrained), whether some
filters have collapsed, where samples lie in the space of features, and what the features are
worth with few labels, beside baselines.
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
    ProbeTableDisplay,
    oscillating_filters,
    untrained_copy,
)

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
