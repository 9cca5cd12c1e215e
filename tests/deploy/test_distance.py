"""The reference of training images: what it keeps, what it refuses, and what it flags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bottleneck import extract, fit, load_dataset, load_features, load_model
from bottleneck.deploy.models.distance import FEWEST_PATIENTS, UNLIKE, TrainingReference
from bottleneck.errors import ModelError, UsageError


def drawn(n_patients: int, images: int, width: int = 8, seed: int = 0):
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(n_patients), images)
    effects = rng.normal(size=(n_patients, width))
    return effects[patients] + rng.normal(size=(len(patients), width)), patients


def test_a_model_keeps_the_reference_in_its_file_without_names(tmp_path: Path) -> None:
    X, patients = drawn(30, 2)
    y = np.tile(["benign", "malignant"], 30)
    names = [f"Doe, Jane {n}" for n in patients]
    model = fit(X, "logistic", y=y, groups=names, inner_splits=2, quiet=True)
    path = model.save(tmp_path / "model.skops")
    assert b"Jane" not in path.read_bytes()
    loaded = load_model(path)
    new = np.concatenate([X[:5], X[:5] + 20])
    found = loaded.predict(new, quiet=True)
    np.testing.assert_array_equal(found.percentiles, model.predict(new, quiet=True).percentiles)
    assert found.unlike_training.tolist() == [False] * 5 + [True] * 5
    assert "30 training patients" in loaded.reference.words()


@pytest.mark.parametrize("n_patients", [2, FEWEST_PATIENTS - 1, FEWEST_PATIENTS])
def test_few_patients_have_no_percentile_and_a_sentence(n_patients: int) -> None:
    X, patients = drawn(n_patients, 10)
    reference = TrainingReference.fit(X, patients)
    percentiles = reference.percentiles(X[:3])
    again = TrainingReference.from_dict(reference.to_dict())
    assert again.words() == reference.words()
    if n_patients < FEWEST_PATIENTS:
        assert percentiles is None
        assert not reference.rows.size
        assert f"the model has {n_patients}" in reference.words()
    else:
        assert percentiles is not None
        assert "About 4.8 % of images" in reference.words()
    assert "patient" not in TrainingReference.fit(X[:19]).words()


def test_a_part_of_many_images_gives_about_the_same_percentiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, patients = drawn(150, 3)
    new, _ = drawn(400, 1, seed=1)
    whole = TrainingReference.fit(X, patients).percentiles(new)
    monkeypatch.setattr("bottleneck.deploy.models.distance._MOST_IMAGES", 300)
    reference = TrainingReference.fit(X, patients)
    assert len(reference.rows) == 300
    assert reference.n_patients == 150
    assert np.bincount(reference.patients).tolist() == [2] * 150
    assert f"{len(X):,} training images, 300 were drawn" in reference.words()
    part = reference.percentiles(new)
    assert np.corrcoef(whole, part)[0, 1] > 0.85
    assert np.mean(part > UNLIKE) == pytest.approx(0.015, abs=0.015)
    np.testing.assert_array_equal(part, TrainingReference.fit(X, patients).percentiles(new))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": np.zeros((60, 8), np.int64)},
        {"rows": np.zeros(60)},
        {"rows": np.zeros((59, 8))},
        {"rows": np.full((60, 8), np.nan)},
        {"rows": [[0.0] * 8] * 60},
        {"patients": np.zeros(60, np.int64)},
        {"patients": np.arange(60) * 2},
        {"distances": np.full(60, -1.0)},
        {"distances": np.zeros(0)},
        {"one_unit": "yes"},
        {"n_images": 5},
        {"unit": "animal"},
        {"more": 1},
    ],
)
def test_damaged_content_is_refused(change: dict[str, object]) -> None:
    X, patients = drawn(30, 2)
    content = TrainingReference.fit(X, patients).to_dict() | change
    with pytest.raises(ModelError, match="train it again with fit"):
        TrainingReference.from_dict(content)


def test_other_features_are_refused() -> None:
    X, patients = drawn(30, 2)
    reference = TrainingReference.fit(X, patients)
    with pytest.raises(UsageError, match="has 8, not 5"):
        reference.percentiles(X[:, :5])
    with pytest.raises(UsageError, match="finite"):
        reference.percentiles(np.full((1, 8), np.nan))


@pytest.mark.slow
def test_frames_of_another_kind_are_flagged_and_other_patients_are_not(
    shared: Path, tmp_path: Path
) -> None:
    columns = {"path": "image", "patient": "patient", "label": "label"}
    data = shared / "data"
    weights = str(shared / "weights" / "resnet18-imagenet.pth")
    options = {"weights": weights, "output": tmp_path}
    known, other = (
        load_features(extract(dataset, "resnet18", precision="fp32", quiet=True, **options).path)
        for dataset in (
            load_dataset(data / "ddti-crops" / "labels.csv", columns=columns),
            load_dataset(data / "ud-tn"),
        )
    )
    names = np.unique(known.patients)
    shares = []
    for seed in range(20):
        held_out = np.random.default_rng(seed).permutation(names)[: len(names) // 5]
        out = np.isin(known.patients, held_out)
        reference = TrainingReference.fit(known.X[~out], known.patients[~out])
        shares.append([np.mean(reference.percentiles(X) > UNLIKE) for X in (known.X[out], other.X)])
    held_out_share, other_share = np.mean(shares, axis=0)
    assert held_out_share <= 0.03
    assert other_share >= 0.9
