"""What a notebook shows of an estimator: read back from its HTML."""

import base64
import io
import json
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn import config_context
from sklearn.utils import estimator_html_repr

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    SupervisedFeatures,
)
from skgan.base import BaseGAN
from skgan.utils.discovery import all_estimators
from tests.inspection.drawn import check_same_state, state_of

SMALL = {
    "generator": DCGANSpec(4), "discriminator": DCGANSpec(4), "latent_dim": 8, "n_epochs": 2,
    "random_state": 0, "device": "cpu",
}  # fmt: skip
METHODS = {name: cls for name, cls in all_estimators() if issubclass(cls, BaseGAN)}
PNG = re.compile(r'src="data:image/png;base64,([^"]*)"')


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((40, 8, 8)).astype(np.float32)


@pytest.fixture
def gan(images):
    return DCGANDiscriminatorFeatures(**SMALL).fit(images)


def shown(estimator):
    """The HTML without scikit-learn's numbers of containers, which count up."""
    return re.sub(r"(sk-\w+-id-)\d+", r"\1", estimator._repr_html_())


def diagram(estimator):
    return re.sub(r"(sk-\w+-id-)\d+", r"\1", estimator_html_repr(estimator))


def sheet(html):
    (data,) = PNG.findall(html)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def table(html):
    """{name: number} of the last table."""
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html[html.rindex("<table>") :])
    return dict(zip(cells[::2], cells[1::2], strict=True))


# ---------------------------------------------------------------- what is shown


def test_the_diagram_is_scikit_learns(gan):
    html = shown(gan)
    assert html.startswith(diagram(gan))
    assert html.count("<div") == html.count("</div>")


def test_the_sheet_has_samples_in_two_rows_of_eight(gan):
    drawn = sheet(shown(gan))
    assert drawn.shape == (8 + 1 + 8, 8 * 8 + 7) and drawn.dtype == np.uint8
    samples = gan.sample_images(16, random_state=0)
    for i, sample in enumerate(samples[:, 0]):
        top, left = 9 * (i // 8), 9 * (i % 8)
        tile = drawn[top : top + 8, left : left + 8]
        np.testing.assert_array_equal(tile, np.rint(sample * 255))
    assert (drawn[8] == 255).all() and (drawn[:, 8::9] == 255).all()


def test_the_table_says_how_it_was_trained(gan, images):
    assert table(shown(gan)) == {
        "epochs": "2",
        "last discriminator loss": f"{gan.history_[-1]['discriminator_loss']:.4g}",
        "last generator loss": f"{gan.history_[-1]['generator_loss']:.4g}",
        "features": f"{gan.transform(images).shape[1]:,}",
    }


def test_it_is_the_same_at_every_call_and_disturbs_nothing(gan):
    before, kept = state_of(gan), {k: v for k, v in vars(gan).items() if k[0] != "_"}
    assert shown(gan) == shown(gan)
    check_same_state(before, state_of(gan))
    assert {k: v for k, v in vars(gan).items() if k[0] != "_"} == kept


def test_colours(images):
    X = np.stack([images, images / 2, images / 4], axis=3)
    gan = DCGANDiscriminatorFeatures(**SMALL).fit(X)
    drawn = sheet(shown(gan))
    assert drawn.shape == (17, 71, 3)
    sample = gan.sample_images(9, random_state=0)[8].transpose(1, 2, 0)
    assert (gan.sample_images(16, random_state=0)[8] == sample.transpose(2, 0, 1)).all()
    np.testing.assert_array_equal(drawn[9:, :8], np.rint(sample * 255))


def test_large_images_are_made_smaller():
    X = np.random.default_rng(0).integers(0, 256, (6, 200, 100), np.uint8)
    gan = DCGANDiscriminatorFeatures(**SMALL | {"n_epochs": 0}).fit(X)
    height, width = sheet(shown(gan)).shape
    assert height <= 2 * 65 and width <= 8 * 33  # 64 pixels for the 200 of a tile


@pytest.mark.parametrize(
    ("channels", "fitted_on"), [(2, "images"), (4, "images"), (0, "table")]
)  # fmt: skip
def test_what_cannot_be_shown_is_left_out(images, channels, fitted_on):
    X = images.reshape(40, -1) if fitted_on == "table" else np.stack([images] * channels, axis=1)
    more = {"data_format": "channels_first"} if fitted_on == "images" else {}
    networks = {"generator": "auto", "discriminator": "auto"} if fitted_on == "table" else {}
    html = shown(DCGANDiscriminatorFeatures(**SMALL | more | networks).fit(X))
    assert not PNG.search(html)
    assert table(html)["epochs"] == "2"


def test_a_method_without_a_generator_has_the_table_alone(images):
    supervised = SupervisedFeatures(n_epochs=1, random_state=0).fit(images, np.arange(40) % 2)
    html = shown(supervised)
    assert not PNG.search(html)
    assert list(table(html)) == ["epochs", "last classifier loss", "features"]


def test_a_generator_without_a_prior_has_the_table_alone(images):
    autoencoder = AutoencoderFeatures(n_epochs=0, random_state=0).fit(images)
    html = shown(autoencoder)
    assert not PNG.search(html)
    assert list(table(html)) == ["epochs", "features"]  # no epoch, no loss


@pytest.mark.parametrize(
    "cls",
    [cls for _, cls in all_estimators() if issubclass(cls, BaseGAN)],
    ids=lambda c: c.__name__,
)
def test_every_method_is_shown(images, cls):
    known = cls().get_params(deep=False)
    settings = {k: v for k, v in SMALL.items() if k in known} | {"n_epochs": 0}
    y = np.arange(40) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = cls(**settings).fit(images, y)
        html = shown(estimator)
    assert table(html)["features"] == f"{estimator.n_features_out_:,}"
    assert bool(PNG.search(html)) == hasattr(estimator, "sample_images")


# ---------------------------------------------------------------- how notebooks ask for it


def test_both_ways_of_asking_give_the_same(gan):
    bundle = gan._repr_mimebundle_()
    assert bundle["text/plain"] == repr(gan)
    assert re.sub(r"(sk-\w+-id-)\d+", r"\1", bundle["text/html"]) == shown(gan)


def test_there_is_no_html_where_scikit_learn_is_told_so(gan):
    with config_context(display="text"):
        assert not hasattr(gan, "_repr_html_")
        assert gan._repr_mimebundle_() == {"text/plain": repr(gan)}


@pytest.mark.parametrize("estimator", [DCGANDiscriminatorFeatures(), BiGANEncoder(lr=1e-3)])
def test_an_unfitted_estimator_is_the_diagram_alone(estimator):
    assert shown(estimator) == diagram(estimator)


# ---------------------------------------------------------------- fits that are broken


def without_generator(gan):
    del gan.generator_


def with_another_generator(gan):
    gan.generator_ = "lost"


def without_history(gan):
    gan.history_ = None


def with_a_loss_that_is_no_number(gan):
    gan.history_[-1]["generator_loss"] = None


def without_roles(gan):
    del gan._roles


def without_a_shape(gan):
    del gan.input_shape_


def with_a_setting_of_another_fit(gan):
    gan.set_params(latent_dim=9)


def with_a_layer_that_there_is_not(gan):
    gan.set_params(layers=7)


BREAKS = [
    without_generator, with_another_generator, without_history, with_a_loss_that_is_no_number,
    without_roles, without_a_shape, with_a_setting_of_another_fit, with_a_layer_that_there_is_not,
]  # fmt: skip


@pytest.mark.parametrize("break_it", BREAKS)
def test_a_broken_fit_is_the_diagram_and_the_reason(gan, break_it):
    break_it(gan)
    page, alone = shown(gan), diagram(gan)
    assert page.startswith(alone)
    reason = page.removeprefix(alone)
    assert re.fullmatch(r"<p>Samples are not shown: [^<]{10,}</p>", reason), reason
    assert "text/html" in gan._repr_mimebundle_()


def test_attributes_that_raise_leave_the_diagram_of_the_parameters(gan, monkeypatch):
    def fail(self):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(DCGANDiscriminatorFeatures, "n_features_out_", property(fail))
    try:
        expected = diagram(gan)
    except RuntimeError:  # from scikit-learn 1.9 on it lists fitted attributes
        expected = diagram(DCGANDiscriminatorFeatures(**SMALL))
    assert shown(gan) == f"{expected}<p>Samples are not shown: out of memory</p>"
    assert "text/html" in gan._repr_mimebundle_()


def test_it_needs_no_matplotlib():
    code = (
        "import sys, numpy as np\n"
        "from skgan import DCGANDiscriminatorFeatures\n"
        "X = np.random.default_rng(0).random((20, 8, 8))\n"
        "gan = DCGANDiscriminatorFeatures(n_epochs=0, random_state=0).fit(X)\n"
        "assert 'data:image/png' in gan._repr_html_()\n"
        "sys.exit('matplotlib' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_pipeline_still_has_its_diagram(gan):
    from sklearn.pipeline import make_pipeline

    assert "DCGANDiscriminatorFeatures" in estimator_html_repr(make_pipeline(gan))
    json.dumps(gan._repr_mimebundle_())  # as notebooks are kept
