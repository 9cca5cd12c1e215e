"""``bottleneck plan``: say how many patients a study needs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.cli.console import (
    Json,
    Quiet,
    progress,
    say_paragraph,
    show,
    show_json,
    show_paragraph,
    show_table,
)
from bottleneck.cli.fields import Options, takes_fields
from bottleneck.errors import UsageError
from bottleneck.evaluation.planning.study_assumptions import PRECISION, StudyAssumptions

if TYPE_CHECKING:
    from rich.table import Table

    from bottleneck.evaluation.planning.study_plan import StudyPlan

# Options that the command declares itself.
_OWN = ("auroc", "prevalence", "log_odds", "risks")
_FIELDS = tuple(name for name in StudyAssumptions.__annotations__ if name not in _OWN)


@takes_fields(Options(StudyAssumptions, _FIELDS))
def plan(
    auroc: Annotated[float, typer.Option(help="AUROC that you expect of the model.")],
    prevalence: Annotated[float, typer.Option(help="Share of your patients who are positive.")],
    log_odds: Annotated[
        str | None,
        typer.Option(
            help="Mean and standard deviation of the risks' log-odds, such as -2,1.5.",
            show_default="they follow from the AUROC",
            rich_help_panel=PRECISION,
        ),
    ] = None,
    risks: Annotated[
        str | None,
        typer.Option(
            help="Parameters of a beta distribution of the risks, such as 1.3,1.7.",
            show_default=False,
            rich_help_panel=PRECISION,
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    asked: dict[str, Any],
) -> None:
    """Plan how many patients a study needs, before its data are collected.

    By the published criteria for the test of a model, and by simulation with the intervals that
    `compare` reports. With --against or --margin also for a comparison of two models.

    Example: `bottleneck plan --auroc 0.8 --prevalence 0.2 --images-per-patient 3 --icc 0.5`
    """
    from bottleneck.evaluation.planning.study_plan import plan_study

    asked["log_odds"] = _read_pair("log-odds", log_odds)
    asked["risks"] = _read_pair("risks", risks)
    with progress(quiet=quiet, unit="") as move:
        planned = plan_study(auroc, prevalence, progress=move, **asked)
    if as_json:
        show_json(_as_json(planned))
        return
    if not quiet:
        for note in planned.notes:
            say_paragraph(note, "note: ")
    show_table(_table(planned))
    if planned.design_effect > 1:
        show_paragraph(_describe_images(planned))
        show("")
    show("For the protocol:")
    show_paragraph(planned.text)


def _read_pair(name: str, text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        first, second = (float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(
            f"--{name} must be two numbers, such as 1.3,1.7, not '{text}'; write a negative one as "
            f"--{name}=-2,1.5"
        ) from None
    return first, second


def _table(planned: StudyPlan) -> Table:
    from bottleneck.report.terminal import make_table

    table = make_table()
    for heading in ("To show", "Target"):
        table.add_column(heading)
    for heading in ("Patients", "Positive"):
        table.add_column(heading, justify="right")
    for size in (planned.validation, planned.comparison, planned.development):
        for one in size.criteria if size is not None else ():
            positives = round(one.patients * planned.assumptions.prevalence)
            table.add_row(one.name, one.target, f"{one.patients:,}", f"{positives:,}")
            if one is planned.validation.criteria[0] and planned.simulated is not None:
                _add_simulated(table, planned)
    return table


def _add_simulated(table: Table, planned: StudyPlan) -> None:
    asked, found = planned.assumptions, planned.simulated
    assert found is not None
    for target, patients in (
        (f"mean width {asked.width:g}", found.patients),
        (f"80 % of studies at most {asked.width:g} wide", found.assured_patients),
    ):
        positives = round(patients * asked.prevalence)
        table.add_row("  simulated", target, f"{patients:,}", f"{positives:,}")


def _describe_images(planned: StudyPlan) -> str:
    asked = planned.assumptions
    worth = asked.images_per_patient / planned.design_effect
    return (
        f"The {asked.images_per_patient} images of a patient are worth {worth:.2f} independent "
        f"ones for the AUROC (design effect {planned.design_effect:.2f})."
    )


def _as_json(planned: StudyPlan) -> dict[str, Any]:
    sizes = {
        name: [dataclasses.asdict(one) for one in size.criteria]
        for name in ("validation", "comparison", "development")
        if (size := getattr(planned, name)) is not None
    }
    simulated = planned.simulated
    return {
        "assumptions": dataclasses.asdict(planned.assumptions),
        "patients": planned.patients,
        "patients_all_criteria": planned.validation.patients,
        **sizes,
        "simulated": None if simulated is None else dataclasses.asdict(simulated),
        "design_effect": planned.design_effect,
        "notes": planned.notes,
        "text": planned.text,
    }
