"""What every class computes is what it was: tests/golden/bits.py against its digests."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "golden" / "bits.py"


def run(*arguments):
    env = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    env["PYTHONPATH"] = str(SCRIPT.parents[2])
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], env=env, capture_output=True, text=True
    )


@pytest.mark.slow
def test_all_bits_are_as_they_were():
    done = run()
    if "has none for" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr


def test_differences_are_found_and_named():
    spec = importlib.util.spec_from_file_location("bits", SCRIPT)
    bits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bits)
    then = {"a fit": {"features": "1", "scores": "2"}, "another": {"features": "3"}}
    assert bits.differences(then, then | {"new": {"features": "4"}}) == []
    now = {"a fit": {"features": "1", "scores": "5", "history r1": "6"}}
    assert bits.differences(then, now) == [
        "a fit: scores is not as it was",
        "another: features is gone",
    ]
    assert bits._digest([0.1]) != bits._digest([0.2])
