"""Our losses and metrics of the epochs that a publication states, network by network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck.predictions import Predictions
from bottleneck.studies.published_training import EPOCH_FIGURES, PublishedTraining
from bottleneck.studies.study_results import TrainingRow
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from bottleneck.finetune.trained_arm import Trained

__all__ = ["compare_training"]

Epoch = Mapping[str, Any]


def compare_training(
    published: PublishedTraining,
    runs: Sequence[Trained],
    positive: str,
    *,
    tested: str | None = None,
) -> tuple[TrainingRow, ...]:
    """Return the published epochs, each with ours.

    Parameters
    ----------
    published : PublishedTraining
        The published training.
    runs : sequence of Trained
        Our trained arms, one per seed.
    positive : str
        The positive class.
    tested : str or None
        Name of the published set that our test images correspond to. If the published figures of
        validation are of it, those of our test images are added.

    Returns
    -------
    tuple of TrainingRow
        A published epoch has ours of the same number; a best epoch, of which the number is not
        stated, has ours of the epoch that was chosen and of the last one. Ours are means over all
        networks that reached the epoch.
    """
    names = published.names
    folds = [fold for run in runs for fold in run.record["folds"]]
    rows = []
    for epoch in published.epochs:
        rows.append(TrainingRow(source="published", when=epoch.title, values=epoch.texts))
        if epoch.epoch is None:
            chosen = sorted(fold["chosen_epoch"] for fold in folds)
            which = f"{chosen[0]} to {chosen[-1]}" if chosen[0] < chosen[-1] else f"{chosen[0]}"
            rows += _ours(folds, _chosen, f"chosen ({which})", names, positive)
            lasts = sorted(len(fold["curve"]) for fold in folds)
            which = f"{lasts[0]} to {lasts[-1]}" if lasts[0] < lasts[-1] else f"{lasts[0]}"
            rows += _ours(folds, _last, f"last ({which})", names, positive)
        else:
            rows += _ours(folds, _numbered(epoch.epoch), epoch.title, names, positive)
    if tested is not None and published.validation == tested:
        rows.append(_of_test_images(runs, names))
    return tuple(rows)


def _chosen(fold: Epoch) -> Epoch | None:
    found: Epoch = fold["curve"][fold["chosen_epoch"] - 1]
    return found


def _last(fold: Epoch) -> Epoch | None:
    found: Epoch = fold["curve"][-1]
    return found


def _numbered(number: int) -> Callable[[Epoch], Epoch | None]:
    def find(fold: Epoch) -> Epoch | None:
        return next((epoch for epoch in fold["curve"] if epoch["epoch"] == number), None)

    return find


def _ours(
    folds: Sequence[Epoch],
    find: Callable[[Epoch], Epoch | None],
    when: str,
    names: Sequence[str],
    positive: str,
) -> list[TrainingRow]:
    """Return the means of an epoch over the networks that reached it; a row without any if none."""
    reached = [epoch for epoch in map(find, folds) if epoch is not None]
    each = [_figures(epoch, positive) for epoch in reached]
    means = {
        name: float(np.mean([figures[name] for figures in each]))
        for name in names
        if each and all(name in figures for figures in each)
    }
    if len(reached) < len(folds):
        when += f", reached by {len(reached)} of {counted(len(folds), 'network')}"
    return [TrainingRow(source="ours", when=when, values=means, n=len(reached))]


def _figures(epoch: Epoch, positive: str) -> dict[str, float]:
    """Return the figures of one epoch of one network."""
    figures = {name: float(epoch[name]) for name in EPOCH_FIGURES if name in epoch}
    recall = epoch.get("val_recall", {})
    if len(recall) == 2 and positive in recall:
        figures["val_sensitivity"] = recall[positive]
        figures["val_specificity"] = next(v for name, v in recall.items() if name != positive)
    return figures


def _of_test_images(runs: Sequence[Trained], names: Sequence[str]) -> TrainingRow:
    """Return the loss and the accuracy of the test images, as a published validation has them.

    The loss is the cross-entropy, if the networks were trained with it and without weights.
    """
    config = runs[0].record["config"]
    plain = config["loss"] == "cross_entropy" and config["class_weights"] == "none"
    each = [run.predictions for run in runs]
    values: dict[str, float] = {}
    if "val_loss" in names and plain:
        values["val_loss"] = float(np.mean([_cross_entropy(one) for one in each]))
    if "val_accuracy" in names:
        hits = [(one.predicted == one.labels).mean() for one in each]
        values["val_accuracy"] = float(np.mean(hits))
    n = sum(len(run.record["folds"]) for run in runs)
    return TrainingRow(source="ours", when="test images", values=values, n=n)


def _cross_entropy(predictions: Predictions) -> float:
    column = np.searchsorted(predictions.classes, predictions.labels)
    share = predictions.scores[np.arange(len(predictions)), column]
    return float(-np.log(np.clip(share, np.finfo(np.float64).tiny, None)).mean())
