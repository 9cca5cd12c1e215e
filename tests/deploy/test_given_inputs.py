"""What models take in Python: every form of the same numbers and images, and no other objects."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import bottleneck
from bottleneck.backbones.backbone import Backbone
from bottleneck.errors import BottleneckError, UsageError
from bottleneck.testing import tiny_backbone
from bottleneck.text.short_repr import shorten

y = np.repeat(["benign", "malignant"], 30)
X = np.random.default_rng(0).normal(size=(60, 3)) + (y == "malignant")[:, np.newaxis]
IMAGES = np.random.default_rng(1).integers(0, 255, (4, 40, 40), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> bottleneck.Model:
    return bottleneck.fit(X, "logistic", y=y, groups=np.arange(60) // 2)


@pytest.fixture(scope="module")
def of_images(tmp_path_factory: pytest.TempPathFactory) -> bottleneck.Model:
    folder = tmp_path_factory.mktemp("features")
    images = bottleneck.load_dataset("phantom", limit=24)
    run = bottleneck.extract(images, tiny_backbone(), output=folder)
    return bottleneck.fit(run.path, "logistic")


FORMS: dict[str, Callable[[Any], Any]] = {
    "rows": np.ndarray.tolist,
    "arrays": list,
    "generator": lambda A: (row for row in A),
    "map": lambda A: map(list, A),
    "Fortran": np.asfortranarray,
    "objects": lambda A: A.astype(object),
    "other bytes": lambda A: A.astype(">f8"),
    "tensor": torch.from_numpy,
    "tensors": lambda A: list(torch.from_numpy(A)),
    "frame": pd.DataFrame,
    "frame of an index": lambda A: pd.DataFrame(A, index=np.zeros(len(A))),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_numbers_has_the_same_predictions(
    model: bottleneck.Model, form: str
) -> None:
    made = model.predict(FORMS[form](X[:7]))
    np.testing.assert_array_equal(made.predictions.scores, model.predict(X).predictions.scores[:7])


IMAGE_FORMS: dict[str, Callable[[list[Path]], Any]] = {
    "paths": list,
    "generator of paths": iter,
    "column": lambda paths: pd.Series(paths, index=[3, 3, 1, 1]),
    "objects": lambda paths: np.array(paths, object),
    "texts": lambda paths: np.array([str(path) for path in paths]),
    "array": lambda _: IMAGES,
    "generator of arrays": lambda _: iter(IMAGES),
    "tensor": lambda _: torch.from_numpy(IMAGES),
}


def test_every_form_of_the_images_has_the_same_predictions(
    of_images: bottleneck.Model, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(len(IMAGES))]
    for path, image in zip(paths, IMAGES, strict=True):
        Image.fromarray(image).save(path)
    scores, labels = [], ["benign", "", "malignant", None]
    for form in IMAGE_FORMS.values():
        made = of_images.predict(
            form(paths), y=labels, backbone=tiny_backbone(), features=tmp_path / "features"
        )
        scores.append(made.predictions.scores)
        assert made.inputs.labels.tolist() == ["benign", "", "malignant", ""]
    for one in scores:
        np.testing.assert_array_equal(one, scores[0])


NOTHING: list[Any] = [None, 3.0, b"images", {"a": X}, {1, 2}, [], X[:0], X[0], np.array(3), [None]]


@pytest.mark.parametrize(
    "given",
    [*NOTHING, [Image.fromarray(IMAGES[0])]],
    ids=lambda given: shorten(given).partition(" at ")[0],
)
def test_other_objects_are_refused(
    model: bottleneck.Model, of_images: bottleneck.Model, given: Any
) -> None:
    for one in (model, of_images):
        with pytest.raises(BottleneckError):
            one.predict(given)


@pytest.mark.parametrize("wrong", ["benign", 5, {0: "benign"}, {"benign"}, ["benign"], [[1]] * 4])
def test_labels_that_are_not_one_per_image_are_refused(
    of_images: bottleneck.Model, wrong: Any
) -> None:
    for name in ("y", "groups", "ids"):
        with pytest.raises(BottleneckError):
            of_images.predict(IMAGES, **{name: wrong})


def test_options_are_those_of_the_documentation_for_features_too(
    model: bottleneck.Model, of_images: bottleneck.Model
) -> None:
    with pytest.raises(UsageError, match="unknown option 'at_sensitivity'"):
        model.predict(X, at_sensitivity=0.9)  # type: ignore[call-arg]  # Wrong use.
    for backbone in ("resnet18", torch.nn.Identity(), Backbone):
        with pytest.raises(UsageError, match="backbone needs a network"):
            of_images.predict(IMAGES, backbone=backbone)  # type: ignore[arg-type]  # Wrong use.
    with pytest.raises(UsageError, match="a backbone has its weights"):
        of_images.predict(IMAGES, backbone=tiny_backbone(), weights="a.pt")


@pytest.mark.parametrize("path", [None, 5, b"a.skops", "", "a\0b", ["a.skops"]], ids=repr)
def test_paths_that_are_none_are_refused(model: bottleneck.Model, path: Any) -> None:
    calls = (bottleneck.load_model, model.save, model.predict(X[:1]).save)
    for call in calls:
        with pytest.raises(UsageError, match="needs a path, such as"):
            call(path)


def test_a_folder_is_no_file_to_save_a_model_to(model: bottleneck.Model, tmp_path: Path) -> None:
    with pytest.raises(BottleneckError, match="it is a folder, but a file is needed"):
        model.save(tmp_path)


@pytest.mark.parametrize("trust", [None, np.array(["a", "b"]), {"a"}, b"a", 5], ids=repr)
def test_trust_in_a_folder_is_refused(trust: Any, tmp_path: Path) -> None:
    with pytest.raises(BottleneckError, match="trust"):
        bottleneck.load_model(tmp_path, trust=trust)


def test_models_and_predictions_can_be_compared_hashed_copied_and_pickled(
    model: bottleneck.Model,
) -> None:
    made = model.predict(X, y=y)
    for value in (model, made, *vars(model).values(), *vars(made).values()):
        assert (value == copy.deepcopy(value)) is not None or value is None
        if type(value).__module__.startswith("bottleneck."):
            assert isinstance(hash(value), int)
    again = pickle.loads(pickle.dumps(model)).predict(X, y=y)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(made)).to_frame(), again.to_frame())
