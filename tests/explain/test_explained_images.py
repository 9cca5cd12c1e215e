"""What a model decides of images: which are shown, and the training images near them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import dataset_of, make_images
from PIL import Image

from bottleneck import Explanation, Model, explain_predictions, extract, fit, load_features
from bottleneck.errors import BottleneckError
from bottleneck.testing import tiny_backbone


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_images(folder / "images", 44)
    extract(
        dataset_of(folder / "images"),
        tiny_backbone(),
        output=folder / "features",
        precision="fp32",
        quiet=True,
    )
    make_images(folder / "new" / "benign", 5, first=100)
    make_images(folder / "new" / "malignant", 5, first=200)
    make_images(folder / "plain", 9, first=300)
    return folder


@pytest.fixture(scope="module")
def model(root: Path) -> Model:
    (path,) = (root / "features").glob("*.h5")
    return fit(path, "ridge", inner_splits=2, n_jobs=1, quiet=True)


def explain(model: Model, root: Path, images: Any, **options: Any) -> Explanation:
    usual: dict[str, Any] = {
        "features": root / "features",
        "backbone": tiny_backbone(),
        "quiet": True,
        "device": "cpu",
    }
    return explain_predictions(model, images, **usual | options)


def test_labelled_images_are_shown_where_they_are_wrong(root: Path, model: Model) -> None:
    (arm,) = explain(model, root, root / "new", most=4).arms
    predictions = model.predict(
        root / "new", backbone=tiny_backbone(), features=root / "features", quiet=True
    ).predictions
    wrong = set(predictions.ids[predictions.predicted != predictions.labels].tolist())
    assert (arm.n_wrong, arm.n_labelled) == (len(wrong), 10)
    assert wrong
    assert {case.id for case in arm.cases} <= wrong
    for case in arm.cases:
        assert case.reason == "wrong"
        assert case.heat_map is not None
        assert case.heat_map.intercept is not None
        mean = float(case.heat_map.values.mean()) + case.heat_map.intercept
        assert mean == pytest.approx(case.score, abs=1e-5)


def test_without_labels_the_confident_and_the_unlike_are_shown(root: Path, model: Model) -> None:
    (arm,) = explain(model, root, root / "plain", most=6).arms
    assert len(arm.cases) == 6
    assert {case.reason for case in arm.cases} <= {"confident", "unlike"}
    assert {case.predicted for case in arm.cases} == {"benign", "malignant"}
    assert all(case.percentile > 99 for case in arm.cases if case.reason == "unlike")
    assert "No label is known" in arm.words[0]


def test_nearest_images_are_of_other_patients_and_no_copies(
    root: Path, model: Model, tmp_path: Path
) -> None:
    (path,) = (root / "features").glob("*.h5")
    features = load_features(path)
    (tmp_path / "again").mkdir()
    for name in ("000.png", "007.png"):
        shutil.copy(root / "images" / name, tmp_path / "again" / f"copy-{name}")
    files = [*sorted((tmp_path / "again").iterdir()), root / "plain" / "300.png"]
    made = explain(model, root, files, groups=["x", "y", "P3"])
    by_id = {Path(case.id).name: case for case in made.arms[0].cases}
    assert [by_id[Path(one).name].is_copy for one in files] == [True, True, False]
    others = {Path(files[0]).name: "P0", Path(files[1]).name: "P3", "300.png": "P3"}
    for name, patient in others.items():
        near = by_id[name].nearest
        assert len(near) == 5
        assert patient not in {one.patient for one in near}
        # The nearest by a plain loop over all images of other patients.
        assert features.stated_patients is not None
        kept = features.stated_patients != patient
        row = by_id[name]
        assert {one.id for one in near} <= set(features.ids[kept].tolist())
        assert [one.distance for one in near] == sorted(one.distance for one in near)
        assert row.nearest_pixels[0] is not None
    words = " ".join(made.arms[0].words)
    assert "For 2 of 3 images, an identical image was in the training set" in words


def test_near_duplicates_and_their_patients_are_no_nearest_images(
    root: Path, model: Model, tmp_path: Path
) -> None:
    again = tmp_path / "again.jpg"
    with Image.open(root / "images" / "007.png") as image:
        image.save(again, quality=70)
    made = explain(model, root, [again, root / "plain" / "300.png"], maps="none")
    by_id = {Path(case.id).name: case for case in made.arms[0].cases}
    assert not by_id["again.jpg"].is_copy
    assert len(by_id["again.jpg"].nearest) == 5
    assert "P3" not in {one.patient for one in by_id["again.jpg"].nearest}
    assert "For 1 of 2 images, a near-duplicate was in the training set" in " ".join(
        made.arms[0].words
    )


def test_the_training_features_may_be_on_another_machine(
    root: Path, model: Model, tmp_path: Path
) -> None:
    (arm,) = explain(model, root, root / "plain", features=tmp_path).arms
    assert not any(case.nearest for case in arm.cases)
    assert "are not on this machine" in " ".join(arm.words)


def test_features_in_place_of_images_have_no_maps(root: Path, model: Model) -> None:
    (path,) = (root / "features").glob("*.h5")
    (arm,) = explain(model, root, path, backbone=None).arms
    assert arm.cases
    assert not arm.heat_maps
    assert "Features were given" in " ".join(arm.words)
    assert all(np.isfinite(case.score) for case in arm.cases)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (None, {}, "a model explains images: name them after it"),
        ("plain", {"arms": "svm"}, "--arm is for the report of a comparison"),
        ("plain", {"data": "new"}, "--data is for the report of a comparison"),
        ("plain", {"network": "mean"}, "network is for the networks of a training"),
        ("nowhere", {}, "nowhere"),
        ("plain", {"arms": 3}, "the name of an arm must be"),
        ("plain", {"checks": "no"}, "checks must be true or false"),
    ],
)
def test_wrong_uses_are_explained(
    root: Path, model: Model, images: Any, options: Any, message: str
) -> None:
    with pytest.raises(BottleneckError, match=message):
        explain(model, root, images and root / images, **options)
