"""The methods by their names, and the parameters of a method as options."""

import difflib
import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ..utils.docs import entries, split
from .running import Command
from .values import Given, ParameterValue

CHOSEN, PRESET = "skgan.method", "skgan.preset"  # in click's `ctx.meta`: the class; a name
DEFAULT_METHOD, DEFAULT_PRESET = "contrad", "best"
NETWORK = "str, spec"  # how the type of a parameter begins that is a network


def methods() -> dict[str, type]:
    """The classes that can be fitted, by their names on the command line.

    A name is that of the method's module. Where a module has several classes, what tells their
    names apart is appended: "catgan-features" and "catgan-classifier".
    """
    from .. import methods as room

    modules: dict[str, list[type]] = {}
    for name in room.__all__:
        cls = getattr(room, name)
        modules.setdefault(cls.__module__.rpartition(".")[2], []).append(cls)
    found = {}
    for module, classes in modules.items():
        names = [cls.__name__ for cls in classes]
        # Of characters, not of folders.
        shared = os.path.commonprefix(names) if len(names) > 1 else names[0]  # noqa: RUF071
        for cls in classes:
            ending = cls.__name__.removeprefix(shared).lower()
            found["-".join(filter(None, [module.replace("_", "-"), ending]))] = cls
    return found


def method_called(name: str) -> type:
    """The class of a name, its own or that on the command line, in any case.

    Raises
    ------
    click.BadParameter
        For a name that no method has.
    """
    known = methods()
    short = name.lower().replace("_", "-")
    by_class = {cls.__name__.lower(): cls for cls in known.values()}
    cls = known.get(short) or by_class.get(short)
    if cls is None:
        near = [k for k in known if k.startswith(short)] or difflib.get_close_matches(short, known)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise click.BadParameter(
            f"{name!r} is no method.{meant} There are {', '.join(known)}.", param_hint="--method"
        )
    return cls


class ParameterOption(click.Option):
    """A parameter of an estimator, or a setting of one of its networks."""


def described(cls: Any) -> dict[str, tuple[str, str]]:
    """{parameter: (type, text)} from the class's docstring."""
    _, sections = split(cls.__doc__ or "")  # none with python -OO
    found = {}
    for name, entry in entries(sections, "Parameters").items():
        head, _, text = entry.partition("\n")
        kind = head.partition(" : ")[2].partition(", default=")[0]
        found[name] = (kind, " ".join(text.split()))
    return found


def options_of(cls: Any, defaults: Mapping[str, Any]) -> list[click.Option]:
    """An option for every parameter of a class, and hidden ones for settings of its networks.

    `defaults` are shown in the help, and have no effect.
    """
    known = described(cls)
    options, networks = [], []
    for name in inspect.signature(cls).parameters:
        kind, text = known.get(name, ("", ""))
        names = ["--" + name.replace("_", "-"), name]
        if name == "random_state":
            names.append("--seed")  # how other programs call it
        default = "" if defaults[name] is None else f" [default: {defaults[name]}]"
        options.append(
            ParameterOption(
                names, type=ParameterValue(kind == "str" or kind.startswith("path")),
                help=f"({kind}) {text}{default}", metavar="VALUE",
            )
        )  # fmt: skip
        if kind.startswith(NETWORK):
            networks.append(name)
    return options + [option for name in networks for option in _settings_of(name)]


def _settings_of(network: str) -> list[click.Option]:
    from .. import DCGANSpec, MLPSpec

    names = dict.fromkeys([*DCGANSpec().get_params(), *MLPSpec().get_params()])
    return [
        ParameterOption(
            [f"--{network}__{name}".replace("_", "-"), f"{network}__{name}"],
            type=ParameterValue(), hidden=True,
        )
        for name in names
    ]  # fmt: skip


class MethodCommand(Command):
    """A command with the parameters of the method that `--method` names as options.

    Parameters
    ----------
    defaults : dict of str
        What the command has for parameters that are not given, in words, where that is another
        value than the method's.
    """

    def __init__(self, *args: Any, defaults: Mapping[str, str], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.defaults = defaults

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        method, preset = _option_in(args, "--method"), _option_in(args, "--preset")
        ctx.meta[CHOSEN] = method_called(DEFAULT_METHOD if method is None else method)
        ctx.meta[PRESET] = resolve_preset(method, preset)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        if CHOSEN not in ctx.meta:
            return own
        cls = ctx.meta[CHOSEN]
        try:
            shown = make(cls, ctx.meta[PRESET], {}, {}).get_params(deep=False)
        except ValueError:  # there is no such preset, of which `make` will speak again
            shown = cls().get_params(deep=False)
        return [*own, *options_of(cls, shown | dict(self.defaults))]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        parameters: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                (parameters if isinstance(param, ParameterOption) else own).append(record)
        with formatter.section("Options"):
            formatter.write_dl(own)
        preset = f", preset {ctx.meta[PRESET]}" if ctx.meta[PRESET] else ""
        with formatter.section(f"Parameters of {ctx.meta[CHOSEN].__name__}{preset}"):
            formatter.write_dl(parameters)
        with formatter.section("Methods"):
            formatter.write_dl([(k, _first_sentence(cls)) for k, cls in methods().items()])


def _first_sentence(cls: Any) -> str:
    text = " ".join((cls.__doc__ or "").split("\n\n")[0].split())
    return f"{cls.__name__}: {text}"


def _option_in(args: Sequence[str], name: str) -> str | None:
    """What an option is given as, before click has read the others; its last value counts."""
    found = None
    for i, text in enumerate(args):
        if text == "--":
            break
        if text == name and i + 1 < len(args):
            found = args[i + 1]
        elif text.startswith(f"{name}="):
            found = text.partition("=")[2]
    return found


def make(
    cls: Any, preset: str | None, given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Any:
    """The estimator that options ask for.

    Parameters
    ----------
    cls : type
    preset : str or None
        Its name for `from_preset`; None: the constructor's own defaults.
    given : dict of Given or None
        Options by the name of the parameter, or of the setting of a network.
    defaults : dict
        Values on the command line of what is not given.

    Raises
    ------
    ValueError
        For a preset or a setting that the class does not have.
    """
    values = {name: value.value for name, value in given.items() if isinstance(value, Given)}
    own = {name: value for name, value in values.items() if "__" not in name}
    nested = {name: value for name, value in values.items() if "__" in name}
    if preset is None:
        estimator = cls(**(dict(defaults) | own))
    elif hasattr(cls, "from_preset"):
        try:
            cls.from_preset(preset)
        except ValueError as error:
            raise ValueError(f"--preset {preset}: {error}") from error
        estimator = cls.from_preset(preset, **(dict(defaults) | own))
    else:
        raise ValueError(f"--preset {preset}: {cls.__name__} has no presets; leave it out.")
    return estimator.set_params(**nested) if nested else estimator


def resolve_preset(method: str | None, preset: str | None) -> str | None:
    """ "best" where neither a method nor a preset is named; "none" is no preset."""
    if preset is None:
        return DEFAULT_PRESET if method is None else None
    return None if preset.lower() == "none" else preset
