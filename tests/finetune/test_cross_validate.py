"""Whole trained arms: their folds, their files, and what is refused."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from small import N_IMAGES, PROTOCOL, quick, same, small_backbone, train

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import MissingExtraError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.finetune import cross_validate as arms
from bottleneck.finetune.cross_validate import finetune, summarise_seeds, train_on_features
from bottleneck.finetune.inputs.training_data import FeatureInputs
from bottleneck.finetune.trained_arm import Trained
from bottleneck.predictions.prediction_tables import read_predictions


def test_folds_are_those_of_compare(
    trained: Trained, dataset: ImageDataset, backbone: Backbone, tmp_path: Path
) -> None:
    file = extract(dataset, backbone, output=tmp_path).path
    frozen = compare(file, ("logistic",), protocol=PROTOCOL).evaluations[0].predictions
    for field in ("ids", "groups", "repeats", "folds", "labels", "classes"):
        np.testing.assert_array_equal(getattr(trained.predictions, field), getattr(frozen, field))


def test_predictions_file(trained: Trained) -> None:
    test, validation = read_predictions(trained.path / "predictions.csv")
    assert test.kind == "probability"
    same(test, trained.predictions)
    assert validation is not None
    same(validation, trained.validation)
    assert sorted(test.ids) == sorted(f"{n:03d}.png" for n in range(N_IMAGES))


def test_nobody_is_tested_or_chosen_on_who_was_trained_on(trained: Trained) -> None:
    splits = pd.read_csv(trained.path / "splits.csv", dtype=str)
    said = pd.read_csv(trained.path / "predictions.csv", dtype=str)
    for fold, rows in splits.groupby("fold"):
        patients = {part: set(of["group"]) for part, of in rows.groupby("part")}
        assert not patients["train"] & (patients["validation"] | patients["test"])
        assert not patients["validation"] & patients["test"]
        for part in ("validation", "test"):
            told = said[(said["fold"] == fold) & (said["part"] == part)]
            assert set(told["id"]) == set(rows.loc[rows["part"] == part, "id"])


def test_record(trained: Trained) -> None:
    record = json.loads((trained.path / "training.json").read_text())
    assert record["name"] == "small (made, fine-tuned)"
    assert record["trained_parameters"] == record["parameters"]
    assert record["parameters"] == 6 * 28 + 12 + 8 * 55 + 2 * 9
    assert record["seed"] == 0
    assert record["config"] == quick().to_dict()
    assert record["versions"]["lightning"]
    assert record["device"].startswith("cpu")
    assert record["peak_memory_bytes"] > 1e7
    assert record["images_seen"] == sum(2 * f["n_train"] for f in record["folds"])
    for number, fold in enumerate(record["folds"]):
        assert fold["fold"] == number
        assert fold["n_train"] + fold["n_validation"] + fold["n_test"] == N_IMAGES
        assert [row["epoch"] for row in fold["curve"]] == [1, 2]
        chosen = fold["curve"][fold["chosen_epoch"] - 1]
        assert chosen["val_auroc"] == max(row["val_auroc"] for row in fold["curve"])
        # By the predictions of the network that was kept, and another library.
        for part, told in (("validation", trained.validation), ("test", trained.predictions)):
            rows = told.take(told.folds == number)
            auroc = roc_auc_score(rows.labels == "malignant", rows.scores[:, 1])
            assert fold[f"{part}_auroc"] == pytest.approx(auroc)
        assert chosen["val_auroc"] == pytest.approx(fold["validation_auroc"])
        rows = trained.validation.take(trained.validation.folds == number)
        right = rows.predicted == rows.labels
        assert chosen["val_accuracy"] == pytest.approx(right.mean())
        recall = {name: right[rows.labels == name].mean() for name in rows.classes}
        assert chosen["val_recall"] == pytest.approx(recall)
        assert 0 <= chosen["train_accuracy"] <= 1


def test_another_training_is_refused(trained: Trained, dataset: ImageDataset) -> None:
    with pytest.raises(UsageError, match=r"option epochs 2 there, 3 here.*--output"):
        train(dataset, trained.path, epochs=3)
    other = ImageDataset("made", dataset.samples[:-4], dataset.images)
    with pytest.raises(UsageError, match="another data; another folds"):
        train(other, trained.path)
    # Neither changes the result.
    train(dataset, trained.path, workers=1)


def test_finished_folds_are_not_trained_again(
    trained: Trained, dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bottleneck.finetune.training import trainer as training

    def refuse(*args: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(training, "train_network", refuse)
    again = train(dataset, trained.path)
    same(again.predictions, trained.predictions)
    assert again.record["folds"] == trained.record["folds"]


def test_interrupted_and_resumed(trained: Trained, dataset: ImageDataset, tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(done: int, total: int, text: str) -> None:
        if "fold 2" in text and "epoch 2" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(
            dataset,
            quick(),
            backbone=small_backbone(),
            protocol=PROTOCOL,
            output=tmp_path / "run",
            progress=interrupt,
        )
    assert signal.getsignal(signal.SIGINT) is handler
    assert (tmp_path / "run" / "fold-0-1" / "last.ckpt").exists()
    resumed = train(dataset, tmp_path / "run")
    same(resumed.predictions, trained.predictions)
    assert not list((tmp_path / "run").rglob("*.ckpt"))


def test_the_search_for_duplicates_is_reported(dataset: ImageDataset, tmp_path: Path) -> None:
    texts: list[str] = []

    def stop(done: int, total: int, text: str) -> None:
        texts.append(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(
            dataset, quick(), backbone=small_backbone(), output=tmp_path / "run", progress=stop
        )
    assert texts == ["searching for duplicates"]


def test_a_second_writer_is_refused(dataset: ImageDataset, trained: Trained) -> None:
    import filelock

    name = trained.path / ".lock"
    with filelock.FileLock(name), pytest.raises(UsageError, match="is being"):
        train(dataset, trained.path)
    name.unlink()  # Other tests copy the folder.


def test_a_training_and_a_comparison_never_share_a_folder(
    trained: Trained, dataset: ImageDataset, tmp_path: Path
) -> None:
    from bottleneck.report.result_files import claim_folder

    # Both have a predictions.csv, and training.json describes that of the training.
    with (
        pytest.raises(UsageError, match=r"holds a training, .*--output"),
        claim_folder(trained.path, ("results.json",), "comparison", overwrite=True),
    ):
        pass
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(UsageError, match=r"holds a comparison, .*--output"):
        train(dataset, tmp_path)
    assert not (tmp_path / "run.json").exists()


def test_a_second_writer_changes_nothing(dataset: ImageDataset, tmp_path: Path) -> None:
    import filelock

    # The first one has not recorded yet what it trains.
    with filelock.FileLock(tmp_path / ".lock"), pytest.raises(UsageError, match="is being"):
        train(dataset, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_seeds(trained: Trained, dataset: ImageDataset, tmp_path: Path) -> None:
    several = finetune(
        dataset,
        quick(),
        backbone=small_backbone(),
        protocol=PROTOCOL,
        seeds=2,
        output=tmp_path,
    )
    assert [arm.path.name for arm in several] == ["seed-0", "seed-1"]
    same(several[0].predictions, trained.predictions)
    for field in ("ids", "folds", "repeats"):
        first, second = (getattr(arm.predictions, field) for arm in several)
        np.testing.assert_array_equal(first, second)
    assert not np.allclose(several[0].predictions.scores, several[1].predictions.scores)
    means = [np.mean([f["test_auroc"] for f in arm.record["folds"]]) for arm in several]
    found = json.loads((tmp_path / "seeds.json").read_text())
    assert found["auroc"] == summarise_seeds(several)
    assert found["auroc"]["test"]["mean"] == pytest.approx(np.mean(means))
    assert found["auroc"]["test"]["sd"] == pytest.approx(abs(means[0] - means[1]) / 2**0.5)


def test_folds_from_a_frozen_arm(trained: Trained, dataset: ImageDataset, tmp_path: Path) -> None:
    (again,) = finetune(
        dataset,
        quick(),
        backbone=small_backbone(),
        protocol=Protocol(n_splits=5),
        folds_from=trained.path / "predictions.csv",
        output=tmp_path / "run",
    )
    same(again.predictions, trained.predictions)


def test_new_fc_on_features(dataset: ImageDataset, backbone: Backbone, tmp_path: Path) -> None:
    features = load_features(extract(dataset, backbone, output=tmp_path / "f").path)
    config = quick(backbone="new_fc", epochs=12, learning_rate=0.05, patience=0)
    (found,) = train_on_features(features, config, protocol=PROTOCOL, output=tmp_path / "run")
    assert found.name == "small (made) + new_fc"
    assert found.record["parameters"] == 64 * 9 + 2 * 65
    assert np.mean([fold["test_auroc"] for fold in found.record["folds"]]) > 0.9
    test, _ = read_predictions(found.path / "predictions.csv")
    same(test, found.predictions)
    with pytest.raises(UsageError, match="on features, only 'new_fc' can be trained"):
        FeatureInputs(features, quick())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "small_cnn", "weights": "imagenet"}, "has no published weights"),
        ({"backbone": "thyronet_x4", "unfreeze": "last"}, "would leave random weights untrained"),
        ({"backbone": "small_cn"}, "Trained from scratch: small_cnn"),
        ({"backbone": "torchvision/resnet18"}, "unknown architecture"),
        ({"backbone": "new_fc"}, "is trained on features"),
        ({"backbone": "timm/test_resnet", "weights": "no_such"}, "unknown weights"),
        ({"class_weights": {"benign": 1.0}}, "class weights lack the label 'malignant'"),
        ({"device": "cuda:99"}, "no device 'cuda:99'"),
    ],
)
def test_options_that_cannot_be_trained_are_refused(
    dataset: ImageDataset, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    given = None if "backbone" in options else small_backbone()
    with pytest.raises(UsageError, match=message):
        finetune(
            dataset, quick(**options), backbone=given, protocol=PROTOCOL, output=tmp_path / "run"
        )


def test_without_lightning(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arms, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bottleneck-features\[finetune\]'"):
        finetune(dataset, quick(), backbone=small_backbone(), output=tmp_path)
