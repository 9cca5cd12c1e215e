"""The training images of a model that are nearest to new images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.decode import PixelFacts
from bottleneck.data.labels.selection import Selection
from bottleneck.data.splits.folds import fixed_split, has_fixed_split
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.prediction.training_copies import find_training_copies
from bottleneck.duplicates.alignment import agree
from bottleneck.duplicates.label_conflicts import resolve_conflicts
from bottleneck.duplicates.similarity import round_aspects
from bottleneck.errors import UsageError
from bottleneck.evaluation.cases.case_search import N_NEAREST
from bottleneck.evaluation.cases.wrong_cases import NearestImage
from bottleneck.explain.checks.randomisation import TrainingRows
from bottleneck.explain.recorded.feature_search import FeatureSource, sets_of_recipe
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.processes.progress_bar import Progress
from bottleneck.statistics.shift.nearest_neighbours import nearest_neighbours

__all__ = ["TrainingImages", "find_training"]

# Images that are compared at once, which limits the memory.
_BLOCK = 512


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingImages:
    """The samples that a model was trained on.

    Attributes
    ----------
    features : FeatureSet
        The training data set, with what the model was not trained on.
    rows : ndarray of int
        Rows of the training samples.
    labels : ndarray of str, shape (n_samples,)
        Labels that it was trained with.
    groups : ndarray of str, shape (n_samples,)
        Patients, joined where they share copies of an image.
    """

    features: FeatureSet
    rows: NDArray[np.intp]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]

    @property
    def fitted_rows(self) -> TrainingRows:
        """The features and labels that the model was fitted to."""
        rows = self.rows
        return TrainingRows(self.features.X[rows], self.labels[rows], self.groups[rows])

    def find_nearest(
        self,
        X: NDArray[Any],
        patients: Sequence[str],
        facts: Sequence[PixelFacts | None],
    ) -> tuple[list[tuple[NearestImage, ...]], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return the nearest training images of each new image, and which have a copy there.

        They are of other patients than the new image, and not of the patients of its copies and
        near-duplicates.

        Parameters
        ----------
        X : ndarray of float, shape (n_images, n_features)
            Features of new images.
        patients : sequence of str
            Their patients, "" where they are not known.
        facts : sequence of PixelFacts or None
            Their sizes and thumbnails.

        Returns
        -------
        nearest : list of tuple of NearestImage
            The nearest first.
        copies, alike : ndarray of bool, shape (n_images,)
            Whether an identical image, or else a near-duplicate, is in the training set.
        """
        known = self.features.X[self.rows]
        joined = np.concatenate([known, X.astype(known.dtype)])
        one_unit = "preprocessing" in self.features.provenance["recipe"]
        train = np.arange(len(known))
        nearest, copies, alike = [], np.zeros(len(X), bool), np.zeros(len(X), bool)
        stated = self.features.stated_patients
        for n, patient in enumerate(patients):
            same = np.zeros(len(known), bool)
            if one_unit:  # Few columns of an array can be equal by chance.
                same = find_training_copies(known, X[n : n + 1].astype(known.dtype))
            copies[n] = same.any()
            doubtful, near_duplicates = self._resembling(facts[n])
            alike[n] = near_duplicates.any() and not copies[n]
            same = same | doubtful
            if stated is not None and patient:
                same = same | (stated[self.rows] == patient)
            groups = self.groups[self.rows]
            excluded = np.isin(groups, groups[same])
            others = np.concatenate([~excluded, np.zeros(len(X), bool)])
            (near,) = nearest_neighbours(
                joined, train, np.array([len(known) + n]), others, N_NEAREST, one_unit=one_unit
            )
            nearest.append(
                tuple(
                    self._describe(int(self.rows[at]), float(apart))
                    for at, apart in zip(near.rows, near.distances, strict=True)
                )
            )
        return nearest, copies, alike

    def _resembling(self, facts: PixelFacts | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which training images may be, and which are, near-duplicates of an image.

        The agreement of thumbnails has the thresholds of the training set's own search.
        """
        agreement = np.full(len(self.rows), -1.0)
        thumbnails, search = self.features.thumbnails, self.features.leak_safe_groups.search
        if facts is None or thumbnails is None or search is None:
            return agreement > 0, agreement > 0
        small = np.frombuffer(facts.thumbnail, np.uint8).reshape(thumbnails.shape[1:])
        aspect = float(round_aspects(np.array([facts.size]), 1)[0])
        for start in range(0, len(self.rows), _BLOCK):
            block = self.rows[start : start + _BLOCK]
            agreement[start : start + _BLOCK] = agree(small, aspect, thumbnails[block])
        return agreement >= search.doubtful, agreement >= search.threshold

    def thumbnail(self, row: int) -> NDArray[np.uint8] | None:
        """Return the small grey image of a row in the feature file; None if it has none."""
        small = self.features.thumbnails
        return None if small is None else np.repeat(small[row][..., np.newaxis], 3, axis=2)

    def _describe(self, row: int, distance: float) -> NearestImage:
        one = self.features
        patient = "" if one.stated_patients is None else str(one.stated_patients[row])
        return NearestImage(row, str(one.ids[row]), patient, str(self.labels[row]), distance)


def find_training(
    model: Model,
    source: FeatureSource,
    selection: Selection | None = None,
    progress: Progress | None = None,
) -> TrainingImages | None:
    """Return the training samples of a model; None if their features are not there.

    Parameters
    ----------
    model : Model
        The model.
    source : FeatureSet, path, or sequence of these
        Where the feature files are.
    selection : Selection or None
        What the model was trained on of its data set.
    progress : callable or None
        As for ``compare``.
    """
    for one in sets_of_recipe(source, model.recipe_hash):
        try:
            features = one if selection is None else one.choose(selection)
        except UsageError:  # Of another data set.
            continue
        if str(features.provenance["dataset"]["fingerprint"]) != model.fingerprint:
            continue
        copies = features.join_duplicates(progress)
        settled = resolve_conflicts(
            copies, features.y, features.ids, model.training.get("conflicts", "drop")
        )
        rows = settled.kept
        if has_fixed_split(features.splits) and model.trained_on != "all samples":
            rows = np.intersect1d(fixed_split(features.splits, features.patients)[0], rows)
        if len(rows) == model.n_samples:
            return TrainingImages(features, rows, settled.y, features.groups)
    return None
