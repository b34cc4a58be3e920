"""A contrastive discriminator as one would write it in stock PyTorch, to time skgan against."""

import time

import plain
import torch
from torch import nn
from torch.nn import functional as F


class Heads(nn.Module):
    """The convolutions of D as a trunk, and three heads with a hidden layer each."""

    def __init__(self, convolutions, width, n_hidden, n_projection):
        super().__init__()
        self.trunk = nn.Sequential(*convolutions, nn.Flatten())
        self.real, self.fake, self.judge = (
            nn.Sequential(nn.Linear(width, n_hidden), nn.LeakyReLU(0.1), nn.Linear(n_hidden, k))
            for k in (n_projection, n_projection, 1)
        )


def networks(channels, n_colours, final, n_hidden=128, n_projection=128):
    """(G, D): G of the usual script, D's layers with three heads in place of its last layer."""
    G, D = plain.networks(channels, n_colours, final)
    width = channels[-1] * final**2
    return G, Heads(list(D)[:-1], width, n_hidden, n_projection)


def changed(x):
    """Every image turned, sheared, scaled and moved by draws of its own, as digits are."""
    n = len(x)

    def u(bound):
        return (torch.rand(n) * 2 - 1) * bound

    angle, shear, a, b = u(0.35), u(0.2), 1 + u(0.2), 1 + u(0.2)
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([cos * a, cos * shear - sin * b, u(0.18)], 1),
        torch.stack([sin * a, sin * shear + cos * b, u(0.18)], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def simclr(a, b, t):
    """NT-Xent on two views: of all other views, each has to find its partner."""
    h = F.normalize(torch.cat([a, b]), dim=1)
    scores = (h @ h.T / t).fill_diagonal_(-1e9)
    n = len(a)
    return F.cross_entropy(scores, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))


def supervised(a, b, fake, t):
    """Each generated sample has to find the other generated ones among all samples."""
    h = F.normalize(torch.cat([fake, a, b]), dim=1)
    n = len(fake)
    scores = h[:n] @ h.T / t
    scores = scores.masked_fill(torch.eye(n, len(h), dtype=torch.bool), -1e9)
    log_p = F.log_softmax(scores, dim=1)[:, :n]
    return -(log_p.masked_fill(torch.eye(n, dtype=torch.bool), 0).sum(1) / (n - 1)).mean()


def train(G, D, batches, n_images, *, autocast=False, t=0.1):
    """One epoch, D and then G on every batch. Returns images/s."""
    bce = nn.BCEWithLogitsLoss()
    settings = {"lr": 2e-4, "betas": (0.5, 0.999)}
    opt_d = torch.optim.Adam(D.parameters(), **settings)
    opt_g = torch.optim.Adam(G.parameters(), **settings)
    start = time.perf_counter()
    for x in batches:
        n = len(x)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            fake = G(torch.randn(n, plain.LATENT, 1, 1))
        views = torch.cat([changed(x), changed(x), changed(fake.float().detach())])
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            f = D.trunk(views)
            h, h_, logit = D.real(f[: 2 * n]), D.fake(f), D.judge(f.detach()).flatten()
        h, h_, logit = h.float(), h_.float(), logit.float()
        loss = simclr(h[:n], h[n:], t) + supervised(h_[:n], h_[n : 2 * n], h_[2 * n :], t)
        loss = loss + bce(logit[:n], torch.ones(n)) + bce(logit[2 * n :], torch.zeros(n))
        opt_d.zero_grad()
        loss.backward()
        opt_d.step()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logit = D.judge(D.trunk(changed(fake.float()))).flatten()
        loss_g = bce(logit.float(), torch.ones(n))
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
        loss.item(), loss_g.item()
    return n_images / (time.perf_counter() - start)
