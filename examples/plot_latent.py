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
