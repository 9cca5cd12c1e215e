"""``bottleneck reproduce``: run a published study."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.cli.compare import list_private
from bottleneck.cli.console import (
    Ignored,
    Json,
    LicencePolicyOption,
    Overwrite,
    Quiet,
    announce_weights_folder,
    note_readers,
    progress,
    say_paragraph,
    show,
    show_json,
    show_note,
    show_paragraph,
    show_table,
)
from bottleneck.cli.defaults import choose_ignored
from bottleneck.cli.fields import Options, takes_fields
from bottleneck.cli.reading import Name, SampleOptions, options_of_each
from bottleneck.cli.saving import save
from bottleneck.errors import ReportError, UsageError
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.studies.overrides import CHANGES, Overrides

if TYPE_CHECKING:
    from bottleneck.studies.study import Study
    from bottleneck.studies.study_results import StudyProtocolResult, StudyResult

_MACHINE = "Machine"
_MAPS = "Maps"


def _change(help: str) -> Any:
    return typer.Option(help=help, rich_help_panel=CHANGES, show_default=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Options of a run of a study, apart from its data."""

    external: Annotated[
        str | None, typer.Option(help="Another data set to test on.", show_default=False)
    ] = None
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only check the published figures for contradictions. Needs no data."
        ),
    ] = False
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of features, trainings and reports.", show_default="studies/NAME"
        ),
    ] = None
    overwrite: Overwrite = False
    positive: Annotated[
        str | None,
        typer.Option(help="Label of the positive class.", show_default="the study's name for it"),
    ] = None
    weights: Annotated[
        list[str] | None,
        _change(
            "random replaces all pretrained weights; NAME=FILE replaces those that the study "
            "calls NAME (`radimagenet=resnet18.pt`). May be given several times."
        ),
    ] = None
    arm: Annotated[list[str] | None, _change("Only this arm. May be given several times.")] = None
    protocol: Annotated[
        list[str] | None, _change("Only this protocol. May be given several times.")
    ] = None
    backbone: Annotated[
        list[str] | None,
        _change("OLD=NEW replaces a network. May be given several times."),
    ] = None
    also: Annotated[
        list[str] | None,
        _change("BACKBONE=WEIGHTS adds a frozen network with the study's heads."),
    ] = None
    maps: Annotated[
        str | None,
        typer.Option(
            help="Heat maps of the trained networks: auto, exact, grad-cam, occlusion, or none.",
            show_default="as the study states",
            rich_help_panel=_MAPS,
        ),
    ] = None
    with_ids: Annotated[
        bool,
        typer.Option(
            "--with-ids",
            help="Name samples and patients next to the maps.",
            rich_help_panel=_MAPS,
        ),
    ] = False
    with_pictures: Annotated[
        bool,
        typer.Option(
            "--with-pictures",
            help="Show the images under the maps. They are images of patients.",
            rich_help_panel=_MAPS,
        ),
    ] = False
    ignore: Ignored = None
    licence_policy: LicencePolicyOption = "any"
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=_MACHINE)
    ] = "auto"
    jobs: Annotated[
        int,
        typer.Option(help="Number of processes; -1 for one per core.", rich_help_panel=_MACHINE),
    ] = -1
    data_name: Name = None
    quiet: Quiet = False
    as_json: Json = False

    def overrides(self, numbers: dict[str, Any]) -> Overrides:
        """Return the changes of the study, given those that are fields of ``Overrides``."""
        return Overrides(
            weights=dict(_pair("weights", text, alone=True) for text in self.weights or ()),
            backbones=dict(_pair("backbone", text) for text in self.backbone or ()),
            arms=tuple(self.arm or ()),
            protocols=tuple(self.protocol or ()),
            also=dict(_pair("also", text) for text in self.also or ()),
            training={} if self.device == "auto" else {"device": self.device},
            **numbers,
        )


takes_study = takes_fields(
    StudyOptions,
    Options(Overrides, ("limit", "folds", "epochs", "seeds", "patch_size", "conflicts")),
    SampleOptions,
)


@takes_study
def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="A published study. Without one, the studies are listed.")
    ] = None,
    datasets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]DATA",
            help="Data sets, as for `bottleneck extract`. The study runs on each alone and on all "
            "of them combined.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data set, as for `bottleneck extract`.", show_default=False),
    ] = None,
    *,
    options: StudyOptions,
    numbers: dict[str, Any],
    reading: SampleOptions,
) -> None:
    """Run a published study on your copy of its data, and compare the figures in one table.

    Finished work is kept: the same command continues an interrupted run.

    Example: `bottleneck reproduce sai-sundar --data ddti/ --weights random --epochs 2`
    """
    from bottleneck.studies.study import PUBLISHED, load_study

    if name is None:
        for known in PUBLISHED:
            show_paragraph(f"{known}: {load_study(known).title}")
        return
    study, overrides = load_study(name), options.overrides(numbers)
    given = [*(datasets or ()), *([data] if data else ())]
    if len(given) > 1:
        show_on_each(study, given, options, overrides, reading)
    else:
        show_study(study, given[0] if given else None, options, overrides, reading)


def _pair(option: str, text: str, *, alone: bool = False) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if sign and key and value:
        return key, value
    if alone and text and not sign:
        return "", text
    raise UsageError(f"--{option} must be NAME=VALUE, not '{text}'")


def _show_check(study: Study, *, as_json: bool) -> None:
    from bottleneck.studies.consistency.check import check_study
    from bottleneck.studies.consistency.confusion_matrices import recover_matrices
    from bottleneck.studies.figure_table import contradictions

    contradicting, recovered = check_study(study), recover_matrices(study.published)
    if as_json:
        record = {
            "study": study.name,
            "contradictions": contradicting,
            "confusion_matrices": recovered,
        }
        show_json(JsonRecord("reproduce-check", record))
        return
    for one in recovered:
        show_paragraph(one.words)
    for line in contradictions(study, contradicting):
        show_paragraph(line)


def show_study(
    study: Study,
    data: str | None,
    options: StudyOptions,
    overrides: Overrides,
    reading: SampleOptions,
) -> None:
    """Run a study, write its table and print it; or check its published figures."""
    if options.check:
        _show_check(study, as_json=options.as_json)
        return
    data, external = data or study.data, options.external or study.external
    if data is None:
        raise UsageError(
            f"the study {study.name} needs data: --data PATH"
            + (f" ({study.needs})" if study.needs else "")
        )
    positive = options.positive or study.positive
    how, *others = options_of_each(reading, [data] if external is None else [data, external])
    loaded = how.load(data, quiet=options.quiet, name=options.data_name, positive=positive)
    other = None
    if external is not None:
        # The external data set keeps its own name.
        other = others[0].load(external, quiet=options.quiet, positive=positive)
    if not options.quiet:
        from bottleneck.studies.figure_table import describe

        for line in describe(study):
            mark = "- " if line.startswith("- ") else ""
            say_paragraph(line.removeprefix(mark), mark)
    from bottleneck.studies.figure_table import as_json as to_json
    from bottleneck.studies.figure_table import write
    from bottleneck.studies.runner import run_study

    keywords = _prepare(study, options, overrides)
    with progress(quiet=options.quiet, unit="") as move:
        result = run_study(study, loaded, external=other, progress=move, **keywords)
    output, problem = save(lambda place: write(result, place), keywords["output"])
    _note_readers(output, result.protocols, options)
    if options.as_json:
        show_json(to_json(result))
    else:
        _print(result, "" if problem else f"Table: {output / 'study.md'}, study.json")
    _raise_problems(result.protocols, problem)


def _prepare(study: Study, options: StudyOptions, overrides: Overrides) -> dict[str, Any]:
    """Return the keywords of a run, and print the weights folder that it uses."""
    from bottleneck.backbones.recipe import slug

    if options.weights != ["random"]:
        announce_weights_folder(quiet=options.quiet)
    return {
        "overrides": overrides,
        "output": options.output or Path("studies") / slug(study.name),
        "overwrite": options.overwrite,
        "extraction": {"device": options.device},
        "maps": options.maps,
        "ignore": choose_ignored(options.ignore, quiet=options.quiet),
        "licence_policy": options.licence_policy,
        "with_ids": options.with_ids,
        "with_pictures": options.with_pictures,
        "n_jobs": options.jobs,
        "note": show_note(quiet=options.quiet),
    }


def _note_readers(
    output: Path, reports: Sequence[StudyProtocolResult], options: StudyOptions
) -> None:
    private = [path for p in reports for path in list_private(p.report.parent)]
    if options.with_ids or options.with_pictures:
        private += [page.parent for p in reports for page in p.explanations.values()]
    note_readers(output, [*(output / "features").glob("*.h5"), *private], quiet=options.quiet)


def _raise_problems(reports: Sequence[StudyProtocolResult], problem: object) -> None:
    problems = [p.problem for p in reports if p.problem] + ([str(problem)] if problem else [])
    if problems:
        raise ReportError(" ".join(problems))


def show_on_each(
    study: Study,
    given: Sequence[str],
    options: StudyOptions,
    overrides: Overrides,
    reading: SampleOptions,
) -> None:
    """Run a study on each data set and on all as one; write one table of all, and print it."""
    for option, value in (("--external", options.external), ("--data-name", options.data_name)):
        if value is not None:
            raise UsageError(
                f"{option} is for a single data set: leave it out"
                + (", and name each as NAME=PATH" if option == "--data-name" else "")
            )
    if options.check:
        raise UsageError("--check only checks the published figures: leave the data set out")
    from bottleneck.studies.several import (
        combined_json,
        combined_lines,
        combined_tables,
        run_on_each,
        write_combined,
    )

    positive = options.positive or study.positive
    paths, names = zip(*map(_path_and_name, given), strict=True)
    loaded = [
        how.load(path, quiet=options.quiet, name=own, positive=positive)
        for how, path, own in zip(options_of_each(reading, paths), paths, names, strict=True)
    ]
    keywords = _prepare(study, options, overrides)
    with progress(quiet=options.quiet, unit="") as move:
        results = run_on_each(study, loaded, progress=move, **keywords)
    output, problem = save(lambda place: write_combined(results, place), keywords["output"])
    reports = [p for result in results.values() for p in result.protocols]
    _note_readers(output, reports, options)
    if options.as_json:
        show_json(combined_json(results))
    else:
        for table in combined_tables(results):
            show_table(table)
        for line in combined_lines(results):
            show_paragraph(line)
        if problem is None:
            show(f"Table: {output / 'study.md'}, study.json")
        _show_pages(reports)
    _raise_problems(reports, problem)


def _show_pages(reports: Sequence[StudyProtocolResult]) -> None:
    """Print where the reports and the pages with heat maps are."""
    for protocol in reports:
        if protocol.report.exists():
            show(f"Report: {protocol.report}")
        for arm, page in protocol.explanations.items():
            show(f"Errors and maps of '{arm}': {page}")


def _path_and_name(text: str) -> tuple[str, str | None]:
    """Return the path of a data set, and its name where it is given as NAME=DATA."""
    name, sign, path = text.partition("=")
    if not sign or Path(text).exists():
        return text, None
    if not name.strip() or not path:
        raise UsageError(f"'{text}' must be DATA or NAME=DATA, such as Bern=scans/")
    return path, name


def _print(result: StudyResult, where: str) -> None:
    from bottleneck.report.wording.number_format import duration
    from bottleneck.studies.figure_table import lines, tables

    for table in tables(result):
        show_table(table)
    for line in lines(result):
        show_paragraph(line)
    if where:
        show(where)
    _show_pages(result.protocols)
    show(f"Time: {duration(result.seconds)}")
