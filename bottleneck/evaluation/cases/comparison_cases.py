"""The misclassified samples of the arms of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.cases.case_search import CaseArm, CaseSamples, find_all_cases
from bottleneck.evaluation.cases.wrong_cases import WrongCase
from bottleneck.evaluation.cross_validation.arms import Arm, ArmPredictions
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["compare_cases"]


def compare_cases(
    evaluations: Sequence[Evaluation],
    predicted: Sequence[ArmPredictions],
    arms: Sequence[Arm],
    samples: CaseSamples,
    *,
    by_patient: bool,
) -> dict[str, tuple[WrongCase, ...]]:
    """Return the misclassified samples of each arm that uses images, by its name.

    Neighbours are near in the features of the arm. Imported predictions, trained networks and
    ensembles have the first feature set for this. Human readers were trained on none of the
    images.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        The arms.
    predicted : sequence of ArmPredictions
        Predictions of images of the same arms, in the same order.
    arms : sequence of Arm
        Arms on features, with one row per sample of the first feature set.
    samples : CaseSamples
        The samples of the comparison.
    by_patient : bool
        Whether patients were evaluated.
    """
    first = samples.features
    with_features = {arm.name: arm for arm in arms if arm.features is not None}
    made = []
    for evaluation, images in zip(evaluations, predicted, strict=True):
        if not evaluation.uses_images:
            continue
        arm = with_features.get(evaluation.name)
        own = first if arm is None or arm.features is None else arm.features
        X = _features_of(first) if arm is None else arm.X
        made.append(
            CaseArm(
                name=evaluation.name,
                predictions=evaluation.predictions,
                of_images=images.test if by_patient else None,
                X=None if evaluation.is_reader else X,
                one_unit="preprocessing" in own.provenance["recipe"],
                validated=_validated(images, first) if images.head == "predictions" else {},
            )
        )
    return find_all_cases(made, samples)


def _features_of(first: FeatureSet) -> NDArray[Any] | None:
    return first.X if first.has_columns else None


def _validated(
    arm: ArmPredictions, first: FeatureSet
) -> Mapping[tuple[int, int], NDArray[np.intp]]:
    """Return the rows of the validation set of each repeat and fold."""
    return {
        (int(part.repeats[0]), int(part.folds[0])): np.flatnonzero(np.isin(first.ids, part.ids))
        for part in arm.inner
        if len(part)
    }
