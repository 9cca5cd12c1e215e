"""Sentences on the size of a study, for its protocol."""

from __future__ import annotations

from bottleneck.evaluation.planning.simulated_studies import SimulatedStudies
from bottleneck.evaluation.planning.study_assumptions import StudyAssumptions
from bottleneck.statistics.planning.sample_size import SampleSize, expected_positives

__all__ = ["choose_patients", "describe_plan"]

# A simulated number of patients that is higher than the closed form's by more than chance.
_HIGHER = 1.08


def choose_patients(
    validation: SampleSize, simulated: SimulatedStudies | None, comparison: SampleSize | None
) -> int:
    """Return the number of patients for the AUROC, and for a comparison if one is planned.

    For the AUROC it is the simulated number, where that is clearly higher.
    """
    needed = validation.criteria[0].patients
    if simulated is not None and simulated.patients > _HIGHER * needed:
        needed = simulated.patients
    return needed if comparison is None else max(needed, comparison.patients)


def describe_plan(
    asked: StudyAssumptions,
    validation: SampleSize,
    simulated: SimulatedStudies | None,
    comparison: SampleSize | None,
    development: SampleSize | None,
) -> str:
    """Return the sentences that a protocol can state: sizes, assumptions and sources."""
    first, *others = validation.criteria
    images = asked.images_per_patient
    each = f", with {images} images each" if images > 1 else ""
    chosen = choose_patients(validation, simulated, comparison)
    positives = expected_positives(chosen, asked.prevalence)
    with_first = "then" if chosen == first.patients else f"with {first.patients:,} patients"
    sentences = [
        f"The study will include {chosen:,} patients (about {positives:,} of them positive){each}",
        f"If the AUROC is {asked.auroc:g} and {100 * asked.prevalence:.4g} % of the patients are "
        f"positive, its {100 * asked.level:.4g} % confidence interval is {with_first} at most "
        f"{asked.width:g} wide by a closed form (Riley et al., BMJ 2024;384:e074821, with the "
        "variance of Newcombe, Stat Med 2006;25:559)",
    ]
    if images > 1:
        sentences.append(
            "The variance allows for the images of a patient being alike, with an assumed "
            f"intraclass correlation of their scores of {asked.icc:g} within each class"
        )
    if asked.folds is not None:
        sentences.append(
            f"The model will be measured by {asked.folds}-fold cross-validation by patient; the "
            "variance allows for training sets that overlap (Nadeau & Bengio, Mach Learn 2003;"
            "52:239)"
        )
    if simulated is not None:
        sentences.append(
            f"In {simulated.draws} simulated studies of each size (bottleneck-features), the mean "
            f"width was {simulated.mean_width:.2g} with {simulated.patients:,} patients, and 80 % "
            f"of the intervals were at most {asked.width:g} wide with "
            f"{simulated.assured_patients:,}"
        )
    widths = {
        "calibration slope": asked.slope_width,
        "observed / expected": asked.ratio_width,
        f"net benefit at {asked.threshold or 0:g}": asked.benefit_width,
    }
    for one in others:
        ratio = "the standardised " if one.name.startswith("net benefit") else "the "
        name = "ratio of observed to expected positives" if "/" in one.name else one.name
        sentences.append(
            f"An interval {widths[one.name]:g} wide for {ratio}{name} would need "
            f"{one.patients:,} patients"
        )
    if comparison is not None:
        (one,) = comparison.criteria
        other = asked.auroc if asked.against is None else asked.against
        what = "a difference" if asked.margin is None else f"a loss of less than {asked.margin:g}"
        sentences.append(
            f"On the same images, another model is expected to have an AUROC of "
            f"{other:g}. With {one.patients:,} patients, {what} is shown with a "
            f"probability of {100 * asked.power:.4g} %, if the scores of both models correlate by "
            f"{asked.correlation:g} within each class"
        )
    if development is not None:
        sentences.append(
            f"Training a regression of {asked.predictors} coefficients without penalty would need "
            f"{development.patients:,} patients (Riley et al., BMJ 2020;368:m441)"
        )
    return ". ".join(sentences) + "."
