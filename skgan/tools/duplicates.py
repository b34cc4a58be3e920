"""Near-duplicate images by a semantic hash, the clean-up of LSUN in the paper of DCGAN.

    min E | x - (V drop(relu(W (x + noise) + b)) + c) |^2
    a(x) = W x + b,   hash(x) = [a(x) > 0],   128 bits

A denoising autoencoder, regularised by dropout, is trained on images of at most 32x32 pixels; which
of its 128 hidden units are active is the hash of an image, and images of equal hash are near
duplicates (Radford, Metz and Chintala 2016, arXiv 1511.06434, sec. 4.1.1; semantic hashing is of
Salakhutdinov and Hinton 2009). Here hashes may differ in a few bits, and a(x) is compared, too.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array
from sklearn.base import BaseEstimator
from torch import Tensor

from ..data.arrays import ArraySource
from ..utils.checks import check_number, random_state_of
from ..utils.devices import on_cpu_by_default
from ..utils.hamming import close_pairs
from ..utils.parameters import parameters
from ..utils.seeds import stream
from .reading import ReadsSamples

SIDE = 32  # pixels, at most
N_BITS = 128
N_IMAGES = 8192  # at most so many images are trained on
N_AT_A_TIME = 512  # images
FLOOR = 0.1  # contrast that counts as noise, as a share of that of the images
BATCH_SIZE, LR = 128, 3e-3


@dataclass(frozen=True)
class NearDuplicates:
    """What `find_near_duplicates` has found, for n images.

    Attributes
    ----------
    labels : int64 ndarray of shape (n,)
        The group of each image: 0, 1, ... in the order of X, and -1 for an image without near
        duplicates.
    keep : bool ndarray of shape (n,)
        True for the images without near duplicates and for the first one of every group, so that
        `X[result.keep]` is X with each group replaced by one image.
    hashes : uint8 ndarray of shape (n, 16)
        The 128 bits of each image, packed as by `numpy.packbits`.
    """

    labels: np.ndarray
    keep: np.ndarray
    hashes: np.ndarray

    @property
    def n_groups(self) -> int:
        """Number of groups of two or more images."""
        return int(self.labels.max(initial=-1)) + 1


@parameters
class _Images(ReadsSamples, BaseEstimator):
    """Reads X."""


@on_cpu_by_default
def find_near_duplicates(
    X, *, radius=10, tolerance=0.15, n_steps=1000, noise=0.3, dropout=0.2, image_shape=None,
    data_format="auto", random_state=None,
):  # fmt: skip
    """Find images that are almost the same as others, such as copies saved with another quality.

    A generator that is trained on a set with duplicates is the more likely to memorise them. The
    authors of DCGAN removed about 275,000 of the 3 million bedrooms of LSUN by this hash (sec.
    4.1.1):

    1. The largest square in the middle of each image is averaged down to 32x32 pixels (smaller
       images stay as they are). Each image is then centred and divided by its contrast, so the
       hash does not change with brightness and contrast.
    2. A denoising autoencoder with a hidden layer of 128 ReLUs and dropout is trained on at most
       8,192 of the images.
    3. Which hidden units are active for an image are the 128 bits of its hash. Images are near
       duplicates if their hashes differ in at most `radius` bits and the inputs of their hidden
       units, a(x), by at most `tolerance`.
    4. In the order of X, each image joins the group whose first image is its nearest near
       duplicate, or opens a new group. So what is not kept is a near duplicate of an image that is.

    Parameters
    ----------
    X : array-like of shape (n, h, w), (n, c, h, w), (n, h, w, c) or (n, columns)
        Images of any size from 8x8 on, with any number of channels and values in any range; a
        memmap or `LazyImages` are read batch by batch. To find test images that are also in the
        training set, pass both, joined, training images first.
    radius : int, default=10
        The number of the 128 bits in which near duplicates may differ, from 0 to 32. The paper
        asks for equal hashes, 0, which misses most copies that are noisy or were compressed. The
        search takes longer for larger numbers.
    tolerance : float or None, default=0.15
        The distance of a(x) between near duplicates, |a(x) - a(x')|, may be this share of the mean
        of |a(x)| and |a(x')|. None does not limit it: the hash alone decides, as in the paper.
    n_steps : int, default=1000
        Steps of training with 128 images each.
    noise : float, default=0.3
        Standard deviation of the noise on the pixels in training, in units of the images' own
        standard deviation.
    dropout : float, default=0.2
        Share of the hidden units that each step of training drops, from 0 to below 1.
    image_shape : None, (h, w) or (c, h, w), default=None
        Size of the images in pixels; needed where X is 2-D.
    data_format : {"auto", "channels_first", "channels_last"}, default="auto"
        Where a 4-D X, or a flattened image, has its channels. "auto" tells from the shape of a 4-D
        X where that is unambiguous, and takes flattened images as channels first.
    random_state : None, int or RandomState, default=None
        Seed of the training. With an int, results are the same in every call with the same number
        of threads.

    Returns
    -------
    NearDuplicates
        With `labels`, `keep` and `hashes`.

    Raises
    ------
    ValueError
        For parameters or data that cannot work, before any training.

    Notes
    -----
    Images that differ in brightness and contrast alone count as duplicates, and so do all constant
    images. Copies that are shifted, even by a single pixel, are not found.

    The paper gives neither noise nor dropout nor threshold; its authors estimate that fewer than 1
    in 100 of what they found was none. The values here were chosen on the 60,000 digits of MNIST
    and the 50,000 photographs of CIFAR-10, with altered copies of their images among them (noise of
    2 % of the range of pixels, brightness changed by up to 10 %, JPEG of quality 75):

    - equal hashes, as in the paper, found 15 to 90 % of the copies, depending on the alteration;
    - `radius` = 6 alone found 99 % of each, but 0.6 % of the digits and 0.14 % of the photographs
      were called near duplicates of earlier ones, more the more images there are;
    - `radius` = 10 with `tolerance` = 0.15 found 99.9 % of each, and called 0.02 % of the digits
      and 0.05 % of the photographs near duplicates. With one seed these were eight pairs of ones
      that look the same, and 23 pairs of photographs, all but one or two of the same photograph.

    Memory grows by 0.5 kB for an image. Hashes are found by sorting them, not by comparing all with
    all.

    References
    ----------
    Radford, Metz and Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional
    Generative Adversarial Networks", arXiv 1511.06434, sec. 4.1.1.

    Salakhutdinov and Hinton 2009, "Semantic hashing", International Journal of Approximate
    Reasoning 50.

    Norouzi, Punjani and Fleet 2012, "Fast search in Hamming space with multi-index hashing", CVPR.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skgan.tools import find_near_duplicates
    >>> X = load_digits().images
    >>> X = np.concatenate([X, 0.9 * X[:50]])
    >>> found = find_near_duplicates(X, n_steps=100, random_state=0)
    >>> bool(found.keep[:50].all()), bool(found.keep[-50:].any())  # the originals, and the copies
    (True, False)
    """
    check_number("radius", radius, low=0, high=N_BITS // 4, integer=True)
    if tolerance is not None:
        check_number("tolerance", tolerance, low=0, instead="None for the hash alone")
    check_number("n_steps", n_steps, low=1, integer=True)
    check_number("noise", noise, low=0)
    check_number("dropout", dropout, low=0, high=1, open_high=True)
    source = _Images(image_shape=image_shape, data_format=data_format)._read(X, reset=True)
    if source.format.image_shape is None:
        raise ValueError(
            f"X has shape {source.X.shape}, a table: pass images, or image_shape=(h, w) or "
            "(c, h, w) if its rows are images."
        )
    rng = stream(int(random_state_of(random_state).randint(2**31 - 1)), "near duplicates")
    hasher = _Hasher(source, rng)
    hasher.train(n_steps, noise, dropout, rng)
    codes = np.empty((len(source), N_BITS), np.float32)
    hashes = np.empty((len(source), N_BITS // 8), np.uint8)
    parts = _parts(len(source))
    for rows, x in zip(parts, source.batches(parts), strict=True):
        a = hasher.codes(x)
        codes[rows], hashes[rows] = a, np.packbits(a > 0, axis=1)
    opener = _openers(hashes, codes, radius, np.inf if tolerance is None else tolerance)
    keep = opener == np.arange(len(opener))
    several = np.bincount(opener, minlength=len(opener)) > 1
    labels = np.where(several[opener], (np.cumsum(several) - 1)[opener], -1)
    return NearDuplicates(labels, keep, hashes)


class _Hasher:
    """The autoencoder: its hidden units' activity is the hash.

    Parameters
    ----------
    source : ArraySource
    rng : Generator
    """

    def __init__(self, source: ArraySource, rng: torch.Generator):
        chosen = torch.randperm(len(source), generator=rng)[:N_IMAGES].sort()[0].numpy()
        batches = [chosen[rows] for rows in _parts(len(chosen))]
        x = torch.cat([_shrunk(batch) for batch in source.batches(batches)])
        contrast = x.double().var(dim=1, correction=0).mean().sqrt()
        # Constant images have no contrast to divide by.
        self._floor = FLOOR * float(contrast) or 1.0
        x = self._normalised(x)
        self._mean = x.mean(dim=0)
        x -= self._mean
        self._scale = float(x.square().mean().sqrt()) or 1.0
        self._x = x / self._scale
        d = x.shape[1]
        self._W = torch.randn(N_BITS, d, generator=rng) / d**0.5
        self._V = torch.randn(d, N_BITS, generator=rng) / (2 * N_BITS**0.5)
        self._b, self._c = torch.zeros(N_BITS), torch.zeros(d)

    @torch.enable_grad()
    def train(self, n_steps: int, noise: float, dropout: float, rng: torch.Generator) -> None:
        """Learn to reconstruct noisy images, some hidden units dropped, by Adam."""
        weights = [w.requires_grad_() for w in (self._W, self._b, self._V, self._c)]
        W, b, V, c = weights
        optimizer = torch.optim.Adam(weights, lr=LR, fused=True)
        for step in range(n_steps):
            optimizer.param_groups[0]["lr"] = LR * (1 - step / n_steps)
            x = self._x[torch.randint(len(self._x), (BATCH_SIZE,), generator=rng)]
            h = F.relu(F.linear(x + noise * torch.randn(x.shape, generator=rng), W, b))
            kept = torch.rand(h.shape, generator=rng) >= dropout
            loss = F.mse_loss(F.linear(h * kept / (1 - dropout), V, c), x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self._W, self._b = W.detach(), b.detach()

    @torch.no_grad()
    def codes(self, x: Tensor) -> np.ndarray:
        """The inputs of the hidden units, a(x) (n, 128)."""
        # In float64, as rounding in float32 would depend on an image's place in the batch.
        x = (self._normalised(_shrunk(x).double()) - self._mean) / self._scale
        return F.linear(x, self._W.double(), self._b.double()).numpy()

    def _normalised(self, x: Tensor) -> Tensor:
        """Images (n, d), each less its mean and divided by its contrast, with a floor."""
        x = x - x.mean(dim=1, keepdim=True)
        return x / (x.square().mean(dim=1, keepdim=True) + self._floor**2).sqrt()


def _parts(n: int) -> list[slice]:
    return [slice(i, i + N_AT_A_TIME) for i in range(0, n, N_AT_A_TIME)]


def _shrunk(x: Tensor) -> Tensor:
    """The square in the middle of images (n, c, h, w), of at most 32x32 pixels: flat, (n, d)."""
    h, w = x.shape[2:]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    x = x[:, :, top : top + side, left : left + side]
    if side > SIDE:
        x = F.adaptive_avg_pool2d(x, SIDE)
    return x.flatten(1)


def _openers(
    hashes: np.ndarray, codes: np.ndarray, radius: int, tolerance: float
) -> np.ndarray:  # fmt: skip
    """For each image the one that opened its group: the nearest near duplicate, or itself."""
    distinct, which = np.unique(hashes, axis=0, return_inverse=True)
    which = which.ravel()
    i, j = close_pairs(distinct, radius)
    itself = np.arange(len(distinct))
    i, j = np.concatenate([i, j, itself]), np.concatenate([j, i, itself])
    near = coo_array((np.ones(len(i), bool), (i, j))).tocsr()
    several = (np.diff(near.indptr) > 1) | (np.bincount(which) > 1)

    lengths = np.linalg.norm(codes, axis=1)
    opener = np.arange(len(codes))
    opened: dict[int, list[int]] = {}  # images that opened a group, by their hash
    for k in np.flatnonzero(several[which]).tolist():
        hashed = which[k]
        around = near.indices[near.indptr[hashed] : near.indptr[hashed + 1]]
        first = [image for h in around.tolist() for image in opened.get(h, ())]
        if first:
            distance = np.linalg.norm(codes[first] - codes[k], axis=1)
            distance[distance > tolerance * (lengths[first] + lengths[k]) / 2] = np.inf
            nearest = distance.argmin()
            if distance[nearest] < np.inf:
                opener[k] = first[nearest]
                continue
        opened.setdefault(hashed, []).append(k)
    return opener
