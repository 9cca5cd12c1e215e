"""Plans of studies: the simulation agrees with the closed form, and the text with the numbers."""

from __future__ import annotations

import itertools
import re

import pytest

import bottleneck
from bottleneck.errors import UsageError


def test_simulated_studies_need_as_many_patients_as_the_closed_form() -> None:
    plan = bottleneck.plan_study(0.8, 0.3, width=0.2, images_per_patient=3, icc=0.5, draws=50)
    assert plan.simulated is not None
    assert plan.simulated.patients == pytest.approx(plan.patients, rel=0.12)
    assert plan.simulated.mean_width == pytest.approx(0.2, rel=0.05)
    assert plan.simulated.assured_patients > plan.simulated.patients
    # 50 studies: 95 % less three standard errors.
    assert plan.simulated.coverage > 0.85
    # Three images of a patient are worth more than one and less than three.
    assert 1 < plan.design_effect < 3
    assert plan.text.startswith(f"The study will include {plan.patients:,} patients")
    assert str(plan.simulated.assured_patients) in plan.text


def test_a_closed_form_that_is_too_low_has_a_note() -> None:
    # Near 1 with few positives, the interval is wider than Newcombe's variance has it.
    plan = bottleneck.plan_study(0.9, 0.1, width=0.2, draws=40)
    assert plan.simulated is not None
    assert plan.simulated.patients > 1.1 * plan.validation.criteria[0].patients
    assert "plan with the higher number" in plan.notes[-1]
    # What is pasted into a protocol is the higher number as well.
    assert plan.text.startswith(f"The study will include {plan.simulated.patients} patients")


@pytest.mark.parametrize(
    ("auroc", "prevalence", "width", "options"),
    [
        (0.9999, 0.2, 0.1, {}),
        (0.99, 0.05, 0.1, {}),
        (0.8, 0.2, 0.9, {}),
        (0.51, 0.9, 0.3, {}),
        (0.85, 0.4, 0.3, {"folds": 3}),
        (0.8, 0.3, 0.25, {"images_per_patient": 9, "icc": 0.1}),
    ],
    ids=itertools.count(),
)
def test_simulated_studies_reach_the_width_with_few_patients(
    auroc: float, prevalence: float, width: float, options: dict[str, float]
) -> None:
    plan = bottleneck.plan_study(auroc, prevalence, width=width, draws=25, **options)
    found = plan.simulated
    assert found is not None
    assert found.patients <= found.assured_patients
    assert plan.patients >= plan.validation.criteria[0].patients
    # No wider than asked for; much narrower only where fewer patients have no two of each class
    # in every fold.
    least = 4 * options.get("folds", 1) / min(prevalence, 1 - prevalence)
    assert found.mean_width <= width
    assert found.mean_width > 0.9 * width or found.patients <= 1.01 * least + 1


def test_too_large_studies_are_not_simulated() -> None:
    plan = bottleneck.plan_study(0.8, 0.2, width=0.005)
    assert plan.simulated is None
    assert "No studies are simulated" in plan.notes[-1]


@pytest.mark.slow
def test_simulated_studies_over_folds() -> None:
    plan = bottleneck.plan_study(0.8, 0.3, width=0.2, folds=5, draws=100)
    assert plan.simulated is not None
    assert plan.simulated.patients <= plan.patients * 1.1


def test_every_criterion_is_a_row_and_a_sentence() -> None:
    plan = bottleneck.plan_study(
        0.8, 0.3, threshold=0.2, against=0.75, predictors=20, folds=5, draws=0
    )
    frame = plan.to_frame()
    assert list(frame.purpose.unique()) == ["validation", "comparison", "development"]
    sizes = [size.patients for size in (plan.comparison, plan.development) if size]
    stated = {f"{n:,}" for n in [*frame.patients[:4], *sizes]}
    assert stated <= set(re.findall(r"\d+(?:,\d{3})*", plan.text))
    assert "5-fold cross-validation" in plan.text
    assert plan.simulated is None
    assert "2.25" in " ".join(plan.notes)
    assert max(map(len, repr(plan).split("\n"))) <= 80


def test_a_study_that_compares_includes_the_patients_of_the_comparison() -> None:
    plan = bottleneck.plan_study(0.85, 0.3, against=0.8, draws=0)
    assert plan.comparison is not None
    assert plan.patients == plan.comparison.patients > plan.validation.criteria[0].patients
    assert plan.text.startswith(f"The study will include {plan.patients} patients")


def test_a_margin_alone_compares_with_an_equal_model() -> None:
    plan = bottleneck.plan_study(0.8, 0.3, margin=0.05, draws=0)
    assert plan.comparison is not None
    assert plan.comparison.criteria[0].name == "AUROC of 0.8 against 0.8"
    assert "expected to have an AUROC of 0.8. " in plan.text
    assert "a loss of less than 0.05 is shown with a probability of 80 %" in plan.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widht": 0.1}, "width"),
        ({"width": 1.5}, "width must be"),
        ({"images_per_patient": 3}, "icc"),
        ({"icc": 0.5}, "images per patient as well"),
        ({"draws": -1}, "draws must be"),
    ],
    ids=["misspelt", "too wide", "without icc", "icc of one image", "negative"],
)
def test_wrong_options_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bottleneck.plan_study(0.8, 0.2, **options)
