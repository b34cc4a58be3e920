"""From text to values: numbers, words, tuples and specs, and nothing that is evaluated."""

import numpy as np
import pytest

from skgan import DCGANSpec, MLPSpec
from skgan.cli.values import ImageSize, ParameterValue, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1", -1),
        ("1e-3", 1e-3),
        (" 0.5 ", 0.5),
        ("none", None),
        ("None", None),
        ("true", True),
        ("False", False),
        ("adam", "adam"),
        ("wgan-gp", "wgan-gp"),
        ("0.5,0.999", (0.5, 0.999)),
        ("10,", (10,)),
        ("flip, crop", ("flip", "crop")),
        ("(0, 1)", (0, 1)),
        ("[[0, 1], [0, 2]]", [[0, 1], [0, 2]]),
        ("((0,1),(0,255))", ((0, 1), (0, 255))),
        ("'none'", "none"),
        ('"10"', "10"),
        ("{'cat': 2, 'dog': 1}", {"cat": 2, "dog": 1}),
        ('{"cat": true, "dog": null}', {"cat": True, "dog": None}),
        ("{0: 2.5}", {0: 2.5}),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("DCGAN", "DCGAN"),
        ("", ""),
    ],
)
def test_a_text_means_a_value(text, value):
    found = parse(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("DCGANSpec", DCGANSpec()),
        ("DCGANSpec()", DCGANSpec()),
        ("DCGANSpec(32)", DCGANSpec(32)),
        ("DCGANSpec(width=4, channels=(8, 16), activation='relu')",
         DCGANSpec(4, channels=(8, 16), activation="relu")),
        ("MLPSpec(n_layers=3)", MLPSpec(n_layers=3)),
    ],
)  # fmt: skip
def test_a_spec_is_made_of_literals(text, spec):
    found = parse(text)
    assert type(found) is type(spec)
    assert found.get_params() == spec.get_params()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DCGANSpec(width=open('x'))", "is no spec"),
        ("DCGANSpec(width=__import__('os').system('touch hacked'))", "is no spec"),
        ("DCGANSpec(**{'width': 4})", "unexpected keyword argument"),
        ("DCGANSpec(len('four'))", "is no spec"),
        ("DCGANSpec(width=4).set_params(width=8)", "is no spec"),
        ("DCGANSpec(width=", "is no spec"),
        ("DCGANSpec(breadth=4)", "unexpected keyword argument 'breadth'"),
        ("DCGANSpec + 1", "is no spec"),
        ("[1, 2", "begins like a list"),
        ("(open('x'),)", "begins like a list"),
        ("{'a': 1", "begins like a list, a dict"),
        ("(" * 5000, "begins like a list"),
    ],
)
def test_what_is_no_literal_is_refused(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        parse(text)
    assert not list(tmp_path.iterdir())


def test_paths_and_devices_are_kept_as_they_are():
    kept = ParameterValue(as_text=True)
    for text in ("2024", "a,b", "cuda:1", "true"):
        assert kept.convert(text, None, None).value == text
    assert kept.convert("none", None, None).value is None
    assert ParameterValue().convert("2024", None, None).value == 2024


@pytest.mark.parametrize(
    ("text", "size"), [("64", (64, 64)), ("64x48", (64, 48)), ("64,48", (64, 48))]
)
def test_a_size_is_height_and_width(text, size):
    assert ImageSize().convert(text, None, None) == size


def test_numbers_of_a_tuple_are_plain():
    assert all(type(v) is float for v in parse("0.5,0.25"))
    assert not isinstance(parse("3"), np.generic)
