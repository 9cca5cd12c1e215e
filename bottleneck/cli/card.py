"""``bottleneck card``: the card of a model, whose numbers are those of its comparison."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bottleneck.cli.console import (
    Json,
    LicencePolicyOption,
    Overwrite,
    Quiet,
    say_paragraph,
    show,
    show_json,
    show_paragraph,
)
from bottleneck.cli.exit_codes import ExitCode
from bottleneck.cli.named_heads import Trust, find_own_modules
from bottleneck.errors import UsageError
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from bottleneck.model_card.checking.card_check import CardCheck


def card(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="A model of `fit` (.skops), or a folder of `finetune`. With --check, it may be "
            "left out.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path,
        typer.Option(help="Report of the comparison that evaluated the model."),
    ] = Path("report"),
    export: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of an export of the model. May be given several times.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File to write the card to.", show_default="beside the model, ending in .md"
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            help="Compare an existing card with the report and the model. Writes nothing.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Heading of the card.", show_default="the arm and its data set"),
    ] = None,
    author: Annotated[
        list[str] | None,
        typer.Option(
            help="An author, for the citation. May be given several times.", show_default=False
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            help="Licence of the card and of the classifier, such as CC-BY-4.0.",
            show_default="not stated",
        ),
    ] = None,
    trust: Trust = None,
    licence_policy: LicencePolicyOption = "any",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the card of a model: intended use, data, and every figure of its comparison.

    The card is Markdown with the metadata of the Hugging Face hub. A comment after each number,
    which readers do not see, names its field in results.json. `--check` lists the differences
    between a card and the results, and ends with exit code 1 if there are any.

    Example: `bottleneck card models/phantom.skops --report report/`
    """
    from bottleneck.model_card.card_files import write_card
    from bottleneck.model_card.checking.card_check import check_card

    if trust:
        find_own_modules()
    if check is not None:
        writing = {
            "--output": output,
            "--name": name,
            "--author": author,
            "--licence": licence,
            "--licence-policy": licence_policy != "any",
            "--overwrite": overwrite,
        }
        if idle := [option for option, given in writing.items() if given]:
            raise UsageError(
                f"--check writes no card, and {', '.join(idle)} is for writing one: leave it out"
            )
        checked = check_card(check, report, model=model, exports=export or (), trust=trust or ())
        _report(checked, quiet=quiet, as_json=as_json)
        return
    if model is None:
        raise UsageError(
            "name the model that the card describes, such as models/phantom.skops; only --check "
            "works without it"
        )
    written = write_card(
        model,
        report,
        output,
        exports=export or (),
        name=name,
        authors=tuple(author or ()),
        licence=licence,
        trust=trust or (),
        licence_policy=licence_policy,  # type: ignore[arg-type] # It is checked.
        overwrite=overwrite,
    )
    if as_json:
        show_json(JsonRecord("card", {"path": written}))
        return
    if not quiet:
        say_paragraph(
            "Add what the software cannot know: hospitals, devices, years, how labels were "
            "established, ethics. Your own paragraphs, between empty lines, do not affect --check",
            "note: ",
        )
    show(f"Card: {written}")


def _report(made: CardCheck, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        show_json(JsonRecord("card-check", {**dataclasses.asdict(made), "agrees": made.agrees}))
    else:
        _show(made, quiet=quiet)
    if not made.agrees:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _show(made: CardCheck, *, quiet: bool) -> None:
    for one in made.differences:
        show_paragraph(f"{one}.", "differs  ")
    for text in made.notes if not quiet else ():
        say_paragraph(text, "note: ")
    if made.own_lines and not quiet:
        say_paragraph(
            f"{counted(len(made.own_lines), 'line')} written by the authors quote no results, and "
            "were not compared.",
            "note: ",
        )
    show_paragraph(
        f"{made.path} is as its results are."
        if made.agrees
        else f"{made.path} differs in {counted(len(made.differences), 'place')}."
    )
