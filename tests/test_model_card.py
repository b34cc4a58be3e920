"""What an estimator says of itself."""

import re

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import skgan
from skgan import (
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    DomainAdversarialFeatures,
    FeatureMatchingClassifier,
    SupervisedFeatures,
)  # fmt: skip
from skgan.evaluation import probe
from skgan.utils.discovery import all_estimators

MISSING = "**To be filled in by the author:**"


@pytest.fixture
def gan(small, digits):
    return small(image_shape=(8, 8), n_epochs=3, lr=1e-3).fit(digits[0])


def section(card, heading):
    return re.search(rf"^## {heading}\n\n(.*?)(?=^## |\Z)", card, re.M | re.S).group(1)


def test_the_card_says_what_the_estimator_knows(gan):
    card = gan.model_card()
    assert card.startswith("# DCGANDiscriminatorFeatures\n")
    what = section(card, "What it is")
    assert "Features from the discriminator of a DCGAN" in what and "arXiv 1511.06434" in what
    assert f"skgan {skgan.__version__}" in what and f"features: {gan.n_features_out_}" in what
    assert re.search(r"card written: \d{4}-\d\d-\d\d", what)
    data = section(card, "Data")
    assert "images of 8x8 pixels with 1 channel(s)" in data and "(0.0, 16.0)" in data
    assert "samples trained on: 300" in data and "labels: played no part" in data
    networks = section(card, "Networks")
    for role in ("generator", "discriminator"):
        n = sum(p.numel() for p in gan._kept_nets()[role].parameters())
        assert re.search(rf"\| {role} \| DCGAN\w+ \| {n:,} \|", networks)


def test_parameters_that_differ_are_named_and_all_are_listed(gan):
    text = section(gan.model_card(), "Parameters")
    listed, table = text.split("All of them:")
    assert "- `lr` is `0.001`" in listed and "`betas`" not in listed
    for name, value in gan.get_params(deep=False).items():
        assert f"| {name} | `{value!r}` |" in table
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) - 1 == len(gan.get_params(deep=False))
    plain = DCGANDiscriminatorFeatures().fit(np.random.default_rng(0).random((20, 12)))
    assert section(plain.model_card(), "Parameters").startswith("All parameters have their def")


def test_training_is_told_with_its_last_losses_and_a_table(gan):
    text = section(gan.model_card(), "Training")
    assert "- epochs: 3\n" in text and f"- steps: {gan.n_steps_}\n" in text
    assert f"- precision: {gan.precision_}\n" in text and f"- threads: {gan.n_threads_}\n" in text
    assert f"last generator loss: {gan.history_[-1]['generator_loss']:.4g}" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == ["| epoch", "| ---", "| 1", "| 2", "| 3"]
    for row, line in zip(gan.history_, rows[2:], strict=True):
        assert f" {row['discriminator_loss']:.4g} " in line
    assert "seconds |" not in text and "of 3 epochs" not in text


def test_a_long_history_is_shown_in_part(small, digits):
    gan = small(image_shape=(8, 8), n_epochs=30, batch_size=300).fit(digits[0])
    text = section(gan.model_card(), "Training")
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 11 and "11 of 30 epochs" in text
    assert rows[0].startswith("| 1 ") and rows[-1].startswith("| 30 ")


def test_probes_are_shown(gan, digits):
    X, y = digits
    result = probe(gan, X[:200], y[:200], X[200:], y[200:], n_labels=3, n_draws=2, baselines=())
    for given in (result, [result], {"of digits": result}):
        text = section(gan.model_card(probes=given), "Evaluation")
        assert str(result).strip() in text
    assert "### of digits" in text
    nothing = gan.model_card()
    assert "not measured" in section(nothing, "Evaluation")
    assert "No accuracy is given" in section(nothing, "Limits")
    assert "No accuracy is given" not in section(gan.model_card(probes=result), "Limits")


def test_the_code_of_the_card_works(gan, digits, tmp_path, monkeypatch):
    X = digits[0]
    monkeypatch.chdir(tmp_path)
    text = section(gan.model_card(), "Use")
    keep, code = re.search(r"`(.*?)`", text).group(1), re.search(r"```python\n(.*?)```", text, re.S)
    names = {"estimator": gan, "X": X}
    exec(keep, names)
    names = {"X": X}
    exec(code.group(1), names)
    np.testing.assert_array_equal(names["result"], gan.transform(X))
    assert "(n, 64)" in text


def test_what_a_file_cannot_hold_is_kept_by_joblib(small, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gan = small(image_shape=(8, 8), random_state=np.random.RandomState(0)).fit(digits[0])
    text = section(gan.model_card(), "Use")
    assert "joblib.dump" in text and "skgan.load" not in text and "can run any code" in text
    joblib.dump(gan, "model.joblib")
    names = {"X": digits[0]}
    exec(re.search(r"```python\n(.*?)```", text, re.S).group(1), names)
    np.testing.assert_array_equal(names["result"], gan.transform(digits[0]))


def test_only_the_author_can_say_the_rest(gan):
    card = gan.model_card()
    assert card.count(MISSING) == 3
    texts = {"intended_use": "Sorting post.", "data_source": "UCI.", "known_failures": "7 and 1."}
    for name, text in texts.items():
        one = gan.model_card(**{name: text})
        assert text in one and one.count(MISSING) == 2
    full = gan.model_card(title="Digits", **texts)
    assert full.startswith("# Digits\n") and MISSING not in full


def test_it_is_written_whole(gan, tmp_path):
    path = tmp_path / "card.md"
    path.write_text("before")
    text = gan.model_card(path)
    assert path.read_text(encoding="utf-8") == text and len(list(tmp_path.iterdir())) == 1
    for settings in ({"path": 3}, {"title": 3}, {"intended_use": b"x"}):
        with pytest.raises(TypeError, match=next(iter(settings))):
            gan.model_card(**settings)
    with pytest.raises(NotFittedError):
        DCGANDiscriminatorFeatures().model_card()


def test_labels_domains_and_columns_are_named(small, digits):
    X, y = digits
    est = small(SupervisedFeatures, image_shape=(8, 8)).fit(X, y)
    data = section(est.model_card(), "Data")
    assert "classes: 10: 0, 1, 2," in data and "played no part" not in data
    domain = np.where(np.arange(len(X)) % 2, 1, -1)
    est = small(DomainAdversarialFeatures, image_shape=(8, 8), trunk="auto")
    est.fit(X, y, sample_domain=domain)
    assert "domains: 2: " in section(est.model_card(), "Data")
    table = pd.DataFrame(X[:, :12], columns=[f"pixel {i}" for i in range(12)])
    gan = DCGANDiscriminatorFeatures(n_epochs=1, random_state=0).fit(table)
    data = section(gan.model_card(), "Data")
    assert "a table of 12 columns" in data and "pixel 0, pixel 1" in data
    assert "range" not in data


def test_what_would_break_the_table_or_name_a_folder_stays_out(small, digits, tmp_path):
    gan = small(image_shape=(8, 8), checkpoint_dir=tmp_path, n_epochs=0).fit(digits[0])
    card = gan.model_card()
    assert str(tmp_path) not in card and "- `checkpoint_dir` is a folder" in card
    assert "untrained" in section(card, "Training") and "untrained" in section(card, "Limits")

    def halved(progress):
        return 0.5

    card = gan.set_params(lr_decay=halved).model_card()
    assert "at 0x" not in card and "halved" in section(card, "Parameters")
    halved.__qualname__ = "a | b`c\nd"
    (row,) = [r for r in gan.model_card().splitlines() if r.startswith("| lr_decay")]
    assert row == r"| lr_decay | `<function a \| b'c d>` | `None` |"


@pytest.mark.parametrize("name", [n for n, c in all_estimators() if hasattr(c, "model_card")])
def test_every_estimator_has_a_card_with_its_paper(small, digits, name):
    X, y = digits
    cls = getattr(skgan, name)
    est = small(cls, image_shape=(8, 8), n_epochs=1)
    given = {"sample_domain": np.where(np.arange(len(X)) % 2, 1, -1)}
    needs = cls in (DomainAdversarialFeatures, skgan.DisentangledEncoder)
    if "trunk" in est.get_params(deep=False):
        est.set_params(trunk="auto")
    if cls is skgan.DisentangledEncoder:
        est.set_params(domain_code="encoder", encoder="auto", generator="auto")
    est.fit(X, y, **(given if needs else {}))
    card = est.model_card()
    method = re.search(r"^- method: (.*)$", section(card, "What it is"), re.M).group(1)
    assert re.search(r"\d{4}", method) or cls is SupervisedFeatures
    assert len(re.findall(r"^## ", card, re.M)) == 9
    assert "0x" not in card.replace("8x8", "")


def test_a_class_of_ones_own_has_the_paper_of_its_method(digits):
    class Mine(FeatureMatchingClassifier):
        """My classifier."""

    spec = DCGANSpec(4)
    est = Mine(image_shape=(8, 8), generator=spec, discriminator=spec, n_epochs=1).fit(*digits)
    card = est.model_card()
    assert "My classifier." in card and "1606.03498" in card and "joblib" in card
