"""What tests of displays share: what a figure shows, and a generator whose images tell z."""

import copy

import numpy as np
import torch
from torch import nn


def colours_at(ax, x, y):
    """The colours (n, 3), 0 to 255, that the rendered figure has at data coordinates."""
    canvas = ax.figure.canvas
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())
    column, up = np.floor(ax.transData.transform(np.column_stack([x, y]))).astype(int).T
    return picture[len(picture) - 1 - up, column, :3].astype(int)


def check_image_is_seen(ax, image, left=0, top=0):
    """An image (h, w) or (h, w, 3) in [0, 1] is seen with its first pixel at these coordinates."""
    rows, columns = np.indices(image.shape[:2]).reshape(2, -1)
    seen = colours_at(ax, left + columns, top + rows)
    expected = np.rint(image[rows, columns] * 255).reshape(len(rows), -1)
    np.testing.assert_allclose(
        seen, np.broadcast_to(expected, seen.shape), atol=2
    )  # the colour map has 256 colours


def texts(labels):
    return [label.get_text() for label in labels]


class PixelsOfZ(nn.Module):
    """A generator of images of 8x8: pixel i is entry i of z, all others are -1 (black)."""

    def __init__(self, dim):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.dim = dim

    def forward(self, z):
        rest = -torch.ones(len(z), 64 - self.dim, device=z.device)
        return torch.cat([z * self.scale, rest], dim=1).view(-1, 1, 8, 8)


def z_of(images, dim):
    """The z of which `PixelsOfZ` made images (..., 1, 8, 8) in [0, 1]."""
    return images.reshape(*images.shape[:-3], 64)[..., :dim] * 2 - 1


def state_of(estimator):
    """All tensors of its networks, their modes, and PyTorch's and NumPy's global random state."""
    nets = {k: v for k, v in vars(estimator).items() if isinstance(v, nn.Module)}
    tensors = {f"{k}.{n}": t.clone() for k, v in nets.items() for n, t in v.state_dict().items()}
    modes = {f"{k}.{n}": m.training for k, v in nets.items() for n, m in v.named_modules()}
    grads = [p.grad is None for v in nets.values() for p in v.parameters()]
    return copy.deepcopy((tensors, modes, grads, torch.get_rng_state(), np.random.get_state()))


def check_same_state(before, after):
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1:3] == after[1:3]
    assert torch.equal(before[3], after[3])
    assert all(np.array_equal(a, b) for a, b in zip(before[4], after[4], strict=True))
