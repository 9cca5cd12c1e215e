"""Search for the misclassified samples of arms, and for the training images nearest to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.duplicates.fold_plan import FoldPlan
from bottleneck.evaluation.cases.case_choice import choose_wrong
from bottleneck.evaluation.cases.wrong_cases import NearestImage, WrongCase
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions
from bottleneck.statistics.shift.nearest_neighbours import nearest_neighbours

__all__ = ["MOST_CASES", "N_NEAREST", "CaseArm", "CaseSamples", "find_all_cases", "find_cases"]

Rows: TypeAlias = NDArray[np.intp]
#: Repeat and fold.
FoldKey: TypeAlias = tuple[int, int]

#: Misclassified samples of an arm, and training images near each, by default.
MOST_CASES, N_NEAREST = 24, 5


@dataclasses.dataclass(frozen=True, eq=False)
class CaseSamples:
    """Samples of a comparison: what each was trained with, where, and which are not its neighbours.

    Attributes
    ----------
    features : FeatureSet
        The first feature set, with all its samples.
    labels : ndarray of str, shape (n_samples,)
        Labels that heads are trained with.
    groups : ndarray of int, shape (n_samples,)
        Groups of patients that share identical or near-duplicate images, doubtful ones too.
    trained : mapping of (int, int) to ndarray of int
        Rows of the training set of each repeat and fold.
    """

    features: FeatureSet
    labels: NDArray[np.str_]
    groups: Rows
    trained: Mapping[FoldKey, Rows]

    @classmethod
    def of(cls, features: FeatureSet, plan: FoldPlan) -> CaseSamples:
        """Return the samples of a comparison, from its folds."""
        names = plan.duplicates.names
        names = features.patients if names is None else names
        return cls(
            features=features,
            labels=plan.conflicts.y,
            groups=np.unique(features.ids if names is None else names, return_inverse=True)[1],
            trained={(f.repeat, f.index): plan.rows[f.train] for f in plan.folds},
        )

    def patient_of(self, row: int) -> str:
        """Return the patient that the data set names for a row; "" for none."""
        stated = self.features.stated_patients
        return "" if stated is None else str(stated[row])


@dataclasses.dataclass(frozen=True, eq=False)
class CaseArm:
    """An arm, with what the search for its misclassified samples needs.

    Attributes
    ----------
    name : str
        Its name.
    predictions : Predictions
        Predictions that were evaluated, of images or of patients.
    of_images : Predictions or None
        Predictions of images that those of patients were made of; None for images.
    X : ndarray of float, shape (n_samples, n_features), or None
        Features in which neighbours are near, in the order of the first feature set.
    one_unit : bool
        Whether all features have one unit; see ``distance_percentiles``.
    validated : mapping of (int, int) to ndarray of int
        Rows on which the network of each fold was chosen; it was not trained on them.
    """

    name: str
    predictions: Predictions
    of_images: Predictions | None
    X: NDArray[Any] | None
    one_unit: bool = True
    validated: Mapping[FoldKey, Rows] = dataclasses.field(default_factory=dict)


def find_cases(
    arm: CaseArm,
    samples: CaseSamples,
    *,
    most: int | None = MOST_CASES,
    n_nearest: int = N_NEAREST,
) -> tuple[WrongCase, ...]:
    """Return the misclassified samples of an arm with the training images nearest to each.

    Parameters
    ----------
    arm, samples
        The arm, and the samples of the comparison.
    most : int or None
        Largest number of samples, chosen as by ``choose_wrong``; None for all.
    n_nearest : int
        Number of training images.

    Returns
    -------
    tuple of WrongCase
        The most confident error first.
    """
    return find_all_cases([arm], samples, most=most, n_nearest=n_nearest)[arm.name]


def find_all_cases(
    arms: Sequence[CaseArm],
    samples: CaseSamples,
    *,
    most: int | None = MOST_CASES,
    n_nearest: int = N_NEAREST,
) -> dict[str, tuple[WrongCase, ...]]:
    """Return the misclassified samples of several arms, by their names, as ``find_cases`` does.

    Arms on the same features share the search for neighbours.
    """
    row_of = {sample: row for row, sample in enumerate(samples.features.ids.tolist())}
    found = {arm.name: _find_wrong(arm, samples, row_of, most) for arm in arms}
    searches: dict[tuple[int, FoldKey, bytes], tuple[CaseArm, Rows, FoldKey, set[int]]] = {}
    keys: dict[tuple[str, int], tuple[int, FoldKey, bytes]] = {}
    for arm in arms:
        for n, case in enumerate(found[arm.name] if arm.X is not None else ()):
            fold = case.repeat, case.fold
            lost = arm.validated.get(fold, np.zeros(0, np.intp))
            key = keys[arm.name, n] = id(arm.X), fold, np.sort(lost).tobytes()
            searches.setdefault(key, (arm, lost, fold, set()))[3].add(case.row)
    near = {
        key: _search(arm, samples, np.setdiff1d(samples.trained[fold], lost), rows, n_nearest)
        for key, (arm, lost, fold, rows) in searches.items()
    }
    return {
        arm.name: tuple(
            dataclasses.replace(case, nearest=near[keys[arm.name, n]][case.row])
            if (arm.name, n) in keys
            else case
            for n, case in enumerate(found[arm.name])
        )
        for arm in arms
    }


def _search(
    arm: CaseArm, samples: CaseSamples, train: Rows, rows: set[int], n_nearest: int
) -> dict[int, tuple[NearestImage, ...]]:
    assert arm.X is not None
    new = np.array(sorted(rows), np.intp)
    neighbours = nearest_neighbours(
        arm.X, train, new, samples.groups, n_nearest, one_unit=arm.one_unit
    )
    ids = samples.features.ids
    return {
        row: tuple(
            NearestImage(at, str(ids[at]), samples.patient_of(at), str(samples.labels[at]), apart)
            for at, apart in zip(near.rows.tolist(), near.distances.tolist(), strict=True)
        )
        for row, near in zip(new.tolist(), neighbours, strict=True)
    }


def _find_wrong(
    arm: CaseArm, samples: CaseSamples, row_of: Mapping[str, int], most: int | None
) -> list[WrongCase]:
    p = arm.predictions
    members = {} if arm.of_images is None else _members(arm.of_images, samples, row_of)
    cases = []
    for at, number, times, tested in choose_wrong(p, most):
        label, predicted = str(p.labels[at]), str(p.predicted[at])
        true, wrong = p.classes.index(label), p.classes.index(predicted)
        key = str(p.ids[at]), int(p.repeats[at]), int(p.folds[at])
        sample, n_images = key[0], 1
        if arm.of_images is not None:
            # Of a patient, the image with the most evidence for the wrong class.
            scores = arm.of_images.scores[members[key]]
            most_wrong = int(np.argmax(scores[:, wrong] - scores[:, true]))
            sample, n_images = str(arm.of_images.ids[members[key][most_wrong]]), len(scores)
        row = row_of[sample]
        cases.append(
            WrongCase(
                number=number,
                row=row,
                id=sample,
                patient=samples.patient_of(row),
                label=label,
                predicted=predicted,
                probability=None if p.probabilities is None else float(p.probabilities[at, wrong]),
                score=float(p.scores[at, wrong]),
                lead=float(p.scores[at, wrong] - p.scores[at, true]),
                repeat=key[1],
                fold=key[2],
                times=times,
                tested=tested,
                n_images=n_images,
            )
        )
    return cases


def _members(
    images: Predictions, samples: CaseSamples, row_of: Mapping[str, int]
) -> dict[tuple[str, int, int], list[int]]:
    """Return the rows of image predictions that each prediction of a patient was made of."""
    patients = samples.features.patients
    made: dict[tuple[str, int, int], list[int]] = {}
    columns = (images.ids.tolist(), images.repeats.tolist(), images.folds.tolist())
    for at, (sample, repeat, fold) in enumerate(zip(*columns, strict=True)):
        patient = f"sample {sample}" if patients is None else str(patients[row_of[sample]])
        made.setdefault((patient, repeat, fold), []).append(at)
    return made
