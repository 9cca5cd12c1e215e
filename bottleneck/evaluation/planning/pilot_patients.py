"""The patients of a pilot: how many are positive, and how alike their images are."""

from __future__ import annotations

import dataclasses

import numpy as np

from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.metrics.inference.metric_intervals import binarise
from bottleneck.evaluation.metrics.inference.row_groups import encode_patients, split_folds
from bottleneck.predictions import Predictions
from bottleneck.statistics.planning.image_correlation import intraclass_correlation
from bottleneck.text.short_repr import show_fields

__all__ = ["PilotPatients", "describe_patients"]


@dataclasses.dataclass(frozen=True)
class PilotPatients:
    """Numbers of a pilot from which a study is planned.

    Attributes
    ----------
    n_patients, n_positive : int
        Numbers of patients, and of those with a positive sample; of samples where no patients are
        known.
    images_per_patient : float
        Mean number of images of a patient.
    icc : float
        Intraclass correlation of the scores of a patient's images, within a class; NaN with one
        image per patient.
    n_mixed : int
        Patients with images of both classes.
    """

    n_patients: int
    n_positive: int
    images_per_patient: float
    icc: float
    n_mixed: int

    @property
    def prevalence(self) -> float:
        """Share of the patients with a positive sample."""
        return self.n_positive / self.n_patients

    __repr__ = show_fields


def describe_patients(
    samples: LabelledSamples, predictions: Predictions, positive: str
) -> PilotPatients:
    """Count the patients of a pilot, and estimate how alike the scores of their images are.

    Parameters
    ----------
    samples : LabelledSamples
        The samples with their labels and patients.
    predictions : Predictions
        Out-of-fold scores of the samples, from which the correlation is estimated. Scores of
        different folds and classes are first brought to the mean 0 and the deviation 1.
    positive : str
        The positive class.
    """
    is_positive = samples.y == positive
    units = samples.units
    n, n_positive = len(np.unique(units)), len(np.unique(units[is_positive]))
    n_negative = len(np.unique(units[~is_positive]))
    true, score, _ = binarise(predictions, positive)
    scaled = score.copy()
    first = predictions.repeats == 0
    for rows in split_folds(predictions):
        for label in (True, False):
            cell = rows[true[rows] == label]
            deviation = score[cell].std()
            scaled[cell] = (score[cell] - score[cell].mean()) / (deviation or 1.0)
    patients = encode_patients(predictions)
    # The classes of a patient with images of both are kept apart.
    icc = intraclass_correlation(scaled[first], (2 * patients + true)[first])
    return PilotPatients(n, n_positive, len(samples) / n, icc, n_positive + n_negative - n)
