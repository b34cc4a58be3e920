"""
A folder of photographs
=======================

Images usually lie in folders and do not fit in memory. This example fills a folder with pieces of
scikit-learn's two sample photographs, reads it lazily with `LazyImages`, and trains on it. Then it
lays the learnt features over the whole photographs as colours: pieces that the features take for
alike get the same colour.
"""

# %%
# The folder
# ----------
# 800 pieces of 16x16 pixels from random places, one subfolder for each photograph. In practice
# this folder is there already.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_images
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torchvision.datasets import ImageFolder

from skgan import ContrastiveDiscriminatorFeatures, LazyImages
from skgan.inspection import untrained_copy

SIDE = 16
photographs = dict(zip(("temple", "flower"), load_sample_images().images, strict=True))
folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
for name, photograph in photographs.items():
    (folder / name).mkdir()
    for i in range(400):
        top, left = (rng.integers(0, n - SIDE) for n in photograph.shape[:2])
        piece = photograph[top : top + SIDE, left : left + SIDE]
        Image.fromarray(piece).save(folder / name / f"{i:03}.png")

images = LazyImages(ImageFolder(folder))
print(images)

fig, axes = plt.subplots(3, 16, figsize=(10, 2), layout="constrained")
for ax, i in zip(axes.flat, rng.permutation(len(images)), strict=False):
    ax.imshow(images[int(i)])
    ax.axis("off")

# %%
# Train
# -----
# `fit` decodes the files batch by batch. `augment="photographs"` crops, mirrors and changes
# colours, so that features do not hang on a colour alone.

gan = ContrastiveDiscriminatorFeatures.from_preset(
    "best", augment="photographs", n_epochs=6, random_state=0
)
gan.fit(images)

# %%
# Features as colours
# -------------------
# All pieces of both photographs, twelve pixels apart, are turned into features. Three principal
# components of these become red, green and blue. Below the photographs: the mean colour of each
# piece in the same manner, the network before training, and the network after training.


def pieces(photograph, step=12):
    """All pieces, (rows, columns, side, side, 3)."""
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (SIDE, SIDE), axis=(0, 1))
    return np.moveaxis(windows[::step, ::step], 2, -1)


grids = {name: pieces(photograph) for name, photograph in photographs.items()}
stack = np.concatenate([grid.reshape(-1, SIDE, SIDE, 3) for grid in grids.values()])
reduced = PCA(40, random_state=0).fit_transform
features = {
    "mean colour": stack.mean(axis=(1, 2)),
    "untrained": reduced(untrained_copy(gan, images).transform(stack)),
    "trained": reduced(gan.transform(stack)),
}


def laid_out(values):
    """Values of all pieces, as one image for each photograph."""
    sizes = [grid.shape[:2] for grid in grids.values()]
    parts = np.split(values, [sizes[0][0] * sizes[0][1]])
    return [part.reshape(*size, *values.shape[1:]) for part, size in zip(parts, sizes, strict=True)]


fig, axes = plt.subplots(2, 4, figsize=(11, 3.9), layout="constrained")
for row, photograph, name in zip(axes, photographs.values(), photographs, strict=True):
    row[0].imshow(photograph)
    row[0].set_ylabel(name)
axes[0, 0].set_title("photograph")
for column, (title, Z) in zip(axes.T[1:], features.items(), strict=True):
    colours = PCA(3, whiten=True, random_state=0).fit_transform(Z)
    low, high = np.percentile(colours, [2, 98], axis=0)
    colours = ((colours - low) / (high - low)).clip(0, 1)
    for ax, image in zip(column, laid_out(colours), strict=True):
        ax.imshow(image)
    column[0].set_title(title)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])

# %%
# Groups
# ------
# Eight groups of pieces by k-means on the trained features. No label was used anywhere.

groups = KMeans(8, n_init=4, random_state=0).fit_predict(features["trained"])
fig, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
for ax, image in zip(axes, laid_out(groups), strict=True):
    ax.imshow(image, cmap="tab10", vmin=0, vmax=9, interpolation="nearest")
    ax.set(xticks=[], yticks=[])

# %%
# Search
# ------
# For four pieces in the first column, the nearest pieces elsewhere by mean colour on the left, and
# by trained features on the right. Mean colours find what is equally bright, features what has the
# same kind of edges and texture. Which of the two is wanted depends on the task.

chosen = [754, 1494, 2390, 2833]
fig, axes = plt.subplots(4, 15, figsize=(10, 2.9), layout="constrained")
for side, name in enumerate(("mean colour", "trained")):
    # Every tenth neighbour, since the nearest ones overlap with the piece itself.
    search = NearestNeighbors(n_neighbors=61).fit(features[name])
    near = search.kneighbors(features[name][chosen], return_distance=False)[:, 10::10]
    for row, found in zip(axes, near, strict=True):
        for ax, i in zip(row[2 + 7 * side :], found, strict=False):
            ax.imshow(stack[i])
for row, i in zip(axes, chosen, strict=True):
    row[0].imshow(stack[i])
for ax in axes.flat:
    ax.axis("off")
axes[0, 2].set_title("by mean colour", fontsize=9, loc="left")
axes[0, 9].set_title("by trained features", fontsize=9, loc="left")

# sphinx_gallery_thumbnail_number = 2
plt.show()
