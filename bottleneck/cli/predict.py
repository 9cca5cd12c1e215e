"""``bottleneck predict``: apply a model to new images."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.backbones.licences import require_licence
from bottleneck.checks.check_warnings import RANDOM_WEIGHTS
from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.cli.console import (
    Ignored,
    Json,
    LicencePolicyOption,
    Overwrite,
    Quiet,
    announce_weights_folder,
    note_readers,
    progress,
    say,
    say_paragraph,
    say_warnings,
    show,
    show_json,
    show_paragraph,
    show_table,
    show_warnings,
)
from bottleneck.cli.defaults import choose_ignored
from bottleneck.cli.fields import Options, takes_fields
from bottleneck.cli.named_heads import Trust, find_own_modules
from bottleneck.cli.reading import PatientOptions, refuse_idle
from bottleneck.cli.saving import save
from bottleneck.errors import UsageError
from bottleneck.features.options import MACHINE_OPTIONS, ExtractionOptions
from bottleneck.files.locks import lock
from bottleneck.files.writing import make_folder

if TYPE_CHECKING:
    from bottleneck.data.dataset import ImageDataset
    from bottleneck.deploy.models.model import Model
    from bottleneck.deploy.prediction.model_predictions import ModelPredictions
    from bottleneck.deploy.trained.trained_model import TrainedModel

_MOST_FAILURES = 5
_noted: set[str] = set()  # Notes that were printed.
_TRAINED = "Networks of `finetune`"


@takes_fields(PatientOptions, Options(ExtractionOptions, MACHINE_OPTIONS))
def predict(
    model: Annotated[
        Path,
        typer.Argument(
            help="A model of `fit` (.skops), or a folder of `finetune`.", show_default=False
        ),
    ],
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES",
            help="Images, folders of images or tables of them (CSV, .xlsx), with labels or "
            "without; or one feature file (.h5).",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option(help="File for the predictions, .csv or .xlsx.")] = Path(
        "predictions.csv"
    ),
    error_rate: Annotated[
        float,
        typer.Option(
            help="Share of new patients of each class whose set of classes may omit the true class."
        ),
    ] = 0.1,
    weights: Annotated[
        Path | None,
        typer.Option(help="The weight file of the network.", show_default="searched by its sha256"),
    ] = None,
    features: Annotated[
        Path, typer.Option(help="Folder of feature files. Images in them are not computed again.")
    ] = Path("features"),
    network: Annotated[
        str | None,
        typer.Option(
            help="Of a training: mean, refit, or a fold such as fold-1.",
            show_default="mean",
            rich_help_panel=_TRAINED,
        ),
    ] = None,
    at_sensitivity: Annotated[
        float | None,
        typer.Option(
            help="Decide at the threshold that reached this sensitivity in validation.",
            show_default=False,
            rich_help_panel=_TRAINED,
        ),
    ] = None,
    at_specificity: Annotated[
        float | None,
        typer.Option(
            help="Decide at the threshold that reached this specificity in validation.",
            show_default=False,
            rich_help_panel=_TRAINED,
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="image or patient.", show_default="image", rich_help_panel=_TRAINED),
    ] = None,
    aggregate: Annotated[
        str | None,
        typer.Option(
            help="A patient's score: mean or max of the images.",
            show_default="mean",
            rich_help_panel=_TRAINED,
        ),
    ] = None,
    ignore: Ignored = None,
    licence_policy: LicencePolicyOption = "any",
    trust: Trust = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    reading: PatientOptions,
    machine: dict[str, Any],
) -> None:
    """Predict new images with a fitted model, or with trained networks.

    Each image has a row: probabilities, the decision at the model's threshold, the classes that
    cannot be excluded, and the distance from the training images. With labels, the command also
    prints the metrics of an external test. The same command continues a run that was interrupted.

    Example: `bottleneck predict models/scans--resnet18--svm.skops new/ --output new.csv`
    """
    from bottleneck.deploy.prediction.prediction_files import patients_path, refuse_existing
    from bottleneck.statistics.probabilities.conformal_prediction import check_error_rate

    check_error_rate(error_rate)
    refuse_existing(output, overwrite=overwrite)
    codes = choose_ignored(ignore, quiet=quiet)
    _refuse_order(model, sources)
    loaded = _load(model, trust or [])
    require_licence(loaded.weights, licence_policy)
    trained = {
        "network": network,
        "at_sensitivity": at_sensitivity,
        "at_specificity": at_specificity,
        "unit": unit,
        "aggregate": aggregate,
    }
    make_folder(output.parent)
    with lock(output, "prediction"):
        refuse_existing(output, overwrite=overwrite)
        made = run(
            loaded,
            sources,
            reading,
            quiet=quiet,
            weights=weights,
            features=features,
            error_rate=error_rate,
            ignore=codes,
            trained={name: value for name, value in trained.items() if value is not None},
            machine=machine,
        )
        folder, problem = save(
            lambda folder: made.save(folder / output.name, overwrite=overwrite), output.parent
        )
    _show(made, loaded, folder / output.name, quiet=quiet, as_json=as_json)
    written = folder / output.name
    note_readers(folder, [written, patients_path(written)], quiet=quiet, alone=True)
    if problem is not None:
        raise problem


def run(
    model: Model | TrainedModel,
    images: Sequence[Path],
    reading: PatientOptions,
    *,
    quiet: bool,
    weights: Path | None,
    features: Path,
    error_rate: float,
    ignore: tuple[str, ...],
    trained: dict[str, Any],
    machine: dict[str, Any],
) -> ModelPredictions:
    """Predict images or a feature file, and print notes on how they were read."""
    from bottleneck.deploy.inputs.new_inputs import is_of_features
    from bottleneck.deploy.models.model import Model

    given: Path | list[Path] = images[0] if len(images) == 1 else list(images)
    if isinstance(model, Model):
        if idle := [f"--{name.replace('_', '-')}" for name in trained]:
            raise UsageError(
                f"{', '.join(idle)} is for the networks of a training, and this model was fitted "
                "with its threshold and unit: leave it out"
            )
        predict: Callable[..., ModelPredictions] = model.predict
    else:
        predict = functools.partial(model.predict, **trained)
    if is_of_features(given, model.recipe):
        refuse_idle(reading, "on a feature file")
        if weights is not None:
            raise UsageError("features need no network: leave out --weights")
        return predict(given, error_rate=error_rate, ignore=ignore, quiet=True)
    dataset = _read(given, model, reading, quiet=quiet)
    if model.recipe:
        if not quiet:
            say(f"loading {model.recipe.get('backbone')} …")
        announce_weights_folder(str(weights or model.recipe.get("weights")), quiet=quiet)
    with progress(quiet=quiet, unit=f"{dataset.noun}s") as show_progress:
        return predict(
            dataset,
            error_rate=error_rate,
            ignore=ignore,
            weights=weights,
            features=features,
            progress=show_progress,
            **machine,
        )


def _refuse_order(model: Path, sources: Sequence[Path]) -> None:
    """Refuse images before the model."""
    later = [path for path in sources if path.suffix.lower() == ".skops" and path.is_file()]
    if later and model.suffix.lower() != ".skops":
        command = shlex.join(["bottleneck", "predict", str(later[0]), str(model)])
        raise UsageError(f"the model comes before the images: `{command}`")


def _load(path: Path, trust: list[str]) -> Model | TrainedModel:
    from bottleneck.deploy.model_loading import load_model

    if path.suffix.lower() in (".h5", ".hdf5"):
        raise UsageError(
            f"{path} is a feature file, but the first argument must be a model: `bottleneck fit "
            f"{path}` "
            "makes one"
        )
    if trust:
        find_own_modules()
    return load_model(path, trust=trust)


def _read(
    given: Path | list[Path], model: Model | TrainedModel, reading: PatientOptions, *, quiet: bool
) -> ImageDataset:
    from bottleneck.data.readers.new_images.image_inputs import load_new_images

    options = reading.of_new_images
    options["volumes"] |= model.noun == "volume"
    dataset = load_new_images(given, classes=model.classes, selection=model.selection, **options)
    if not quiet:
        _say_notes(dataset.notes)
        say_paragraph(dataset.summary)
    return dataset


def _show(
    made: ModelPredictions,
    model: Model | TrainedModel,
    path: Path,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    from bottleneck.report.prediction_summary import (
        describe_origin,
        describe_predictions,
        external_test_table,
        predictions_record,
    )

    # These change how the figures are read, so that --quiet does not silence them.
    say_warnings(made.warnings)
    if words := describe_ignored(made.ignored):
        say_paragraph(f"{words}.", "note: ")
    if not quiet:
        _say_notes(made.notes)
        _say_failures(made)
    if getattr(model, "recipe", {}).get("weights") == "random":
        (say_warnings if as_json else show_warnings)([RANDOM_WEIGHTS])
    if as_json:
        show_json(predictions_record(made, path))
        return
    show(str(path))
    for text in describe_predictions(made):
        show_paragraph(f"{text}.", "  ")
    if made.evaluation is not None:
        show_table(external_test_table(made, made.evaluation))
    for text in describe_origin(model):
        show_paragraph(f"{text}.", "  ")


def _say_notes(notes: Sequence[str]) -> None:
    """Print notes, each once: those of the images are also among those of the predictions."""
    for note in notes:
        if note not in _noted:
            _noted.add(note)
            say_paragraph(note, "note: ")


def _say_failures(made: ModelPredictions) -> None:
    for name, reason in made.failures[:_MOST_FAILURES]:
        say_paragraph(f"{name}: {' '.join(reason.split())}", "no prediction: ", whole=[name])
    if (more := len(made.failures) - _MOST_FAILURES) > 0:
        say_paragraph(f"… and {more} more; the column reason has all")
