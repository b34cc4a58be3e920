"""
Many generators, one mode each
==============================

A GAN with one generator may leave out parts of the data. An MGAN has several generators, and a
classifier that tells which of them produced a sample; the generators' loss is lower if they can
be told apart. On a ring of eight Gaussians, each generator takes a mode of its own.
"""

# %%
# Train
# -----
# Two columns are a table, so the networks are dense. `norm="none"` is used because batch norm
# hides the mean and the variance of a batch from a small discriminator. With the large learning
# rate of the generators, a single generator collapses here.

import matplotlib.pyplot as plt
import numpy as np
import torch

from skgan import MGANExtractor, MLPSpec

rng = np.random.default_rng(0)
mode = rng.integers(8, size=4000)
angle = 2 * np.pi * mode / 8
X = 2 * np.c_[np.cos(angle), np.sin(angle)] + 0.05 * rng.normal(size=(4000, 2))

settings = {
    "generator": MLPSpec(64), "discriminator": MLPSpec(64), "norm": "none", "latent_dim": 16,
    "n_epochs": 30, "batch_size": 256, "lr": 1e-3, "generator_lr": 1e-2, "beta": 0.5,
    "n_shared_layers": 1, "random_state": 0, "device": "cpu",
}  # fmt: skip
one = MGANExtractor(n_generators=1, **settings).fit(X)
several = MGANExtractor(n_generators=8, **settings).fit(X)

# %%
# Which generator produces what
# -----------------------------
# On the left are samples of the single generator, and on the right those of the eight generators,
# each in its own colour. Grey points are the data.

fig, axes = plt.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True, layout="constrained")
for ax, mgan, title in zip(axes, (one, several), ("one generator", "eight"), strict=True):
    ax.scatter(*X[:500].T, s=4, color="0.8")
    for k in range(mgan.n_generators):
        ax.scatter(*mgan.sample(100, random_state=0, component=k).T, s=6, color=f"C{k}")
    ax.set(title=title, aspect="equal", xlim=(-3, 3), ylim=(-3, 3))

# %%
# These are the shares of the samples that lie within 0.3 of each centre.

centres = 2 * np.c_[np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)]
for name, mgan in (("one", one), ("eight", several)):
    distance = np.linalg.norm(mgan.sample(2000, random_state=0)[:, None] - centres, axis=2)
    near = distance.argmin(1)[distance.min(1) < 0.3]
    print(f"{name:>5}: {np.bincount(near, minlength=8) / 2000}")

# %%
# What the classifier knows
# -------------------------
# The first figure says how often the classifier names the right generator for a generated sample.
# The second says how often it names a mode's generator for real samples of that mode. It has
# never seen a label, and yet the modes can be told apart by its features.

made = np.repeat(np.arange(8), 100)
samples = np.concatenate([several.sample(100, random_state=1, component=k) for k in range(8)])


def named(points):
    """The generator that the classifier names for each point."""
    module = several.classifier_
    standardised = (points - X.mean(0)) / X.std(0)
    return module(torch.as_tensor(standardised, dtype=torch.float32)).argmax(1).numpy()


owner = {k: np.bincount(named(X[mode == k]), minlength=8).argmax() for k in range(8)}
print(f"generated samples: {np.mean(named(samples) == made):.2f}")
print(f"real samples: {np.mean(named(X) == np.array([owner[k] for k in mode])):.2f}")

plt.show()
