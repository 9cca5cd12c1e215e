"""Options that say how a data set is read, shared by every command that reads one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from bottleneck.data.dataset import ImageDataset

PANEL = "Reading the data set"


def _column(of: str) -> typer.models.OptionInfo:
    return typer.Option(help=f"CSV column of {of}.", rich_help_panel=PANEL)


Crop: TypeAlias = Annotated[
    bool, typer.Option("--crop", help="DDTI, TN5000: a sample a nodule.", rich_help_panel=PANEL)
]
Name: TypeAlias = Annotated[
    str | None, typer.Option(help="Name of the data set.", rich_help_panel=PANEL)
]
PatientPattern: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Regular expression that finds the patient in a file's path; the group named "
        "`patient`, the first group, or all of it. Without it, DICOM's PatientID.",
        rich_help_panel=PANEL,
    ),
]
LabelSource: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="For the report: where labels come from, such as 'biopsy'.", rich_help_panel=PANEL
    ),
]
ImageKind: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="For the report: what images show, such as 'whole frames'.", rich_help_panel=PANEL
    ),
]
PathColumn: TypeAlias = Annotated[str | None, _column("the image path")]
LabelColumn: TypeAlias = Annotated[str | None, _column("the label")]
PatientColumn: TypeAlias = Annotated[str | None, _column("the patient")]
SplitColumn: TypeAlias = Annotated[str | None, _column("train/val/test")]
FoldColumn: TypeAlias = Annotated[str | None, _column("the test fold")]
CentreColumn: TypeAlias = Annotated[str | None, _column("the centre")]
IdColumn: TypeAlias = Annotated[str | None, _column("the id")]


def read(
    data: str,
    *,
    crop: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
    id_column: str | None = None,
) -> ImageDataset:
    """Read the pictures that features were made of, to look at them again."""
    from bottleneck.data.readers import load_dataset

    columns = {"path": path_column, "label": label_column, "id": id_column}
    return load_dataset(data, columns={k: v for k, v in columns.items() if v}, crop=crop)
