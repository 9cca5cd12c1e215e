"""External cohorts: feature sets of other data sets, checked against those trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.data.splits.protocol import Protocol, Unit
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.analyses.non_diagnoses import warn_of_failed
from bottleneck.evaluation.cross_validation.arms import load_feature_sets, match_rows
from bottleneck.evaluation.external.compatibility import match_external, refuse_other_recipe
from bottleneck.evaluation.results.arm_results import Evaluation
from bottleneck.evaluation.results.methods_text import warn_of_few_patients, warn_of_large_patient
from bottleneck.features.arrays.feature_inputs import NamedFeatures, any_numbers
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["find_cohort_warnings", "group_cohorts", "read_cohorts", "refuse_leaking_cohorts"]


def group_cohorts(
    features: NamedFeatures,
    internal: Sequence[FeatureSet],
    *,
    unit: Unit = "image",
) -> list[list[FeatureSet]]:
    """Group external features by data set, each cohort in the order of the internal features.

    Parameters
    ----------
    features : what ``read_sets`` takes
        Features of one or several external data sets; may be empty.
    internal : sequence of FeatureSet
        Features that heads are trained on.
    unit : {"image", "patient"}
        Unit of the metrics.

    Returns
    -------
    list of list of FeatureSet
        One list per data set, with one element per internal feature set.

    Raises
    ------
    ProtocolError
        If a cohort lacks the features of one of the recipes, a class, or the patients for unit
        "patient"; if it is the internal data set itself, or has other samples in another recipe;
        or if two cohorts have the same name.
    FeatureFileError
        If a file cannot be read.
    """
    cohorts: dict[str, dict[str, FeatureSet]] = {}
    for one in read_cohorts(features):
        if _is_same_dataset(one, internal[0]):
            raise ProtocolError(
                f"the external features are of the data set '{one.dataset}' that heads are "
                f"trained on: an external cohort needs other samples"
            )
        _refuse_other_classes(internal[0], one)
        if unit == "patient" and one.patients is None:
            raise ProtocolError(
                f"the external cohort '{one.dataset}' names no patients: ask for --unit "
                f"image, or extract it with its patients"
            )
        cohort = cohorts.setdefault(one.dataset, {})
        if any(not _is_same_dataset(one, other) for other in cohort.values()):
            raise ProtocolError(
                f"two external cohorts are called '{one.dataset}': extract one of them under "
                f"another --name"
            )
        if one.recipe_hash in cohort:
            raise ProtocolError(
                f"two files hold features of '{one.dataset}' with the same recipe: leave one out"
            )
        cohort[one.recipe_hash] = one
    return [_order(name, by_recipe, internal) for name, by_recipe in cohorts.items()]


def read_cohorts(features: NamedFeatures) -> list[FeatureSet]:
    """Return the external feature sets that are given; there may be none.

    Raises
    ------
    UsageError
        If one of them is an array, which has no labels of its own.
    """
    if isinstance(features, list | tuple | dict) and not features:
        return []
    if any_numbers(features):
        raise UsageError(
            "an external cohort has its own labels: pass FeatureSet.from_arrays(X, y, groups, "
            "name='the cohort'), not an array"
        )
    return load_feature_sets(features)


def _order(
    name: str, by_recipe: dict[str, FeatureSet], internal: Sequence[FeatureSet]
) -> list[FeatureSet]:
    """Return the feature sets of a cohort in the order of the internal ones."""
    for one in internal:
        if len(internal) == len(by_recipe) == 1:
            refuse_other_recipe(one, next(iter(by_recipe.values())))
        if one.recipe_hash not in by_recipe:
            raise ProtocolError(
                f"the external cohort '{name}' has no features of the recipe "
                f"{one.backbone} ({one.weights}, {one.recipe_hash[:8]}): extract it with the "
                f"same options as '{one.dataset}'"
            )
    ordered = [by_recipe[one.recipe_hash] for one in internal]
    for other in ordered:
        match_rows(ordered[0], other)
    return ordered


def refuse_leaking_cohorts(
    internal: FeatureSet, cohorts: Sequence[Sequence[FeatureSet]], protocol: Protocol
) -> None:
    """Refuse cohorts that cannot test these heads, before hours of fitting.

    Raises
    ------
    ProtocolError
        As ``find_cohort_warnings`` does.
    """
    for cohort in cohorts:
        find_cohort_warnings(internal, cohort, protocol)


def find_cohort_warnings(
    internal: FeatureSet,
    cohort: Sequence[FeatureSet],
    protocol: Protocol,
    evaluations: Sequence[Evaluation] = (),
) -> tuple[CheckWarning, ...]:
    """Return the warnings about an external cohort.

    Parameters
    ----------
    internal : FeatureSet
        Features that heads are trained on.
    cohort : sequence of FeatureSet
        Features of one external data set.
    protocol : Protocol
        Unit of the metrics, and whether images that heads are trained on may be tested.
    evaluations : sequence of Evaluation
        Arms on the cohort.

    Raises
    ------
    ProtocolError
        If the cohort has another recipe or unknown labels, or holds images that heads are
        trained on and the protocol does not allow leakage.
    """
    external = cohort[0]
    findings = match_external(internal, external)
    leaks = [f for f in findings if f.severity == "leak"]
    if leaks and not protocol.allow_leakage:
        texts = " ".join(f.text for f in leaks)
        raise ProtocolError(
            f"the external cohort '{external.dataset}': {texts} Or accept this with "
            "--allow-leakage, which the report will state"
        )
    warnings = [CheckWarning(f.code, f"leakage was allowed: {f.text}") for f in leaks]
    warnings += warn_of_failed(cohort, evaluations)
    warnings += [CheckWarning(f.code, f.text) for f in findings if f.severity == "warning"]
    if protocol.unit != "patient":
        warnings += warn_of_large_patient(external.patients)
    warnings += warn_of_few_patients(
        external.y, external.patients, external.patients if protocol.unit == "patient" else None
    )
    if external.patients is None:
        text = "no patients named: images of one patient are counted as independent"
        warnings.append(CheckWarning("BF109", text))
    return tuple(warnings)


def _refuse_other_classes(internal: FeatureSet, external: FeatureSet) -> None:
    lacking = [label for label in internal.classes if label not in external.classes]
    if not lacking:
        return
    theirs, ours = ", ".join(external.classes), ", ".join(internal.classes)
    known = set(external.classes) <= set(internal.classes)
    raise ProtocolError(
        f"the external cohort '{external.dataset}' has no sample of '{lacking[0]}', and ranking "
        f"needs every class. It has: {theirs}; heads are trained on: {ours}. "
        + (
            "Extract it again with samples of the classes that it lacks"
            if known
            else "Give its labels the same names, in its table or folders, and extract it again"
        )
    )


def _is_same_dataset(one: FeatureSet, other: FeatureSet) -> bool:
    """Return whether two feature sets come from the same version of a data set."""
    if one.provenance["dataset"]["fingerprint"] != other.provenance["dataset"]["fingerprint"]:
        return False
    # The fingerprint covers names and labels only, which can be the same at two centres.
    _, rows, others = np.intersect1d(one.ids, other.ids, return_indices=True)
    if not (one.has_images or other.has_images):
        # Numbers of rows are ids too: only equal features tell that samples are the same.
        return one.recipe_hash != other.recipe_hash or np.array_equal(one.X[rows], other.X[others])
    if one.image_hashes is None or other.image_hashes is None:
        return True
    return bool((one.image_hashes[rows] == other.image_hashes[others]).any())
