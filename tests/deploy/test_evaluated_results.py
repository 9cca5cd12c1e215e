"""What a model keeps of the comparison that evaluated it, and comparisons of something else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_features import VGG, changed, make_features
from sklearn.linear_model import LogisticRegression

from bottleneck import Head, Protocol, Selection, compare, fit, load_model, write_report
from bottleneck.deploy.models.evaluated_arm import EvaluatedArm
from bottleneck.deploy.models.evaluated_results import find_evaluation
from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.evaluation.results.result_parts import ArmChoice
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.head_catalogue import get_head
from bottleneck.report.json_record import results_text

QUICK = Protocol(n_splits=3, inner_splits=2)
HEADS = ("logistic", "lda")
USUAL: dict[str, Any] = {
    "positive": "malignant",
    "unit": "image",
    "aggregate": "mean",
    "seed": 0,
    "inner_splits": 2,
    "conflicts": "drop",
    "target": None,
}


@pytest.fixture(scope="module")
def features() -> FeatureSet:
    return make_features(n_patients=24)


@pytest.fixture(scope="module")
def comparison(features: FeatureSet) -> Comparison:
    outside = make_features(n_patients=12, seed=5, dataset={"name": "Bern", "fingerprint": "b"})
    outside = dataclasses.replace(outside, ids=np.char.add("bern ", outside.ids))
    return compare(features, HEADS, protocol=QUICK, external=[outside])


@pytest.fixture(scope="module")
def report(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(comparison, tmp_path_factory.mktemp("report")).parent


def find(comparison: Any, features: FeatureSet, head: Any = "logistic", **other: Any) -> Any:
    return find_evaluation(comparison, features, get_head(head), **USUAL | other)


@pytest.mark.parametrize("head", HEADS)
def test_a_report_and_the_comparison_itself_give_the_same(
    comparison: Comparison, report: Path, features: FeatureSet, head: str
) -> None:
    target = ("sensitivity", 0.9)
    found = find(comparison, features, head, target=target)
    assert found.results_sha256 is None
    digest = hashlib.sha256((report / "results.json").read_bytes()).hexdigest()
    of_file = dataclasses.replace(found, results_sha256=digest)
    for given in (report, str(report), report / "results.json"):
        assert find(given, features, head, target=target) == of_file
    arm = next(e for e in comparison.evaluations if e.head == head)
    auroc = arm.metrics["auroc"]
    assert (found.auroc.value, found.auroc.low, found.auroc.high) == (
        auroc.value,
        auroc.low,
        auroc.high,
    )
    tested = arm.operating_points[0].metrics["specificity"]
    assert found.operating_point.metrics["specificity"].value == tested.value
    assert (found.n_arms, found.n_samples, found.n_patients) == (2, 48, 24)
    best = max(e.metrics["auroc"].value for e in comparison.evaluations if e.uses_images)
    assert found.is_best == (auroc.value == best)
    outside = next(e for e in comparison.external[0].evaluations if e.head == head)
    assert found.external[0].auroc.value == outside.metrics["auroc"].value
    assert find(comparison, features, head, target=("sensitivity", 0.8)).operating_point is None
    assert EvaluatedArm.from_dict(found.to_dict()) == found
    assert f"AUROC {auroc.value:.3f} (" in found.words
    assert "in 3-fold cross-validation by patient" in found.words
    assert "External cohort Bern (24 samples of 12 patients)" in found.words


def test_an_interval_that_allows_for_the_choice_is_kept(
    comparison: Comparison, features: FeatureSet, tmp_path: Path
) -> None:
    assert find(comparison, features, "lda").of_choice is None
    names = [e.name for e in comparison.evaluations if e.uses_images]
    choice = ArmChoice(names[0], dict.fromkeys(names, Metric(0.75, 0.5, 0.8, "adjusted")))
    made = dataclasses.replace(comparison, choice=choice)
    (tmp_path / "results.json").write_text(results_text(made))
    for given in (made, tmp_path):
        found = find(given, features, "lda")
        assert (found.of_choice.low, found.of_choice.high) == (0.5, 0.8)
        assert "allows for the choice among several arms: 0.750 (0.50–0.80)" in found.words


def test_a_model_keeps_the_evaluation_in_its_file(
    comparison: Comparison, report: Path, features: FeatureSet, tmp_path: Path
) -> None:
    model = fit(features, "lda", inner_splits=2, at_sensitivity=0.9, comparison=report)
    loaded = load_model(model.save(tmp_path / "m.skops")).comparison
    assert loaded is not None
    assert loaded == model.comparison
    assert loaded.operating_point is not None
    assert loaded.operating_point.target == 0.9
    assert loaded.date
    assert loaded.bottleneck


def test_what_was_not_evaluated_is_refused(comparison: Comparison, features: FeatureSet) -> None:
    labels = changed(features.y, 0, "malignant")
    fewer = features.select(features.stated_patients != "patient-00")
    chosen = features.choose(Selection(exclude=["image-000"]))
    merged = features.choose(Selection(merge={"tumour": ["malignant"]}))
    near = Head(LogisticRegression(C=3), name="logistic 2")
    wrong: list[tuple[FeatureSet, Any, dict[str, Any], str]] = [
        (dataclasses.replace(features, y=labels), "logistic", {}, "other ids, labels or patients"),
        (fewer, "logistic", {}, "48 samples of phantom, but the 46 samples of phantom"),
        (chosen, "logistic", {}, r"\(all samples\), but .* \(excluded by list: 1\): give fit"),
        (merged, "logistic", {}, r"\(malignant renamed tumour\)"),
        (make_features(n_patients=24, recipe=VGG), "lda", {}, "another recipe, from vgg16"),
        (features, "svm", {}, "logistic, lda on these .* the head svm: fit the evaluated"),
        (features, near, {}, "the head logistic 2"),
        (features, "lda", {"positive": "benign"}, "--positive malignant, but .* benign: fit it"),
        (features, "lda", {"unit": "patient"}, "with --unit image, but this model has --unit"),
        (features, "lda", {"seed": 4}, "--seed 0, but this model has --seed 4"),
        (features, "lda", {"inner_splits": 5}, "inner_splits 2"),
        (features, "lda", {"conflicts": "keep"}, "--conflicts drop"),
    ]
    for one, head, other, words in wrong:
        with pytest.raises(UsageError, match=f"^this comparison evaluated .*{words}"):
            find(comparison, one, head, **other)


def test_a_comparison_that_trained_on_the_test_set_of_the_model_says_so() -> None:
    split = np.repeat(["train", "val", "test"], [24, 12, 12])
    features = dataclasses.replace(make_features(n_patients=24), splits=split)
    for kind, n in (("cv", 1), ("split", 0)):
        made = compare(features, "lda", protocol=dataclasses.replace(QUICK, kind=kind))
        kept = fit(features, "lda", inner_splits=2, comparison=made).comparison
        said = [text for text in kept.warnings if "also trained on the test set" in text]
        assert len(said) == n


def test_a_head_of_the_same_name_with_other_parameters_is_refused(features: FeatureSet) -> None:
    made = compare(features, Head(LogisticRegression(C=1), name="mine"), protocol=QUICK)
    assert find(made, features, Head(LogisticRegression(C=1), name="other")).arm.endswith("mine")
    with pytest.raises(UsageError, match="has the head mine with other parameters"):
        find(made, features, Head(LogisticRegression(C=2), name="mine"))


def test_arrays_are_known_by_their_numbers() -> None:
    rng = np.random.default_rng(0)
    y, patients = np.arange(60) % 2, np.arange(60) // 3
    X = rng.normal(size=(60, 4)) + y[:, None]
    made = compare(X, "lda", y=y, groups=patients, protocol=QUICK, positive=1)
    given: dict[str, Any] = {"y": y, "groups": patients, "positive": 1, "inner_splits": 2}
    assert fit(X, "lda", **given, comparison=made).comparison is not None
    with pytest.raises(UsageError, match="other ids, labels or patients"):
        fit(X + 1, "lda", **given, comparison=made)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "holds no results of a comparison"),
        (b'{"format": 3}', "holds no results of a comparison"),
        (
            b'{"format": 3, "arms": [], "protocol": {}}',
            "format 3, and bottleneck-compare/1 is read: comp",
        ),
        (b'{"format": "bottleneck-compare/1", "arms": [], "protocol": {}}', "are missing"),
    ],
)
def test_files_that_are_no_results_are_refused(
    content: bytes, words: str, features: FeatureSet, tmp_path: Path
) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(UsageError, match=words):
        find(tmp_path, features)


def test_a_figure_that_is_no_auroc_is_refused(
    report: Path, features: FeatureSet, tmp_path: Path
) -> None:
    content = json.loads((report / "results.json").read_text())
    for arm in content["arms"]:
        arm["metrics"]["auroc"]["high"] = 1.5
    (tmp_path / "results.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="which is impossible: were its results changed"):
        find(tmp_path, features)


def test_places_without_results_are_named(
    report: Path, features: FeatureSet, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"holds no results\.json: name the folder that compare"):
        find(tmp_path, features)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        find(tmp_path / "none", features)
    with pytest.raises(UsageError, match="is not JSON; name the results"):
        find(report / "report.html", features)
    with pytest.raises(UsageError, match="comparison must be the folder of a report"):
        find(3, features)


def test_a_field_of_another_type_is_named(
    report: Path, features: FeatureSet, tmp_path: Path
) -> None:
    content = json.loads((report / "results.json").read_text())
    for keys, value in (
        (("protocol", "unit"), "visit"),
        (("arms",), {}),
        (("dataset", "n_samples"), "48"),
        (("arms", 0, "metrics", "auroc", "value"), "0.9"),
    ):
        wrong = json.loads(json.dumps(content))
        inside = wrong
        for key in keys[:-1]:
            inside = inside[key]
        inside[keys[-1]] = value
        (tmp_path / "results.json").write_text(json.dumps(wrong))
        with pytest.raises(UsageError, match=str(keys[-1])):
            find(tmp_path, features)
