"""Cards of models that comparisons evaluated, made once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_features import make_features

from bottleneck import Measures, Protocol, compare, fit, write_card
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.report.json_record import results_text

QUICK = Protocol(n_splits=3, inner_splits=2)
UNIT = (0.5, 0.5, 0.5)
RECIPE = {"preprocessing": Preprocessing(256, 224, "bilinear", mean=UNIT, std=UNIT).to_dict()}


@dataclasses.dataclass(frozen=True)
class Published:
    """A model, its report and its card."""

    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / "model.skops"

    @property
    def report(self) -> Path:
        return self.folder / "report"

    @property
    def card(self) -> Path:
        return self.folder / "README.md"

    @property
    def text(self) -> str:
        return self.card.read_text()

    @property
    def results(self) -> Mapping[str, Any]:
        content: Mapping[str, Any] = json.loads((self.report / "results.json").read_text())
        return content


def publish(
    folder: Path,
    features: FeatureSet,
    *,
    heads: tuple[str, ...] = ("logistic",),
    at: float | None = 0.9,
    **how: Any,
) -> Published:
    made = Published(folder)
    comparison = compare(features, heads, **{"protocol": QUICK} | how)
    made.report.mkdir()
    (made.report / "results.json").write_text(results_text(comparison))
    unit = how.get("protocol", QUICK).unit
    fit(
        features,
        "logistic",
        inner_splits=2,
        at_sensitivity=at,
        unit=unit,
        comparison=made.report,
    ).save(made.model)
    write_card(made.model, made.report, made.card)
    return made


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A card with all sections: external cohort, subgroups, excluded samples, odd names."""
    features = make_features(
        n_patients=24,
        recipe=RECIPE,
        dataset={"name": "clinic | *A*", "excluded": {"no label": 3}},
    )
    outside = make_features(
        n_patients=12, seed=5, recipe=RECIPE, dataset={"name": "Bern", "fingerprint": "b"}
    )
    outside = dataclasses.replace(outside, ids=np.char.add("bern ", outside.ids))
    sex = {name: "fm"[n // 2 % 3 % 2] for n, name in enumerate(features.ids.tolist())}
    return publish(
        tmp_path_factory.mktemp("published"),
        features,
        heads=("logistic", "lda", "ridge"),
        external=[outside],
        measures=Measures(subgroups={"sex": sex}),
    )


@pytest.fixture(scope="session")
def several_classes(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A card of three classes without a positive one."""
    features = make_features(n_patients=24, classes=("a--b", "c", "d"), recipe=RECIPE)
    return publish(tmp_path_factory.mktemp("classes"), features, at=None)


@pytest.fixture(scope="session")
def of_volumes(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A card of a model of slices of volumes, whose values have a window."""
    slices = VolumePreprocessing(
        size=(64, 64, 64), window=(-1400.5, 200.0), n_channels=3, slices="orthogonal"
    )
    features = make_features(n_patients=24, recipe={"preprocessing": slices.to_dict()})
    return publish(tmp_path_factory.mktemp("volumes"), features)


@pytest.fixture(scope="session")
def by_patient(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A card of a model that answers for patients."""
    protocol = Protocol(n_splits=3, inner_splits=2, unit="patient")
    features = make_features(n_patients=24, recipe=RECIPE)
    return publish(tmp_path_factory.mktemp("patients"), features, protocol=protocol)
