"""Features in two dimensions, coloured by label."""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted

from ..utils.checks import check_choice
from ..utils.labels import has_label, read_labels
from .drawing import pyplot

PERPLEXITY = 30.0  # scikit-learn's default for t-SNE
UNLABELLED = (0.8, 0.8, 0.8, 1.0)  # light grey


class FeatureMapDisplay:
    """Samples as points of a plane, coloured by their labels.

    Points of one colour that lie together are samples of one class with similar features. Of the
    distances on the plane, PCA shows what of them lies in the two directions of the largest
    variance; t-SNE shows who is near to whom, and the sizes of gaps between groups mean little.

    Parameters
    ----------
    embedding : array-like of shape (n, 2)
        A point for each sample.
    y : array-like of shape (n,), default=None
        Labels, numbers or text. -1 among at least two other classes, and None or NaN among text,
        mean unlabelled: such points are grey. None: all points have one colour.
    names : pair of str, default=("", "")
        What the axes are called.

    Attributes
    ----------
    ax_ : Axes
        All attributes are set by `plot`.
    axes_ : ndarray of Axes, shape (1,)
        It, as all displays have theirs.
    figure_ : Figure
    points_ : PathCollection
        The points, in the order of the samples.
    legend_ : Legend or None
        Classes by colour; None without labels.

    Raises
    ------
    ValueError
        If `embedding` has another shape or values that are not finite, or if y has another length.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.inspection import FeatureMapDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> gan = DCGANDiscriminatorFeatures(image_shape=(8, 8), n_epochs=1, random_state=0).fit(X)
    >>> display = FeatureMapDisplay.from_estimator(gan, X, y)
    """

    def __init__(self, embedding, y=None, *, names=("", "")):
        self.embedding = check_array(embedding, input_name="embedding")
        if self.embedding.shape[1] != 2:
            raise ValueError(
                f"embedding has shape {self.embedding.shape}; pass (n, 2), a point of the plane "
                "for each sample."
            )
        self.y = None if y is None else read_labels("y", y)
        check_consistent_length(self.embedding, self.y)
        if len(names) != 2:
            raise ValueError(f"names={names!r} must be two texts, one for each axis.")
        self.names = names

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, embedding="pca", random_state=None, ax=None
    ):  # fmt: skip
        """Plot the features that a fitted estimator returns for samples.

        Parameters
        ----------
        estimator : fitted estimator with `transform`
        X : array-like, as in the estimator's `fit`
        y : array-like of shape (n,), default=None
            Labels, by which points are coloured.
        embedding : {"pca", "tsne"}, transformer or array-like of shape (n, 2), default="pca"
            How features become points: by their first two principal components; by t-SNE, which
            takes about a minute for 10,000 samples; by a transformer that returns two columns, of
            which a clone is fitted on the features, unless it is wrapped in `FrozenEstimator`; or
            the points themselves.
        random_state : int, RandomState instance or None, default=None
            For "tsne", and for "pca" of large arrays. With an int, every call shows the same.
        ax : Axes, default=None
            See `plot`.

        Returns
        -------
        display : FeatureMapDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no `transform`.
        ValueError
            If `embedding` does not give two numbers for each sample.
        """
        if not hasattr(estimator, "transform"):
            raise TypeError(
                f"{type(estimator).__name__} has no `transform`: pass a fitted extractor."
            )
        check_is_fitted(estimator)
        y = None if y is None else read_labels("y", y)
        check_consistent_length(X, y)
        if isinstance(embedding, str):
            check_choice("embedding", embedding, ("pca", "tsne"))
        points, names = _embedded(estimator, X, embedding, random_state)
        return cls(points, y, names=names).plot(ax=ax)

    def plot(self, *, ax=None, size=12, alpha=0.8):
        """Plot the points.

        Parameters
        ----------
        ax : Axes, default=None
            None makes a new figure.
        size : float, default=12
            Area of a point, in square points (1/72 inch).
        alpha : float, default=0.8
            Opacity of a point, from 0 to 1.

        Returns
        -------
        display : FeatureMapDisplay
            The display itself.
        """
        plt = pyplot("FeatureMapDisplay")
        if ax is None:
            _, ax = plt.subplots(figsize=(6.5, 5), layout="constrained")
        colours: Any = "C0"
        palette: dict[str, Any] = {}
        if self.y is not None:
            known = has_label(self.y)
            classes = np.unique(self.y[known]).tolist()
            chosen = _palette(plt, len(classes))
            by_class = dict(zip(classes, chosen, strict=True))
            labels = zip(self.y.tolist(), known, strict=True)
            colours = [by_class[label] if k else UNLABELLED for label, k in labels]
            palette = {str(label): colour for label, colour in by_class.items()}
            palette |= {} if known.all() else {"unlabelled": UNLABELLED}
        self.points_ = ax.scatter(*self.embedding.T, s=size, c=colours, alpha=alpha, linewidths=0)
        ax.set(xlabel=self.names[0], ylabel=self.names[1])
        self.legend_ = _legend(ax, palette) if palette else None
        self.ax_, self.axes_ = ax, np.array([ax])
        self.figure_ = ax.figure
        return self


def _embedded(estimator: Any, X: Any, embedding: Any, random_state: Any) -> tuple[Any, Any]:
    """Points (n, 2) for the samples, and what the axes are called."""
    if not isinstance(embedding, str) and not hasattr(embedding, "fit"):
        points = check_array(embedding, input_name="embedding")
        check_consistent_length(X, points)
        return points, ("", "")
    features = np.asarray(estimator.transform(X))
    if isinstance(embedding, str) and embedding == "pca":
        pca = PCA(2, random_state=random_state)
        points = pca.fit_transform(features)
        shares = pca.explained_variance_ratio_
        names = [f"principal component {i} ({s:.0%} of variance)" for i, s in enumerate(shares, 1)]
        return points, names
    if isinstance(embedding, str):
        perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
        tsne = TSNE(2, perplexity=perplexity, random_state=random_state)
        return tsne.fit_transform(features), ("t-SNE 1", "t-SNE 2")
    reducer = clone(embedding)
    whole = hasattr(reducer, "fit_transform")  # TSNE has no transform, a frozen one only that
    points = reducer.fit_transform(features) if whole else reducer.transform(features)
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(
            f"embedding={embedding!r} returns an array of shape {points.shape} for "
            f"{len(features)} samples: use one that returns two columns."
        )
    return points, ("", "")


def _palette(plt: Any, n: int) -> list[Any]:
    """n colours that can be told apart, as far as that goes."""
    if n <= 10:
        colours = list(plt.get_cmap("tab10").colors)
        colours[7] = (0.0, 0.0, 0.0)  # a grey, which could be taken for unlabelled
        return [(*rgb, 1.0) for rgb in colours[:n]]
    if n <= 20:
        return [plt.get_cmap("tab20")(i) for i in range(n)]
    return [plt.get_cmap("turbo")(i / (n - 1)) for i in range(n)]


def _legend(ax: Any, palette: dict[str, Any]) -> Any:
    handles = [
        ax.scatter([], [], s=30, color=[colour], label=name) for name, colour in palette.items()
    ]
    n_columns = 1 + (len(handles) - 1) // 16
    # Beside the points: there is no place in between that is always free.
    return ax.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=n_columns,
        frameon=False,
    )  # fmt: skip
