"""A comparison as its report records it: arms, their predictions, and the protocol."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from bottleneck.data.splits.protocol import Aggregate, Conflicts, Protocol, Unit
from bottleneck.deploy.models.results_file import read_results
from bottleneck.errors import UsageError, unknown_name
from bottleneck.evaluation.results.arm_origin import ArmOrigin
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.predictions import Predictions
from bottleneck.predictions.prediction_tables import read_arms
from bottleneck.settings.schema import Field, from_table, schema

__all__ = ["RecordedArm", "RecordedComparison", "read_comparison"]

_KINDS: Mapping[str, Literal["cv", "split", "folds", "centres"]] = {
    "cross-validation": "cv",
    "fixed split": "split",
    "given folds": "folds",
    "centres": "centres",
}
#: Heads of arms without images.
_BLIND = ("prior", "metadata")


@schema(closed=False)
class _Origin:
    recipe_hash: str
    samples: str
    head: str


@schema(closed=False)
class _Arm:
    name: str
    head: str
    chosen: tuple[Mapping[str, Any], ...] = ()
    origin: _Origin | None = None


@schema(closed=False)
class _Dataset:
    name: str
    n_samples: int
    selection: Mapping[str, Any] = Field(default_factory=dict)


@schema(closed=False)
class _Protocol:
    kind: Literal["cross-validation", "fixed split", "given folds", "centres", "test set"]
    folds: int
    repeats: int
    seed: int
    unit: Unit
    aggregate: Aggregate | None
    allow_leakage: bool
    conflicts: Conflicts
    inner_splits: int


@schema(closed=False)
class _Features:
    recipe: Mapping[str, Any]
    weights: Mapping[str, str | int | None] = Field(default_factory=dict)


@schema(closed=False)
class _Results:
    """The parts of ``results.json`` that an explanation needs."""

    dataset: _Dataset
    protocol: _Protocol
    classes: tuple[str, ...]
    positive: str | None
    arms: tuple[_Arm, ...]
    features: tuple[_Features, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class RecordedArm:
    """An arm of a comparison.

    Attributes
    ----------
    name, head : str
        As in ``Evaluation``.
    chosen : tuple of mapping
        Hyperparameters chosen in each fold; empty for a head without any.
    origin : ArmOrigin or None
        What it was made of; of a report, without the names of files.
    predictions : Predictions
        One row per test sample (with ``unit`` "patient": test patient) and repeat.
    """

    name: str
    head: str
    chosen: tuple[Mapping[str, Any], ...]
    origin: ArmOrigin | None
    predictions: Predictions

    @property
    def has_head(self) -> bool:
        """Whether it is a head on features, and not imported predictions or an ensemble."""
        return self.origin is not None and not self.origin.is_trained_network


@dataclasses.dataclass(frozen=True, eq=False)
class RecordedComparison:
    """Arms with images, and how they were tested.

    Attributes
    ----------
    dataset : str
        Name of the data set.
    classes : tuple of str
        All labels, sorted.
    positive : str or None
        The positive class.
    split : str
        Kind of the folds, as in ``Folds``.
    protocol : Protocol
        The protocol that gives the same folds again.
    selection : str
        What was chosen of the data set, in words; "" if nothing was.
    arms : tuple of RecordedArm
        Arms with images.
    features : tuple of mapping
        The provenance of the features of the arms.
    has_imported : bool
        Whether an arm is of imported predictions, which may have given the folds.
    """

    dataset: str
    classes: tuple[str, ...]
    positive: str | None
    split: str
    protocol: Protocol
    selection: str
    arms: tuple[RecordedArm, ...]
    features: tuple[Mapping[str, Any], ...]
    has_imported: bool

    def choose(self, names: tuple[str, ...]) -> tuple[RecordedArm, ...]:
        """Return the arms of some names; all without a name.

        Raises
        ------
        UsageError
            If there is no such arm.
        """
        known = {arm.name: arm for arm in self.arms}
        for name in names:
            if name not in known:
                raise unknown_name("arm", name, known)
        return tuple(known[name] for name in dict.fromkeys(names or known))


def read_comparison(source: Comparison | str | os.PathLike[str]) -> RecordedComparison:
    """Return a comparison as it was recorded.

    Parameters
    ----------
    source : Comparison or path
        What ``compare`` returned, or the folder of its report.

    Raises
    ------
    UsageError
        If the folder holds no report of this version.
    DataError
        If its table of predictions cannot be read.
    """
    if isinstance(source, Comparison):
        results = _Results(
            dataset=from_table(_Dataset, source.dataset, "the data set"),
            protocol=from_table(_Protocol, source.protocol, "the protocol"),
            classes=source.classes,
            positive=source.positive,
            arms=(),
        )
        arms = [
            RecordedArm(e.name, e.head, e.chosen, e.origin, e.predictions)
            for e in source.evaluations
        ]
        return _record(results, arms, source.features)
    read = read_results(source)
    results = from_table(_Results, read.content, str(read.path))
    arms = _read_arms(results, read.path.with_name("predictions.csv"))
    return _record(results, arms, tuple(map(dataclasses.asdict, results.features)))


def _read_arms(results: _Results, table: Path) -> list[RecordedArm]:
    if not table.exists():
        raise UsageError(
            f"{table.parent} holds no predictions.csv, which names the wrong images: copy it from "
            "the report, or compare again"
        )
    predictions = read_arms(table)
    for arm in results.arms:
        if arm.name not in predictions or predictions[arm.name].classes != results.classes:
            raise UsageError(
                f"{table} and {table.with_name('results.json')} do not belong to one comparison: "
                f"the table has no predictions of the arm '{arm.name}' for its classes; compare "
                "again"
            )
    return [
        RecordedArm(
            arm.name,
            arm.head,
            arm.chosen,
            None if arm.origin is None else ArmOrigin(**dataclasses.asdict(arm.origin)),
            predictions[arm.name],
        )
        for arm in results.arms
    ]


def _record(
    results: _Results, arms: list[RecordedArm], features: tuple[Mapping[str, Any], ...]
) -> RecordedComparison:
    recorded = results.protocol
    protocol = Protocol(
        kind=_KINDS.get(recorded.kind, "auto"),
        n_splits=recorded.folds if recorded.kind == "cross-validation" else 5,
        repeats=recorded.repeats if recorded.kind == "cross-validation" else 1,
        inner_splits=recorded.inner_splits,
        seed=recorded.seed,
        unit=recorded.unit,
        aggregate=recorded.aggregate or "mean",
        allow_leakage=recorded.allow_leakage,
        conflicts=recorded.conflicts,
    )
    return RecordedComparison(
        dataset=results.dataset.name,
        classes=results.classes,
        positive=results.positive,
        split=recorded.kind,
        protocol=protocol,
        selection=str(results.dataset.selection.get("words") or ""),
        arms=tuple(arm for arm in arms if arm.head not in _BLIND),
        features=features,
        has_imported=any(arm.head == "predictions" for arm in arms),
    )
