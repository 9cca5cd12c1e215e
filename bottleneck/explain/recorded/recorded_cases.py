"""The misclassified images of each arm of a recorded comparison, with their nearest images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from bottleneck.data.labels.selection import Selection
from bottleneck.duplicates.fold_plan import FoldPlan
from bottleneck.errors import UsageError
from bottleneck.evaluation.cases.case_search import CaseArm, CaseSamples, find_cases
from bottleneck.evaluation.cases.wrong_cases import WrongCase
from bottleneck.evaluation.cross_validation.arms import match_rows
from bottleneck.evaluation.cross_validation.imported_predictions import ImportedArm
from bottleneck.evaluation.inputs.prediction_inputs import samples_of
from bottleneck.explain.recorded.feature_search import FeatureSource, find_arm_features
from bottleneck.explain.recorded.fold_heads import (
    FoldHead,
    Progress,
    find_head,
    fit_fold,
    plan_recorded,
)
from bottleneck.explain.recorded.recorded_comparison import RecordedArm, RecordedComparison
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions

__all__ = ["RecordedCases"]


class RecordedCases:
    """The arms of a comparison with their features, folds and heads.

    Parameters
    ----------
    comparison : RecordedComparison
        The comparison.
    source : FeatureSet, path, or sequence of these
        Where the feature files are.
    selection : Selection or None
        What the comparison chose.
    heads : sequence of str, estimator or Head
        Heads that are not built in.
    progress : callable or None
        Called with the number of steps done, their total, and a text.

    Attributes
    ----------
    first : FeatureSet or None
        The first feature set of the comparison; None where no arm has features.
    plan : FoldPlan or None
        Its folds.

    Raises
    ------
    UsageError
        If the features of the comparison are not there, or their folds are others.
    """

    def __init__(
        self,
        comparison: RecordedComparison,
        source: FeatureSource,
        *,
        selection: Selection | None = None,
        heads: Sequence[Any] = (),
        progress: Progress | None = None,
    ) -> None:
        self.comparison = comparison
        self._source, self._selection, self._heads = source, selection, heads
        self._sets: dict[str, FeatureSet] = {}
        self._fitted: dict[tuple[str, int], FoldHead] = {}
        self.first: FeatureSet | None = None
        self.plan: FoldPlan | None = None
        self._samples: CaseSamples | None = None
        with_features = [arm for arm in comparison.arms if arm.has_head]
        if not with_features:
            arms = [ImportedArm(one.name, one.predictions, None) for one in comparison.arms]
            if arms:
                every = samples_of(arms)[0]
                self._samples = CaseSamples(every, every.y, np.arange(len(every)), {})
            return
        self.first = self._find(with_features[0])
        self.plan = plan_recorded(comparison, with_features[0], self.first, progress)
        self._samples = CaseSamples.of(self.first, self.plan)

    def _find(self, arm: RecordedArm) -> FeatureSet:
        assert arm.origin is not None
        found = find_arm_features(self._source, arm.origin, self._selection)
        if found is None:
            chosen = ""
            if self.comparison.selection and self._selection is None:
                chosen = (
                    f" The comparison chose samples ({self.comparison.selection}): give the same "
                    "--exclude, --merge and --classes (in Python: selection=)."
                )
            raise UsageError(
                f"the features of '{arm.name}' (recipe {arm.origin.recipe_hash[:8]}) with the "
                f"samples of the comparison are not in {_show(self._source)}: name their file or "
                f"folder with --features (in Python: features=), or run extract again.{chosen}"
            )
        return found

    def features_of(self, arm: RecordedArm) -> FeatureSet:
        """Return the features of an arm with a head, in the order of the first feature set."""
        assert arm.origin is not None
        assert self.first is not None
        key = arm.origin.recipe_hash
        if key not in self._sets:
            found = self.first if self.first.recipe_hash == key else self._find(arm)
            rows = match_rows(self.first, found)
            is_same = np.array_equal(rows, np.arange(len(rows)))
            self._sets[key] = found if is_same else found.take(rows)
        return self._sets[key]

    def fold_head(self, arm: RecordedArm, repeat: int, fold: int) -> FoldHead:
        """Return the head of a fold, fitted again, with the recorded scores.

        Raises
        ------
        UsageError
            If it gives other scores.
        """
        assert self.plan is not None
        assert self.first is not None
        keys = {(one.repeat, one.index): number for number, one in enumerate(self.plan.folds)}
        number = keys[repeat, fold]
        if (arm.name, number) not in self._fitted:
            head = find_head(arm, self._heads)
            self._fitted[arm.name, number] = fit_fold(
                self.comparison, arm, head, self.features_of(arm), self.plan, number
            )
        return self._fitted[arm.name, number]

    def cases(self, arm: RecordedArm, most: int) -> tuple[WrongCase, ...]:
        """Return the misclassified images of an arm.

        Raises
        ------
        UsageError
            If only the predictions of patients are recorded, and no head makes those of images.
        """
        if self._samples is None:
            return ()
        if self.first is None:
            alone = CaseArm(arm.name, arm.predictions, None, None)
            return find_cases(alone, self._samples, most=most)
        features = self.features_of(arm) if arm.has_head else self.first
        made = CaseArm(
            name=arm.name,
            predictions=arm.predictions,
            of_images=self._predictions_of_images(arm),
            X=features.X,
            one_unit="preprocessing" in features.provenance["recipe"],
        )
        return find_cases(made, self._samples, most=most)

    def _predictions_of_images(self, arm: RecordedArm) -> Predictions | None:
        """Return the predictions of images that those of patients were made of."""
        if self.comparison.protocol.unit == "image":
            return None
        if not arm.has_head:
            raise UsageError(
                f"'{arm.name}' predicts patients, and the report does not record its predictions "
                "of images: compare with --unit image to explain it"
            )
        assert self.plan is not None
        fitted = [self.fold_head(arm, one.repeat, one.index) for one in self.plan.folds]
        return Predictions.concatenate([one.scores for one in fitted])


def _show(source: FeatureSource) -> str:
    if isinstance(source, FeatureSet):
        return "the features that are given"
    listed = [source] if isinstance(source, str | os.PathLike) else source
    return ", ".join("memory" if isinstance(one, FeatureSet) else f"{one}" for one in listed)
