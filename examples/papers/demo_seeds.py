"""The demo with several seeds: means over them, and margins that are paired by seed.

    python examples/papers/demo_seeds.py --seeds 0 1 2 3 4

Each seed is one run of examples/demo.py, kept as one file, and is not repeated.
"""

import json
import subprocess
import sys
from pathlib import Path

import common
import numpy as np

DEMO = Path(__file__).parents[1] / "demo.py"
BEST, UNTRAINED = "contrastive", "untrained"


def main():
    parser = common.parser_of(__doc__, "demo_seeds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--machine", default="avx512_bf16", help="name of the kind of CPU")
    options = parser.parse_args()
    reports = [run(options, seed) for seed in options.seeds]
    budgets = (10, 100)
    means = {b: [means_of(report, b) for report in reports] for b in budgets}
    common.print_head(["features", *(f"{b} labels a class" for b in budgets), "seeds"])
    for name in means[10][0]:
        cells = [common.cell([100 * m[name] for m in means[b]]) for b in budgets]
        common.print_row([name, *cells, len(reports)])
    print(f"\nMargins of {BEST!r}, in percent: mean over seeds, and the least one")
    for name, other in {
        "the better untrained one": lambda m: max(v for k, v in m.items() if UNTRAINED in k),
        "patches": lambda m: m["patches"],
    }.items():
        for b in budgets:
            margins = [100 * (m[BEST] - other(m)) for m in means[b]]
            print(f"ahead of {name}, {b} labels: {common.cell(margins)}, {min(margins):.2f}")


def run(options, seed):
    path = options.results / f"demo_{options.machine}_seed{seed}.json"
    said = f"python examples/demo.py --seed {seed}"
    if not common.there_already(path, said):
        out = options.work / f"seed{seed}"
        subprocess.run([sys.executable, DEMO, "--seed", str(seed), "--out", out], check=True)
        result = json.loads((out / "result.json").read_text())
        common.write(path, result | common.report_of(said))
    return json.loads(path.read_text())


def means_of(report, n_labels):
    """Mean accuracy over draws, by the name of the features."""
    rows = [r for r in report["probe"]["summary"] if r["n_labels"] == n_labels]
    return {r["representation"]: float(np.mean(r["mean"])) for r in rows}


if __name__ == "__main__":
    main()
