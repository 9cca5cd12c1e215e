"""``bottleneck finetune``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from bottleneck.cli.console import Json, Quiet, progress, say, show, show_json
from bottleneck.cli.fields import takes_fields
from bottleneck.cli.reading import PANEL, DatasetOptions, refuse_idle
from bottleneck.errors import UsageError
from bottleneck.report.terminal import WIDTH, make_table, wrap

if TYPE_CHECKING:
    from rich.table import Table

    from bottleneck.finetune.cross_validate import Trained

_NETWORK, _TRAINING = "Network", "Training"
_AUGMENTATION, _MACHINE = "Augmentation of training images", "Machine"
_FOLDS = "Folds"


def _option(panel: str, text: str, default: str | bool = False) -> Any:
    return typer.Option(help=text, rich_help_panel=panel, show_default=default)


@takes_fields(DatasetOptions)
def finetune(
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="As for `bottleneck extract`; or a feature file, for --backbone new_fc.",
            show_default=False,
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        _option(
            _NETWORK,
            "As for `bottleneck extract`. From scratch: small_cnn, thyronet_x4 (also _baseline, "
            "_block, _bottleneck), torchvision/alexnet, vgg16, googlenet, mobilenet_v2. On a "
            "feature file: new_fc.",
            "resnet18",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        _option(_NETWORK, "As for `bottleneck extract`; random or none for none.", "imagenet"),
    ] = None,
    unfreeze: Annotated[
        str | None,
        _option(
            _NETWORK,
            "What is trained: all; head, the new classifier; last, with the last stage; or a "
            "layer, with all after it.",
            "all",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with the names of these options (`learning_rate = 2e-5`); what is said "
            "here goes first.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("trained"),
    seeds: Annotated[int, typer.Option(help="Networks a fold, each with a seed of its own.")] = 1,
    seed: Annotated[
        int | None, typer.Option(help="Of folds and network.", show_default="0")
    ] = None,
    preprocessing: Annotated[
        str | None,
        _option(_NETWORK, "As for `bottleneck extract`.", "as the weights' publisher states"),
    ] = None,
    pooling: Annotated[str | None, _option(_NETWORK, "avg, max, gem or flatten.", "avg")] = None,
    freeze_norm: Annotated[
        bool | None,
        typer.Option(
            "--freeze-norm",
            help="Keep batch normalisation at its stored statistics.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    dropout: Annotated[float | None, _option(_NETWORK, "Before the new classifier.", "0")] = None,
    epochs: Annotated[int | None, _option(_TRAINING, "At most.", "30")] = None,
    patience: Annotated[
        int | None,
        _option(_TRAINING, "Epochs without a better validation AUROC; 0: never stop.", "5"),
    ] = None,
    batch_size: Annotated[int | None, _option(_TRAINING, "Images a batch.", "16")] = None,
    accumulate: Annotated[int | None, _option(_TRAINING, "Batches a step.", "1")] = None,
    optimizer: Annotated[str | None, _option(_TRAINING, "adamw, adam or sgd.", "adamw")] = None,
    learning_rate: Annotated[float | None, _option(_TRAINING, "At its highest.", "0.0001")] = None,
    weight_decay: Annotated[float | None, _option(_TRAINING, "", "0.01")] = None,
    momentum: Annotated[float | None, _option(_TRAINING, "Of sgd.", "0.9")] = None,
    schedule: Annotated[
        str | None, _option(_TRAINING, "constant, linear, cosine or step.", "cosine")
    ] = None,
    warmup: Annotated[float | None, _option(_TRAINING, "Share of all steps.", "0.1")] = None,
    step_epochs: Annotated[
        int | None, _option(_TRAINING, "Of --schedule step: epochs between drops.", "10")
    ] = None,
    step_factor: Annotated[
        float | None, _option(_TRAINING, "Of --schedule step: factor of a drop.", "0.1")
    ] = None,
    loss: Annotated[
        str | None, _option(_TRAINING, "cross_entropy or focal.", "cross_entropy")
    ] = None,
    gamma: Annotated[float | None, _option(_TRAINING, "Of the focal loss.", "2")] = None,
    class_weights: Annotated[
        str | None, _option(_TRAINING, "none, balanced, or LABEL=NUMBER,LABEL=NUMBER.", "none")
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option(
            "--augment/--no-augment",
            help="Any of what follows.",
            rich_help_panel=_AUGMENTATION,
            show_default="augment",
        ),
    ] = None,
    random_crop: Annotated[
        float | None, _option(_AUGMENTATION, "Least share of the area kept; 1: no crop.", "0.8")
    ] = None,
    flip: Annotated[float | None, _option(_AUGMENTATION, "Chance, left–right.", "0.5")] = None,
    flip_vertical: Annotated[
        float | None, _option(_AUGMENTATION, "Chance, top–bottom.", "0")
    ] = None,
    rotation: Annotated[float | None, _option(_AUGMENTATION, "Degrees, at most.", "10")] = None,
    rotate90: Annotated[
        bool | None,
        typer.Option("--rotate90", help="By multiples of 90° too.", rich_help_panel=_AUGMENTATION),
    ] = None,
    jitter: Annotated[
        float | None, _option(_AUGMENTATION, "Of brightness and contrast, at most.", "0")
    ] = None,
    noise: Annotated[
        float | None, _option(_AUGMENTATION, "Standard deviation in grey values.", "0")
    ] = None,
    despeckle: Annotated[
        str | None, _option(_AUGMENTATION, "none, median or lee; of every second image.", "none")
    ] = None,
    validation: Annotated[
        float | None, _option(_FOLDS, "Share of each training part, by patient.", "0.2")
    ] = None,
    protocol: Annotated[str, _option(_FOLDS, "As for `bottleneck compare`.", True)] = "auto",
    folds: Annotated[int, _option(_FOLDS, "Folds of the cross-validation.", True)] = 5,
    repeats: Annotated[int, _option(_FOLDS, "Repeats of the cross-validation.", True)] = 1,
    folds_from: Annotated[
        Path | None,
        _option(_FOLDS, "CSV with id, repeat and fold, whose test folds are taken instead."),
    ] = None,
    precision: Annotated[str | None, _option(_MACHINE, "auto, fp32, bf16 or fp16.", "auto")] = None,
    device: Annotated[str | None, _option(_MACHINE, "auto, cpu, cuda or cuda:N.", "auto")] = None,
    devices: Annotated[
        int | None, _option(_MACHINE, "Devices that share each step (DDP).", "1")
    ] = None,
    workers: Annotated[
        str | None, _option(_MACHINE, "Processes that read and alter images, or auto.", "auto")
    ] = None,
    limit: Annotated[int | None, _option(PANEL, "Only the first N patients.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    options: DatasetOptions,
) -> None:
    """Train a network on images, fold by fold, as an arm beside the frozen ones.

    The folds are those of `bottleneck compare`; the epoch is chosen on a validation part that is
    held out of each training part by patient. A run that was cut off goes on from its last
    epoch. Needs `pip install 'bottleneck-features[finetune]'`.

    Example: `bottleneck finetune photos/ --backbone resnet18 --unfreeze last --epochs 20`
    """
    from bottleneck.data.splits.folds import Protocol
    from bottleneck.finetune.settings import Config, parse_class_weights, read_config

    training: dict[str, Any] = {
        "backbone": backbone,
        "weights": weights,
        "preprocessing": preprocessing,
        "pooling": pooling,
        "unfreeze": unfreeze,
        "freeze_norm": freeze_norm,
        "dropout": dropout,
        "epochs": epochs,
        "patience": patience,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "schedule": schedule,
        "warmup": warmup,
        "step_epochs": step_epochs,
        "step_factor": step_factor,
        "loss": loss,
        "gamma": gamma,
        "class_weights": parse_class_weights(class_weights) if class_weights else None,
        "augment": augment,
        "random_crop": random_crop,
        "flip": flip,
        "flip_vertical": flip_vertical,
        "rotation": rotation,
        "rotate90": rotate90,
        "jitter": jitter,
        "noise": noise,
        "despeckle": despeckle,
        "validation": validation,
        "precision": precision,
        "device": device,
        "devices": devices,
        "workers": int(workers) if workers and workers.isdecimal() else workers,
        "seed": seed,
    }
    given = {name: value for name, value in training.items() if value is not None}
    chosen = read_config(config, **given) if config else Config(**given)
    plan = Protocol(kind=cast(Any, protocol), n_splits=folds, repeats=repeats, seed=chosen.seed)
    how: dict[str, Any] = {
        "protocol": plan,
        "folds_from": folds_from,
        "seeds": seeds,
        "output": output,
    }
    if not quiet:
        say("loading …")
    from bottleneck.finetune.cross_validate import finetune as train
    from bottleneck.finetune.cross_validate import train_on_features

    with progress(quiet=quiet, unit="batches") as move:
        if dataset is not None and dataset.endswith(".h5"):
            from bottleneck.features.file.reader import load_features

            refuse_idle(options, "on a feature file: leave them out")
            if limit is not None:
                raise UsageError("--limit has no effect on a feature file: leave it out")
            trained = train_on_features(load_features(dataset), chosen, progress=move, **how)
        else:
            data = options.load(dataset, limit=limit)
            trained = train(data, chosen, progress=move, **how)
    if as_json:
        show_json([{"path": arm.path, **arm.record} for arm in trained])
        return
    _print(trained, quiet=quiet)


def _print(trained: Sequence[Trained], *, quiet: bool) -> None:
    from bottleneck.finetune.cross_validate import summarise

    for note in trained[0].notes if not quiet else ():
        say(wrap(note, "note: "))
    for arm in trained:
        show(_table(arm))
    if len(trained) > 1:
        found = summarise(trained)["test"]
        show(
            f"AUROC of the test parts over {len(trained)} seeds: {found['mean']:.3f}, "
            f"standard deviation {found['sd']:.3f}"
        )
    for arm in trained:
        show(f"Predictions: {arm.path / 'predictions.csv'}")


def _table(arm: Trained) -> Table:
    from bottleneck.report.number_format import duration

    record = arm.record
    table = make_table(
        f"{arm.name}, seed {arm.seed}",
        f"{record['trained_parameters']:,} of {record['parameters']:,} parameters trained, "
        f"{record['images_seen']:,} images seen, {duration(record['seconds'])}, {record['device']}",
        width=WIDTH,
    )
    for column in ("Fold", "Epochs", "Best epoch", "AUROC\nvalidation", "AUROC\ntest", "Time"):
        table.add_column(column, justify="right")
    for fold in record["folds"]:
        table.add_row(
            str(fold["fold"] + 1) + (f" of repeat {fold['repeat'] + 1}" if fold["repeat"] else ""),
            str(len(fold["curve"])),
            str(fold["chosen_epoch"]),
            f"{fold['validation_auroc']:.3f}",
            f"{fold['test_auroc']:.3f}",
            duration(fold["seconds"]),
        )
    return table
