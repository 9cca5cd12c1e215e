"""A comparison with everything that a report can show; most figures are invented."""

from __future__ import annotations

import dataclasses

import numpy as np
from report.factory import SECRET, make_cohort, make_predictions

from bottleneck.audit.audit import Audit
from bottleneck.audit.findings import Finding
from bottleneck.audit.metadata_baseline import MetadataScore
from bottleneck.checks.check_warnings import warn
from bottleneck.duplicates.kinds.duplicate_pair import DuplicatePair
from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups
from bottleneck.duplicates.near_duplicates import NearDuplicateSearch
from bottleneck.evaluation.analyses.arm_choice import allow_for_choice
from bottleneck.evaluation.cases.wrong_cases import ImageName, NearestImage, WrongCase
from bottleneck.evaluation.metrics.metric_values import (
    Bin,
    Calibration,
    Metric,
    NetBenefit,
    OperatingPoint,
    Subgroup,
    SubgroupDifference,
)
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
from bottleneck.evaluation.results.result_parts import (
    Drop,
    LearningCurve,
    MarginResults,
    MarginTest,
    NonDiagnoses,
    Shift,
)
from bottleneck.statistics.inference.intervals import Interval
from bottleneck.statistics.probabilities.net_benefit import DecisionCurve

MORE = {
    "mcc": Metric(0.412, 0.301, 0.523, "BCa bootstrap, 95 %"),
    "auprc": Metric(0.702, 0.611, 0.793, "BCa bootstrap, 95 %"),
    "brier": Metric(0.187, 0.151, 0.223, "BCa bootstrap, 95 %"),
    "calibration_slope": Metric(0.871, 0.552, 1.190, "BCa bootstrap, 95 %"),
    "calibration_intercept": Metric(-0.113, -0.402, 0.176, "BCa bootstrap, 95 %"),
    "observed_expected": Metric(1.043, 0.871, 1.249, "influence by patient, log scale, 95 %"),
    "ece": Metric(0.061),
    "ppv_at_prevalence": Metric(0.243, 0.171, 0.315, "BCa bootstrap, 95 %"),
    "npv_at_prevalence": Metric(0.963, 0.931, 0.995, "BCa bootstrap, 95 %"),
}
CURVES = [
    {"epoch": i, "train_loss": 0.7 / i, "val_loss": 0.75 / i + 0.05, "val_auroc": 0.6 + i / 50}
    for i in range(1, 9)
]


def complete(comparison: Comparison, *, allow_leakage: bool = False) -> Comparison:
    """Fill every field that a comparison has."""
    arms = [_fill(e, place) for place, e in enumerate(comparison.evaluations)]
    images = [e.name for e in arms if e.uses_images]
    differences = tuple(
        dataclasses.replace(
            d,
            role="primary" if d.metric == "auroc" else "secondary",
            p_adjusted=d.p_adjusted if d.metric == "auroc" else None,
        )
        for d in comparison.differences
        if d.a in images and d.b in images
    )
    return dataclasses.replace(
        comparison,
        evaluations=tuple(arms),
        differences=differences,
        protocol=dict(comparison.protocol)
        | {
            "unit": "image",
            "aggregate": None,
            "allow_leakage": allow_leakage,
            "primary": "auroc: corrected t of the mean within-fold difference, Holm",
            "prevalence": 0.1,
        },
        audit=make_audit(),
        thumbnails=make_thumbnails(),
        image_names=make_names(60),
        cases={e.name: make_cases(e) for e in arms if e.uses_images},
        external=(make_external(comparison, arms),),
        noninferiority=make_margin(images),
        choice=allow_for_choice(arms, comparison.positive),
    )


def make_margin(names: list[str]) -> MarginResults | None:
    """The first arm is the reference; the others take turns at every verdict."""
    reference, *others = names
    if not others:
        return None
    given = [
        ("superior", 0.02, 0.001),
        ("inconclusive", -0.04, 0.03),
        ("non-inferior", -0.03, 0.01),
        ("inferior", -0.2, 1.0),
        ("lower within the margin", -0.045, 0.02),
    ]
    tests = [
        MarginTest(name, low + 0.02, low, low + 0.04, p / 2, p, verdict, "Obuchowski, MOVER, 95%")
        for name, (verdict, low, p) in zip(others, given * len(others), strict=False)
    ]
    words = f"Non-inferiority to {reference} was tested with a margin of 0.05"
    return MarginResults(0.05, reference, tuple(tests), words)


def make_thumbnails() -> dict[int, np.ndarray]:
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(32), np.arange(32)) * 2
    return {
        row: np.clip(smooth + rng.integers(0, 90, (32, 32)), 0, 255).astype(np.uint8)
        for row in range(60)
    }


def make_names(n: int) -> dict[int, ImageName]:
    """Names in a folder that only a list of absolute paths has."""
    return {
        row: ImageName(f"id-{row}", f"person-{row // 2}", f"{SECRET}/files/{row}.png")
        for row in range(n)
    }


def make_cases(evaluation: Evaluation) -> tuple[WrongCase, ...]:
    """The first errors of an arm; the training images near them are invented."""
    p = evaluation.predictions
    near = tuple(
        NearestImage(row, f"id-{row}", f"person-{row // 2}", p.classes[row % 2], row / 10)
        for row in range(1, 6)
    )
    return tuple(
        WrongCase(
            number=n + 1,
            row=10 + n,
            id=f"id-{10 + n}",
            patient=f"person-{5 + n // 2}",
            label=str(p.labels[at]),
            predicted=str(p.predicted[at]),
            probability=None if n % 2 else 0.9 - n / 100,
            score=1.5,
            lead=3.0,
            repeat=int(p.repeats[at]),
            fold=int(p.folds[at]),
            times=1 + n % 2,
            tested=2,
            nearest=near,
        )
        for n, at in enumerate(np.flatnonzero(p.predicted != p.labels)[:6].tolist())
    )


def make_audit() -> Audit:
    pairs = tuple(DuplicatePair(2 * i, 2 * i + 1, i % 2 == 0, 0.98, 0.97) for i in range(20))
    at = tuple((p.a, p.b) for p in pairs)
    findings = (
        Finding("BF905", "note", 0, f"2 images of '{SECRET}/a b.png' could not be read."),
        Finding("BF103", "leak", 10, "10 pairs belong to different patients.", at[::2]),
        Finding("BF104", "leak", 10, "10 pairs of near-duplicate images.", at[1::2]),
        Finding("BF202", "warning", 3, "3 images with strokes like text.", rows=(50, 51, 99)),
        Finding("BF106", "note", 3, "Duplicate images join 3 of 90 patients."),
    )
    auroc = Interval(0.61, 0.52, 0.69, 0.04, 0.95, "LeDell")
    return Audit(
        dataset="thyroid-demo",
        n_samples=180,
        n_patients=90,
        findings=findings,
        groups=LeakSafeGroups(
            None, pairs, NearDuplicateSearch(pairs[1::2], 0.8, 0.7, 0.9, 16110, False)
        ),
        metadata=MetadataScore(("width", "height"), "malignant", auroc, {"width": 0.6}),
        largest_group=3,
    )


def make_external(comparison: Comparison, inside: list[Evaluation]) -> External:
    """The same arms on a smaller external cohort."""
    cohort = make_cohort(comparison.classes, 30 * len(comparison.classes), seed=3)
    prior = make_predictions(cohort, None, noise=0.0, folds=2)
    arms = []
    for place, e in enumerate(inside):
        p = make_predictions(cohort, "logistic", noise=2.0 + place, folds=2)
        p = p if e.uses_images else prior
        p = dataclasses.replace(p, folds=np.zeros(len(p), int))
        outside = {name: _lower(m) for name, m in e.metrics.items()}
        arms.append(dataclasses.replace(e, predictions=p, metrics=outside, chosen=()))
    drops = [
        Drop(
            e.name,
            name,
            m,
            outside.metrics[name],
            Metric(-0.1, -0.22, 0.02, "independent cohorts, Wald, 95 %"),
        )
        for e, outside in zip(inside, arms, strict=True)
        for name, m in e.metrics.items()
        if e.uses_images and name in ("auroc", "sensitivity", "brier")
    ]
    counts = {c: int((cohort.y == c).sum()) for c in comparison.classes}
    return External(
        dataset={
            "name": "elsewhere",
            "fingerprint": "e1" * 32,
            "n_samples": len(cohort.y),
            "n_patients": len(np.unique(cohort.groups)),
            "n_unnamed": 0,
            "classes": counts,
            "patients": counts,
            "positive": comparison.positive,
            "failures": 0,
            "failures_by_class": {},
            "excluded": {"no label": 4},
            "selection": {},
            "sources": {},
        },
        evaluations=tuple(arms),
        differences=comparison.differences[:2],
        drops=tuple(drops),
        shifts=(
            Shift(
                "resnet18 (imagenet)",
                0.0312,
                0.004,
                999,
                Metric(0.93, 0.88, 0.98, "DeLong"),
                21,
                3.0,
                "The cohorts differ: a classifier tells them apart with an AUROC of 0.93.",
            ),
        ),
        noninferiority=make_margin([e.name for e in arms if e.uses_images]),
        definitions={
            "labels": {"inside": "TI-RADS 4 and 5", "outside": "biopsy"},
            "images": {"inside": f"crops of {SECRET}/crops", "outside": "full frames"},
        },
        warnings=warn("BF305", ["labels are defined differently: TI-RADS here, biopsy there"]),
    )


def _lower(m: Metric) -> Metric:
    bounds = (None if b is None else max(0.0, b - 0.1) for b in (m.low, m.high))
    return Metric(max(0.0, m.value - 0.1), *bounds, m.method)


def _fill(e: Evaluation, place: int) -> Evaluation:
    shift = 0.001 * place
    more = {
        name: dataclasses.replace(m, value=m.value + shift)
        for name, m in MORE.items()
        if e.uses_images
    }
    filled = dataclasses.replace(e, metrics={**e.metrics, **more})
    if not e.uses_images:
        return filled
    bins = tuple(
        Bin(36, 0.1 + 0.2 * i, Metric(0.12 + 0.17 * i + shift, 0.04 + 0.17 * i, 0.24 + 0.17 * i))
        for i in range(5)
    )
    at = np.linspace(0.02, 0.6, 30)
    everyone = 0.35 - 0.65 * at / (1 - at)
    model = np.maximum(everyone + 0.05, 0.35 * (1 - at) ** 2 - shift)
    figures = {
        "sensitivity": Metric(0.613 + shift, 0.511, 0.707, "Wilson"),
        "specificity": Metric(0.871 + shift, 0.801, 0.919, "Wilson"),
        "ppv": Metric(0.701),
        "npv": Metric(float("nan")),
    }
    per_class = {}
    if len(e.predictions.classes) > 2:
        per_class = {c: {"auroc": Metric(0.8, 0.7, 0.9)} for c in e.predictions.classes}
    return dataclasses.replace(
        filled,
        per_class=per_class,
        operating_points=(
            OperatingPoint("specificity", 0.9, (0.31, 0.44, 0.39), figures),
            OperatingPoint("sensitivity", 0.95, (-1.2,), figures),
        ),
        calibration=Calibration(bins, "Platt's sigmoid on grouped inner folds, without weights."),
        decision_curve=DecisionCurve(
            at, model, everyone, model - 0.1, model + 0.1, model - everyone - 0.07, model - everyone
        ),
        net_benefits=tuple(
            NetBenefit(
                t,
                Metric(0.21 + shift, 0.14, 0.28, "influence by patient, 95%"),
                Metric(0.1875, 0.11, 0.265, "influence by patient, 95%"),
                Metric(0.024 + shift, -0.011, 0.056, "influence by patient, 95%"),
                stated=t == 0.15,
            )
            for t in (0.1, 0.15)
        ),
        non_diagnoses=NonDiagnoses(
            2,
            dict.fromkeys(e.predictions.classes[:2], 1),
            0,
            {"accuracy": Metric(0.734 + shift, 0.66, 0.79, "Wilson, 95%")},
            {"accuracy": Metric(0.752 + shift, 0.68, 0.81, "Wilson, 95%")},
        ),
        subgroups=tuple(
            Subgroup(
                "centre", c, n, None if c == "B" else n // 2, n, {"auroc": Metric(v, v - 0.1, 1)}
            )
            for c, n, v in (("A", 120, 0.81), ("B", 60, 0.744))
        ),
        subgroup_differences=(
            SubgroupDifference(
                "centre",
                "auroc",
                ("A", "B"),
                ("C",),
                Metric(0.066 + shift, -0.02, 0.152, "Obuchowski, MOVER, 95%"),
                0.131,
                0.262,
                25,
                "Obuchowski, MOVER, 95%",
            ),
            SubgroupDifference(
                "device",
                "sensitivity",
                ("old", "new", "other"),
                (),
                None,
                0.0004,
                0.0008,
                1234,
                "clustered Wilson, Pearson's chi-squared; estimate only: 7 patients, 95%",
            ),
        ),
        learning_curve=LearningCurve(
            (20.0, 40.0, 60.0),
            tuple(Metric(v + shift, v - 0.08, v + 0.08) for v in (0.66, 0.71, 0.74)),
        ),
        cost={
            "trained_parameters": 11_177_538,
            "device": f"cpu of {SECRET}/host",
            "peak_memory_bytes": 3 * 2**30,
            "images_seen": 14400,
            "seconds": 754.2,
            "curves": CURVES,
            "training": {
                "network": {"backbone": "resnet18", "weights": "imagenet", "pooling": None},
                "seed": 7,
                "config": {"unfreeze": "last", "augment": True, "learning_rate": 1e-4},
            },
        }
        if place == 0
        else {},
    )
