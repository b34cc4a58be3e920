"""
Is it the game, or the other terms?
===================================

Triple-GAN's classifier learns from thirty labelled digits, and from a generator and a
discriminator. The released code adds two terms that need neither of the two: the entropy of the
classifier's probabilities, and their mean. To see what each part contributes, this example
switches the parts off one after the other.
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

from skgan import MLPSpec, TripleGANClassifier
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
# The classifier is the same in all models, and takes the same number of steps.

settings = {
    "image_shape": (8, 8), "generator": MLPSpec(128), "discriminator": MLPSpec(128, noise=0.3),
    "classifier": MLPSpec(128, n_layers=2, noise=0.3), "n_epochs": 40, "batch_size": 100,
    "generated_start": 12, "random_state": 0,
}  # fmt: skip
no_game = {"adversarial_weight": 0.0, "generated_weight": 0.0}
models = {
    "Triple-GAN": TripleGANClassifier(**settings),
    "without D's verdict": TripleGANClassifier(**settings, adversarial_weight=0.0),
    "without the game": TripleGANClassifier(**settings, **no_game),
    "labels alone": TripleGANClassifier(
        **settings, **no_game, entropy_weight=0.0, mean_weight=0.0
    ),
    "logistic regression": LogisticRegression(max_iter=2000),
}  # fmt: skip

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
# All of them are better than a network trained on the labels alone. But most of the gain is there
# without the game. It is due to the entropy, which asks for boundaries where there are few
# digits. With so few labels, the draws differ by more than the games do.

# %%
# Samples of a class
# ------------------
# Each column has samples of one digit, by the generator of the last fit, for which three of each
# digit had a label.

asked = np.tile(np.arange(10), 6)
samples = models["Triple-GAN"].sample(len(asked), random_state=0, y=asked)
SampleDisplay(samples.reshape(-1, 1, 8, 8) / 16).plot(n_columns=10)

plt.show()
