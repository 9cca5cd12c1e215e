"""A program as an engineer would write it, with annotations: mypy checks it, and it is not run.

``tests/test_public_types.py`` runs mypy in strict mode on this file. A public function that
loses its types, or takes less than its documentation says, is an error there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bottleneck
from bottleneck import (
    Augmentation,
    BottleneckError,
    Comparison,
    Evaluation,
    Extraction,
    FeatureSet,
    ImageDataset,
    Measures,
    Model,
    Predictions,
    Protocol,
    audit_features,
    augment,
    compare,
    evaluate,
    extract,
    extract_all,
    fit,
    load_backbone,
    load_dataset,
    load_features,
    load_model,
    read_predictions,
    run_leak_experiment,
    statistics,
    write_report,
)


def read_images(folder: Path) -> ImageDataset:
    dataset = load_dataset(folder)
    dataset = load_dataset("phantom", limit=8)
    label: str = dataset.samples[0].label
    patient: str | None = dataset.samples[0].group
    counts: Mapping[str, int] = dataset.class_counts
    data: bytes = dataset.read(dataset.samples[0])
    print(len(dataset), label, patient, counts, data[:4], dataset.classes)
    own = ImageDataset.from_samples(
        [{"path": "a.png", "label": "benign"}], name="mine", images=folder
    )
    return augment(own.limited(3), Augmentation(copies=2, noise=4.0))


def show(done: int, total: int, text: str) -> None:
    print(done, total, text)


def compute(dataset: ImageDataset, output: Path) -> FeatureSet:
    run: Extraction = extract(
        dataset, "resnet18", weights="random", output=output, batch_size=8, progress=show
    )
    extract(dataset, "resnet18", batch=8)  # type: ignore[call-arg]
    backbone = load_backbone("resnet18", weights="random")
    runs = extract_all(dataset, ["resnet18", backbone], layers=[None], weights="random")
    paths: list[Path] = [one.path for one in runs]
    rate: float = run.images_per_second
    print(paths, rate, run.failures)
    return load_features(run.path, memory_map=True)


def make(X: NDArray[np.float32], frame: pd.DataFrame, labels: pd.Series) -> FeatureSet:
    patients: list[str] = ["a", "b"]
    features = FeatureSet.from_arrays(X, [0, 1], patients)
    features = FeatureSet.from_arrays(frame, labels, groups=frame["patient"], name="table")
    part = features.select(features.y == "malignant")
    both = FeatureSet.concatenate({"Bern": features, "Basel": part})
    path: Path = both.save("both.h5")
    groups: NDArray[np.str_] = both.groups
    table: pd.DataFrame = both.to_frame()
    print(path, groups.shape, table.columns, both.X.dtype, both.classes)
    return both


def judge(features: FeatureSet) -> Comparison:
    protocol = Protocol(kind="cv", n_splits=5, repeats=2, unit="patient")
    measures = Measures(at_sensitivity=0.95, prevalence=0.1)
    arm: Evaluation = evaluate(features, "svm", protocol=protocol, positive="malignant")
    auroc: float = arm.metrics["auroc"].value
    low: float | None = arm.metrics["auroc"].low
    comparison = compare(
        [features, Path("other.h5")],
        heads=("svm", "logistic"),
        protocol=protocol,
        measures=measures,
        n_jobs=2,
        note=print,
    )
    frame: pd.DataFrame = comparison.to_frame()
    scores: NDArray[np.float64] = arm.predictions.scores
    page: Path = write_report(comparison, "report", overwrite=True)
    audit = audit_features(features)
    print(auroc, low, frame.shape, scores.shape, page, audit.findings, comparison.warnings)
    return comparison


def keep(features: FeatureSet, path: str) -> Predictions:
    model: Model = fit(features, "logistic", seed=1)
    saved: Path = model.save(path)
    predictions = load_model(saved).predict(features)
    imported, validation = read_predictions("table.csv")
    assert_type(imported, Predictions)
    assert_type(validation, Predictions | None)
    experiment = run_leak_experiment(features)
    print(experiment.rows, imported.to_frame().shape)
    return Predictions.concatenate([predictions, predictions.take(predictions.labels == "a")])


def measure(table: pd.DataFrame, score: NDArray[np.float32], other: list[float]) -> float:
    label, patient, fold = table["label"], table["patient"], table["fold"].to_numpy()
    interval = statistics.roc_auc_interval(label, score, patient, fold, positive="malignant")
    assert_type(interval, statistics.Interval)
    test = bottleneck.roc_auc_difference([0, 1, 1], score, other, groups=["a", "b", "c"])
    assert_type(test.p, float)
    called: NDArray[np.bool_] = score >= 0.5
    found = statistics.diagnostic_accuracy([True, False, True], called, level=0.9)
    tested = bottleneck.mcnemar_test(label, ["a", "b"], ("a", "b"))
    line = statistics.calibration_line(label, other, positive="malignant")
    curve = statistics.reliability_curve(label, other, positive="malignant")
    plan = statistics.decision_curve(np.array([0, 1]), other, [0.1, 0.2])
    benefit = statistics.net_benefit(label, other, threshold=0.2, positive=1)
    brier = statistics.brier_interval(label, other, positive=np.int64(1))
    error: float = statistics.expected_calibration_error(label, other)
    macro = statistics.macro_auc_interval(label, [[0.1, 0.9]], classes=["a", "b"])
    centres = statistics.random_effects([0.1, 0.2, 0.3], [0.1, 0.1, 0.1])
    shift = statistics.mmd_test(score.reshape(-1, 1), [0, 1, 1], seed=1)
    far: NDArray[np.bool_] = statistics.knn_outliers([[0.1], [0.2]], [[0.3]])
    adjusted: NDArray[np.float64] = statistics.holm([0.01, tested.p])
    wilson = bottleneck.statistics.wilson_interval(8, 10)
    n: int | None = wilson.n
    print(line.slope, curve.bins[0].observed, plan.model.shape, macro, centres.mean, shift.p, far)
    print(adjusted, n, error, found.sensitivity.high, benefit.low, brier.method)
    return interval.value


def run(folder: Path) -> int:
    try:
        judge(compute(read_images(folder), folder))
    except BottleneckError as error:
        print(f"{bottleneck.__version__}: {error}")
        return 2
    return 0
