"""Estimators with parameters other than the paper's, by name."""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from .checks import check_choice
from .parameters import Checked


class Presets(Checked):
    """`from_preset`, for classes that have presets."""

    # Parameters by the name of the preset.
    _presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @classmethod
    def from_preset(cls, name: str = "best", **overrides: Any) -> Self:
        """An estimator with parameters other than the paper's, for images.

        The constructor's own defaults are those of the paper. Presets are plain parameters: what
        `get_params` returns says all of it, and all of it can be changed.

        Parameters
        ----------
        name : str
            "best" has what gave better features than the defaults in short trials, or is expected
            to: docs/measurements/stabilisers.md says what has been measured. A class may have other
            presets, of which its page in docs/methods tells; the message about an unknown name
            lists them.
        **overrides : dict
            Parameters of the constructor, which replace those of the preset.

        Returns
        -------
        estimator
            Not fitted.

        Raises
        ------
        ValueError
            For a name that is no preset of this class.
        TypeError
            For overrides that are no parameters of this class.
        """
        if not cls._presets:
            raise ValueError(f"name={name!r}: {cls.__name__} has no presets; use its constructor.")
        check_choice("name", name, tuple(cls._presets))
        return cls(**(copy.deepcopy(dict(cls._presets[name])) | overrides))
