"""Parameters declared once: as annotated defaults of a class, for it and all classes below it.

    @parameters
    class TrainingParameters:
        \"""How networks are trained.

        Parameters
        ----------
        lr : float
            Learning rate of all networks.
        \"""

        lr: float = 2e-4

makes `lr` a keyword-only parameter of the constructor, which stores it and does nothing else.
Entries of the sections Parameters and Attributes are inherited, so that `help`, numpydoc and
scikit-learn's views show all of them, with the defaults of the class at hand.
"""

import inspect
import itertools
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

from .docs import entries, join, split

T = TypeVar("T")


class Checked:
    """The end of every chain of `_check`."""

    def _check(self) -> None:
        """Raise a ValueError for the first parameter whose value cannot work."""


def parameter(
    *, default: Any, shapes: bool = False, free: bool = False, network: bool = False,
    kw_only: bool = True,
) -> Any:  # fmt: skip
    """A parameter of which more is true than that it has a default.

    Parameters
    ----------
    default : object
    shapes : bool
        Whether fitted networks belong to its value: it cannot change after `fit`.
    free : bool
        Whether a fit with another value is still the same fit, and may use its checkpoints.
    network : bool
        Whether it is a network: a name, a spec, a callable or a module.
    kw_only : bool
        Whether the constructor takes it by name only.
    """
    truths = {"shapes": shapes, "free": free, "network": network}
    metadata = {k: True for k, v in truths.items() if v}
    return field(default=default, metadata=metadata, kw_only=kw_only)


def names_of(estimator: Any, truth: str) -> list[str]:
    """The parameters of an estimator of which this is true, in the order of its constructor."""
    declared = {f.name: f.metadata for f in fields(estimator)}
    # A user's own subclass may have a constructor of its own, with parameters of its own.
    own = inspect.signature(type(estimator)).parameters
    return [name for name in own if truth in declared.get(name, ())]


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(parameter,))
def parameters(cls: type[T]) -> type[T]:
    """Make annotated defaults parameters of the constructor, and complete the docstring."""
    summary, sections = split(cls.__doc__ or "")
    cls._own_sections = sections  # type: ignore[attr-defined]
    dataclass(kw_only=True, eq=False, repr=False)(cls)
    signature = inspect.signature(cls.__init__)
    # Own parameters first, then those of the classes above, in the order in which they are named.
    order = [name for base in cls.__mro__ for name in inspect.get_annotations(base)]
    this, *given = signature.parameters.values()
    given.sort(key=lambda p: order.index(p.name))
    cls.__init__.__signature__ = signature.replace(parameters=[this, *given])  # type: ignore
    defaults = {p.name: p.default for p in given}
    known = _inherited(cls, "Parameters")
    missing = defaults.keys() - known.keys()
    if missing and known:  # Python's option -OO leaves no docstrings at all
        raise TypeError(f"{cls.__name__} describes no parameter {', '.join(sorted(missing))}.")
    described = {
        name: (f"{known[name][0]}, default={default!r}", known[name][1])
        for name, default in defaults.items()
        if name in known
    }
    whole = {"Parameters": described, "Attributes": _inherited(cls, "Attributes")}
    cls.__doc__ = join(summary, sections | {k: _text(v) for k, v in whole.items() if v})
    return cls


def _inherited(cls: type, title: str) -> dict[str, tuple[str, str]]:
    """{name: (type, text)} of a section, in the order of `__mro__`; the nearest class counts."""
    found: dict[str, tuple[str, str]] = {}
    for base in cls.__mro__:
        for name, entry in entries(vars(base).get("_own_sections", {}), title).items():
            head, _, text = entry.partition("\n")
            found.setdefault(name, (head.partition(" : ")[2], text))
    found.pop("", None)
    return found


def _text(described: dict[str, tuple[str, str]]) -> str:
    """A section of these entries; neighbours alike share a line."""
    groups = itertools.groupby(described, key=lambda name: described[name])
    return "\n".join(f"{', '.join(names)} : {kind}\n{text}" for (kind, text), names in groups)
