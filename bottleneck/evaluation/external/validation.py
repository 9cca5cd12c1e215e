"""A cohort from elsewhere: heads are trained on all of the first, and tested on it once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import count_by_class, name_patients
from bottleneck.data.splits.protocol import Fold, Folds, Protocol, Unit
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.cross_validation.arms import Arm, load_all, match_rows
from bottleneck.evaluation.cross_validation.nested_cv import ArmResult, Work, run_arms
from bottleneck.evaluation.external.compatibility import match_external, refuse_other_recipe
from bottleneck.evaluation.methods_text import warn_of_large_patient
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.statistics.intervals import holds_level

__all__ = ["find_outside_warnings", "group_cohorts", "run_outside"]


def group_cohorts(
    features: Sequence[FeatureSet | str | Path] | FeatureSet | str | Path,
    inside: Sequence[FeatureSet],
    *,
    unit: Unit = "image",
) -> list[list[FeatureSet]]:
    """Sort external features by data set, each cohort in the order of the inside features.

    Parameters
    ----------
    features : sequence of FeatureSet, str or Path
        Of one or several external data sets.
    inside : sequence of FeatureSet
        What heads are trained on.
    unit : {"image", "patient"}
        What is counted.

    Returns
    -------
    list of list of FeatureSet
        One list a data set, one element an inside feature set.

    Raises
    ------
    ProtocolError
        If a cohort lacks the features of one of the recipes, a class, or the patients that are
        to be counted, is the first data set itself, has other samples in another recipe, or two
        have one name.
    FeatureFileError
        If a file cannot be read.
    """
    cohorts: dict[str, dict[str, FeatureSet]] = {}
    for one in load_all(features) if _any(features) else []:
        if _share_pictures(one, inside[0]):
            raise ProtocolError(
                f"the external features are of the data set '{one.dataset}' that heads are "
                f"trained on: an external cohort holds other samples"
            )
        _refuse_other_classes(inside[0], one)
        if unit == "patient" and name_patients(one.groups, one.ids) is None:
            raise ProtocolError(
                f"the external cohort '{one.dataset}' names no patients to count: ask for --unit "
                f"image, or extract it with its patients"
            )
        cohort = cohorts.setdefault(one.dataset, {})
        if any(not _share_pictures(one, other) for other in cohort.values()):
            raise ProtocolError(
                f"two external cohorts are called '{one.dataset}': extract one of them under "
                f"another --name"
            )
        if one.recipe_hash in cohort:
            raise ProtocolError(f"features of '{one.dataset}' by one recipe are given twice")
        cohort[one.recipe_hash] = one
    grouped = []
    for name, by_recipe in cohorts.items():
        for one in inside:
            if len(inside) == len(by_recipe) == 1:
                refuse_other_recipe(one, next(iter(by_recipe.values())))
            if one.recipe_hash not in by_recipe:
                raise ProtocolError(
                    f"the external cohort '{name}' has no features of the recipe "
                    f"{one.backbone} ({one.weights}, {one.recipe_hash[:8]}): extract it with the "
                    f"same options as '{one.dataset}'"
                )
        ordered = [by_recipe[one.recipe_hash] for one in inside]
        for other in ordered:
            match_rows(ordered[0], other)
        grouped.append(ordered)
    return grouped


def find_outside_warnings(
    inside: FeatureSet, cohort: Sequence[FeatureSet], protocol: Protocol
) -> tuple[str, ...]:
    """Say what a reader must know of an external cohort before its figures.

    Parameters
    ----------
    inside : FeatureSet
        What heads are trained on.
    cohort : sequence of FeatureSet
        Of one external data set.
    protocol : Protocol
        Says whether to go on where it holds pictures that heads are trained on, and what counts.

    Raises
    ------
    ProtocolError
        If it cannot test these heads, or holds such pictures.
    """
    outside = cohort[0]
    findings = match_external(inside, outside)
    leaks = [f.text for f in findings if f.severity == "leak"]
    if leaks and not protocol.allow_leakage:
        raise ProtocolError(
            f"the external cohort '{outside.dataset}': {' '.join(leaks)} Or go on with "
            f"--allow-leakage, and the report says so"
        )
    said = [f"leakage was allowed: {text}" for text in leaks]
    lost = {sample for one in cohort for sample, _ in one.failures}
    if lost:
        said.append(f"{len(lost)} samples have no features and are missing from every figure")
    said += [f.text for f in findings if f.severity == "warning"]
    patients = name_patients(outside.groups, outside.ids)
    if protocol.unit != "patient":
        said += warn_of_large_patient(patients)
    counts = count_by_class(outside.y, patients)
    few = min(counts.values())
    if not holds_level(few, max(counts.values())):
        unit = "samples" if patients is None else "patients"
        said.append(f"estimate only: {few} {unit} in the smallest class")
    if patients is None:
        said.append("no patients named: images of one patient are counted as independent")
    return tuple(said)


def run_outside(
    arms: Sequence[Arm],
    inside: FeatureSet,
    cohort: Sequence[FeatureSet],
    seed: int,
    work: Work,
) -> list[ArmResult]:
    """Train every arm on all of the first data set and test it once on another.

    Parameters
    ----------
    arms : sequence of Arm
        Their rows are those of ``inside``.
    inside : FeatureSet
        Names, labels and patients of what is trained on.
    cohort : sequence of FeatureSet
        Of one external data set, from ``group_cohorts``.
    seed : int
        Decides the inner folds, and what a head draws at random.
    work : Work

    Returns
    -------
    list of ArmResult
        Predictions of the external samples, in the order of the cohort's first features.
    """
    outside = cohort[0]
    of = {one.recipe_hash: one for one in cohort}
    stacked = [
        dataclasses.replace(
            arm, X=np.concatenate([arm.X, _rows_of(arm, inside, outside, of)]), features=None
        )
        for arm in arms
    ]
    n = len(inside)
    samples = FeatureSet(
        X=np.empty((n + len(outside), 0), np.float32),
        y=np.concatenate([inside.y, outside.y]),
        ids=np.concatenate([inside.ids, outside.ids]),
        provenance=inside.provenance,
        groups=_stack_groups(inside, outside),
    )
    fold = Fold(0, 0, seed, np.arange(n), np.arange(n, len(samples)))
    folds = Folds("fixed split", (fold,), samples.groups is not None, "")
    return run_arms(stacked, folds, samples, work)


def _refuse_other_classes(inside: FeatureSet, outside: FeatureSet) -> None:
    lacking = [label for label in inside.classes if label not in outside.classes]
    if not lacking:
        return
    theirs, ours = ", ".join(outside.classes), ", ".join(inside.classes)
    known = set(outside.classes) <= set(inside.classes)
    raise ProtocolError(
        f"the external cohort '{outside.dataset}' has no sample of '{lacking[0]}', and ranking "
        f"needs every class. It has: {theirs}; heads are trained on: {ours}. "
        + (
            "Extract it again with samples of the classes that it lacks"
            if known
            else "Give its labels the same names, in its table or folders, and extract it again"
        )
    )


def _share_pictures(one: FeatureSet, other: FeatureSet) -> bool:
    """Whether two feature sets are of one data set, in the same or a similar state."""
    if one.provenance["dataset"]["fingerprint"] != other.provenance["dataset"]["fingerprint"]:
        return False
    if one.sha256 is None or other.sha256 is None:
        return True
    # The fingerprint knows names and labels, which two centres may give alike.
    _, rows, others = np.intersect1d(one.ids, other.ids, return_indices=True)
    return bool((one.sha256[rows] == other.sha256[others]).any())


def _any(features: Sequence[FeatureSet | str | Path] | FeatureSet | str | Path) -> bool:
    return isinstance(features, FeatureSet | str | Path) or len(features) > 0


def _rows_of(
    arm: Arm, inside: FeatureSet, outside: FeatureSet, of: dict[str, FeatureSet]
) -> NDArray[np.float32]:
    """The arm's external features, in the order of the cohort's first feature set."""
    if arm.features is None:  # it does not look at them
        return np.zeros((len(outside), arm.X.shape[1]), arm.X.dtype)
    one = of[arm.features.recipe_hash]
    return one.X[match_rows(outside, one)]


def _stack_groups(inside: FeatureSet, outside: FeatureSet) -> NDArray[np.str_] | None:
    """Patients of both; where only one side knows any, the other's samples are their own."""
    if inside.groups is None and outside.groups is None:
        return None
    return np.concatenate(
        [np.full(len(s), "") if s.groups is None else s.groups for s in (inside, outside)]
    )
