"""Docstrings: every parameter is described, and shared ones read the same in every class."""

import ast
import inspect
import re

import pytest

import skgan
import skgan.callbacks
import skgan.datasets
import skgan.evaluation
import skgan.inspection
import skgan.semi_supervised
import skgan.tools
from skgan.base import BaseGAN
from skgan.utils.discovery import all_estimators

CLASSES = {name: cls for name, cls in all_estimators() if issubclass(cls, BaseGAN)}
# Same name, another thing: D judges rows, or pairs of rows and codes; each game has its losses.
OWN_TEXT = {"discriminator", "loss"}
# One network only, which never sees a generated row; many generators in one.
OWN_TEXT_OF = {"SupervisedFeatures": {"norm", "bn_stats"}, "MGANExtractor": {"generator", "norm"}}
# Heads of one trunk, of which one sees all domains; two players, not three.
OWN_TEXT_OF["DomainAdversarialFeatures"] = {
    "norm", "play", "dropout", "entropy_weight", "adversary",
}  # fmt: skip
# Of D, where others have an encoder.
for _name in ("DCGANDiscriminatorFeatures", "InfoGANExtractor", "ContrastiveDiscriminatorFeatures"):
    OWN_TEXT_OF[_name] = {"output"}


def described(cls):
    """{parameter: (type, default, text)} of the section Parameters."""
    section = re.search(r"Parameters\n-+\n(.*?)\n\n\w+\n-+\n", inspect.getdoc(cls), re.DOTALL)[1]
    entries = {}
    for entry in re.split(r"\n(?=\S)", section):
        head, _, text = entry.partition("\n")
        names, kind, default = re.fullmatch(r"(.*?) : (.*), default=(.*)", head).groups()
        for name in names.split(", "):
            entries[name] = kind, default, " ".join(text.split())
    return entries


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_every_parameter_is_described_in_order_with_its_default(cls):
    parameters = inspect.signature(cls).parameters
    found = described(cls)
    assert list(found) == list(parameters)
    for name, parameter in parameters.items():
        assert ast.literal_eval(found[name][1]) == parameter.default, name


def test_shared_parameters_read_the_same_in_every_class():
    first = {}
    for name, cls in CLASSES.items():
        for parameter, (kind, _, text) in described(cls).items():
            if parameter not in OWN_TEXT | OWN_TEXT_OF.get(name, set()):
                whose, *expected = first.setdefault(parameter, (name, kind, text))
                assert [kind, text] == expected, f"{parameter} of {name} and {whose}"


MODULES = [skgan, skgan.callbacks, skgan.datasets, skgan.evaluation, skgan.inspection,
           skgan.semi_supervised, skgan.tools]  # fmt: skip
PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in MODULES
    for name in module.__all__
    if callable(getattr(module, name))
}
# What a function of the library returns: its values are described as attributes.
RETURNED = {"ActivityRecord", "EditApp", "GuidedGradients", "MemorisationCheck", "NearDuplicates",
            "ProbeResult"}  # fmt: skip


def parameters_of(public):
    """{parameter: default as it is written, or None} of the section Parameters."""
    section = re.search(
        r"Parameters\n-+\n(.*?)(?:\n\n\w[\w ]*\n-+\n|\Z)", inspect.getdoc(public) or "", re.DOTALL
    )
    entries = {}
    for entry in re.split(r"\n(?=\S)", section[1] if section else ""):
        if head := re.fullmatch(r"([\w*, ]+) : (.*)", entry.partition("\n")[0]):
            names = [name.lstrip("*") for name in head[1].split(", ")]
            default = re.search(r"default=(.*)$", head[2])
            values = default[1].split(" and ") if default and " and " in default[1] else None
            for i, name in enumerate(names):  # "first, second : int, default=50 and 8"
                entries[name] = values[i] if values else default and default[1]
    return entries


@pytest.mark.parametrize("name", [n for n in PUBLIC if n.rpartition(".")[2] not in RETURNED])
def test_every_parameter_of_a_public_name_is_described_with_its_default(name):
    described_here = parameters_of(PUBLIC[name])
    for parameter in inspect.signature(PUBLIC[name]).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        assert parameter.name in described_here
        written = described_here[parameter.name]
        if parameter.default is parameter.empty:
            assert written is None, parameter.name
        else:
            assert written is not None, f"{parameter.name} has the default {parameter.default!r}"
            try:
                assert ast.literal_eval(written) == parameter.default, parameter.name
            except ValueError:  # a spec
                assert written == repr(parameter.default), parameter.name


@pytest.mark.parametrize("name", [n for n in PUBLIC if n.rpartition(".")[2] in RETURNED])
def test_what_functions_return_describes_its_values(name):
    doc = inspect.getdoc(PUBLIC[name])
    names = list(getattr(PUBLIC[name], "__dataclass_fields__", ("url", "edit")))
    assert [k for k in names if not re.search(rf"^{k} : ", doc, re.MULTILINE)] == []
