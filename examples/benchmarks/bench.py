"""skgan and hand-written PyTorch scripts, timed in one interleaved run: images/s, and memory.

    make bench
    python examples/benchmarks/bench.py --only train-table1 extract-table1 --rounds 9

After a warm-up, all candidates run in turn, for several rounds; the ratios are taken within each
round and their median is reported. Run nothing else on the machine meanwhile. The scripts that
training is compared with:

    (a) plain       the usual DCGAN script in float32, its images a tensor in memory
    (b) published   the same with a DataLoader and per-image transforms
    (c) autocast    (a) under stock bfloat16 autocast (only on CPUs with bfloat16 instructions)
"""

import argparse
import json
import sys
import time
from pathlib import Path

import contrast
import numpy as np
import plain
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from timing import interleave, machine, peak_memory, ratios, resident, show

from skgan import (
    BiGANEncoder,
    ContrastiveDiscriminatorFeatures,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    MLPSpec,
)

# name: channels of D's blocks, side and colours of the images, batch size, steps a run
NETWORKS = {
    "table1": ((128, 256, 512), 32, 1, 120, 3),  # Mao et al., Table 1
    "dcgan32": ((64, 128, 256), 32, 3, 128, 6),
    "dcgan64": ((64, 128, 256, 512), 64, 3, 128, 2),
}


def images(n, side, colours):
    shape = (n, side, side) if colours == 1 else (n, side, side, colours)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def estimator(channels, batch_size, **settings):
    spec = DCGANSpec(channels=channels)
    chosen = {"generator": spec, "discriminator": spec, "latent": "normal", "n_epochs": 1,
              "latent_dim": plain.LATENT, "batch_size": batch_size, "random_state": 0,
              "weight_decay": 0.0, "device": "cpu"}  # fmt: skip
    return DCGANDiscriminatorFeatures(**(chosen | settings))


def has_bfloat16():
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, test, lambda: False)() for test in tests)


def train(name, rounds):
    channels, side, colours, batch_size, n_steps = NETWORKS[name]
    X = images(n_steps * batch_size, side, colours)
    final = side // 2 ** len(channels)

    def peer(batches, **settings):
        torch.manual_seed(0)
        G, D = plain.networks(channels, colours, final)
        return plain.train(G, D, batches(X, batch_size), len(X), **settings)

    def ours(**settings):
        gan = estimator(channels, batch_size, **settings).fit(X)
        return gan.history_[0]["images_per_second"]

    precision = estimator(channels, batch_size).fit(X[: 2 * batch_size]).precision_
    candidates = {"plain": lambda: peer(plain.in_memory), "skgan": ours}
    if precision != "float32":
        candidates["skgan float32"] = lambda: ours(precision="float32")
    candidates["published"] = lambda: peer(plain.as_published)
    if has_bfloat16():
        candidates["autocast"] = lambda: peer(plain.in_memory, autocast=True)
    return interleave(candidates, rounds) | {"precision": precision}


def contrastive(name, rounds):
    """A contrastive discriminator, beside the same in stock PyTorch."""
    channels, side, colours, batch_size, n_steps = NETWORKS[name]
    X = images(n_steps * batch_size, side, colours)

    def peer(**settings):
        torch.manual_seed(0)
        G, D = contrast.networks(channels, colours, side // 2 ** len(channels))
        return contrast.train(G, D, plain.in_memory(X, batch_size), len(X), **settings)

    def ours(**settings):
        spec = DCGANSpec(channels=channels)
        gan = ContrastiveDiscriminatorFeatures(
            discriminator=spec, generator=spec, latent="normal", latent_dim=plain.LATENT,
            norm="batch", augment="affine", batch_size=batch_size, n_epochs=1, random_state=0,
            device="cpu", **settings,
        ).fit(X)  # fmt: skip
        return gan.history_[0]["images_per_second"]

    candidates = {"plain": peer, "skgan": ours, "skgan float32": lambda: ours(precision="float32")}
    if has_bfloat16():
        candidates["autocast"] = lambda: peer(autocast=True)
    return interleave(candidates, rounds)


def augmented(name, rounds):
    """Steps of a DCGAN with and without the random changes of what its discriminator sees."""
    channels, side, colours, batch_size, n_steps = NETWORKS[name]
    X = images(n_steps * batch_size, side, colours)

    def speed(augment):
        gan = estimator(channels, batch_size, augment=augment).fit(X)
        return gan.history_[0]["images_per_second"]

    policies = {"none": None, "digits": "digits", "photographs": "photographs"}
    return interleave({k: lambda a=a: speed(a) for k, a in policies.items()}, rounds)


def extract(name, rounds):
    channels, side, colours, batch_size, _ = NETWORKS[name]
    X = images(2000, side, colours)
    gan = estimator(channels, batch_size).fit(X[:240])
    D = gan.as_module().extractor.net.to(memory_format=torch.contiguous_format)
    reference, out = plain.extract(D, X[:300]), gan.transform(X[:300])
    assert np.allclose(reference, out, atol=0.05 * np.abs(reference).max())

    def speed(run):
        start = time.perf_counter()
        run()
        return len(X) / (time.perf_counter() - start)

    return interleave(
        {
            "plain": lambda: speed(lambda: plain.extract(D, X)),
            "skgan": lambda: speed(lambda: gan.transform(X)),
        },
        rounds,
    )


def mlp(rounds, width=1024, n_steps=60):
    """BiGAN's dense networks on 784 pixels, updated simultaneously in batches of 128."""
    X = images(128 * n_steps, 28, 1)
    spec = MLPSpec(width, bn_affine=False, z_injection=True, bias=False)

    def peer():
        torch.manual_seed(0)
        nets = plain.bigan_networks(width)
        return plain.train_bigan(*nets, plain.in_memory(X, 128), len(X))

    def ours(**settings):
        gan = BiGANEncoder(
            generator=spec, encoder=spec, discriminator=spec, n_epochs=1, random_state=0,
            device="cpu", **settings,
        ).fit(X)  # fmt: skip
        return gan.history_[0]["images_per_second"], gan.precision_

    candidates = {"plain": peer, "skgan": lambda: ours()[0]}
    precision = ours()[1]
    if precision != "float32":
        candidates["skgan float32"] = lambda: ours(precision="float32")[0]
    return interleave(candidates, rounds) | {"precision": precision}


def search(rounds):
    """GridSearchCV over small networks: searches a second."""
    X, y = load_digits(return_X_y=True)
    spec = DCGANSpec(8)
    gan = DCGANDiscriminatorFeatures(
        image_shape=(8, 8), generator=spec, discriminator=spec, n_epochs=10, random_state=0
    )
    grid = {"dcgandiscriminatorfeatures__lr": [1e-4, 2e-4, 5e-4, 1e-3]}

    def run(n_jobs):
        start = time.perf_counter()
        pipe = make_pipeline(gan, LinearSVC(max_iter=200))
        GridSearchCV(pipe, grid, cv=2, n_jobs=n_jobs, refit=False).fit(X, y)
        return 1 / (time.perf_counter() - start)

    return interleave({"n_jobs=1": lambda: run(1), "n_jobs=2": lambda: run(2)}, rounds)


def memory(name):
    """Peak memory in MB of training in a process of its own, and the imports' part of it."""
    runs = {side: peak_memory(__file__, "--memory", side, name) for side in ("plain", "skgan")}
    beyond = {side: run["peak"] - run["imports"] for side, run in runs.items()}
    return runs | {"ratio": beyond["skgan"] / beyond["plain"]}


def memory_of(side, name):
    imports = resident()
    channels, image_side, colours, batch_size, _ = NETWORKS[name]
    X = images(3 * batch_size, image_side, colours)
    if side == "plain":
        G, D = plain.networks(channels, colours, image_side // 2 ** len(channels))
        plain.train(G, D, plain.in_memory(X, batch_size), len(X))
    else:
        estimator(channels, batch_size).fit(X)
    print(json.dumps({"peak": resident(high=True), "imports": imports}))


# -------------------------------------------------------------------- product rates


def products_of(name):
    """[(times a step, m, k, n)]: the matrix products that one training step amounts to."""
    channels, side, colours, batch_size, _ = NETWORKS[name]
    found = []
    for c_in, c_out in zip((colours, *channels[:-1]), channels, strict=True):
        side //= 2
        rows, window = batch_size * side * side, 16 * c_in
        # D: forward 3 times, input gradient 3 times (not with respect to images in D's step),
        # weight gradient twice. The mirrored layer of G: once each.
        inner = 1 if c_in == colours else 3
        forward, to_input, to_weight = 3 + 1, inner + 1, 2 + 1
        found += [
            (forward, rows, window, c_out),
            (to_input, rows, c_out, window),
            (to_weight, c_out, rows, window),
        ]
    flat = side * side * channels[-1]
    return [*found, (1, batch_size, plain.LATENT, flat), (1, plain.LATENT, batch_size, flat)]


def rates(name, rounds):
    """TFLOP/s of plain matrix products of the step's shapes, each as often as in the step."""
    types = {"float32": torch.float32} | ({"bfloat16": torch.bfloat16} if has_bfloat16() else {})
    shapes = products_of(name)
    flop = sum(2 * times * m * k * n for times, m, k, n in shapes)

    def run(dtype):
        seconds = 0.0
        for times, m, k, n in shapes:
            a, b = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype)
            a @ b
            start = time.perf_counter()
            a @ b
            seconds += times * (time.perf_counter() - start)
        return flop / seconds / 1e12

    figures = interleave({k: lambda d=d: run(d) for k, d in types.items()}, rounds)
    return figures | {"gflop_an_image": flop / NETWORKS[name][3] / 1e9}


def share_of_rate(training, rates_):
    """The share of the product rate that training reaches."""
    fastest = "bfloat16" if training["precision"] == "bfloat16" else "float32"
    speed = np.median(training["skgan"]) * rates_["gflop_an_image"] / 1000
    return float(speed / np.median(rates_[fastest]))


# -------------------------------------------------------------------- the table

JOBS = {
    **{f"train-{n}": lambda r, n=n: train(n, r) for n in NETWORKS},
    **{f"contrast-{n}": lambda r, n=n: contrastive(n, r) for n in NETWORKS},
    **{f"augment-{n}": lambda r, n=n: augmented(n, r) for n in NETWORKS},
    **{f"extract-{n}": lambda r, n=n: extract(n, r) for n in NETWORKS},
    "mlp": mlp,
    "search": search,
    **{f"memory-{n}": lambda r, n=n: memory(n) for n in NETWORKS},
    **{f"rates-{n}": lambda r, n=n: rates(n, r) for n in NETWORKS},
}
REFERENCE = {"search": "n_jobs=1"}


def report(job, figures):
    if job.startswith("memory"):
        rows = [(k, f"{v['peak']:.0f}", f"{v['imports']:.0f}") for k, v in figures.items()
                if k != "ratio"]  # fmt: skip
        show(
            f"{job}: ratio beyond imports {figures['ratio']:.2f}",
            rows,
            ("", "peak MB", "of it imports"),
        )
        return
    measured = {k: v for k, v in figures.items() if isinstance(v, list)}
    unit = {"rates": "TFLOP/s", "search": "searches/s"}.get(job.split("-")[0], "images/s")
    reference = REFERENCE.get(job, next(iter(measured)))
    compared = ratios(measured, reference)
    rows = []
    for name, values in measured.items():
        r = "{:.2f}  ({:.2f} to {:.2f})".format(*compared[name]) if name in compared else ""
        rows.append((name, f"{np.median(values):.3g}", r))
    show(job, rows, ("", unit, f"times {reference}: median (lowest to highest)"))


def main():
    options = parse_options()
    if options.memory:
        return memory_of(*options.memory)
    out = {"commands": [], "figures": {}}
    if options.out and options.out.exists():
        out |= json.loads(options.out.read_text())
    before = out.get("machine", {})
    out["machine"] = machine()
    differ = [k for k in before if k != "date" and before[k] != out["machine"].get(k)]
    if differ:
        raise SystemExit(f"{options.out} was measured on another machine ({', '.join(differ)}).")
    out["commands"].append(" ".join(["python", *sys.argv]))
    print(json.dumps(out["machine"], indent=1))
    for job in options.only or JOBS:
        figures = out["figures"][job] = JOBS[job](options.rounds)
        report(job, figures)
        if options.out:
            options.out.write_text(json.dumps(out, indent=1) + "\n")
    for name in NETWORKS:
        done = [out["figures"].get(f"{kind}-{name}") for kind in ("train", "rates")]
        if all(done):
            print(f"{name}: training reaches {share_of_rate(*done):.0%} of the product rate")


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(JOBS), metavar="JOB",
                        help=f"some of: {', '.join(JOBS)}")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--out", type=Path, help="JSON file of figures; those of other jobs in it are kept"
    )
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
