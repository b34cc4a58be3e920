"""Outliers among 8x8 digits: one digit is usual, the other nine are not.

    python examples/papers/outliers_digits.py run
    python examples/papers/outliers_digits.py table

Each detector is fitted on 100 images of one of scikit-learn's digits, and scores the others of
that digit and all images of other digits; figures are areas under the ROC curve, means over the ten
digits. Beside the scores of skgan's estimators stand scikit-learn's detectors and the error of 20
principal components. Settings were not chosen on these figures: networks are dense with 128 units,
and the numbers of epochs are 50 and 200 for all.
"""

import time

import common
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    DCGANDiscriminatorFeatures,
    MLPSpec,
    VAEGANEncoder,
)
from skgan.tools import GANOutlierDetector

DENSE = {name: MLPSpec(128) for name in ("encoder", "generator", "discriminator")}
# The class, the score, and which of the networks above it has.
GANS = {
    "autoencoder, error": (AutoencoderFeatures, "score_samples", ("encoder", "generator")),
    "VAE/GAN, error": (VAEGANEncoder, "score_samples", ("encoder", "generator", "discriminator")),
    "BiGAN, density ratio": (BiGANEncoder, "density_ratio", tuple(DENSE)),
    "BiGAN, error": (BiGANEncoder, "score_samples", tuple(DENSE)),
    "DCGAN, logit": (DCGANDiscriminatorFeatures, "density_ratio", ("generator", "discriminator")),
}
EPOCHS = (50, 200)


class PrincipalComponents(PCA):
    """Scored by minus the squared error of the reconstruction."""

    def score_samples(self, X):
        return -np.square(self.inverse_transform(self.transform(X)) - X).sum(1)


def main():
    parser = common.parser_of(__doc__, "outliers_digits")
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--digits", type=int, nargs="+", default=list(range(10)))
    common.run_or_table(parser, run, table)


def run(options):
    X, y = load_digits(return_X_y=True)
    for seed in options.seeds:
        said = f"python examples/papers/outliers_digits.py run --seeds {seed}"
        if len(options.digits) < 10:
            said += f" --digits {' '.join(map(str, options.digits))}"
        path = options.results / f"outliers_digits_seed{seed}.json"
        if common.there_already(path, said):
            continue
        report = common.report_of(said) | {"seed": seed, "auc": {}}
        started = time.process_time()
        for digit in options.digits:
            usual = np.random.RandomState(seed).permutation(np.flatnonzero(y == digit))
            others = np.flatnonzero(y != digit)
            rows = np.concatenate([usual[100:], others])
            for name, detector in detectors(seed):
                detector.fit(X[usual[:100]])
                auc = roc_auc_score(y[rows] == digit, detector.score_samples(X[rows]))
                report["auc"].setdefault(name, []).append(float(auc))
        report["cpu_seconds"] = time.process_time() - started
        common.write(path, report)
        print(f"{path.stem}: {report['auc']}", flush=True)


def detectors(seed):
    for name, (cls, score, roles) in GANS.items():
        networks = {role: DENSE[role] for role in roles}
        for n_epochs in EPOCHS:
            gan = cls(
                image_shape=(8, 8), latent_dim=10, n_epochs=n_epochs, random_state=seed, **networks
            )
            yield f"{name}, {n_epochs} epochs", GANOutlierDetector(gan, score_func=score)
    yield "isolation forest", IsolationForest(random_state=seed)
    yield "local outlier factor", LocalOutlierFactor(novelty=True)
    yield "20 principal components, error", PrincipalComponents(20)


def table(options):
    reports = common.read_all(options.results, "outliers_digits_seed*.json")
    common.print_head(["detector", "AUC, mean over digits", "lowest digit", "seeds"])
    for name in reports[0]["auc"]:
        means = [100 * np.mean(r["auc"][name]) for r in reports]
        lowest = min(min(r["auc"][name]) for r in reports)
        common.print_row([name, common.cell(means), f"{100 * lowest:.1f}", len(reports)])


if __name__ == "__main__":
    main()
