"""``bottleneck weights``: list, fetch, import and verify weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bottleneck.backbones.licences import describe_weights, licence_text
from bottleneck.cli.console import (
    Json,
    Quiet,
    announce_weights_folder,
    say_paragraph,
    show,
    show_json,
    show_table,
)
from bottleneck.cli.exit_codes import ExitCode
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.text.plain_text import visible

Backbone = Annotated[str, typer.Argument(help="A name that `bottleneck backbones` lists.")]


def licence_lines(record: Mapping[str, Any]) -> list[str]:
    """Return where the weights of features or of a model are from, and under which licence.

    Parameters
    ----------
    record : mapping
        The entry "weights" of a provenance or a model; empty for columns of an array.
    """
    if not record or record.get("name") == "random":
        return []
    return [f"weights {describe_weights(record)}"]


weights = typer.Typer(
    no_args_is_help=True,
    help="List, fetch, import and verify weights.\n\nFetched and imported weights are kept in one "
    "folder. It is BOTTLENECK_WEIGHTS if that is set; otherwise `folder` under `[weights]` in "
    "bottleneck.toml; otherwise the user's data folder "
    "(~/.local/share/bottleneck-features/weights on Linux). To extract features on a machine "
    "without internet, copy this folder there.",
)


@weights.command("list")
def list_weights(
    backbone: Annotated[
        str | None,
        typer.Argument(help="List only the weights of this backbone.", show_default=False),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List the published weights and those in the weights folder.

    Example: `bottleneck weights list resnet50`
    """
    from bottleneck.backbones.weights.folder import find_folder
    from bottleneck.backbones.weights.index import describe_weights

    rows = describe_weights(backbone)
    if as_json:
        show_json(JsonRecord("weights-list", {"weights": rows}))
        return
    if backbone:
        for row in rows:
            show(*(f"{key:<14} {value or '–'}" for key, value in row.items()), "")
    else:
        columns = ("backbone", "weights", "licence")
        _show_table([{k: row[k] for k in columns} | {"here": row["here"] or "no"} for row in rows])
    if not quiet:
        show(f"Weights folder: {find_folder().text}")


def _show_table(rows: list[dict[str, Any]]) -> None:
    from bottleneck.report.terminal import make_table

    table = make_table()
    for column in rows[0]:
        # Names are copied into other commands, and stay on one line.
        table.add_column(column, overflow="fold", no_wrap=column in ("backbone", "weights"))
    for row in rows:
        table.add_row(*(str(value or "–") for value in row.values()))
    show_table(table)


@weights.command("fetch")
def fetch_weights(
    backbone: Backbone,
    name: Annotated[
        str, typer.Option("--weights", help="A name in `bottleneck weights list`.")
    ] = "imagenet",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Download weights from the hub into the weights folder, and record their hash and licence.

    Example: `bottleneck weights fetch resnet50 --weights radimagenet`
    """
    from bottleneck.backbones.weights.index import fetch

    announce_weights_folder(quiet=quiet)
    path, record = fetch(backbone, name)
    _show_record(record, path.parent, quiet=quiet, as_json=as_json)


@weights.command("import")
def import_weights(
    file: Annotated[Path, typer.Argument(help="The weight file, in any supported layout.")],
    backbone: Annotated[
        str | None,
        typer.Option(
            help="The backbone that it belongs to.",
            show_default="recognised by the names in the file",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="The name to give to --weights later.",
            show_default="its published name, if it has one",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            help="The licence of the weights, such as apache-2.0.",
            show_default="what the publisher states, if the file is recognised",
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Recognise a weight file and copy it into the weights folder.

    Example: `bottleneck weights import model.safetensors --backbone vgg16 --as imagenet`
    """
    from bottleneck.backbones.weights.folder import folder_path
    from bottleneck.backbones.weights.index import import_file, unlike_published

    announce_weights_folder(quiet=quiet)
    record = import_file(file, name=backbone, weights=name, licence=licence)
    if unlike_published(record) and not quiet:
        say_paragraph(
            "this is not the published file: its sha256 differs. It may hold the same tensors in "
            "another format",
            "note: ",
        )
    _show_record(record, folder_path(), quiet=quiet, as_json=as_json)


def _show_record(record: Any, folder: Path, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        shown = {"path": folder / record.file, **dataclasses.asdict(record)}
        show_json(JsonRecord("weights-file", shown))
        return
    if quiet:
        show(str(folder / record.file))
        return
    revision = [f"revision {record.revision} of {record.source}"] if record.revision else []
    show(
        str(folder / record.file),
        f"layout {record.layout}, sha256 {record.sha256}, {licence_text(record.licence)}",
        *revision,
        f"Use it with: --backbone {record.encoder} --weights {record.weights}",
    )


@weights.command("verify")
def verify_weights(quiet: Quiet = False, as_json: Json = False) -> None:
    """Compare every file in the weights folder with its record. The exit code is 1 if one differs.

    Example: `bottleneck weights verify`
    """
    from bottleneck.backbones.weights.folder import find_folder
    from bottleneck.backbones.weights.index import verify

    announce_weights_folder(quiet=quiet)
    verdicts = verify()
    if as_json:
        show_json(JsonRecord("weights-verify", {"files": verdicts}))
    else:
        for verdict in verdicts:
            if quiet and verdict.state == "ok":
                continue
            # The text is that of an error, and may have further lines.
            text = f"{verdict.state:<8} {visible(verdict.file)}: {verdict.text}"
            show(*text.split("\n"))
        if not verdicts:
            show(f"{find_folder().path} contains no weights")
    if any(verdict.state == "broken" for verdict in verdicts):
        raise typer.Exit(ExitCode.CHECK_FAILED)
