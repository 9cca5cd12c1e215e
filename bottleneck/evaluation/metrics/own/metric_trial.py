"""A trial of metrics of the user's own on made-up predictions, before anything is trained."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.metrics import METRICS
from bottleneck.evaluation.metrics.own.own_metrics import (
    MetricFailure,
    MetricFunction,
    OwnMetric,
    Pairs,
    call,
    check_callable,
)
from bottleneck.text.short_repr import shorten

__all__ = ["check_metrics"]

# Characters of a name.
_MAX_NAME = 40
_AT_PREVALENCE = ("ppv_at_prevalence", "npv_at_prevalence")
# Other columns of ``table.csv``, and the ends of the names of bounds.
_COLUMNS, _BOUNDS = ("arm", "n", "positive", "warnings"), ("", "low", "high")
# Samples of the trial.
_TRIAL = 60


def check_metrics(
    metrics: Mapping[str, MetricFunction] | None, classes: Sequence[str], positive: str | None
) -> dict[str, OwnMetric]:
    """Return the metrics by name, after a trial of each function.

    Parameters
    ----------
    metrics : mapping of str to function or OwnMetric, or None
        Metrics as ``compare`` takes them.
    classes : sequence of str
        The classes.
    positive : str or None
        The positive class.

    Raises
    ------
    UsageError
        If a name or function cannot be used, or a function fails on made-up predictions, does
        not depend on them, or depends on the scale of scores: nothing has been trained then.
    """
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise UsageError(
            "metrics must be a dict of names to functions, such as {'kappa': cohen_kappa_score}, "
            f"not {shorten(metrics)}"
        )
    checked: dict[str, OwnMetric] = {}
    built_in = (*METRICS, *_AT_PREVALENCE)
    taken = {_key(name) + end: name for name in built_in for end in _BOUNDS}
    taken |= {_key(name): name for name in _COLUMNS}
    for name, given in metrics.items():
        _check_name(name)
        keys = [_key(name) + end for end in _BOUNDS]
        other = next((taken[key] for key in keys if key in taken), None)
        if other is not None:
            kinds = {**dict.fromkeys(built_in, "a built-in"), **dict.fromkeys(checked, "another")}
            what = f"{kinds[other]} metric" if other in kinds else "a column of the tables"
            raise UsageError(
                f"the metric '{name}' has the name of {what}, '{other}': give it its own name"
            )
        taken |= dict.fromkeys(keys, name)
        metric = given if isinstance(given, OwnMetric) else OwnMetric(given)
        check_callable(f"the metric '{name}'", metric.function)
        _try(name, metric, sorted(classes), positive)
        checked[name] = metric
    return checked


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold()) or name


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise UsageError(f"the name of a metric must be text, not {shorten(name)}")
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise UsageError(
            f"the name {shorten(name)} cannot name a metric: use 1 to {_MAX_NAME} letters, digits "
            "and signs on one line"
        )


def _try(name: str, metric: OwnMetric, classes: Sequence[str], positive: str | None) -> None:
    """Call a function on predictions by chance and on others; refuse it if it serves no purpose."""
    (true, chance), *others = _make_trials(metric, classes, positive)
    try:
        value, again = (_value(metric, true, chance) for _ in range(2))
    except MetricFailure as failure:
        raise UsageError(
            f"the metric '{name}' {failure}, on a trial with made-up predictions of the classes "
            f"{', '.join(classes[:4])}{' …' if len(classes) > 4 else ''}. {_HINTS[metric.kind]}"
        ) from failure.__cause__
    if not _same(value, again):
        raise UsageError(
            f"the metric '{name}' gives different values for the same predictions ({value:g} and "
            f"{again:g}): fix its seed"
        )
    if metric.kind == "scores" and not _same(value, _try_value(metric, true, np.exp(9 * chance))):
        raise UsageError(
            f"the metric '{name}' depends on more than the order of the scores, which differ in "
            "scale between heads and folds: pass on_probabilities(function) for calibrated "
            "probabilities (on the command line, --metric takes what it returns in a module of "
            "your own), or a function of predicted classes"
        )
    if all(_same(value, _try_value(metric, *arrays)) for arrays in others):
        found = "not a number (NaN)" if np.isnan(value) else f"{value:g}"
        text = f"Classes are text: compare them with {positive or classes[-1]!r}, in quotes"
        binary = "True values are 0 or 1, and 1 is the positive class"
        raise UsageError(
            f"the metric '{name}' is {found} for any predictions. "
            f"{text if metric.kind == 'labels' else binary}"
        )


def _make_trials(metric: OwnMetric, classes: Sequence[str], positive: str | None) -> Pairs:
    """Return true values with predictions by chance, with good ones, and with unequal ones."""
    rng = np.random.default_rng(0)
    codes = np.arange(max(_TRIAL, 4 * len(classes))) % len(classes)
    names = np.array(classes, dtype=np.str_)
    true = names[codes]
    if metric.kind == "labels":
        each = [np.full_like(true, name) for name in (classes[0], classes[-1])]
        return [(true, given) for given in (true[rng.permutation(len(true))], true, *each)]
    is_positive = (true == (classes[0] if positive is None else positive)).astype(np.int64)
    chance = rng.uniform(0.01, 0.99, len(true))
    others = 0.8 * is_positive + 0.2 * chance, 0.8 * (1 - is_positive) + 0.2 * chance
    return [(is_positive, given) for given in (chance, *others)]


def _value(metric: OwnMetric, true: NDArray, given: NDArray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(metric, true.copy(), given.copy())


def _try_value(metric: OwnMetric, true: NDArray, given: NDArray) -> float:
    """Return the value; infinity if the function fails, so that it differs from any other."""
    try:
        return _value(metric, true, given)
    except MetricFailure:
        return np.inf


def _same(a: float, b: float) -> bool:
    return bool(np.isclose(a, b, rtol=1e-9, atol=0, equal_nan=True))


_HINTS = {
    "labels": "It is called as function(true, predicted) with the names of classes; for scores, "
    "pass on_scores(function) (on the command line --score-metric). Other arguments, such as "
    "pos_label, are set by functools.partial",
    "scores": "It is called as function(is_positive, score) with 0 or 1 and the score",
    "probabilities": "It is called as function(is_positive, probability) with 0 or 1 and the "
    "probability",
}
