"""
What a discriminator has learnt, and what it could do before
=============================================================

A DCGAN is trained on digits without their labels, and the layers of its discriminator are the
features. This example looks at the game, at what the generator draws, and at what the features are
worth with few labels: next to raw pixels, PCA, and the same network untrained.
"""

# %%
# Train
# -----

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split

from skgan import DCGANDiscriminatorFeatures, DCGANSpec
from skgan.evaluation import probe
from skgan.inspection import HistoryDisplay, SampleDisplay

X, y = load_digits(return_X_y=True)  # 1,797 digits of 8x8 pixels, as rows of 64 numbers
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=600, random_state=0)

gan = DCGANDiscriminatorFeatures(
    image_shape=(8, 8), generator=DCGANSpec(32), discriminator=DCGANSpec(32), n_epochs=60,
    batch_size=64, random_state=0,
)  # fmt: skip
gan.fit(X_train)

# %%
# The game
# --------
# Neither loss goes to zero: each player's depends on how good the other one is.

HistoryDisplay.from_estimator(gan)

# %%
# Digits that nobody wrote
# ------------------------

SampleDisplay.from_estimator(gan, n_samples=40, n_columns=10, random_state=0)

# %%
# What the features are worth
# ---------------------------
# A linear SVM on frozen features, with 2, 5 and 10 labels a class; means over ten draws of the
# labelled images, the same for all. `FrozenEstimator` says that the extractor is fitted already.

result = probe(
    FrozenEstimator(gan), X_train, y_train, X_test, y_test, n_labels=(2, 5, 10), n_draws=10,
    selection="first", random_state=0,
)  # fmt: skip
print(result)

# %%
# Compare with the untrained network first: random convolutions, pooled, are no bad features, and
# only what is above them has been learnt. Then with raw pixels, which at this size are better than
# both, since 64 numbers leave little to be found. On digits of 28x28 the order is another one: see
# `make demo`, and the table in the README.

plt.show()
