"""Products of matrices whose rows are computed alike, wherever they stand."""

import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

FEWEST = 16  # columns
ROWS = COLUMNS = 4  # that the CPU's library takes at a time


class SameForAllRows(TorchFunctionMode):
    """Within it, a row of a linear layer's output and of its gradient depends on its input alone.

    The CPU's library multiplies rows that are left over, such as the last 3 of 15, in another order
    where a matrix has few columns: in linear layers of fewer than 12 inputs, and in those of fewer
    than 12 outputs whose inputs are no multiple of 4. Such a row differs in its last digits from
    the same row at another place, and many steps of a descent make a different result of that.
    Zeros, which change no sum, fill these matrices up. All other sizes, among them those of the
    default networks, stay as they are, to the bit.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not F.linear:
            return func(*args, **(kwargs or {}))
        return linear(*args, **(kwargs or {}))


def linear(input, weight, bias=None):  # the names that PyTorch's own has
    """`F.linear` of matrices that are filled up."""
    if weight.ndim != 2:
        return F.linear(input, weight, bias)
    n_outputs, n_inputs = weight.shape
    columns = -n_inputs % COLUMNS if n_outputs < FEWEST else 0
    columns = max(columns, FEWEST - n_inputs)
    rows = -len(input) % ROWS if input.ndim == 2 and len(input) > 1 else 0
    if columns:
        weight = F.pad(weight, (0, columns))
    if columns or rows:
        input = F.pad(input, (0, columns, 0, rows) if rows else (0, columns))
    output = F.linear(input, weight, bias)
    return output[: len(output) - rows] if rows else output
