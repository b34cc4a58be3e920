"""Two moons, and the same turned by 35 degrees: DANN on the problem of the paper's first figure.

    python examples/papers/dann_moons.py run
    python examples/papers/dann_moons.py run --methods adversary_15 chosen_15
    python examples/papers/dann_moons.py table

The source has 300 points with labels; the target has 300 others without, turned around the centre.
Their labels are for scoring alone. Methods, with the hidden units of the trunk after their name:

- "source": without the domain head, `domain_weight=0`;
- "adversary": batch norm, a domain head of 64 units, alternating play and Adam; "simultaneous" is
  the same with all networks updated at once;
- "decay": "adversary" with a smaller lambda, weight decay and three steps of the domain head, which
  were found on other draws, of the seeds 100 to 107; "decay_simultaneous" is the same with all
  networks updated at once;
- "vada": entropy and virtual adversarial training without the domain head, "both" with it;
- "chosen": "simultaneous", for each seed with those settings of GRID that `ReverseValidation` gives
  the highest score, without labels of the target;
- "paper": the paper's network with the estimator: logistic units, linear heads, lambda 6;
- "algorithm_300" and "algorithm_150": the paper's Algorithm 1 in NumPy, one pair of points after
  the other, on as many points of each domain (the released code has 150).

`table` has the mean accuracies, with the smallest and the largest of the seeds, and the mean proxy
A-distance of the features of all points. Below it are the pairs of methods that differ in the play
alone, with the p of Wilcoxon's test on the seeds. One result file has all seeds of a method: there
are twenty, and ten of "chosen", whose searches take longer.
"""

import time

import common
import numpy as np
from scipy.stats import wilcoxon
from sklearn.datasets import make_moons
from sklearn.model_selection import GridSearchCV, KFold

from skgan import DomainAdversarialFeatures, MLPSpec
from skgan.evaluation import ReverseValidation, proxy_a_distance

BASE = {
    "trunk": MLPSpec(15, n_layers=1), "norm": "batch", "domain_hidden": (64,),
    "play": "alternating", "optimizer": "adam", "lr": 0.01, "betas": (0.5, 0.999),
    "lr_decay": "linear", "n_epochs": 300, "batch_size": 128, "device": "cpu",
}  # fmt: skip
NARROW = BASE | {"trunk": MLPSpec(widths=(32, 4))}
DECAY = {"domain_weight": 0.2, "n_domain_steps": 3, "weight_decay": 1e-3}
TERMS = {"entropy_weight": 0.1, "vat_weight": 1.0, "vat_radius": 0.15}
METHODS = {
    "source_15": BASE | {"domain_weight": 0.0},
    "adversary_15": BASE,
    "simultaneous_15": BASE | {"play": "simultaneous"},
    "decay_15": BASE | DECAY,
    "decay_simultaneous_15": BASE | DECAY | {"play": "simultaneous"},
    "chosen_15": BASE | {"play": "simultaneous"},
    "vada_15": BASE | TERMS | {"domain_weight": 0.0},
    "both_15": BASE | TERMS,
    "source_32_4": NARROW | {"domain_weight": 0.0},
    "adversary_32_4": NARROW,
    "simultaneous_32_4": NARROW | {"play": "simultaneous"},
    "decay_32_4": NARROW | DECAY,
    "decay_simultaneous_32_4": NARROW | DECAY | {"play": "simultaneous"},
    "vada_32_4": NARROW | TERMS | {"domain_weight": 0.0},
    "both_32_4": NARROW | TERMS,
    "paper": {
        "trunk": MLPSpec(15, n_layers=1, activation="sigmoid"), "domain_hidden": (),
        "domain_weight": 6.0, "schedule": "constant", "lr": 0.1, "lr_decay": None,
        "n_epochs": 300, "batch_size": 128, "device": "cpu",
    },
    "algorithm_300": {"n": 300},
    "algorithm_150": {"n": 150},
}  # fmt: skip
# Pairs that differ in the play alone.
PLAYS = [
    (f"{one}_{units}", f"{other}_{units}")
    for one, other in (("adversary", "simultaneous"), ("decay", "decay_simultaneous"))
    for units in ("15", "32_4")
]
GRID = {"domain_weight": [0.1, 0.2, 0.5, 1.0], "weight_decay": [0.0, 1e-3]}


def main():
    parser = common.parser_of(__doc__, "dann_moons")
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", help="default: 0 to 19, or 9 for chosen")
    common.run_or_table(parser, run, table)


def moons(n, seed):
    """Two moons, and others turned by 35 degrees around their centre; (X, y, domain)."""
    angle, centre = np.deg2rad(35), [0.5, 0.25]
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    (X, y), (X_t, y_t) = (make_moons(n, noise=0.05, random_state=seed + k) for k in (0, 1000))
    X = np.concatenate([X - centre, (X_t - centre) @ turn])
    return X, np.concatenate([y, y_t]), np.repeat([1, -1], n)


def run(options):
    for name in options.methods:
        seeds = options.seeds or range(10 if name.startswith("chosen") else 20)
        command = f"python examples/papers/dann_moons.py run --methods {name} --seeds "
        command += " ".join(map(str, seeds))
        path = options.results / f"dann_moons_{name}.json"
        if common.there_already(path, command):
            continue
        started = time.process_time()
        found = {seed: study(name, seed) for seed in seeds}
        report = common.report_of(command) | {"method": name, "settings": METHODS[name]}
        report |= {"grid": GRID} if name.startswith("chosen") else {}
        common.write(path, report | {"seeds": found, "cpu_seconds": time.process_time() - started})
        print(f"{name}: {found}", flush=True)


def study(name, seed):
    settings = METHODS[name]
    X, y, domain = moons(settings.get("n", 300), seed)
    if name.startswith("algorithm"):
        features, predict = algorithm(X[domain > 0], y[domain > 0], X[domain < 0], seed)
        right, found = predict(X) == y, {}
        Z = features(X)
    else:
        labels = np.where(domain > 0, y, -1)
        estimator = DomainAdversarialFeatures(**settings, random_state=seed)
        found = {}
        if name.startswith("chosen"):
            folds = KFold(2, shuffle=True, random_state=seed)
            search = GridSearchCV(estimator, GRID, scoring=ReverseValidation(), cv=folds)
            estimator = search.fit(X, labels).best_estimator_
            found = {"chosen": search.best_params_, "reverse": search.best_score_}
            found["all"] = search.cv_results_["mean_test_score"].tolist()
        else:
            estimator.fit(X, labels)
        right, Z = estimator.predict(X) == y, estimator.transform(X)
    accuracy = {k: np.mean(right[domain == d]) for k, d in (("source", 1), ("target", -1))}
    return found | accuracy | {"distance": proxy_a_distance(Z, domain)}


def algorithm(X, y, X_target, seed, *, n_hidden=15, lam=6.0, lr=0.05, n_passes=500):
    """Algorithm 1 of the paper; the functions for features and for classes.

    h = sigmoid(W x + b), classes softmax(V h + c), domain sigmoid(u h + z), all by plain gradient
    descent: for each source point with its label, and one target point drawn at random.
    """
    rng = np.random.RandomState(seed)
    bound = np.sqrt(6 / (X.shape[1] + n_hidden))
    W, b = rng.uniform(-bound, bound, (n_hidden, X.shape[1])), np.zeros(n_hidden)
    V, c = np.zeros((2, n_hidden)), np.zeros(2)
    u, z = np.zeros(n_hidden), 0.0

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    for _ in range(n_passes):
        for x, label in zip(X, y, strict=True):
            h = sigmoid(W @ x + b)
            e = np.exp(V @ h + c)
            d_scores = e / e.sum() - np.eye(2)[label]
            d_V, d_h = np.outer(d_scores, h), V.T @ d_scores
            d_W, d_b = np.zeros_like(W), np.zeros_like(b)
            d_u, d_z = np.zeros_like(u), 0.0
            pairs = (x, h, d_h, 1), (X_target[rng.randint(len(X_target))], None, 0.0, 0)
            for point, hidden, d_hidden, is_source in pairs:
                if hidden is None:
                    hidden = sigmoid(W @ point + b)
                d_logit = sigmoid(u @ hidden + z) - is_source  # of the domain's cross-entropy
                d_u, d_z = d_u + d_logit * hidden, d_z + d_logit
                d_a = (d_hidden - lam * d_logit * u) * hidden * (1 - hidden)  # reversed for f
                d_W, d_b = d_W + np.outer(d_a, point), d_b + d_a
            W, b, V = W - lr * d_W, b - lr * d_b, V - lr * d_V
            c, u, z = c - lr * d_scores, u - lr * lam * d_u, z - lr * lam * d_z

    def features(X):
        return sigmoid(X @ W.T + b)

    return features, lambda X: (features(X) @ V.T + c).argmax(1)


def table(options):
    common.print_head(["method", "source", "target", "distance", "seeds"])
    targets = {}
    for name in METHODS:
        for report in common.read_all(options.results, f"dann_moons_{name}.json"):
            found = list(report["seeds"].values())
            targets[name] = [f["target"] for f in found]
            cells = []
            for part in ("source", "target"):
                a = [f[part] for f in found]
                cells.append(f"{np.mean(a):.3f} ({min(a):.3f} to {max(a):.3f})")
            distance = np.mean([f["distance"] for f in found])
            common.print_row([name, *cells, f"{distance:.2f}", len(found)])
    print()
    for one, other in PLAYS:
        if one in targets and other in targets:
            print(f"{one} and {other}: p {wilcoxon(targets[one], targets[other]).pvalue:.2f}")


if __name__ == "__main__":
    main()
