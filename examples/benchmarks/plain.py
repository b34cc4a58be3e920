"""The usual hand-written PyTorch scripts, against which skgan is timed."""

import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

LATENT = 100


def networks(channels, n_colours, final):
    """(G, D) of DCGAN as in public scripts; `final` is the side of the deepest feature maps."""
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
    """One epoch of the usual loop: D on real and on generated images, then G. Returns images/s."""
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


# -------------------------------------------------------------------- BiGAN's dense networks


class Joint(nn.Module):
    """D(x, z): a linear map of z is added before the second layer's batch norm."""

    def __init__(self, width, latent):
        super().__init__()
        self.first = nn.Linear(784, width, bias=False)
        self.second, self.of_z = (nn.Linear(n, width, bias=False) for n in (width, latent))
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.head = nn.Linear(width, 1, bias=False)

    def forward(self, x, z):
        h = F.leaky_relu(self.first(x), 0.2)
        h = F.leaky_relu(self.norm(self.second(h) + self.of_z(z)), 0.2)
        return self.head(h).squeeze(1)


class Dense(nn.Module):
    """G, whose second layer also hears z."""

    def __init__(self, width, latent):
        super().__init__()
        self.first, self.of_z = (nn.Linear(latent, width, bias=False) for _ in range(2))
        self.second = nn.Linear(width, width, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width, affine=False) for _ in range(2))
        self.out = nn.Linear(width, 784, bias=False)

    def forward(self, z):
        h = F.relu(self.norms[0](self.first(z)))
        h = F.relu(self.norms[1](self.second(h) + self.of_z(z)))
        return torch.tanh(self.out(h))


def bigan_networks(width=1024, latent=50):
    """(G, E, D) of BiGAN's permutation-invariant MNIST."""
    E = nn.Sequential(
        nn.Linear(784, width, bias=False), nn.LeakyReLU(0.2),
        nn.Linear(width, width, bias=False), nn.BatchNorm1d(width, affine=False),
        nn.LeakyReLU(0.2), nn.Linear(width, latent, bias=False),
    )  # fmt: skip
    nets = Dense(width, latent), E, Joint(width, latent)
    for p in (p for net in nets for p in net.parameters()):
        nn.init.normal_(p, 0.0, 0.02)
    return nets


def train_bigan(G, E, D, batches, n_images, latent=50):
    """One epoch of simultaneous updates: all gradients at the same weights, then all steps."""
    settings = {"lr": 2e-4, "betas": (0.5, 0.999), "weight_decay": 2.5e-5}
    opts = [torch.optim.Adam(net.parameters(), **settings) for net in (D, G, E)]
    bce = nn.BCEWithLogitsLoss()
    players = [*G.parameters(), *E.parameters()]
    start = time.perf_counter()
    for x in batches:
        x = x.flatten(1)
        z = torch.rand(len(x), latent) * 2 - 1
        z_hat, x_hat = torch.tanh(E(x) / 2), G(z)
        encoded, generated = D(x, z_hat), D(x_hat, z)
        one, zero = torch.ones(len(x)), torch.zeros(len(x))
        d_loss = (bce(encoded, one) + bce(generated, zero)) / 2
        ge_loss = (bce(encoded, zero) + bce(generated, one)) / 2
        for opt in opts:
            opt.zero_grad()
        ge_loss.backward(retain_graph=True, inputs=players)
        d_loss.backward(inputs=list(D.parameters()))
        for opt in opts:
            opt.step()
        d_loss.item(), ge_loss.item()
    return n_images / (time.perf_counter() - start)
