"""
What unlabelled digits add to a few labels
==========================================

This classifier sees thirty labelled digits, and plays a GAN's game with all other digits: real
digits belong to one of ten classes, and generated ones to none. The generator matches the means
of the classifier's last hidden layer. This example compares the classifier with the same network
trained on the labels alone, and with methods of scikit-learn that need no network.
"""

# %%
# Thirty labels
# -------------
# Three digits of each class have a label. -1 says that a training digit has none.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.semi_supervised import LabelSpreading

from skgan import FeatureMatchingClassifier, MLPSpec
from skgan.inspection import SampleDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=400, random_state=0)


def few_labels(seed):
    """y_train with three labels a class, and -1 elsewhere."""
    rng, few = np.random.default_rng(seed), np.full(len(y_train), -1)
    for digit in range(10):
        few[rng.permutation(np.flatnonzero(y_train == digit))[:3]] = digit
    return few


# %%
# Train
# -----
# With `unlabelled_weight=0` there is no GAN: the same network learns from the labelled digits
# alone, in as many steps. As in the paper, there is noise in the layers.

settings = {
    "image_shape": (8, 8), "generator": MLPSpec(128),
    "discriminator": MLPSpec(128, n_layers=2, noise=0.3), "n_epochs": 60, "batch_size": 100,
    "random_state": 0,
}  # fmt: skip
models = {
    "with the GAN": FeatureMatchingClassifier(**settings),
    "the classifier alone": FeatureMatchingClassifier(unlabelled_weight=0, **settings),
    "label spreading": LabelSpreading(kernel="knn", n_neighbors=7),
    "logistic regression": LogisticRegression(max_iter=2000),
}

accuracy = {name: [] for name in models}
for seed in range(2):
    few = few_labels(seed)
    for name, model in models.items():
        rows = few >= 0 if name == "logistic regression" else slice(None)
        model.fit(X_train[rows], few[rows])
        accuracy[name].append(model.score(X_test, y_test))

# %%
# This is the accuracy on digits that were not seen, for each of two draws of the labels.

for name, values in accuracy.items():
    print(f"{name:>20}: {'  '.join(f'{value:.3f}' for value in values)}")

# %%
# The unlabelled digits add much to what the same network learns from the labels alone. But label
# spreading, which only looks for near neighbours, makes more of them: in 64 pixels, neighbours
# are most of what there is to find.

# %%
# Generated digits
# ----------------
# These are samples of the last fit. They need not be good for the classifier to be good, since it
# learns from samples that lie beside the data.

SampleDisplay.from_estimator(models["with the GAN"], n_samples=30, n_columns=10, random_state=0)

plt.show()
