"""``bottleneck backbones``: list the frozen networks, or the layers of one."""

from __future__ import annotations

from typing import Annotated

import typer

from bottleneck.cli.console import Json, Quiet, show, show_json, show_table
from bottleneck.schemas.json_schemas import JsonRecord


def backbones(
    name: Annotated[
        str | None, typer.Argument(help="The backbone whose layers to list.", show_default=False)
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List the frozen networks with their feature width, input size and weights.

    Example: `bottleneck backbones vgg16` lists its layers with their shapes.
    """
    from bottleneck.backbones.layers.layer_listing import describe_backbones, describe_layers

    rows = describe_layers(name) if name else describe_backbones()
    if as_json:
        record = {"layers": rows} if name else {"backbones": rows}
        show_json(JsonRecord("backbone-layers" if name else "backbones", record))
        return
    from bottleneck.report.terminal import make_table

    table = make_table()
    for column in rows[0]:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        cells = (", ".join(cell) if isinstance(cell, list) else str(cell) for cell in row.values())
        table.add_row(*(cell or "–" for cell in cells))
    show_table(table)
    if not name and not quiet:
        show("Any other timm model: timm/NAME[.TAG]. Weights: `bottleneck weights list`.")
