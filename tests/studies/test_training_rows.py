"""Published epochs: how they are read, what they contradict, and ours that stand next to them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import log_loss

from bottleneck.errors import UsageError
from bottleneck.predictions import Predictions
from bottleneck.studies.consistency.check import check, check_study
from bottleneck.studies.published_figures import ConfusionMatrix, PublishedRow, PublishedSet
from bottleneck.studies.published_training import PublishedEpoch, PublishedTraining
from bottleneck.studies.study import load_study
from bottleneck.studies.study_results import StudyArmResult
from bottleneck.studies.training_rows import compare_training
from bottleneck.studies.training_table import training_markdown, training_table


def make_fold(losses: list[float], chosen: int) -> dict:
    curve = [
        {
            "epoch": n,
            "train_loss": loss,
            "train_accuracy": 1 - loss,
            "val_loss": 2 * loss,
            "val_auroc": 0.9,
            "val_accuracy": 0.8,
            "val_recall": {"benign": 0.7, "malignant": 1 - loss},
        }
        for n, loss in enumerate(losses, 1)
    ]
    return {"curve": curve, "chosen_epoch": chosen}


def make_run(*folds: dict, loss: str = "cross_entropy") -> SimpleNamespace:
    rng = np.random.default_rng(0)
    y = np.array(["benign", "malignant"] * 10)
    predictions = Predictions.from_arrays(y, rng.uniform(0.1, 0.9, 20))
    record = {"folds": list(folds), "config": {"loss": loss, "class_weights": "none"}}
    return SimpleNamespace(record=record, predictions=predictions)


NUMBERED = PublishedTraining(
    model="net",
    validation="validation",
    epochs=(
        PublishedEpoch(epoch=1, train_loss="0.5", val_sensitivity="90 %", val_specificity="0.7"),
        PublishedEpoch(epoch=3, train_loss="0.4"),
    ),
)


def test_epochs_have_the_means_of_the_networks_that_reached_them():
    run = make_run(make_fold([0.6, 0.5, 0.4], 2), make_fold([0.4, 0.3], 1))
    rows = compare_training(NUMBERED, [run], "malignant")
    assert [(row.source, row.when, row.n) for row in rows] == [
        ("published", "epoch 1", 0),
        ("ours", "epoch 1", 2),
        ("published", "epoch 3", 0),
        ("ours", "epoch 3, reached by 1 of 2 networks", 1),
    ]
    first = {"train_loss": 0.5, "val_sensitivity": 0.5, "val_specificity": 0.7}
    assert rows[1].values == pytest.approx(first)
    assert rows[3].values["train_loss"] == pytest.approx(0.4)


def test_a_best_epoch_has_the_chosen_the_last_and_the_test_images():
    best = PublishedEpoch(train_loss="0.2595", val_loss="1.393", val_accuracy="0.7170")
    training = PublishedTraining(model="net", validation="validation", epochs=(best,))
    run = make_run(make_fold([0.6, 0.5, 0.4], 2), make_fold([0.4, 0.3], 1))
    published, chosen, last, tested = compare_training(
        training, [run], "malignant", tested="validation"
    )
    assert published.when == "best"
    assert (chosen.when, last.when) == ("chosen (1 to 2)", "last (2 to 3)")
    assert chosen.values["train_loss"] == pytest.approx(0.45)
    assert last.values["val_loss"] == pytest.approx(0.7)
    truth = run.predictions.labels == "malignant"
    assert tested.values["val_loss"] == pytest.approx(log_loss(truth, run.predictions.scores))
    focal = make_run(make_fold([0.6], 1), loss="focal")
    assert (
        "val_loss" not in compare_training(training, [focal], "x", tested="validation")[-1].values
    )

    arm = StudyArmResult(
        name="a|b", published={}, metrics={}, training=(published, chosen, last, tested)
    )
    lines = list(training_markdown("by patient", [arm]))
    assert lines[3] == "| Arm | Epoch | Training loss | Validation loss | Validation accuracy |"
    assert lines[5].startswith("| a\\|b | published, best | 0.2595 | 1.393 | 0.7170 |")
    assert training_table("none", "by patient", [arm]) is not None
    assert training_table("none", "by patient", []) is None


def test_epochs_are_compared_with_their_set():
    matrix = ConfusionMatrix(tn=171, fp=29, fn=56, tp=444)
    row = PublishedRow(model="net", accuracy="0.7062", matrix=matrix)
    published = PublishedSet(name="validation", rows=(row,))
    of = {"model": "net", "validation": "validation"}

    def words(*epochs: PublishedEpoch, n: int | None = None, **more: int) -> list[str]:
        training = PublishedTraining(epochs=epochs, **of, **more)
        one = PublishedSet(name="validation", rows=(PublishedRow(model="net", matrix=matrix),), n=n)
        found = check([one if n else published], trainings=[training], patience=5)
        return [c.words for c in found if "epoch" in c.words or "one place" in c.words]

    assert words(PublishedEpoch(val_accuracy="70.6199 %")) == []
    (text,) = words(PublishedEpoch(val_accuracy="0.7060"))
    assert "is 0.7062 in one place and 0.7060 in another" in text
    # 358 of 500 is 0.716; no whole number rounds to 0.715 to three decimals.
    assert words(PublishedEpoch(epoch=1, val_sensitivity="0.716"), n=700) == []
    (text,) = words(PublishedEpoch(epoch=1, val_sensitivity="0.715"), n=700)
    assert "of 500 no whole number rounds to a sensitivity of 0.715" in text
    better = (PublishedEpoch(epoch=3, val_auroc="0.96"), PublishedEpoch(epoch=7, val_auroc="0.94"))
    (text,) = words(*better, stopped=12)
    assert "so epoch 7 was the best, but epoch 3 has the higher AUROC" in text


def test_the_published_trainings_of_two_studies():
    thyronet, card = load_study("thyronet-x4"), load_study("tn5000-swinv2")
    own = thyronet.find_training("ThyroNet-X4")
    assert own is not None
    assert own.epochs[0].texts["val_loss"] == "0.6149"
    words = [c.words for c in check_study(thyronet) if "in one place" in c.words]
    # 70.6199 % is 0.7062; the table of the paper cuts it.
    (text,) = words
    assert "'Baseline + Block' is 70.6199 % in one place and 0.7061" in text
    assert [epoch.epoch for epoch in card.trainings[0].epochs] == [1, 5, 10, 15, 18, 22]
    assert not [c for c in check_study(card) if "epoch" in c.words]


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        (({},), "a published epoch needs a figure"),
        (({"train_loss": "5 %"},), "train_loss must be written as printed"),
        (({"val_auroc": "1.2"},), "not between 0 and 1"),
        (({"epoch": 0, "train_loss": "1"},), "epoch"),
        (({"train_loss": "1"}, {"train_loss": "2"}), "has the best epoch twice"),
        (({"epoch": 30, "train_loss": "1"},), "stopped after epoch 27, and has figures of epoch"),
    ],
)
def test_epochs_that_do_not_fit_are_refused(epochs, message):
    with pytest.raises(UsageError, match=message):
        PublishedTraining(
            model="net", epochs=tuple(PublishedEpoch(**one) for one in epochs), stopped=27
        )
