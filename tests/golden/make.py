"""Makes the golden files: `python tests/golden/make.py`.

For each a fitted estimator as `save` wrote it, and beside it an .npz with rows, labels and what
the estimator made of the rows; and a checkpoint. Files that are there are never made again: what an
old skgan wrote must stay readable, or be refused as its test says. A new format version gets files
of its own, which are added.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits, load_iris

import skgan
from skgan import (
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    DomainAdversarialFeatures,
    MLPSpec,
)
from skgan.persistence import FORMAT_VERSION, write

HERE = Path(__file__).parent
SETTINGS = {"latent_dim": 4, "n_epochs": 2, "random_state": 0, "device": "cpu"}


def _bytes():
    """200 digits as uint8 with channels last, and labels in words."""
    X, y = load_digits(return_X_y=True)
    words = np.array(["even", "odd"])[y[:200] % 2]
    return (X[:200] * 15).reshape(-1, 8, 8, 1).astype(np.uint8), words


def images():
    """Width-2 networks, and parameters of many kinds, on digits as uint8 with channels last."""
    X, y = _bytes()
    spec = DCGANSpec(kernel_size=3, channels=(2, 4), strides=(1, 2))
    gan = DCGANDiscriminatorFeatures(
        generator=spec, discriminator=spec, layers=[0, -1], lr=np.float32(1e-3),
        data_format="channels_last", **SETTINGS,
    )  # fmt: skip
    return gan.fit(X), X[:6], y[:6]


def table():
    """Dense networks with spectral norm, on the named columns of iris."""
    X, y = load_iris(return_X_y=True)
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    gan = DCGANDiscriminatorFeatures(
        generator=MLPSpec(8), discriminator=MLPSpec(8), norm="spectral", loss="hinge", **SETTINGS
    )
    return gan.fit(pd.DataFrame(X, columns=names)), X[::30], y[::30]


def steps():
    """A parameter that has been renamed: two steps of G for one of D."""
    name = "generator_steps"
    if name not in DCGANDiscriminatorFeatures().get_params():
        name = "n_generator"
    return _small("DCGANDiscriminatorFeatures", DCGANSpec(2), **{name: 2})


def bigan():
    """A critic with unary terms, and a code with a categorical part."""
    return _small("BiGANEncoder", DCGANSpec(2), unary=True, categories=(3,))


def regressor():
    """Three dense networks, on pixels."""
    return _small("LatentRegressorEncoder", MLPSpec(4))


def autoencoder():
    """No prior: a decoder and an encoder."""
    return _small("AutoencoderFeatures", DCGANSpec(2))


def mgan():
    """Two heads on a trunk."""
    return _small("MGANExtractor", DCGANSpec(2, feature_dim=4), n_generators=2, n_shared_layers=1)


def apart():
    """The same two heads with no layer in common."""
    spec = DCGANSpec(2, feature_dim=4)
    return _small("MGANExtractor", spec, n_generators=2, n_shared_layers=0, extractor="both")


def supervised():
    """Labels that are words."""
    return _small("SupervisedFeatures", DCGANSpec(2))


def warm():
    """With the state that training goes on from."""
    spec = MLPSpec(4, n_layers=1)
    return _small("DCGANDiscriminatorFeatures", spec, warm_start=True, optimizer="rmsprop")


def _small(name, spec, **settings):
    cls = getattr(skgan, name)
    known = cls().get_params(deep=False)
    nets = dict.fromkeys(("generator", "discriminator", "encoder", "classifier"), spec)
    given = {k: v for k, v in (SETTINGS | nets).items() if k in known}
    X, y = _bytes()
    return cls(**(given | settings)).fit(X, y), X[:6], y[:6]


def contrad():
    """Three heads with a hidden layer, on one trunk."""
    spec = DCGANSpec(2)
    return _small("ContrastiveDiscriminatorFeatures", spec, n_hidden=4, n_projection=3)


def infogan():
    """Codes of both kinds, and a head that estimates them on the discriminator's trunk."""
    spec = DCGANSpec(2)
    return _small("InfoGANExtractor", spec, categories=(3,), learn_std=True, recognition_hidden=4)


def acgan():
    """Two heads on a trunk, and a generator of classes that are words."""
    return _small("ACGANFeatures", DCGANSpec(2), layers=-1, pool_grid=None)


def vaegan():
    """A posterior's mean and spread, and a pair of numbers that keeps the game in balance."""
    return _small("VAEGANEncoder", DCGANSpec(2), balance=(0.68, 0.35))


def matching():
    """Weight norm and noise; weights of the classes, which are words."""
    spec = DCGANSpec(2, noise=(0.1, 0.2), activation="relu")
    return _small("FeatureMatchingClassifier", spec, class_weight="balanced")


def clusters():
    """Numbers of clusters, of which some categories got none."""
    return _small("CatGANFeatures", MLPSpec(4), n_clusters=9)


def categories():
    """The same game with labels."""
    return _small("CatGANClassifier", DCGANSpec(2))


def triple():
    """Three networks, one of them on pairs of samples and classes."""
    return _small("TripleGANClassifier", DCGANSpec(2), generated_start=1)


def disentangled():
    """Four networks, and the codes of three domains."""
    X, y = _bytes()
    spec = DCGANSpec(2)
    gan = skgan.DisentangledEncoder(
        encoder=spec, generator=spec, domain_encoder=MLPSpec(4), domain_classifier=MLPSpec(4),
        domain_code="encoder", **SETTINGS,
    )  # fmt: skip
    return gan.fit(X, sample_domain=np.array([2, 5, -1])[np.arange(len(X)) % 3]), X[:6], y[:6]


def dann():
    """Two heads on a trunk with pooling, and batch norm for each of three domains."""
    X, y = _bytes()
    spec = DCGANSpec(channels=(2, 4), kernel_size=3, downsample="max", activation="sigmoid")
    est = DomainAdversarialFeatures(
        trunk=spec, classifier_hidden=(5,), domain_hidden=(4,), norm="batch", norm_per_domain=True,
        input_norm="instance", dropout=0.1, n_epochs=2, random_state=0, device="cpu",
    )  # fmt: skip
    return est.fit(X, y, sample_domain=np.array([1, 2, -1])[np.arange(200) % 3]), X[:6], y[:6]


# The format version that was the newest when a class came; 1 for all others.
SINCE = dict.fromkeys(
    (
        "contrad", "infogan", "acgan", "vaegan", "matching", "clusters", "categories", "triple",
        "disentangled", "dann",
    ),
    2,
)  # fmt: skip
KINDS = (
    contrad,
    infogan,
    acgan,
    vaegan,
    images,
    table,
    steps,
    bigan,
    regressor,
    autoencoder,
    mgan,
    matching,
    clusters,
    categories,
    triple,
    disentangled,
    dann,
    apart,
    supervised,
    warm,
)


def checkpointed(folder):
    """The fit whose checkpoint is kept, and its rows."""
    spec = MLPSpec(4, n_layers=1)
    gan = DCGANDiscriminatorFeatures(
        generator=spec, discriminator=spec, checkpoint_dir=folder, **SETTINGS
    )
    return gan, load_iris().data


def make_checkpoint(folder: Path) -> list[Path]:
    """Write the checkpoint of this format version, unless there is one."""
    if list(folder.glob(f"v{FORMAT_VERSION}_checkpoint.*")):
        return []
    with tempfile.TemporaryDirectory() as work:
        gan, X = checkpointed(work)
        gan.fit(X)
        newest = max(Path(work).glob("*/epoch-*"))
        path = folder / f"v{FORMAT_VERSION}_checkpoint{newest.suffix}"
        shutil.copyfile(newest, path)
    return [path]


def make_golden(folder: Path) -> list[Path]:
    """Write the golden files that `folder` lacks, and list them."""
    made = []
    for fit in KINDS:
        path = folder / f"v{FORMAT_VERSION}_{fit.__name__}.safetensors"
        if path.exists():
            continue
        gan, X, y = fit()
        write(path, gan)
        seen = X
        if hasattr(gan, "feature_names_in_"):
            seen = pd.DataFrame(X, columns=gan.feature_names_in_)
        gives = {"features": gan.transform(seen), "scores": gan.score_samples(seen)}
        if hasattr(gan, "sample"):
            gives["samples"] = gan.sample(3, 0)
        np.savez_compressed(path.with_suffix(".npz"), X=X, y=y, **gives)
        made.append(path)
    return made + make_checkpoint(folder)


if __name__ == "__main__":
    for path in make_golden(HERE):
        print(path)
