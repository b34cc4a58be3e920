"""
A table, in a ColumnTransformer
===============================

Estimators of skgan take tables as well: columns are standardised, and the networks are dense.
This example encodes the 30 measured columns of the breast cancer data within a
`ColumnTransformer`, beside a column of words, and compares the codes with the columns themselves
and with principal components, for few and for many labels.
"""

# %%
# A mixed table
# -------------
# 569 samples with 30 measurements each. The column of words is made up, and says nothing.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skgan import AutoencoderFeatures, BiGANEncoder, MLPSpec

X, y = load_breast_cancer(return_X_y=True)
rng = np.random.default_rng(0)
clinic = rng.choice(["east", "west"], len(X))
table = np.column_stack([X.astype(object), clinic])
numbers, words = list(range(30)), [30]

# %%
# Two encoders
# ------------
# An autoencoder and a BiGAN, with codes of as many numbers as PCA has components. For a table of
# few columns the discriminator goes without batch norm, which would hide means and variances from
# it.

settings = {"latent_dim": 6, "output": "latent", "n_epochs": 100, "lr": 1e-3, "random_state": 0}
spec = MLPSpec(64)
encoders = {
    "all 30 columns": "passthrough",
    "PCA, 6 components": make_pipeline(StandardScaler(), PCA(6)),
    "autoencoder, 6 numbers": AutoencoderFeatures(encoder=spec, generator=spec, **settings),
    "BiGAN, 6 numbers": BiGANEncoder(
        encoder=spec, generator=spec, discriminator=spec, norm="none", **settings
    ),
}


def encoded(encoder):
    """The features of all samples; no label is read."""
    columns = ColumnTransformer([("codes", encoder, numbers), ("words", OneHotEncoder(), words)])
    return np.asarray(columns.fit_transform(table), dtype=float)


features = {name: encoded(encoder) for name, encoder in encoders.items()}

# %%
# Few and many labels
# -------------------
# A logistic regression on 10, 30, 100 and 300 labelled samples, with twenty draws of them.

budgets = (10, 30, 100, 300)
classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, Z in features.items():
    means = []
    for n in budgets:
        draws = StratifiedShuffleSplit(20, train_size=n, test_size=200, random_state=0)
        means.append(cross_val_score(classifier, Z, y, cv=draws).mean())
    print(f"{name:>23}: {'  '.join(f'{mean:.3f}' for mean in means)}")
    ax.plot(budgets, means, marker="o", label=name)
ax.set(xscale="log", xlabel="labelled samples", ylabel="accuracy", xticks=budgets)
ax.set_xticklabels(budgets)
ax.minorticks_off()
ax.legend()

# %%
# With ten labels the six numbers of the BiGAN are ahead, since a classifier has less to learn
# from them than from 30 columns. With 100 labels and more nothing is better than the columns
# themselves, and the BiGAN has lost what it did not encode. So measure on your own table: a gain
# is likely only where labels are few.
#
# A map
# -----
# With two numbers a code can be drawn. Labels are used for the colours alone. Both maps keep the
# two classes about equally well apart, so the linear one is the better choice here.

maps = {
    "PCA": make_pipeline(StandardScaler(), PCA(2)).fit_transform(X),
    "autoencoder": AutoencoderFeatures(
        encoder=spec, generator=spec, **settings | {"latent_dim": 2, "n_epochs": 200}
    ).fit_transform(X),
}
fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, (name, Z) in zip(axes, maps.items(), strict=True):
    for k, label in enumerate(("malignant", "benign")):
        ax.scatter(*Z[y == k].T, s=12, alpha=0.6, label=label)
    ax.set(title=name, xticks=[], yticks=[])
axes[0].legend()

plt.show()
