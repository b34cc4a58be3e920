"""The command line as what it is: processes, with exit codes and streams."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata

import numpy as np
import pytest
from PIL import Image

import skgan
from skgan import LazyImages
from tests.cli.digit_files import ROOT, SMALL, environment


def test_help_answers_without_pytorch(tmp_path):
    """Importing it takes seconds."""
    code = (
        "import sys; from skgan.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as left: code = left.code\n"
        "heavy = {'torch', 'sklearn', 'numpy', 'PIL', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path,
        env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for command in ("fit", "transform", "probe", "sample", "info"):
        assert f"\n  {command} " in done.stdout


def test_the_version(run_process):
    done = run_process("--version")
    assert (done.code, done.out) == (0, f"skgan, version {skgan.__version__}\n")


def test_a_model_is_fitted_and_used(run_process, digit_folder, tmp_path):
    """A fit, and its features: exit codes, streams, and the library's own numbers."""
    args = ("--method", "dcgan", *SMALL, "--n-epochs", 2)
    done = run_process("fit", digit_folder, *args, "--out", "model.skgan")
    assert (done.code, done.out) == (0, ""), done.err
    assert done.err.splitlines()[-1].startswith("model.skgan: DCGANDiscriminatorFeatures, 2 epochs")
    assert "epoch/s" not in done.err  # no progress bar where nobody looks

    done = run_process("transform", "model.skgan", digit_folder, "--out", "features.npy")
    assert (done.code, done.out) == (0, ""), done.err
    images = LazyImages(sorted(digit_folder.rglob("*.png")), mode="L")
    expected = skgan.load(tmp_path / "model.skgan").transform(images)
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_all_commands_in_turn(run_process, digit_folder, label_file, tmp_path):
    args = ("--method", "dcgan", *SMALL, "--n-epochs", 2)
    assert run_process("fit", digit_folder, *args, "--out", "m", "--quiet").code == 0
    about = json.loads(run_process("info", "m", "--json").out)
    assert about["class"] == "DCGANDiscriminatorFeatures" and about["n_epochs"] == 2

    assert run_process("transform", "m", digit_folder, "--out", "f.csv").code == 0
    with (tmp_path / "f.csv").open() as file:
        rows = list(csv.reader(file))
    assert len(rows) == 121 and len(rows[0]) == 1 + about["n_features"]

    assert run_process("sample", "m", "-n", 4, "--out", "sheet.png").code == 0
    assert Image.open(tmp_path / "sheet.png").size == (17, 17)

    quick = ("--n-draws", 2, "--n-labels", 3, "--baselines", "raw,untrained")
    done = run_process("probe", digit_folder, "--labels", label_file, *args, *quick)
    assert done.code == 0, done.err
    assert done.out.startswith("Accuracy: mean ± standard deviation")
    assert "untrained" in done.out and "Traceback" not in done.err


@pytest.mark.slow
def test_a_parquet_file_is_read_by_pandas(run_process, digit_folder, model_file, tmp_path):
    pytest.importorskip("pyarrow", reason="parquet files need pyarrow")
    pandas = pytest.importorskip("pandas", reason="pandas reads them here")
    assert run_process("transform", model_file, digit_folder, "--out", "f.parquet").code == 0
    frame = pandas.read_parquet(tmp_path / "f.parquet").set_index("path")
    model = skgan.load(model_file)
    assert list(frame.columns) == list(model.get_feature_names_out())
    expected = model.transform(LazyImages(sorted(digit_folder.rglob("*.png")), mode="L"))
    np.testing.assert_allclose(frame.to_numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (("fit", "nowhere", "--out", "m"), 1, "Error: nowhere does not exist"),
        (("fit", "{digits}", "--out", "m", "--lr", "-1"), 1, "Error: lr=-1"),
        (("fit", "{digits}", "--out", "m", "--n-epoch", "1"), 2, "--n-epochs"),
        (("info", "nowhere"), 1, "Error: nowhere is no file"),
        (("transform",), 2, "Missing argument 'MODEL'"),
    ],
)
def test_errors_are_one_line_and_a_code(run_process, digit_folder, args, code, text):
    done = run_process(*(a.format(digits=digit_folder) for a in args))
    assert done.code == code
    assert text in done.err.splitlines()[-1]
    assert "Traceback" not in done.err and done.out == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_ctrl_c_keeps_what_was_learnt(digit_folder, tmp_path):
    """SIGINT to a process in a long fit: the file is written, and opens."""
    args = ("--method", "dcgan", *SMALL, "--n-epochs", 10**6, "--checkpoint-dir", "runs")
    process = subprocess.Popen(
        [sys.executable, "-m", "skgan", "fit", digit_folder, *map(str, args), "--out", "m"],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(),
    )  # fmt: skip
    until = time.monotonic() + 120
    while not any((tmp_path / "runs").rglob("epoch-*.safetensors")):  # training has begun
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Interrupted: m has what was learnt until then" in err and "Traceback" not in err
    model = skgan.load(tmp_path / "m")
    assert 1 <= model.n_epochs_ < 10**6
    assert model.transform(np.zeros((2, 8, 8), np.uint8)).shape == (2, model.n_features_out_)


def test_an_installed_skgan_has_the_script():
    scripts = {e.name: e.value for e in metadata.entry_points(group="console_scripts")}
    if "skgan" not in scripts:
        pytest.skip(f"skgan is not installed with its scripts here, but imported from {ROOT}")
    assert scripts["skgan"] == "skgan.cli:main"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="terminals are POSIX's")
def test_a_terminal_shows_progress(digit_folder, model_file, tmp_path):
    fit = ("fit", digit_folder, "--method", "dcgan", *SMALL, "--n-epochs", 2, "--out", "m")
    transform = ("transform", model_file, digit_folder, "--out", "f.npy")
    for args, shown in [(fit, "2/2 ["), (transform, "120/120 ["), ((*fit, "--force"), "2/2 [")]:
        text = on_a_terminal([*map(str, args)], tmp_path)
        assert shown in text, text
    assert "2/2 [" not in on_a_terminal([*map(str, fit), "--force", "--quiet"], tmp_path)


def on_a_terminal(args, folder):
    """What a process writes to a terminal of 80 columns."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "skgan", *args], stdout=theirs, stderr=theirs, cwd=folder,
        env=environment(),
    )  # fmt: skip
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # at the end, on Linux
        while part := os.read(ours, 4096):
            written += part
    os.close(ours)
    assert process.wait() == 0, written
    return written.decode()
