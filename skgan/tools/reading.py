"""How tools that are fitted on samples read X: as the estimators do, without their scaling."""

from typing import Any

from sklearn.utils.validation import check_is_fitted, validate_data

from ..data.arrays import ArraySource, DataFormat, check_numeric, learn_format, opened
from ..data.sources import LazyImages
from ..utils.parameters import parameters


@parameters
class ReadsSamples:
    """X in the formats of the estimators; fitted are its format and `input_shape_`.

    Parameters
    ----------
    image_shape : None, (h, w) or (c, h, w)
        Size of the images in pixels, at least 8x8. It is needed where X is 2-D and its rows are
        images. None makes a 2-D X a table.
    data_format : {"auto", "channels_first", "channels_last"}
        Where a 4-D X, or a flattened image, has its channels. "auto" tells from the shape of a 4-D
        X where that is unambiguous, and takes flattened images as channels first.

    Attributes
    ----------
    input_shape_ : tuple of int
        Shape of one sample: (c, h, w) or (columns,).
    n_features_in_ : int
        `X.shape[1]` in `fit`.
    """

    image_shape: Any = None
    data_format: str = "auto"

    def _read(self, X: Any, *, reset: bool) -> ArraySource:
        """The samples of X; with `reset` their format is learnt."""
        if not reset:
            check_is_fitted(self)
        self._format: DataFormat
        X = opened(X)
        if not reset and getattr(X, "ndim", 0) > 2:  # scikit-learn would speak of features
            self._format.check_shape(X)
        if isinstance(X, LazyImages):
            self._note_lazy(X, reset=reset)
        else:
            X = validate_data(self, X, reset=reset, dtype="numeric", allow_nd=True)
            check_numeric(X)
        if reset:
            # From -1 to 1: pixels stay as they are, and no pass over X has to find their range.
            self._format = learn_format(X, self.image_shape, self.data_format, (-1, 1))
            self.input_shape_ = self._format.shape
        return ArraySource(X, self._format)

    def _note_lazy(self, X: LazyImages, *, reset: bool) -> None:
        if len(X) < 1:
            raise ValueError("X has 0 sample(s): pass at least 1 image.")
        if not reset:
            self._format.check_shape(X)
            return
        self.n_features_in_ = X.shape[1]
        self.__dict__.pop("feature_names_in_", None)
