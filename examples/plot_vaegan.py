"""
Reconstructions, and a direction that means something
=====================================================

A VAE/GAN is a variational autoencoder that measures its errors in a layer of a discriminator
instead of in pixels, while its decoder plays a GAN's game against the same discriminator. This
example shows its reconstructions of 8x8 digits beside those of PCA with as many numbers, and
moves codes along the vector of an attribute: how thick the strokes are.
"""

# %%
# Train
# -----
# In a network this small, the discriminator's layer is compared after its batch norm, which gives
# its units a known scale.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skgan import MLPSpec, VAEGANEncoder
from skgan.inspection import SampleDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=400, random_state=0)

spec = MLPSpec(128)
vaegan = VAEGANEncoder(
    image_shape=(8, 8), generator=spec, encoder=spec, discriminator=spec, latent_dim=16,
    likelihood_tap="norm", gamma=1e-4, lr=1e-3, n_epochs=60, random_state=0,
)  # fmt: skip
vaegan.fit(X_train)

# %%
# Reconstruct
# -----------
# The first row has digits that were not seen in training. Below each is what the VAE/GAN makes of
# its code of 16 numbers, and then what PCA makes of its 16 numbers.

pca = PCA(16, random_state=0).fit(X_train)
by_pca = pca.inverse_transform(pca.transform(X_test))
by_vaegan = vaegan.reconstruct(X_test)

shown = [int(np.flatnonzero(y_test == digit)[0]) for digit in range(10)]
rows = np.concatenate([images[shown] for images in (X_test, by_vaegan, by_pca)])
SampleDisplay(rows.clip(0, 16).reshape(-1, 1, 8, 8) / 16).plot(n_columns=10)

# %%
# PCA minimises errors of pixels, and a VAE/GAN does not. So PCA's errors are smaller. The ratio
# is to the error of mismatched pairs. A ratio of 1 would mean that a reconstruction has nothing
# to do with its digit.

for name, images in (("VAE/GAN", by_vaegan), ("PCA", by_pca)):
    error = np.linalg.norm(X_test - images, axis=1).mean()
    mismatched = np.linalg.norm(X_test - np.roll(images, 1, axis=0), axis=1).mean()
    print(f"{name:>7}: error {error:.1f}, ratio {error / mismatched:.2f}")

# %%
# Along an attribute
# ------------------
# The attribute is whether a digit has more ink than the median of its class, so that it does not
# say which digit it is. Its vector is the mean code of the training digits that have it, minus
# that of the others. In each row it is added to the code of an unseen digit, -3 to 3 times.

ink = X_train.sum(axis=1)
typical = np.array([np.median(ink[y_train == digit]) for digit in range(10)])
vector = vaegan.attribute_vector(X_train, ink > typical[y_train])

times = np.linspace(-3, 3, 9)
codes = vaegan.transform(X_test[shown])
moved = (codes[:, None] + times[:, None] * vector).reshape(-1, codes.shape[1])
SampleDisplay(vaegan.inverse_transform(moved).reshape(-1, 1, 8, 8) / 16).plot(n_columns=9)

# %%
# This is the mean ink of all unseen digits, moved -3, -1.5, 0, 1.5 and 3 times along the vector.
# Moving as far in a random direction changes it less.

codes = vaegan.transform(X_test)
random = np.random.default_rng(0).normal(size=len(vector))
random *= np.linalg.norm(vector) / np.linalg.norm(random)
for name, direction in (("ink", vector), ("random", random)):
    means = [vaegan.inverse_transform(codes + t * direction).sum(axis=1).mean() for t in times[::2]]
    print(f"{name:>6}: {np.round(means).astype(int)}")

plt.show()
