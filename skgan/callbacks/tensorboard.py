"""A log that TensorBoard shows."""

import os
from pathlib import Path
from typing import Any

from ..utils.checks import check_number
from .base import EpochLogger, check_installed, check_path, own_place, run_of


class TensorBoardLogger(EpochLogger):
    """Writes every number of `history_` after each epoch, for TensorBoard.

    Set it on the GAN itself: `gan.set_callbacks(TensorBoardLogger("runs"))`, and look at it by
    `tensorboard --logdir runs`. It needs `pip install "skgan[tensorboard]"`.

    Each fit has a subfolder, named by its class and eight letters that each outermost `fit` draws;
    in a search followed by the fit's place.

    Parameters
    ----------
    folder : str or path
        Missing folders are created when `fit` begins.
    samples_every : int, default=None
        Number of epochs from one sheet of generated images to the next; None shows none. A sheet
        costs a pass over the training samples, for batch-norm statistics.
    n_samples : int, default=16
        Images of a sheet, of the same draws from the prior each time.

    Raises
    ------
    ImportError
        If tensorboard is not installed.
    TypeError, ValueError
        For bad values; in `fit`, where it is set on an estimator that trains no epochs itself, such
        as a pipeline, and where images are asked for and the estimator makes none.
    OSError
        In `fit`, before any training, if the folder cannot be written to.

    Examples
    --------
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.callbacks import TensorBoardLogger
    >>> logger = TensorBoardLogger("runs", samples_every=10)  # doctest: +SKIP
    >>> gan = DCGANDiscriminatorFeatures().set_callbacks(logger)  # doctest: +SKIP
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, samples_every: int | None = None,
        n_samples: int = 16,
    ):  # fmt: skip
        check_installed("TensorBoardLogger", "tensorboard", "tensorboard")
        check_path("TensorBoardLogger", "folder", folder)
        if samples_every is not None:
            check_number("samples_every", samples_every, low=1, integer=True, instead="None")
        check_number("n_samples", n_samples, low=1, integer=True)
        self.folder, self.samples_every, self.n_samples = folder, samples_every, n_samples

    def setup(self, estimator: Any, context: Any) -> None:
        """Check that there can be images, if they are asked for, and that there is a folder."""
        super().setup(estimator, context)
        if self.samples_every is not None and not _makes_images(estimator):
            raise ValueError(
                f"samples_every={self.samples_every!r} of TensorBoardLogger: this "
                f"{type(estimator).__name__} makes no images from a prior; leave it out."
            )
        try:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"folder={os.fspath(self.folder)!r} of TensorBoardLogger cannot be made "
                f"({error.strerror}): use one that you may write to."
            ) from error

    def teardown(self, estimator: Any, context: Any) -> None:
        """Close the file."""
        training = getattr(context, "training", None)  # none if the fit has not begun
        writer = training and training.notes.pop(self, None)
        if writer:
            writer.close()

    def _write(self, estimator: Any, context: Any, row: dict[str, float]) -> None:
        training = context.training
        shows = self.samples_every is not None and row["epoch"] % self.samples_every == 0
        shown = training.fitted() if shows else None  # in all processes, since it may wait for all
        if not training.is_first_process:
            return
        if self not in training.notes:
            from torch.utils.tensorboard import SummaryWriter  # takes time to import

            training.notes[self] = SummaryWriter(self._folder(estimator, context.parent))
        writer, epoch = training.notes[self], int(row["epoch"])
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, epoch)
        if shown is not None:
            images = shown.sample_images(self.n_samples, random_state=0)
            writer.add_images("samples", images, epoch)
        writer.flush()

    def _folder(self, estimator: Any, context: Any) -> str:
        name = f"{type(estimator).__name__}-{run_of(context)}"
        place = own_place(context)
        return os.path.join(self.folder, name, place if place != run_of(context) else "")


def _makes_images(estimator: Any) -> bool:
    return len(estimator.input_shape_) == 3 and hasattr(estimator, "sample_images")
