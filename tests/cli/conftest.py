"""A folder of digits, and ways to run the command line: in this process, and as a process."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from sklearn.datasets import load_digits

from tests.cli.digit_files import environment, save


@pytest.fixture(scope="session")
def digit_folder(tmp_path_factory):
    """120 grey digits of 8x8 pixels as PNG files, in a folder for each class."""
    X, y = load_digits(return_X_y=True)
    folder = tmp_path_factory.mktemp("data") / "digits"
    for i in range(120):
        save(folder / str(y[i]) / f"{i:03}.png", X[i].reshape(8, 8) * (255 / 16))
    return folder


@pytest.fixture(scope="session")
def label_file(digit_folder):
    """A CSV file of the names of files and their labels, with a heading."""
    lines = [f"{p.name},{p.parent.name}" for p in sorted(digit_folder.rglob("*.png"))]
    path = digit_folder.parent / "labels.csv"
    path.write_text("\n".join(["file,label", *lines]))
    return path


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run the command line in this process and an empty folder: code, out and err."""
    from skgan.cli import main

    monkeypatch.chdir(tmp_path)

    def run_here(*args):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in args])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=left.value.code or 0, out=out, err=err)

    return run_here


@pytest.fixture
def run_process(tmp_path):
    """Run the command line as a process, in an empty folder."""

    def run_there(*args):
        done = subprocess.run(
            [sys.executable, "-m", "skgan", *map(str, args)],
            capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=300,
        )  # fmt: skip
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)

    return run_there


@pytest.fixture(scope="session")
def model_file(digit_folder):
    """A small DCGAN, fitted and saved by the library itself."""
    from skgan import DCGANDiscriminatorFeatures, DCGANSpec, LazyImages

    paths = sorted(digit_folder.rglob("*.png"))
    spec = DCGANSpec(4)
    gan = DCGANDiscriminatorFeatures(
        generator=spec, discriminator=spec, latent_dim=8, n_epochs=1, device="cpu", random_state=0
    )
    path = digit_folder.parent / "model.skgan"
    gan.fit(LazyImages(paths, mode="L")).save(path)
    return path
