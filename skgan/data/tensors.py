"""Datasets that hold their images in memory, pickled so that processes can share them.

joblib hands large NumPy arrays to its processes through a memory map, once for a whole search, and
everything else with every task, tensors included. So a Dataset goes as a pickle in which tensors
are numbers of arrays that stand beside it.
"""

import io
import pickle
import warnings
from typing import Any

import numpy as np
import torch

SMALLEST = 2**20  # bytes; joblib maps larger arrays only


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, known: dict[Any, np.ndarray]):
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.known, self.arrays = known, list[np.ndarray]()

    def persistent_id(self, obj: Any) -> int | None:
        plain = type(obj) is torch.Tensor and obj.device.type == "cpu" and not obj.requires_grad
        if not plain or obj.layout is not torch.strided or obj.nbytes < SMALLEST:
            return None
        try:
            array = obj.numpy()
        except TypeError:  # types that NumPy does not have
            return None
        key = obj.data_ptr(), obj.shape, obj.stride(), obj.dtype
        self.arrays.append(self.known.setdefault(key, array))
        return len(self.arrays) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, arrays: list[np.ndarray]):
        super().__init__(file)
        self.arrays = arrays

    def persistent_load(self, number: Any) -> torch.Tensor:
        with warnings.catch_warnings():
            # A map that is shared is read-only, and nothing here writes to a Dataset.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return torch.from_numpy(self.arrays[number])


def apart(dataset: Any, known: dict[Any, np.ndarray]) -> tuple[bytes, list[np.ndarray]] | None:
    """A Dataset as a pickle and the arrays of its large tensors; None where it has none.

    Also where pickle alone cannot do it, such as with functions of a notebook, for which joblib has
    means of its own. `known` keeps the arrays: joblib maps an array once if it is the same object.
    """
    file = io.BytesIO()
    pickler = _Pickler(file, known)
    try:
        pickler.dump(dataset)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    return (file.getvalue(), pickler.arrays) if pickler.arrays else None


def together(pickled: bytes, arrays: list[np.ndarray]) -> Any:
    """The Dataset that `apart` took apart."""
    return _Unpickler(io.BytesIO(pickled), arrays).load()
