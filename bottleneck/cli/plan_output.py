"""What ``bottleneck plan`` prints: tables of patients, the curve of a pilot, and JSON."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.cli.console import say_paragraph, show, show_paragraph, show_table
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.statistics.planning.sample_size import expected_positives

if TYPE_CHECKING:
    from rich.table import Table

    from bottleneck.evaluation.planning.pilot_plan import PilotPlan
    from bottleneck.evaluation.planning.study_plan import StudyPlan

__all__ = ["show_pilot", "show_study", "to_json"]


def show_pilot(pilot: PilotPlan, *, quiet: bool) -> None:
    """Print the learning curve of a pilot, measured and predicted."""
    from bottleneck.report.terminal import make_table

    if words := describe_ignored(pilot.ignored):
        say_paragraph(f"{words}.", "note: ")
    if not quiet:
        for warning in pilot.warnings:
            say_paragraph(warning, f"note: {warning.code} ")
        if pilot.patients.n_mixed:
            say_paragraph(
                f"{pilot.patients.n_mixed} of {pilot.patients.n_patients} patients have images of "
                "both classes. These patients count as positive below, and the plan assumes that "
                "all images of a patient have one class.",
                "note: ",
            )
    table = make_table()
    for heading in ("Patients", "Trained on", "AUROC", "95 % interval"):
        table.add_column(heading, justify="right")
    points, whole = pilot.points, pilot.auroc
    for n, value in zip(points.n_patients[:-1], points.auroc[:-1], strict=True):
        table.add_row("", f"{n:,.0f}", f"{value:.3f}", "")
    bounds = "" if whole.low is None else f"{whole.low:.2f}–{whole.high:.2f}"
    n = points.n_patients[-1]
    pilots = f"{pilot.patients.n_patients:,} (pilot)"
    table.add_row(pilots, f"{n:,.0f}", f"{whole.value:.3f}", bounds)
    for one in pilot.future:
        share = f"{one.times * pilot.points.n_patients[-1]:,.0f}"
        interval = f"{one.low:.2f}–{one.high:.2f}"
        table.add_row(f"{one.n_patients:,}", share, f"{one.value:.3f}", interval)
    show_table(table)
    if pilot.refusal:
        show_paragraph(pilot.refusal)
    else:
        show_paragraph(
            "The last rows extrapolate the learning curve: the average AUROC with as many "
            "patients of the same kind, and with the same features and classifier. Where the "
            "interval is wider than 0.3, the curve says little."
        )
    show("")


def show_study(planned: StudyPlan, *, quiet: bool) -> None:
    """Print how many patients each criterion needs."""
    if not quiet:
        for note in planned.notes:
            say_paragraph(note, "note: ")
    show_table(_table(planned))
    if planned.design_effect > 1:
        show_paragraph(_describe_images(planned))
        show("")


def _table(planned: StudyPlan) -> Table:
    from bottleneck.report.terminal import make_table

    table = make_table()
    for heading in ("To show", "Target"):
        table.add_column(heading)
    for heading in ("Patients", "Positive"):
        table.add_column(heading, justify="right")
    for size in (planned.validation, planned.comparison, planned.development):
        for one in size.criteria if size is not None else ():
            positives = expected_positives(one.patients, planned.assumptions.prevalence)
            table.add_row(one.name, one.target, f"{one.patients:,}", f"{positives:,}")
            if one is planned.validation.criteria[0] and planned.simulated is not None:
                _add_simulated(table, planned)
    return table


def _add_simulated(table: Table, planned: StudyPlan) -> None:
    asked, found = planned.assumptions, planned.simulated
    assert found is not None
    for target, patients in (
        (f"mean width {found.mean_width:.2g}", found.patients),
        (f"80 % of studies at most {asked.width:g} wide", found.assured_patients),
    ):
        positives = expected_positives(patients, asked.prevalence)
        table.add_row("  simulated", target, f"{patients:,}", f"{positives:,}")


def _describe_images(planned: StudyPlan) -> str:
    asked = planned.assumptions
    worth = asked.images_per_patient / planned.design_effect
    return (
        f"The {asked.images_per_patient} images of a patient are worth {worth:.2f} independent "
        f"ones for the AUROC (design effect {planned.design_effect:.2f})."
    )


def to_json(planned: StudyPlan | None, pilot: PilotPlan | None) -> JsonRecord:
    """Return the numbers of both plans."""
    made: dict[str, Any] = {}
    if pilot is not None:
        made["pilot"] = {
            "dataset": pilot.dataset,
            "head": pilot.head,
            "positive": pilot.positive,
            "patients": dataclasses.asdict(pilot.patients),
            "auroc": dataclasses.asdict(pilot.auroc),
            "curve": pilot.to_frame().to_dict("records"),
            "future": [dataclasses.asdict(one) for one in pilot.future],
            "refusal": pilot.refusal,
            "warnings": pilot.warnings,
            "ignored": pilot.ignored,
            "text": pilot.text,
        }
    if planned is not None:
        for name in ("validation", "comparison", "development"):
            if (size := getattr(planned, name)) is not None:
                made[name] = [dataclasses.asdict(one) for one in size.criteria]
        simulated = planned.simulated
        made |= {
            "assumptions": dataclasses.asdict(planned.assumptions),
            "patients": planned.patients,
            "patients_all_criteria": planned.validation.patients,
            "simulated": None if simulated is None else dataclasses.asdict(simulated),
            "design_effect": planned.design_effect,
            "notes": planned.notes,
            "text": planned.text,
        }
    return JsonRecord("plan", made)
