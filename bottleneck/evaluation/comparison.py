"""Arms held against each other on the same samples in the same folds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bottleneck.data.dataset import choose_positive
from bottleneck.data.grouping import name_patients
from bottleneck.data.splits import Protocol, make_folds
from bottleneck.errors import UsageError
from bottleneck.evaluation import inference
from bottleneck.evaluation.arms import Arm, load_all, make_arms
from bottleneck.evaluation.circumstances import describe_dataset, describe_protocol, find_warnings
from bottleneck.evaluation.intervals import Interval
from bottleneck.evaluation.metrics import confuse, fold_aurocs, measure
from bottleneck.evaluation.nested import ArmResult, count_inner_folds, run_arms
from bottleneck.evaluation.results import Comparison, Difference, Evaluation, Metric
from bottleneck.features.featureset import FeatureSet

__all__ = ["compare", "evaluate"]

Features = FeatureSet | str | Path


def evaluate(
    features: Features,
    head: str = "svm",
    *,
    protocol: Protocol = Protocol(),
    positive: str | None = None,
    n_jobs: int | None = None,
) -> Evaluation:
    """Say how well a head does on features.

    Parameters
    ----------
    features : FeatureSet, str or Path
        Features, or the file that holds them.
    head : {"svm", "logistic", "mlp", "prior"}
        The head.
    protocol, positive, n_jobs
        As for ``compare``, which also carries the warnings.

    Returns
    -------
    Evaluation
        One arm.

    Raises
    ------
    BottleneckError
        As ``compare`` does.
    """
    return compare(
        features, (head,), protocol=protocol, positive=positive, n_jobs=n_jobs
    ).evaluations[0]


def compare(
    features: Sequence[Features] | Features,
    heads: Sequence[str] = ("svm", "logistic", "mlp"),
    *,
    protocol: Protocol = Protocol(),
    positive: str | None = None,
    n_jobs: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Comparison:
    """Hold features and heads against each other, on the same samples in the same folds.

    Hyperparameters are chosen within each training part; the scaler is fitted there too.

    Parameters
    ----------
    features : FeatureSet, str or Path, or a sequence of these
        Features of the same samples by different recipes.
    heads : sequence of {"svm", "logistic", "mlp"}
        The heads that each of them is tried with. An arm that knows only the class
        frequencies is always added.
    protocol : Protocol
        How samples are split.
    positive : str or None
        The positive class; by default the one that extraction was told, or a label that
        is recognised.
    n_jobs : int or None
        Processes, as joblib counts them: None for one, -1 for all cores.
    progress : callable or None
        Called with the number of folds done, their number over all arms, and the arm.

    Returns
    -------
    Comparison
        The arms, in the order of features and then heads.

    Raises
    ------
    UsageError
        If a head or label is unknown, or the positive class has to be said.
    ProtocolError
        If the features are not of the same samples, or these cannot be split as asked.
    FeatureFileError
        If a file cannot be read, or a feature is not finite.
    """
    if n_jobs == 0:
        raise UsageError("0 processes cannot work; ask for 1 or more, or -1 for one a core")
    sets = load_all(features)
    arms = make_arms(sets, heads)
    first = sets[0]
    stated = first.positive if positive is None else positive
    positive = choose_positive(first.classes, stated)
    groups = name_patients(first.groups, first.ids)
    folds = make_folds(protocol, first.y, first.groups, first.splits, first.folds)
    inner = count_inner_folds(first.y, groups, folds, protocol.inner_splits)
    results = run_arms(
        arms, folds, first, inner_splits=protocol.inner_splits, n_jobs=n_jobs, progress=progress
    )
    evaluations = tuple(
        _evaluate(arm, result, positive) for arm, result in zip(arms, results, strict=True)
    )
    return Comparison(
        dataset=describe_dataset(first, groups, positive),
        protocol=describe_protocol(protocol, folds, inner),
        classes=first.classes,
        positive=positive,
        evaluations=evaluations,
        differences=_subtract(evaluations, positive),
        warnings=find_warnings(sets, groups, folds, arms, results),
        features=tuple(s.provenance for s in sets),
    )


def _evaluate(arm: Arm, result: ArmResult, positive: str | None) -> Evaluation:
    figures = measure(result.predictions, positive=positive)
    known = inference.intervals(result.predictions, positive=positive)
    return Evaluation(
        name=arm.name,
        backbone=None if arm.features is None else arm.features.backbone,
        weights=None if arm.features is None else arm.features.weights,
        head=arm.head.name,
        predictions=result.predictions,
        metrics={name: _metric(value, known.get(name)) for name, value in figures.items()},
        confusion=confuse(result.predictions),
        chosen=result.chosen,
        seconds=result.seconds,
    )


def _metric(value: float, interval: Interval | None) -> Metric:
    if interval is None:
        return Metric(value)
    method = f"{interval.method}, {interval.level:.0%}"
    return Metric(value, interval.low, interval.high, method)


def _subtract(evaluations: Sequence[Evaluation], positive: str | None) -> tuple[Difference, ...]:
    """Difference of the AUROC between every two arms, fold by fold."""
    if positive is not None:
        family = [e.name for e in evaluations if e.head != "prior"]
        arms = {e.name: e.predictions for e in evaluations}
        return tuple(
            Difference(
                a,
                b,
                "auroc",
                found.difference,
                found.low,
                found.high,
                found.p,
                p_adjusted,
                f"{found.method}, {found.level:.0%}",
            )
            for a, b, found, p_adjusted in inference.paired_tests(arms, positive, family=family)
        )
    aurocs = {e.name: fold_aurocs(e.predictions, positive=positive) for e in evaluations}
    return tuple(
        Difference(a, b, "auroc", float(np.mean(aurocs[a] - aurocs[b])))
        for a, b in itertools.combinations(aurocs, 2)
    )
