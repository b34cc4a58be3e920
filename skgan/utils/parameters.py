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
import re
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")
_ITEM = re.compile(r"^(\w[\w, ]*) : (.+)\n((?:    .*\n|\n(?=    ))*)", re.M)


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
    doc = inspect.cleandoc(cls.__doc__ or "")
    cls._own_doc = doc  # type: ignore[attr-defined]
    dataclass(kw_only=True, eq=False, repr=False)(cls)
    signature = inspect.signature(cls.__init__)
    # Own parameters first, then those of the classes above, in the order in which they are named.
    order = [name for base in cls.__mro__ for name in inspect.get_annotations(base)]
    this, *given = signature.parameters.values()
    given.sort(key=lambda p: order.index(p.name))
    cls.__init__.__signature__ = signature.replace(parameters=[this, *given])  # type: ignore
    defaults = {p.name: p.default for p in given}
    known = _entries(cls, "Parameters")
    missing = defaults.keys() - known.keys()
    if missing and known:  # Python's option -OO leaves no docstrings at all
        raise TypeError(f"{cls.__name__} describes no parameter {', '.join(sorted(missing))}.")
    described = {
        name: (f"{known[name][0]}, default={default!r}", known[name][1])
        for name, default in defaults.items()
        if name in known
    }
    doc = _with_section(doc, "Parameters", described)
    cls.__doc__ = _with_section(doc, "Attributes", _entries(cls, "Attributes"))
    return cls


def _section(doc: str, title: str) -> re.Match[str] | None:
    return re.search(rf"^{title}\n-+\n(.*?)(?=\n\n\w+\n-+\n|\n*\Z)", doc, re.M | re.S)


def _entries(cls: type, title: str) -> dict[str, tuple[str, str]]:
    """{name: (type, text)} of a section, in the order of `__mro__`; the nearest class counts."""
    found: dict[str, tuple[str, str]] = {}
    for base in cls.__mro__:
        section = _section(vars(base).get("_own_doc", ""), title)
        for item in _ITEM.finditer(section[1] + "\n" if section else ""):
            for name in item[1].split(", "):
                found.setdefault(name, (item[2], item[3]))
    return found


def _with_section(doc: str, title: str, entries: dict[str, tuple[str, str]]) -> str:
    """The docstring with this section in the place of its own; neighbours alike share a line."""
    if not entries:
        return doc
    body = ""
    for (kind, text), names in itertools.groupby(entries, key=lambda name: entries[name]):
        body += f"{', '.join(names)} : {kind}\n{text}"
    whole = f"{title}\n{'-' * len(title)}\n{body.rstrip()}"
    own = _section(doc, title)
    if own:
        return doc[: own.start()] + whole + doc[own.end() :]
    later = re.search(r"^(Attributes|Examples)\n-+\n", doc, re.M)
    at = later.start() if later else len(doc)
    return f"{doc[:at].rstrip()}\n\n{whole}\n\n{doc[at:]}".rstrip()
