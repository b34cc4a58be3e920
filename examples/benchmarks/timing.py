"""Fair timings on shared machines: all candidates in turn, and ratios within each round."""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import sklearn
import torch

import skgan


def interleave(candidates, rounds, *, warm_up=1):
    """Run all candidates in turn, `rounds` times: {name: [figure, ...]}; larger is better."""
    figures = {name: [] for name in candidates}
    for i in range(warm_up + rounds):
        for name, run in candidates.items():
            figure = run()
            if i >= warm_up:
                figures[name].append(figure)
    return figures


def ratios(figures, reference):
    """{name: (median, lowest, highest)} of the ratios to `reference` within each round."""
    base = np.asarray(figures[reference])
    by_round = {name: np.asarray(f) / base for name, f in figures.items() if name != reference}
    return {k: (float(np.median(r)), float(r.min()), float(r.max())) for k, r in by_round.items()}


def n_cores():
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def machine():
    """The machine and the versions with which the figures were measured."""
    names = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if names.exists():
        lines = [s for s in names.read_text().splitlines() if s.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return {
        "cpu": model, "cores": n_cores(), "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(), "amx": bool(amx),
        "bfloat16 vectors": bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()),
        "limit": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        "torch": torch.__version__, "scikit-learn": sklearn.__version__,
        "skgan": skgan.__version__, "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip


def peak_memory(script, *arguments):
    """Run `script` in a process of its own; returns the JSON that its last line prints."""
    run = subprocess.run(
        [sys.executable, script, *arguments], check=True, capture_output=True, text=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def resident(high=False):
    """Resident memory of this process in MB; with `high`, its maximum so far."""
    if not Path("/proc/self/status").exists():
        raise SystemExit("the memory jobs read /proc/self/status, which only Linux has.")
    key = "VmHWM:" if high else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(s.split()[1]) for s in lines if s.startswith(key)) / 1024


def show(title, rows, columns):
    widths = [max(len(str(r[i])) for r in [columns, *rows]) for i in range(len(columns))]
    print(f"\n{title}")
    for row in [columns, *rows]:
        print("  " + "  ".join(str(v).ljust(w) for v, w in zip(row, widths, strict=True)))
    sys.stdout.flush()
