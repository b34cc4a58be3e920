"""
Codes of given images, and edits
================================

A plain GAN turns codes z into images, and has no way back. `GANProjector` finds a code for each
image: the one from which the generator makes the closest image (Zhu et al. 2016). It uses an
encoder that `fit` trains, or follows the gradient, or both. Codes are features. An image can also
be changed through its code, so that the result stays something that the generator can draw.
"""

# %%
# A GAN, and three ways back
# --------------------------
# The GAN is frozen, so the projector uses it as it is. Errors are those of test images that
# neither has seen, relative to the error of the mean image. The encoder takes one pass through a
# network. "hybrid" begins where the encoder ends, and "optimization" begins at a draw from the
# prior.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skgan import DCGANDiscriminatorFeatures, DCGANSpec
from skgan.inspection import ReconstructionDisplay, SampleDisplay
from skgan.tools import GANProjector, nearest_real

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=300, random_state=0)

gan = DCGANDiscriminatorFeatures(
    image_shape=(8, 8), generator=DCGANSpec(32), discriminator=DCGANSpec(32), latent_dim=20,
    n_epochs=60, lr=5e-4, random_state=0,
).fit(X_train)  # fmt: skip
projector = GANProjector(FrozenEstimator(gan), encoder=DCGANSpec(32), random_state=0)
projector.fit(X_train)


def error(X, back):
    return np.square(X - back).mean() / np.square(X - X_train.mean(0)).mean()


for method, n_steps in (("encoder", 1), ("optimization", 25), ("hybrid", 25), ("hybrid", 200)):
    projector.set_params(method=method, n_steps=n_steps)
    print(f"{method}, {n_steps} steps: {error(X_test, projector.reconstruct(X_test)):.2f}")

ReconstructionDisplay.from_estimator(projector, X_test[:20])

# %%
# Reconstructions beside the nearest real images
# ----------------------------------------------
# Does the generator draw what it is given, or the training image that is most like it? Below test
# digits are their reconstructions, and below these the training images that are nearest to the
# reconstructions. The reconstructions are closer to the test digits than these are.

given = X_test[:10]
back = projector.reconstruct(given)
_, nearest = nearest_real(back, X_train)
real = X_train[nearest[:, 0]]
print(f"error of the reconstructions: {error(given, back):.2f}")
print(f"error of the training images nearest to them: {error(given, real):.2f}")
rows = np.concatenate([given, back, real]).reshape(-1, 1, 8, 8) / 16
display = SampleDisplay(rows.clip(0, 1)).plot(n_columns=10)
display.ax_.set_title("test digits, reconstructions, nearest training images")

# %%
# Codes as features
# -----------------
# A classifier by the five nearest neighbours, of codes and of pixels. Codes contain what the
# generator needs to draw an image. Nothing was done so that they tell digits apart.

for name, features in (("codes", projector.transform), ("pixels", lambda X: X)):
    neighbours = KNeighborsClassifier(5).fit(features(X_train), y_train)
    print(f"{name}: accuracy {neighbours.score(features(X_test), y_test):.3f}")

# %%
# An edit
# -------
# A stroke is painted on a digit. The mask says where, and the target says what should be there.
# The search weighs the stroke against the distance to the image's code and against the
# discriminator's judgement. The second row shows the path from the image to the edited one, as
# the generator draws it. The third row shows the same edit without the discriminator.

x = X_test[y_test == 1][0]
target, mask = x.copy().reshape(8, 8), np.zeros((8, 8))
mask[1:3, 1:6] = 1
target[mask == 1] = 14

fig, axes = plt.subplots(3, 1, figsize=(8, 4), layout="constrained")
painted = np.where(mask, target, x.reshape(8, 8))
SampleDisplay(np.stack([x.reshape(8, 8), mask * 16, painted])[:, None] / 16).plot(
    n_columns=3, ax=axes[0]
)
axes[0].set_title("the image, the mask, and what is asked for")
for ax, weight in zip(axes[1:], (0.1, 0.0), strict=True):
    edit = projector.edit(x, target.ravel(), mask, realism_weight=weight)
    SampleDisplay(edit.images.reshape(-1, 1, 8, 8) / 16).plot(n_columns=9, ax=ax)
    ax.set_title(
        f"realism_weight={weight}: error where the mask is {edit.constraint[-1]:.2f} "
        f"(at first {edit.constraint[0]:.2f}), logit {edit.realism[-1]:.1f}"
    )
plt.show()
