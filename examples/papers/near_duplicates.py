"""Near duplicates by DCGAN's hash: copies planted among real images, and what is found beside them.

    python examples/papers/near_duplicates.py run --dataset mnist --data mnist.npz
    python examples/papers/near_duplicates.py run --dataset cifar10 --data cifar10.npz
    python examples/papers/near_duplicates.py table

To the training images are added altered copies of 250 of them for every alteration: noise of 2 and
4 % of the range of pixels, brightness times .9 to 1.1, or plus or minus up to 5 % of the range,
JPEG of quality 75 and 50, and a shift by one pixel. "recall" is the share of copies that are in the
group of their original. "flagged" are the images, without the copies, that are called near
duplicates of an earlier image: real duplicates of the set among them, so it is an upper bound of
the false positives. The picture has these images below the ones that are kept in their place,
for the default and seed 0; it needs matplotlib, as in `pip install "skgan[plot]"`.
"""

import io
import time

import common
import numpy as np
from PIL import Image

from skgan.tools import find_near_duplicates

DEFAULT = "10 bits, .15 of a(x)"
# (radius, tolerance), by name: the paper's, other radii, other tolerances and the default.
SETTINGS = {
    **{f"hash, {r} bits": (r, None) for r in (0, 4, 6, 8, 10)},
    **{f"10 bits, {t} of a(x)": (10, float(t)) for t in (".1", ".2")},
    DEFAULT: (10, 0.15),
}
N_COPIES = 250


def main():
    parser = common.parser_of(__doc__, "near_duplicates")
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--dataset", choices=list(common.READERS), default="mnist")
    parser.add_argument("--images", type=int, help="only the first so many training images")
    parser.add_argument("--steps", type=int, default=1000, help="of training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    common.run_or_table(parser, run, table)


def run(options):
    X = common.load_images(options.data, options.dataset)[0][: options.images]
    for seed in options.seeds:
        said = f"python examples/papers/near_duplicates.py run --dataset {options.dataset}"
        said += f" --images {options.images}" if options.images else ""
        said += f" --steps {options.steps}" if options.steps != 1000 else ""
        stem = f"near_duplicates_{options.dataset}_images{len(X)}_seed{seed}"
        path = options.results / f"{stem}.json"
        if common.there_already(path, f"{said} --seeds {seed}"):
            continue
        options.results.mkdir(parents=True, exist_ok=True)
        report = common.report_of(f"{said} --seeds {seed}")
        report |= {"dataset": options.dataset, "images": len(X), "seed": seed}
        originals, copies = planted(X, seed)
        together = np.concatenate([X, *copies.values()])
        for name, (radius, tolerance) in SETTINGS.items():
            started = time.process_time()
            found = find_near_duplicates(
                together, radius=radius, tolerance=tolerance, n_steps=options.steps,
                random_state=seed,
            )  # fmt: skip
            labels = found.labels[: len(X)]
            report[name] = {
                "recall": recall(found.labels, len(X), originals),
                "flagged": float(np.mean(~found.keep[: len(X)])),
                "largest_group": int(np.bincount(labels[labels >= 0], minlength=1).max()),
                "cpu_seconds": time.process_time() - started,
            }
            if name == DEFAULT and seed == 0 and not found.keep[: len(X)].all():
                common.picture(options.results / f"{stem}.png", pairs(X, found))
        common.write(path, report)
        print(f"{stem}: {report[DEFAULT]}", flush=True)


def planted(X, seed):
    """Indices of the originals, and their altered copies, by alteration."""
    rng = np.random.default_rng(seed)
    n = min(N_COPIES, len(X) // len(ALTERATIONS))
    drawn = rng.permutation(len(X))[: len(ALTERATIONS) * n].reshape(len(ALTERATIONS), n)
    originals = dict(zip(ALTERATIONS, drawn, strict=True))
    return originals, {k: ALTERATIONS[k](X[i], rng) for k, i in originals.items()}


def recall(labels, n, originals):
    """By alteration, the share of copies that are in the group of their original."""
    shares, start = {}, n
    for name, rows in originals.items():
        own, start = labels[start : start + len(rows)], start + len(rows)
        shares[name] = float(np.mean((own >= 0) & (own == labels[rows])))
    return shares


def pairs(X, found):
    """At most 100 of the images that are not kept, below those kept: (n, c, h, w) in [0, 1]."""
    flagged = np.flatnonzero(~found.keep[: len(X)])[:100]
    kept = [np.flatnonzero(found.labels == found.labels[i])[0] for i in flagged]
    images = X.reshape(*X.shape[:3], -1).transpose(0, 3, 1, 2)
    rows = np.zeros((2, 100, *images.shape[1:]))
    for row, numbers in zip(rows, (kept, flagged), strict=True):
        row[: len(flagged)] = images[numbers] / 255
    n_rows = -(-len(flagged) // 20)
    rows = rows.reshape(2, 5, 20, *images.shape[1:])[:, :n_rows].swapaxes(0, 1)
    return rows.reshape(-1, *images.shape[1:])


# ---------------------------------------------------------------- alterations of uint8 images


def noisy(share):
    return lambda X, rng: as_bytes(X + rng.normal(0, share * 255, X.shape))


def brighter(X, rng):
    return as_bytes(X * each(rng.uniform(0.9, 1.1, len(X)), X))


def lifted(X, rng):
    return as_bytes(X + each(rng.uniform(-0.05, 0.05, len(X)) * 255, X))


def compressed(quality):
    def copies(X, rng):
        saved = []
        for x in X:
            file = io.BytesIO()
            Image.fromarray(x).save(file, "jpeg", quality=quality)
            saved.append(np.asarray(Image.open(file)))
        return np.stack(saved)

    return copies


def shifted(X, rng):
    """One pixel to one of the four sides; the pixels of the edge are repeated."""
    padded = np.pad(X, [(0, 0), (1, 1), (1, 1)] + [(0, 0)] * (X.ndim - 3), mode="edge")
    h, w = X.shape[1:3]
    corners = np.array([(0, 1), (2, 1), (1, 0), (1, 2)])[rng.integers(4, size=len(X))]
    return np.stack([p[t : t + h, s : s + w] for p, (t, s) in zip(padded, corners, strict=True)])


def each(values, X):
    """One value for each image, to be combined with X."""
    return values.reshape(-1, *[1] * (X.ndim - 1))


def as_bytes(X):
    return np.clip(np.rint(X), 0, 255).astype(np.uint8)


ALTERATIONS = {
    "noise 2 %": noisy(0.02), "noise 4 %": noisy(0.04), "brightness": brighter, "offset": lifted,
    "JPEG 75": compressed(75), "JPEG 50": compressed(50), "shift": shifted,
}  # fmt: skip


def table(options):
    """Means and standard deviations over seeds, in percent."""
    columns = ["images", "near duplicates", *(f"recall, {k}" for k in ALTERATIONS)]
    common.print_head([*columns, "flagged", "largest group", "CPU seconds", "seeds"])
    found = {}
    for report in common.read_all(options.results, "near_duplicates_*.json"):
        found.setdefault((report["dataset"], report["images"]), []).append(report)
    for (dataset, n), reports in sorted(found.items()):
        for name in SETTINGS:
            of = [r[name] for r in reports]
            cells = [common.cell([100 * r["recall"][k] for r in of]) for k in ALTERATIONS]
            cells.append(common.cell([100 * r["flagged"] for r in of]))
            cells.append(max(r["largest_group"] for r in of))
            cells.append(common.cell([r["cpu_seconds"] for r in of]))
            common.print_row([f"{n} of {dataset}", name, *cells, len(reports)])


if __name__ == "__main__":
    main()
