"""Mao et al. 2019, table 2: discriminator and classifier features as fewer layers are shared.

    python examples/papers/mgan_mnist.py run                      # 32 wide, 20,000 images, 5 epochs
    python examples/papers/mgan_mnist.py run --width 128 --images 60000 --epochs 20 --seeds 0 \
        --removed 0 1 4                                           # all of table 1's settings
    python examples/papers/mgan_mnist.py run --dataset cifar10 --seeds 0 1 2 --removed 0 1 2
    python examples/papers/mgan_mnist.py table

Without --data, MNIST or CIFAR-10 is downloaded by torchvision. Networks and settings are table 1's
except for width, images and epochs. "Removed" is how many of the four shared layers D and C do not
share. For every such number and every seed an MGAN is trained without labels; then four probes
judge the features of its discriminator and of its classifier, and those of the same networks
untrained, on the test images:

- the paper's: a linear softmax layer without bias, SGD at 2e-4 with momentum 0.9, batches of 120,
  20 epochs; and the same on features divided by their root mean square, one number;
- converged: features standardised per column, logistic regression (C = 1) to convergence;
- converged with 10 labels a class, mean over 5 draws.

Each run is one file in examples/papers/results and is not repeated; an interrupted run resumes from
its last checkpoint in --work. `table` prints the results, next to the paper's figures. Everything
was fixed before any result was seen.
"""

import time

import common
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skgan
from skgan.evaluation import LabelBudgetSplit, mode_coverage, softmax_probe
from skgan.tools import NullSpaceProjector

ROLES = ("discriminator", "classifier")
# Shares removed -> accuracy of the discriminator's and of the classifier's features in table 2.
PAPER = {0: (0.9592, 0.9589), 1: (0.9427, 0.9574), 2: (0.9394, 0.9612),
         3: (0.9365, 0.9617), 4: (0.9309, 0.9578)}  # fmt: skip
# For CIFAR-10 the paper's text states only the best of each and the differences.
PAPER_CIFAR10 = (
    "The paper, with the paper's probe: 55.13 at best for a discriminator, 55.67 for a classifier "
    "(one share removed); C - D -0.17, 6.23 and 6.62 with none, one and two removed."
)

# The probes whose accuracies the table shows, for trained and for untrained features.
PROBES = {
    "paper_probe": "paper's probe", "unit_rms_probe": "unit RMS", "converged": "converged",
    "labels10": "10 labels",
}  # fmt: skip


def make_mgan(options, removed, seed, **settings):
    """Table 1's MGAN at the width of the options; D and C share four layers less `removed`."""
    spec = skgan.DCGANSpec(options.width, feature_dim=128)
    return skgan.MGANExtractor(
        generator=spec, discriminator=spec, n_shared_layers=4 - removed, random_state=seed,
        precision=options.precision, **({"n_epochs": options.epochs} | settings),
    )  # fmt: skip


def converged(F, y, F_test, y_test, max_iter=2000):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=max_iter)).fit(F, y)
    stopped = int(model[-1].n_iter_.max()) >= max_iter
    return float(model.score(F_test, y_test)), stopped


def few_labels(F, y, F_test, y_test):
    """The converged probe with 10 labels a class, mean over 5 draws."""
    draws = LabelBudgetSplit(n_labels=10, n_splits=5, random_state=0).split(F, y)
    return float(np.mean([converged(F[rows], y[rows], F_test, y_test)[0] for rows, _ in draws]))


def judge(mgan, role, data):
    """The probes' accuracies on one network's features, and the variance that its head reads."""
    X, y, X_test, y_test = data
    mgan.set_params(extractor=role)
    F, F_test = mgan.transform(X), mgan.transform(X_test)
    paper, unit = (
        softmax_probe(F, y, F_test, y_test, unit_rms=unit, random_state=0) for unit in (False, True)
    )
    accuracy, stopped = converged(F, y, F_test, y_test)
    null = NullSpaceProjector(FrozenEstimator(mgan)).fit(F)
    return {
        "feature_rms": paper.feature_rms, "paper_probe": paper.accuracy,
        "unit_rms_probe": unit.accuracy, "converged": accuracy, "stopped": stopped,
        "labels10": few_labels(F, y, F_test, y_test),
        "row_variance": null.row_variance_ratio(F_test),
    }  # fmt: skip


def flat(X):
    return X.reshape(len(X), -1).astype(np.float32)


def run(removed, seed, data, options):
    work = options.work / f"{stem(options, removed, seed)}"
    mgan = make_mgan(
        options, removed, seed, checkpoint_dir=work, checkpoint_every=options.every, verbose=1
    ).fit(data[0])
    settings = common.settings_of(mgan)  # before `judge`, which changes `extractor`
    untrained = make_mgan(options, removed, seed, n_epochs=0).fit(data[0])
    started = time.perf_counter()
    # Where all layers are shared, both have the same features.
    roles = ROLES if removed else ROLES[:1]
    judged = {
        name: {role: judge(m, role, data) for role in roles}
        for name, m in (("trained", mgan), ("untrained", untrained))
    }
    pixels = make_pipeline(FunctionTransformer(flat), LogisticRegression(C=1e-6, max_iter=100))
    coverage = mode_coverage(mgan, pixels.fit(data[0][:5000], data[1][:5000]), random_state=0)
    alpha = mgan.density_ratio(data[2])
    mgan.save(work / "mgan")
    return common.report_of(command(options, removed, seed)) | {
        "removed": removed,
        "seed": seed,
        "settings": settings,
        "judged": judged,
        "alpha_cv": float(alpha.std() / alpha.mean()),
        "modes": {"covered": coverage.n_covered, "kl": coverage.kl},
        "last_epoch": mgan.history_[-1],
        "train_seconds": common.train_seconds(mgan),
        "probe_seconds": time.perf_counter() - started,
    }


def command(options, removed, seed):
    return (
        f"python examples/papers/mgan_mnist.py run --dataset {options.dataset} "
        f"--width {options.width} --images {options.images} --epochs {options.epochs} "
        f"--seeds {seed} --removed {removed}{common.precision_of(options)}"
    )


def stem(options, removed, seed):
    size = f"width{options.width}_images{options.images}_epochs{options.epochs}"
    return f"mgan_{options.dataset}_{size}_removed{removed}_seed{seed}"


def run_all(options):
    X, y, X_test, y_test = common.load_images(options.data, options.dataset)
    data = X[: options.images], y[: options.images], X_test, y_test
    for seed in options.seeds:
        for removed in options.removed:
            path = options.results / f"{stem(options, removed, seed)}.json"
            if common.there_already(path, command(options, removed, seed)):
                continue
            report = run(removed, seed, data, options)
            common.write(path, report)
            shown = {r: round(j["converged"], 4) for r, j in report["judged"]["trained"].items()}
            print(f"{path.name}: {shown}", flush=True)


def values(reports, name, role, key):
    """One figure of every run, in percent; where all layers are shared, C's is D's."""
    judged = [r["judged"][name] for r in reports]
    return np.array([100 * j.get(role, j["discriminator"])[key] for j in judged])


def table(options):
    """Prints mean and standard deviation of the results over seeds."""
    print(
        f"{options.dataset}, {options.width} wide, {options.images} images, {options.epochs} "
        "epochs; accuracies in %, mean ± standard deviation over seeds\n"
    )
    probes = [c for label in PROBES.values() for c in (label, f"untrained, {label}")]
    columns = ["removed", "seeds", "features", "paper", *probes, "RMS", "row share, %"]
    common.print_head(columns)
    for removed in options.removed:
        reports = common.read_all(options.results, f"{stem(options, removed, '*')}.json")
        if not reports:
            continue
        for i, role in enumerate(ROLES):
            paper = PAPER[removed][i] if options.dataset == "mnist" else None
            row = [removed, len(reports), role, f"{100 * paper:.2f}" if paper else "-"]
            row += [
                common.cell(values(reports, name, role, probe))
                for probe in PROBES for name in ("trained", "untrained")
            ]  # fmt: skip
            row += [f"{values(reports, 'trained', role, 'feature_rms').mean() / 100:.3g}"]
            share = values(reports, "trained", role, "row_variance").mean()
            own_head = role in reports[0]["judged"]["trained"]
            row += [f"{share:.2f}" if own_head else "-"]
            common.print_row(row)
        gaps = [
            values(reports, name, ROLES[1], probe) - values(reports, name, ROLES[0], probe)
            for probe in PROBES for name in ("trained", "untrained")
        ]  # fmt: skip
        common.print_row([removed, len(reports), "C - D", "-", *map(common.cell, gaps), "", ""])
    if options.dataset == "cifar10":
        print(f"\n{PAPER_CIFAR10}")


def main():
    parser = common.parser_of(__doc__, "mgan")
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--dataset", choices=["mnist", "cifar10"], default="mnist")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--removed", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--every", type=int, default=1, help="epochs between checkpoints")
    options = parser.parse_args()
    table(options) if options.what == "table" else run_all(options)


if __name__ == "__main__":
    main()
