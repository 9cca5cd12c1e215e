"""``bottleneck explain``: which images are wrong, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.cli.choosing import SelectionOptions
from bottleneck.cli.console import (
    Ignored,
    Json,
    LicencePolicyOption,
    Overwrite,
    Quiet,
    announce_weights_folder,
    note_readers,
    progress,
    say_paragraph,
    say_warnings,
    show,
    show_json,
    show_paragraph,
)
from bottleneck.cli.defaults import choose_ignored
from bottleneck.cli.fields import Options, takes_fields
from bottleneck.cli.named_heads import Trust, find_own_modules, get_named
from bottleneck.cli.reading import PatientOptions, refuse_idle
from bottleneck.cli.saving import save
from bottleneck.errors import UsageError
from bottleneck.features.options import MACHINE_OPTIONS, ExtractionOptions
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from bottleneck.deploy.models.model import Model
    from bottleneck.deploy.trained.trained_model import TrainedModel
    from bottleneck.explain.explanation import Explanation

_REPORT = "The report of a comparison"


@takes_fields(PatientOptions, SelectionOptions, Options(ExtractionOptions, MACHINE_OPTIONS))
def explain(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL|REPORT",
            help="A model of `fit` (.skops), a folder of `finetune`, or the folder of a report.",
            show_default=False,
        ),
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGES",
            help="For a model: images, folders of images or tables of them, with labels or "
            "without; or one feature file (.h5).",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set that was compared or trained on. Heat maps need it.",
            show_default=False,
            rich_help_panel=_REPORT,
        ),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of an arm. May be given several times.",
            show_default="all that use images",
            rich_help_panel=_REPORT,
        ),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            help="A head of the comparison that is not built in, as package.module:Class.",
            show_default=False,
            rich_help_panel=_REPORT,
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the explanation.")] = Path("explanation"),
    maps: Annotated[
        str,
        typer.Option(
            help="auto, exact (class activation), grad-cam, occlusion, or none.",
        ),
    ] = "auto",
    checks: Annotated[
        bool | None,
        typer.Option(
            "--checks/--no-checks",
            help="Compare maps of up to 40 images with those of random weights and of permuted "
            "labels.",
            show_default="yes where it is quick; no for occlusion",
        ),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            help="Known regions of the images: a table (id, polygon) or a folder of masks. "
            "Regions in DDTI and Pascal VOC data sets are recognised.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[int, typer.Option(help="Largest number of images of an arm.")] = 12,
    features: Annotated[
        list[Path] | None,
        typer.Option(
            help="Feature file of the comparison or of the training set, or a folder of such "
            "files. May "
            "be given several times.",
            show_default="features",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="The weight file of the network.", show_default="searched by its sha256"),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="Of a training, which network predicts new images: mean, refit, or a fold such as "
            "fold-1.",
            show_default="mean",
        ),
    ] = None,
    with_ids: Annotated[
        bool, typer.Option("--with-ids", help="Name samples and patients in the explanation.")
    ] = False,
    with_pictures: Annotated[
        bool, typer.Option("--with-pictures", help="Show the images. They are images of patients.")
    ] = False,
    trust: Trust = None,
    ignore: Ignored = None,
    licence_policy: LicencePolicyOption = "any",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    reading: PatientOptions,
    choosing: SelectionOptions,
    machine: dict[str, Any],
) -> None:
    """Show which images are wrong, and why: nearest training images and heat maps.

    Given a report, the command explains the misclassified images of each arm, with the head of the
    fold that tested them. Given a model, it explains the images that you name. The explanation is a
    page with tables; it names samples and shows images only on request.

    Example: `bottleneck explain report/ --data scans/ --with-pictures`
    """
    from bottleneck.data.dataset import ImageDataset
    from bottleneck.explain.explained_predictions import explain_predictions, require_licences
    from bottleneck.report.explanation_page import FINISHED, explanation_record, write_explanation
    from bottleneck.report.result_files import claim_folder

    codes = choose_ignored(ignore, quiet=quiet)
    given = sources or []
    loaded = _load(model, trust or [])
    if not given and data is None:
        refuse_idle(reading, "without images or --data: add one of them")
    if given and data is not None:
        raise UsageError("images are for a model, and --data is for a report: give one of them")
    require_licences(loaded, licence_policy)
    with claim_folder(output, FINISHED, "explanation", overwrite=overwrite):
        dataset = None if data is None else reading.load(data, quiet=quiet)
        new = _read_new(loaded, given, reading, quiet=quiet)
        if given or data is not None:
            announce_weights_folder(None if weights is None else str(weights), quiet=quiet)
        if head and any(":" in one for one in head):
            find_own_modules()
        with progress(quiet=quiet, unit="images") as move:
            made = explain_predictions(
                loaded,
                new,
                data=dataset,
                features=[Path("features")] if features is None else features,
                arms=tuple(arm or ()),
                heads=[get_named(one) for one in head or ()],
                selection=choosing.read(()),
                maps=maps,  # type: ignore[arg-type] # It is checked.
                checks=checks,
                regions=regions,
                most=most,
                network=network,
                weights=weights,
                ignore=codes,
                progress=move,
                **machine,
            )
        folder, problem = save(
            lambda place: write_explanation(
                made, place, with_ids=with_ids, with_pictures=with_pictures, overwrite=True
            ),
            output,
        )
    noted = new.notes if isinstance(new, ImageDataset) else ()  # They were printed on reading.
    _show(made, folder, noted, quiet=quiet, record=explanation_record(made) if as_json else None)
    if with_ids or with_pictures:
        private = [folder / name for name in ("explanation.html", "explanation.csv", "images")]
        note_readers(folder, private, quiet=quiet)
    if problem is not None:
        raise problem


def _load(source: Path, trust: list[str]) -> Path | Model | TrainedModel:
    """Return a model; of a report, its path."""
    from bottleneck.deploy.model_loading import load_model

    if source.suffix.lower() in (".h5", ".hdf5"):
        raise UsageError(
            f"{source} is a feature file, but the first argument must be a model or a report: "
            "`bottleneck compare` makes a report from it"
        )
    is_training = (source / "training.json").exists()
    if trust and source.suffix.lower() != ".skops":
        raise UsageError("--trust is for the file of a model (.skops): leave it out")
    if source.suffix.lower() != ".skops" and not is_training:
        return source
    if trust:
        find_own_modules()
    return load_model(source, trust=trust)


def _read_new(
    loaded: Path | Model | TrainedModel, given: list[Path], reading: PatientOptions, *, quiet: bool
) -> Any:
    """Return the images that a model is given, read with the options of the command."""
    from bottleneck.deploy.inputs.new_inputs import is_of_features

    if not given:
        return None
    images: Path | list[Path] = given[0] if len(given) == 1 else given
    if isinstance(loaded, Path):
        refuse_idle(reading, "on these images")
        return images
    if is_of_features(images, loaded.recipe):
        refuse_idle(reading, "on a feature file")
        return images
    sources = [str(one) for one in given]
    return reading.load_new(
        sources[0] if len(sources) == 1 else sources,
        quiet=quiet,
        classes=loaded.classes,
        selection=loaded.selection,
        volumes=reading.volumes or loaded.noun == "volume",
    )


def _show(
    made: Explanation,
    folder: Path,
    noted: Sequence[str],
    *,
    quiet: bool,
    record: dict[str, Any] | None,
) -> None:
    say_warnings(made.warnings)
    if words := describe_ignored(made.ignored):
        say_paragraph(f"{words}.", "note: ")
    for text in made.notes if not quiet else ():
        if text not in noted:
            say_paragraph(text, "note: ")
    if record is not None:
        show_json(JsonRecord("explain", {"path": folder, **record}))
        return
    for one in made.arms:
        of = f" of {counted(one.n_labelled, made.unit)}"
        shown = f"{len(one.cases)} shown"
        wrong = f"{one.n_wrong}{of} {one.misclassified}"
        what = wrong if one.n_labelled else "no label is known"
        show_paragraph(f"{one.name}: {what}, {shown}.")
        for text in (*one.words, *(one.checks.words if one.checks else ())):
            show_paragraph(text, "  ")
    show(f"Explanation: {folder / 'explanation.html'}")
