"""Digits apart from how they are shown, on MNIST: DisentangledEncoder by the adversary's weight.

    python examples/papers/disentangled_digits.py run --data mnist.npz --precision auto
    python examples/papers/disentangled_digits.py run --methods weight0 weight.1 --seeds 0
    python examples/papers/disentangled_digits.py table

Every image is in one of three domains, drawn by a fixed seed: as it is, in front of stripes, or dim
on grey. All train on the training images and their domains, without labels of digits. On the test
images, or with --held on training images that were kept out:

- "linear", "knn", "mlp": accuracy of fresh probes for the domain on 3,000 content codes, by
  cross-validation (guessing: a third), and "s" that of the best one on the domain codes;
- "digit": accuracy of logistic regression on the content codes, trained on 10,000 training images;
  "transfer": the same trained on those of the first domain and scored on the others; "digit by s":
  on the domain codes;
- "converted": mean squared error of 1,000 images in the next domain to what they are there, as a
  share of the variance of these; "own": of their reconstructions in their own domain.

Beside them pixels, 50 principal components, and the same networks untrained. "weight0" is the
autoencoder without the game, whose adversary looks on; "neg_ce", "uniform" and "encoder" have the
weight .03, with the other losses of the encoder and with a domain encoder.
"""

import common
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skgan import DisentangledEncoder
from skgan.evaluation import domain_leak

N_CODES, N_PROBED, N_CONVERTED = 10_000, 3000, 1000
DOMAINS = (1, 2, 3)
PIXELS = FunctionTransformer(common.as_rows)


def weighted(weight, **settings):
    return lambda: DisentangledEncoder(
        adversary_weight=weight, warmup=0.1, lr_decay="linear", domain_classifier_lr=2e-3,
        lr=5e-4, ema_decay=0.99, **settings,
    )  # fmt: skip


# The number of epochs, and what is fitted.
METHODS = {
    f"weight{w}": (15, weighted(float(w))) for w in ("0", ".001", ".003", ".01", ".03", ".1", ".3")
}
METHODS |= {
    "neg_ce": (15, weighted(0.03, adversary="neg_ce")),
    "uniform": (15, weighted(0.03, adversary="uniform")),
    "encoder": (15, weighted(0.03, domain_code="encoder")),
    "untrained": (0, weighted(0.0)),
    "pca": (0, lambda: make_pipeline(PIXELS, PCA(50, random_state=0))),
    "raw": (0, lambda: PIXELS),
}
EPOCHS = {name: n for name, (n, _) in METHODS.items()}


def main():
    options = common.study_parser(__doc__, "disentangled_digits", EPOCHS, [0, 1, 2]).parse_args()
    if options.what == "table":
        table(options)
    else:
        common.run_all("disentangled_digits", EPOCHS, study, options)


def shown(X, domain):
    """The images in their domains."""
    out = X.copy()
    stripes = np.where(np.arange(28) % 6 < 3, 128, 0).astype(np.uint8)
    out[domain == 2] = np.maximum(X[domain == 2], stripes)
    out[domain == 3] = 96 + X[domain == 3] // 3
    return out


def study(name, n_epochs, seed, data, options):
    clean, y, clean_test, y_test = data
    rng = np.random.default_rng(0)
    domain, domain_test = rng.choice(DOMAINS, len(y)), rng.choice(DOMAINS, len(y_test))
    X, X_test = shown(clean, domain), shown(clean_test, domain_test)
    estimator, report = METHODS[name][1](), {}
    if hasattr(estimator, "adversary"):
        given = {"sample_domain": domain}
        estimator, report = common.trained(estimator, n_epochs, seed, options, X, **given)
    else:
        estimator.fit(X)
    train = slice(N_CODES)
    parts = y[train], domain[train], y_test, domain_test
    found = of_content(estimator.transform(X[train]), estimator.transform(X_test), *parts)
    if hasattr(estimator, "adversary"):
        S, S_test = (estimator.transform_domain(part) for part in (X[train], X_test))
        found["s"] = domain_leak(S_test[:N_PROBED], domain_test[:N_PROBED]).best
        found["digit_by_s"] = classifier().fit(S, y[train]).score(S_test, y_test)
        found |= of_conversion(estimator, clean_test, X_test, domain_test)
    line = ", ".join(f"{k} {v:.3f}" for k, v in found.items())
    return report | {"found": found}, line


def classifier():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))


def of_content(Z, Z_test, y, domain, y_test, domain_test):
    """What probes find in codes of training and of test images."""
    leak = domain_leak(Z_test[:N_PROBED], domain_test[:N_PROBED])
    first, others = domain == DOMAINS[0], domain_test != DOMAINS[0]
    return leak.accuracies | {
        "digit": classifier().fit(Z, y).score(Z_test, y_test),
        "transfer": classifier().fit(Z[first], y[first]).score(Z_test[others], y_test[others]),
    }


def of_conversion(estimator, clean, X, domain):
    clean, X, domain = clean[:N_CONVERTED], X[:N_CONVERTED], domain[:N_CONVERTED]
    found = {}
    for name, to in (("converted", domain % 3 + 1), ("own", domain)):
        truth = common.as_rows(shown(clean, to))
        error = np.square(common.as_rows(estimator.convert(X, to)) - truth).mean()
        found[name] = float(error / np.square(truth - truth.mean(0)).mean())
    return found


def table(options):
    """Means and standard deviations over seeds, in percent."""
    names = ["linear", "knn", "mlp", "s", "digit", "transfer", "digit_by_s", "converted", "own"]
    titles = [name.replace("_", " ") for name in names]
    common.print_head(["method", "epochs", "images", "scored on", *titles, "adversary", "seeds"])
    for key, reports in common.groups("disentangled_digits", EPOCHS, options):
        values = [common.cell([100 * r["found"][n] for r in reports if n in r["found"]])
                  for n in names]  # fmt: skip
        last = [r["last_epoch"] for r in reports if r.get("last_epoch")]
        adversary = common.cell([100 * row["adversary_accuracy"] for row in last])
        common.print_row([*key, *values, adversary, len(reports)])


if __name__ == "__main__":
    main()
