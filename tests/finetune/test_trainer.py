"""Training of whole arms: folds, records, and the same result by every way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from small import PROTOCOL, quick, same, small_backbone, train

from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import UsageError
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.finetune.cross_validate import finetune
from bottleneck.finetune.inputs.image_data import ImageInputs


def test_it_learns(dataset: ImageDataset, tmp_path: Path) -> None:
    # Jitter would hide the very brightness that tells the classes apart.
    found = train(dataset, tmp_path / "run", epochs=10, dropout=0.0, noise=0.0, patience=0)
    assert np.mean([fold["test_auroc"] for fold in found.record["folds"]]) > 0.9
    first, last = found.record["folds"][0]["curve"][0], found.record["folds"][0]["curve"][-1]
    assert last["train_loss"] < first["train_loss"]


def test_workers_do_not_matter(dataset: ImageDataset, tmp_path: Path) -> None:
    one, other = (
        finetune(
            dataset,
            quick(epochs=1, workers=workers),
            backbone=small_backbone(),
            protocol=Protocol(n_splits=2),
            output=tmp_path / str(workers),
        )[0]
        for workers in (0, 2)
    )
    same(one.predictions, other.predictions)


def test_full_batches_are_a_plain_loop(dataset: ImageDataset, tmp_path: Path) -> None:
    # The new classifier alone, all samples in one batch: gradient descent on a logistic
    # regression, whose course a few lines of torch give.
    options = {
        "unfreeze": "head", "augment": False, "dropout": 0.0, "batch_size": 64, "epochs": 4,
        "patience": 0, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.1, "warmup": 0.0,
        "schedule": "linear", "learning_rate": 0.5, "loss": "focal", "class_weights": "balanced",
    }  # fmt: skip
    found = train(dataset, tmp_path / "run", **options)
    fold = found.record["folds"][0]
    splits = pd.read_csv(found.path / "splits.csv", dtype={"id": str})
    ids = splits[splits["fold"] == 0].groupby("part")["id"].apply(list)

    inputs = ImageInputs(dataset, quick(**options), small_backbone())
    features = load_features(
        extract(dataset, small_backbone(), output=tmp_path, precision="fp32").path
    )
    X = torch.from_numpy(features.X)
    rows = {part: np.searchsorted(features.ids, names) for part, names in ids.items()}
    y = torch.from_numpy(inputs.labels)[rows["train"]]
    linear = inputs.network(0).head[1]
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.5, weight_decay=0.1)
    weights = len(y) / (2 * torch.bincount(y))
    losses = []
    for epoch in range(fold["chosen_epoch"]):
        optimizer.param_groups[0]["lr"] = 0.5 * (1 - epoch / 4)
        p = linear(X[rows["train"]]).softmax(1)[torch.arange(len(y)), y]
        loss = -(weights[y] * (1 - p) ** 2 * p.log()).sum() / weights[y].sum()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    ran = fold["curve"][: len(losses)]
    assert [row["train_loss"] for row in ran] == pytest.approx(losses, rel=1e-4)
    assert [row["learning_rate"] for row in ran] == [0.5 * (1 - e / 4) for e in range(len(ran))]
    told = found.predictions.take(found.predictions.folds == 0)
    expected = linear(X[np.searchsorted(features.ids, told.ids)]).softmax(1).detach().numpy()
    np.testing.assert_allclose(told.scores, expected, atol=1e-5)


def test_accumulated_batches_are_one_large_one(dataset: ImageDataset, tmp_path: Path) -> None:
    # Folds and validation leave 24 images to train on.
    large, small = (
        finetune(
            dataset,
            quick(augment=False, dropout=0.0, batch_size=size, accumulate=steps),
            backbone=small_backbone(norm=False),
            protocol=PROTOCOL,
            output=tmp_path / str(size),
        )[0]
        for size, steps in ((8, 1), (4, 2))
    )
    assert {fold["n_train"] % 8 for fold in large.record["folds"]} == {0}
    np.testing.assert_allclose(large.predictions.scores, small.predictions.scores, atol=1e-4)


def test_no_batch_is_a_single_image(photos: Path, tmp_path: Path) -> None:
    # 17 images to train on in batches of 8, by the data set's own split.
    splits = ["train"] * 17 + ["val"] * 15 + ["test"] * 16
    samples = tuple(
        Sample(p.name, p.name, ("benign", "malignant")[n // 2 % 2], group=f"P{n}", split=split)
        for (n, p), split in zip(enumerate(sorted(photos.iterdir())), splits, strict=True)
    )
    found = train(ImageDataset("fixed", samples, FileSource(photos)), tmp_path / "run", epochs=1)
    (fold,) = found.record["folds"]
    assert (fold["n_train"], fold["n_validation"], fold["n_test"]) == (17, 15, 16)
    assert fold["images_seen"] == 16


def test_training_stops_early(dataset: ImageDataset, tmp_path: Path) -> None:
    # So small a rate changes no ranking: the first epoch stays the best.
    found = train(dataset, tmp_path / "run", epochs=9, patience=2, learning_rate=1e-12,
                  freeze_norm=True, schedule="constant", warmup=0.0)  # fmt: skip
    assert [len(fold["curve"]) for fold in found.record["folds"]] == [3, 3, 3]
    assert [fold["chosen_epoch"] for fold in found.record["folds"]] == [1, 1, 1]


def test_three_classes(photos: Path, tmp_path: Path) -> None:
    samples = tuple(
        Sample(path.name, path.name, "abc"[number % 3], group=f"P{number}")
        for number, path in enumerate(sorted(photos.iterdir()))
    )
    found = train(ImageDataset("three", samples, FileSource(photos)), tmp_path / "run", epochs=1)
    assert found.predictions.classes == ("a", "b", "c")
    np.testing.assert_allclose(found.predictions.scores.sum(1), 1, atol=1e-6)
    fold = found.record["folds"][0]
    told = found.predictions.take(found.predictions.folds == 0)
    expected = roc_auc_score(told.labels, told.scores, multi_class="ovr", average="macro")
    assert fold["test_auroc"] == pytest.approx(expected)


def test_a_loss_that_explodes_is_an_error(dataset: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not finite"):
        train(dataset, tmp_path / "run", optimizer="sgd", learning_rate=1e9, epochs=4)


@pytest.mark.slow
def test_two_processes_share_each_step(dataset: ImageDataset, tmp_path: Path) -> None:
    # Two processes of 4 images are one of 8, where nothing looks at a batch as a whole.
    plain = quick(augment=False, dropout=0.0, batch_size=8, epochs=1)
    shared = quick(augment=False, dropout=0.0, batch_size=4, epochs=1, devices=2)
    alone, both = (
        finetune(
            dataset,
            config,
            backbone=small_backbone(norm=False),
            protocol=PROTOCOL,
            output=tmp_path / str(config.devices),
        )[0]
        for config in (plain, shared)
    )
    np.testing.assert_allclose(alone.predictions.scores, both.predictions.scores, atol=1e-4)
