"""Warnings point at the line of the user's program, however deep in skgan they come from."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skgan
from skgan import DCGANDiscriminatorFeatures, MLPSpec
from skgan.callbacks import EarlyStopping
from skgan.evaluation import LabelBudgetSplit
from skgan.tools import nearest_real

X = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
BYTES = np.random.default_rng(0).integers(0, 256, (40, 64)).astype(np.uint8)
AUTO = {"generator": "auto", "discriminator": "auto"}


def gan(**settings):
    network = MLPSpec(8, n_layers=1)
    small = {"generator": network, "discriminator": network, "latent_dim": 4, "n_epochs": 1}
    return DCGANDiscriminatorFeatures(**(small | {"random_state": 0, "device": "cpu"} | settings))


def a_fit_beside_other_checkpoints(tmp_path):
    gan(checkpoint_dir=tmp_path).fit(X)
    return lambda: gan(checkpoint_dir=tmp_path, lr=1e-3).fit(X)


def a_fit_in_a_pipeline(tmp_path):
    pipeline = make_pipeline(FunctionTransformer(), gan(**AUTO))
    return lambda: pipeline.fit(BYTES)


def a_fit_that_transforms(tmp_path):
    return lambda: gan(**AUTO).fit_transform(BYTES)


def a_warm_start_with_nothing_to_do(tmp_path):
    est = gan(warm_start=True).fit(X)
    return lambda: est.fit(X)


def a_part_of_one_sample(tmp_path):
    est = gan().partial_fit(X)
    return lambda: est.partial_fit(X[:1])


def a_fit_that_ends_early(tmp_path):
    stop = EarlyStopping("discriminator_loss", mode="max", patience=1, min_delta=9.0)
    est = gan(n_epochs=3, warm_start=True).set_callbacks(stop).fit(X)
    return lambda: est.fit(X)


def a_loaded_file(tmp_path):
    gan(checkpoint_dir=tmp_path / "runs").fit(X).save(tmp_path / "gan")
    return lambda: skgan.load(tmp_path / "gan")


def distances_in_other_units(tmp_path):
    return lambda: nearest_real(X, 1000 * X)


def a_split_with_groups(tmp_path):
    y = np.arange(40) % 2
    return lambda: list(LabelBudgetSplit(2, 1, random_state=0).split(X, y, groups=y))


@pytest.mark.parametrize(
    "made",
    [
        a_fit_beside_other_checkpoints, a_fit_in_a_pipeline, a_fit_that_transforms,
        a_warm_start_with_nothing_to_do, a_part_of_one_sample, a_fit_that_ends_early,
        a_loaded_file, distances_in_other_units, a_split_with_groups,
    ],
)  # fmt: skip
def test_a_warning_points_at_the_line_that_called_skgan(made, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call = made(tmp_path)
    with pytest.warns(UserWarning) as caught:
        call()
    assert {w.filename for w in caught} == {__file__}


def test_no_warning_counts_calls_itself():
    """A fixed number of calls is wrong once there is a pipeline, or one function more, between."""
    package = Path(skgan.__file__).parent
    found = [
        path.relative_to(package).as_posix() for path in package.rglob("*.py")
        if re.search(r"warnings\.warn\(", path.read_text())
    ]  # fmt: skip
    assert sorted(found) == ["cli/labels.py", "utils/callers.py"]
