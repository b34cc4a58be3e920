"""Fitted networks as plain data and safetensors bytes, so that any pickler can carry them."""

import copy
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from .nn import NETWORKS
from .nn.init import lay_out


def pack(net: nn.Module) -> dict[str, Any]:
    """A network as a dict: how to build it, and its weights on the CPU as safetensors bytes.

    A module that a user brought has no recipe of ours: it goes along whole, on the CPU.
    """
    name = type(net).__name__
    if NETWORKS.get(name) is not type(net):
        return {"module": copy.deepcopy(net).cpu()}
    weights = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    return {"network": name, "arguments": dict(net.recipe), "weights": save_tensors(weights)}


def unpack(packed: dict[str, Any]) -> nn.Module:
    """The network that `pack` took apart, on the CPU, in eval mode."""
    if "module" in packed:
        return packed["module"].eval()
    with torch.device("meta"):
        net = NETWORKS[packed["network"]](**packed["arguments"])
    net.load_state_dict(load_tensors(packed["weights"]), assign=True)
    return lay_out(net).eval()


def pack_state(state: dict[str, Any]) -> dict[str, Any]:
    """`state` with every network in it packed."""
    return {k: {"packed": pack(v)} if isinstance(v, nn.Module) and k.endswith("_") else v
            for k, v in state.items()}  # fmt: skip


def unpack_state(state: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `pack_state`."""
    return {
        k: unpack(v["packed"]) if isinstance(v, dict) and set(v) == {"packed"} else v
        for k, v in state.items()
    }
