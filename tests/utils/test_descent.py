"""BFGS of many rows at once, against solutions that are known and SciPy's."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from skgan.utils.descent import minimised


def quadratics(n=5, d=6, condition=1e4):
    rng = np.random.default_rng(0)
    bases = np.linalg.qr(rng.normal(size=(n, d, d)))[0]
    A = torch.from_numpy(bases * np.geomspace(1, condition, d) @ bases.transpose(0, 2, 1)).float()
    b = torch.from_numpy(rng.normal(size=(n, d))).float()
    return A, b


def of(A, b):
    def loss(w):
        e = w - b
        return 0.5 * (e[:, None] @ A @ e[:, :, None])[:, 0, 0]

    return loss


def test_ill_conditioned_quadratics_are_solved():
    A, b = quadratics()
    w, f = minimised(of(A, b), torch.zeros_like(b), 200, tol=0)
    np.testing.assert_allclose(w, b, atol=1e-3)
    assert f.max() < 1e-6


def rosenbrock(w):
    return 100 * (w[:, 1] - w[:, 0] ** 2) ** 2 + (1 - w[:, 0]) ** 2


def test_a_curved_valley_is_followed():
    start = torch.tensor([[-1.2, 1.0], [0.0, 0.0], [2.0, -1.0]])
    w, _ = minimised(rosenbrock, start, 300, tol=0)
    np.testing.assert_allclose(w, np.ones((3, 2)), atol=1e-3)


@pytest.mark.parametrize("bound", [0.3, 0.8])
def test_within_bounds_it_finds_what_scipy_finds(bound):
    A, b = quadratics(condition=30)
    bounds = torch.full((6,), bound)
    w, _ = minimised(of(A, b), torch.zeros_like(b), 300, bounds, tol=0)
    assert w.abs().max() <= bound
    for i in range(5):
        Ai, bi = A[i].double().numpy(), b[i].double().numpy()
        best = minimize(
            lambda v, A=Ai, b=bi: 0.5 * (v - b) @ A @ (v - b),
            np.zeros(6), jac=lambda v, A=Ai, b=bi: A @ (v - b), bounds=[(-bound, bound)] * 6,
            options={"ftol": 1e-14, "gtol": 1e-10},
        )  # fmt: skip
        np.testing.assert_allclose(w[i], best.x, atol=2e-3)
    assert (b.abs() > bound).any()  # the bounds matter


def test_rows_do_not_mix():
    start = torch.tensor([[-1.2, 1.0], [0.0, 0.0], [2.0, -1.0]])
    together, losses = minimised(rosenbrock, start, 40)
    for i in (0, 1, 2):
        alone, loss = minimised(rosenbrock, start[i : i + 1], 40)
        assert torch.equal(alone[0], together[i]) and torch.equal(loss[0], losses[i])


def test_it_stops_where_nothing_is_gained_and_no_later_than_asked():
    A, b = quadratics(condition=2)
    counts = []
    for n_steps, tol in ((1000, 1e-3), (10, 0.0), (1, 0.0)):
        seen = []
        minimised(
            of(A, b), torch.zeros_like(b), n_steps, tol=tol, after_step=lambda s=seen: s.append(1)
        )
        counts.append(len(seen))
    assert 25 < counts[0] < 120 and counts[1:] == [10, 1]


def test_a_loss_that_is_not_finite_leaves_the_row_where_it_is():
    start = torch.tensor([[1.0, 1.0], [torch.nan, 0.0]])
    w, f = minimised(lambda w: w.square().sum(1), start, 50)
    assert f[0] < 1e-8 and torch.isnan(w[1, 0]) and torch.isnan(f[1])
