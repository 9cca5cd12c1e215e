"""``bottleneck finetune``: train a network fold by fold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.cli.choosing import SelectionOptions, choose
from bottleneck.cli.console import (
    Json,
    LicencePolicyOption,
    Quiet,
    announce_weights_folder,
    note_readers,
    progress,
    say,
    say_paragraph,
    show,
    show_json,
    show_note,
    show_table,
)
from bottleneck.cli.defaults import fill_defaults
from bottleneck.cli.fields import Options, takes_fields
from bottleneck.cli.reading import PANEL, DatasetOptions, refuse_idle
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import UsageError
from bottleneck.finetune.training_options import (
    TrainingOptions,
    parse_class_weights,
    read_training_options,
    underscore_keys,
)
from bottleneck.report.terminal import WIDTH, make_table
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.settings.config import CONFIGURATION_FILE, read_configuration, read_toml
from bottleneck.settings.ranges import Repeats
from bottleneck.settings.schema import validate

if TYPE_CHECKING:
    from rich.table import Table

    from bottleneck.finetune.trained_arm import Trained

_FOLDS = "Folds"


@takes_fields(
    Options(TrainingOptions),
    Options(
        Protocol,
        ("kind", "n_splits", "repeats", "conflicts"),
        panel=_FOLDS,
        defaults={"repeats": 1},
    ),
    SelectionOptions,
    DatasetOptions,
)
def finetune(
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="As for `bottleneck extract`; or a feature file, for --backbone new_fc.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with the names of these options (`learning_rate = 2e-5`). Options on "
            "the command line take precedence.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("trained"),
    arm_name: Annotated[
        str | None,
        typer.Option(help="Name of the arm in a comparison.", show_default="that of the network"),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Networks per fold, each with its own seed.")] = 1,
    refit: Annotated[
        bool,
        typer.Option(
            "--refit",
            help="Train one more network on all samples, for `bottleneck predict --network refit`.",
        ),
    ] = False,
    licence_policy: LicencePolicyOption = "any",
    folds_from: Annotated[
        Path | None,
        typer.Option(
            help="CSV with id, repeat and fold, such as the predictions.csv of a comparison. Its "
            "test folds are used instead, from as many of its first repeats as --repeats "
            "states.",
            rich_help_panel=_FOLDS,
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Only the first N patients.", rich_help_panel=PANEL, show_default=False),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    training: dict[str, Any],
    splitting: dict[str, Any],
    choosing: SelectionOptions,
    options: DatasetOptions,
) -> None:
    """Train a network on images, fold by fold, as an arm to compare with frozen networks.

    The folds are those of `bottleneck compare`. They differ only if it joins patients by a doubtful
    duplicate, which features alone confirm; --folds-from then takes the folds of the comparison.
    The epoch is chosen on a validation set of patients from each training set. The same command
    continues an interrupted run from its last epoch. Needs
    `pip install 'bottleneck-features[finetune]'`.

    Example: `bottleneck finetune photos/ --backbone resnet18 --unfreeze last --epochs 20`
    """
    if "class_weights" in training:
        training["class_weights"] = parse_class_weights(training["class_weights"])
    is_image = dataset is None or not dataset.endswith(".h5")
    if is_image:  # Features are of a network already.
        _fill_network(training, config, quiet=quiet)
    chosen = read_training_options(config, **training) if config else TrainingOptions(**training)
    plan = Protocol(**splitting, seed=chosen.seed)
    validate(Repeats, seeds, "the number of seeds")
    how: dict[str, Any] = {
        "protocol": plan,
        "folds_from": folds_from,
        "seeds": seeds,
        "refit": refit,
        "licence_policy": licence_policy,
        "output": output,
        "name": arm_name,
        "note": show_note(quiet=quiet),
    }
    data = None
    if is_image:
        data = choose(options.load(dataset, quiet=quiet, limit=limit), choosing, quiet=quiet)
    if not quiet:
        say("loading …")
    if data is not None:
        announce_weights_folder(chosen.weights or "imagenet", quiet=quiet)
    from bottleneck.finetune.cross_validate import finetune as train
    from bottleneck.finetune.cross_validate import train_on_features

    with progress(quiet=quiet, unit="batches") as move:
        if data is None:
            from bottleneck.features.file.reader import load_features

            assert dataset is not None
            refuse_idle(options, "on a feature file: leave them out")
            if limit is not None:
                raise UsageError("--limit has no effect on a feature file: leave it out")
            features = choose(load_features(dataset), choosing, quiet=quiet)
            trained = train_on_features(features, chosen, progress=move, **how)
        else:
            trained = train(data, chosen, progress=move, **how)
    private = [
        arm.path / name
        for arm in trained
        for name in ("predictions.csv", "splits.csv", "refit.csv")
        if (arm.path / name).exists()
    ]
    note_readers(output, private, quiet=quiet)
    if as_json:
        arms = [{"path": arm.path, **arm.record} for arm in trained]
        show_json(JsonRecord("finetune", {"arms": arms}))
        return
    notes = trained[0].notes[0 if data is None else len(data.notes) :]
    _print(trained, () if quiet else notes)


def _fill_network(training: dict[str, Any], config: Path | None, *, quiet: bool) -> None:
    """Add backbone and weights of ``bottleneck.toml``, if neither option nor file names them."""
    in_file = underscore_keys(read_toml(config, "configuration")) if config else {}
    given = {key: training.get(key) or in_file.get(key) for key in ("backbone", "weights")}
    if read_configuration().defaults is None or all(given.values()):
        return
    from bottleneck.finetune.networks.architectures import find_architecture

    def is_scratch(name: str) -> bool:
        return find_architecture(name) is not None

    filled = fill_defaults({"backbone": given["backbone"]}, quiet=quiet, is_backbone=is_scratch)
    networks = filled["backbone"]
    if isinstance(networks, list):
        if len(networks) > 1:
            raise UsageError(
                f"{CONFIGURATION_FILE} names {len(networks)} default networks, but only one is "
                "trained at a time: name it with --backbone"
            )
        (training["backbone"],) = networks
    # Weights of a network do not fit one that has none.
    if not (networks and is_scratch(training.get("backbone") or str(networks))):
        weights = fill_defaults({"weights": given["weights"]}, quiet=quiet)["weights"]
        if weights and not given["weights"]:
            training["weights"] = weights


def _print(trained: Sequence[Trained], notes: Sequence[str]) -> None:
    from bottleneck.finetune.cross_validate import summarise_seeds

    for note in notes:
        say_paragraph(note, "note: ")
    for arm in trained:
        show_table(_table(arm))
    if len(trained) > 1:
        auroc = summarise_seeds(trained)["test"]
        show(
            f"AUROC of the test folds over {len(trained)} seeds: {auroc['mean']:.3f}, "
            f"standard deviation {auroc['sd']:.3f}"
        )
    for arm in trained:
        show(f"Predictions: {arm.path / 'predictions.csv'}")


def _table(arm: Trained) -> Table:
    from bottleneck.report.wording.number_format import duration

    record = arm.record
    table = make_table(
        f"{arm.name}, seed {arm.seed}",
        caption=f"{record['trained_parameters']:,} of {record['parameters']:,} parameters trained, "
        f"{record['images_seen']:,} images over all epochs, {duration(record['seconds'])}, "
        f"{record['device']}",
        width=WIDTH,
    )
    for column in ("Fold", "Epochs", "Best epoch", "AUROC\nvalidation", "AUROC\ntest", "Time"):
        table.add_column(column, justify="right")
    refit = [] if record["refit"] is None else [record["refit"]]
    for fold in [*record["folds"], *refit]:
        tested = fold["test_auroc"]
        repeat = f" of repeat {fold['repeat'] + 1}" if fold["repeat"] else ""
        table.add_row(
            "all samples" if tested is None else f"{fold['fold'] + 1}{repeat}",
            str(len(fold["curve"])),
            str(fold["chosen_epoch"]),
            f"{fold['validation_auroc']:.3f}",
            "–" if tested is None else f"{tested:.3f}",
            duration(fold["seconds"]),
        )
    return table
