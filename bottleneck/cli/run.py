"""``bottleneck run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bottleneck.cli.console import Json, Quiet
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
from bottleneck.cli.reproduce import (
    Also,
    Arms,
    Backbones,
    Check,
    Device,
    Epochs,
    External,
    Folds,
    Jobs,
    Limit,
    Output,
    Positive,
    Protocols,
    Seeds,
    Weights,
    read_cuts,
    run_and_show,
    show_check,
)


def run(
    file: Annotated[Path, typer.Argument(help="A study of your own, a TOML file.")],
    data: Annotated[
        str | None,
        typer.Option(help="Data set, as for `bottleneck extract`.", show_default="the file's"),
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
    """Run a study of your own: data, protocols, arms, and figures to hold them against.

    The files of the published studies show how one is written; `bottleneck reproduce` lists them.

    Example: `bottleneck run study.toml --epochs 2`
    """
    from bottleneck.studies.study import read_study

    study = read_study(file)
    if check:
        show_check(study, as_json=as_json)
        return
    columns = {
        "path": path_column,
        "label": label_column,
        "patient": patient_column,
        "split": split_column,
        "fold": fold_column,
        "id": id_column,
    }
    run_and_show(
        study,
        data,
        external,
        read_cuts(weights, limit, folds, epochs, seeds, arm, protocol, backbone, also, device),
        {
            "columns": {role: column for role, column in columns.items() if column},
            "patient_pattern": patient_pattern,
            "crop": crop,
            "name": data_name,
        },
        output=output or Path("studies") / study.name,
        positive=positive,
        device=device,
        jobs=jobs,
        quiet=quiet,
        as_json=as_json,
    )
