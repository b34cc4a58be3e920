"""Docstrings that share entries: written once, and completed where they are needed."""

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
SECTIONS = "Parameters|Attributes|Returns|Yields|Raises|Warns|See Also|Notes|References|Examples"
HEADING = re.compile(rf"^({SECTIONS})\n-+\n", re.MULTILINE)

X_AS_IN_FIT = "Parameters\n----------\nX : array-like, as in `fit`"
A_SCORE_EACH = f"{X_AS_IN_FIT}\n\nReturns\n-------\nndarray of shape (n,), float32"


def completed_by(shared: str) -> Callable[[F], F]:
    """Decorator: add what the function's docstring lacks from `shared`, a numpydoc text.

    Parameters that the function has are added one by one, and listed in the order of its
    signature. Any other section is added as a whole. What the docstring says itself stays.
    """

    def complete(function: F) -> F:
        if function.__doc__ is None:  # python -OO
            return function
        (summary, own), (_, given) = split(function.__doc__), split(shared)
        known = entries(given, "Parameters") | entries(own, "Parameters")
        names = [name for name in inspect.signature(function).parameters if name in known]
        parameters = "\n".join(dict.fromkeys(known[name] for name in names))
        sections = given | own | ({"Parameters": parameters} if parameters else {})
        function.__doc__ = join(summary, sections)
        return function

    return complete


def split(doc: str) -> tuple[str, dict[str, str]]:
    """The text before the first section, and the sections by their headings."""
    summary, *rest = HEADING.split(inspect.cleandoc(doc))
    return summary.strip(), {h: t.strip() for h, t in zip(rest[::2], rest[1::2], strict=True)}


def join(summary: str, sections: dict[str, str]) -> str:
    """The docstring of these sections, in numpydoc's order."""
    texts = [f"{s}\n{'-' * len(s)}\n{sections[s]}" for s in SECTIONS.split("|") if s in sections]
    return "\n\n".join([summary, *texts])


def entries(sections: dict[str, str], title: str) -> dict[str, str]:
    """The entries of a section by name, without stars; "a, b : int" is the entry of both."""
    found = re.split(r"\n(?=\S)", sections.get(title, ""))
    names = [entry.partition(" : ")[0].replace("*", "").split(", ") for entry in found]
    return {name: entry for entry, of in zip(found, names, strict=True) for name in of}
