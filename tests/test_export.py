"""Exported extractors give the features of transform, in programs that know nothing of skgan."""

import json
import os
import subprocess
import sys
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from torch import nn

import skgan
from skgan import DCGANDiscriminatorFeatures, DCGANSpec, export
from skgan.engine import runtime
from skgan.nn.build import NAMED_SPECS
from skgan.utils.modules import with_plain_weights
from tests.test_contract import BUILDERS

ROOT = Path(__file__).parents[1]
NEEDS = ("onnx", "onnxscript", "onnxruntime")
# Of the largest feature: only rounding differs.
CLOSE = {"torch": 1e-6, "onnx": 1e-5}
KINDS = tuple(CLOSE)


def opened(path):
    """The function in an exported file, samples -> features, and its description."""
    if path.suffix == ".pt2":
        extra = {"skgan.json": ""}
        program = torch.export.load(path, extra_files=extra).module()
        return lambda x: program(torch.from_numpy(x)).numpy(), json.loads(extra["skgan.json"])
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    described = json.loads(session.get_modelmeta().custom_metadata_map["skgan"])
    return lambda x: session.run(None, {"x": x})[0], described


def exported(est, folder, kind, **more):
    for name in NEEDS if kind == "onnx" else ():
        pytest.importorskip(name)
    path = folder / f"features{export.SUFFIXES[kind]}"
    est.export(path, kind, **more)
    assert [p.name for p in folder.iterdir()] == [path.name]
    return opened(path)


def assert_same(found, expected, kind):
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() <= CLOSE[kind] * np.abs(expected).max()


def check(est, X, folder, kind, **more):
    """The file gives the features of transform for 1, 2 and 7 samples."""
    assert est.precision_ == "float32"
    run, described = exported(est, folder, kind, **more)
    x = X.astype(np.float32)
    for n in (1, 2, 7):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of few samples, on another scale
            expected = est.transform(x[-n:])
        assert_same(run(x[-n:]), expected, kind)
    assert np.ptp(est.transform(X), axis=0).max() > 1e-3  # or all samples would be alike
    return described


def images(*shape, seed=0):
    """Smooth images of large and small values, as uint8."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, shape).astype(np.uint8)


# ------------------------------------------------------------------ every class, all settings

FIRST = {}  # of each class, the settings that come first
for _name, (_cls, _) in BUILDERS.items():
    FIRST.setdefault(_cls, _name)


def slow_but(names):
    return [n if n in names else pytest.param(n, marks=pytest.mark.slow) for n in BUILDERS]


def built(name, small, digits):
    cls, settings = BUILDERS[name]
    X, y = digits
    if cls is skgan.DomainAdversarialFeatures:
        y = np.where(np.arange(len(y)) % 2, -1, y)
    est = small(cls, **({"image_shape": (8, 8), "n_epochs": 1} | settings))
    return est.fit(X[:100], y[:100] if is_classifier(est) else None)


@pytest.mark.parametrize("name", slow_but({*FIRST.values(), "mgan-partly"}))
def test_every_class_as_a_program_of_pytorch(name, small, digits, tmp_path):
    check(built(name, small, digits), digits[0], tmp_path, "torch")


@pytest.mark.parametrize("name", slow_but({"mgan-partly"}))
def test_every_class_as_onnx(name, small, digits, tmp_path):
    check(built(name, small, digits), digits[0], tmp_path, "onnx")


# ------------------------------------------------------------------ every network by name

PRESETS = {
    "dcgan": (skgan.DCGANDiscriminatorFeatures, {}, (28, 28)),
    "mlp": (skgan.DCGANDiscriminatorFeatures, {}, (28, 28)),
    "faces64": (skgan.DCGANDiscriminatorFeatures, {}, (64, 64, 3)),
    "imagenet32": (skgan.DCGANDiscriminatorFeatures, {}, (32, 32, 3)),
    "svhn32": (skgan.DCGANDiscriminatorFeatures, {}, (32, 32, 3)),
    "marta256": (skgan.DCGANDiscriminatorFeatures, {"layers": (-3, -2, -1)}, (256, 256, 3)),
    "bigan784": (skgan.BiGANEncoder, {"latent_dim": 50}, (28, 28)),
    "mao32": (skgan.MGANExtractor, {"subspace": "row"}, (32, 32, 3)),
    "salimans784": (skgan.FeatureMatchingClassifier, {"norm": "weight"}, (28, 28)),
    "ganin28": (skgan.DomainAdversarialFeatures, {"input_norm": "instance"}, (28, 28)),
    "patches": (skgan.ContrastiveDiscriminatorFeatures, {"output": "both"}, (32, 32, 3)),
}


def test_there_is_a_case_for_every_named_network():
    assert PRESETS.keys() == NAMED_SPECS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PRESETS)
def test_every_network_by_name(name, kind, small, tmp_path, monkeypatch):
    # The kernels of wide layers on CPUs with nothing newer than AVX2 round in another way.
    monkeypatch.setattr(runtime, "tiles_pay", lambda nets: False)
    cls, settings, shape = PRESETS[name]
    roles = ("generator", "discriminator", "encoder", "classifier", "trunk")
    networks = {r: name for r in roles if r in cls().get_params(deep=False)}
    X = images(8, *shape)
    est = small(cls, **networks, **settings, n_epochs=0, batch_size=8, precision="float32")
    check(est.fit(X, [0, 1] * 3 + [-1, -1] if is_classifier(est) else None), X, tmp_path, kind)


# ------------------------------------------------------------------ shapes, layers and pooling

ALL = {"layers": "all"}
SHAPES = {
    "28x28": ((28, 28), {}),
    "9x11": ((9, 11), {}),
    "13x13-max": ((13, 13), ALL | {"pool_grid": 3, "tap": "conv"}),
    "13x13-avg": ((13, 13), ALL | {"pool_grid": 3, "pool": "avg", "tap": "norm"}),
    "colour-last": ((20, 24, 3), ALL | {"pool_grid": 3}),
    "colour-first": ((3, 20, 24), ALL | {"pool_grid": 5, "pool": "avg"}),
    "last-layer": ((28, 28), {"layers": -1, "pool_grid": None}),
    "two-layers": ((26, 13), {"discriminator": DCGANSpec(4, head_layers=2), "layers": (-2, -1)}),
    "max-pooling": ((16, 13), {"discriminator": DCGANSpec(4, kernel_size=3, downsample="max")}),
    "crelu": ((16, 13), {"discriminator": DCGANSpec(4, activation="crelu"), "norm": "weight"}),
    "patches": ((13, 16), {"discriminator": DCGANSpec(4, first_layer="trained_patches")}),
    "channel-ranges": ((16, 16, 3), {"value_range": [(0, 255), (0, 300), (-50, 255)]}),
}  # fmt: skip
QUICK = {("13x13-max", "onnx"), ("colour-last", "onnx"), ("28x28", "torch"), ("13x13-avg", "torch")}


@pytest.mark.parametrize(
    ("name", "kind"),
    [pytest.param(n, k, marks=[] if (n, k) in QUICK else pytest.mark.slow)
     for n in SHAPES for k in KINDS],
)  # fmt: skip
def test_shapes_layers_and_pooling(name, kind, small, tmp_path):
    shape, settings = SHAPES[name]
    X = images(40, *shape)
    check(small(n_epochs=0, **settings).fit(X), X, tmp_path, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [12, 13, 24])
def test_encoders_that_resize_images(size, kind, small, tmp_path):
    X = images(20, 20, 20)
    est = small(skgan.BiGANEncoder, encoder_size=size, n_epochs=0).fit(X)
    check(est, X, tmp_path, kind)


@pytest.mark.parametrize("kind", [pytest.param("onnx", marks=pytest.mark.slow), "torch"])
def test_images_far_from_zero_and_tables_keep_what_float32_holds(kind, small, tmp_path):
    X = 1000 + images(20, 8, 8) / np.float32(128)
    far, table = tmp_path / "far", tmp_path / "table"
    far.mkdir(), table.mkdir()
    check(small(n_epochs=0).fit(X), X, far, kind)
    rows = np.random.default_rng(0).normal(1e6, (1, 1e3, 5), (60, 3))
    est = small(skgan.AutoencoderFeatures, encoder="mlp", generator="mlp", n_epochs=0).fit(rows)
    check(est, rows, table, kind)


@pytest.mark.parametrize("kind", [pytest.param("onnx", marks=pytest.mark.slow), "torch"])
def test_a_domain_with_batch_norm_of_its_own(kind, small, digits, tmp_path):
    X, y = digits
    domain = np.where(np.arange(len(X)) % 3, 1, -1)
    est = small(
        skgan.DomainAdversarialFeatures, image_shape=(8, 8), norm="batch", norm_per_domain=True,
        dropout=0.3, n_epochs=1,
    ).fit(X * np.where(domain > 0, 1, 0.5)[:, None], y, sample_domain=domain)  # fmt: skip
    x = X[:20].astype(np.float32)
    for given, of in ((1, 1), (-1, -1), (None, -1)):
        folder = tmp_path / str(given)
        folder.mkdir()
        run, described = exported(est, folder, kind, domain=given)
        assert_same(run(x), est.transform(x, np.full(20, of)), kind)
        assert described["domain"] == of
    assert np.abs(est.transform(x, np.ones(20)) - est.transform(x)).max() > 0.1
    with pytest.raises(ValueError, match=r"domain=3 is unknown; use one of 1, -1"):
        est.export(tmp_path / "features.pt2", domain=3)
    with pytest.raises(TypeError, match="domain"):
        small(n_epochs=0).export(tmp_path / "features.pt2", domain=1)


# ------------------------------------------------------------------ users' networks


class Pooled(nn.Module):
    """Adaptive pooling to cells of unequal sizes, and to more cells than there are pixels."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 5, 3)
        self.few, self.many = nn.AdaptiveMaxPool2d((3, 2)), nn.AdaptiveMaxPool2d((11, 10))
        self.mean, self.head = nn.AdaptiveAvgPool2d((2, 7)), nn.Linear(30 + 440 + 70, 6)

    def forward(self, x):
        a = torch.relu(self.first(x))
        b = nn.functional.leaky_relu(self.second(a))
        parts = [self.few(b), self.many(a), self.mean(b)]
        return self.head(torch.cat([p.flatten(1) for p in parts], dim=1))


class Deciding(nn.Module):
    """Its forward depends on the values of its input."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(64, 4), nn.Linear(4, 6)

    def forward(self, x):
        h = self.layer(x.flatten(1))
        return self.head(h if bool(h.sum() > 0) else torch.relu(h))


class Unusual(Deciding):
    """A function that ONNX does not have."""

    def forward(self, x):
        return self.head(torch.special.bessel_j0(self.layer(x.flatten(1))))


def hooked():
    """PyTorch's older norms, which compute weights in hooks."""
    old = torch.nn.utils.spectral_norm, torch.nn.utils.weight_norm
    layers = [f(nn.Linear(64, 64)) for f in old]
    return nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), nn.Linear(64, 6))


def parametrised(**_):
    spectral = nn.utils.parametrizations.spectral_norm
    return nn.Sequential(nn.Flatten(), spectral(nn.Linear(64, 16)), nn.ReLU(), nn.Linear(16, 6))


def of_users(small, network, X, **settings):
    settings = {
        "latent_dim": 6, "generator": "mlp", "n_epochs": 1, "precision": "float32",
    } | settings  # fmt: skip
    return small(skgan.AutoencoderFeatures, encoder=network, **settings).fit(X)


@pytest.mark.parametrize("kind", KINDS)
def test_users_adaptive_pooling(kind, small, tmp_path):
    X = images(40, 9, 10)
    check(of_users(small, Pooled(), X), X, tmp_path, kind)


@pytest.mark.parametrize("kind", [pytest.param("onnx", marks=pytest.mark.slow), "torch"])
@pytest.mark.parametrize("make", [hooked, parametrised])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_users_weights_that_are_computed_from_others(make, kind, small, tmp_path):
    X = images(40, 8, 8)
    network = make if make is parametrised else make()
    est = of_users(small, network, X, output="penultimate")
    check(est, X, tmp_path, kind)
    again = np.asarray(est.transform(X))
    assert np.array_equal(est.fit(X).transform(X), again)  # all of it is still there


def test_weights_become_plain_without_damage_to_the_original(small, digits):
    est = small(image_shape=(8, 8), norm="spectral", n_epochs=1).fit(digits[0])
    before = joblib.hash(est), est.transform(digits[0])
    module = est.as_module()
    x = torch.from_numpy(digits[0][:5]).float().view(-1, 1, 8, 8)
    with torch.no_grad():
        expected = module(x)
        plain = with_plain_weights(module)
        assert torch.equal(plain(x), expected)
    assert not any("parametrizations" in name for name in plain.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        old = hooked().eval()
    with torch.no_grad():
        expected = old(x)
        assert torch.equal(with_plain_weights(old)(x), expected)
    assert not any(name.endswith(("_orig", "_g", "_u")) for name in old.state_dict())
    assert joblib.hash(est) == before[0]
    assert np.array_equal(est.transform(digits[0]), before[1])
    assert any("parametrizations" in name for name in est.discriminator_.state_dict())
    assert small(norm="spectral", image_shape=(8, 8), n_epochs=1).fit(digits[0])


def test_networks_that_cannot_be_recorded_or_have_no_onnx(small, tmp_path):
    X = images(40, 8, 8)
    with pytest.raises(RuntimeError, match="PyTorch cannot record what this network computes"):
        of_users(small, Deciding(), X).export(tmp_path / "a.pt2")
    est = of_users(small, Unusual(), X, n_epochs=0, output="latent")
    for name in NEEDS:
        pytest.importorskip(name)
    with pytest.raises(RuntimeError, match=r"as ONNX \(.*bessel_j0.*: use kind='torch'"):
        est.export(tmp_path / "a.onnx", "onnx")
    assert not list(tmp_path.iterdir())


def test_features_that_are_gradients_are_refused(small, digits, tmp_path):
    settings = {"output": "fisher", "norm": "spectral", "image_shape": (8, 8), "n_epochs": 0}
    est = small(**settings).fit(digits[0])
    with pytest.raises(ValueError, match="output='fisher' cannot be exported"):
        est.export(tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ what is in the file


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An estimator, its samples, and its exported files by kind."""
    X, folder = images(40, 12, 10, 3), tmp_path_factory.mktemp("exported")
    spec = DCGANSpec(4)
    est = DCGANDiscriminatorFeatures(
        generator=spec, discriminator=spec, latent_dim=8, n_epochs=0, random_state=0, device="cpu"
    ).fit(X)
    paths = {}
    for kind in KINDS:
        if kind == "torch" or all(map(installed, NEEDS)):
            paths[kind] = folder / f"features{export.SUFFIXES[kind]}"
            est.export(str(paths[kind]), kind)
    return est, X, paths


def installed(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def path_of(files, kind):
    if kind not in files[2]:
        pytest.skip('needs pip install "skgan[onnx]"')
    return files[2][kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_description_says_what_the_file_takes_and_gives(files, kind):
    est = files[0]
    run, described = opened(path_of(files, kind))
    assert described == {
        "class": "DCGANDiscriminatorFeatures",
        "versions": {"skgan": skgan.__version__, "torch": torch.__version__},
        "input": {
            "name": "x", "dtype": "float32", "shape": ["batch", 12, 10, 3], "columns": None,
            "image_shape": [3, 12, 10], "channels_last": True, "value_range": [0, 255],
        },
        "output": {
            "name": "features", "dtype": "float32", "shape": ["batch", est.n_features_out_],
            "names": est.get_feature_names_out().tolist(),
        },
    }  # fmt: skip
    assert run(np.zeros((300, 12, 10, 3), np.float32)).shape == (300, est.n_features_out_)


def test_the_model_of_onnx_names_its_axes(files):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path_of(files, "onnx"))
    onnx.checker.check_model(model, full_check=True)
    for value, name, shape in (
        (model.graph.input, "x", ["batch", 12, 10, 3]),
        (model.graph.output, "features", ["batch", files[0].n_features_out_]),
    ):
        assert [v.name for v in value] == [name]
        assert value[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        dims = value[0].type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in dims] == shape
    assert [(o.domain, o.version) for o in model.opset_import] == [("", export.OPSET)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_refuses_other_shapes_and_types(files, kind):
    run, _ = opened(path_of(files, kind))
    for wrong in (np.zeros((3, 12, 10), np.float32), np.zeros((2, 10, 12, 3), np.float32),
                  np.zeros((2, 12, 10, 3), np.uint8), np.zeros((2, 12, 10, 3)),
                  np.zeros((2, 12, 10, 3), np.int64)):  # fmt: skip
        with pytest.raises(Exception, match=r"(?i)expected|invalid|dtype|guard|out of range"):
            run(wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_has_no_paths_and_no_samples(files, kind):
    path = path_of(files, kind)
    content = path.read_bytes()
    if kind == "torch":
        with zipfile.ZipFile(path) as archive:
            content = b"".join(map(archive.read, archive.namelist()))
    for place in (ROOT, path.parent, Path(sys.prefix), Path(torch.__file__).parent):
        assert str(place).encode() not in content
    assert files[1][0].astype(np.float32).tobytes() not in content
    weight = files[0].discriminator_.state_dict()["blocks.0.conv.weight"].cpu()
    if kind == "torch":
        weight = weight.permute(0, 2, 3, 1)
    assert weight.contiguous().numpy().tobytes() in content  # as other numbers would be found


OTHERWISE = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
import numpy as np
x = np.load("x.npy")
{run}
np.save("found.npy", found)
"""
RUN = {
    "torch": 'import torch\nprogram = torch.export.load({path!r}).module()\n'
    'found = program(torch.from_numpy(x)).numpy()',
    "onnx": 'import onnxruntime\nsession = onnxruntime.InferenceSession({path!r})\n'
    'found = session.run(["features"], {{"x": x}})[0]',
}  # fmt: skip


@pytest.mark.parametrize("kind", [pytest.param("torch", marks=pytest.mark.slow), "onnx"])
def test_the_file_is_run_without_skgan(files, kind, tmp_path):
    """Nor scikit-learn; an ONNX file also without PyTorch."""
    est, X, _ = files
    x = X[:5].astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    blocked = ["skgan", "sklearn"] + ["torch", "onnx"] * (kind == "onnx")
    code = OTHERWISE.format(blocked=blocked, run=RUN[kind].format(path=str(path_of(files, kind))))
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert_same(np.load(tmp_path / "found.npy"), est.transform(x), kind)


def test_columns_of_a_table_are_named(small, tmp_path):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"])
    est = small(generator="mlp", discriminator="mlp", n_epochs=0).fit(X)
    _, described = exported(est, tmp_path, "torch")
    takes = described["input"]
    assert takes["columns"] == ["a", "b", "c"] and takes["shape"] == ["batch", 3]
    assert "value_range" not in takes


# ------------------------------------------------------------------ what plays no part


def test_it_computes_in_float32_whatever_surrounds_it(small, bytes_28, tmp_path):
    est = small(precision="bfloat16", n_epochs=1).fit(bytes_28)
    x = bytes_28.astype(np.float32)
    with torch.no_grad():
        expected = est.as_module()(torch.from_numpy(x)[:, None]).numpy()
    state = torch.get_rng_state(), joblib.hash(est)

    torch.set_default_device("meta")
    try:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            est.export(tmp_path / "a.pt2")
    finally:
        torch.set_default_device(None)
    found = opened(tmp_path / "a.pt2")[0](x)
    assert_same(found, expected, "torch")
    assert torch.equal(torch.get_rng_state(), state[0]) and joblib.hash(est) == state[1]
    assert np.abs(found - est.transform(x)).max() < 0.05 * np.abs(expected).max()


def test_the_program_has_no_gradients_to_keep(files):
    program = torch.export.load(path_of(files, "torch")).module()
    assert not program(torch.zeros(2, 12, 10, 3)).requires_grad


def test_threads_export_in_turn(files, tmp_path):
    """PyTorch records in one thread at a time, and fails in the others."""
    est, X, _ = files
    paths = [tmp_path / f"{i}.pt2" for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(est.export, paths))
    for path in paths:
        assert_same(opened(path)[0](X.astype(np.float32)), est.transform(X), "torch")


# ------------------------------------------------------------------ what cannot be


@pytest.mark.parametrize(
    ("path", "kind", "error", "message"),
    [
        ("a.pt2", "ONNX", ValueError, "kind='ONNX' is unknown; use one of 'torch', 'onnx'"),
        ("a.onnx", "torch", ValueError, "must end in '.pt2' with kind='torch', or set kind='onnx'"),
        ("a.pt", "torch", ValueError, r"a.pt' must end in '.pt2' with kind='torch'\."),
        ("a.pt2", "onnx", ValueError, "must end in '.onnx' with kind='onnx', or set kind='torch'"),
        ("none/a.pt2", "torch", FileNotFoundError, "there is no folder .*none: create it first"),
        ("folder.pt2", "torch", IsADirectoryError, "folder.pt2' is a folder: give the path of a"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(path, kind, error, message, small, tmp_path):
    (tmp_path / "folder.pt2").mkdir()
    with pytest.raises(error, match=message):
        small().export(tmp_path / path, kind)  # it is not fitted, which would be noticed next
    assert [p.name for p in tmp_path.iterdir()] == ["folder.pt2"]


def test_paths_that_are_none(small, tmp_path):
    with pytest.raises(TypeError, match=r"path=5 must be a str or a path"):
        small().export(5)
    with pytest.raises(NotFittedError):
        small().export(tmp_path / "a.pt2")


def test_a_folder_that_cannot_be_written_to(small, tmp_path, monkeypatch):
    # Asked of the system, since the superuser may write anywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
    with pytest.raises(PermissionError, match="cannot be written to"):
        small().export(tmp_path / "a.pt2")


@pytest.mark.parametrize("name", ["onnx", "onnxscript"])
def test_without_the_packages_the_error_names_the_extra(name, small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "skgan\[onnx\]", or use kind=.torch.'):
        small().export(tmp_path / "a.onnx", "onnx")


def test_weights_that_an_onnx_file_does_not_hold(files, tmp_path, monkeypatch):
    path_of(files, "onnx")
    monkeypatch.setattr(export, "MOST_BYTES", 100)
    with pytest.raises(ValueError, match="the weights have .* GiB, .* use kind='torch'"):
        files[0].export(tmp_path / "a.onnx", "onnx")
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_an_earlier_file_alone(files, tmp_path, monkeypatch):
    path = tmp_path / "a.pt2"
    path.write_bytes(b"earlier")

    def full(program, file, **_):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch.export, "save", full)
    with pytest.raises(OSError, match="No space left"):
        files[0].export(path)
    assert path.read_bytes() == b"earlier" and list(tmp_path.iterdir()) == [path]
