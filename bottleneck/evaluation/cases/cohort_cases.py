"""The misclassified samples of an external cohort, and the internal images nearest to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.duplicates.leak_safe_groups import connect
from bottleneck.evaluation.cases.case_search import CaseArm, CaseSamples, find_all_cases
from bottleneck.evaluation.cases.wrong_cases import WrongCase
from bottleneck.evaluation.cross_validation.arms import Arm, ArmPredictions
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["find_cohort_cases"]


def find_cohort_cases(
    evaluations: Sequence[Evaluation],
    predicted: Sequence[ArmPredictions],
    arms: Sequence[Arm],
    external_rows: Mapping[str, NDArray[Any]],
    internal: CaseSamples,
    used: NDArray[np.intp],
    external: FeatureSet,
    *,
    by_patient: bool,
) -> dict[str, tuple[WrongCase, ...]]:
    """Return the misclassified samples of an external cohort, by the name of the arm.

    Parameters
    ----------
    evaluations, predicted
        The arms on the cohort, and their predictions of images, in the same order.
    arms : sequence of Arm
        Arms with images, with one row per internal sample that is used.
    external_rows : mapping of str to ndarray of float
        Features of the cohort by the names of these arms, in the order of ``external``.
    internal : CaseSamples
        Samples of the internal data set.
    used : ndarray of int
        Rows of the internal samples that heads are trained on.
    external : FeatureSet
        First feature set of the cohort.
    by_patient : bool
        Whether patients were evaluated.
    """
    n = len(used)
    both = _stack(internal, used, external)
    of_arm = {arm.name: arm for arm in arms}
    # Ensembles have the first features.
    stacked: dict[int, NDArray[Any]] = {}
    made = []
    for evaluation, images in zip(evaluations, predicted, strict=True):
        if not evaluation.uses_images:
            continue
        arm = of_arm.get(evaluation.name, arms[0])
        assert arm.features is not None
        if id(arm.X) not in stacked:
            stacked[id(arm.X)] = np.concatenate([arm.X, external_rows[arm.name]])
        made.append(
            CaseArm(
                name=evaluation.name,
                predictions=evaluation.predictions,
                of_images=images.test if by_patient else None,
                X=stacked[id(arm.X)],
                one_unit="preprocessing" in arm.features.provenance["recipe"],
            )
        )
    found = find_all_cases(made, both)
    return {name: tuple(_renumber(cases, n, used)) for name, cases in found.items()}


def _renumber(cases: Sequence[WrongCase], n: int, used: NDArray[np.intp]) -> Iterator[WrongCase]:
    """Yield cases by the rows of the cohort, and their neighbours by those of the data set."""
    for case in cases:
        near = (dataclasses.replace(one, row=int(used[one.row])) for one in case.nearest)
        yield dataclasses.replace(case, row=case.row - n, nearest=tuple(near))


def _stack(internal: CaseSamples, used: NDArray[np.intp], external: FeatureSet) -> CaseSamples:
    """Return the samples of both, with the groups that copies and patients of one name join."""
    first, n = internal.features, len(used)
    _, own = np.unique(external.groups, return_inverse=True)
    groups = np.concatenate([internal.groups[used], own + internal.groups.max() + 1])
    columns = [groups.astype(str)]
    for name in ("contents", "image_hashes", "stated_patients"):
        inside, outside = getattr(first, name), getattr(external, name)
        if inside is not None and outside is not None:
            columns.append(np.concatenate([inside[used], outside]))
    pairs = [pair for column in columns for pair in _equal(column)]
    patients = np.concatenate(
        [
            np.full(len(rows), "") if one.stated_patients is None else one.stated_patients[rows]
            for one, rows in ((first, used), (external, np.arange(len(external))))
        ]
    )
    return CaseSamples(
        features=FeatureSet(
            X=np.empty((len(groups), 0), np.float32),
            y=np.concatenate([internal.labels[used], external.y]),
            ids=np.concatenate([first.ids[used], external.ids]),
            provenance=external.provenance,
            stated_patients=patients,
        ),
        labels=np.concatenate([internal.labels[used], external.y]),
        groups=connect(pairs, len(groups)),
        trained={(0, 0): np.arange(n)},
    )


def _equal(column: NDArray[np.str_]) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows with equal values that link all of these; "" is not a value."""
    order = np.argsort(column, kind="stable")
    ordered = column[order]
    same = (ordered[1:] == ordered[:-1]) & (ordered[1:] != "")
    yield from zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True)
