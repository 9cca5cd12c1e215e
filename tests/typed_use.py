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
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]

import bottleneck
from bottleneck import (
    Augmentation,
    Backbone,
    BottleneckError,
    CardCheck,
    Comparison,
    Evaluation,
    Explanation,
    Extraction,
    FeatureSet,
    FrozenBackbone,
    Head,
    ImageDataset,
    Measures,
    Model,
    ModelExport,
    ModelPredictions,
    Predictions,
    Preprocessing,
    Protocol,
    Reader,
    Recalibration,
    Sample,
    Selection,
    VolumePreprocessing,
    VolumeRegion,
    audit_features,
    augment,
    check_card,
    compare,
    evaluate,
    explain_predictions,
    export_model,
    extract,
    extract_all,
    fit,
    load_backbone,
    load_dataset,
    load_features,
    load_model,
    load_new_images,
    on_probabilities,
    on_scores,
    plan_from_pilot,
    plan_study,
    plot_calibration,
    plot_confusion,
    plot_decision_curve,
    plot_embedding,
    plot_forest,
    plot_free_response,
    plot_learning_curve,
    plot_noninferiority,
    plot_roc,
    plot_training,
    read_predictions,
    recalibrate,
    run_leak_experiment,
    start_app,
    statistics,
    to_html,
    write_card,
    write_explanation,
    write_report,
)


class Pairs:
    """A reader of data sets."""

    @property
    def name(self) -> str:
        return "pairs"

    def matches(self, path: Path, /) -> bool:
        return path.suffix == ".pairs"

    def read(self, path: Path, /) -> list[Sample]:
        return [Sample(id="1", source="1.png", label="benign", group="p1")]


def hit_rate(true: NDArray[np.str_], predicted: NDArray[np.str_]) -> float:
    return float(np.mean(true == predicted))


def read_first(reader: Reader, path: Path) -> str:
    return reader.name if reader.matches(path) else "none"


def wrap(module: torch.nn.Module) -> Backbone:
    own = Preprocessing(256, 224, "bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    backbone: Backbone = Backbone.from_module(module, own, layer="layer4", pooling="max")
    step = FrozenBackbone(backbone, store="features").fit(["a.png"])
    rows: NDArray[np.float32] = step.transform([Path("b.png")])
    print(rows.shape)
    return backbone


def wrap_volumes(module: torch.nn.Module) -> Sample:
    how = VolumePreprocessing(size=(96, 96, 96), spacing=(1, 1, 1), window=(-1000, 400))
    shape: tuple[int, ...] = how.input_shape
    print(Backbone.from_module(module, how), shape)
    region = VolumeRegion(-100.5, 67.2, -231.8, "lps", size_mm=50)
    return Sample(id="1", source="1.nii.gz", label="benign", volume_region=region)


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
    others = compare(
        {"a": np.eye(4), "b": np.zeros((4, 2))},
        [RandomForestClassifier(), Head(RandomForestClassifier(), {"max_depth": [2, 3]}), "svm"],
        y=["x", "y", "x", "y"],
        groups=[1, 2, 3, 4],
        metrics={
            "hits": hit_rate,
            "scored": on_scores(lambda true, score: float(score.mean())),
            "loss": on_probabilities(lambda true, share: float(share.mean())),
        },
        selection=Selection(classes=("x", "y")),
        ensemble="mean",
        quiet=True,
    )
    imported = compare(predictions={"own": Predictions.from_arrays([0, 1], [0.2, 0.9])})
    rated = Measures(reader_threshold="TR4", unread="drop")
    compare(features, readers=["readers.csv", comparison.to_frame()], measures=rated)
    html: str = to_html(others)
    print(html, imported.differences_frame().shape, evaluate(arm.predictions).name)
    print(read_first(Pairs(), Path("a.pairs")), wrap(torch.nn.Identity()).width)
    frame: pd.DataFrame = comparison.to_frame()
    scores: NDArray[np.float64] = arm.predictions.scores
    page: Path = write_report(comparison, "report", overwrite=True, figures=False)
    audit = audit_features(features)
    print(auroc, low, frame.shape, scores.shape, page, audit.findings, comparison.warnings)
    return comparison


def draw(comparison: Comparison, figure: Figure) -> list[Axes]:
    first, ax = comparison.evaluations[0], figure.add_subplot()
    return [
        plot_roc(comparison, arms=[first.name], band=False, ax=ax),
        plot_calibration(first, title="Calibration"),
        plot_decision_curve(comparison.external[0], legend=False, ax=ax),
        plot_free_response(comparison, legend=False, ax=ax),
        plot_confusion(comparison, first.name, ax=ax),
        plot_forest(comparison, "accuracy", differences=True, ax=ax),
        plot_noninferiority(comparison, title="Margin", ax=ax),
        plot_learning_curve(comparison, arms=first.name, ax=ax),
        plot_training(comparison, what="metrics", ax=ax),
        plot_embedding(comparison, method="umap", errors_of=first.name, ax=ax),
    ]


def keep(features: FeatureSet, path: str) -> Predictions:
    model: Model = fit(features, RandomForestClassifier(), seed=1)
    model = fit(np.eye(2), "logistic", y=[0, 1], groups=["a", "b"])
    saved: Path = model.save(path)
    made: ModelPredictions = load_model(saved, trust=["numpy.dtype"]).predict(features)
    predictions = made.predictions
    imported, validation = read_predictions("table.csv")
    assert_type(imported, Predictions)
    assert_type(validation, Predictions | None)
    experiment = run_leak_experiment(features)
    print(experiment.rows, imported.to_frame().shape)
    return Predictions.concatenate([predictions, predictions.take(predictions.labels == "a")])


def deploy(model: Model, folder: Path, own: FeatureSet) -> ModelPredictions:
    images: ImageDataset = load_new_images([folder], classes=model.classes)
    why: Explanation = explain_predictions(model, images, maps="occlusion", most=3)
    again = explain_predictions("report", data=images, features=[own, "features"], arms="a + svm")
    print(write_explanation(why, folder, with_ids=True).name, again.arms[0].cases[0].heat_map)
    adapted: Recalibration = recalibrate(model, own, what="threshold")
    print(adapted)
    card: Path = write_card(model, "report", "card.md", authors=["A. Author"], licence="CC-BY-4.0")
    compared: CardCheck = check_card(card, "report", model=model)
    print(compared.agrees, [one.words for one in compared.differences])
    with start_app([model, folder / "svm.skops"], folders=[folder], port=7860) as app:
        print(app.url)
    several: ModelPredictions = model.predict([folder / "a.png", folder / "b.png"], y=["", "ill"])
    print(several.to_frame().shape, several.evaluation, several.patients)
    handed: ModelExport = export_model(model, "torch", output=folder / "export", images=images)
    print(handed.parity.largest, handed.path.name)
    return model.predict(images, error_rate=0.05, device="cpu")


def measure(table: pd.DataFrame, score: NDArray[np.float32], other: list[float]) -> float:
    label, patient, fold = table["label"], table["patient"], table["fold"].to_numpy()
    interval = statistics.roc_auc_interval(label, score, patient, fold, positive="malignant")
    assert_type(interval, statistics.Interval)
    test = bottleneck.roc_auc_difference([0, 1, 1], score, other, groups=["a", "b", "c"])
    assert_type(test.p, float)
    best = statistics.best_auc_interval(label, [[0.1, 0.9]], patient, fold, positive="malignant")
    assert_type(best, statistics.BestAuroc)
    loss = statistics.roc_auc_noninferiority(label, score, other, patient, margin=0.05)
    assert_type(loss, statistics.NonInferiority)
    parts = statistics.subgroup_auc_test(label, score, ["old", "new"], patient, level=0.9)
    assert_type(parts, statistics.SubgroupTest)
    assert_type(statistics.subgroup_proportion_test([True], label).p, float)
    called: NDArray[np.bool_] = score >= 0.5
    found = statistics.diagnostic_accuracy([True, False, True], called, level=0.9)
    tested = bottleneck.mcnemar_test(label, ["a", "b"], ("a", "b"))
    line = statistics.calibration_line(label, other, positive="malignant")
    smooth = statistics.calibration_curve(label, other, positive="malignant")
    print(smooth.low, statistics.observed_expected_ratio(label, other, positive="malignant").high)
    curve = statistics.reliability_curve(label, other, positive="malignant")
    plan = statistics.decision_curve(np.array([0, 1]), other, thresholds=[0.1, 0.2])
    benefit = statistics.net_benefit(label, other, threshold=0.2, versus="everyone", positive=1)
    free = statistics.free_response(
        score, ["a", "", ""], ["s", "s", "t"], scans={"s": "p", "t": "p"}, lesions={"a": "s"}
    )
    assert_type(free.score, statistics.Interval)
    brier = statistics.brier_interval(label, other, positive=np.int64(1))
    error: float = statistics.expected_calibration_error(label, other)
    macro = statistics.macro_auc_interval(label, [[0.1, 0.9]], classes=["a", "b"])
    centres = statistics.random_effects([0.1, 0.2, 0.3], [0.1, 0.1, 0.1])
    shift = statistics.mmd_test(score.reshape(-1, 1), [0, 1, 1], seed=1)
    far: NDArray[np.bool_] = statistics.knn_outliers([[0.1], [0.2]], [[0.3]])
    p = [[0.9, 0.1], [0.2, 0.8]]
    sets: NDArray[np.bool_] = statistics.conformal_sets([0, 1], p, new=np.eye(2), error_rate=0.2)
    print(sets, statistics.conformal_p_values(label, p, patient, new=p, classes=["a", "b"]))
    print(statistics.distance_percentiles([[0.1], [0.2]], [[0.3]], ["a", "b"], one_unit=True))
    adjusted: NDArray[np.float64] = statistics.holm([0.01, tested.p])
    share = statistics.proportion_interval(called, groups=[1, 1, 2])
    folded = statistics.corrected_resampled_t([0.01, 0.03], n_train=80, n_test=20)
    apart = statistics.macro_auc_difference(label, [[0.1, 0.9]], np.eye(2), ["a", "b"])
    enough: bool = statistics.holds_level(12, 40, effective=statistics.effective_number(patient))
    print(share.n_groups, folded.t, apart.difference, enough)
    sizes = [
        statistics.validation_size(0.8, 0.2, risks=(1, 2)),
        statistics.comparison_size(0.8, 0.7, 0.2),
    ]
    print(plan_from_pilot(np.eye(4), "lda", y=["a", "b", "a", "b"], times=(2,)).future)
    print(plan_study(0.8, 0.2, width=0.2, draws=0).text, max(sizes, key=lambda one: one.patients))
    print(statistics.development_size(24, 0.2, auroc=0.8).criteria[0].target)
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
