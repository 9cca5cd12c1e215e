"""A small model for the tests of the app."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import dataset_of, make_images

import bottleneck
from bottleneck.app.served_models import ServedModels
from bottleneck.deploy.models.model import Model


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    """A model of 40 small images, and the file of its features."""
    folder = tmp_path_factory.mktemp("small")
    make_images(folder / "training", 40)
    run = bottleneck.extract(
        dataset_of(folder / "training"),
        "timm/test_resnet",
        weights="random",
        precision="fp32",
        output=folder / "features",
        quiet=True,
    )
    model = bottleneck.fit(bottleneck.load_features(run.path), "logistic", quiet=True)
    return model, run.path


@pytest.fixture(scope="session")
def served(small_model: tuple[Model, Path]) -> ServedModels:
    """The model as the app has it."""
    model, features = small_model
    models = ServedModels(features=features)
    models.add(model, "small")
    return models
