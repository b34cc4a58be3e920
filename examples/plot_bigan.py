"""
Encode digits, and decode them again
====================================

A BiGAN trains two networks at once: a generator that maps codes to images, and an encoder that
maps images to codes. Its loss has no reconstruction error. That the two networks come to invert
each other follows from the game alone, and this example shows how well they do so on 8x8 digits.
"""

# %%
# Train
# -----
# With `output="latent"`, `transform` returns the code itself, which the generator can decode. As
# features for a classifier, use the default, which is the layer before the code.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skgan import BiGANEncoder, MLPSpec

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=400, random_state=0)

spec = MLPSpec(128)
bigan = BiGANEncoder(
    image_shape=(8, 8), generator=spec, encoder=spec, discriminator=spec, latent_dim=16,
    norm="none", output="latent", n_epochs=100, batch_size=100, lr=2e-3, lr_decay="linear",
    ema_decay=0.99, random_state=0,
)  # fmt: skip
bigan.fit(X_train)

# %%
# Reconstruct
# -----------
# The first row has digits that were not seen in training, and the second row their
# reconstructions.

reconstructed = bigan.reconstruct(X_test)

fig, axes = plt.subplots(2, 10, figsize=(10, 2.3), layout="constrained")
for column, digit in zip(axes.T, range(10), strict=True):
    i = int(np.flatnonzero(y_test == digit)[0])
    for ax, row in zip(column, (X_test[i], reconstructed[i]), strict=True):
        ax.imshow(row.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("x")
axes[1, 0].set_ylabel("G(E(x))")

# %%
# The error alone says little. Its ratio to the error of mismatched pairs says more: a ratio of 1
# means that the reconstruction has nothing to do with the digit.

matched = np.linalg.norm(X_test - reconstructed, axis=1).mean()
mismatched = np.linalg.norm(X_test - np.roll(reconstructed, 1, axis=0), axis=1).mean()
print(f"matched {matched:.1f}, mismatched {mismatched:.1f}, ratio {matched / mismatched:.2f}")

# %%
# Between two digits
# ------------------
# These are points on the straight line between the codes of a 0 and a 6, decoded.

start, end = bigan.transform(X_test[[int(np.flatnonzero(y_test == d)[0]) for d in (0, 6)]])
line = bigan.inverse_transform(np.linspace(start, end, 10))

fig, axes = plt.subplots(1, 10, figsize=(10, 1.2), layout="constrained")
for ax, row in zip(axes, line, strict=True):
    ax.imshow(row.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
    ax.set(xticks=[], yticks=[])

plt.show()
