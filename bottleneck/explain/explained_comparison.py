"""The explanation of a comparison: the errors of each arm, by the heads of its folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import read_recipe
from bottleneck.checks.check_warnings import warn
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.labels.selection import Selection
from bottleneck.deploy.inputs.image_features import load_network
from bottleneck.errors import UsageError, WeightsError, first_line
from bottleneck.evaluation.cases.wrong_cases import WrongCase
from bottleneck.explain.checks.arm_checks import ArmChecks
from bottleneck.explain.checks.checking import CheckedImage, check_if_asked, choose_checked
from bottleneck.explain.checks.randomisation import TrainingRows
from bottleneck.explain.explanation import ExplainedArm, ExplainedCase, Explanation
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.maps.map_methods import MethodName
from bottleneck.explain.recorded.feature_search import FeatureSource
from bottleneck.explain.recorded.recorded_cases import RecordedCases
from bottleneck.explain.recorded.recorded_comparison import RecordedArm, RecordedComparison
from bottleneck.explain.shown_cases.case_images import CaseImages, load_case_images
from bottleneck.explain.shown_cases.case_maps import (
    MapChoice,
    add_maps,
    add_pixels,
    possible_maps,
    same_features,
)
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.processes.progress_bar import Progress
from bottleneck.text.plurals import counted

__all__ = ["explain_comparison"]

_NO_IMAGES = (
    "There are no heat maps, because the images were not given: name their data set with --data "
    "(in Python: data=)."
)


def explain_comparison(
    comparison: RecordedComparison,
    *,
    data: ImageDataset | None,
    features: FeatureSource,
    arms: tuple[str, ...],
    heads: Sequence[Any],
    selection: Selection | None,
    maps: MapChoice,
    checks: bool | None,
    regions: str | Path | None,
    most: int,
    weights: str | Path | None,
    backbone: Backbone | None,
    progress: Progress | None,
) -> Explanation:
    """Return the errors of the arms of a comparison, as ``explain_predictions`` says."""
    chosen = comparison.choose(arms)
    recorded = RecordedCases(
        comparison, features, selection=selection, heads=heads, progress=progress
    )
    explained, lacking = [], list[str]()
    for number, arm in enumerate(chosen):
        if progress is not None:
            progress(number, len(chosen), f"explaining {arm.name}")
        options = (maps, checks, regions, most, weights, backbone)
        one = _Explainer(recorded, arm, data, *options, progress)
        try:
            explained.append(one.explain())
        except UsageError as error:
            # One arm of many is no reason to explain none, unless it was asked for.
            if arms or len(chosen) == 1:
                raise
            lacking.append(f"'{arm.name}' is not explained: {error}")
    if not explained:
        raise UsageError("no arm of this comparison can be explained:", *lacking)
    return Explanation(
        of="comparison",
        title=comparison.dataset,
        classes=comparison.classes,
        positive=comparison.positive,
        unit=comparison.protocol.unit,
        arms=tuple(explained),
        warnings=warn("BF906", lacking),
    )


@dataclasses.dataclass
class _Explainer:
    """One arm on its way to its explanation."""

    recorded: RecordedCases
    arm: RecordedArm
    data: ImageDataset | None
    maps: MapChoice
    checks: bool | None
    regions: str | Path | None
    most: int
    weights: str | Path | None
    backbone: Backbone | None
    progress: Progress | None
    checked: ArmChecks | None = None

    def explain(self) -> ExplainedArm:
        """Return the cases of the arm, with what can be known of each."""
        arm, recorded = self.arm, self.recorded
        wrong = recorded.cases(arm, self.most)
        cases = [_case(one) for one in wrong]
        words: list[str] = []
        if recorded.first is None:
            words.append("No arm has features here, so there are no nearest images and no maps.")
        elif not arm.has_head:
            words.append(self._describe_imported())
        elif wrong and self.data is None:
            words.append(_NO_IMAGES)
        if wrong and recorded.first is not None:
            cases = self._with_images(cases, wrong, words)
        p = arm.predictions
        is_wrong = p.predicted != p.labels
        n = len(np.unique(p.ids))
        return ExplainedArm(
            name=arm.name,
            cases=tuple(cases),
            n_wrong=len(np.unique(p.ids[is_wrong])),
            n_labelled=n,
            n_images=n,
            words=tuple(words),
            checks=self.checked,
        )

    def _describe_imported(self) -> str:
        if self.arm.head == "ensemble":
            return "The arm is the mean of other arms, and has no heat maps."
        return (
            "The predictions were imported, so there are no heat maps here. For networks of "
            "`bottleneck finetune`, `bottleneck explain FOLDER --data DATA` draws them. The "
            "nearest images are those nearest in the first features of the comparison."
        )

    def _with_images(
        self, cases: list[ExplainedCase], wrong: Sequence[WrongCase], words: list[str]
    ) -> list[ExplainedCase]:
        """Return the cases with images and maps, as far as there are any."""
        recorded, arm, data = self.recorded, self.arm, self.data
        first = recorded.first
        assert first is not None
        features = recorded.features_of(arm) if arm.has_head else first
        if data is None or not features.has_images:
            if data is not None:
                words.append("The features are of arrays, for which there are no images.")
            return [
                _with_thumbnails(one, case, first) for one, case in zip(cases, wrong, strict=True)
            ]
        recipe = read_recipe(features.provenance["recipe"])
        maps = possible_maps(self.maps, recipe.framing, words)
        needed = [name for case in wrong for name in (case.id, *(n.id for n in case.nearest))]
        images = load_case_images(
            data, needed, recipe.framing, features=features, progress=self.progress
        )
        if lost := [case.id for case in wrong if case.id not in images.pixels]:
            known = [images.failures[name] for name in lost if name in images.failures]
            why = known[0] if known else "the data set has no image of this id"
            words.append(
                f"{counted(len(lost), 'image')} of {len(wrong)} could not be taken from --data; "
                f"the first of them because {why}."
                if known
                else f"{counted(len(lost), 'image')} of {len(wrong)} are not in --data: is it the "
                "data set that the features were extracted from?"
            )
        cases = [add_pixels(case, images) for case in cases]
        if maps == "none" or not arm.has_head or not images.pixels:
            return cases
        return self._with_maps(cases, wrong, images, features, maps, words)

    def _with_maps(
        self,
        cases: list[ExplainedCase],
        wrong: Sequence[WrongCase],
        images: CaseImages,
        features: FeatureSet,
        method: MethodName,
        words: list[str],
    ) -> list[ExplainedCase]:
        recorded, arm = self.recorded, self.arm
        try:
            network = load_network(
                features.provenance["recipe"],
                features.provenance.get("weights") or {},
                weights=self.weights,
                backbone=self.backbone,
            )
        except WeightsError as error:
            # The cases need no network; who names a file or a method wants its maps.
            if self.weights is not None or method != "auto":
                raise
            words.append(
                f"There are no heat maps: {first_line(error)} Import their file with `bottleneck "
                "weights import`, or name it with --weights (in Python: weights=)."
            )
            return cases
        fitted = []
        for number, case in enumerate(wrong):
            if self.progress is not None:
                self.progress(number, len(wrong), f"fitting the folds of {arm.name} again")
            fitted.append(recorded.fold_head(arm, case.repeat, case.fold))
        row_of = {name: row for row, name in enumerate(features.ids.tolist())}
        rows = {case.id: features.X[row_of[case.id]] for case in wrong}
        heads: dict[int, ExplainedHead] = {
            id(one): ExplainedHead(network, one.estimator, recorded.comparison.classes)
            for one in fitted
        }
        made, about = add_maps(
            cases,
            [heads[id(one)] for one in fitted],
            images,
            same_features(cases, rows, features.provenance["recipe"]["precision"]),
            method,
            self.progress,
        )
        words += about
        apart = max(one.difference for one in fitted)
        gave = "exactly the recorded scores of the whole test fold"
        if apart:
            gave = f"the recorded scores of the whole test fold up to a share of {apart:.1g}"
        words.append(
            "Each map is of the head of the fold that made the prediction, which was not trained "
            "on this image. The head was fitted again with the recorded hyperparameters, and gave "
            f"{gave}."
        )
        words += self._check_maps(network, features, method)
        return made

    def _check_maps(
        self, network: Backbone, features: FeatureSet, method: MethodName
    ) -> tuple[str, ...]:
        """Check the maps of test images of all folds; return why not, where they are not."""
        recorded, arm = self.recorded, self.arm
        assert recorded.plan is not None
        data = self.data
        assert data is not None
        framing = read_recipe(features.provenance["recipe"]).framing
        plan, y = recorded.plan, recorded.plan.conflicts.y
        folds = [one for one in plan.folds if one.repeat == 0]
        tested = np.concatenate([plan.rows[one.test] for one in folds])
        fold_of = np.repeat(np.arange(len(folds)), [len(one.test) for one in folds])
        known = features.patients
        chosen = choose_checked(y[tested], None if known is None else known[tested])

        def head(number: int) -> tuple[ExplainedHead, TrainingRows]:
            fold = folds[number]
            estimator = recorded.fold_head(arm, fold.repeat, fold.index).estimator
            train = plan.rows[fold.train]
            groups = None if plan.all_groups is None else plan.all_groups[train]
            return (
                ExplainedHead(network, estimator, recorded.comparison.classes),
                TrainingRows(features.X[train], y[train], groups),
            )

        heads = {number: head(number) for number in np.unique(fold_of[chosen]).tolist()}
        images = [
            CheckedImage(
                str(features.ids[row]),
                str(y[row]),
                "" if known is None else str(known[row]),
                recorded.comparison.positive or str(y[row]),
                *heads[number],
            )
            for row, number in zip(tested[chosen].tolist(), fold_of[chosen].tolist(), strict=True)
        ]
        self.checked, words = check_if_asked(
            images,
            lambda ids: load_case_images(
                data, ids, framing, features=features, progress=self.progress
            ),
            wanted=self.checks,
            method=method,
            dataset=data,
            regions=self.regions,
            progress=self.progress,
        )
        return words


def _case(case: WrongCase) -> ExplainedCase:
    return ExplainedCase(
        reason="wrong",
        number=case.number,
        id=case.id,
        patient=case.patient,
        label=case.label,
        predicted=case.predicted,
        probability=case.probability,
        score=case.score,
        repeat=case.repeat,
        fold=case.fold,
        times=case.times,
        tested=case.tested,
        n_images=case.n_images,
        nearest=case.nearest,
    )


def _with_thumbnails(case: ExplainedCase, wrong: WrongCase, features: FeatureSet) -> ExplainedCase:
    """Return a case with the small grey thumbnails of the feature file, if it has any."""
    if features.thumbnails is None:
        return case
    grey = [features.thumbnails[row] for row in (wrong.row, *(n.row for n in wrong.nearest))]
    shown, *nearest = (np.repeat(one[..., np.newaxis], 3, axis=2) for one in grey)
    return dataclasses.replace(case, pixels=shown, nearest_pixels=tuple(nearest))
