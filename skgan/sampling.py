"""Samples from the prior, through the generator."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from . import settings
from .nn.codes import Prior
from .utils.available import available_if
from .utils.checks import check_number, random_state_of
from .utils.devices import on_cpu_by_default
from .utils.docs import completed_by
from .utils.seeds import stream

DRAWS = """
Parameters
----------
n_samples : int
random_state : None, int or RandomState
    Seed of the draws from the prior.
component : None, int or array-like of int of shape (n_samples,)
    Value of the prior's (first) categorical part in all samples, or in each: one generator
    of a mixture, or one category. None draws it for each sample.
"""


class Sampling:
    """The side of `BaseGAN` that draws from the prior."""

    # For a message: what to use where there is no prior to draw from.
    _instead_of_sample: ClassVar[str] = ""

    # Of BaseGAN.
    _nets: Callable[[], Any]
    _device: Callable[[], torch.device]
    _format: Any

    def _decode(self, nets: Any, z: Tensor) -> Tensor:
        """Samples from z, of the shape of X as networks see it."""
        return nets.generator(z)

    def _prior(self) -> Prior | None:
        """What z is; None in a game that draws no z."""
        return None

    def _draw(self, n: int, rng: torch.Generator, component: Any = None) -> Tensor:
        """n draws from the prior; (n, 0) in a game that has none."""
        prior = self._prior()
        return torch.empty(n, 0) if prior is None else prior.draw(n, rng, component)

    @on_cpu_by_default
    def _seeded_draw(self, n: int, random_state: Any, component: Any = None) -> Tensor:
        """n draws from the prior for a random state that users give."""
        check_number("n_samples", n, low=1, integer=True)
        settings.check_component(self, component, n)
        seed = int(random_state_of(random_state).randint(2**31 - 1))
        return self._draw(n, stream(seed, "sample"), component)

    @on_cpu_by_default
    @torch.no_grad()
    def _decoded(self, z: Tensor) -> Tensor:
        """What the fitted generator makes of z, part by part, on the CPU."""
        nets, device = self._nets(), self._device()
        parts = [self._decode(nets, part.to(device)).float().cpu() for part in z.split(512)]
        return torch.cat(parts)

    def _generate(self, n_samples: int, random_state: Any, component: Any) -> Tensor:
        self._nets()  # raises if nothing is fitted
        return self._decoded(self._seeded_draw(n_samples, random_state, component))

    @available_if(settings.has_prior)
    @completed_by(DRAWS)
    def sample(self, n_samples=1, random_state=None, *, component=None):
        """Generated samples, in the layout, value range and (for uint8) type of the X of `fit`.

        Returns
        -------
        ndarray of shape (n_samples, ...)
        """
        x = self._generate(n_samples, random_state, component)  # raises if nothing is fitted
        return self._format.decode(x)

    @available_if(settings.has_prior)
    @completed_by(DRAWS)
    def sample_images(self, n_samples=1, random_state=None, *, component=None):
        """Generated images for display: float32 (n_samples, c, h, w) in [0, 1].

        Returns
        -------
        ndarray of shape (n_samples, c, h, w)

        Raises
        ------
        ValueError
            If the estimator was fitted on a table.
        """
        x = self._generate(n_samples, random_state, component)
        if x.ndim != 4:
            raise ValueError("this estimator was fitted on a table: it has no images to show.")
        return ((x + 1) / 2).clamp(0, 1).numpy()
