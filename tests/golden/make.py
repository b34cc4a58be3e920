"""Makes the golden files: `python tests/golden/make.py`.

For each a fitted estimator as `save` wrote it, and beside it an .npz with rows and what the
estimator made of them. Files that are there are never made again: what an old skgan wrote must
stay readable. A new format version gets files of its own, which are added.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits, load_iris

from skgan import DCGANDiscriminatorFeatures, DCGANSpec, MLPSpec
from skgan.persistence import FORMAT_VERSION, write

HERE = Path(__file__).parent
SETTINGS = {"latent_dim": 4, "n_epochs": 2, "random_state": 0, "device": "cpu"}


def images():
    """Width-2 networks, and parameters of many kinds, on digits as uint8 with channels last."""
    X = (load_digits().data[:200] * 15).reshape(-1, 8, 8, 1).astype(np.uint8)
    spec = DCGANSpec(kernel_size=3, channels=(2, 4), strides=(1, 2))
    gan = DCGANDiscriminatorFeatures(
        generator=spec, discriminator=spec, layers=[0, -1], lr=np.float32(1e-3),
        data_format="channels_last", **SETTINGS,
    )  # fmt: skip
    return gan.fit(X), X[:6]


def table():
    """Dense networks with spectral norm, on the named columns of iris."""
    X = load_iris().data
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    gan = DCGANDiscriminatorFeatures(
        generator=MLPSpec(8), discriminator=MLPSpec(8), norm="spectral", loss="hinge", **SETTINGS
    )
    return gan.fit(pd.DataFrame(X, columns=names)), X[::30]


def make_golden(folder: Path) -> list[Path]:
    """Write the golden files that `folder` lacks, and list them."""
    made = []
    for name, fit in (("images", images), ("table", table)):
        path = folder / f"v{FORMAT_VERSION}_{name}.safetensors"
        if path.exists():
            continue
        gan, X = fit()
        write(path, gan)
        seen = X if name == "images" else pd.DataFrame(X, columns=gan.feature_names_in_)
        np.savez_compressed(
            path.with_suffix(".npz"), X=X, features=gan.transform(seen),
            scores=gan.score_samples(seen), samples=gan.sample(3, 0),
        )  # fmt: skip
        made.append(path)
    return made


if __name__ == "__main__":
    for path in make_golden(HERE):
        print(path)
