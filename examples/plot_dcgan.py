"""
A discriminator's features, trained and untrained
=================================================

A DCGAN is trained on digits without their labels, and the layers of its discriminator are the
features. This example shows the losses, the generated digits, and what the features are worth with
few labels, next to raw pixels, PCA, and the same network untrained.
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
# The losses
# ----------
# Neither loss goes to zero, because each network's loss depends on how good the other one is.

HistoryDisplay.from_estimator(gan)

# %%
# Generated digits
# ----------------

SampleDisplay.from_estimator(gan, n_samples=40, n_columns=10, random_state=0)

# %%
# What the features are worth
# ---------------------------
# A linear SVM on frozen features, with 2, 5 and 10 labels a class; means over ten draws of the
# labelled images, which are the same for all features. `FrozenEstimator` marks the extractor as
# fitted already.

result = probe(
    FrozenEstimator(gan), X_train, y_train, X_test, y_test, n_labels=(2, 5, 10), n_draws=10,
    selection="first", random_state=0,
)  # fmt: skip
print(result)

# %%
# Compare with the untrained network first: pooled random convolutions are not bad features, and
# only what exceeds them has been learnt. Then compare with raw pixels, which are better than both
# at this size, since 64 numbers leave little to be found. On digits of 28x28 the order is
# different: see `make demo`, and the table in the README.

plt.show()
