"""The commands and their options. What they do is in the modules beside this one."""

from pathlib import Path
from typing import Any

import click

from .. import __version__
from . import INTERRUPTED
from .options import CHOSEN, PRESET, MethodCommand, make
from .running import Command, Failure, Status, check_out, noticing_ctrl_c
from .values import Given, ImageSize, ParameterValue

PATH = click.Path(path_type=Path)

QUIET = click.option("--quiet", is_flag=True, help="Say nothing but errors and warnings.")
FORCE = click.option("--force", is_flag=True, help="Replace what --out names.")
SKIP_BAD = click.option(
    "--skip-bad", is_flag=True,
    help="Leave out files that cannot be decoded, and list them on stderr. All are decoded once "
    "before anything else.",
)  # fmt: skip


def images_options(command: Any) -> Any:
    """How the images of a folder are read."""
    for option in (
        SKIP_BAD,
        click.option(
            "--grey/--colour", "grey", default=None,
            help="Read images in grey or in colour. Default: in grey if all of them are.",
        ),
        click.option(
            "--size", type=ImageSize(), metavar="HxW",
            help="Resize images until they just cover this size, and crop them at the centre; in "
            "pixels, such as 64 or 64x48 (height x width). Needed where they have several sizes.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def method_options(command: Any) -> Any:
    """Which estimator is fitted; its parameters follow from it."""
    for option in (
        click.option(
            "--preset", metavar="NAME",
            help="Parameters other than the constructor's, by the name that the method has for "
            "them, such as best; none for none. Default: best if no method is named.",
        ),
        click.option(
            "--method", metavar="NAME",
            help="What to train: a name of the list below, or a class's name. Default: contrad. "
            "With --help, the parameters of this method are listed.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


LABELS = click.option(
    "--labels", type=PATH, metavar="FILE",
    help="Labels of the images: a CSV file of paths within FOLDER (or names of files) and labels, "
    "with or without a row of headings. Images that it does not name are unlabelled. Or an .npy "
    "file with a label for each sample.",
)  # fmt: skip
LABELS_FROM_FOLDERS = click.option(
    "--labels-from-folders",
    is_flag=True,
    help="The label of an image is the name of the folder in FOLDER that it is in.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="skgan")
def group() -> None:
    """Features from generative adversarial networks, for folders of images.

    \b
    skgan fit photos --out model.skgan             trains on the images of a folder
    skgan info model.skgan                         says what is in the file
    skgan transform model.skgan photos --out features.csv
    skgan sample model.skgan --out sheet.png       draws what the generator has learnt
    skgan probe photos --labels labels.csv         says what the features are worth

    `skgan COMMAND --help` has more on each.
    """


@group.command(cls=MethodCommand, defaults={"on_interrupt": "stop", "verbose": "1 on a terminal"})
@click.argument("folder", type=PATH)
@method_options
@click.option(
    "--out", type=PATH, required=True, metavar="FILE", help="Where the fitted model is kept."
)
@FORCE
@LABELS
@LABELS_FROM_FOLDERS
@click.option(
    "--domains", type=PATH, metavar="FILE",
    help="The domain of every image, for dann and disentangled: as for --labels, whole numbers, "
    "above 0 for sources and below 0 for targets.",
)  # fmt: skip
@images_options
@QUIET
@click.pass_context
def fit(
    ctx: click.Context, folder: Path, method: str | None, preset: str | None, out: Path,
    force: bool, labels: Path | None, labels_from_folders: bool, domains: Path | None,
    size: tuple[int, int] | None, grey: bool | None, skip_bad: bool, quiet: bool, **given: Any,
) -> int:  # fmt: skip
    """Train on the images of FOLDER and keep the model in a file.

    FOLDER may have folders in it; or it is an .npy or .npz file with an array. Ctrl-C ends the
    training and keeps what was learnt until then.
    """
    from .fitting import arguments_of_fit
    from .images import read

    status, cls = Status(quiet), ctx.meta[CHOSEN]
    check_out(out, force)
    defaults = {"on_interrupt": "stop", "verbose": int(status.shows_progress)}
    estimator = make(cls, ctx.meta[PRESET], given, defaults)
    # How this one run was made is no part of the model.
    unset = {name: getattr(cls(), name) for name in defaults if given[name] is None}
    unset |= {"checkpoint_dir": None, "resume": "auto"}
    images = read(
        folder, status, size=size, colour=None if grey is None else not grey, skip_bad=skip_bad
    )
    arguments = arguments_of_fit(estimator, images, labels, labels_from_folders, domains, status)
    with noticing_ctrl_c() as was_pressed:
        estimator.fit(images.X, **arguments)
        interrupted = was_pressed()
    estimator.set_params(**unset).save(out)
    done = f"{cls.__name__}, {estimator.n_epochs_} epochs, {estimator.n_features_out_} features"
    if interrupted:
        click.echo(f"Interrupted: {out} has what was learnt until then ({done}).", err=True)
        return INTERRUPTED
    status(f"{out}: {done}")
    return 0


@group.command(cls=Command)
@click.argument("model", type=PATH)
@click.argument("folder", type=PATH)
@click.option(
    "--out", type=PATH, required=True, metavar="FILE",
    help="Where features are written: .npy (beside it, a text file has the paths of the images), "
    ".csv or .parquet (the first column has the paths).",
)  # fmt: skip
@FORCE
@SKIP_BAD
@QUIET
def transform(
    model: Path, folder: Path, out: Path, force: bool, skip_bad: bool, quiet: bool
) -> None:
    """Write the features that MODEL has for the images of FOLDER.

    Images are read in the size and the colours that the model was fitted on, batch by batch:
    neither they nor their features need fit in memory.
    """
    from .features import check_kind, paths_beside, write
    from .images import read_for

    status = Status(quiet)
    check_kind(out)
    check_out(out, force)
    if out.suffix == ".npy" and folder.is_dir():
        check_out(paths_beside(out), force)
    fitted = load(model)
    images = read_for(fitted, folder, status, skip_bad=skip_bad)
    with status.progress(len(images), "transform") as done:
        n_features = write(fitted, images, out, done)
    beside = out.suffix == ".npy" and images.in_files
    status(
        f"{out}: {len(images)} rows of {n_features} features"
        + (f"; {paths_beside(out)} has the paths of the images" if beside else "")
    )


@group.command(cls=MethodCommand, defaults={"verbose": "1 on a terminal"})
@click.argument("folder", type=PATH)
@LABELS
@LABELS_FROM_FOLDERS
@method_options
@click.option(
    "--model", type=PATH, metavar="FILE",
    help="Judge a fitted model instead of one that is trained on the training part.",
)  # fmt: skip
@click.option(
    "--test-size", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.25,
    show_default=True, help="Share of the labelled images that is held out, for the accuracies.",
)  # fmt: skip
@click.option(
    "--n-labels", type=ParameterValue(), metavar="N[,N...]",
    help="Labelled images a class that classifiers learn from; or all. Default: those of 10 and "
    "100 that every class has, or else all.",
)  # fmt: skip
@click.option(
    "--n-draws", type=click.IntRange(1), default=10, show_default=True,
    help="How many times these are drawn, for means and standard deviations.",
)  # fmt: skip
@click.option(
    "--judge", "classifier_", type=click.Choice(["svm", "logistic", "knn"]), default="svm",
    show_default=True, help="The classifier on the features.",
)  # fmt: skip
@click.option(
    "--baselines", type=ParameterValue(), metavar="NAME[,NAME...]",
    help="What features are compared with: raw, pca, untrained, patches or scattering; none. "
    "Default: the first four. patches have the most features, and take the longest.",
)  # fmt: skip
@click.option(
    "--selection", type=click.Choice(["draw", "first"]), default="draw", show_default=True,
    help="Whether the classifier's settings are chosen on every draw, or on the first one alone, "
    "which is faster.",
)  # fmt: skip
@click.option(
    "--on-leak", type=click.Choice(["raise", "warn", "ignore"]), default="raise",
    show_default=True, help="What follows where test images are found among the training images.",
)  # fmt: skip
@click.option(
    "--split-seed", type=click.IntRange(0), default=0, show_default=True,
    help="Seed of the held-out part, the draws and the baselines.",
)  # fmt: skip
@click.option("--out", type=PATH, metavar="FILE", help="A .csv file for the table.")
@FORCE
@images_options
@QUIET
@click.pass_context
def probe(
    ctx: click.Context, folder: Path, labels: Path | None, labels_from_folders: bool,
    method: str | None, preset: str | None, model: Path | None, test_size: float,
    n_labels: Given | None, n_draws: int, classifier_: str, baselines: Given | None,
    selection: str, on_leak: str, split_seed: int,
    out: Path | None, force: bool, size: tuple[int, int] | None, grey: bool | None,
    skip_bad: bool, quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Say what features of the images of FOLDER are worth, beside baselines.

    A part of the labelled images is held out. An estimator is trained on the others, without their
    labels; classifiers learn from its features of a few labelled images, and the table has their
    accuracies on the held-out part, beside those on raw pixels, on principal components, on the
    same network untrained, and on random patches.
    """
    from .images import read, read_for
    from .judging import judge, write
    from .labels import read_labels

    status, cls = Status(quiet), ctx.meta[CHOSEN]
    if out is not None:
        check_out(out, force)
    if model is None:
        extractor = make(cls, ctx.meta[PRESET], given, {"verbose": int(status.shows_progress)})
        refuse_supervised(cls)
        colour = None if grey is None else not grey
        images = read(folder, status, size=size, colour=colour, skip_bad=skip_bad)
    else:
        refuse_beside_model(ctx, given)
        extractor = frozen(model)
        images = read_for(extractor.estimator, folder, status, skip_bad=skip_bad)
        status(
            "Note: images of the held-out part that the model was trained on make its accuracy "
            "look better than it is. Nothing tells them here."
        )
    y = read_labels(images, labels, labels_from_folders, status)
    if y is None:
        raise Failure("a probe needs labels: pass --labels FILE, or --labels-from-folders.")
    settings: dict[str, Any] = {
        "n_draws": n_draws, "classifier": classifier_, "selection": selection, "on_leak": on_leak,
    }  # fmt: skip
    for name, value in (("n_labels", n_labels), ("baselines", baselines)):
        if value is not None:
            settings[name] = value.value
    result = judge(extractor, images, y, test_size, split_seed, int(not quiet), settings)
    click.echo(result.table())
    if out is not None:
        write(result, out)
        status(f"{out}: the table")


def refuse_supervised(cls: Any) -> None:
    from sklearn.base import is_classifier

    if is_classifier(cls()):
        raise Failure(
            f"{cls.__name__} is trained on labels, and a probe trains without any: fit it with "
            "`skgan fit` on a folder of training images, and judge the file with --model."
        )


def refuse_beside_model(ctx: click.Context, given: dict[str, Any]) -> None:
    """Raise for options that have no effect on a model that is fitted."""
    names = [name for name in ("method", "preset", "size", "grey") if ctx.params[name] is not None]
    names += [name for name, value in given.items() if value is not None]
    if names:
        texts = ", ".join("--" + name.replace("_", "-") for name in names)
        raise click.UsageError(f"{texts}: --model names a model that is fitted; leave them out.")


def frozen(path: Path) -> Any:
    from sklearn.frozen import FrozenEstimator

    return FrozenEstimator(load(path))


@group.command(cls=Command)
@click.argument("model", type=PATH)
@click.option("-n", "--n-samples", type=click.IntRange(1), default=64, show_default=True,
              help="How many.")  # fmt: skip
@click.option(
    "--out", type=PATH, required=True, metavar="FILE|FOLDER",
    help="An image file for one sheet, such as sheet.png; an .npy file for an array in the layout "
    "and the range of what the model was fitted on; anything else is a folder for single images.",
)  # fmt: skip
@FORCE
@click.option("--seed", type=click.IntRange(0), help="Seed of the draws; none differ each time.")
@click.option("--y", metavar="LABEL", help="The class of all samples, if the generator knows any.")
@click.option(
    "--component", type=click.IntRange(0),
    help="The generator of a mixture, or the category, that all samples are from; from 0.",
)  # fmt: skip
@click.option("--columns", type=click.IntRange(1), help="Samples a row of the sheet.")
@QUIET
def sample(
    model: Path, n_samples: int, out: Path, force: bool, seed: int | None, y: str | None,
    component: int | None, columns: int | None, quiet: bool,
) -> None:  # fmt: skip
    """Draw samples of MODEL's generator."""
    from PIL import Image

    from .sheets import (
        check_channels,
        check_folder,
        draw,
        write_array,
        write_sheet,
        write_singly,
    )

    as_array = out.suffix == ".npy"
    as_sheet = not out.is_dir() and out.suffix.lower() in Image.registered_extensions()
    if as_array or as_sheet:
        check_out(out, force)
    else:
        check_folder(out, force)
    drawn = draw(load(model), n_samples, seed, y, component, as_array=as_array)
    if as_array:
        write_array(drawn, out)
    else:
        check_channels(drawn)
        if as_sheet:
            write_sheet(drawn, out, columns)
        else:
            write_singly(drawn, out)
    Status(quiet)(f"{out}: {n_samples} samples")


@group.command(cls=Command)
@click.argument("model", type=PATH)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def info(model: Path, json_: bool) -> None:
    """Say what is in MODEL: its class, parameters, input, training and features."""
    from .information import as_json, as_text, describe

    about = describe(load(model), model)
    click.echo(as_json(about) if json_ else as_text(about))


def load(path: Path) -> Any:
    """The fitted estimator of a file."""
    import skgan

    if not path.is_file():
        raise Failure(f"{path} is no file: pass a model that `skgan fit --out` has written.")
    return skgan.load(path)
