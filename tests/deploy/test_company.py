"""The prediction of an image does not depend on the other images of a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import dataset_of, make_images

from bottleneck import extract, fit, load_dataset, load_features
from bottleneck.deploy.inputs import image_features
from bottleneck.deploy.models.model import Model
from bottleneck.heads.head_catalogue import HEADS
from bottleneck.testing import tiny_backbone

N_TRAINING, N_NEW = 48, 11


def made_features(folder: Path, precision: str) -> Path:
    """Make images and features of the first of them."""
    make_images(folder / "training", N_TRAINING)
    make_images(folder / "new", N_NEW, first=N_TRAINING)
    shutil.copy(folder / "training" / "003.png", folder / "new" / "copy.png")
    run = extract(
        dataset_of(folder / "training"),
        tiny_backbone(),
        precision=precision,
        output=folder,
        quiet=True,
    )
    return run.path


def predicted(model: Model, images: list[Path], features: Path, **machine: object) -> pd.DataFrame:
    made = model.predict(images, backbone=tiny_backbone(), features=features, quiet=True, **machine)
    return by_file(made.to_frame())


def by_file(rows: pd.DataFrame) -> pd.DataFrame:
    """Name rows by files: the ids of images in several folders have their folder, too."""
    return rows.set_index(rows["id"].str.rpartition("/")[2])


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Compare the rows of the images that both have."""
    both = one.index.intersection(other.index)
    assert len(both)
    one, other = one.loc[both], other.loc[both]
    for name in ("predicted", "decision", "set", "distance_percentile", "unlike_training"):
        assert one[name].tolist() == other[name].tolist(), name
    probabilities = [name for name in one if name.startswith("probability_")]
    np.testing.assert_allclose(one[probabilities], other[probabilities], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("precision", "head"), [("fp32", "svm"), ("bf16", "knn")])
def test_rows_are_the_same_alone_and_in_any_company(
    precision: str, head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_features, "FEW", 3)
    trained = made_features(tmp_path, precision)
    model = fit(load_features(trained), head, inner_splits=2, at_sensitivity=0.9, quiet=True)
    new = sorted((tmp_path / "new").iterdir())
    together = predicted(model, new, tmp_path / "together")
    assert len(together) == N_NEW + 1
    alone = [predicted(model, [path], tmp_path / path.stem) for path in (new[0], new[5], new[-1])]
    assert_same(pd.concat(alone), together)
    others = [*reversed(new), *sorted((tmp_path / "training").iterdir())[:20]]
    assert_same(predicted(model, others, tmp_path / "others", workers=1), together)
    # Some rows are known from a run before, as after a kill, or from another file.
    predicted(model, new[3:7], tmp_path / "begun")
    assert_same(predicted(model, new, tmp_path / "begun"), together)
    (tmp_path / "trained").mkdir()
    shutil.copy(trained, tmp_path / "trained")
    assert_same(predicted(model, new, tmp_path / "trained"), together)
    assert_same(predicted(model, new, tmp_path / "smaller", batch_size=3), together)


@pytest.mark.parametrize("head", sorted(HEADS))
def test_scores_of_each_head_are_the_same_alone_and_together(head: str) -> None:
    rng = np.random.default_rng(0)
    y = np.tile(["benign", "malignant"], 30)
    # Pairs of patients with different labels, and almost the same features.
    X = np.repeat(rng.normal(size=(30, 16)), 2, axis=0) + 5
    X[1::2] += 1e-5
    model = fit(X, head, y=y, groups=np.arange(60), inner_splits=2, quiet=True)
    new = np.concatenate([X, rng.normal(size=(40, 16)) + 5])
    together = model.predict(new, quiet=True).to_frame().drop(columns="id")
    for n in (0, 1, 5, 33, 77):
        alone = model.predict(new[n : n + 1], quiet=True).to_frame().drop(columns="id")
        pd.testing.assert_frame_equal(
            alone, together.iloc[[n]].reset_index(drop=True), rtol=0, atol=1e-9
        )
    backwards = model.predict(new[::-1], quiet=True).to_frame().drop(columns="id")
    pd.testing.assert_frame_equal(
        backwards[::-1].reset_index(drop=True), together, rtol=0, atol=1e-9
    )


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resnet18_predicts_the_same_alone_and_together(
    precision: str, shared: Path, tmp_path: Path
) -> None:
    columns = {"path": "image", "patient": "patient", "label": "label"}
    table = shared / "data" / "ddti-crops" / "labels.csv"
    weights = str(shared / "weights" / "resnet18-imagenet.pth")
    training = load_dataset(table, columns=columns)
    run = extract(
        training, "resnet18", weights=weights, precision=precision, output=tmp_path, quiet=True
    )
    model = fit(load_features(run.path), "svm", at_sensitivity=0.9, quiet=True)
    new = sorted((shared / "data" / "ud-tn").rglob("*.jpg"))

    def rows(images: list[Path], name: str, **machine: object) -> pd.DataFrame:
        folder = tmp_path / name
        made = model.predict(images, weights=weights, features=folder, quiet=True, **machine)
        return by_file(made.to_frame())

    together = rows(new, "together")
    assert_same(rows(new[4:5], "alone"), together)
    assert_same(rows(new[::-1], "backwards", batch_size=5), together)
    more = [*new[:3], *sorted((shared / "data" / "ddti-crops" / "images").iterdir())[:60]]
    assert_same(rows(more, "more"), together)
