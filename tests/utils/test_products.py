"""Rows of linear layers, computed alike at every place of a batch."""

import pytest
import torch
import torch.nn.functional as F

from skgan.utils.products import SameForAllRows

SIZES = [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 17, 50, 64, 100]


def with_gradient(x, weight, g, bias=None):
    x = x.clone().requires_grad_()
    y = F.linear(x, weight, bias)
    return y.detach(), torch.autograd.grad(y, x, g)[0]


@pytest.mark.parametrize("n", [1, 3, 5, 16, 33])
def test_rows_of_products_and_gradients_do_not_depend_on_their_place(n):
    order, rng = torch.arange(n - 1, -1, -1), torch.Generator().manual_seed(0)
    for n_inputs in SIZES:
        for n_outputs in SIZES:
            x = torch.randn(n, n_inputs, generator=rng)
            weight = torch.randn(n_outputs, n_inputs, generator=rng)
            g, bias = torch.randn(n, n_outputs, generator=rng), torch.randn(n_outputs)
            with SameForAllRows():
                first = with_gradient(x, weight, g, bias)
                other = with_gradient(x[order], weight, g[order], bias)
            for a, b in zip(first, other, strict=True):
                assert torch.equal(a[order], b), (n_inputs, n_outputs)
            for a, b in zip(first, with_gradient(x, weight, g, bias), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_sizes_without_the_fault_keep_their_bits():
    rng = torch.Generator().manual_seed(0)
    for n_inputs, n_outputs in ((100, 512), (100, 8), (50, 64), (16, 16), (512, 1)):
        x = torch.randn(16, n_inputs, generator=rng)
        weight = torch.randn(n_outputs, n_inputs, generator=rng)
        g = torch.randn(16, n_outputs, generator=rng)
        with SameForAllRows():
            same = with_gradient(x, weight, g)
        for a, b in zip(same, with_gradient(x, weight, g), strict=True):
            assert torch.equal(a, b)


def test_other_shapes_of_input():
    weight = torch.randn(3, 5)
    for shape in ((5,), (2, 3, 5), (0, 5)):
        x = torch.randn(shape)
        with SameForAllRows():
            y = F.linear(x, weight)
            of_one = F.linear(x, weight[0])
        torch.testing.assert_close(y, F.linear(x, weight))
        torch.testing.assert_close(of_one, F.linear(x, weight[0]))
