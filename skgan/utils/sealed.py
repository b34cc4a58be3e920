"""One container for all that skgan writes: a safetensors file of tensors and one JSON document.

The document stands in the file's metadata. A digest in it covers all else that is read: the
document, and name, type, shape and bytes of every tensor. It tells damage. It is no defence against
people, who compute it anew: what comes out is compared with what is declared, by those who read it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

KEY = "skgan"  # of the document, in the metadata of a safetensors file
DIGEST = "sha256"  # in the document
# What reading contents of anyone's making may raise.
ERRORS = ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError


class ForeignError(ValueError):
    """No safetensors file, the beginning of one, or one that `seal` has not written."""


def seal(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """The content of a file, with its digest. Any contents, whether they make sense or not."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    whole = {**document, DIGEST: _digest(document, tensors)}
    return save(tensors, {KEY: json.dumps(whole)})


def unseal(source: str | os.PathLike[str] | bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The document and the tensors of a file or of its content, if the digest is right.

    Raises
    ------
    ValueError
        If there is no document in it, a ForeignError; if the document is no proper JSON; or if the
        contents are not those that the digest was computed from.
    """
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        tensors = load(content)  # has looked at the header before Python reads it below
    except (*ERRORS, SafetensorError, AssertionError) as error:
        raise ForeignError(f"is no safetensors file, or is cut short ({error})") from error
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    text = header.get("__metadata__", {}).get(KEY)
    if text is None:
        raise ForeignError("is a safetensors file that skgan has not written")
    try:
        document = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_refuse)
        if not isinstance(document, dict):
            raise ValueError(f"its document is a {type(document).__name__}")
        given = document.pop(DIGEST, None)
        if given is None and document.get("format_version") != 1:  # which had none
            raise ValueError("its digest is gone")
        if given is not None and given != _digest(document, tensors):
            raise ValueError("its contents are not those that its digest was computed from")
    except RecursionError as error:
        raise ValueError("its document is nested too deeply") from error
    return document, tensors


def _digest(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(document).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        content: Any = tensor.flatten().view(torch.uint8).numpy()
        digest.update(content)
    return digest.hexdigest()


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in its document")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} stands in its document, which is no JSON")
