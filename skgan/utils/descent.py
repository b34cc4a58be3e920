"""Minimises a function of each row, all rows at once: BFGS in bounds (Nocedal and Wright 2006).

    s = w' - w,   y = g' - g,   rho = 1 / s.y
    H' = (I - rho s y^T) H (I - rho y s^T) + rho s s^T                       (6.17)
    w' = P(w - a H g),   a = 1, or less until f(w') <= f(w) + c g.(w' - w)   (Armijo)

P keeps every number between -bound and bound. A number that is at its bound, and that a step of
gradient descent would move beyond it, stays there for that step. H is dense: this is for rows of
some hundred numbers at most. Rows do not mix: what becomes of one does not depend on the others.
"""

from collections.abc import Callable

import torch
from torch import Tensor

ARMIJO = 1e-4
SHRINK = 0.3  # of the step's length, where it does not lower the loss enough
SHORTEST = 1e-4  # below it H is forgotten
FIRST_STEP = 0.5  # its length
PATIENCE = 25  # steps over which a row has to improve


def minimised(
    loss: Callable[[Tensor], Tensor],
    w: Tensor,
    n_steps: int,
    bound: Tensor | None = None,
    tol: float = 1e-3,
    after_step: Callable[[], None] = lambda: None,
) -> tuple[Tensor, Tensor]:
    """Where a loss of each row of w is small, and the losses there.

    Parameters
    ----------
    loss : callable
        (n, d) float32 to (n,), row by row.
    w : Tensor of shape (n, d)
        Where to begin.
    n_steps : int
        Evaluations of the loss and its gradient, at most.
    bound : Tensor of shape (d,), optional
        Numbers stay between -bound and bound.
    tol : float
        A row stops where its loss has not fallen by this share of it in 25 steps.
    after_step : callable
        Called after every evaluation.

    Returns
    -------
    w : Tensor of shape (n, d), float32
    losses : Tensor of shape (n,), float32
    """
    # The products of small differences need float64, which MPS has not.
    dtype = torch.float32 if w.device.type == "mps" else torch.float64
    eye = torch.eye(w.shape[1], dtype=dtype, device=w.device)
    one = torch.ones(len(w), dtype=dtype, device=w.device)
    most = (torch.full_like(w[0], torch.inf) if bound is None else bound).to(eye)

    def clipped(w: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(w, -most), most)

    def evaluated(w: Tensor) -> tuple[Tensor, Tensor]:
        w = w.float().requires_grad_()
        with torch.enable_grad():
            f = loss(w)
            (g,) = torch.autograd.grad(f.sum(), w)
        after_step()
        return f.detach().to(dtype), g.to(dtype)

    w = clipped(w.detach().to(dtype))
    f, g = evaluated(w)
    H, fresh = eye.repeat(len(w), 1, 1), one > 0
    step = -g
    length = FIRST_STEP / step.norm(dim=1).clamp(min=1e-30)
    earlier, running = f.clone(), torch.isfinite(f)
    for i in range(1, n_steps):
        w_new = clipped(w + length[:, None] * step)
        f_new, g_new = evaluated(w_new)
        s, y = w_new - w, g_new - g
        ok = running & (f_new <= f + ARMIJO * (g * s).sum(1)) & (s != 0).any(1)
        sy = (s * y).sum(1)
        curved = ok & (sy > 1e-10 * s.norm(dim=1) * y.norm(dim=1))
        scale = torch.where(fresh & curved, sy / y.square().sum(1), one)
        fresh = fresh & ~curved
        H = updated(H * scale[:, None, None], s, y, torch.where(curved, sy, one), curved)
        w, g = (torch.where(ok[:, None], new, old) for new, old in ((w_new, w), (g_new, g)))
        f = torch.where(ok, f_new, f)

        free = 1 - (((w <= -most) & (g > 0)) | ((w >= most) & (g < 0))).to(dtype)
        onward = -free * (H @ (free * g)[:, :, None])[:, :, 0]
        lost = (~ok & (length < SHORTEST)) | ((onward * g).sum(1) > 0)
        H = torch.where(lost[:, None, None], eye, H)
        fresh = fresh | lost
        onward = torch.where(lost[:, None], -free * g, onward)
        step = torch.where((ok | lost)[:, None], onward, step)
        length = torch.where(ok, one, SHRINK * length)
        length = torch.where(lost, 0.1 / onward.norm(dim=1).clamp(min=1e-30), length)

        if i % PATIENCE == 0:
            running = running & (f < (1 - tol) * earlier)
            earlier = f.clone()
            if not running.any():
                break
    return w.float(), f.float()


def updated(H: Tensor, s: Tensor, y: Tensor, sy: Tensor, where: Tensor) -> Tensor:
    """The inverse Hessian of each row after a step s that changed the gradient by y."""
    Hy = (H @ y[:, :, None])[:, :, 0]
    rho = 1 / sy
    both = (1 + rho * (y * Hy).sum(1)) * rho
    outer = Hy[:, :, None] * s[:, None, :]
    new = both[:, None, None] * s[:, :, None] * s[:, None, :]
    new = new - rho[:, None, None] * (outer + outer.transpose(1, 2))
    return torch.where(where[:, None, None], H + new, H)
