"""The result of a probe, with summaries and tables."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ProbeResult:
    """The result of `probe`. ``print`` it for a table.

    Parameters
    ----------
    records : list of dict
        One dict for every representation, budget and draw:

        - ``"representation"``: its name; ``"n_features"``: its number of features;
        - ``"n_labels"``: the budget, samples per class or "all"; ``"draw"``: 0, 1, ...;
          ``"n_rows"``: the number of labelled samples of this draw;
        - ``"accuracy"``: on the test part, in [0, 1];
        - ``"scaling"``, ``"params"``: the choice for this draw;
        - ``"converged"``: False if the classifier stopped at its `max_iter`;
          ``"search_unconverged"``: how many of the fits compared for the choice did;
        - ``"seconds"``: time for the final fit and its score, without the choice;
        - ``"control_accuracy"``: with the draw's labels permuted (with ``control=True`` only).
    fit_rows : dict of str to int or None
        For every representation, how many samples it was fitted on; None if it was frozen.
    reference : str
        The representation that `table` compares the others with: the first extractor.
    settings : dict
        The arguments of `probe`, the ``"candidates"`` compared, the numbers of samples
        ``"n_train"``, ``"n_labelled"`` (those with a label) and ``"n_test"``, ``"n_classes"``, and
        ``"chance"``, the accuracy of always predicting the most frequent class.
    warnings : list of str
        What the leak checks found, and what they cannot rule out.
    digests : dict of str to dict
        For every frozen extractor, ``"before"`` and ``"after"``: digests of all arrays and tensors
        that it held before and after the probe. They are equal if nothing changed it.
    """

    records: list[dict[str, Any]]
    fit_rows: dict[str, int | None]
    reference: str
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    digests: dict[str, dict[str, str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.table()

    @property
    def representations(self) -> list[str]:
        """Names of the representations, extractors first."""
        return list(dict.fromkeys(record["representation"] for record in self.records))

    @property
    def budgets(self) -> list[int | str]:
        """The label budgets, in the order of `n_labels`."""
        return list(dict.fromkeys(record["n_labels"] for record in self.records))

    @property
    def n_unconverged(self) -> int:
        """Number of final fits that stopped at the classifier's `max_iter`."""
        return sum(not record["converged"] for record in self.records)

    def summary(self, value: str = "accuracy") -> list[dict[str, Any]]:
        """Mean and standard deviation over the draws.

        Parameters
        ----------
        value : {"accuracy", "control_accuracy"}, default="accuracy"
            The entry of the records to summarise.

        Returns
        -------
        rows : list of dict
            One for every representation and budget: ``"representation"``, ``"n_labels"``,
            ``"mean"``, ``"std"`` (over the draws, ddof=1; None for a single draw), ``"n_draws"``
            and ``"n_features"``.
        """
        rows = []
        for name, budget, records in self._groups():
            values = [record[value] for record in records]
            rows.append(
                {"representation": name, "n_labels": budget, **_moments(values)}
                | {"n_features": records[0]["n_features"]}
            )
        return rows

    def differences(self, reference: str | None = None) -> list[dict[str, Any]]:
        """Every other representation minus `reference`, draw by draw.

        All representations use the same labelled samples, so these paired differences are what
        to compare them by. Draws overlap and share the test part, so the standard deviation of
        the differences is not a standard error.

        Parameters
        ----------
        reference : str, default=None
            Name of a representation; None means the first extractor.

        Returns
        -------
        rows : list of dict
            One for every other representation and budget: ``"representation"``, ``"reference"``,
            ``"n_labels"``, ``"mean"`` and ``"std"`` of the differences in accuracy (ddof=1; None
            for a single draw), ``"n_draws"``, and ``"n_won"``, the number of draws on which the
            representation was better than `reference`.

        Raises
        ------
        ValueError
            If there is no representation with that name.
        """
        reference = self.reference if reference is None else reference
        if reference not in self.representations:
            known = ", ".join(map(repr, self.representations))
            raise ValueError(f"reference={reference!r} was not probed; use one of {known}.")
        accuracy = {(n, b): [r["accuracy"] for r in rs] for n, b, rs in self._groups()}
        rows = []
        for (name, budget), values in accuracy.items():
            if name == reference:
                continue
            deltas = np.subtract(values, accuracy[reference, budget])
            rows.append(
                {"representation": name, "reference": reference, "n_labels": budget}
                | _moments(deltas)
                | {"n_won": int(np.sum(deltas > 0))}
            )
        return rows

    def to_frame(self) -> Any:
        """The records as a `pandas.DataFrame`, with one column per chosen parameter.

        Returns
        -------
        frame : DataFrame
            One row per record; a parameter ``C`` is in the column ``"params.C"``.
        """
        import pandas as pd

        return pd.json_normalize(self.records)

    def to_dict(self) -> dict[str, Any]:
        """The whole result as plain dicts and lists, ready for `json.dump`.

        Returns
        -------
        content : dict
            ``"settings"``, ``"reference"``, ``"fit_rows"``, ``"warnings"``, ``"digests"``,
            ``"records"``, ``"summary"`` and ``"differences"``. Values that JSON does not support,
            such as estimators among the parameters, become text.
        """
        own = ("settings", "reference", "fit_rows", "warnings", "digests", "records")
        derived = {"summary": self.summary(), "differences": self.differences()}
        return _plain({name: getattr(self, name) for name in own} | derived)

    def table(self) -> str:
        """A text table: means ± standard deviations, then paired differences to `reference`.

        Returns
        -------
        text : str
        """
        n_features = {row["representation"]: str(row["n_features"]) for row in self.summary()}
        budgets = ["all labels" if b == "all" else f"{b} per class" for b in self.budgets]
        accuracy = _cells(self.summary(), lambda r: _interval(r, ".3f"))
        title = "Accuracy: mean ± standard deviation over draws of labelled rows"
        cells = {name: [n_features[name], *row] for name, row in accuracy.items()}
        blocks = [_block(title, ["features", *budgets], cells)]
        if len(accuracy) > 1:
            title = f"\nDifference to {self.reference!r} on the same labelled rows, draws won"
            won = _cells(
                self.differences(),
                lambda r: f"{_interval(r, '+.3f')}, {r['n_won']}/{r['n_draws']}",
            )
            blocks.append(_block(title, budgets, won))
        if "control_accuracy" in self.records[0]:
            title = f"\nAccuracy with permuted labels; chance is {self.settings['chance']:.3f}"
            control = _cells(self.summary("control_accuracy"), lambda r: _interval(r, ".3f"))
            blocks.append(_block(title, budgets, control))
        remarks = [f"\nNote: {text}" for text in self._remarks()]
        return "\n".join(blocks + remarks)

    def _remarks(self) -> Iterator[str]:
        unconverged = sum(record["search_unconverged"] for record in self.records)
        if self.n_unconverged or unconverged:
            yield (
                f"{self.n_unconverged} of {len(self.records)} final fits, and {unconverged} "
                "of the fits compared for the choices, stopped at the classifier's max_iter."
            )
        yield from self.warnings

    def _groups(self) -> Iterator[tuple[str, int | str, list[dict[str, Any]]]]:
        """The records of every representation and budget, in the order of the draws."""
        groups: dict[tuple[str, int | str], list[dict[str, Any]]] = {}
        for record in self.records:
            groups.setdefault((record["representation"], record["n_labels"]), []).append(record)
        for (name, budget), records in groups.items():
            yield name, budget, sorted(records, key=lambda r: r["draw"])


def _moments(values: Any) -> dict[str, Any]:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "n_draws": len(values)}


def _interval(row: dict[str, Any], form: str) -> str:
    mean = format(row["mean"], form)
    return mean if row["std"] is None else f"{mean} ± {row['std']:.3f}"


def _cells(rows: list[dict[str, Any]], form: Any) -> dict[str, list[str]]:
    cells: dict[str, list[str]] = {}
    for row in rows:
        cells.setdefault(row["representation"], []).append(form(row))
    return cells


def _block(title: str, header: list[str], cells: dict[str, list[str]]) -> str:
    return f"{title}\n{aligned([['', *header], *([name, *row] for name, row in cells.items())])}"


def aligned(rows: list[list[str]]) -> str:
    """The rows as lines of aligned columns: the first left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [c.rjust(w) for c, w in zip(others, widths[1:], strict=True)]
        lines.append("   ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
