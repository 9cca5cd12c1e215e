"""Comparisons of real classifiers on synthetic features, as the report gets them."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import numpy as np
from scipy import stats
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bottleneck.checks.check_warnings import warn
from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation
from bottleneck.predictions import Predictions

HEADS = {
    "svm": lambda: SVC(C=1.0, class_weight="balanced", decision_function_shape="ovr"),
    "logistic": lambda: LogisticRegression(C=0.1, class_weight="balanced", max_iter=500),
    "neighbours": lambda: KNeighborsClassifier(5),
}
SOURCES = (("resnet18", "imagenet", 1.5), ("vgg16", "radimagenet", 3.0), ("swin_t", "random", 8.0))
#: An absolute path that no file but the predictions may repeat.
SECRET = "/mnt/secret-disk"
SEEN = ("benign", "malignant")
LESIONS = ("AKIEC", "BCC", "BKL", "dermatofibroma", "MEL", "NV", "SCC", "vascular lesion", "other")


@dataclasses.dataclass(frozen=True)
class Cohort:
    X: np.ndarray
    y: np.ndarray
    ids: np.ndarray
    groups: np.ndarray


def make_cohort(classes: tuple[str, ...], n: int = 180, seed: int = 0) -> Cohort:
    X, codes = make_classification(
        n,
        24,
        n_informative=10,
        n_redundant=4,
        n_classes=len(classes),
        weights=[0.65, 0.35] if len(classes) == 2 else None,
        class_sep=1.0,
        n_clusters_per_class=1,
        random_state=seed,
    )
    patients = np.array([f"pat-{i // 2:04d}" for i in range(n)])
    ids = np.array([f"case-{i:04d}.png" for i in range(n)])
    return Cohort(X, np.array(classes)[codes], ids, patients)


def make_predictions(
    cohort: Cohort, head: str | None, *, noise: float, repeats: int = 1, folds: int = 3
) -> Predictions:
    """Cross-validate a head on noisy features; None predicts the prevalence."""
    classes = tuple(str(c) for c in np.unique(cohort.y))
    rng = np.random.default_rng(7)
    X = cohort.X + rng.normal(scale=noise, size=cohort.X.shape)
    parts = []
    for repeat in range(repeats):
        splits = StratifiedGroupKFold(folds, shuffle=True, random_state=repeat)
        for fold, (train, test) in enumerate(splits.split(X, cohort.y, cohort.groups)):
            if head is None:
                shares = np.array([(cohort.y[train] == c).mean() for c in classes])
                scores = np.tile(shares, (len(test), 1))
            else:
                model = make_pipeline(StandardScaler(), HEADS[head]())
                model.fit(X[train], cohort.y[train])
                scores = (
                    model.decision_function(X[test])
                    if head == "svm"
                    else model.predict_proba(X[test])
                )
                if scores.ndim == 1:
                    scores = np.column_stack([-scores, scores])
            parts.append(
                Predictions(
                    ids=cohort.ids[test],
                    groups=cohort.groups[test],
                    repeats=np.full(len(test), repeat),
                    folds=np.full(len(test), fold),
                    labels=cohort.y[test],
                    predicted=np.array(classes)[scores.argmax(axis=1)],
                    scores=scores.astype(float),
                    classes=classes,
                    kind="decision" if head == "svm" else "probability",
                )
            )
    return Predictions.concatenate(parts)


def fold_aurocs(p: Predictions, positive: str | None) -> list[float]:
    """scikit-learn's AUROC of every fold: the reference of the report's curves."""
    values = []
    for repeat, fold in sorted(set(zip(p.repeats.tolist(), p.folds.tolist(), strict=True))):
        rows = (p.repeats == repeat) & (p.folds == fold)
        wanted = p.classes if positive is None else (positive,)
        values.append(
            np.mean(
                [
                    roc_auc_score(p.labels[rows] == c, p.scores[rows, p.classes.index(c)])
                    for c in wanted
                ]
            )
        )
    return values


def evaluate(
    name: str,
    source: tuple[str, str] | None,
    head: str,
    p: Predictions,
    positive: str | None,
    *,
    intervals: bool,
) -> Evaluation:
    def interval(value: float, n: int) -> Metric:
        if not intervals or np.isnan(value):
            return Metric(value)
        low, high = stats.binomtest(round(value * n), n).proportion_ci(method="wilson")
        return Metric(value, float(low), float(high), "Wilson, 95 %")

    y, z = p.labels, p.predicted
    auroc = float(np.mean(fold_aurocs(p, positive)))
    wide = 1.96 * np.sqrt(auroc * (1 - auroc) / len(np.unique(p.ids)) * 2)
    metrics = {
        "accuracy": interval(float(accuracy_score(y, z)), len(y)),
        "balanced_accuracy": Metric(float(balanced_accuracy_score(y, z))),
    }
    if positive is not None:
        negative = next(c for c in p.classes if c != positive)
        precision = {c: precision_score(y, z, pos_label=c, zero_division=np.nan) for c in p.classes}
        metrics |= {
            "sensitivity": interval(
                float(recall_score(y, z, pos_label=positive)), int((y == positive).sum())
            ),
            "specificity": interval(
                float(recall_score(y, z, pos_label=negative)), int((y == negative).sum())
            ),
            "ppv": Metric(float(precision[positive])),
            "npv": Metric(float(precision[negative])),
            "f1": Metric(float(f1_score(y, z, pos_label=positive))),
        }
    else:
        metrics["f1"] = Metric(float(f1_score(y, z, average="macro")))
    by_repeat = np.reshape(fold_aurocs(p, positive), (len(np.unique(p.repeats)), -1)).mean(axis=1)
    spread = (float(by_repeat.min()), float(by_repeat.max())) if len(by_repeat) > 1 else None
    metrics["auroc"] = (
        Metric(auroc, max(0, auroc - wide), min(1, auroc + wide), "patient bootstrap, 95 %", spread)
        if intervals
        else Metric(auroc, spread=spread)
    )
    first = p.repeats == 0
    chosen = tuple({"C": (1.0, 10.0)[fold % 2], "gamma": "scale"} for fold in np.unique(p.folds))
    return Evaluation(
        name=name,
        backbone=source[0] if source else None,
        weights=source[1] if source else None,
        head=head,
        predictions=p,
        metrics=metrics,
        confusion=confusion_matrix(y[first], z[first], labels=list(p.classes)),
        chosen=chosen if source else (),
        seconds=12.34 if source else 0.01,
        classifier={"class_weights": "balanced"} if source else {},
    )


def provenance(backbone: str, weights: str) -> dict[str, object]:
    return {
        "format": 1,
        "dataset": {"name": "thyroid-demo", "fingerprint": "5e" * 32, "positive": "malignant"},
        "recipe": {
            "backbone": backbone,
            "weights": weights,
            "network": backbone,
            "weights_digest": "ab" * 32,
            "layer": "",
            "pooling": "gap",
            "preprocessing": {
                "resize": 256,
                "crop": 224,
                "interpolation": "bilinear",
                "mean": (0.485, 0.456, 0.406),
                "std": (0.229, 0.224, 0.225),
                "channels": "RGB",
                "squash": False,
            },
            "precision": "bf16",
            "decoding": "1",
        },
        "recipe_hash": f"{len(backbone):02x}" * 32,
        "weights": {"name": weights, "source": f"{SECRET}/{backbone}.pth", "licence": None},
        "shape": [512, 7, 7],
        "device": "cpu (AVX512)",
        "drift": {"images": 16, "cosine": 0.99987, "relative": 0.0123},
        "versions": {"bottleneck": "0.1.0", "torch": "2.6.0"},
        "command": f"bottleneck extract '{SECRET}/two words' --out={SECRET}/features",
        "created": "2026-01-02T03:04:05+00:00",
    }


def make_comparison(
    classes: tuple[str, ...] = SEEN,
    *,
    heads: tuple[str, ...] = ("svm", "logistic", "neighbours"),
    sources: tuple[tuple[str, str, float], ...] = SOURCES[:2],
    repeats: int = 1,
    folds: int = 3,
    intervals: bool = True,
    n: int = 180,
    warnings: tuple[str, ...] = (),
    cohort: Cohort | None = None,
    positive: str | None = "malignant",
) -> Comparison:
    cohort = cohort or make_cohort(classes, n)
    arms = [
        evaluate(
            f"{backbone} ({weights}) + {head}",
            (backbone, weights),
            head,
            make_predictions(cohort, head, noise=noise, repeats=repeats, folds=folds),
            positive,
            intervals=intervals,
        )
        for backbone, weights, noise in sources
        for head in heads
    ]
    prior = make_predictions(cohort, None, noise=0.0, repeats=repeats, folds=folds)
    arms.append(evaluate("prior only", None, "prior", prior, positive, intervals=intervals))
    differences = []
    for metric, (a, b) in itertools.product(("auroc", "accuracy"), itertools.combinations(arms, 2)):
        gap = a.metrics[metric].value - b.metrics[metric].value
        p = float(2 * stats.norm.sf(abs(gap) / 0.05))
        bounded = intervals and metric == "auroc"
        differences.append(
            Difference(
                a=a.name,
                b=b.name,
                metric=metric,
                value=gap,
                low=gap - 0.098 if bounded else None,
                high=gap + 0.098 if bounded else None,
                p=p,
                p_adjusted=min(1.0, 3 * p),
                method="patient bootstrap" if bounded else "McNemar",
            )
        )
    patients = {str(c): len(np.unique(cohort.groups[cohort.y == c])) for c in np.unique(cohort.y)}
    return Comparison(
        dataset={
            "name": "thyroid-demo",
            "fingerprint": "5e" * 32,
            "n_samples": len(cohort.y),
            "n_patients": len(np.unique(cohort.groups)),
            "n_unnamed": 0,
            "classes": {str(c): int(k) for c, k in sorted(Counter(cohort.y.tolist()).items())},
            "patients": patients,
            "positive": positive,
            "failures": 2,
            "failures_by_class": dict.fromkeys(sorted({*cohort.y.tolist()})[:2], 1),
            "excluded": {"no label": 3, "exact copy of another image": 5},
            "selection": {},
            "sources": {},
        },
        protocol={
            "kind": "cross-validation",
            "folds": folds,
            "repeats": repeats,
            "common_repeats": repeats,
            "inner_folds": 3,
            "inner_splits": 3,
            "seed": 0,
            "seeds": [*range(repeats)],
            "grouped": True,
            "unit": "image",
            "aggregate": None,
            "allow_leakage": False,
            "conflicts": "drop",
            "prevalence": None,
            "act_at": None,
            "primary": "auroc: patient bootstrap",
            "words": f"Arms were compared by nested cross-validation with {folds} outer and 3 "
            "inner folds, stratified by class and grouped by patient (seed 0).",
        },
        classes=tuple(str(c) for c in np.unique(cohort.y)),
        positive=positive,
        evaluations=tuple(arms),
        differences=tuple(differences),
        warnings=warn("BF303", warnings),
        features=tuple(provenance(backbone, weights) for backbone, weights, _ in sources),
    )
