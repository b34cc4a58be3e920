"""Docstrings: every parameter is described, and shared ones read the same in every class."""

import ast
import inspect
import re

import pytest

from skgan.base import BaseGAN
from skgan.utils.discovery import all_estimators

CLASSES = {name: cls for name, cls in all_estimators() if issubclass(cls, BaseGAN)}
# Same name, another thing: D judges rows, or pairs of rows and codes; each game has its losses.
OWN_TEXT = {"discriminator", "loss"}
# One network only, which never sees a generated row; many generators in one.
OWN_TEXT_OF = {"SupervisedFeatures": {"norm", "bn_stats"}, "MGANExtractor": {"generator", "norm"}}
# Heads of one trunk, of which one sees all domains; two players, not three.
OWN_TEXT_OF["DomainAdversarialFeatures"] = {"norm", "play", "dropout", "entropy_weight"}
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
