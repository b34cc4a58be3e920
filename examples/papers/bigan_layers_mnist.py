"""A convolutional BiGAN on MNIST at 32x32: what each layer of the encoder is worth.

    python examples/papers/bigan_layers_mnist.py --data mnist.npz
    python examples/papers/bigan_layers_mnist.py                  # downloads MNIST by torchvision

As the paper does on ImageNet (Donahue et al. 2017, sec. 4.3): the encoder is frozen, and a linear
classifier learns from each of its layers, here pooled to 4x4, with 10 and 100 labels a class; the
untrained encoder and raw pixels stand beside it. Reconstructions and samples are drawn as pictures
next to the figures, to be looked at.

G, E and D are DCGAN's networks, 32 channels wide. That maps of z in D begin with a standard
deviation of 0.02, and not with the released code's 0.02 k^2, was decided after short trials, by
D's loss and by reconstructions, before any accuracy was seen.

The fit goes on from its last checkpoint in --work; the result is one file a seed in
examples/papers/results.
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator

import skgan
from skgan.evaluation import probe
from skgan.inspection import SampleDisplay

RESULTS = Path(__file__).parent / "results"


def load_mnist(path):
    """(X_train, y_train, X_test, y_test); images uint8 (n, 32, 32), framed in black."""
    if path is not None:
        with np.load(path) as data:
            parts = [data[k] for k in ("X_train", "y_train", "X_test", "y_test")]
    else:
        from torchvision.datasets import MNIST

        sets = [MNIST("data", train=train, download=True) for train in (True, False)]
        parts = [a.numpy() for part in sets for a in (part.data, part.targets)]
    frame = (0, 0), (2, 2), (2, 2)
    return np.pad(parts[0], frame), parts[1], np.pad(parts[2], frame), parts[3]


def layer_by_layer(trained, untrained, data, draws):
    """A probe's result for every layer of the two encoders, and for raw pixels."""
    encoders = {"trained": trained, "untrained": untrained}
    n_layers = len(trained.encoder_.blocks)
    for e in encoders.values():
        e.set_params(output="layers", pool_grid=4)
    results = {}
    for i in range(n_layers):
        for e in encoders.values():
            e.set_params(layers=i)
        results[f"layer{i}"] = probe(
            {name: FrozenEstimator(e) for name, e in encoders.items()}, *data,
            n_labels=(10, 100), n_draws=draws, selection="first",
            baselines=("raw",) if i == 0 else (), random_state=0,
        )  # fmt: skip
        print(f"layer {i}\n{results[f'layer{i}']}", flush=True)
    return {name: result.to_dict() for name, result in results.items()}


def reconstruction(bigan, X):
    """Mean distances (pixels in [0, 1]) of reconstructions to their rows, and to others."""
    x, back = (a.reshape(len(X), -1) / 255 for a in (X, bigan.reconstruct(X)))
    own = np.linalg.norm(x - back, axis=1).mean()
    other = np.linalg.norm(x - np.roll(back, 1, axis=0), axis=1).mean()
    return {"own": float(own), "other": float(other), "ratio": float(own / other)}


def draw(bigan, X, stem):
    """Two sheets: rows above their reconstructions, and samples."""
    import matplotlib

    matplotlib.use("Agg")
    rows = X[:60].reshape(3, 20, 1, 32, 32)
    back = bigan.reconstruct(X[:60]).reshape(3, 20, 1, 32, 32)
    pairs = np.stack([rows, back], axis=1).reshape(-1, 1, 32, 32) / 255
    for name, images in (("reconstructions", pairs), ("samples", bigan.sample_images(120, 0))):
        sheet = SampleDisplay(images).plot(n_columns=20)
        sheet.figure_.savefig(f"{stem}_{name}.png", dpi=150, bbox_inches="tight")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="npz with X_train, y_train, X_test, y_test")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("build/bigan_layers_mnist"))
    options = parser.parse_args()
    X_train, y_train, X_test, y_test = load_mnist(options.data)
    X, y = X_train[: options.images], y_train[: options.images]

    spec = skgan.DCGANSpec(32)
    settings = {"generator": spec, "encoder": spec, "discriminator": spec,
                "lr_decay": "exponential", "random_state": options.seed}  # fmt: skip
    bigan = skgan.BiGANEncoder(
        **settings, n_epochs=options.epochs, checkpoint_dir=options.work, verbose=1
    ).fit(X)
    untrained = skgan.BiGANEncoder(**settings, n_epochs=0).fit(X)

    name = f"bigan_layers_mnist_images{options.images}_epochs{options.epochs}_seed{options.seed}"
    stem = RESULTS / name
    options.work.mkdir(parents=True, exist_ok=True)
    draw(bigan, X_test, options.work / stem.name)
    report = {
        "command": "python examples/papers/bigan_layers_mnist.py "
        f"--images {options.images} --epochs {options.epochs} --seed {options.seed} "
        f"--draws {options.draws}",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"skgan": skgan.__version__, "torch": torch.__version__},
        "settings": bigan.get_params(deep=False) | {"checkpoint_dir": None},
        "last_epoch": bigan.history_[-1],
        "reconstruction": reconstruction(bigan, X_test),
        "layers": layer_by_layer(bigan, untrained, (X, y, X_test, y_test), options.draws),
    }
    stem.with_name(stem.name + ".json").write_text(
        json.dumps(report, indent=1, default=repr) + "\n"
    )
    print(report["reconstruction"], report["last_epoch"])


if __name__ == "__main__":
    main()
