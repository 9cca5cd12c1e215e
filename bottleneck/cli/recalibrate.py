"""``bottleneck recalibrate``: fit a model to labelled cases of one's own hospital."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.backbones.licences import require_licence
from bottleneck.checks.check_warnings import RANDOM_WEIGHTS
from bottleneck.cli.choosing import SelectionOptions, choose
from bottleneck.cli.console import (
    Json,
    LicencePolicyOption,
    Quiet,
    say_paragraph,
    show,
    show_json,
    show_paragraph,
    show_table,
    show_warnings,
)
from bottleneck.cli.fields import takes_fields
from bottleneck.cli.named_heads import Trust, find_own_modules
from bottleneck.cli.saving import save
from bottleneck.errors import UsageError
from bottleneck.files.locks import lock
from bottleneck.files.writing import make_folder
from bottleneck.schemas.json_schemas import JsonRecord

if TYPE_CHECKING:
    from rich.table import Table

    from bottleneck.deploy.recalibration_result import Recalibration


@takes_fields(SelectionOptions)
def recalibrate(
    model: Annotated[Path, typer.Argument(help="Model (.skops) that fit wrote.")],
    features: Annotated[Path, typer.Argument(help="Feature file of labelled cases.")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="File for the new model. The path of MODEL itself replaces it. Default: next to "
            "MODEL, with --recalibrated in its name.",
            show_default=False,
        ),
    ] = None,
    what: Annotated[str, typer.Option(help="probabilities or threshold.")] = "probabilities",
    seed: Annotated[int, typer.Option(help="Seed of the folds.")] = 0,
    trust: Trust = None,
    licence_policy: LicencePolicyOption = "any",
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    choosing: SelectionOptions,
) -> None:
    """Fit the probabilities or the threshold of a model to cases from your own hospital.

    This needs at least 20 cases of each class that the model was not trained on, and 20 patients of
    each class if the patients are known. The command prints the old and the cross-validated new
    figures.

    Example: `bottleneck recalibrate models/phantom.skops features/ours.h5`
    """
    from bottleneck.deploy.models.model_file import read_model
    from bottleneck.deploy.recalibration import recalibrate as move
    from bottleneck.features.file.reader import load_features

    if model.is_dir():
        raise UsageError(
            f"{model} is a folder, but recalibrate takes the file of a model that fit wrote; "
            "trained networks cannot be recalibrated"
        )
    if trust:
        find_own_modules()
    old = read_model(model, trust=trust or ())
    require_licence(old.weights, licence_policy)
    target = _name_output(model, output, len(old.recalibrations))
    cases = choose(load_features(features), choosing, quiet=quiet)
    make_folder(target.parent)
    with lock(target, "recalibration"):
        # Nothing but --output names a file that is replaced.
        if output is None and target.exists():
            raise UsageError(f"{target} exists already: name the file for the model with --output")
        # It refuses another text itself.
        made = move(old, cases, what=what, seed=seed, quiet=quiet)  # type: ignore[arg-type]
        saved, problem = save(lambda folder: made.model.save(folder / target.name), target.parent)
    if as_json:
        show_json(JsonRecord("recalibrate", _as_json(saved / target.name, made)))
    else:
        if old.recipe.get("weights") == "random":
            show_warnings([RANDOM_WEIGHTS])
        if not quiet:
            for note in made.notes:
                say_paragraph(note, "note: ")
        show_table(_table(made))
        show_paragraph(f"{made.words}.")
        show(str(saved / target.name))
    if problem is not None:
        raise problem


def _name_output(model: Path, output: Path | None, n_before: int) -> Path:
    """Return the file for the new model."""
    if output is None:
        stem = model.stem.partition("--recalibrated")[0]
        number = f"-{n_before + 1}" if n_before else ""
        return model.with_name(f"{stem}--recalibrated{number}{model.suffix}")
    if output.is_dir():
        raise UsageError(f"{output} is a folder: name a file for the new model, such as new.skops")
    if output.suffix != ".skops":
        raise UsageError(f"--output names a model, which ends in .skops, not '{output.name}'")
    return output


def _table(made: Recalibration) -> Table:
    from bottleneck.report.tables.recalibration_table import (
        HEADER,
        describe_caveats,
        recalibration_rows,
    )
    from bottleneck.report.terminal import make_table

    table = make_table(caption=describe_caveats(made))
    for heading in HEADER:
        table.add_column(heading)
    for row in recalibration_rows(made):
        table.add_row(*row)
    return table


def _as_json(path: Path, made: Recalibration) -> dict[str, Any]:
    return {
        "path": path,
        **made.model.recalibrations[-1],
        "words": made.words,
        "notes": made.notes,
    }
