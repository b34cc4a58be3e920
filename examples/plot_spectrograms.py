"""
Sounds as images: spectrograms
==============================

A spectrogram is an image of a sound: frequency upwards, time to the right, and brightness for
loudness. So whatever learns from images learns from sounds as well. But the random changes that
leave a sound what it is are not those of photographs: a sound may come earlier or later, be louder
or noisier, and must not be mirrored. This example synthesises calls of six imaginary birds and
learns features from recordings without labels.
"""

# %%
# Six birds
# ---------
# Each has a call of its own: a sequence of whistles that rise or fall. Every recording has another
# pitch, tempo, loudness, begin and noise.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skgan import ContrastiveDiscriminatorFeatures
from skgan.evaluation import LabelBudgetSplit
from skgan.tools import RandomPatchFeatures

RATE, WIDTH, HOP, FRAMES, BANDS = 8000, 256, 256, 24, 32
CALLS = {  # (from, to) in Hz and the length in seconds, for each whistle
    "rising": [(1200, 2400, 0.30)],
    "falling": [(2400, 1200, 0.30)],
    "two notes": [(2000, 2000, 0.12), (1400, 1400, 0.18)],
    "trill": [(1800, 2200, 0.05)] * 6,
    "arch": [(1300, 2300, 0.15), (2300, 1300, 0.15)],
    "valley": [(2300, 1300, 0.15), (1300, 2300, 0.15)],
}


def recording(call, rng):
    """A bit less than a second of sound."""
    n = HOP * (FRAMES - 1) + WIDTH
    pitch, tempo = np.exp(rng.normal(0, [0.12, 0.15]))
    parts = []
    for start, end, length in CALLS[call]:
        m = int(length / tempo * RATE)
        frequency = pitch * np.linspace(start, end, m)
        parts += [np.sin(2 * np.pi * np.cumsum(frequency) / RATE) * np.hanning(m), np.zeros(m // 8)]
    whistle = np.concatenate(parts)[:n]
    sound = rng.uniform(0.05, 0.25) * rng.normal(size=n)
    begin = rng.integers(0, n - len(whistle) + 1)
    sound[begin : begin + len(whistle)] += rng.uniform(0.5, 1.0) * whistle
    return sound


def spectrogram(sound):
    """32 bands up to 4 kHz by 24 frames, in [0, 1]: the 20 dB below the loudest."""
    frames = np.stack([sound[i * HOP :][:WIDTH] for i in range(FRAMES)]) * np.hanning(WIDTH)
    power = np.abs(np.fft.rfft(frames))[:, :128] ** 2
    decibel = 10 * np.log10(power.reshape(FRAMES, BANDS, 4).mean(2).T + 1e-9)
    return np.clip((decibel - decibel.max() + 20) / 20, 0, 1)


rng = np.random.default_rng(0)
names = list(CALLS)
y = rng.integers(0, 6, 800)
X = np.stack([spectrogram(recording(names[k], rng)) for k in y]).astype(np.float32)
X_train, X_test, y_train, y_test = X[:500], X[500:], y[:500], y[500:]

fig, axes = plt.subplots(3, 6, figsize=(10, 5), layout="constrained")
for k, column in enumerate(axes.T):
    for ax, image in zip(column, X_train[y_train == k], strict=False):
        ax.imshow(image, origin="lower", cmap="magma", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    column[0].set_title(names[k])
fig.supxlabel("time, 0.8 seconds")
fig.supylabel("frequency, 0 to 4 kHz")

# %%
# Changes that suit sounds
# ------------------------
# `augment` takes a function of the batch: images (n, 1, h, w) in [-1, 1]. This one moves each
# recording in time and slightly in pitch, and changes its loudness. A call is the same wherever in
# the recording it stands, so each feature map is pooled to a single value, by `pool_grid=1`.


def heard_elsewhere(x):
    n, _, height, width = x.shape
    rows = torch.arange(height) - torch.randint(-2, 3, (n, 1))
    columns = torch.arange(width) - torch.randint(0, width, (n, 1))
    rows, columns = rows.clamp(0, height - 1), columns % width
    moved = x[torch.arange(n)[:, None, None], 0, rows[:, :, None], columns[:, None, :]]
    louder = 0.2 * torch.randn(n, 1, 1)
    return (moved + louder).clamp(-1, 1)[:, None]


gan = ContrastiveDiscriminatorFeatures.from_preset(
    "best", augment=heard_elsewhere, output="trunk", pool_grid=1, batch_size=64, n_epochs=10,
    random_state=0,
)  # fmt: skip
gan.fit(X_train)

# %%
# What the features are worth
# ---------------------------
# Two, five and twenty labelled recordings of each bird, and ten draws of them; a linear classifier
# on standardised features. The mean loudness of each frequency is a usual baseline for sounds. It
# does not know about time.

untrained = clone(gan).set_params(n_epochs=0).fit(X_train)
features = {
    "mean of each frequency": X_test.mean(axis=2),
    "all pixels": X_test.reshape(len(X_test), -1),
    "random patches": RandomPatchFeatures(n_patches=256, random_state=0)
    .fit(X_train)
    .transform(X_test),
    "untrained": untrained.transform(X_test),
    "trained": gan.transform(X_test),
}
classifier = make_pipeline(StandardScaler(), LinearSVC(C=0.01))
budgets = (2, 5, 20)
print(f"{'recordings of each bird':>28}" + "".join(f"{n:8d}" for n in budgets))
for name, Z in features.items():
    scores = [
        cross_val_score(
            classifier, Z, y_test, cv=LabelBudgetSplit(n_labels=n, n_splits=10, random_state=0)
        ).mean()
        for n in budgets
    ]
    print(f"{name:>28}" + "".join(f"{score:8.3f}" for score in scores))

# %%
# Training adds to the untrained network at every number of labels. With two labelled recordings of
# each bird it is ahead of whitened random patches, for which nothing is trained; with five they are
# level, and with twenty the patches are far ahead. So the worth of training depends on how few
# labels there are, and a table such as this one is worth making before a longer fit.

# %%
# A map of the recordings
# -----------------------
# Test recordings in two dimensions by t-SNE, on the left of pixels and on the right of features.
# Colours are the birds, which neither has seen.

fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, title, name in zip(axes, ("pixels", "features"), ("all pixels", "trained"), strict=True):
    Z = features[name]
    flat = TSNE(random_state=0).fit_transform(PCA(30, random_state=0).fit_transform(Z))
    for k, name in enumerate(names):
        ax.scatter(*flat[y_test == k].T, s=14, label=name)
    ax.set(title=title, xticks=[], yticks=[])
axes[1].legend(fontsize=8)

# sphinx_gallery_thumbnail_number = 1
plt.show()
