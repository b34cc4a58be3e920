"""What the commands do, run within this process; `test_processes.py` runs them as processes."""

import csv
import json
import os
import signal
import sys
import threading
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import skgan
from skgan import DCGANDiscriminatorFeatures, DCGANSpec, LazyImages
from tests.cli.digit_files import ROOT, SMALL, save


def features_by_the_library(model, folder, mode="L"):
    return skgan.load(model).transform(LazyImages(sorted(folder.rglob("*.png")), mode=mode))


def failed(result, *texts, code=1):
    """The error is one line, and names all of these."""
    assert result.code == code, result.err
    last = result.err.splitlines()[-1]
    assert last.startswith("Error: ")
    assert "Traceback" not in result.err
    for text in texts:
        assert text in last


# ---------------------------------------------------------------- fit


def test_fit_keeps_what_the_library_would_fit(run, digit_folder, tmp_path):
    done = run("fit", digit_folder, "--method", "dcgan", *SMALL, "--n-epochs", 2, "--out", "m")
    assert done.code == 0
    assert "120 images, read as 8x8 pixels (h x w) in grey" in done.err
    assert done.out == ""
    spec = DCGANSpec(4)
    gan = DCGANDiscriminatorFeatures(
        generator=spec, discriminator=spec, latent_dim=8, batch_size=32, n_epochs=2, device="cpu",
        random_state=0,
    )  # fmt: skip
    images = LazyImages(sorted(digit_folder.rglob("*.png")), mode="L")
    expected = gan.fit(images).transform(images)
    found = skgan.load(tmp_path / "m")
    assert np.array_equal(found.transform(images), expected)
    assert repr(found.get_params()) == repr(gan.get_params())


def test_fit_without_a_method_is_the_recommended_preset(run, digit_folder, tmp_path):
    done = run("fit", digit_folder, "--n-epochs", 0, "--out", "m", "--quiet")
    assert (done.code, done.err, done.out) == (0, "", "")
    model = skgan.load(tmp_path / "m")
    expected = skgan.ContrastiveDiscriminatorFeatures.from_preset("best", n_epochs=0)
    assert repr(model.get_params()) == repr(expected.get_params())


def test_images_are_resized_and_in_colour_where_that_is_asked_for(run, digit_folder, tmp_path):
    args = ("--method", "dcgan", *SMALL, "--size", "10x12", "--colour", "--n-epochs", 0)
    done = run("fit", digit_folder, *args, "--out", "m")
    assert done.code == 0, done.err
    assert skgan.load(tmp_path / "m").input_shape_ == (3, 10, 12)


def test_a_folder_with_one_image_in_colour_is_read_in_colour(run, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(8):
        save(tmp_path / f"x/{i}.png", rng.integers(0, 256, (8, 8)))
    args = ("fit", "x", "--method", "dcgan", *SMALL, "--n-epochs", 0, "--force", "--out", "m")
    assert run(*args).code == 0
    assert skgan.load(tmp_path / "m").input_shape_ == (1, 8, 8)
    save(tmp_path / "x/4b.png", rng.integers(0, 256, (8, 8, 3)))
    assert run(*args).code == 0
    assert skgan.load(tmp_path / "m").input_shape_ == (3, 8, 8)


def test_an_array_is_fitted_and_transformed(run, tmp_path):
    X, _ = load_digits(return_X_y=True)
    np.save(tmp_path / "X.npy", X[:60])
    np.savez(tmp_path / "X.npz", X[:60])
    args = ("--method", "dcgan", *SMALL, "--image-shape", "8,8", "--n-epochs", 1)
    assert run("fit", "X.npy", *args, "--out", "m").code == 0
    assert run("fit", "X.npz", *args, "--out", "n").code == 0
    expected = skgan.load(tmp_path / "m").transform(X[:60])
    assert np.array_equal(skgan.load(tmp_path / "n").transform(X[:60]), expected)
    assert run("transform", "m", "X.npy", "--out", "f.npy").code == 0
    assert np.array_equal(np.load(tmp_path / "f.npy"), expected)
    assert not (tmp_path / "f.paths.txt").exists()
    assert run("transform", "m", "X.npy", "--out", "f.csv").code == 0
    with (tmp_path / "f.csv").open() as file:
        assert [row["row"] for row in csv.DictReader(file)] == [str(i) for i in range(60)]


@pytest.mark.parametrize("way", ["file", "folders", "array"])
def test_labels_are_those_of_each_image(run, digit_folder, label_file, tmp_path, way):
    y = [p.parent.name for p in sorted(digit_folder.rglob("*.png"))]
    np.save(tmp_path / "y.npy", np.array(y, int))
    given = {
        "file": ("--labels", label_file),
        "folders": ("--labels-from-folders",),
        "array": ("--labels", "y.npy"),
    }[way]
    args = ("--method", "supervised", "--classifier", "DCGANSpec(4)", "--n-epochs", 1)
    args += ("--batch-size", 32, "--seed", 0, "--device", "cpu")
    done = run("fit", digit_folder, *args, *given, "--out", "m")
    assert done.code == 0, done.err
    assert "labels: 120 of 120 images, 10 classes" in done.err
    model = skgan.load(tmp_path / "m")
    images = LazyImages(sorted(digit_folder.rglob("*.png")), mode="L")
    expected = skgan.SupervisedFeatures(
        classifier=DCGANSpec(4), n_epochs=1, batch_size=32, random_state=0, device="cpu"
    ).fit(images, y)
    assert np.array_equal(model.predict_proba(images), expected.predict_proba(images))
    assert model.classes_.tolist() == [str(k) if way == "folders" else k for k in range(10)]


def test_images_without_a_row_are_unlabelled(run, digit_folder, tmp_path):
    names = [p.relative_to(digit_folder).as_posix() for p in sorted(digit_folder.rglob("*.png"))]
    lines = [f"{n};{'even' if int(n[0]) % 2 == 0 else 'odd'}" for n in names[::3]]
    (tmp_path / "few.csv").write_text("\n".join(lines))
    args = ("--generator", "DCGANSpec(4)", "--discriminator", "DCGANSpec(4)", "--n-epochs", 1)
    args += ("--method", "acgan", "--labels", "few.csv", "--out", "m")
    done = run("fit", digit_folder, *args)
    assert done.code == 0, done.err
    assert "labels: 40 of 120 images, 2 classes" in done.err
    assert skgan.load(tmp_path / "m").classes_.tolist() == ["even", "odd"]
    drawn = run("sample", "m", "-n", 4, "--y", "odd", "--seed", 0, "--out", "odd.npy")
    assert drawn.code == 0, drawn.err
    expected = skgan.load(tmp_path / "m").sample(4, random_state=0, y="odd")
    assert np.array_equal(np.load(tmp_path / "odd.npy"), expected)
    failed(run("sample", "m", "--y", "prime", "--out", "x.png"), "--y prime", "even, odd")


def test_domains_are_those_of_each_image(run, digit_folder, tmp_path):
    names = [p.relative_to(digit_folder).as_posix() for p in sorted(digit_folder.rglob("*.png"))]
    lines = [f"{n},{-1 if i % 2 else 1}" for i, n in enumerate(names)]
    (tmp_path / "domains.csv").write_text("\n".join(["file,domain", *lines]))
    small = ("--n-epochs", 1, "--seed", 0, "--device", "cpu")
    given = ("--labels-from-folders", "--domains", "domains.csv")
    done = run("fit", digit_folder, "--method", "dann", *small, *given, "--out", "m")
    assert done.code == 0, done.err
    assert skgan.load(tmp_path / "m").domains_.tolist() == [1, -1]
    args = ("--method", "disentangled", *small, "--out", "n")
    done = run("fit", digit_folder, *args, "--domains", "domains.csv")
    assert done.code == 0, done.err
    failed(run("fit", digit_folder, *args, "--force"), "DisentangledEncoder", "--domains")
    (tmp_path / "domains.csv").write_text("\n".join(lines[1:]))
    failed(run("fit", digit_folder, *args, "--force", "--domains", "domains.csv"), names[0])


def press_ctrl_c_once_there_are_files(folder):
    """In a thread: SIGINT to this process as soon as training has written a checkpoint."""

    def wait():
        until = time.monotonic() + 60
        while not any(folder.rglob("epoch-*.safetensors")) and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


@pytest.fixture
def interruptible():
    """Ctrl-C raises, as in a process of its own: workers of pytest-xdist ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_keeps_what_was_learnt(run, digit_folder, tmp_path):
    press_ctrl_c_once_there_are_files(tmp_path / "runs")
    args = ("--method", "dcgan", *SMALL, "--n-epochs", 10**6, "--checkpoint-dir", "runs")
    done = run("fit", digit_folder, *args, "--out", "m")
    assert done.code == 130
    assert "Interrupted: m has what was learnt until then" in done.err
    model = skgan.load(tmp_path / "m")
    assert 1 <= model.n_epochs_ < 10**6
    assert model.on_interrupt == "raise"  # the library's default, not that of the command
    assert model.checkpoint_dir is None
    assert "Warning" not in run("info", "m").err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_that_is_to_raise_keeps_nothing(run, digit_folder, tmp_path):
    press_ctrl_c_once_there_are_files(tmp_path / "runs")
    args = ("--method", "dcgan", *SMALL, "--n-epochs", 10**4, "--checkpoint-dir", "runs")
    done = run("fit", digit_folder, *args, "--on-interrupt", "raise", "--out", "m")
    assert done.code == 130
    assert done.err.endswith("Interrupted: nothing was written.\n")
    assert not (tmp_path / "m").exists()


# ---------------------------------------------------------------- transform


def test_transform_equals_the_librarys(run, digit_folder, model_file, tmp_path):
    done = run("transform", model_file, digit_folder, "--out", "f.npy")
    assert done.code == 0, done.err
    expected = features_by_the_library(model_file, digit_folder)
    assert np.array_equal(np.load(tmp_path / "f.npy"), expected)
    paths = [p.relative_to(digit_folder).as_posix() for p in sorted(digit_folder.rglob("*.png"))]
    assert (tmp_path / "f.paths.txt").read_text().splitlines() == paths
    assert "f.paths.txt has the paths of the images" in done.err


def test_a_csv_file_has_paths_names_and_the_same_float32(run, digit_folder, model_file, tmp_path):
    assert run("transform", model_file, digit_folder, "--out", "f.csv").code == 0
    with (tmp_path / "f.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    model = skgan.load(model_file)
    assert head == ["path", *model.get_feature_names_out()]
    paths = [p.relative_to(digit_folder).as_posix() for p in sorted(digit_folder.rglob("*.png"))]
    assert [row[0] for row in rows] == paths
    found = np.array([row[1:] for row in rows], np.float32)
    assert np.array_equal(found, features_by_the_library(model_file, digit_folder))


def test_a_parquet_file_has_the_same_in_parts(run, digit_folder, tmp_path, model_file):
    pq = pytest.importorskip("pyarrow.parquet", reason="parquet files need pyarrow")
    model = skgan.load(model_file).set_params(transform_batch_size=50)
    model.save(tmp_path / "m")
    assert run("transform", "m", digit_folder, "--out", "f.parquet").code == 0
    assert pq.ParquetFile(tmp_path / "f.parquet").num_row_groups == 3  # of 120 images
    table = pq.read_table(tmp_path / "f.parquet")
    assert table.column_names == ["path", *model.get_feature_names_out()]
    found = np.stack([c.to_numpy() for c in table.columns[1:]], axis=1)
    assert found.dtype == np.float32
    assert np.array_equal(found, features_by_the_library(model_file, digit_folder))
    paths = [p.relative_to(digit_folder).as_posix() for p in sorted(digit_folder.rglob("*.png"))]
    assert table["path"].to_pylist() == paths


def test_parquet_without_pyarrow_names_the_extra(run, digit_folder, model_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    done = run("transform", model_file, digit_folder, "--out", "f.parquet")
    failed(done, 'pip install "skgan[parquet]"')


def test_images_are_read_as_the_model_was_fitted(run, model_file, tmp_path):
    """In its size and colours, whatever the files have."""
    rng = np.random.default_rng(0)
    for i in range(5):
        save(tmp_path / f"x/{i}.png", rng.integers(0, 256, (12, 9 + i, 3)))
    done = run("transform", model_file, "x", "--out", "f.npy")
    assert done.code == 0, done.err
    images = LazyImages(sorted((tmp_path / "x").glob("*.png")), size=(8, 8), mode="L")
    assert np.array_equal(np.load(tmp_path / "f.npy"), skgan.load(model_file).transform(images))


def broken_folder(folder):
    """Three images, of which the second one lacks its end, and a fourth that is no image."""
    rng = np.random.default_rng(0)
    for i in range(3):
        save(folder / f"{i}.png", rng.integers(0, 256, (8, 8)))
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "3.png").write_bytes(b"no image")


def test_a_file_that_is_no_image_is_named_or_left_out(run, model_file, tmp_path):
    broken_folder(tmp_path / "x")
    failed(run("transform", model_file, "x", "--out", "f.npy"), "1.png", "could not be decoded")
    assert not (tmp_path / "f.npy").exists()
    assert not list(tmp_path.glob(".f*"))  # nothing unfinished
    done = run("transform", model_file, "x", "--out", "f.npy", "--skip-bad")
    assert done.code == 0
    left_out = [line for line in done.err.splitlines() if line.startswith("Left out: ")]
    assert len(left_out) == 2 and "1.png" in left_out[0] and "3.png" in left_out[1]
    assert (tmp_path / "f.paths.txt").read_text().splitlines() == ["0.png", "2.png"]
    expected = skgan.load(model_file).transform(
        LazyImages([tmp_path / "x/0.png", tmp_path / "x/2.png"], mode="L")
    )
    assert np.array_equal(np.load(tmp_path / "f.npy"), expected)


def test_fit_names_a_file_that_is_no_image_or_leaves_it_out(run, tmp_path):
    broken_folder(tmp_path / "x")
    args = ("fit", "x", "--method", "dcgan", *SMALL, "--n-epochs", 1, "--out", "m")
    failed(run(*args), "3.png", "could not be decoded")  # told by its first bytes
    (tmp_path / "x/3.png").unlink()
    failed(run(*args), "1.png", "could not be decoded")
    done = run(*args, "--skip-bad")
    assert done.code == 0 and "x: 2 images" in done.err


# ---------------------------------------------------------------- sample


def test_a_sheet_has_all_samples(run, model_file, tmp_path):
    done = run("sample", model_file, "-n", 5, "--columns", 3, "--seed", 1, "--out", "s.png")
    assert done.code == 0, done.err
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    assert sheet.shape == (2 * 9 - 1, 3 * 9 - 1)
    expected = skgan.load(model_file).sample_images(5, random_state=1)[:, 0]
    for i, image in enumerate(expected):
        top, left = 9 * (i // 3), 9 * (i % 3)
        tile = sheet[top : top + 8, left : left + 8]
        assert np.array_equal(tile, np.rint(image * 255).astype(np.uint8))
    assert (sheet[9:, 18:] == 255).all()  # the sixth place is empty


def test_single_samples_are_files_of_a_folder(run, model_file, tmp_path):
    assert run("sample", model_file, "-n", 3, "--seed", 1, "--out", "some").code == 0
    assert sorted(p.name for p in (tmp_path / "some").iterdir()) == [
        "0000.png", "0001.png", "0002.png",
    ]  # fmt: skip
    expected = skgan.load(model_file).sample_images(3, random_state=1)[2, 0]
    found = np.asarray(Image.open(tmp_path / "some/0002.png"))
    assert np.array_equal(found, np.rint(expected * 255).astype(np.uint8))
    failed(run("sample", model_file, "--out", "some"), "some is not empty", "--force")
    assert run("sample", model_file, "-n", 1, "--out", "some", "--force").code == 0


def test_a_component_is_passed_on(run, digit_folder, tmp_path):
    small = ("--generator", "DCGANSpec(4)", "--n-generators", 3, "--n-epochs", 0, "--seed", 0)
    assert run("fit", digit_folder, "--method", "mgan", *small, "--out", "m").code == 0
    args = ("sample", "m", "-n", 4, "--seed", 0)
    assert run(*args, "--component", 2, "--out", "x.npy").code == 0
    model = skgan.load(tmp_path / "m")
    expected = model.sample(4, random_state=0, component=2)
    assert np.array_equal(np.load(tmp_path / "x.npy"), expected)
    assert not np.array_equal(model.sample(4, random_state=0, component=1), expected)
    failed(run(*args, "--component", 3, "--out", "y.npy"), "component=3")


def test_what_has_no_generator_cannot_be_sampled(run, digit_folder, model_file, tmp_path):
    args = ("--method", "autoencoder", "--n-epochs", 0, "--out", "m")
    assert run("fit", digit_folder, *args).code == 0
    failed(run("sample", "m", "--out", "s.png"), "AutoencoderFeatures has no prior")
    failed(run("sample", model_file, "--out", "s.png", "--y", "3"), "--y 3", "no class by name")


# ---------------------------------------------------------------- probe


def probe_args(digit_folder):
    quick = ("--n-draws", 2, "--n-labels", 3, "--quiet")
    return ("probe", digit_folder, "--labels-from-folders", *quick)


QUICK = ("raw", "pca", "untrained")
CASES = [pytest.param(QUICK, id="quick"), pytest.param("auto", marks=pytest.mark.slow)]


@pytest.mark.parametrize("baselines", CASES)
def test_probe_prints_and_keeps_the_librarys_table(run, digit_folder, tmp_path, baselines):
    from sklearn.model_selection import train_test_split

    from skgan.evaluation import probe

    args = (*probe_args(digit_folder), "--method", "dcgan", *SMALL, "--n-epochs", 1)
    if baselines == QUICK:
        args += ("--baselines", ",".join(QUICK))
    done = run(*args, "--selection", "first", "--out", "t.csv")
    assert done.code == 0, done.err
    images = LazyImages(sorted(digit_folder.rglob("*.png")), mode="L")
    y = np.array([p.parent.name for p in sorted(digit_folder.rglob("*.png"))])
    rows = np.arange(len(y))
    train, test = train_test_split(rows, test_size=0.25, random_state=0, stratify=y)
    train, test = np.sort(train), np.sort(test)
    spec = DCGANSpec(4)
    gan = DCGANDiscriminatorFeatures(
        generator=spec, discriminator=spec, latent_dim=8, batch_size=32, n_epochs=1, device="cpu",
        random_state=0,
    )  # fmt: skip
    expected = probe(
        gan, images[train], y[train], images[test], y[test], n_labels=3, n_draws=2,
        selection="first", baselines=baselines,
    )  # fmt: skip
    assert done.out == expected.table() + "\n"
    assert ("patches" in expected.representations) == (baselines == "auto")
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean"]) for row in rows] == [r["mean"] for r in expected.summary()]


def test_a_fitted_model_is_probed_as_it_is(run, digit_folder, model_file):
    done = run(*probe_args(digit_folder), "--model", model_file, "--baselines", "raw")
    assert done.code == 0, done.err
    assert f"{skgan.load(model_file).n_features_out_}" in done.out.splitlines()[2]
    done = run(*probe_args(digit_folder), "--model", model_file, "--lr", 1, "--method", "dcgan")
    failed(done, "--method, --lr", "--model", code=2)


def test_budgets_are_those_that_classes_have_samples_for():
    from skgan.cli.judging import budgets_for

    def of(n):
        y = np.repeat([0, 1], [n, 200])
        return budgets_for(y, np.arange(len(y)))

    assert of(100) == (10, 100)
    assert of(99) == (10,)
    assert of(9) == ("all",)


def test_the_held_out_part_has_labels_and_all_classes():
    from skgan.cli.judging import split

    y = np.array(["a"] * 40 + ["b"] * 20 + [-1] * 15, object)
    train, test = split(y, 0.25, 0)
    assert sorted([*train, *test]) == list(range(75))
    assert [list(y[test]).count(k) for k in ("a", "b", -1)] == [10, 5, 0]


def test_what_a_probe_cannot_use_is_refused(run, digit_folder, label_file, tmp_path):
    failed(run("probe", digit_folder), "--labels")
    done = run("probe", digit_folder, "--labels", label_file, "--method", "supervised")
    failed(done, "SupervisedFeatures is trained on labels", "--model")
    (tmp_path / "one.csv").write_text("000.png,a\n001.png,b\n")
    failed(run("probe", digit_folder, "--labels", "one.csv"), "--test-size")


# ---------------------------------------------------------------- info


def test_info_says_what_is_in_a_file(run, model_file):
    about = json.loads(run("info", "--json", model_file).out)
    model = skgan.load(model_file)
    assert about["class"] == "DCGANDiscriminatorFeatures"
    assert about["parameters"] == {
        "discriminator": "DCGANSpec(width=4)", "generator": "DCGANSpec(width=4)",
        "latent_dim": 8, "n_epochs": 1, "random_state": 0, "device": "cpu",
    }  # fmt: skip
    assert about["input_shape"] == [1, 8, 8]
    assert about["value_range"] == [0, 255]
    assert about["n_epochs"] == 1
    assert about["n_features"] == model.n_features_out_
    assert about["last_epoch"] == model.history_[-1]
    assert about["n_bytes"] == model_file.stat().st_size
    assert about["written_by"]["skgan"] == skgan.__version__
    n = sum(p.numel() for p in model.discriminator_.parameters())
    assert about["n_weights"]["discriminator"] == n
    shared = skgan.ContrastiveDiscriminatorFeatures.from_preset("best", n_epochs=0, n_hidden=8)
    X = np.zeros((4, 8, 8), np.uint8)
    X[:, 4:] = np.arange(4, dtype=np.uint8)[:, None, None] * 60
    shared.fit(X).save("shared")
    found = json.loads(run("info", "--json", "shared").out)["n_weights"]
    whole = sum(p.numel() for p in shared.discriminator_.parameters())
    assert found["trunk"] + found["discriminator"] == whole  # the trunk's count once
    text = run("info", model_file).out
    assert "images of 8x8 pixels (h x w), 1 channel(s), values 0 to 255" in text
    assert "  latent_dim = 8\n" in text


def test_info_of_a_table_and_of_a_classifier(run, tmp_path):
    X, y = np.random.default_rng(0).normal(size=(50, 64)), np.arange(50) % 10
    skgan.SupervisedFeatures(n_epochs=0).fit(X, y).save(tmp_path / "m")
    text = run("info", "m").out
    assert "a table of 64 columns" in text and "0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in text
    assert json.loads(run("info", "m", "--json").out)["value_range"] is None


# ---------------------------------------------------------------- errors


def test_bad_values_are_named_as_in_the_library(run, digit_folder, tmp_path):
    args = ("fit", digit_folder, "--method", "dcgan", "--out", "m")
    for name, value in [("lr", -1), ("n_epochs", "many"), ("generator", "dcgna"), ("betas", 1)]:
        given = int(value) if isinstance(value, int) else value
        with pytest.raises((ValueError, TypeError)) as expected:
            images = LazyImages(sorted(digit_folder.rglob("*.png")), mode="L")
            DCGANDiscriminatorFeatures(**{name: given}).fit(images)
        done = run(*args, f"--{name}", value)
        failed(done, f"{name}={given!r}")
        assert done.err.splitlines()[-1] == f"Error: {' '.join(str(expected.value).split())}"
    failed(run(*args, "--generator__width", 8), "generator__width=8", "has no settings")
    failed(run(*args, "--generator", "DCGANSpec(widht=8)"), "widht", code=2)
    assert not (tmp_path / "m").exists()


def test_unknown_options_are_answered_by_those_like_them(run, digit_folder):
    args = ("fit", digit_folder, "--method", "dcgan", "--out", "m")
    failed(run(*args, "--n-epoch", 3), "--n-epoch", "--n-epochs", code=2)
    failed(run(*args, "--generator__widht", 3), "--generator--width", code=2)
    failed(run("fit", digit_folder, "--method", "bigna", "--out", "m"), "bigan", code=2)
    failed(run("fti", digit_folder), "'fti'", code=2)


def test_out_is_checked_before_anything_else(run, digit_folder, model_file, tmp_path):
    (tmp_path / "m").write_text("dear")
    args = ("fit", digit_folder, "--method", "dcgan", *SMALL, "--n-epochs", 0)
    done = run(*args, "--out", "m")
    failed(done, "m is there already", "--force")
    assert (tmp_path / "m").read_text() == "dear"
    assert "images" not in done.err  # nothing was read
    failed(run(*args, "--out", "nowhere/m"), "no folder nowhere")
    failed(run(*args, "--out", tmp_path), "is a folder")
    assert run(*args, "--out", "m", "--force").code == 0
    assert skgan.load(tmp_path / "m").n_epochs_ == 0
    (tmp_path / "f.paths.txt").write_text("dear")
    failed(run("transform", model_file, digit_folder, "--out", "f.npy"), "f.paths.txt is there")
    failed(run("transform", model_file, digit_folder, "--out", "f.txt"), ".npy, .csv, .parquet")
    (tmp_path / "s.png").write_text("dear")
    failed(run("sample", model_file, "--out", "s.png"), "s.png is there already")
    failed(run("sample", model_file, "--out", "m"), "m is a file")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_takes_no_files(run, digit_folder, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    done = run("fit", digit_folder, "--method", "dcgan", "--out", "closed/m")
    failed(done, "closed/m", "takes no files")


def test_what_cannot_be_read_is_named(run, digit_folder, model_file, tmp_path):
    args = ("--method", "dcgan", "--out", "m")
    failed(run("fit", "nowhere", *args), "nowhere does not exist")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("x")
    failed(run("fit", "empty", *args), "empty has no images", "1 other file")
    failed(run("fit", next(digit_folder.rglob("*.png")), *args), "neither a folder")
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    failed(run("fit", "o.npy", *args), "o.npy holds no array of numbers")
    np.savez(tmp_path / "two.npz", a=np.ones((4, 8, 8)), b=np.ones(4))
    failed(run("fit", "two.npz", *args), "2 arrays (a, b)")
    failed(run("fit", "two.npz", *args, "--size", 8), "--size", "for folders")
    failed(run("info", "nowhere"), "nowhere is no file")
    (tmp_path / "junk").write_bytes(b"junk" * 100)
    failed(run("info", "junk"), "junk", "save has not written")
    whole = bytearray(model_file.read_bytes())
    whole[-1] ^= 1
    (tmp_path / "damaged").write_bytes(whole)
    failed(run("transform", "damaged", digit_folder, "--out", "f.npy"), "damaged")


def test_images_of_several_sizes_ask_for_a_size(run, tmp_path):
    for i in range(4):
        save(tmp_path / f"x/{i}.png", np.full((8 + i // 2, 9), i))
    args = ("fit", "x", "--method", "dcgan", *SMALL, "--n-epochs", 0, "--out", "m")
    failed(run(*args), "8x9 (0.png) and 9x9 (2.png)", "--size")
    assert run(*args, "--size", 8).code == 0


def test_a_model_of_other_than_images_reads_no_files(run, digit_folder, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "t.npy", rng.normal(size=(30, 5)))
    np.save(tmp_path / "four.npy", rng.integers(0, 256, (30, 4, 8, 8)).astype(np.uint8))
    for name, what in [("t", "a table"), ("four", "4 channels")]:
        args = ("--method", "dcgan", "--n-epochs", 0, "--out", f"{name}.m", "--quiet")
        assert run("fit", f"{name}.npy", *args).code == 0
        failed(run("transform", f"{name}.m", digit_folder, "--out", "f.npy"), what)
    failed(run("sample", "four.m", "--out", "s.png"), "4 channels", ".npy")
    failed(run("sample", "t.m", "--out", "s.png"), "table")


def test_labels_go_with_the_method(run, digit_folder, label_file, tmp_path):
    out = ("--out", "m")
    done = run("fit", digit_folder, "--method", "dcgan", "--labels", label_file, *out)
    failed(done, "--labels", "learns without labels")
    failed(run("fit", digit_folder, "--method", "acgan", *out), "--labels-from-folders")
    args = ("fit", digit_folder, "--method", "supervised", *out)
    failed(run(*args, "--labels", label_file, "--labels-from-folders"), "leave one out")
    done = run(*args, "--labels-from-folders", "--domains", label_file)
    failed(done, "--domains", "no domains")
    failed(run(*args, "--labels", "nowhere.csv"), "nowhere.csv cannot be read")


def test_warnings_are_a_line_each(run, digit_folder, tmp_path):
    (tmp_path / "labels.csv").write_text(
        "\n".join([*(f"{i:03}.png,{i % 2}" for i in range(120)), "999.png,1"])
    )
    args = ("--method", "supervised", "--n-epochs", 0, "--out", "m", "--labels", "labels.csv")
    done = run("fit", digit_folder, *args)
    assert done.code == 0
    warned = [line for line in done.err.splitlines() if line.startswith("Warning: ")]
    assert len(warned) == 1 and "1 row(s) name no image, such as '999.png'" in warned[0]
    assert "UserWarning" not in done.err


def test_debug_shows_where_an_error_was_raised(run, digit_folder):
    args = ("fit", digit_folder, "--method", "dcgan", "--out", "m", "--lr", -1)
    assert "Traceback" not in run(*args).err
    shown = run(*args, "--debug")
    assert shown.code == 1
    assert "Traceback" in shown.err and "check_number" in shown.err


def test_without_click_the_extra_is_named(capsys, monkeypatch):
    from skgan.cli import main

    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 1
    err = capsys.readouterr().err
    assert 'pip install "skgan[cli]"' in err and len(err.splitlines()) == 1


def test_the_script_is_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert declared["scripts"] == {"skgan": "skgan.cli:main"}
    extras = declared["optional-dependencies"]
    for extra in ("cli", "parquet"):
        assert set(extras[extra]) <= set(extras["test"])


def test_hidden_files_and_links_in_a_circle(run, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("b.png", "a/a.png", ".hidden.png", ".thumbs/c.png", "a/d.PNG"):
        save(tmp_path / "x" / name, rng.integers(0, 256, (8, 8)))
    (tmp_path / "x/a/up").symlink_to(tmp_path / "x", target_is_directory=True)
    args = ("--method", "dcgan", *SMALL, "--n-epochs", 0, "--out", "m")
    done = run("fit", "x", *args)
    assert done.code == 0, done.err
    assert "x: 3 images" in done.err
    run("transform", "m", "x", "--out", "f.npy")
    assert Path("f.paths.txt").read_text().splitlines() == ["a/a.png", "a/d.PNG", "b.png"]
