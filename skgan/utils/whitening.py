"""Whitened patches: random patches of images, normalised, as filters that see them whitened."""

import torch
from torch import Tensor

N_PATCHES = 100_000  # at most so many patches are whitened
N_VALUES = 2**24  # ... of so many values in all
FLOOR = 0.05  # contrast that counts as noise, as a share of that of all patches


def usual_patch(side: int) -> int:
    """Side of a patch in images whose shorter side is `side`: 6 pixels in 28x28 and 32x32."""
    return max(3, int(6 * side / 32 + 0.75))


def random_windows(x: Tensor, size: int, n: int, rng: torch.Generator) -> Tensor:
    """n windows (n, d) at random places of every image of x (m, c, h, w), less their means."""
    y0 = torch.randint(x.shape[2] - size + 1, (len(x), n, 1, 1), generator=rng)
    x0 = torch.randint(x.shape[3] - size + 1, (len(x), n, 1, 1), generator=rng)
    rows, columns = y0 + torch.arange(size)[:, None], x0 + torch.arange(size)
    image = torch.arange(len(x))[:, None, None, None]
    windows = x.permute(0, 2, 3, 1)[image, rows, columns]  # (images, n, size, size, c)
    windows = windows.permute(0, 1, 4, 2, 3).reshape(len(x) * n, -1)
    return windows - windows.mean(dim=1, keepdim=True)


def normalised_patches(windows: Tensor, n: int, rng: torch.Generator) -> tuple[Tensor, float]:
    """At most n of the windows (m, d) with more contrast than the floor, normalised; the floor."""
    norms = windows.norm(dim=1)
    floor = FLOOR * float(norms.double().square().mean().sqrt())
    kept = torch.nonzero(norms > floor).flatten()
    if len(kept) == 0:  # constant images: no filter responds to anything
        return windows.new_zeros(1, windows.shape[1]), floor
    kept = kept[torch.randperm(len(kept), generator=rng)[:n]]
    return normalised(windows[kept].T[None], floor)[0].T, floor


def normalised(windows: Tensor, floor: float) -> Tensor:
    """Windows (n, d, m), each less its mean and divided by its norm, with the floor in it."""
    centred = windows - windows.mean(dim=1, keepdim=True)
    norms = (centred.square().sum(dim=1, keepdim=True) + floor**2).sqrt_()
    return centred.div_(norms.clamp_(min=torch.finfo(norms.dtype).tiny))


def whitener(patches: Tensor, whitening: float) -> tuple[Tensor, Tensor]:
    """(basis, gains) of ZCA whitening: within the patches' span it is basis.T @ (gains * basis).

    The basis (rank, d) has the eigenvectors of the second moments of the patches (m, d), the gains
    are 1 / sqrt(eigenvalue + whitening * mean eigenvalue). Of the d x d moments and the m x m
    products, the smaller are decomposed.
    """
    m, d = patches.shape
    P = patches.double() if m * min(m, d) < N_VALUES else patches
    values, vectors = torch.linalg.eigh((P.T @ P if d <= m else P @ P.T) / m)
    values = values.clamp(min=0)
    mean = values.sum() / d
    kept = values > 1e-6 * values.sum()
    values, vectors = values[kept], vectors[:, kept]
    basis = vectors.T if d <= m else (vectors.T @ P) / (m * values[:, None]).sqrt()
    return basis, 1 / (values + whitening * mean).sqrt()


def whitened_filters(patches: Tensor, n: int, whitening: float, rng: torch.Generator) -> Tensor:
    """n of the patches (m, d) as filters (n, d): whitened, of norm 1, and whitened once more.

    The second time it is the windows' own whitening, folded into the filters. Patches are drawn
    without replacement as far as there are enough.
    """
    rounds = [torch.randperm(len(patches), generator=rng) for _ in range(-(-n // len(patches)))]
    chosen = patches[torch.cat(rounds)[:n]]
    basis, gains = whitener(patches, whitening)
    codes = chosen.to(basis.dtype) @ basis.T * gains
    codes = codes / codes.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return (codes * gains @ basis).float().contiguous()
