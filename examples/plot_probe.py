"""
What are my features worth?
===========================

Features are worth something if a simple classifier needs few labels on them. This example measures
the recommended preset on handwritten digits, next to features that need no GAN: raw pixels,
principal components, whitened random patches, and the same network before training. Then it looks
at nearest neighbours, which show what features take for alike.
"""

# %%
# Train without labels
# --------------------
# The preset is a discriminator's layers that learn by contrast: two random changes of the same
# digit should give similar features, and changes of different digits should not.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors

from skgan import ContrastiveDiscriminatorFeatures
from skgan.evaluation import probe
from skgan.inspection import LabelBudgetDisplay, ProbeTableDisplay, untrained_copy
from skgan.tools import RandomPatchFeatures

X, y = load_digits(return_X_y=True)  # 1,797 digits of 8x8 pixels, as rows of 64 numbers
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=500, random_state=0)

gan = ContrastiveDiscriminatorFeatures.from_preset(
    "best", image_shape=(8, 8), n_epochs=20, random_state=0
)
gan.fit(X_train)

# %%
# Measure
# -------
# For every number of labels and every draw, all features are judged with the same labelled digits.
# The classifier is a linear SVM, whose setting is chosen among the labelled digits alone.

result = probe(
    FrozenEstimator(gan), X_train, y_train, X_test, y_test, n_labels=(2, 5, 10), n_draws=5,
    selection="first", random_state=0,
)  # fmt: skip
LabelBudgetDisplay.from_result(result)

# %%
# The same as a table, and the differences to the trained features on the same labelled digits. The
# comparison that says what training has contributed is the one with the untrained network. That
# with random patches says whether training was worth its time: the fewer the labels, the more.

ProbeTableDisplay.from_result(result)
print(result)

# %%
# Nearest neighbours
# ------------------
# For every test digit, the share of its eight nearest training digits that are the same digit, by
# four kinds of features. Below, the five test digits for which pixels fail most. A frame in red
# marks a neighbour that is another digit.

features = {
    "pixels": lambda X: X,
    "random patches": RandomPatchFeatures(image_shape=(8, 8), random_state=0)
    .fit(X_train)
    .transform,
    "untrained": untrained_copy(gan, X_train).transform,
    "trained": gan.transform,
}
found = {}
for name, f in features.items():
    search = NearestNeighbors(n_neighbors=8).fit(f(X_train))
    found[name] = search.kneighbors(f(X_test), return_distance=False)
    right = (y_train[found[name]] == y_test[:, None]).mean()
    print(f"{name:>15}: {right:.3f} of the 8 nearest neighbours are the same digit")

wrong = (y_train[found["pixels"]] != y_test[:, None]).sum(axis=1)
queries = np.argsort(-wrong, kind="stable")[:5]

widths = [1, 0.3] + [1] * 8 + [0.3] + [1] * 8
fig, axes = plt.subplots(5, 19, figsize=(10, 3.2), width_ratios=widths)
for row, query in zip(axes, queries, strict=True):
    shown = [X_test[query], None, *X_train[found["pixels"][query]], None,
             *X_train[found["trained"][query]]]  # fmt: skip
    digits = [y_test[query], None, *y_train[found["pixels"][query]], None,
              *y_train[found["trained"][query]]]  # fmt: skip
    for ax, image, digit in zip(row, shown, digits, strict=True):
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(digit is not None and digit != y_test[query])
        ax.spines[:].set(color="red", linewidth=2)
        if image is not None:
            ax.imshow(image.reshape(8, 8), cmap="gray_r")
for column, title in ((0, "digit"), (2, "nearest by pixels"), (11, "nearest by trained features")):
    axes[0, column].set_title(title, fontsize=9, loc="left")
fig.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=0.92, wspace=0.1, hspace=0.15)

# %%
# Trained features find more of the same digits. They are not free of errors either: what is alike
# under a shift, a turn and a bend may still be two digits, such as some 3s and 9s.

# sphinx_gallery_thumbnail_number = 3
plt.show()
