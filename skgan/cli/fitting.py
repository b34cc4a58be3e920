"""What `fit` is given besides images: labels and domains, as far as the method takes them."""

import inspect
from pathlib import Path
from typing import Any

from .images import Images
from .labels import read_domains, read_labels
from .running import Failure, Status


def arguments_of_fit(
    estimator: Any, images: Images, labels: Path | None, labels_from_folders: bool,
    domains: Path | None, status: Status,
) -> dict[str, Any]:  # fmt: skip
    """Further arguments of the estimator's `fit`, by name.

    Raises
    ------
    click.ClickException
        If it needs labels and there are none, or takes none and there are some.
    """
    from sklearn.base import is_classifier

    name = type(estimator).__name__
    arguments: dict[str, Any] = {}
    y = read_labels(images, labels, labels_from_folders, status)
    if is_classifier(estimator):
        if y is None:
            raise Failure(
                f"{name} learns from labels: pass --labels FILE or --labels-from-folders."
            )
        arguments["y"] = y
    elif y is not None:
        given = "--labels" if labels is not None else "--labels-from-folders"
        raise Failure(f"{given}: {name} learns without labels; leave it out.")
    takes_domains = "sample_domain" in inspect.signature(estimator.fit).parameters
    if domains is not None:
        if not takes_domains:
            raise Failure(f"--domains: {name} knows no domains; leave it out.")
        arguments["sample_domain"] = read_domains(images, domains)
    elif takes_domains and not is_classifier(estimator):
        raise Failure(f"{name} needs the domain of every image: pass --domains FILE.")
    return arguments
