"""The command line: `skgan fit`, `transform`, `probe`, `sample` and `info`.

For those with a folder of images and no wish to write Python. Whatever it does, the library does:
options are the parameters of estimators, and errors are the library's.
"""

import sys
from collections.abc import Sequence

__all__ = ["main"]

INTERRUPTED = 130  # what shells report of a program that Ctrl-C has ended


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exits with 0, with 1 after an error, with 2 for arguments that cannot be understood, and with
    130 after Ctrl-C.

    Parameters
    ----------
    arguments : sequence of str or None
        What follows `skgan`; None: those of this process.
    """
    # click, because the options of `fit` are made while the program runs, from the signature of the
    # class that `--method` names: click's options are objects, and an unknown one is answered by
    # those that are like it. argparse suggests no options, and typer and fire make options from the
    # signatures of functions, which would have to be written down for each method.
    try:
        import click
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(
            'Error: the command line needs click, which is missing: pip install "skgan[cli]"',
            file=sys.stderr,
        )
        sys.exit(1)
    from .commands import group

    try:
        code = group.main(
            None if arguments is None else list(arguments), prog_name="skgan", standalone_mode=False
        )
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        click.echo("Interrupted: nothing was written.", err=True)
        code = INTERRUPTED
    sys.exit(code)
