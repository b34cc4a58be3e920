"""A VAE/GAN on MNIST (Larsen et al. 2016): what its encoder is worth, and its reconstructions.

    python examples/papers/vaegan_mnist.py run --data mnist.npz --precision auto
    python examples/papers/vaegan_mnist.py table

The networks are DCGAN's, 32 channels wide; learning rate, optimizer, batches and gamma are the
paper's. The likelihood is measured after the batch norm of the discriminator's last layer ("norm"),
or as in the released code right after its convolution ("conv"). The paper has no such experiment;
its authors found pre-training of classifiers not competitive.

A linear SVM with 10 and 100 labels a class (5 draws) on the codes mu(x) and on the encoder's last
hidden layer, beside pixels, principal components, the same encoder untrained, and whitened patches.
Reconstructions are judged by the distance from their images, and from other images. The picture of
seed 0 has images above their reconstructions; it needs matplotlib, as in `pip install
"skgan[plot]"`.
"""

import copy

import common
from sklearn.frozen import FrozenEstimator

from skgan import VAEGANEncoder
from skgan.evaluation import probe

METHODS = {
    "norm": lambda: VAEGANEncoder(likelihood_tap="norm"),
    "conv": VAEGANEncoder,
}
EPOCHS = dict.fromkeys(METHODS, 5)


def main():
    parser = common.study_parser(__doc__, "vaegan_mnist", EPOCHS, [0, 1, 2])
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 100], help="per class")
    options = parser.parse_args()
    if options.what == "table":
        table(options)
    else:
        labels = " ".join(map(str, options.labels))
        common.run_all("vaegan_mnist", EPOCHS, study, options, f" --labels {labels}")


def study(name, n_epochs, seed, data, options):
    X, X_test = data[0], data[2]
    codes, report = common.trained(METHODS[name](), n_epochs, seed, options, X)
    hidden = copy.copy(codes).set_params(output="penultimate")
    result = probe(
        {"codes": FrozenEstimator(codes), "hidden": FrozenEstimator(hidden)}, *data,
        n_labels=options.labels, n_draws=5, selection="first", random_state=seed,
    )  # fmt: skip
    if seed == 0:
        pairs = common.in_pairs(X_test[:60], codes.reconstruct(X_test[:60]))
        common.picture(options.results / f"vaegan_mnist_{name}_reconstructions.png", pairs)
    found = {
        "probe": result.to_dict(),
        "reconstruction": common.reconstruction(codes, X_test),
        "spread_of_codes": float(codes.transform(X_test).std(0).mean()),
    }
    return report | found, f"{result}\n{found['reconstruction']}"


def table(options):
    """Means and standard deviations over seeds, accuracies in percent."""
    budgets = [f"{b} labels a class" for b in options.labels]
    common.print_head(["likelihood at", "epochs", "images", "scored on", "features", *budgets,
                       "reconstruction ratio", "seeds"])  # fmt: skip
    for key, reports in common.groups("vaegan_mnist", EPOCHS, options):
        ratio = common.cell([r["reconstruction"]["ratio"] for r in reports])
        for row in dict.fromkeys(r["representation"] for r in reports[0]["probe"]["records"]):
            values = [common.cell([100 * common.accuracy(r["probe"], b, row) for r in reports])
                      for b in options.labels]  # fmt: skip
            common.print_row([*key, row, *values, ratio if row == "codes" else "-", len(reports)])


if __name__ == "__main__":
    main()
