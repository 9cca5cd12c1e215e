"""The command ``predict``, and the prediction of images in Python."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_features import make_features
from PIL import Image
from typer.testing import CliRunner

import bottleneck
from bottleneck.cli.command_line import app
from bottleneck.deploy.inputs import image_features
from bottleneck.deploy.models.model import Model
from bottleneck.errors import BottleneckError

NETWORK = "timm/test_resnet"


@pytest.fixture(scope="module")
def model() -> Model:
    backbone = bottleneck.load_backbone(NETWORK, weights="random")
    recipe = backbone.recipe("fp32")
    features = make_features(width=backbone.width, n_patients=60)
    provenance = {
        **features.provenance,
        "recipe": recipe.to_dict(),
        "recipe_hash": recipe.hash,
        "weights": backbone.weights.to_dict(),
    }
    features = dataclasses.replace(features, provenance=provenance)
    return bottleneck.fit(features, "logistic", at_sensitivity=0.9, inner_splits=2, quiet=True)


@pytest.fixture(autouse=True)
def place(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    model.save("m.skops")
    for number in range(6):
        label = ("benign", "malignant")[number % 2]
        folder = tmp_path / "new" / label
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (60, 80), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"P{number // 2}_{number}.png")
    (tmp_path / "new" / "benign" / "P9_9.png").write_text("no image")
    return tmp_path


def predict(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def read(path: str = "predictions.csv") -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_classes_is_an_external_test() -> None:
    done = predict("m.skops", "new", "--patient-pattern", r"(P\d+)_")
    assert done.exit_code == 0, done.output
    rows = read()
    assert [row["id"] for row in rows][:2] == ["benign/P0_0.png", "benign/P1_2.png"]
    assert {row["label"] for row in rows} == {"benign", "malignant"}
    assert [row["reason"] != "" for row in rows] == [row["id"].endswith("P9_9.png") for row in rows]
    for words in ("Metrics of 6 images of 3 patients", "7 images; 1 without", "research use"):
        assert words in " ".join(done.output.split())
    assert max(map(len, done.stdout.splitlines())) <= 80
    # The table is one that compare takes.
    with pytest.warns(UserWarning, match="1 of 7 rows"):
        predictions, _ = bottleneck.read_predictions("predictions.csv")
    assert len(predictions) == 6
    assert predictions.groups is not None

    record = json.loads(predict("m.skops", "new", "--overwrite", "--json", "-q").stdout)
    assert [row["id"] for row in record["images"]] == [row["id"] for row in rows]
    assert record["evaluation"]["n"] == 6
    assert list(record["failures"]) == ["benign/P9_9.png"]


def test_an_image_has_the_same_row_alone_and_among_others(model: Model) -> None:
    together = model.predict("new", features="a", quiet=True).to_frame().set_index("id")
    for name in ("benign/P1_2.png", "malignant/P2_5.png"):
        path = Path("new") / name
        alone = model.predict([path], features=f"b{name[0]}", quiet=True).to_frame()
        pixels = np.asarray(Image.open(path))[np.newaxis]
        as_array = model.predict(pixels, features="c", quiet=True).to_frame()
        for row in (alone.iloc[0], as_array.iloc[0]):
            for column in ("probability_malignant", "distance_percentile"):
                assert row[column] == pytest.approx(together.loc[name, column], abs=1e-5)


def test_a_damaged_image_has_the_same_row_alone_and_among_others() -> None:
    assert predict("m.skops", "new", "-q").exit_code == 0
    together = next(row for row in read() if row["id"].endswith("P9_9.png"))
    done = predict("m.skops", "new/benign/P9_9.png", "--output", "alone.csv")
    assert done.exit_code == 0, done.output
    assert "1 image; none has a prediction" in done.output
    (alone,) = read("alone.csv")
    assert {**together, "id": "P9_9.png"} == {**alone, "label": "benign"}


def test_no_reason_names_an_option_that_predict_lacks_without_saying_so(model: Model) -> None:
    Image.fromarray(np.full((20, 20), 9, np.uint16)).save("dark.png")
    for images in (["dark.png"], ["dark.png", "new/benign/P0_0.png"]):
        (reason, *_) = model.predict(images, quiet=True).to_frame()["reason"]
        assert "--window" in reason
        assert "options of extract" in reason


def test_patients_without_a_readable_image_have_a_row(model: Model) -> None:
    model = dataclasses.replace(model, unit="patient")
    damaged = "new/benign/P9_9.png"
    for images in ([damaged], [damaged, "new/benign/P0_0.png"]):
        made = model.predict(images, groups=["a", ""][: len(images)], quiet=True)
        assert made.patients is not None
        assert made.patients["reason"].tolist()[-1] == "no image could be read"
        assert len(made.patients) == len(images)


def test_rows_are_those_of_the_feature_file_of_extract(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_features, "FEW", 0)
    data = bottleneck.load_dataset("new", patient_pattern=r"(P\d+)_")
    backbone = bottleneck.load_backbone(NETWORK, weights="random")
    run = bottleneck.extract(data, backbone, precision="fp32", output="made", quiet=True)
    before = Path(run.path).read_bytes()
    of_features = model.predict(run.path)
    of_images = model.predict(data, features="made", quiet=True)
    np.testing.assert_array_equal(
        of_features.predictions.probabilities, of_images.predictions.probabilities
    )
    assert of_images.failures == of_features.failures
    # The feature file of a training is not changed by a prediction of the same data set.
    assert Path(run.path).read_bytes() == before
    assert any("taken from" in note for note in of_images.notes)


def test_another_image_with_the_size_and_time_of_the_one_before_is_read(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_features, "FEW", 0)
    path, pixels = Path("one.bmp"), np.random.default_rng(0).integers(0, 255, (60, 80))
    scores = []
    for image in (pixels, pixels // 8):
        Image.fromarray(image.astype(np.uint8)).save(path)
        os.utime(path, ns=(10**18, 10**18))
        rows = [model.predict(path, features=name, quiet=True) for name in ("kept", "other")]
        known, alone = (made.predictions.scores for made in rows)
        np.testing.assert_allclose(known, alone, rtol=0, atol=1e-9)
        scores.append(known)
        shutil.rmtree("other")
    assert np.abs(scores[0] - scores[1]).max() > 1e-7


def test_lists_of_images_have_labels_patients_and_ids_of_their_own(model: Model) -> None:
    images = [
        one for one in sorted(Path("new").rglob("*.png"), reverse=True) if "P9" not in str(one)
    ]
    y = [one.parent.name for one in images]
    for given in (images, [np.asarray(Image.open(one)) for one in images]):
        made = model.predict(given, y=y, groups=range(6), ids=list("abcdef"), quiet=True)
        frame = made.to_frame()
        assert frame["id"].tolist() == list("abcdef")
        assert frame["label"].tolist() == y
        assert frame["patient"].tolist() == list("012345")
        assert made.evaluation is not None
    table = pd.DataFrame({"path": map(str, images), "label": y})
    assert model.predict(table, quiet=True).to_frame()["label"].tolist() == y
    with pytest.raises(BottleneckError, match="leave out y="):
        model.predict("new", y=y)
    with pytest.raises(BottleneckError, match="y has 2 labels, and images 6 rows"):
        model.predict(images, y=y[:2])
    with pytest.raises(BottleneckError, match="Images in memory"):
        model.predict([Image.new("L", (9, 9))])  # type: ignore[list-item]  # Wrong use.
    Path("t.csv").write_text(f"path,label\n{images[0]},benign\n,malignant\n")
    (note,) = (one for one in model.predict("t.csv", quiet=True).notes if "left out" in one)
    assert note == "left out: 1 × no path"
    with pytest.raises(BottleneckError, match=r"image\[None\]"):
        model.predict(np.zeros((60, 80), np.uint8))
    with pytest.raises(BottleneckError, match="unknown option 'pooling'"):
        model.predict(images, pooling="max")  # type: ignore[call-arg]  # Wrong use.


WRONG = {
    "a model as images": (("m.skops", "m.skops"), "is a model"),
    "images as a model": (("new/benign/P0_0.png", "m.skops"), "the model comes before the images"),
    "features as a model": (("f.h5", "new"), "is a feature file"),
    "a folder as a model": (("new", "new"), "training"),
    "no images": (("m.skops", "empty"), "no file"),
    "no such image": (("m.skops", "none.png"), "does not exist"),
    "another output": (("m.skops", "new", "--output", "x.txt"), "ends with .csv or .xlsx"),
    "a file of others": (("m.skops", "new", "--output", "mine.csv", "--overwrite"), "not replaced"),
    "an error rate": (("m.skops", "new", "--error-rate", "1.5"), "1.5 % is 0.015"),
    "trust": (("m.skops", "new", "--trust", "a.b"), "leave out --trust"),
    "a network": (("m.skops", "new", "--network", "mean"), "networks of a training"),
    "weights": (("m.skops", "new", "--weights", "mine.csv"), "weight file"),
    "columns": (("columns.skops", "new"), "columns of an array"),
    "options of images": (("m.skops", "f.h5", "--patient-pattern", "x"), "no effect"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_has_a_message(case: str) -> None:
    Path("empty").mkdir()
    Path("mine.csv").write_text("a,b\n1,2\n")
    if case == "columns":
        X = np.random.default_rng(0).normal(size=(20, 3))
        bottleneck.fit(X, "prior", y=np.arange(20) % 2).save("columns.skops")
    arguments, words = WRONG[case]
    done = predict(*arguments)
    assert done.exit_code == 2, done.output
    assert words in " ".join(done.output.split())
    assert not Path("predictions.csv").exists()
    assert Path("mine.csv").read_text() == "a,b\n1,2\n"


def test_a_finished_table_is_not_replaced_unasked() -> None:
    assert predict("m.skops", "new", "-q").exit_code == 0
    before = Path("predictions.csv").read_bytes()
    again = predict("m.skops", "new", "-q")
    assert again.exit_code == 2
    assert "--overwrite" in again.output
    assert Path("predictions.csv").read_bytes() == before
    assert predict("m.skops", "new", "-q", "--overwrite").exit_code == 0
    assert Path("predictions.csv").read_bytes() == before


def test_predictions_do_not_stand_between_a_training_and_its_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert predict("m.skops", "new", "-q").exit_code == 0
    assert not Path("features").exists()  # Few images leave no file.
    monkeypatch.setattr(image_features, "FEW", 0)
    assert predict("m.skops", "new", "-q", "--overwrite").exit_code == 0
    assert len(list(Path("features").glob("*.h5"))) == 1
    done = CliRunner().invoke(app, ["fit", "--head", "prior"])
    assert done.exit_code == 2
    assert "no feature files in features/" in done.output


def test_training_images_among_the_tested_ones_are_named() -> None:
    rng = np.random.default_rng(0)
    for number in range(44):
        folder = Path("old") / ("benign", "malignant")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (20, 20)) // (1 + number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    data = bottleneck.load_dataset("old")
    backbone = bottleneck.load_backbone(NETWORK, weights="random")
    run = bottleneck.extract(data, backbone, precision="fp32", output="made", quiet=True)
    model = bottleneck.fit(run.path, "logistic", inner_splits=2, quiet=True)
    model.save("own.skops")
    for number in (0, 1):  # The same pixels in another file, of another batch.
        path = next(Path("old").rglob(f"{number}.png"))
        Image.open(path).save(Path("new") / path.parent.name / f"again{number}.bmp")
    mixed = " ".join(predict("own.skops", "new").output.split())
    assert "trained on 2 of these images" in mixed
    whole = " ".join(predict("own.skops", "old", "--overwrite").output.split())
    assert "trained on this data set" in whole
