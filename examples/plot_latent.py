"""
Walks through codes, and copies
===============================

A generator turns codes into images. This example shows what lies between codes, what directions
among codes mean, and whether the images are new. It walks between codes, computes with averaged
codes as DCGAN's paper does (Radford et al. 2016), looks for the nearest real images, and finds
near duplicates in the training set itself.
"""

# %%
# A walk
# ------
# If images change smoothly along a walk between two codes, the generator has learnt more than a
# list of images. Draws of a uniform or normal prior have about the same length, and points on a
# line between them are shorter than either; a walk along the sphere keeps the length.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skgan import DCGANDiscriminatorFeatures, DCGANSpec
from skgan.inspection import SampleDisplay, TraversalDisplay
from skgan.tools import (
    attribute_vectors,
    combine_codes,
    draw_codes,
    find_near_duplicates,
    generate,
    memorisation_check,
    move_codes,
    turn_vector,
)

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=500, random_state=0)
gan = DCGANDiscriminatorFeatures(
    image_shape=(8, 8), generator=DCGANSpec(32), discriminator=DCGANSpec(32), latent_dim=20,
    n_epochs=40, lr=5e-4, random_state=0,
).fit(X_train)  # fmt: skip

TraversalDisplay.from_estimator(gan, between="draws", path="spherical", n_rows=5, random_state=1)

# %%
# Arithmetic on averaged codes
# ----------------------------
# A single code is unstable, so three of each kind are averaged. A classifier that was trained on
# real digits guesses which digit a sample shows. The first two rows are draws around the average
# codes of two digits. The last row leads from one to the other: the vector between the averages
# is added step by step.

codes = draw_codes(gan, 2000, random_state=0)
samples = generate(gan, codes)
digit = KNeighborsClassifier(5, weights="distance").fit(X_train, y_train).predict(samples)
print("samples of each digit:", np.bincount(digit, minlength=10))

zeros, sixes = codes[digit == 0], codes[digit == 6]
fig, axes = plt.subplots(3, 1, figsize=(8, 3.4), layout="constrained")
rows = {
    "around the mean of three 0s": combine_codes([zeros[:3]], random_state=0),
    "around the mean of three 6s": combine_codes([sixes[:3]], random_state=0),
    "a 0, and the turn vector to 6 added": move_codes(
        zeros[:1], turn_vector(zeros, sixes), np.linspace(0, 1.5, 9)
    ),
}
for ax, (title, z) in zip(axes, rows.items(), strict=True):
    SampleDisplay(generate(gan, z).reshape(-1, 1, 8, 8) / 16).plot(n_columns=9, ax=ax)
    ax.set_title(title)

# %%
# Minus
# -----
# DCGAN's paper adds and takes away: a man with glasses, minus a man, plus a woman. Here one kind
# of image is brighter than others, of the same digit: a bold 0, minus a thin 0, plus a thin 6. Of
# each of the averages only a few codes are used; the first image of the last row is their result,
# the others are draws around it.

ink = samples.mean(1)


def some(which, bold):
    """Three codes of a digit: of the boldest samples, or of the thinnest."""
    order = np.argsort(ink[digit == which])
    return codes[digit == which][order[-3:] if bold else order[:3]]


fig, axes = plt.subplots(4, 1, figsize=(8, 4.5), layout="constrained")
rows = {
    "a bold 0": combine_codes([some(0, bold=True)], random_state=0),
    "a thin 0": combine_codes([some(0, bold=False)], random_state=0),
    "a thin 6": combine_codes([some(6, bold=False)], random_state=0),
    "a bold 0 - a thin 0 + a thin 6": combine_codes(
        [some(0, bold=True), some(6, bold=False)], minus=[some(0, bold=False)], random_state=0
    ),
}
for ax, (title, z) in zip(axes, rows.items(), strict=True):
    images = generate(gan, z)
    SampleDisplay(images.reshape(-1, 1, 8, 8) / 16).plot(n_columns=9, ax=ax)
    ax.set_title(f"{title} (ink of the first: {images[0].mean():.1f})")

# %%
# Directions of attributes
# ------------------------
# `attribute_vectors` makes one direction of each attribute: the mean code of the samples that have
# it, minus that of the others (Larsen et al. 2016, sec. 4.1). Here attributes are more ink than
# usual, and a centre that lies left or right. Each row adds one direction to the same code.

columns = np.arange(64) % 8
attributes = np.column_stack([
    ink > np.median(ink), (samples * columns).sum(1) / samples.sum(1) > columns.mean()
])  # fmt: skip
vectors = attribute_vectors(codes, attributes)
fig, axes = plt.subplots(2, 1, figsize=(8, 2.6), layout="constrained")
for ax, vector, name in zip(axes, vectors, ("more ink", "to the right"), strict=True):
    z = move_codes(zeros[:3].mean(0, keepdims=True), vector, np.linspace(-2, 2, 9))
    SampleDisplay(generate(gan, z).reshape(-1, 1, 8, 8) / 16).plot(n_columns=9, ax=ax)
    ax.set_title(name)

# %%
# Are the images new?
# -------------------
# The distance of a sample to its nearest training image says little by itself. It is compared
# with that of real images that were not trained on. With a ratio near 1, samples are as far from
# the training images as new images are. With a ratio near 0 they are copies. `close_share` is
# about .01 for new samples, and shows a few copies among many samples: here 100 of 2,000 are
# planted.

for name, found in {
    "samples": memorisation_check(samples, X_train, X_test),
    "with 100 copies": memorisation_check(
        np.concatenate([samples[:1900], X_train[:100] + 0.5]), X_train, X_test
    ),
}.items():
    print(f"{name}: ratio {found.ratio:.2f}, close share {found.close_share:.3f}")

order = np.argsort(memorisation_check(samples, X_train, X_test).distances)[:12]
nearest = memorisation_check(samples, X_train, X_test).indices[order]
pairs = np.concatenate([samples[order], X_train[nearest]]).reshape(-1, 1, 8, 8) / 16
display = SampleDisplay(pairs).plot(n_columns=12)
display.ax_.set_title("the samples that are nearest to training images, and these below")

# %%
# Near duplicates
# ---------------
# Duplicates in the training set lead to memorisation. Here altered copies of 50 images, a little
# brighter and with noise, are put into the set. They are found as in DCGAN's paper, by a hash:
# which of the 128 hidden units of a denoising autoencoder are active.

rng = np.random.default_rng(0)
copies = X_train[:50] * 1.1 + rng.normal(0, 0.3, (50, 64))
found = find_near_duplicates(
    np.concatenate([X_train, copies]), image_shape=(8, 8), n_steps=400, random_state=0
)
of_copies = found.labels[len(X_train) :]
same = (of_copies >= 0) & (of_copies == found.labels[:50])
print(f"{same.mean():.0%} of the copies are in the group of their image;")
print(f"{np.mean(~found.keep[: len(X_train)]):.2%} of the images are called copies of others")
plt.show()
