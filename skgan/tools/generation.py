"""Codes from the prior of a fitted GAN, and the samples that its generator makes of codes."""

from typing import Any

import numpy as np
import torch
from sklearn.utils import check_array
from torch import Tensor

from ..utils.fitted import FittedNetworks


def draw_codes(estimator, n_samples=1, random_state=None, *, component=None):
    """Draw codes from the prior of a fitted estimator.

    `generate(estimator, draw_codes(estimator, n, seed))` is `estimator.sample(n, seed)`.

    Parameters
    ----------
    estimator : fitted estimator, or FrozenEstimator of one
        One of skgan's, with a prior.
    n_samples : int, default=1
    random_state : None, int or RandomState, default=None
        Seed of the draws.
    component : None, int or array-like of int of shape (n_samples,), default=None
        Value of the prior's (first) categorical part in all codes, or in each: one generator of a
        mixture, one category, or the index of a class. None draws it for each code.

    Returns
    -------
    ndarray of shape (n_samples, d), float32

    Raises
    ------
    NotFittedError
    TypeError
        If the estimator is none of skgan's.
    ValueError
        If it has no prior, or for a component that it does not have.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.tools import draw_codes, generate, interpolate_codes
    >>> gan = DCGANDiscriminatorFeatures(n_epochs=1, random_state=0).fit(load_digits().images)
    >>> codes = draw_codes(gan, 3, random_state=0)
    >>> generate(gan, interpolate_codes(codes, n_steps=4)).shape
    (9, 8, 8)
    """
    fitted = FittedNetworks(estimator)
    if fitted.prior is None:
        raise ValueError(
            f"{type(fitted.estimator).__name__} draws no z from a prior: pass an estimator with "
            "`sample`, such as a fitted DCGANDiscriminatorFeatures."
        )
    return fitted.draw(n_samples, random_state, component).cpu().numpy()


def generate(estimator, codes):
    """The samples that the generator of a fitted estimator makes of codes.

    What `inverse_transform` does where `transform` returns codes, for every estimator with a
    generator. It runs in eval mode and in batches.

    Parameters
    ----------
    estimator : fitted estimator, or FrozenEstimator of one
        One of skgan's, with a generator.
    codes : array-like of shape (n, d)
        z: all numbers of the prior, one-hot parts included.

    Returns
    -------
    ndarray of shape (n, ...)
        In the layout, value range and (for uint8) type of the X of `fit`.

    Raises
    ------
    NotFittedError
    TypeError
        If the estimator is none of skgan's.
    ValueError
        If it has no generator, or the codes are not of its width, or not finite.
    """
    fitted = FittedNetworks(estimator)
    if not hasattr(fitted.nets, "generator"):
        raise ValueError(
            f"{type(fitted.estimator).__name__} has no generator: pass an estimator with one, such "
            "as a fitted DCGANDiscriminatorFeatures."
        )
    z = check_codes("codes", codes)
    if z.shape[1] != fitted.code_dim:
        raise ValueError(
            f"codes has shape {z.shape}, but {type(fitted.estimator).__name__} generates from "
            f"codes of shape (n, {fitted.code_dim}), such as draw_codes gives."
        )
    return fitted.like_X(fitted.generate_in_parts(torch.from_numpy(z.astype(np.float32))))


def check_codes(name: str, codes: Any, ndim: int = 2) -> np.ndarray:
    """Finite numbers as float64: codes (n, d), or (d,) for ndim=1."""
    codes = codes.numpy(force=True) if isinstance(codes, Tensor) else codes
    found = check_array(
        codes, dtype=np.float64, input_name=name, allow_nd=True, ensure_2d=False,
        ensure_min_samples=0,
    )  # fmt: skip
    if found.ndim != ndim or found.size == 0:
        expected = "(n, d) with n and d of at least 1" if ndim == 2 else "(d,)"
        raise ValueError(f"{name} has shape {found.shape}, but {expected} is expected.")
    return found
