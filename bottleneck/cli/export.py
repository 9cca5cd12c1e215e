"""``bottleneck export``: hand a model over to other software."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from bottleneck.checks.check_warnings import RANDOM_WEIGHTS
from bottleneck.cli.console import (
    Json,
    LicencePolicyOption,
    Overwrite,
    Quiet,
    announce_weights_folder,
    progress,
    say,
    say_paragraph,
    say_warnings,
    show,
    show_json,
    show_paragraph,
    show_warnings,
)
from bottleneck.cli.fields import takes_fields
from bottleneck.cli.named_heads import Trust, find_own_modules
from bottleneck.cli.reading import ImageOptions
from bottleneck.cli.weights import licence_lines
from bottleneck.errors import UsageError
from bottleneck.schemas.json_schemas import JsonRecord

_QUANTISED = "A quantised copy"


def _column(of: str) -> typer.models.OptionInfo:
    return typer.Option(
        help=f"Column of {of}, if --data is a table.",
        rich_help_panel=_QUANTISED,
        show_default=False,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantisedOptions:
    """The quantised copy, and on what its loss is measured."""

    quantise: Annotated[
        bool,
        typer.Option(
            "--quantise",
            help="Also write a copy of the ONNX file with 8-bit integers, for phones, and measure "
            "on the test folds of a comparison how much it loses. This takes minutes.",
            rich_help_panel=_QUANTISED,
        ),
    ] = False
    report: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the report that evaluated the model.",
            show_default=False,
            rich_help_panel=_QUANTISED,
        ),
    ] = None
    features: Annotated[
        Path,
        typer.Option(help="Folder of its feature files.", rich_help_panel=_QUANTISED),
    ] = Path("features")
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set that the features were extracted from.",
            show_default=False,
            rich_help_panel=_QUANTISED,
        ),
    ] = None
    path_column: Annotated[str | None, _column("the image path")] = None
    label_column: Annotated[str | None, _column("the label")] = None
    id_column: Annotated[str | None, _column("the id")] = None


@takes_fields(QuantisedOptions)
def export(
    model: Annotated[
        Path,
        typer.Argument(
            help="A model of `fit` (.skops), or a folder of `finetune`.", show_default=False
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="onnx, for onnxruntime; hub, for transformers and timm; torch, for torch alone."
        ),
    ] = "onnx",
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the export.", show_default="exports/MODEL--TO"),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            help="Pictures on which the export is compared with the model: files, folders or "
            "tables. May be given several times. Default: the data set in bottleneck.toml, or "
            "else simulated pictures.",
            show_default=False,
        ),
    ] = None,
    n_pictures: Annotated[
        int, typer.Option("--pictures", help="Compare at most this many pictures.")
    ] = 100,
    weights: Annotated[
        Path | None,
        typer.Option(help="The weight file of the network.", show_default="searched by its sha256"),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="Of a training: mean, refit, or a fold such as fold-1.", show_default="mean"
        ),
    ] = None,
    licence_policy: LicencePolicyOption = "any",
    trust: Trust = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    quantised: QuantisedOptions,
) -> None:
    """Write a model as a folder for other software, and check that the probabilities are the same.

    The export takes pictures and returns calibrated probabilities. It is compared with the model on
    pictures, starting from the files. If a probability differs by more than 1e-4, nothing is
    written.

    Example: `bottleneck export models/svm.skops --to hub --images scans/`
    """
    from bottleneck.export.exporting import export_model

    if trust:
        find_own_modules()
    if not quiet:
        say(f"loading {model.name} …")
    announce_weights_folder(None if weights is None else str(weights), quiet=quiet)
    # It refuses another text itself.
    how: dict[str, Any] = {"licence_policy": licence_policy, "overwrite": overwrite}
    columns = {name: one for name, one in vars(quantised).items() if name.endswith("_column")}
    if quantised.data is not None:
        how["data"] = ImageOptions(**columns).load(quantised.data, quiet=quiet)
    elif any(columns.values()):
        raise UsageError("the columns of a table have no effect without --data: add --data")
    with progress(quiet=quiet, unit="") as move:
        made = export_model(
            model,
            to,
            output=output or Path("exports") / f"{model.stem}--{to}",
            images=images,
            n_pictures=n_pictures,
            weights=weights,
            network=network,
            trust=trust or (),
            quantise=quantised.quantise,
            report=quantised.report,
            features=quantised.features,
            progress=move,
            **how,
        )
    if not quiet:
        for note in made.notes:
            say_paragraph(note, "note: ")
    if "random" in (made.record["recipe"].get("weights"), made.record["weights"].get("name")):
        (say_warnings if as_json else show_warnings)([RANDOM_WEIGHTS])
    if as_json:
        show_json(JsonRecord("export", {"path": made.path, **made.record}))
        return
    show(str(made.path))
    for text in (*made.sentences, *licence_lines(made.record["weights"])):
        show_paragraph(text, "  ")
    show_paragraph(f"How to use it: {made.path / 'README.md'}", "  ")
