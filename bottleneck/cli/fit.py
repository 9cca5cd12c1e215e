"""``bottleneck fit``: train a head on all samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.backbones.licences import LicencePolicy, require_licence, weights_record
from bottleneck.checks.check_warnings import RANDOM_WEIGHTS
from bottleneck.cli.choosing import SelectionOptions
from bottleneck.cli.console import (
    Address,
    Engine,
    Json,
    LicencePolicyOption,
    Quiet,
    say,
    say_paragraph,
    show,
    show_json,
    show_paragraph,
    show_warnings,
)
from bottleneck.cli.defaults import fill_defaults
from bottleneck.cli.fields import Options, takes_fields
from bottleneck.cli.inputs import choose_features
from bottleneck.cli.named_heads import HEAD_HELP, get_all_named, get_named
from bottleneck.cli.saving import save
from bottleneck.cli.weights import licence_lines
from bottleneck.data.splits.protocol import Protocol
from bottleneck.deploy.models.model_types import trust_command
from bottleneck.errors import UsageError
from bottleneck.files.locks import lock
from bottleneck.files.writing import make_folder
from bottleneck.processes.cluster import share_out
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.settings.ranges import Jobs, Seed
from bottleneck.settings.schema import validate
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from bottleneck.deploy.models.model import Model
    from bottleneck.features.sets.feature_set import FeatureSet
    from bottleneck.heads.head import Head


@takes_fields(SelectionOptions, Options(Protocol, ("unit", "aggregate", "conflicts")))
def fit(
    features: Annotated[
        list[Path] | None,
        typer.Argument(help="Feature files. Default: those in features/.", show_default=False),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(help=HEAD_HELP, show_default="svm"),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the models.")] = Path("models"),
    positive: Annotated[
        str | None, typer.Option(help="Label of the positive class.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
    jobs: Annotated[int, typer.Option(help="Number of processes; -1 for one per core.")] = -1,
    at_sensitivity: Annotated[
        float | None,
        typer.Option(
            help="Keep the threshold that reaches this out-of-fold sensitivity, such as 0.95.",
            show_default=False,
        ),
    ] = None,
    at_specificity: Annotated[
        float | None,
        typer.Option(
            help="Keep the threshold that reaches this out-of-fold specificity.",
            show_default=False,
        ),
    ] = None,
    comparison: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the report that evaluated this head on these features: the model "
            "keeps its figures.",
            show_default=False,
        ),
    ] = None,
    licence_policy: LicencePolicyOption = "any",
    engine: Engine = "local",
    address: Address = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    choosing: SelectionOptions,
    counting: dict[str, Any],
) -> None:
    """Train a classifier on cached features and save it.

    The model is for use on new images. It keeps calibrated probabilities and, on request, a
    threshold. `bottleneck compare` estimates how good the model is.

    Example: `bottleneck fit --head svm --at-sensitivity 0.95`
    """
    validate(Jobs, jobs, "the number of processes")
    validate(Seed, seed, "the seed")
    if counting.get("aggregate") == "max" and counting.get("unit") != "patient":
        raise UsageError("--aggregate max has no effect without --unit patient: add that option")
    settings = {
        "at_sensitivity": at_sensitivity,
        "at_specificity": at_specificity,
        "comparison": comparison,
        "licence_policy": licence_policy,
        **counting,
    }
    names = fill_defaults({"heads": head}, quiet=quiet)["heads"] or ["svm"]
    heads = get_all_named(names)
    files = choose_features(features or [], "fit")
    if len(files) * len(heads) > 1:
        # Nothing is saved before all of it can be trained.
        _check(files, heads, choosing, positive, Protocol(seed=seed, **counting), settings)
    with share_out(engine, address):
        results = [
            run(
                path,
                one,
                output,
                choosing,
                positive=positive,
                seed=seed,
                jobs=jobs,
                quiet=quiet,
                **settings,
            )
            for path in files
            for one in heads
        ]
    if as_json:
        models = [_as_json(path, model) for path, model in results]
        show_json(JsonRecord("fit", {"models": models}))
        return
    if any(model.recipe["weights"] == "random" for _, model in results):
        show_warnings([RANDOM_WEIGHTS])
    for path, model in results:
        show_model(path, model)
        if not quiet and (types := model.untrusted_types):
            say_paragraph(
                f"note: readers of {path} must trust {', '.join(types)}, which this model needs. "
                "They type"
            )
            say(f"  {trust_command(path, types)}")


def show_model(path: Path, model: Model) -> None:
    """Print what was trained, its threshold, and what was evaluated of it."""
    from bottleneck.deploy.models.model_words import describe_order, describe_threshold

    show(str(path))
    show_paragraph(_summary(model), "  ")
    if model.operating_point is not None and model.positive is not None:
        show_paragraph(describe_threshold(model.operating_point, model.positive), "  ")
    if warning := describe_order(model):
        show_paragraph(warning, "  warning: BF405 ")
    if (evaluated := model.comparison) is not None:
        show_paragraph(f"{evaluated.words}.", "  ")
        point = model.operating_point
        if point is not None and evaluated.operating_point is None:
            option = f"--at-{point.held} {point.target:g}"
            show_paragraph(f"compare {option} evaluates this threshold too.", "  ")
    for text in licence_lines(model.weights):
        show_paragraph(text, "  ")


def run(
    features: Path,
    head: str | Head,
    output: Path,
    choosing: SelectionOptions | None = None,
    *,
    positive: str | None = None,
    seed: int = 0,
    jobs: int = -1,
    quiet: bool = False,
    **settings: Any,
) -> tuple[Path, Model]:
    """Train one head on one feature file and save it; ``settings`` are those of ``fit``."""
    from bottleneck.deploy.fit import fit as fit_head
    from bottleneck.deploy.models.model_file import model_file_name

    head = get_named(head) if isinstance(head, str) else head
    if not quiet:
        say_paragraph(f"training {head.name} on {features.name} …")
    loaded, positive = _read(features, choosing, positive, settings.get("licence_policy", "any"))
    make_folder(output)
    chosen = str(loaded.provenance["dataset"]["fingerprint"])
    cohort = chosen if loaded.selection else None
    path = output / model_file_name(features, head.name, cohort)
    with lock(path, "training"):
        model = fit_head(
            loaded, head, positive=positive, seed=seed, n_jobs=jobs, quiet=quiet, **settings
        )
        _, problem = save(lambda folder: model.save(folder / path.name), output)
    if problem is not None:
        raise problem
    return path, model


def _read(
    path: Path, choosing: SelectionOptions | None, positive: str | None, policy: LicencePolicy
) -> tuple[FeatureSet, str | None]:
    """Return features that a policy accepts after the selection, if any, and the positive class."""
    from bottleneck.features.file.reader import load_features

    features = load_features(path)
    require_licence(weights_record(features.provenance), policy)
    selection = None if choosing is None else choosing.read(features.classes)
    if selection is None:
        return features, positive
    chosen = features.choose(selection, positive=positive)
    return chosen, chosen.positive


def _check(
    files: list[Path],
    heads: Sequence[str | Head],
    choosing: SelectionOptions,
    positive: str | None,
    protocol: Protocol,
    settings: dict[str, Any],
) -> None:
    """Refuse what the fit of any file and head would refuse before it is trained."""
    from bottleneck.deploy.fit import check_fit, read_target

    target = read_target(settings["at_sensitivity"], settings["at_specificity"])
    for path in files:
        loaded, stated = _read(path, choosing, positive, settings["licence_policy"])
        for head in heads:
            made = get_named(head) if isinstance(head, str) else head
            check_fit(
                loaded,
                made,
                protocol,
                positive=stated,
                target=target,
                comparison=settings["comparison"],
            )


def _summary(model: Model) -> str:
    chosen = ", ".join(f"{name} {value}" for name, value in model.chosen.items())
    patients = f" of {counted(model.n_patients, 'patient')}" if model.n_patients else ""
    samples = counted(model.n_samples, "sample")
    words = f"; {model.selection['words']}" if model.selection else ""
    trained = f"trained on {model.trained_on} ({samples}{patients}{words})"
    return f"{model.head}{f' ({chosen})' if chosen else ''}, {trained}"


def _as_json(path: Path, model: Model) -> dict[str, Any]:
    from bottleneck.deploy.models.model_fields import describe_fields

    return {
        "path": path,
        "untrusted_types": model.untrusted_types,
        "model": describe_fields(model),
    }
