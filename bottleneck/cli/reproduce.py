"""``bottleneck reproduce``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.cli.console import Json, Quiet, progress, say, show, show_json
from bottleneck.cli.fields import takes_fields
from bottleneck.cli.reading import Name, SampleOptions
from bottleneck.errors import UsageError
from bottleneck.report.terminal import wrap

if TYPE_CHECKING:
    from bottleneck.studies.overrides import Cuts
    from bottleneck.studies.study import Study

_CUTS, _MACHINE = "What is cut or changed", "Machine"


def _cut(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel=_CUTS, show_default=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """What a study is run with, beside its data."""

    external: Annotated[
        str | None, typer.Option(help="Another data set, to test on.", show_default=False)
    ] = None
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only hold the published figures against each other; needs no data."
        ),
    ] = False
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of features, trainings and reports.", show_default="studies/NAME"
        ),
    ] = None
    positive: Annotated[
        str | None,
        typer.Option(help="Label of the positive class.", show_default="as the study calls it"),
    ] = None
    weights: Annotated[
        list[str] | None,
        _cut(
            "random, in place of all pretrained weights; or NAME=FILE for those that the study "
            "calls NAME (`radimagenet=resnet18.pt`). May be given several times."
        ),
    ] = None
    limit: Annotated[int | None, _cut("Patients, in proportion to the classes.")] = None
    folds: Annotated[int | None, _cut("Folds of every cross-validation.")] = None
    epochs: Annotated[int | None, _cut("Epochs of every training, at most.")] = None
    seeds: Annotated[int | None, _cut("Networks of each trained arm and fold.")] = None
    arm: Annotated[list[str] | None, _cut("Only this arm; may be given several times.")] = None
    protocol: Annotated[
        list[str] | None, _cut("Only this protocol; may be given several times.")
    ] = None
    backbone: Annotated[
        list[str] | None, _cut("OLD=NEW takes another network; may be given several times.")
    ] = None
    also: Annotated[
        list[str] | None, _cut("BACKBONE=WEIGHTS adds a frozen network, with the study's heads.")
    ] = None
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=_MACHINE)
    ] = "auto"
    jobs: Annotated[
        int, typer.Option(help="Processes; -1 for one a core.", rich_help_panel=_MACHINE)
    ] = -1
    data_name: Name = None
    quiet: Quiet = False
    as_json: Json = False

    def cuts(self) -> Cuts:
        """Return what is cut of the study, or changed."""
        from bottleneck.studies.overrides import Cuts

        return Cuts(
            weights=dict(_pair("weights", text, alone=True) for text in self.weights or ()),
            backbones=dict(_pair("backbone", text) for text in self.backbone or ()),
            limit=self.limit,
            folds=self.folds,
            epochs=self.epochs,
            seeds=self.seeds,
            arms=tuple(self.arm or ()),
            protocols=tuple(self.protocol or ()),
            also=dict(_pair("also", text) for text in self.also or ()),
            training={} if self.device == "auto" else {"device": self.device},
        )


@takes_fields(StudyOptions, SampleOptions)
def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="A published study; without one, they are listed.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data set, as for `bottleneck extract`.", show_default=False),
    ] = None,
    *,
    options: StudyOptions,
    reading: SampleOptions,
) -> None:
    """Run a published study on your copy of its data; ours beside theirs in one table.

    What was finished is kept: the same command goes on where it stopped.

    Example: `bottleneck reproduce sai-sundar --data ddti/ --weights random --epochs 2`
    """
    from bottleneck.studies.study import PUBLISHED, load_study

    if name is None:
        for known in PUBLISHED:
            show(wrap(f"{known}: {load_study(known).title}"))
        return
    show_study(load_study(name), data, options, reading)


def _pair(option: str, text: str, *, alone: bool = False) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if found and key and value:
        return key, value
    if alone and text and not found:
        return "", text
    raise UsageError(f"--{option} takes NAME=VALUE, not '{text}'")


def _show_check(study: Study, *, as_json: bool) -> None:
    """Say which published figures cannot hold together."""
    from bottleneck.studies.consistency.check import check
    from bottleneck.studies.figure_table import contradictions

    found = check(study.parts, positive=study.positive, negative=study.negative)
    if as_json:
        show_json({"study": study.name, "contradictions": [vars(one) for one in found]})
        return
    for line in contradictions(study, found):
        show(wrap(line))


def show_study(
    study: Study, data: str | None, options: StudyOptions, reading: SampleOptions
) -> None:
    """Run a study, write its table, and print it; or check its figures."""
    if options.check:
        _show_check(study, as_json=options.as_json)
        return
    cuts = options.cuts()
    data, external = data or study.data, options.external or study.external
    if data is None:
        raise UsageError(
            f"the study {study.name} needs data: --data PATH"
            + (f" ({study.needs})" if study.needs else "")
        )
    positive = options.positive or study.positive
    loaded = reading.load(data, name=options.data_name, positive=positive)
    other = None
    if external is not None:
        # Only a table has columns, and its name is its own.
        plain = SampleOptions(crop=reading.crop, patient_pattern=reading.patient_pattern)
        how = reading if Path(external).is_file() else plain
        other = how.load(external, positive=positive)
    if not options.quiet:
        from bottleneck.studies.figure_table import describe

        for line in describe(study):
            mark = "- " if line.startswith("- ") else ""
            say(wrap(line.removeprefix(mark), mark))
    from bottleneck.report.number_format import duration
    from bottleneck.studies.figure_table import as_json as to_json
    from bottleneck.studies.figure_table import lines, tables, write
    from bottleneck.studies.runner import run_study

    output = options.output or Path("studies") / study.name
    with progress(quiet=options.quiet, unit="") as move:
        result = run_study(
            study,
            loaded,
            external=other,
            cuts=cuts,
            output=output,
            extraction={"device": options.device},
            n_jobs=options.jobs,
            progress=move,
        )
    path = write(result, output)
    if options.as_json:
        show_json(to_json(result))
        return
    for table in tables(result):
        show(table)
    for line in lines(result):
        show(wrap(line))
    show(f"Table: {path}, study.json")
    for protocol in result.protocols:
        show(f"Report: {protocol.report}")
    show(f"Time: {duration(result.seconds)}")
