"""A frozen network as a step of scikit-learn's pipelines gives the rows of ``extract``."""

from __future__ import annotations

import dataclasses
import functools
import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from made import dataset_of, make_images
from PIL import Image
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from sklearn.utils.validation import validate_data
from torch import nn

from bottleneck import (
    Backbone,
    FrozenBackbone,
    Preprocessing,
    extract,
    load_backbone,
    load_features,
)
from bottleneck.errors import BottleneckError, DataError, UsageError
from bottleneck.features.compute.local_engine import LocalEngine
from bottleneck.features.estimator import frozen_backbone, row_cache
from bottleneck.testing import tiny_backbone

MakeImages = Callable[[int], Path]
TINY = tiny_backbone()


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache, "_MEMORY", row_cache._Memory())


def paths_of(folder: Path) -> list[str]:
    return [str(path) for path in sorted(folder.iterdir())]


def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many images each computation took."""
    sizes: list[int] = []
    run = LocalEngine.run

    def counting(self: LocalEngine, job: Any) -> Any:
        sizes.append(len(job.numbers))
        return run(self, job)

    monkeypatch.setattr(LocalEngine, "run", counting)
    return sizes


def test_rows_are_those_of_extract_in_whatever_form_images_come(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder = image_folder(5)
    Image.effect_noise((40, 30), 80).convert("RGB").save(folder / "wide.png")
    paths = paths_of(folder)
    X = load_features(extract(dataset_of(folder), TINY, output=tmp_path / "f").path).X
    grey = np.stack([np.asarray(Image.open(path)) for path in paths[:5]])
    colour = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths[:5]])
    network = FrozenBackbone(TINY).fit(paths)
    for form in (
        paths,
        [Path(path) for path in paths],
        np.array(paths),
        np.array(paths)[:, None],
        np.array(paths, dtype=np.dtypes.StringDType()),
        pd.Series(paths, index=range(50, 56), dtype="string"),
        pd.DataFrame({"path": paths}),
        [*colour, np.asarray(Image.open(paths[5]))],
    ):
        np.testing.assert_array_equal(network.transform(form), X)
    for form in (grey, grey[..., None], colour, list(grey)):
        np.testing.assert_array_equal(network.transform(form), X[:5])


def test_cross_validation_computes_each_image_once(
    image_folder: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = np.array(paths_of(image_folder(12)))
    y, patients = np.arange(12) % 2, np.arange(12) // 2
    sizes = computed(monkeypatch)
    model = make_pipeline(FrozenBackbone(TINY), StandardScaler(), LogisticRegression())
    scores = cross_val_score(model, paths, y, groups=patients, cv=GroupKFold(3))
    by_hand = make_pipeline(StandardScaler(), LogisticRegression())
    rows = FrozenBackbone(TINY).fit_transform(paths)
    np.testing.assert_array_equal(
        scores, cross_val_score(by_hand, rows, y, groups=patients, cv=GroupKFold(3))
    )
    assert sum(sizes) == 12


def test_a_search_over_layers_and_poolings(
    image_folder: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, y = paths_of(image_folder(8)), np.arange(8) % 2
    sizes = computed(monkeypatch)
    grid = {"frozenbackbone__layer": ["0", None], "frozenbackbone__pooling": ["avg", "max"]}
    model = make_pipeline(FrozenBackbone(TINY), LogisticRegression())
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(paths, y)
    assert sum(sizes) == 4 * 8
    assert search.predict(paths).shape == (8,)


def test_clones_and_pickles_hold_no_network_that_has_a_name() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32), np.uint8)
    named = FrozenBackbone("timm/test_resnet", weights="random", precision="fp32").fit(images)
    data = pickle.dumps(named)
    assert len(data) < 5000
    again = pickle.loads(data)
    assert again.n_features_out_ == named.n_features_out_
    np.testing.assert_array_equal(again.transform(images), named.transform(images))
    assert clone(FrozenBackbone(TINY)).backbone is TINY
    assert not hasattr(clone(named), "recipe_")


@pytest.mark.slow(reason="starts processes that load torch")
def test_processes_share_the_rows_of_a_store(image_folder: MakeImages, tmp_path: Path) -> None:
    paths, y = np.array(paths_of(image_folder(12))), np.arange(12) % 2
    model = make_pipeline(
        FrozenBackbone("resnet18", weights="random", store=tmp_path), LogisticRegression()
    )
    scores = cross_val_score(model, paths, y, cv=3, n_jobs=2, error_score="raise")
    np.testing.assert_array_equal(scores, cross_val_score(model, paths, y, cv=3))
    rows = [key for path in tmp_path.glob("*.h5") for key in load_features(path).sha256]
    assert len(rows) == len(set(rows)) == 12


def test_a_store_has_the_rows_of_extract_and_keeps_new_ones(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = image_folder(6), tmp_path / "store"
    extract(dataset_of(folder), TINY, output=store)
    make_images(folder, 3, first=6)
    sizes = computed(monkeypatch)
    rows = FrozenBackbone(TINY, store=store).fit_transform(paths_of(folder))
    assert sizes == [3]
    assert len(list(store.glob("*.h5"))) == 2
    monkeypatch.setattr(row_cache, "_MEMORY", row_cache._Memory())  # As in another process.
    again = FrozenBackbone(TINY, store=str(store)).fit_transform(paths_of(folder)[::-1])
    np.testing.assert_array_equal(again[::-1], rows)
    assert sizes == [3]
    in_memory = FrozenBackbone(TINY).fit_transform(paths_of(folder))
    np.testing.assert_array_equal(in_memory, rows)
    assert {path.suffix for path in store.iterdir()} == {".h5"}


def test_other_files_in_a_store_do_not_matter_and_known_rows_need_no_writing(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, store = paths_of(image_folder(4)), tmp_path / "store"
    extract(dataset_of(Path(paths[0]).parent), TINY, output=store)
    (store / "damaged.h5").write_bytes(b"no feature file")
    features = load_features(next(store.glob("[!d]*.h5")))
    dataclasses.replace(features, X=features.X + 1).save(store / "by hand.h5")
    monkeypatch.setattr(row_cache, "make_folder", lambda *_, **__: pytest.fail("it writes"))
    rows = FrozenBackbone(TINY, store=store).fit_transform(paths)
    np.testing.assert_array_equal(rows, features.X)


def test_threads_load_one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []

    def load(name: str, *options: object) -> tuple[Backbone, dict[object, Backbone]]:
        loads.append(name)
        return load_backbone(name, weights="random"), {}

    monkeypatch.setattr(frozen_backbone, "_loaded", functools.cache(load))
    alone = load_backbone("timm/test_resnet", weights="random").digest
    with torch.random.fork_rng(), ThreadPoolExecutor(4) as pool:
        torch.manual_seed(5)
        named = FrozenBackbone("timm/test_resnet", weights="random")
        fitted = pool.map(lambda _: clone(named).fit(IMAGES).recipe_["weights_digest"], range(4))
        assert set(fitted) == {alone}
        networks = pool.map(lambda name: load(name)[0].digest, ["timm/test_resnet"] * 4)
        assert set(networks) == {alone}
        drawn = torch.rand(1)
    assert len(loads) == 1 + 4
    assert drawn == torch.rand(1, generator=torch.Generator().manual_seed(5))


def test_nothing_is_written_unasked(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(3)
    before = sorted(tmp_path.rglob("*"))
    FrozenBackbone(TINY).fit_transform(paths_of(folder))
    assert sorted(tmp_path.rglob("*")) == before


def test_pandas_output_keeps_the_index(image_folder: MakeImages) -> None:
    table = pd.DataFrame({"path": paths_of(image_folder(4)), "age": 50}, index=list("dcba"))
    columns = ColumnTransformer([("image", FrozenBackbone(TINY), "path")], remainder="passthrough")
    frame = columns.set_output(transform="pandas").fit_transform(table)
    assert frame.index.tolist() == list("dcba")
    assert frame.columns[[0, 7, 8]].tolist() == [
        "image__frozenbackbone0",
        "image__frozenbackbone7",
        "remainder__age",
    ]
    with pytest.raises(NotFittedError):
        FrozenBackbone(TINY).get_feature_names_out()


def test_other_rows_than_those_of_fit_are_refused(image_folder: MakeImages) -> None:
    paths = paths_of(image_folder(3))
    network = FrozenBackbone(TINY).fit(paths)
    with pytest.raises(UsageError, match="pooling is 'max', not 'avg'"):
        network.set_params(pooling="max").transform(paths)
    other = Backbone.from_module(
        nn.Conv2d(3, 4, 3), Preprocessing(16, 16, "bilinear", *[(0.5,) * 3] * 2)
    )
    with pytest.raises(UsageError, match="network is"):
        network.set_params(pooling=None, backbone=other).transform(paths)
    assert network.fit(paths).transform(paths).shape == (3, 4)
    network.set_params(backbone=TINY.at("0"), layer="").fit(paths)
    assert network.recipe_["layer"] == ""
    # "auto" is decided by fit, for machines that would choose otherwise.
    network.set_params(backbone=other, layer=None, precision="bf16").fit(paths).set_params(
        precision="auto"
    )
    assert network.transform(paths).shape == (3, 4)


def test_a_network_in_training_mode_computes_in_evaluation_mode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drops = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout())
    stated = Preprocessing(16, 16, "bilinear", *[(0.5,) * 3] * 2)
    backbone = Backbone.from_module(drops, stated)
    rows = FrozenBackbone(backbone).fit_transform(IMAGES[:1])
    monkeypatch.setattr(row_cache, "_MEMORY", row_cache._Memory())
    backbone.network.train()
    np.testing.assert_array_equal(FrozenBackbone(backbone).fit_transform(IMAGES[:1]), rows)


def test_unreadable_images_are_named(image_folder: MakeImages) -> None:
    folder = image_folder(3)
    (folder / "bad.png").write_bytes(b"no image")
    paths = paths_of(folder)
    with pytest.raises(DataError, match=r"1 image of 4 cannot be used: '.*bad.png': not an image"):
        FrozenBackbone(TINY).fit_transform(paths)
    with pytest.raises(DataError, match=r"'gone.png': cannot be read: No such file"):
        FrozenBackbone(TINY).fit_transform([*paths, "gone.png"])


IMAGES = np.zeros((2, 20, 20, 3), np.uint8)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("one.png", "a single path"),
        ([], "X is empty"),
        (None, "X is None"),
        ((path for path in "ab"), "X is a generator"),
        ({"a.png"}, "X is a set"),
        (np.zeros((3, 4)), r"a table of numbers of the shape \(3, 4\)"),
        (IMAGES / 255, "float64, which states no range"),
        (IMAGES.astype(np.uint16), "uint16, which states no range"),
        (IMAGES.transpose(0, 3, 1, 2), "channels come last"),
        (IMAGES[..., :2], "have the shape"),
        (IMAGES[0], r"of a single image: .*; write X\[None\]"),
        (IMAGES[:, :7, :7], "each side needs at least 8"),
        (IMAGES[..., [0, 1, 2, 0]], "without an alpha channel"),
        (["a.png", None], "item 1 of X is None, after paths"),
        ([IMAGES[0], "a.png"], "item 1 of X is 'a.png', after images"),
        (pd.Series(["a.png", np.nan]), "item 1 of X is nan"),
        (np.array([b"a.png"]), "X holds bytes"),
        (["a\0b"], "names no file"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), "a table of 2 columns"),
        (np.ma.masked_array(IMAGES), "a masked array"),
        ([np.ma.masked_array(IMAGES[0])], "item 0 of X is masked_array"),
        ([Image.new("P", (20, 20))], r"use np.asarray\(image.convert\('RGB'\)\)"),
    ],
)
def test_what_is_no_image_is_refused(X: object, message: str) -> None:
    with pytest.raises(BottleneckError, match=message):
        FrozenBackbone(TINY).fit_transform(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"backbone": "resnet81"}, "did you mean 'resnet18'"),
        ({"backbone": nn.Identity()}, "Backbone.from_module makes one"),
        ({"backbone": TINY, "weights": "random"}, "leave them out"),
        ({"backbone": TINY, "layer": "5"}, "unknown layer '5'"),
        ({"backbone": TINY, "layer": 5}, "layer must be text"),
        ({"backbone": TINY, "pooling": "mean"}, "unknown pooling"),
        ({"backbone": TINY, "precision": "fp64"}, "unknown precision"),
        ({"backbone": TINY, "device": "tpu"}, "unknown device"),
        ({"backbone": TINY, "batch_size": 0}, "batch_size must be"),
        ({"backbone": TINY, "store": 3}, "store must be a folder"),
        ({"backbone": TINY, "store": ""}, "store must be a folder"),
        ({"backbone": TINY, "layer": Path("0")}, "layer must be text"),
    ],
)
def test_parameters_are_checked_by_fit(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FrozenBackbone(**{"weights": "imagenet", **parameters}).fit(IMAGES)


class OfTables(FrozenBackbone):
    """Takes the tables of scikit-learn's checks: every row becomes a small image."""

    def _find_backbone(self) -> Backbone:
        return TINY

    def fit(self, X: Any, y: Any = None) -> OfTables:
        return super().fit(self._images(X, reset=True), y)

    def transform(self, X: Any) -> np.ndarray:
        return super().transform(self._images(X, reset=False))

    def _images(self, X: Any, *, reset: bool) -> np.ndarray:
        X = validate_data(self, X, dtype=float, reset=reset)
        rows = np.resize(np.abs(X).T * 10 % 256, (64, len(X))).T
        return np.ascontiguousarray(rows.reshape(-1, 8, 8)).astype(np.uint8)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.one_d_array = tags.input_tags.three_d_array = False
        tags.input_tags.string = tags.no_validation = False
        return tags


@parametrize_with_checks([OfTables()])
def test_scikit_learns_checks(estimator: BaseEstimator, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_scikit_learn_sees_that_it_takes_no_tables() -> None:
    tags = FrozenBackbone().__sklearn_tags__()
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checks = [check.func.__name__ for _, check in estimator_checks_generator(FrozenBackbone())]
    assert checks == ["check_estimator_cloneable"]
    assert any("requires input" in str(warning.message) for warning in caught)


@pytest.mark.shared
@pytest.mark.slow(reason="the pipeline of made-up images checks the same")
def test_a_pipeline_on_real_crops(shared: Path) -> None:
    table = pd.read_csv(shared / "data" / "ddti-crops" / "labels.csv").groupby("label").head(2)
    paths = shared / "data" / "ddti-crops" / table["image"]
    weights = shared / "weights" / "resnet18-imagenet.pth"
    model = make_pipeline(FrozenBackbone("resnet18", weights=weights), LogisticRegression())
    groups = table["image"].str.extract(r"(\d+)_")[0]
    scores = cross_val_score(
        model, paths, table["label"], groups=groups, cv=GroupKFold(2), error_score="raise"
    )
    assert ((scores >= 0) & (scores <= 1)).all()
