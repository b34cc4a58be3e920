"""Every parameter of every method is an option, with its text of the docstring."""

import inspect
import re
import shlex

import click
import pytest

import skgan.methods
from skgan.cli.commands import fit, group, probe
from skgan.cli.options import (
    CHOSEN,
    PRESET,
    ParameterOption,
    described,
    make,
    method_called,
    methods,
)
from skgan.cli.values import Given
from tests.cli.digit_files import ROOT

CLASSES = [getattr(skgan.methods, name) for name in skgan.methods.__all__]


def context(command, *args):
    return command.make_context(command.name, list(args))


def test_every_public_method_has_one_name():
    found = methods()
    assert sorted(cls.__name__ for cls in found.values()) == sorted(skgan.methods.__all__)
    for name in ("dcgan", "bigan", "infogan", "latent-regressor", "catgan-features"):
        assert name in found
    assert "catgan" not in found


@pytest.mark.parametrize("name", ["dcgan", "DCGAN", "DCGANDiscriminatorFeatures"])
def test_a_method_goes_by_its_short_name_and_its_class(name):
    assert method_called(name) is skgan.DCGANDiscriminatorFeatures


def test_a_method_of_two_words_takes_either_sign():
    assert method_called("feature_matching") is method_called("feature-matching")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("dcgna", "Did you mean dcgan"), ("catgan", "catgan-classifier or catgan-features?")],
)
def test_an_unknown_method_is_answered_by_those_like_it(name, meant):
    with pytest.raises(click.BadParameter, match=meant):
        method_called(name)


@pytest.mark.parametrize("command", [fit, probe], ids=["fit", "probe"])
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_parameter_is_an_option(cls, command):
    signature = inspect.signature(cls).parameters
    args = ["folder", "--method", cls.__name__, "--out", "x"]
    for i, name in enumerate(signature):
        args += ["--" + (name if i % 2 else name.replace("_", "-")), "7"]
    ctx = context(command, *args)
    for name in signature:
        value = ctx.params[name].value
        assert value in (7, "7"), name
    texts = {p.name: p.help for p in command.get_params(ctx) if isinstance(p, ParameterOption)}
    for name, (kind, text) in described(cls).items():
        assert texts[name].startswith(f"({kind}) {text}")
        assert text, name


@pytest.mark.parametrize("command", [fit, probe], ids=["fit", "probe"])
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_no_parameter_hides_an_option_of_the_command(cls, command):
    ctx = context(command, "folder", "--method", cls.__name__, "--out", "x")
    params = command.get_params(ctx)
    names = [p.name for p in params]
    opts = [opt for p in params if isinstance(p, click.Option) for opt in p.opts]
    assert len(set(names)) == len(names)
    assert len(set(opts)) == len(opts)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_settings_of_networks_are_options(cls):
    args = ["folder", "--method", cls.__name__, "--out", "x"]
    networks = [n for n, (kind, _) in described(cls).items() if kind.startswith("str, spec")]
    assert networks
    given = {}
    for name in networks:
        args += [f"--{name}", "DCGANSpec", f"--{name}__width", "8", f"--{name}--n-blocks", "3"]
    ctx = context(fit, *args)
    given = {name: value for name, value in ctx.params.items() if isinstance(value, Given)}
    estimator = make(cls, None, given, {})
    for name in networks:
        assert getattr(estimator, name).width == 8
        assert getattr(estimator, name).n_blocks == 3


def test_what_is_not_given_has_the_constructors_default():
    cls = skgan.DCGANDiscriminatorFeatures
    ctx = context(fit, "folder", "--method", "dcgan", "--out", "x", "--lr", "0.1")
    made = make(cls, None, ctx.params, {"verbose": 1}).get_params(deep=False)
    assert made == cls(lr=0.1, verbose=1).get_params(deep=False)


def test_none_is_a_value():
    cls = skgan.DCGANDiscriminatorFeatures
    made = make(cls, None, {"pool_grid": Given(None), "lr": None}, {})
    assert made.pool_grid is None
    assert made.lr == cls().lr


def test_a_preset_has_its_parameters_and_options_replace_them():
    cls = skgan.ContrastiveDiscriminatorFeatures
    made = make(cls, "best", {"lr": Given(0.5)}, {})
    expected = cls.from_preset("best", lr=0.5)
    assert made.get_params(deep=False) == expected.get_params(deep=False)


def test_a_preset_that_is_none():
    with pytest.raises(
        ValueError, match=r"--preset bset: name='bset' is unknown; use one of 'best'"
    ):
        make(skgan.ContrastiveDiscriminatorFeatures, "bset", {}, {})
    with pytest.raises(ValueError, match="AutoencoderFeatures has no presets"):
        make(skgan.AutoencoderFeatures, "best", {}, {})


def test_without_a_method_it_is_the_recommended_one(run):
    shown = run("fit", "--help")
    assert "Parameters of ContrastiveDiscriminatorFeatures, preset best:" in shown.out
    assert "[default: 0.001]" in shown.out  # the preset's learning rate
    shown = run("fit", "--method", "contrad", "--help")
    assert "Parameters of ContrastiveDiscriminatorFeatures:" in shown.out


def test_the_help_of_a_method_has_its_parameters(run):
    shown = run("fit", "--method", "mgan", "--help")
    assert shown.code == 0
    assert "--n-generators" in shown.out and "Parameters of MGANExtractor" in shown.out
    text = run("fit", "--method", "dcgan", "--help").out
    assert "--n-generators" not in text
    assert "--generator--width" not in text  # would be many
    for name in methods():
        assert f"  {name} " in text


@pytest.mark.parametrize("command", ["fit", "transform", "probe", "sample", "info"])
def test_every_command_has_a_help(run, command):
    shown = run(command, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: skgan {command}")
    assert command in group.commands


def commands_of(page):
    """The commands after "$ skgan" in a page's console blocks, those of several lines joined."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ skgan ") for line in lines if line.startswith("$ skgan ")]


PAGE = ROOT / "docs" / "guide" / "command_line.md"


@pytest.mark.parametrize("line", commands_of(PAGE))
def test_a_command_of_the_page_can_be_understood(line):
    name, *args = shlex.split(line)
    if "--n-epoch" in args:  # the page shows what is said of it
        with pytest.raises(click.NoSuchOption, match="--n-epoch"):
            context(group.commands[name], *args)
    else:
        ctx = context(group.commands[name], *args)
        params = group.commands[name].get_params(ctx)
        given = {p.name: ctx.params[p.name] for p in params if isinstance(p, ParameterOption)}
        if given:
            make(ctx.meta[CHOSEN], ctx.meta[PRESET], given, {})


def test_the_page_shows_every_command():
    shown = {line.split()[0] for line in commands_of(PAGE)}
    assert shown == set(group.commands)
