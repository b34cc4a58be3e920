"""From the text of an option to the value of a parameter. Nothing is evaluated."""

import ast
import json
import re
from typing import Any

import click

CONSTANTS = {"none": None, "null": None, "true": True, "false": False}
SPECS = ("DCGANSpec", "MLPSpec")


def parse(text: str) -> Any:
    """The value that a text means.

    Parameters
    ----------
    text : str
        A number; none, true or false; several values with commas between them, which are a tuple;
        a list, tuple, dict or quoted string as in Python or JSON; a spec of networks with plain
        settings, such as "DCGANSpec(width=32)". Anything else is a word.

    Raises
    ------
    ValueError
        If it begins like a list, a dict, a quoted string or a spec, and is none.
    """
    text = text.strip()
    if text.lower() in CONSTANTS:
        return CONSTANTS[text.lower()]
    if text.startswith(("(", "[", "{", "'", '"')):
        return _literal(text)
    if re.match(rf"({'|'.join(SPECS)})\b", text):
        return _spec(text)
    if "," in text:
        parts = text.removesuffix(",").split(",")  # "10," is a tuple of one
        return tuple(map(parse, parts))
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(
            f"{text!r} begins like a list, a dict or a quoted string, but is none in Python or "
            "JSON: see that brackets and quotes are closed, and quote the whole for your shell."
        ) from None


def _spec(text: str) -> Any:
    """The spec that a text such as "DCGANSpec(width=32)" names, with literals as its settings."""
    import skgan

    try:
        node = ast.parse(text, mode="eval").body
        name = node.func if isinstance(node, ast.Call) else node
        if not isinstance(name, ast.Name) or name.id not in SPECS:
            raise ValueError
        values = [ast.literal_eval(a) for a in getattr(node, "args", ())]
        given = {k.arg or "**": ast.literal_eval(k.value) for k in getattr(node, "keywords", ())}
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError(
            f"{text!r} is no spec: write one as DCGANSpec(width=32) or MLPSpec(n_layers=3), with "
            "numbers, tuples and quoted words as settings, and quote the whole for your shell."
        ) from None
    try:
        return getattr(skgan, name.id)(*values, **given)
    except TypeError as error:  # a setting that it does not have
        raise ValueError(f"{text!r} cannot be made: {error}.") from None


class Given:
    """The value of an option that was given; the others are None."""

    def __init__(self, value: Any):
        self.value = value

    def __repr__(self) -> str:
        return f"Given({self.value!r})"


class ParameterValue(click.ParamType):
    """The value of an estimator's parameter: a `Given`.

    Parameters
    ----------
    as_text : bool
        Whether any text but "none" is kept as it is, as for paths and devices.
    """

    name = "value"

    def __init__(self, as_text: bool = False):
        self.as_text = as_text

    def convert(self, value: Any, param: Any, ctx: Any) -> Given:
        if not isinstance(value, str):
            return value
        if self.as_text:
            return Given(None if value.lower() == "none" else value)
        try:
            return Given(parse(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class ImageSize(click.ParamType):
    """(h, w) in pixels, from "64" or "64x48"."""

    name = "HxW"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"\s*(\d+)(?:\s*[x,]\s*(\d+))?\s*", value)
        if found is None:
            self.fail(
                f"{value!r} is no size: write 64 for squares, or 64x48 for a height of 64 and a "
                "width of 48 pixels.",
                param,
                ctx,
            )
        return int(found[1]), int(found[2] or found[1])
