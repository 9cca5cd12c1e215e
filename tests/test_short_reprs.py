"""The text of every public object is short and names nobody; objects can be compared and kept."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_features import make_features
from report.complete import complete
from report.factory import make_comparison
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import bottleneck
from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.weights.loading import Weights
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.splits.protocol import Fold, Folds, Protocol
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.duplicates.kinds.duplicate_pair import DuplicatePair
from bottleneck.evaluation.leak_experiment.leak_results import FIGURES, LeakExperiment, LeakRow
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.result_parts import ConflictEffect, ConflictSummary
from bottleneck.export.folder.model_export import ModelExport
from bottleneck.export.parity.parity_check import Parity
from bottleneck.features.extraction_result import Extraction
from bottleneck.features.timing import Stage
from bottleneck.finetune.trained_arm import Trained
from bottleneck.model_card.checking.card_check import CardCheck
from bottleneck.model_card.checking.card_differences import CardDifference
from bottleneck.text.short_repr import show_values

LONG = "Wärmebild \x1b[2J " + "x" * 200
# Reprs of arms and images in the fixtures hold neither.
NAMES = ("image-", "patient-", "case-", "pat-", "Müller")


def make_leaky() -> LeakExperiment:
    row = LeakRow("random", False, "copies are on both sides", 80, 64.0, 0.9, 0.9, {})
    rows = (dataclasses.replace(row, repeats=dict.fromkeys(FIGURES, (0.9, 0.8))),)
    return LeakExperiment(LONG, {}, "SVM", 80, 40, 6, "ill", 5, 0, rows)


def predicted() -> bottleneck.ModelPredictions:
    features = make_features(dataset={"name": LONG}, seed=1)
    features = dataclasses.replace(features, failures=(("Müller", "damaged"),))
    return bottleneck.fit(make_features(), "logistic", unit="patient").predict(features)


def recalibrated() -> bottleneck.Recalibration:
    features = make_features(dataset={"name": LONG, "fingerprint": "e" * 64})
    noise = np.random.default_rng(0).normal(size=features.X.shape).astype(np.float32)
    new = dataclasses.replace(features, X=features.X + noise)
    return bottleneck.recalibrate(bottleneck.fit(make_features(), "lda"), new)


def explained() -> bottleneck.Explanation:
    features = make_features(dataset={"name": LONG}, seed=1)
    model = bottleneck.fit(make_features(dataset={"name": LONG}), "logistic")
    return bottleneck.explain_predictions(model, features, most=2)


def make_backbone() -> Backbone:
    preprocessing = Preprocessing(
        resize=8, crop=8, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
    )
    weights = Weights("random", "seed 0")
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    return Backbone(
        network, name="tiny", architecture="tiny", weights=weights, preprocessing=preprocessing
    )


@functools.cache
def made() -> list[object]:
    """Results of one comparison and one model, and what is made otherwise."""
    comparison = complete(make_comparison(heads=("logistic",), n=80))
    renamed = (dataclasses.replace(comparison.evaluations[0], name=LONG), *comparison.evaluations)
    effect = ConflictEffect(LONG, None, Metric(0.7, 0.6, 0.8, "estimate only: 7 patients, 95%"))
    comparison = dataclasses.replace(
        comparison,
        dataset={**comparison.dataset, "name": LONG},
        evaluations=renamed,
        conflicts=ConflictSummary("drop", 1, 2, 2, 0, LONG, (effect,)),
    )
    folds = Folds("cross-validation", (Fold(0, 0, 0, np.arange(3), np.arange(2)),), LONG)
    classes = ("a", "b\u202e", LONG)
    features = make_features(classes=classes, dataset={"name": LONG})
    features = dataclasses.replace(features, failures=(("Müller", "damaged"),))
    arm, made_backbone = comparison.evaluations[0], make_backbone()
    samples = bottleneck.load_dataset("phantom", limit=2)
    run = Extraction(
        Path("/data/Müller/x.h5"), 80, 70, 8, 2, {}, (("Müller", "damaged"),), 9.0, 8.0, 512,
        (Stage("read", 1.0, 2.0),), "read", "", ("a note",), {},
    )  # fmt: skip
    return [
        comparison, folds, features,
        samples, samples.samples[0], run, make_leaky(), made_backbone,
        bottleneck.fit(make_features(), "logistic"), predicted(), recalibrated(),
        explained(),
        Measures(), Protocol(repeats=3, kind="cv"),
        made_backbone.preprocessing, bottleneck.FrozenBackbone("resnet18", layer="layer3"),
        bottleneck.VolumePreprocessing(size=(96, 96, 96), window=(-1000.0, 400.0)),
        bottleneck.VolumeRegion(-100.5, 67.25, -231.75, "lps", size_mm=50.0),
        bottleneck.Head(make_pipeline(*[StandardScaler()] * 9, LogisticRegression())),
        bottleneck.Augmentation(), bottleneck.Selection(exclude=["image-1", "Müller"]),
        bottleneck.Selection(exclude="/data/Müller/list.txt", classes=["a", "b"]),
        Trained(LONG, Path("/Müller"), 0, arm.predictions, arm.predictions, {}, ("Müller",)),
        DuplicatePair(0, 1, False, 0.9, 0.8),
        CardCheck(Path("/Müller/a.md"), (CardDifference(3, LONG, "/arms/0"),), (4,), (LONG,)),
        ModelExport(
            Path("/Müller/svm"), "onnx", Parity(LONG, 9, 1e-7, 1e-8, 1e-4, {}, 0, None), {}, (LONG,)
        ),
    ]  # fmt: skip


def parts_of(value: object, seen: set[int]) -> Iterator[object]:
    """Yield every object of a class of ours within an object, itself first."""
    if id(value) in seen or isinstance(value, str | bytes | type | np.ndarray):
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        inner: Any = value.values()
    elif isinstance(value, VolumeRegion):
        yield value
        return
    elif isinstance(value, list | tuple):
        inner = value
    elif type(value).__module__.startswith("bottleneck."):
        yield value
        fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        inner = [getattr(value, field.name) for field in fields]
    else:
        return
    for one in inner:
        yield from parts_of(one, seen)


@functools.cache
def shown() -> list[object]:
    seen: set[int] = set()
    return [part for value in made() for part in parts_of(value, seen)]


def test_the_text_of_every_object_is_short_and_names_nobody() -> None:
    texts = {repr(part): type(part) for part in shown()}
    assert len(texts) > 100
    for text, of in texts.items():
        if of.__module__.startswith("bottleneck.statistics"):
            continue  # Numbers alone, in full.
        lines = text.split("\n")
        assert len(lines) <= 8, text
        assert max(map(len, lines)) <= 80, text
        assert not any(name in text for name in NAMES), text
        assert text.replace("\n", "").isprintable(), text


def test_objects_can_be_compared_and_kept() -> None:
    """A result equals itself only, so that it can be a key of a mapping."""
    options = {"Measures", "Selection"}  # They hold mappings.
    public = {getattr(bottleneck, name) for name in bottleneck.__all__}
    for part in shown():
        twin = copy.deepcopy(part)
        assert part == part
        assert (part == twin) in (True, False), type(part)
        assert repr(twin) == repr(copy.copy(part)) == repr(pickle.loads(pickle.dumps(part)))
        if type(part) in public and type(part).__name__ not in options:
            assert part in {part: 1}


def test_every_public_class_is_among_them() -> None:
    public = {getattr(bottleneck, name) for name in bottleneck.__all__}
    classes = {c for c in public if inspect.isclass(c) and not issubclass(c, Exception)}
    classes = {c for c in classes if not getattr(c, "_is_protocol", False)}
    assert classes <= {type(part) for part in shown()}


def test_numbers_come_with_their_intervals() -> None:
    comparison: Any = made()[0]
    evaluation = comparison.evaluations[0]
    auroc = evaluation.metrics["auroc"]
    interval = f"{auroc.value:.3f} [{auroc.low:.3f}, {auroc.high:.3f}]"
    for text in map(repr, (auroc, evaluation, comparison)):
        assert interval in " ".join(text.split()), text


def test_options_show_what_differs_from_the_defaults() -> None:
    assert repr(Protocol()) == "Protocol()"
    assert repr(Protocol(kind="cv", repeats=3)) == "Protocol(kind='cv', repeats=3)"
    assert repr(Measures(subgroups={"sex": {"Müller": "f"}})) == "Measures(subgroups=1 value)"


@pytest.mark.parametrize("value", ["", "y" * 500, 1e300, np.zeros(3), {"a": 1}, None, [1, 2]])
def test_any_value_is_shown(value: object) -> None:
    assert len(show_values(object(), {"value": value})) < 80
