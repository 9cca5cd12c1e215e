"""What a comparison is given: feature sets, arms, imported predictions and external cohorts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from bottleneck.data.labels.positive_class import spell_label
from bottleneck.data.labels.selection import Selection
from bottleneck.data.splits.protocol import Unit
from bottleneck.errors import UsageError
from bottleneck.evaluation.analyses.ensemble import check_ensemble
from bottleneck.evaluation.cross_validation.arms import Arm, load_feature_sets, make_arms
from bottleneck.evaluation.cross_validation.imported_predictions import (
    ImportedArm,
    adopt_names,
)
from bottleneck.evaluation.external.cohorts import group_cohorts, read_cohorts
from bottleneck.evaluation.human_readers.human_reader import (
    HumanReader,
    match_readers,
    samples_of_readers,
)
from bottleneck.evaluation.human_readers.reader_arms import check_reader_options
from bottleneck.evaluation.human_readers.reader_tables import (
    ReaderInput,
    ReaderTable,
    is_given,
    read_reader_tables,
)
from bottleneck.evaluation.inputs.arm_names import name_arms
from bottleneck.evaluation.inputs.chosen_inputs import choose_features, choose_predictions
from bottleneck.evaluation.inputs.prediction_inputs import (
    NamedPredictions,
    read_imported,
    samples_of,
)
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.results.arm_origin import file_of
from bottleneck.features.arrays.feature_inputs import Column, NamedFeatures, SampleFields
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["ComparisonInputs", "read_inputs"]


@dataclasses.dataclass(frozen=True, eq=False)
class ComparisonInputs:
    """What a comparison is given, read and checked.

    Attributes
    ----------
    sets : list of FeatureSet
        Features of the same samples.
    arms : list of Arm
        Every feature set with every head, and the arms without images.
    imported : list of ImportedArm
        Imported predictions, with the ids and classes of the samples.
    cohorts : list of list of FeatureSet
        External cohorts, each in the order of ``sets``.
    positive : str or None
        The positive class that was stated, as it is called after merging.
    ensemble : str or None
        Name of the ensemble; None if there is none.
    selection : Selection or None
        What was chosen, as it was given.
    readers : list of HumanReader
        Human readers, with the ids and classes of the samples.
    reader_mean : str or None
        Name of the mean of the readers; None if there is none.
    """

    sets: list[FeatureSet]
    arms: list[Arm]
    imported: list[ImportedArm]
    cohorts: list[list[FeatureSet]]
    positive: str | None
    ensemble: str | None
    selection: Selection | None
    readers: list[HumanReader] = dataclasses.field(default_factory=list)
    reader_mean: str | None = None


def read_inputs(
    features: NamedFeatures | None,
    heads: Any,
    *,
    y: Column,
    groups: Column,
    ids: Column,
    predictions: NamedPredictions,
    readers: ReaderInput,
    external: NamedFeatures,
    unit: Unit,
    measures: Measures,
    positive: str | int | None,
    selection: Selection | None,
    ensemble: str | None,
    names: Mapping[str, str] | None,
    note: Callable[[str], None] | None,
) -> ComparisonInputs:
    """Read and check what a comparison is given.

    Parameters
    ----------
    features, heads, y, groups, ids, predictions, readers, external, measures, positive,
    selection, ensemble, names, note
        As for ``compare``, which also lists the errors.
    unit : {"image", "patient"}
        Unit of the metrics.

    Returns
    -------
    ComparisonInputs
    """
    stated = None if positive is None else spell_label(positive)
    read = read_imported(predictions)
    tables = read_reader_tables(readers, note) if is_given(readers) else []
    if features is None:
        idle = {"y": y, "groups": groups, "ids": ids, "external": external}
        sets, read = _without_features(read, tables, **idle)
    else:
        sets = load_feature_sets(features, SampleFields(y, groups, ids))
    labels = list(features) if isinstance(features, Mapping) else ()
    files = [file_of(one, renamed=bool(labels)) for one in sets]
    before, choice = sets[0], None
    if selection is not None:
        others = read_cohorts(external)
        sets, external, choice = choose_features(sets, others, selection, stated, note)
        read = [choose_predictions(arm, before, choice) for arm in read]
        stated = choice.positive
    first = sets[0]
    arms = [] if features is None else make_arms(sets, heads, labels, files)
    imported = [adopt_names(arm, first.ids.tolist(), first.classes) for arm in read]
    together = check_ensemble(ensemble, arms, imported)
    scored = match_readers(
        tables,
        before,
        unit=unit,
        choice=choice,
        are_numbers=measures.reader_threshold is not None,
        note=note,
    )
    check_reader_options(scored, measures)
    mean = f"mean of {len(scored)} readers" if measures.reader_mean else None
    arms, imported, together, scored, mean = name_arms(
        arms, imported, together, names, scored, mean
    )
    cohorts = group_cohorts(external, sets, unit=unit)
    return ComparisonInputs(
        sets, arms, imported, cohorts, stated, together, selection, scored, mean
    )


def _without_features(
    read: list[ImportedArm], tables: list[ReaderTable], **idle: Any
) -> tuple[list[FeatureSet], list[ImportedArm]]:
    """Return the samples of predictions or readers, without features, and the arms."""
    if not read and not tables:
        raise UsageError(
            "there is nothing to compare: give features, predictions or readers, or several of "
            "these"
        )
    for name, value in idle.items():
        if value is not None and not (isinstance(value, list | tuple) and not value):
            raise UsageError(f"{name} has no effect without features: leave it out")
    if not read:
        return [samples_of_readers(tables)], []
    samples, arms = samples_of(read)
    return [samples], arms
