"""A convolutional BiGAN on MNIST at 32x32: what each layer of the encoder is worth.

    python examples/papers/bigan_layers_mnist.py --data mnist.npz
    python examples/papers/bigan_layers_mnist.py                  # downloads MNIST by torchvision

As in the paper's experiment on ImageNet (Donahue et al. 2017, sec. 4.3), the encoder is frozen, and
a linear classifier learns from each of its layers, here pooled to 4x4, with 10 and 100 labels a
class; the untrained encoder and raw pixels are measured in the same way. Pictures of
reconstructions and samples are saved next to the figures; they need matplotlib, as in
`pip install "skgan[plot]"`.

G, E and D are DCGAN's networks, 32 channels wide. The linear maps of z in D are initialised with a
standard deviation of 0.02, and not with the released code's 0.02 k^2. This was decided after short
trials, by D's loss and by reconstructions, before any accuracy was seen.

An interrupted fit resumes from its last checkpoint in --work; the result is one file per seed in
examples/papers/results.
"""

import common
import numpy as np
from sklearn.frozen import FrozenEstimator

import skgan
from skgan.evaluation import probe


def framed(X):
    """28x28 images with a frame of two black pixels."""
    return np.pad(X, ((0, 0), (2, 2), (2, 2)))


def layer_by_layer(trained, untrained, data, draws):
    """A probe's result for every layer of the two encoders, and for unlearned features."""
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
            baselines=("raw", *common.UNLEARNED) if i == 0 else (), random_state=0,
        )  # fmt: skip
        print(f"layer {i}\n{results[f'layer{i}']}", flush=True)
    return {name: result.to_dict() for name, result in results.items()}


def draw(bigan, X, stem):
    """Saves two pictures: images above their reconstructions, and samples."""
    pairs = common.in_pairs(X[:60], bigan.reconstruct(X[:60]))
    for name, images in (("reconstructions", pairs), ("samples", bigan.sample_images(120, 0))):
        common.picture(f"{stem}_{name}.png", images)


def main():
    parser = common.parser_of(__doc__, "bigan_layers_mnist")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    name = f"bigan_layers_mnist_images{options.images}_epochs{options.epochs}_seed{options.seed}"
    command = (
        "python examples/papers/bigan_layers_mnist.py "
        f"--images {options.images} --epochs {options.epochs} --seed {options.seed} "
        f"--draws {options.draws}{common.precision_of(options)}"
    )
    if common.there_already(options.results / f"{name}.json", command):
        return
    X_train, y_train, X_test, y_test = common.load_images(options.data)
    X, y = framed(X_train[: options.images]), y_train[: options.images]
    X_test = framed(X_test)

    spec = skgan.DCGANSpec(32)
    settings = {"generator": spec, "encoder": spec, "discriminator": spec,
                "lr_decay": "exponential", "random_state": options.seed,
                "precision": options.precision}  # fmt: skip
    bigan = skgan.BiGANEncoder(
        **settings, n_epochs=options.epochs, checkpoint_dir=options.work, verbose=1
    ).fit(X)
    untrained = skgan.BiGANEncoder(**settings, n_epochs=0).fit(X)

    options.results.mkdir(parents=True, exist_ok=True)
    draw(bigan, X_test, options.results / name)
    report = common.report_of(command) | {
        "settings": common.settings_of(bigan),
        "last_epoch": bigan.history_[-1],
        "reconstruction": common.reconstruction(bigan, X_test),
        "layers": layer_by_layer(bigan, untrained, (X, y, X_test, y_test), options.draws),
    }
    common.write(options.results / f"{name}.json", report)
    print(report["reconstruction"], report["last_epoch"])


if __name__ == "__main__":
    main()
