"""Training of whole arms: folds, records, and the same result by every way."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from made import dataset_of
from sklearn.metrics import roc_auc_score
from small import N_IMAGES, PROTOCOL, quick, small_backbone

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.protocol import Protocol
from bottleneck.errors import DataError, MissingExtraError, ModelError, UsageError
from bottleneck.evaluation.comparison import compare
from bottleneck.features.extraction import extract
from bottleneck.features.store import load_features
from bottleneck.finetune import arm as arms
from bottleneck.finetune.arm import Trained, finetune, summarise, train_on_features
from bottleneck.finetune.config import Config
from bottleneck.finetune.course import is_over
from bottleneck.finetune.images import ImageInputs
from bottleneck.finetune.inputs import FeatureInputs
from bottleneck.finetune.prediction import predict
from bottleneck.predictions import Predictions, read_predictions


def train(dataset: ImageDataset, output: Path, **options: Any) -> Trained:
    (trained,) = finetune(
        dataset, quick(**options), backbone=small_backbone(), protocol=PROTOCOL, output=output
    )
    return trained


def same(one: Predictions, other: Predictions) -> None:
    for field in ("ids", "folds", "repeats", "labels", "predicted", "scores"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(dataset_of(pictures), tmp_path_factory.mktemp("trained") / "run")


def test_folds_are_those_of_compare(
    trained: Trained, dataset: ImageDataset, backbone: Backbone, tmp_path: Path
) -> None:
    file = extract(dataset, backbone, output=tmp_path).path
    frozen = compare(file, ("logistic",), protocol=PROTOCOL).evaluations[0].predictions
    for field in ("ids", "groups", "repeats", "folds", "labels", "classes"):
        np.testing.assert_array_equal(getattr(trained.predictions, field), getattr(frozen, field))


def test_unusable_images_leave_the_folds_alike(pictures: Path, tmp_path: Path) -> None:
    whole = dataset_of(pictures)
    broken = tmp_path / "images"
    broken.mkdir()
    for path in pictures.iterdir():
        content = b"" if path.name in ("005.png", "020.png") else path.read_bytes()
        (broken / path.name).write_bytes(content)
    dataset = ImageDataset("made", whole.samples, FileSource(broken))
    inputs = ImageInputs(dataset, Config(), small_backbone())
    features = load_features(extract(dataset, small_backbone(), output=tmp_path / "f").path)
    for field in ("ids", "y", "groups"):
        np.testing.assert_array_equal(getattr(inputs, field), getattr(features, field))
    assert len(inputs.ids) == N_IMAGES - 2
    assert "2 images cannot be used" in inputs.notes[0]


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


def test_it_learns(dataset: ImageDataset, tmp_path: Path) -> None:
    # Jitter would hide the very brightness that tells the classes apart.
    found = train(dataset, tmp_path / "run", epochs=10, dropout=0.0, noise=0.0, patience=0)
    assert np.mean([fold["test_auroc"] for fold in found.record["folds"]]) > 0.9
    first, last = found.record["folds"][0]["curve"][0], found.record["folds"][0]["curve"][-1]
    assert last["train_loss"] < first["train_loss"]


def test_finished_folds_are_not_trained_again(
    trained: Trained, dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bottleneck.finetune import training

    def refuse(*args: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(training, "train_network", refuse)
    again = train(dataset, trained.path)
    same(again.predictions, trained.predictions)
    assert again.record["folds"] == trained.record["folds"]


def test_another_training_is_refused(trained: Trained, dataset: ImageDataset) -> None:
    with pytest.raises(UsageError, match=r"option epochs 2 there, 3 here.*--output"):
        train(dataset, trained.path, epochs=3)
    other = ImageDataset("made", dataset.samples[:-4], dataset.images)
    with pytest.raises(UsageError, match="another data; another folds"):
        train(other, trained.path)
    # Neither changes the result.
    train(dataset, trained.path, workers=1)


def test_a_second_writer_is_refused(dataset: ImageDataset, trained: Trained) -> None:
    import filelock

    with filelock.FileLock(trained.path / ".lock"), pytest.raises(UsageError, match="is being"):
        train(dataset, trained.path)


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


def test_augmentation_is_of_training_only_and_of_no_order(
    dataset: ImageDataset, backbone: Backbone
) -> None:
    inputs = ImageInputs(dataset, quick(), backbone)
    rows = np.array([4, 9, 30])
    plain = inputs.items(rows, None)
    for number, row in enumerate(rows):
        pixels, label, place = plain[number]
        from bottleneck.data.decode import decode

        sample = dataset.samples[row]
        expected = backbone.preprocessing.pixels(decode(dataset.read(sample)))
        np.testing.assert_array_equal(pixels, expected)
        assert (inputs.classes[label], place) == (sample.label, row)
    forth, back = inputs.items(rows, (0, 1)), inputs.items(rows[::-1], (0, 1))
    later, other = inputs.items(rows, (0, 2)), inputs.items(rows, (1, 1))
    for number in range(3):
        assert torch.equal(forth[number][0], back[2 - number][0])
        for different in (plain, later, other):
            assert not torch.equal(forth[number][0], different[number][0])


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


def test_another_data_set(
    trained: Trained, dataset: ImageDataset, backbone: Backbone, pictures: Path
) -> None:
    # Of those samples that the fold was tested on, and some others, the same is said again.
    told = trained.predictions.take(trained.predictions.folds == 1)
    later = predict(trained.path, dataset, fold=1, backbone=backbone)
    rows = [list(later.ids).index(i) for i in told.ids]
    np.testing.assert_allclose(later.scores[rows], told.scores, atol=1e-6)
    assert len(later) == N_IMAGES
    with pytest.raises(ModelError, match="no network of repeat 0, fold 7"):
        predict(trained.path, dataset, fold=7, backbone=backbone)
    samples = tuple(Sample(p.name, p.name, "other") for p in sorted(pictures.iterdir())[:2])
    with pytest.raises(DataError, match="benign, malignant apart; the data set 'x' holds other"):
        predict(trained.path, ImageDataset("x", samples, FileSource(pictures)), backbone=backbone)


def test_no_batch_is_a_single_image(pictures: Path, tmp_path: Path) -> None:
    # 17 images to train on in batches of 8, by the data set's own split.
    splits = ["train"] * 17 + ["val"] * 15 + ["test"] * 16
    samples = tuple(
        Sample(p.name, p.name, ("benign", "malignant")[n // 2 % 2], group=f"P{n}", split=split)
        for (n, p), split in zip(enumerate(sorted(pictures.iterdir())), splits, strict=True)
    )
    found = train(ImageDataset("fixed", samples, FileSource(pictures)), tmp_path / "run", epochs=1)
    (fold,) = found.record["folds"]
    assert (fold["n_train"], fold["n_validation"], fold["n_test"]) == (17, 15, 16)
    assert fold["images_seen"] == 16


def test_early_stopping() -> None:
    def over(aurocs: list[float], **options: Any) -> bool:
        return is_over([{"val_auroc": value} for value in aurocs], Config(**options))

    assert not over([], patience=1)
    assert not over([0.6, 0.7], patience=1)
    assert over([0.6, 0.6], patience=1)
    assert not over([0.8, 0.7, 0.7], patience=3)
    assert over([0.8, 0.7, 0.7, 0.8], patience=3)
    assert not over([0.8] + [0.1] * 20, patience=0)
    assert over([0.1, 0.2], patience=0, epochs=2)


def test_training_stops_early(dataset: ImageDataset, tmp_path: Path) -> None:
    # So small a rate changes no ranking: the first epoch stays the best.
    found = train(dataset, tmp_path / "run", epochs=9, patience=2, learning_rate=1e-12,
                  freeze_norm=True, schedule="constant", warmup=0.0)  # fmt: skip
    assert [len(fold["curve"]) for fold in found.record["folds"]] == [3, 3, 3]
    assert [fold["chosen_epoch"] for fold in found.record["folds"]] == [1, 1, 1]


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
    assert found["auroc"] == summarise(several)
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


def test_three_classes(pictures: Path, tmp_path: Path) -> None:
    samples = tuple(
        Sample(path.name, path.name, "abc"[number % 3], group=f"P{number}")
        for number, path in enumerate(sorted(pictures.iterdir()))
    )
    found = train(ImageDataset("three", samples, FileSource(pictures)), tmp_path / "run", epochs=1)
    assert found.predictions.classes == ("a", "b", "c")
    np.testing.assert_allclose(found.predictions.scores.sum(1), 1, atol=1e-6)
    fold = found.record["folds"][0]
    told = found.predictions.take(found.predictions.folds == 0)
    expected = roc_auc_score(told.labels, told.scores, multi_class="ovr", average="macro")
    assert fold["test_auroc"] == pytest.approx(expected)


def test_new_fc_on_features(dataset: ImageDataset, backbone: Backbone, tmp_path: Path) -> None:
    features = load_features(extract(dataset, backbone, output=tmp_path / "f").path)
    config = quick(backbone="new_fc", epochs=12, learning_rate=0.05, patience=0)
    (found,) = train_on_features(features, config, protocol=PROTOCOL, output=tmp_path / "run")
    assert found.name == "small (made) + new_fc"
    assert found.record["parameters"] == 64 * 9 + 2 * 65
    assert np.mean([fold["test_auroc"] for fold in found.record["folds"]]) > 0.9
    test, _ = read_predictions(found.path / "predictions.csv")
    same(test, found.predictions)
    with pytest.raises(UsageError, match="features can train 'new_fc' only"):
        FeatureInputs(features, quick())


def test_from_scratch(dataset: ImageDataset) -> None:
    inputs = ImageInputs(dataset, quick(backbone="small_cnn"))
    one, again, other = (inputs.network(seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, one.state_dict().values(), again.state_dict().values()))
    assert not torch.equal(one.body[0].weight, other.body[0].weight)
    batch = torch.stack([inputs.items(np.arange(2), None)[n][0] for n in range(2)])
    assert one(batch).shape == (2, 2)


def test_random_weights_are_drawn_anew_for_every_seed(dataset: ImageDataset) -> None:
    config = quick(backbone="timm/test_resnet", weights="none")
    inputs = ImageInputs(dataset, config)
    first = [next(inputs.network(seed).body.parameters()) for seed in (0, 0, 1)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert inputs.name == "timm/test_resnet (random, from scratch)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "small_cnn", "weights": "imagenet"}, "comes without weights"),
        ({"backbone": "thyronet_x4", "unfreeze": "last"}, "would keep random weights"),
        ({"backbone": "small_cn"}, "From scratch besides: small_cnn"),
        ({"backbone": "torchvision/resnet18"}, "unknown architecture"),
        ({"backbone": "new_fc"}, "is trained on features"),
        ({"backbone": "timm/test_resnet", "weights": "no_such"}, "unknown weights"),
        ({"class_weights": {"benign": 1.0}}, "class weights lack the label 'malignant'"),
        ({"device": "cuda:99"}, "no device 'cuda:99'"),
    ],
)
def test_what_cannot_be_trained(
    dataset: ImageDataset, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    given = None if "backbone" in options else small_backbone()
    with pytest.raises(UsageError, match=message):
        finetune(
            dataset, quick(**options), backbone=given, protocol=PROTOCOL, output=tmp_path / "run"
        )


def test_a_loss_that_explodes_is_an_error(dataset: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not finite|no finite"):
        train(dataset, tmp_path / "run", optimizer="sgd", learning_rate=1e30, epochs=4)


def test_folded_norm_is_noted(dataset: ImageDataset) -> None:
    inputs = ImageInputs(dataset, quick(), small_backbone())
    assert any("--freeze-norm" in note for note in inputs.notes)
    assert not ImageInputs(dataset, quick(freeze_norm=True), small_backbone()).notes
    assert not ImageInputs(dataset, quick(), small_backbone(norm=False)).notes


def test_without_lightning(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arms, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bottleneck-features\[finetune\]'"):
        finetune(dataset, quick(), backbone=small_backbone(), output=tmp_path)


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
