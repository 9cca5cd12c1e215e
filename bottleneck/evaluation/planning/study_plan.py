"""Plan of a study: how many patients it needs, and the sentences of its protocol."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bottleneck.evaluation.cross_validation.nested_cv import Progress
from bottleneck.evaluation.planning.protocol_text import choose_patients, describe_plan
from bottleneck.evaluation.planning.simulated_studies import (
    MOST_IMAGES,
    SimulatedStudies,
    simulate_studies,
)
from bottleneck.evaluation.planning.study_assumptions import StudyAssumptions
from bottleneck.processes.work_steps import shows_progress
from bottleneck.statistics.planning.comparison_size import comparison_size
from bottleneck.statistics.planning.development_size import development_size
from bottleneck.statistics.planning.sample_size import SampleSize
from bottleneck.statistics.planning.score_distribution import placement_correlation
from bottleneck.statistics.planning.validation_size import validation_size
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["StudyPlan", "plan_study"]

# Fields of the assumptions that functions of the statistics take under the same names.
_COMMON = ("images_per_patient", "icc", "folds", "level")
_PRECISION = (
    "width",
    "slope_width",
    "ratio_width",
    "threshold",
    "benefit_width",
    "log_odds",
    "risks",
)


@dataclasses.dataclass(frozen=True, eq=False)
class StudyPlan:
    """Numbers of patients that a study needs.

    Attributes
    ----------
    assumptions : StudyAssumptions
        What the numbers follow from.
    validation : SampleSize
        Patients for a precise measurement of the model.
    simulated : SimulatedStudies or None
        Patients for the interval of the AUROC, by simulation; None where it was not asked for, or
        the study is too large for it.
    comparison : SampleSize or None
        Patients for a comparison with another model.
    development : SampleSize or None
        Patients for the training of a regression.
    design_effect : float
        Factor of the variance of the AUROC because the images of a patient are alike; 1 with one
        image per patient.
    text : str
        Sentences for a protocol.
    """

    assumptions: StudyAssumptions
    validation: SampleSize
    simulated: SimulatedStudies | None
    comparison: SampleSize | None
    development: SampleSize | None
    design_effect: float
    text: str

    @property
    def patients(self) -> int:
        """Number of patients for the interval of the AUROC, and for a planned comparison."""
        return choose_patients(self.validation, self.simulated, self.comparison)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers assume."""
        sizes = (self.validation, self.comparison, self.development)
        notes = [note for size in sizes if size is not None for note in size.notes]
        closed = self.validation.criteria[0].patients
        simulated = choose_patients(self.validation, self.simulated, None)
        if simulated > closed:
            notes.append(
                f"The simulated studies need {simulated:,} patients, more than the {closed:,} "
                "of the closed form, whose variance is an approximation: plan with the higher "
                "number."
            )
        if self.simulated is None and self.assumptions.draws:
            notes.append(
                f"No studies are simulated: they would have more than {MOST_IMAGES:,} images."
            )
        return tuple(dict.fromkeys(notes))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per criterion: purpose, criterion, target and patients."""
        import pandas as pd

        rows = [
            (purpose, one.name, one.target, one.patients)
            for purpose in ("validation", "comparison", "development")
            for one in getattr(getattr(self, purpose), "criteria", ())
        ]
        return pd.DataFrame(rows, columns=["purpose", "criterion", "target", "patients"])

    def __repr__(self) -> str:
        most = self.validation.deciding
        return describe(
            self,
            "",
            f"{counted(self.patients, 'patient')} for the AUROC"
            + (" and the comparison" if self.comparison is not None else ""),
            f"{self.validation.patients} for all criteria, by the {most.name}",
            f"{self.simulated.patients} for the AUROC by simulation" if self.simulated else "",
        )


@shows_progress()
def plan_study(
    auroc: float,
    prevalence: float,
    *,
    progress: Progress | None = None,
    quiet: bool = False,
    **options: Any,
) -> StudyPlan:
    """Plan how many patients a study needs, before its data are collected.

    Parameters
    ----------
    auroc, prevalence : float
        The AUROC and the share of positive patients that are expected.
    progress : callable or None
        Called with the number of studies simulated, their total and a text.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.
    **options
        Fields of ``StudyAssumptions``: widths of intervals (``width=0.1``), images
        (``images_per_patient=3, icc=0.5``), ``folds``, a comparison (``against=0.75`` or
        ``margin=0.05``, with ``correlation`` and ``power``), the ``predictors`` of a regression,
        and the ``draws`` and the ``seed`` of the simulation; ``draws=0`` for none.

    Returns
    -------
    StudyPlan

    Raises
    ------
    UsageError
        If an option is unknown, a number is out of its range, or several images per patient have
        no ``icc``.

    Examples
    --------
    >>> from bottleneck import plan_study
    >>> plan = plan_study(0.8, 0.2, width=0.1, images_per_patient=3, icc=0.5, draws=0)
    >>> plan.patients
    300
    >>> plan.text.split(". ")[0]
    'The study will include 300 patients (about 60 of them positive), with 3 images each'
    """
    asked = StudyAssumptions(auroc=auroc, prevalence=prevalence, **options)
    common = {name: getattr(asked, name) for name in _COMMON}
    validation = validation_size(
        auroc, prevalence, **common, **{name: getattr(asked, name) for name in _PRECISION}
    )
    comparison = None
    if asked.against is not None or asked.margin is not None:
        comparison = comparison_size(
            auroc,
            auroc if asked.against is None else asked.against,
            prevalence,
            margin=asked.margin,
            correlation=asked.correlation,
            power=asked.power,
            **common,
        )
    development = None
    if asked.predictors is not None:
        development = development_size(
            asked.predictors, prevalence, auroc=auroc, shrinkage=asked.shrinkage
        )
    simulated = None
    if asked.draws:
        simulated = simulate_studies(
            asked, start=validation.criteria[0].patients, progress=progress
        )
    alike = placement_correlation(auroc, asked.clustering.icc)
    return StudyPlan(
        assumptions=asked,
        validation=validation,
        simulated=simulated,
        comparison=comparison,
        development=development,
        design_effect=1 + (asked.images_per_patient - 1) * alike,
        text=describe_plan(asked, validation, simulated, comparison, development),
    )
