"""What the plan of a study assumes, and what it must reach."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from bottleneck.settings.ranges import FoldCount, Seed, Share
from bottleneck.settings.schema import Expected, Field, option, schema
from bottleneck.statistics.planning.sample_size import Clustering

__all__ = ["COMPARING", "IMAGES", "PRECISION", "SIMULATING", "TRAINING", "StudyAssumptions"]

#: Headings of these options in ``--help``.
PRECISION = "Precision"
IMAGES = "Images and folds"
COMPARING = "Comparison with another model"
TRAINING = "Training of a regression"
SIMULATING = "Simulation"

Inside = Annotated[float, Gt(0), Lt(1)]
Auroc = Annotated[float, Gt(0.5), Lt(1), Expected("a number between 0.5 and 1")]
Pair = tuple[float, float]


@schema
class StudyAssumptions:
    """What the plan of a study assumes, and what it must reach.

    Attributes
    ----------
    auroc, prevalence : float
        The AUROC and the share of positive patients that are expected.
    width, slope_width, ratio_width, threshold, benefit_width, log_odds, risks
        Criteria of precision, and the distribution of the risks, as for
        ``statistics.validation_size``.
    images_per_patient, icc, folds, level
        As for ``statistics.validation_size``.
    against : float or None
        AUROC that is expected of another model on the same images.
    margin, correlation, power
        As for ``statistics.comparison_size``; a margin alone compares with an equal model.
    predictors : int or None
        Number of coefficients of a regression without penalty that is trained on the patients.
    shrinkage : float
        Shrinkage that its training must reach.
    draws : int
        Number of simulated studies for each number of patients that is tried; 0 for none.
    seed : int
        Seed of the simulation.

    Raises
    ------
    UsageError
        If a number is out of its range.
    """

    auroc: Auroc = option(..., "AUROC that you expect the model to reach.")
    prevalence: Inside = option(..., "Share of your patients who are positive.")
    width: Inside = option(0.1, "Width of the interval of the AUROC.", panel=PRECISION)
    slope_width: Annotated[float, Gt(0), Le(100)] = option(
        0.2, "Width of the interval of the calibration slope.", panel=PRECISION
    )
    ratio_width: Annotated[float, Gt(0), Le(100)] = option(
        0.2, "Width of the interval of observed / expected positives.", panel=PRECISION
    )
    threshold: Inside | None = option(
        None,
        "Lowest risk at which you would act: also plan the net benefit there.",
        panel=PRECISION,
    )
    benefit_width: Annotated[float, Gt(0), Le(100)] = option(
        0.2, "Width of the interval of net benefit / prevalence.", panel=PRECISION
    )
    log_odds: Pair | None = Field(None)
    risks: Pair | None = Field(None)
    level: Inside = option(0.95, "Confidence level.", panel=PRECISION)
    images_per_patient: Annotated[int, Ge(1), Le(10_000)] = option(
        1, "Images of each patient.", panel=IMAGES
    )
    icc: Share | None = option(
        None,
        "Intraclass correlation of the scores of a patient's images within a class: 0 for "
        "unrelated, 1 for equal scores.",
        panel=IMAGES,
    )
    folds: FoldCount | None = option(
        None, "Folds, if the model is measured by cross-validation.", panel=IMAGES
    )
    against: Auroc | None = option(
        None, "AUROC of another model on the same images.", panel=COMPARING
    )
    margin: Inside | None = option(
        None,
        "Largest acceptable loss of AUROC: plans a test of non-inferiority.",
        panel=COMPARING,
    )
    correlation: Share = option(
        0.5, "Correlation of both models' scores, within a class.", panel=COMPARING
    )
    power: Inside = option(0.8, "Probability that the study shows the difference.", panel=COMPARING)
    predictors: Annotated[int, Ge(1), Le(10**9)] | None = option(
        None, "Number of the regression's coefficients, without penalty.", panel=TRAINING
    )
    shrinkage: Inside = option(0.9, "Shrinkage that the regression must reach.", panel=TRAINING)
    draws: Annotated[int, Ge(0), Le(100_000)] = option(
        200, "Simulated studies for each number of patients; 0 for none.", panel=SIMULATING
    )
    seed: Seed = option(0, "Seed of the simulation.", panel=SIMULATING)

    @property
    def clustering(self) -> Clustering:
        """Images per patient and their correlation."""
        return Clustering.of(self.images_per_patient, self.icc)
