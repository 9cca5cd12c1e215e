"""``bottleneck plan``: say how many patients a study needs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.cli.choosing import SelectionOptions, choose
from bottleneck.cli.console import (
    Ignored,
    Json,
    Quiet,
    progress,
    show,
    show_json,
    show_note,
    show_paragraph,
)
from bottleneck.cli.defaults import choose_ignored
from bottleneck.cli.fields import Options, takes_fields
from bottleneck.cli.named_heads import get_named
from bottleneck.cli.plan_output import show_pilot, show_study, to_json
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import UsageError
from bottleneck.evaluation.planning.study_assumptions import PRECISION, StudyAssumptions
from bottleneck.heads.head_catalogue import CHOICES
from bottleneck.settings.ranges import Jobs
from bottleneck.settings.schema import validate

if TYPE_CHECKING:
    from bottleneck.evaluation.planning.pilot_plan import PilotPlan

_PILOT = "A pilot"
# Options that the command declares itself.
_OWN = ("auroc", "prevalence", "log_odds", "risks")
_FIELDS = tuple(name for name in StudyAssumptions.__annotations__ if name not in _OWN)


@takes_fields(
    Options(StudyAssumptions, _FIELDS),
    Options(Protocol, ("repeats", "unit"), panel=_PILOT),
    SelectionOptions,
)
def plan(
    features: Annotated[
        Path | None,
        typer.Argument(
            help="Feature file of a pilot study, to predict the AUROC with more patients."
        ),
    ] = None,
    auroc: Annotated[
        float | None,
        typer.Option(
            help="AUROC that you expect the model to reach.",
            show_default="that of the pilot, if any",
        ),
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            help="Share of your patients who are positive.",
            show_default="that of the pilot, if any",
        ),
    ] = None,
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
    head: Annotated[
        str, typer.Option(help=f"{CHOICES}; or package.module:Class.", rich_help_panel=_PILOT)
    ] = "logistic",
    positive: Annotated[
        str | None,
        typer.Option(
            help="Label of the positive class.",
            show_default="as stated at extraction",
            rich_help_panel=_PILOT,
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(help="Number of processes; -1 for one per core.", rich_help_panel=_PILOT),
    ] = -1,
    ignore: Ignored = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    asked: dict[str, Any],
    splitting: dict[str, Any],
    choosing: SelectionOptions,
) -> None:
    """Plan how many patients a study needs, before its data are collected.

    The plan uses the published criteria for testing a model, and simulated studies with the
    intervals that `compare` reports. With the features of a pilot study, its learning curve also
    predicts the AUROC with 2, 5 and 10 times as many patients.

    Example: `bottleneck plan --auroc 0.8 --prevalence 0.2 --images-per-patient 3 --icc 0.5`
    """
    from bottleneck.evaluation.planning.study_plan import plan_study

    validate(Jobs, jobs, "the number of processes")
    asked["log_odds"] = _read_pair("log-odds", log_odds)
    asked["risks"] = _read_pair("risks", risks)
    pilot = None
    if features is not None:
        pilot = _run_pilot(
            features,
            get_named(head),
            Protocol(seed=asked.get("seed", 0), **splitting),
            choosing,
            positive=positive,
            ignore=choose_ignored(ignore, quiet=quiet),
            n_jobs=jobs,
            quiet=quiet,
        )
        auroc, prevalence = _expect(pilot, auroc, prevalence, asked)
    elif splitting or positive is not None or ignore or choosing.is_given:
        raise UsageError("--positive, --repeats, --unit, --classes and the like need a pilot")
    if pilot is None and (auroc is None or prevalence is None):
        raise UsageError(
            "give the --auroc and the --prevalence that you expect, or the feature file of a pilot"
        )
    planned = None
    if auroc is not None and prevalence is not None:
        with progress(quiet=quiet, unit="") as move:
            planned = plan_study(auroc, prevalence, progress=move, **asked)
    if as_json:
        show_json(to_json(planned, pilot))
        return
    if pilot is not None:
        show_pilot(pilot, quiet=quiet)
    if planned is not None:
        show_study(planned, quiet=quiet)
    show("For the protocol:")
    show_paragraph(" ".join(one.text for one in (pilot, planned) if one is not None))


def _run_pilot(
    features: Path,
    head: Any,
    protocol: Protocol,
    choosing: SelectionOptions,
    *,
    positive: str | None,
    ignore: tuple[str, ...],
    n_jobs: int,
    quiet: bool,
) -> PilotPlan:
    from bottleneck.evaluation.planning.pilot_plan import plan_from_pilot
    from bottleneck.features.file.reader import load_features

    loaded = choose(load_features(features), choosing, quiet=quiet)
    with progress(quiet=quiet, unit="folds") as move:
        return plan_from_pilot(
            loaded,
            head,
            protocol=protocol,
            positive=positive,
            ignore=ignore,
            n_jobs=n_jobs,
            progress=move,
            note=show_note(quiet=quiet),
        )


def _expect(
    pilot: PilotPlan, auroc: float | None, prevalence: float | None, asked: dict[str, Any]
) -> tuple[float | None, float]:
    """Take what was not stated from the pilot; no AUROC where it is not above chance."""
    patients = pilot.patients
    if auroc is None and pilot.auroc.value > 0.5:
        auroc = min(round(pilot.auroc.value, 2), 0.99)
    if "images_per_patient" not in asked:
        asked["images_per_patient"] = max(1, round(patients.images_per_patient))
    if asked["images_per_patient"] > 1 and "icc" not in asked and not math.isnan(patients.icc):
        asked["icc"] = round(patients.icc, 2)
    return auroc, round(patients.prevalence, 3) if prevalence is None else prevalence


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
