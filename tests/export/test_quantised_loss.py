"""What quantisation costs on test folds, and the images that it is measured on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import make_features
from sklearn.metrics import roc_auc_score

from bottleneck import FeatureSet, ImageDataset, extract, fit, load_dataset, load_features
from bottleneck.errors import DataError, UsageError
from bottleneck.export.quantised.quantisable_networks import QUANTISABLE, refuse_quantise
from bottleneck.export.quantised.quantised_loss import QuantisedLoss, draw_calibration
from bottleneck.export.quantised.recorded_pictures import RecordedPictures
from bottleneck.predictions import Predictions
from bottleneck.testing import tiny_backbone


def test_the_aurocs_are_means_over_folds_and_changed_decisions_are_counted() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile(["benign", "malignant"], 60)
    folds, patients = np.arange(120) // 24, np.arange(120) // 2
    scores = rng.normal(size=120) + (labels == "malignant")
    rounded = scores + rng.normal(size=120) * 0.3
    classes = ["benign", "malignant"]
    both = [
        Predictions.from_arrays(labels, s, patients.astype(str), folds=folds, classes=classes)
        for s in (scores * 9, rounded * 9)
    ]
    loss = QuantisedLoss.of(*both, arm="svm", unit="image", positive="malignant")
    means = [
        np.mean([roc_auc_score(labels[folds == f], s[folds == f]) for f in range(5)])
        for s in (scores, rounded)
    ]
    assert (loss.auroc, loss.auroc_int8) == pytest.approx(tuple(means))
    assert loss.difference == pytest.approx(means[0] - means[1])
    assert loss.low <= loss.difference <= loss.high
    assert loss.n_changed == ((scores > 0) != (rounded > 0)).sum()
    assert (loss.n, loss.n_patients, loss.n_folds) == (120, 60, 5)
    assert f"{loss.n_changed} of 120 images" in " ".join(loss.sentences)


def test_calibration_draws_different_images_of_those_given() -> None:
    ids = [f"i{n}" for n in range(500)]
    drawn = draw_calibration(ids)
    assert len(set(drawn)) == 128
    assert set(drawn) < set(ids)
    assert drawn == draw_calibration(ids)
    assert draw_calibration(ids[:100]) == ids[:100]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageDataset, FeatureSet]:
    root = tmp_path_factory.mktemp("recorded")
    data = load_dataset("phantom", limit=6)
    run = extract(data, tiny_backbone(), output=root / "features", quiet=True)
    return data, load_features(run.path)


def test_pictures_are_those_of_the_features(recorded: tuple[ImageDataset, FeatureSet]) -> None:
    data, features = recorded
    made = list(RecordedPictures(data, features).read(features.ids.tolist()))
    assert all(one.dtype == np.uint8 and one.shape[0] == 1 for one in made)
    sizes = {one.shape[1:] for one in made}
    assert all(len(size) == 3 and size[2] == 3 for size in sizes)
    other = features.sha256.copy()
    other[0] = "0" * 64
    changed = RecordedPictures(data, dataclasses.replace(features, sha256=other))
    with pytest.raises(DataError, match="is not the image of its features"):
        list(changed.read(features.ids.tolist()))


def test_a_data_set_that_lacks_images_is_refused(
    recorded: tuple[ImageDataset, FeatureSet],
) -> None:
    _, features = recorded
    with pytest.raises(UsageError, match=r"11 of 19 images of .* not in phantom-first3"):
        RecordedPictures(load_dataset("phantom", limit=3), features)


def test_other_networks_than_those_for_phones_are_refused() -> None:
    model = fit(make_features(), "logistic")
    for network in (*QUANTISABLE, "swin_tiny_patch4_window7_224", "vgg16"):
        other = dataclasses.replace(model, recipe={**model.recipe, "network": network})
        if network in QUANTISABLE:
            refuse_quantise(other)
            continue
        with pytest.raises(
            UsageError, match=f"the network {network} cannot be quantised: .* phone"
        ):
            refuse_quantise(other)
