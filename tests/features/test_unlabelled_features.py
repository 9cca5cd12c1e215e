"""Feature files of images without labels: what they hold, and what refuses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bottleneck
from bottleneck import FeatureSet, Selection, extract, load_features, load_new_images
from bottleneck.errors import FeatureFileError, ModelError, UsageError
from bottleneck.testing import tiny_backbone

CLASSES = ("benign", "malignant")


def put(folder: Path, *numbers: int) -> Path:
    """Write images that differ by their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "new/benign", 1, 2)
    put(tmp_path / "new/malignant", 3)
    return put(tmp_path / "new/later", 4, 5)


def load(source: Path, **options: Any) -> FeatureSet:
    dataset = load_new_images(source, classes=CLASSES)
    return load_features(extract(dataset, tiny_backbone(), output="features", **options).path)


def test_files_hold_the_labels_that_are_known(folder: Path, tmp_path: Path) -> None:
    features = load(folder.parent)
    known = dict(zip(features.ids.tolist(), features.y.tolist(), strict=True))
    assert known == {
        "benign/1.png": "benign",
        "benign/2.png": "benign",
        "malignant/3.png": "malignant",
        "later/4.png": "",
        "later/5.png": "",
    }
    assert features.classes == CLASSES
    assert features.provenance["dataset"]["classes"] == {"benign": 2, "malignant": 1}
    assert "unlabelled 2" in repr(features)
    saved = load_features(features.save(tmp_path / "saved.h5"))
    assert saved.y.tolist() == features.y.tolist()
    assert features.to_frame()["label"].tolist() == features.y.tolist()
    part = features.select(features.y != "")
    assert part.y.tolist() == ["benign", "benign", "malignant"]
    other = load(folder)
    assert other.classes == ()
    both = FeatureSet.concatenate({"a": part, "b": other})
    assert both.y.tolist() == [*part.y.tolist(), "", ""]


NEEDS: dict[str, Callable[[FeatureSet], object]] = {
    "fit": lambda features: bottleneck.fit(features, "logistic"),
    "compare": bottleneck.compare,
    "compare several": lambda features: bottleneck.compare([features, features]),
    "evaluate": bottleneck.evaluate,
    "audit": bottleneck.audit_features,
    "leak experiment": bottleneck.run_leak_experiment,
    "choose": lambda features: features.choose(Selection(classes=CLASSES)),
}


@pytest.mark.parametrize("name", NEEDS)
def test_what_needs_labels_says_so(folder: Path, name: str) -> None:
    for source, message in ((folder.parent, "2 of 5 samples of"), (folder, "have no labels")):
        features = load(source)
        with pytest.raises(UsageError, match=message):
            NEEDS[name](features)
        with pytest.raises(UsageError, match="bottleneck predict"):
            NEEDS[name](features)


def test_folders_of_one_name_have_files_of_their_own(folder: Path) -> None:
    one, other = put(folder.parent.parent / "A/new", 1, 2), put(folder.parent.parent / "B/new", 7)
    paths = {load(source).path for source in (one, other)}
    assert len(paths) == 2
    # Tomorrow the folder has one more image, and later only new ones.
    put(one, 8)
    run = extract(load_new_images(one), tiny_backbone(), output="features")
    assert (run.n_extracted, run.n_known) == (1, 2)
    for file in one.iterdir():
        file.unlink()
    put(one, 9)
    run = extract(load_new_images(one), tiny_backbone(), output="features")
    assert run.path in paths
    assert load_features(run.path).ids.tolist() == ["9.png"]
    # Rows of the same images are found under any name.
    both = extract(load_new_images([one, other]), tiny_backbone(), output="features")
    assert both.n_extracted == 0
    # With a name that the user gave, another data set may have it.
    extract(load_new_images(one, name="new"), tiny_backbone(), output="features")
    with pytest.raises(FeatureFileError, match="holds another data set"):
        extract(load_new_images(other, name="new"), tiny_backbone(), output="features")


def test_damaged_images_are_failures(folder: Path) -> None:
    (folder / "6.png").write_bytes(b"no image")
    features = load(folder)
    assert [identity for identity, _ in features.failures] == ["6.png"]
    assert len(features) == 2


def test_a_model_reads_labels_in_other_spellings_and_before_a_merge() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(["benign", "malignant", "borderline"], 10)
    X = rng.normal(size=(30, 3)) + (y != "benign")[:, None]
    selection = Selection(merge={"suspicious": ["malignant", "borderline"]})
    model = bottleneck.fit(FeatureSet.from_arrays(X, y), "logistic", selection=selection)
    stated = ["Benign", "BORDERLINE ", "malignant", "", None]
    made = model.predict(X[:5], y=stated).to_frame()
    assert made["label"].tolist() == ["benign", "suspicious", "suspicious", "", ""]
    named = FeatureSet.from_arrays(X[:3], stated[:3])
    assert model.predict(named).to_frame()["label"].tolist() == made["label"].tolist()[:3]
    with pytest.raises(ModelError, match="another label"):
        model.predict(X[:2], y=["benign", "cyst"])
