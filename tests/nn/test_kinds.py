"""A role is a name of the game; what builds its network is its kind."""

import pytest
import torch
from torch import nn

from skgan import DCGANSpec
from skgan.nn import Head, build_heads, build_network

RNG = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("kind", "keywords", "shape"),
    [
        ("discriminator", {"norm": "batch"}, (3,)),
        ("classifier", {"n_outputs": 4}, (3, 4)),
        ("encoder", {"n_outputs": 5}, (3, 5)),
    ],
)
@pytest.mark.parametrize("choice", ["auto", DCGANSpec(4)])
def test_a_role_of_any_name_is_of_a_known_kind(kind, keywords, shape, choice):
    net = build_network("domain", choice, RNG, kind=kind, input_shape=(1, 8, 8), **keywords)
    assert net.eval()(torch.zeros(3, 1, 8, 8)).shape == shape


def test_messages_name_the_role():
    keywords = {"kind": "classifier", "input_shape": (1, 8, 8), "n_outputs": 2}
    with pytest.raises(TypeError, match="^regressor=3 must be a name"):
        build_network("regressor", 3, RNG, **keywords)
    with pytest.raises(ValueError, match="^regressor='huge' is unknown"):
        build_network("regressor", "huge", RNG, **keywords)
    with pytest.raises(ValueError, match="^regressor: the network Linear"):
        build_network("regressor", nn.Linear(3, 2), RNG, **keywords)
    with pytest.raises(ValueError, match="^features: the network Linear"):
        build_heads(
            nn.Linear(3, 2), RNG, {"domain": Head()}, input_shape=(1, 8, 8), norm="none",
            called="features",
        )  # fmt: skip
