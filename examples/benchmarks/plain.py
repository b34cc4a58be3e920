"""What skgan is timed against: the usual PyTorch scripts, written out by hand."""

import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

LATENT = 100


def networks(channels, n_colours, final):
    """(G, D) of DCGAN as public scripts have them; `final` is the side of the deepest map."""
    down, c = [], n_colours
    for i, width in enumerate(channels):
        norm = [nn.BatchNorm2d(width)] if i else []
        down += [nn.Conv2d(c, width, 4, 2, 1, bias=False), *norm, nn.LeakyReLU(0.2, inplace=True)]
        c = width
    down.append(nn.Conv2d(c, 1, final, 1, 0, bias=False))
    up = [nn.ConvTranspose2d(LATENT, c, final, 1, 0, bias=False), nn.BatchNorm2d(c)]
    for width in channels[-2::-1]:
        up += [nn.ReLU(inplace=True), nn.ConvTranspose2d(c, width, 4, 2, 1, bias=False)]
        up += [nn.BatchNorm2d(width)]
        c = width
    up += [nn.ReLU(inplace=True), nn.ConvTranspose2d(c, n_colours, 4, 2, 1, bias=False), nn.Tanh()]
    G, D = nn.Sequential(*up), nn.Sequential(*down)
    for module in [*G.modules(), *D.modules()]:
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return G, D


def train(G, D, batches, n_images, *, autocast=False):
    """The usual loop over one epoch: D on real and on generated rows, then G. Images a second."""
    bce = nn.BCEWithLogitsLoss()
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def loss_of(x, target):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = D(x).flatten()
        return bce(logits.float(), torch.full((len(x),), target))

    start = time.perf_counter()
    for x in batches:
        D.zero_grad()
        loss_real = loss_of(x, 1.0)
        loss_real.backward()
        z = torch.randn(len(x), LATENT, 1, 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            fake = G(z)
        loss_fake = loss_of(fake.detach(), 0.0)
        loss_fake.backward()
        opt_d.step()
        G.zero_grad()
        loss_g = loss_of(fake, 1.0)
        loss_g.backward()
        opt_g.step()
        (loss_real + loss_fake).item(), loss_g.item()  # the scripts log every step
    return n_images / (time.perf_counter() - start)


def as_tensor(X):
    """Images as torchvision's ToTensor and Normalize lay them out: (n, c, h, w) in [-1, 1]."""
    x = torch.from_numpy(X).float().div(127.5).sub(1)
    return x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2).contiguous()


def in_memory(X, batch_size):
    """(a) batches of float tensors held in memory, shuffled."""
    x = as_tensor(X)
    order = torch.randperm(len(x))
    return (x[rows] for rows in order.split(batch_size))


class Images(Dataset):
    """(b) images transformed one by one, as torchvision's data sets are."""

    def __init__(self, X):
        from torchvision import transforms

        channels = 1 if X.ndim == 3 else X.shape[3]
        half = (0.5,) * channels
        self.X = X
        self.transform = transforms.Compose(
            [transforms.ToPILImage(), transforms.Resize(X.shape[1]), transforms.ToTensor(),
             transforms.Normalize(half, half)]
        )  # fmt: skip

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.transform(self.X[i])


def as_published(X, batch_size):
    return DataLoader(Images(X), batch_size, shuffle=True, num_workers=0)


def extract(D, X, batch_size=128):
    """Activations of all layers, pooled to 4x4 and joined, by forward hooks."""
    kept = []
    layers = [m for m in D.modules() if isinstance(m, nn.LeakyReLU)]
    hooks = [m.register_forward_hook(lambda _m, _x, y: kept.append(y)) for m in layers]
    D.eval()
    out = []
    with torch.no_grad():
        for i in range(0, len(X), batch_size):
            D(as_tensor(X[i : i + batch_size]))
            pooled = [F.adaptive_max_pool2d(y, 4).flatten(1) for y in kept]
            out.append(torch.cat(pooled, 1).numpy())
            kept.clear()
    for hook in hooks:
        hook.remove()
    return np.concatenate(out)
