"""``bottleneck reproduce``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from bottleneck.cli.console import Json, Quiet, progress, say, show, show_json
from bottleneck.cli.reading import (
    Crop,
    FoldColumn,
    IdColumn,
    LabelColumn,
    Name,
    PathColumn,
    PatientColumn,
    PatientPattern,
    SplitColumn,
)
from bottleneck.errors import UsageError
from bottleneck.report.terminal import wrap

if TYPE_CHECKING:
    from bottleneck.studies.cuts import Cuts
    from bottleneck.studies.study import Study

_CUTS, _MACHINE = "What is cut or changed", "Machine"


def _cut(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel=_CUTS, show_default=False)


Weights: TypeAlias = Annotated[
    list[str] | None,
    _cut(
        "random, in place of all pretrained weights; or NAME=FILE for those that the study calls "
        "NAME (`radimagenet=resnet18.pt`). May be given several times."
    ),
]
Limit: TypeAlias = Annotated[int | None, _cut("Patients, in proportion to the classes.")]
Folds: TypeAlias = Annotated[int | None, _cut("Folds of every cross-validation.")]
Epochs: TypeAlias = Annotated[int | None, _cut("Epochs of every training, at most.")]
Seeds: TypeAlias = Annotated[int | None, _cut("Networks of each trained arm and fold.")]
Arms: TypeAlias = Annotated[list[str] | None, _cut("Only this arm; may be given several times.")]
Protocols: TypeAlias = Annotated[
    list[str] | None, _cut("Only this protocol; may be given several times.")
]
Backbones: TypeAlias = Annotated[
    list[str] | None,
    _cut("OLD=NEW takes another network; may be given several times."),
]
Also: TypeAlias = Annotated[
    list[str] | None,
    _cut("BACKBONE=WEIGHTS adds a frozen network, with the study's heads."),
]
External: TypeAlias = Annotated[
    str | None, typer.Option(help="Another data set, to test on.", show_default=False)
]
Output: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="Folder of features, trainings and reports.", show_default="studies/NAME"),
]
Positive: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Label of the positive class.", show_default="as the study calls it"),
]
Check: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--check", help="Only hold the published figures against each other; needs no data."
    ),
]
Device: TypeAlias = Annotated[
    str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=_MACHINE)
]
Jobs: TypeAlias = Annotated[
    int, typer.Option(help="Processes; -1 for one a core.", rich_help_panel=_MACHINE)
]


def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="A published study; without one, they are listed.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data set, as for `bottleneck extract`.", show_default=False),
    ] = None,
    external: External = None,
    check: Check = False,
    output: Output = None,
    positive: Positive = None,
    weights: Weights = None,
    limit: Limit = None,
    folds: Folds = None,
    epochs: Epochs = None,
    seeds: Seeds = None,
    arm: Arms = None,
    protocol: Protocols = None,
    backbone: Backbones = None,
    also: Also = None,
    device: Device = "auto",
    jobs: Jobs = -1,
    patient_pattern: PatientPattern = None,
    crop: Crop = False,
    data_name: Name = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    patient_column: PatientColumn = None,
    split_column: SplitColumn = None,
    fold_column: FoldColumn = None,
    id_column: IdColumn = None,
    quiet: Quiet = False,
    as_json: Json = False,
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
    study = load_study(name)
    if check:
        show_check(study, as_json=as_json)
        return
    cuts = read_cuts(weights, limit, folds, epochs, seeds, arm, protocol, backbone, also, device)
    columns = {
        "path": path_column,
        "label": label_column,
        "patient": patient_column,
        "split": split_column,
        "fold": fold_column,
        "id": id_column,
    }
    how = {
        "columns": {role: column for role, column in columns.items() if column},
        "patient_pattern": patient_pattern,
        "crop": crop,
        "name": data_name,
    }
    run_and_show(
        study,
        data,
        external,
        cuts,
        how,
        output=output or Path("studies") / study.name,
        positive=positive,
        device=device,
        jobs=jobs,
        quiet=quiet,
        as_json=as_json,
    )


def read_cuts(
    weights: Sequence[str] | None,
    limit: int | None,
    folds: int | None,
    epochs: int | None,
    seeds: int | None,
    arms: Sequence[str] | None,
    protocols: Sequence[str] | None,
    backbones: Sequence[str] | None,
    also: Sequence[str] | None,
    device: str,
) -> Cuts:
    """Make what the options cut of a study."""
    from bottleneck.studies.cuts import Cuts

    return Cuts(
        weights=dict(_pair("weights", text, alone=True) for text in weights or ()),
        backbones=dict(_pair("backbone", text) for text in backbones or ()),
        limit=limit,
        folds=folds,
        epochs=epochs,
        seeds=seeds,
        arms=tuple(arms or ()),
        protocols=tuple(protocols or ()),
        also=dict(_pair("also", text) for text in also or ()),
        training={} if device == "auto" else {"device": device},
    )


def _pair(option: str, text: str, *, alone: bool = False) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if found and key and value:
        return key, value
    if alone and text and not found:
        return "", text
    raise UsageError(f"--{option} takes NAME=VALUE, not '{text}'")


def show_check(study: Study, *, as_json: bool) -> None:
    """Say which published figures cannot hold together."""
    from bottleneck.studies.consistency import check
    from bottleneck.studies.table import contradictions

    found = check(study.parts, positive=study.positive, negative=study.negative)
    if as_json:
        show_json({"study": study.name, "contradictions": [vars(one) for one in found]})
        return
    for line in contradictions(study, found):
        show(wrap(line))


def run_and_show(
    study: Study,
    data: str | None,
    external: str | None,
    cuts: Cuts,
    how: dict[str, Any],
    *,
    output: Path,
    positive: str | None,
    device: str,
    jobs: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run a study, write its table, and print it."""
    data, external = data or study.data, external or study.external
    if data is None:
        raise UsageError(
            f"the study {study.name} needs data: --data PATH"
            + (f" ({study.needs})" if study.needs else "")
        )
    from bottleneck.data.readers import load_dataset

    label = positive or study.positive
    loaded = load_dataset(data, positive=label, **how)
    other = None
    if external is not None:
        # Only a table has columns, and its name is its own.
        columns = how["columns"] if Path(external).is_file() else {}
        other = load_dataset(external, positive=label, **{**how, "columns": columns, "name": None})
    if not quiet:
        from bottleneck.studies.table import describe

        for line in describe(study):
            mark = "- " if line.startswith("- ") else ""
            say(wrap(line.removeprefix(mark), mark))
    from bottleneck.report.formats import duration
    from bottleneck.studies.running import run_study
    from bottleneck.studies.table import as_json as to_json
    from bottleneck.studies.table import lines, tables, write

    with progress(quiet=quiet, unit="") as move:
        result = run_study(
            study,
            loaded,
            external=other,
            cuts=cuts,
            output=output,
            extraction={"device": device},
            n_jobs=jobs,
            progress=move,
        )
    path = write(result, output)
    if as_json:
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
