"""Networks of a training in use: what they predict is what a comparison evaluates."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small import N_IMAGES, evaluated

from bottleneck import load_model
from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import ModelError, UsageError
from bottleneck.features.file.reader import load_features
from bottleneck.finetune.trained_arm import Trained
from bottleneck.finetune.training_folder.saved_files import (
    read_sealed_json,
    write_sealed,
    write_sealed_json,
)


@pytest.fixture
def model(trained: Trained, backbone: Backbone) -> TrainedModel:
    made = load_model(trained.path, backbone=backbone)
    assert isinstance(made, TrainedModel)
    return made


@pytest.mark.parametrize("unit", ["image", "patient"])
def test_a_fold_predicts_what_compare_evaluates(
    trained: Trained, model: TrainedModel, dataset: ImageDataset, tmp_path: Path, unit: Any
) -> None:
    told = evaluated(trained, unit=unit)
    for fold in range(3):
        rows = told.predictions.take(told.predictions.folds == fold)
        made = model.predict(
            dataset, network=f"fold-{fold + 1}", at_sensitivity=0.9, unit=unit, features=tmp_path
        )
        part = made.decided if made.by_patient is None else made.by_patient.decided
        at = [part.predictions.ids.tolist().index(one) for one in rows.ids.tolist()]
        assert part.predictions.probabilities is not None
        assert rows.probabilities is not None
        difference = part.predictions.probabilities[at] - rows.probabilities
        assert np.abs(difference).max() < 1e-6
        threshold = told.operating_points[0].thresholds[fold]
        score = part.predictions.scores[at, 1]
        clear = np.abs(score - threshold) > 1e-6
        decided = part.decisions[at] == "malignant"
        np.testing.assert_array_equal(decided[clear], (score >= threshold)[clear])


def probabilities(model: TrainedModel, images: Any, folder: Path, **options: Any) -> np.ndarray:
    made = model.predict(images, features=folder, quiet=True, **options).predictions
    assert made.probabilities is not None
    return made.probabilities


def test_the_mean_and_its_threshold(
    trained: Trained, model: TrainedModel, dataset: ImageDataset, tmp_path: Path
) -> None:
    each = [
        probabilities(model, dataset, tmp_path, network=name)
        for name in ("fold-1", "fold-2", "fold-3")
    ]
    made = model.predict(dataset, at_sensitivity=0.9, features=tmp_path)
    assert made.network == "mean"
    assert "the networks of 3 folds. A comparison evaluates each of these" in made.origin
    np.testing.assert_allclose(made.predictions.scores, np.mean(each, axis=0), atol=1e-9)
    # The threshold: the lowest of the highest 22 of 24 positives, on their test folds.
    told = evaluated(trained).predictions
    assert told.probabilities is not None
    positive = np.sort(told.probabilities[told.labels == "malignant", 1])[::-1]
    assert made.operating_point is not None
    assert made.operating_point.threshold == pytest.approx(positive[21], abs=1e-6)
    # The images of the training are known again, and no test.
    assert "this is not a test" in made.warnings[0]
    assert "this needs 20 training patients or more" in made.notes[-1]


def test_the_network_of_all_samples(
    trained: Trained, model: TrainedModel, dataset: ImageDataset, tmp_path: Path
) -> None:
    from sklearn.linear_model import LogisticRegression

    assert model.networks == ("mean", "fold-1", "fold-2", "fold-3", "refit")
    made = model.predict(dataset, network="refit", features=tmp_path)
    assert "trained in the same way on fewer samples" in made.origin
    kept = pd.read_csv(trained.path / "refit.csv", dtype={"group": str})
    record = json.loads((trained.path / "training.json").read_text())["refit"]
    assert record["n_train"] + record["n_validation"] == N_IMAGES
    assert record["n_validation"] == len(kept)
    # Validation is by patient, and its scores are those that are predicted now.
    patients = {s.id: s.group for s in dataset.samples}
    assert set(kept["group"]) == {patients[i] for i in kept["id"]}
    assert sum(patients[i] in set(kept["group"]) for i in patients) == len(kept)
    at = [made.predictions.ids.tolist().index(i) for i in kept["id"]]
    score = kept["score_malignant"].to_numpy()
    np.testing.assert_allclose(made.predictions.scores[at, 1], score, atol=1e-6)
    # Calibrated on them: probabilities rise with the scores.
    assert made.predictions.probabilities is not None
    rank = LogisticRegression(C=1e6).fit(score[:, None], kept["label"]).coef_[0, 0]
    order = np.argsort(made.predictions.scores[:, 1])
    steps = np.diff(made.predictions.probabilities[order, 1]) * np.sign(rank)
    assert steps.min() >= 0


def test_an_image_does_not_depend_on_its_company(
    model: TrainedModel, photos: Path, tmp_path: Path
) -> None:
    paths = sorted(photos.iterdir())
    every = probabilities(model, paths, tmp_path / "all")
    for number in (0, len(paths) - 1):
        alone = probabilities(model, paths[number], tmp_path / f"one-{number}")
        np.testing.assert_allclose(alone[0], every[number], atol=1e-7)


def test_unreadable_images_and_no_labels(model: TrainedModel, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    for path in sorted(photos.iterdir())[:3]:
        shutil.copy(path, folder)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    made = model.predict(folder, features=tmp_path / "f", network="fold-2")
    frame = made.to_frame().set_index("id")
    assert len(frame) == 4
    assert made.evaluation is None
    assert frame.loc["broken.png", "reason"]
    assert pd.isna(frame.loc["broken.png", "probability_malignant"])
    assert (frame.drop("broken.png")["reason"] == "").all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "fold-4"}, "unknown network 'fold-4'"),
        ({"network": "fold-0"}, "unknown network"),
        ({"network": "folds"}, "Known: fold-1, fold-2, fold-3, mean, refit"),
        ({"network": 1}, "network must be one of mean, fold-1"),
        ({"at_sensitivity": 1.5}, "sensitivity"),
        ({"at_sensitivity": 0.9, "at_specificity": 0.9}, "a model has one threshold"),
        ({"error_rate": 0.0}, "error rate"),
        ({"unit": "lesion"}, "unit"),
        ({"weights": "x.pth"}, "trained networks have weights of their own"),
        ({"batch": 4}, "unknown option 'batch'"),
    ],
)
def test_wrong_uses(
    model: TrainedModel, dataset: ImageDataset, tmp_path: Path, options: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        model.predict(dataset, features=tmp_path, **options)


def test_wrong_folders(trained: Trained, backbone: Backbone, tmp_path: Path) -> None:
    cases = {
        "empty": ([], "is a folder without a training.json"),
        "report": (["results.json"], "holds a comparison, not a model"),
        "begun": (["run.json"], r"not finished \(0 folds done\)"),
        "seeds": (["seed-0/training.json", "seed-1/training.json"], "trainings of 2 seeds"),
    }
    for name, (files, message) in cases.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).parent.mkdir(exist_ok=True)
            (tmp_path / name / file).write_text("{}")
        with pytest.raises(ModelError, match=message):
            load_model(tmp_path / name)
    with pytest.raises(ModelError, match="whose files run no code: leave out --trust"):
        load_model(trained.path, trust="a.B")
    with pytest.raises(UsageError, match="leave backbone out"):
        load_model(trained.path / "training.json", backbone=backbone)


def test_another_backbone_is_refused(
    trained: Trained, backbone: Backbone, dataset: ImageDataset, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"user's own network, 'small'.*pass it again"):
        load_model(trained.path).predict(dataset, features=tmp_path)
    backbone.architecture = "other"
    with pytest.raises(ModelError, match=r"from the network small \(small\).*is small \(other\)"):
        load_model(trained.path, backbone=backbone).predict(dataset, features=tmp_path)


@pytest.mark.slow
def test_distances_are_those_from_the_training_images(
    trained: Trained,
    model: TrainedModel,
    dataset: ImageDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bottleneck.deploy.models import distance

    monkeypatch.setattr(distance, "FEWEST_PATIENTS", 5)
    splits = pd.read_csv(trained.path / "splits.csv", dtype={"group": str})
    each = []
    for fold in range(3):
        name = f"fold-{fold + 1}"
        made = model.predict(dataset, network=name, features=tmp_path / name)
        (file,) = (tmp_path / name).glob("*.h5")
        rows = load_features(file)
        own = splits[(splits["fold"] == fold) & (splits["part"] == "train")]
        at = [rows.ids.tolist().index(one) for one in own["id"]]
        reference = distance.TrainingReference.fit(rows.X[at], own["group"].to_numpy(str))
        each.append(reference.percentiles(rows.X))
        assert made.percentiles is not None
        np.testing.assert_allclose(made.percentiles, each[-1], atol=1e-6)
    mean = model.predict(dataset, features=tmp_path / "mean")
    assert mean.percentiles is not None
    np.testing.assert_allclose(mean.percentiles, np.median(each, axis=0), atol=1e-6)


def test_training_images_are_known_again(model: TrainedModel, photos: Path, tmp_path: Path) -> None:
    paths = sorted(photos.iterdir())[:3]
    made = model.predict(paths, network="refit", features=tmp_path)
    own = pd.read_csv(model.path / "refit.csv")["id"]
    n = sum(path.name not in set(own) for path in paths)
    assert made.evaluation is None
    assert f"{n} images of 3 are training images of the model" in " ".join(made.notes)


@pytest.mark.parametrize("damage", ["no npz", "no arrays", "no preprocessing"])
def test_records_that_were_changed(
    trained: Trained, backbone: Backbone, dataset: ImageDataset, tmp_path: Path, damage: str
) -> None:
    copied = tmp_path / "run"
    shutil.copytree(trained.path, copied)
    record = read_sealed_json(copied / "training.json", "record")
    if damage == "no preprocessing":
        del record["network"]["preprocessing"]
    else:
        packed = io.BytesIO()
        np.savez(packed, Y=np.zeros(3))
        data = packed.getvalue() if damage == "no arrays" else b"PK"
        record["folds"][0]["files"]["reference.npz"] = write_sealed(
            copied / "fold-0-0" / "reference.npz", data
        )._asdict()
    write_sealed_json(copied / "training.json", record)

    def predict() -> None:
        model = load_model(copied, backbone=backbone)
        model.predict(dataset, network="fold-1", features=tmp_path / "features")

    with pytest.raises(ModelError, match="repeat the training with the same command"):
        predict()


def test_inspect_says_what_a_training_is(trained: Trained, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from bottleneck.cli.command_line import app

    def inspect(*words: str) -> str:
        return CliRunner().invoke(app, ["inspect", *words]).output

    shown = inspect(str(trained.path))
    assert "classes: benign, malignant (positive)" in shown
    assert f"trained on: {N_IMAGES} images of made" in shown
    assert json.loads(inspect(str(trained.path), "--json"))["networks"][0] == "mean"
    (tmp_path / "run.json").write_text("{}")
    assert "not finished" in " ".join(inspect(str(tmp_path)).split())


@pytest.mark.parametrize("network", ["mean", "fold-1", "refit"])
def test_damaged_images_alone_have_rows_with_reasons(
    model: TrainedModel, tmp_path: Path, network: str
) -> None:
    (tmp_path / "1.png").write_text("no image")
    units: tuple[Any, ...] = ("image", "patient")
    for unit in units:
        made = model.predict(
            [tmp_path / "1.png"], groups=["a"], network=network, unit=unit, at_sensitivity=0.9
        )
        assert made.to_frame()["reason"].tolist() == ["not an image in a supported format"]
        assert (made.patients is not None) == (unit == "patient")
