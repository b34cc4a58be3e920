"""Compares what every public class computes with digests of an earlier skgan, bit for bit.

    OMP_NUM_THREADS=1 python tests/golden/bits.py            # compare; exit status 1 if bits differ
    OMP_NUM_THREADS=1 python tests/golden/bits.py --write    # keep today's digests

A redesign that means to change no result compares before it lands. Each case is a fit at a fixed
seed and one thread; the digests are of its features, samples, scores, losses and weights, and of
the features that it has once it was saved and loaded. Bits depend on the kind of CPU and on
PyTorch's version, so each has a section of its own in bits.json; where there is none for this
machine, write one with the skgan of before the change.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits, load_iris

import skgan
from skgan import DCGANSpec, MLPSpec
from skgan.tools import NullSpaceProjector

DIGESTS = Path(__file__).with_name("bits.json")
DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS, LABELS = DIGITS[:160], LABELS[:160]
IRIS, SPECIES = load_iris(return_X_y=True)
NETWORKS = ("generator", "discriminator", "encoder", "classifier")
# Wide enough for bfloat16 products; every other class has narrow networks.
WIDE, NARROW = DCGANSpec(16, kernel_size=4), DCGANSpec(4)

# class: {case: parameters}, each fitted on digits in float32 and bfloat16, the first on a table too
CASES = {
    "DCGANDiscriminatorFeatures": {
        "plain": {},
        "wgan-gp": {"loss": "wgan-gp", "norm": "none", "gp_weight": 5.0, "n_critic": 2},
        "wgan-gp spectral": {"loss": "wgan-gp", "norm": "spectral", "tap": "conv"},
        "matching": {"feature_matching": "mean", "generator_steps": 2, "pool": "avg"},
        "hinge": {"loss": "hinge", "norm": "spectral", "lr_decay": "linear"},
        "least squares": {"loss": "ls", "ema_decay": 0.9, "bn_stats": "running"},
        "held out": {"validation_fraction": 0.2, "clip_grad_norm": 0.5, "optimizer": "rmsprop"},
        "mao": {"discriminator": DCGANSpec(4, feature_dim=8), "layers": -1, "pool_grid": None},
    },
    "BiGANEncoder": {
        "plain": {},
        "unary": {"unary": True, "categories": (3,), "output": "latent"},
        "gaussian": {"encoder_output": "gaussian", "latent": "normal", "play": "alternating"},
        "sizes": {"encoder_size": 12, "generator_size": 16, "output": "layers", "tap": "norm"},
        "held out": {"validation_fraction": 0.2, "norm": "spectral", "optimizer": "sgd"},
    },
    "MGANExtractor": {
        "plain": {},
        "apart": {"n_shared_layers": 0, "extractor": "both", "same_z": False},
        "one shared": {"n_shared_layers": 1, "extractor": "classifier", "saturating": True},
        "own norms": {"n_shared_layers": 1, "share_bn": False, "shared_optimizer": "both"},
        "by D": {"shared_optimizer": "discriminator", "subspace": "null", "ema_decay": 0.9},
        "held out": {"n_shared_layers": 2, "validation_fraction": 0.2, "norm": "spectral"},
    },
    "LatentRegressorEncoder": {
        "plain": {},
        "joint": {"joint": True, "play": "alternating", "latent": "normal", "output": "latent"},
        "held out": {"validation_fraction": 0.2, "output": "layers", "layers": [0]},
    },
    "AutoencoderFeatures": {
        "plain": {},
        "noisy": {"noise": 0.3, "dropout": 0.2, "loss": "l1", "output": "latent"},
    },
    "SupervisedFeatures": {
        "plain": {},
        "spectral": {"norm": "spectral", "layers": "all", "pool_grid": 2, "clip_grad_norm": 1.0},
    },
}


def _digest(*values):
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().contiguous().numpy()
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype} {value.shape} ".encode() + value.tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()[:16]


def kind_of_machine():
    """What bits depend on, in words."""
    capabilities = torch.backends.cpu.get_cpu_capability()
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    units = [u for u in ("avx512_bf16", "amx_bf16") if u in flags]
    return " ".join([f"torch {torch.__version__.partition('+')[0]}", capabilities, *units])


def make(name, **settings):
    """An estimator of a class with small networks."""
    cls = getattr(skgan, name)
    known = cls().get_params(deep=False)
    if "generator_steps" in settings and "generator_steps" not in known:  # its name until 2026-11
        settings["n_generator"] = settings.pop("generator_steps")
    common = {
        "latent_dim": 6, "n_generators": 3, "n_epochs": 2, "batch_size": 50, "random_state": 3,
        "device": "cpu",
    }  # fmt: skip
    return cls(**({k: v for k, v in common.items() if k in known} | settings))


def looks(gan, X):
    """Digests of all that a fitted estimator gives."""
    untimed = [
        {k: v for k, v in sorted(row.items()) if k not in ("seconds", "images_per_second")}
        for row in gan.history_
    ]
    found = {k: _digest(*(row[k] for row in untimed)) for k in untimed[0]} if untimed else {}
    found = {f"history {k}": v for k, v in found.items()}
    found |= {"features": _digest(gan.transform(X)), "scores": _digest(gan.score_samples(X))}
    for what in ("sample", "reconstruct", "inverse_transform", "density_ratio", "predict_proba"):
        if hasattr(gan, what):
            given = {"sample": (7, 0), "inverse_transform": (gan.transform(X[:5]),)}.get(what, (X,))
            found[what] = _digest(getattr(gan, what)(*given))
    for what in ("generator_", "discriminator_", "encoder_", "classifier_"):
        if hasattr(gan, what):
            found[what] = _digest(*getattr(gan, what).state_dict().values())
    return found


def after_loading(gan, X):
    with tempfile.TemporaryDirectory() as folder:
        gan.save(Path(folder) / "gan")
        return _digest(skgan.load(Path(folder) / "gan").transform(X))


def spec_for(case):
    return WIDE if case == "plain" else NARROW


def fits():
    """(name of the case, fitted estimator, its rows), one after the other."""
    for name, cases in CASES.items():
        for i, (case, settings) in enumerate(cases.items()):
            nets = {k: spec_for(case) for k in NETWORKS if hasattr(make(name), k)}
            if name == "MGANExtractor":
                nets["discriminator"] = DCGANSpec(spec_for(case).width, feature_dim=16)
            for precision in ("float32", "bfloat16"):
                gan = make(name, image_shape=(8, 8), precision=precision, **(nets | settings))
                yield f"{name}, {case}, images, {precision}", gan.fit(DIGITS, LABELS), DIGITS[:40]
                if i == 0:
                    dense = {k: MLPSpec(32) for k in nets}
                    gan = make(name, precision=precision, **(dense | settings))
                    yield f"{name}, {case}, table, {precision}", gan.fit(IRIS, SPECIES), IRIS[::4]
        yield from going_on(name)


def going_on(name):
    """Warm starts, passes of `partial_fit`, and a fit that goes on from a checkpoint."""
    nets = {k: NARROW for k in NETWORKS if hasattr(make(name), k)}
    own = {"n_shared_layers": 1} if name == "MGANExtractor" else {}
    gan = make(name, image_shape=(8, 8), warm_start=True, n_epochs=1, **nets, **own)
    gan.fit(DIGITS, LABELS)
    yield f"{name}, warm start", gan.set_params(n_epochs=2).fit(DIGITS, LABELS), DIGITS[:40]
    gan = make(name, image_shape=(8, 8), **nets, **own).partial_fit(DIGITS[:90], LABELS[:90])
    yield f"{name}, partial_fit", gan.partial_fit(DIGITS[90:], LABELS[90:]), DIGITS[:40]
    with tempfile.TemporaryDirectory() as folder:
        keep = {"image_shape": (8, 8), "checkpoint_dir": folder, "ema_decay": 0.8}
        make(name, n_epochs=1, **keep, **nets, **own).fit(DIGITS, LABELS)
        gan = make(name, n_epochs=2, resume="must", **keep, **nets, **own).fit(DIGITS, LABELS)
        yield f"{name}, checkpoint", gan, DIGITS[:40]


def digests():
    """{case: {what: digest}} on this machine."""
    torch_threads = torch.get_num_threads()
    if torch_threads != 1:
        sys.exit(f"PyTorch runs {torch_threads} threads: set OMP_NUM_THREADS=1.")
    found = {}
    for case, gan, X in fits():
        found[case] = looks(gan, X) | {"after loading": after_loading(gan, X)}
    for part in ("null", "row"):
        gan = make("DCGANDiscriminatorFeatures", image_shape=(8, 8), layers=-1, pool_grid=None)
        projector = NullSpaceProjector(gan, subspace=part).fit(DIGITS)
        found[f"NullSpaceProjector, {part}"] = {"features": _digest(projector.transform(DIGITS))}
    return found


def differences(then, now):
    """What is not as it was, in words; what is new is no difference."""
    return [
        f"{case}: {what} is {'gone' if what not in now.get(case, {}) else 'not as it was'}"
        for case, looked in then.items()
        for what, digest in looked.items()
        if now.get(case, {}).get(what) != digest
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep today's digests")
    parser.add_argument("--file", type=Path, default=DIGESTS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    kept = json.loads(options.file.read_text()) if options.file.exists() else {}
    kind = kind_of_machine()
    if not options.write and kind not in kept:
        sys.exit(
            f"{options.file} has no digests for {kind!r}: write them with the skgan of before."
        )
    now = digests()
    if options.write:
        options.file.write_text(json.dumps(kept | {kind: now}, indent=1) + "\n")
        return
    found = differences(kept[kind], now)
    print("\n".join(found) if found else f"{len(now)} cases, all bits as they were ({kind})")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
