"""Comparison of a card with the results and the model that it quotes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck.deploy.models.model import Model
from bottleneck.deploy.models.results_file import read_results
from bottleneck.errors import UsageError, one_line
from bottleneck.files.paths import as_path
from bottleneck.files.small_files import read_small
from bottleneck.model_card.card_files import read_model_facts
from bottleneck.model_card.card_text import card_text
from bottleneck.model_card.checking.card_differences import (
    CardDifference,
    compare_lines,
    compare_metadata,
)
from bottleneck.model_card.sources.card_record import CardRecord, read_record
from bottleneck.model_card.sources.export_facts import ExportFacts, read_exports
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

if TYPE_CHECKING:
    from bottleneck.deploy.trained.trained_model import TrainedModel

__all__ = ["CardCheck", "check_card"]

_MAX_BYTES = 16_777_216


@dataclasses.dataclass(frozen=True)
class CardCheck:
    """How a card compares with what it quotes.

    Attributes
    ----------
    path : Path
        The card.
    differences : tuple of CardDifference
        Empty if the card is as its results and its model are.
    own_lines : tuple of int
        Lines that the authors added, which quote nothing.
    notes : tuple of str
        What was not compared.

    Examples
    --------
    >>> CardCheck(Path("README.md"), (), (), ()).agrees
    True
    """

    path: Path
    differences: tuple[CardDifference, ...]
    own_lines: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def __repr__(self) -> str:
        n = len(self.differences)
        return describe(self, self.path.name, counted(n, "difference") if n else "no difference")


def check_card(
    path: str | Path,
    report: str | Path,
    *,
    model: Model | TrainedModel | str | Path | None = None,
    exports: Iterable[str | Path] = (),
    trust: str | Iterable[str] = (),
) -> CardCheck:
    """Compare a card with the results that it quotes, and with its model.

    Authors may add paragraphs of their own to a card. All else must be what ``write_card`` writes.

    Parameters
    ----------
    path : str or Path
        The card.
    report : str or Path
        The folder of the report, or its ``results.json``.
    model : Model, TrainedModel or path, optional
        The model of the card. Without it, what the card says of the model is not compared.
    exports : iterable of path
        Folders of its exports. What the card says of others is not compared.
    trust : str or iterable of str
        As for ``load_model``.

    Returns
    -------
    CardCheck

    Raises
    ------
    UsageError
        If the file is not a card of this version, or the report has no results.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, compare, fit, write_card, write_report
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> features = FeatureSet.from_arrays(X, y)
    >>> page = write_report(compare(features, heads=("logistic",)), "report")
    >>> model = fit(features, "logistic", comparison="report")
    >>> card = write_card(model, "report", "card.md")
    >>> check_card(card, "report").agrees
    True
    """
    path = as_path(path, "a card", "README.md")
    data = read_small(path, "model card", limit=_MAX_BYTES)
    text = data.decode(errors="backslashreplace").replace("\r\n", "\n")
    shown, record = read_record(text, str(path))
    results = read_results(as_path(report, "a report", "report"))
    differences, notes = [], []
    if results.sha256 != record.results_sha256:
        differences.append(
            CardDifference(
                None,
                f"{results.path.name} has changed since the card was written: its sha256 is "
                f"{results.sha256}, and the card quotes {record.results_sha256}",
            )
        )
    if model is None:
        notes.append(
            "The card's statements about the model were not compared, because no model was named."
        )
    elif changed := _changed_facts(record.model, read_model_facts(model, trust=trust)):
        differences.append(
            CardDifference(
                None,
                "this is not the model of the card, or it has changed: they differ in "
                f"{', '.join(changed)}",
            )
        )
    given = read_exports(exports, record.model)
    differences += _compare_exports(record, given)
    named = {one.record["target"] for one in given}
    notes += [
        f"The card's statements about the export for {one.record['target']} were not compared, "
        "because its folder was not named."
        for one in record.exports
        if one.record["target"] not in named
    ]
    try:
        written = card_text(record, results.content, results.path)
    except UsageError as error:
        differences.append(CardDifference(None, one_line(error)))
        return CardCheck(path, tuple(differences), (), tuple(notes))
    expected, _ = read_record(written, str(path))
    differences += compare_metadata(expected, shown)
    in_text, own = compare_lines(expected, shown)
    return CardCheck(path, (*differences, *in_text), own, tuple(notes))


def _compare_exports(record: CardRecord, given: Iterable[ExportFacts]) -> Iterator[CardDifference]:
    """Yield which exports are not those of the card; the content of a record counts, too."""
    known = {one.record["target"]: one for one in record.exports}
    for one in given:
        target = one.record["target"]
        if target not in known:
            yield CardDifference(None, f"the card names no export for {target}")
        elif known[target] != one:
            yield CardDifference(None, f"the export for {target} has changed")


def _changed_facts(card: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    """Return the names of the facts that differ; the name of a file is that of one copy."""
    names = [name for name in {**card, **model} if name != "file"]
    unknown = {
        "sha256": None in (card["sha256"], model["sha256"]),  # A model in memory has no file.
        # The weights folder of a machine may state the licence of weights.
        "weights": card["weights"] == {**model["weights"], "licence": card["weights"]["licence"]},
    }
    return [
        name.replace("_", " ")
        for name in names
        if card.get(name) != model.get(name) and not unknown.get(name)
    ]
