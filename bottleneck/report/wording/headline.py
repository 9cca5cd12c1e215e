"""What was chosen and how, in a few plain sentences for the head of the page."""

from __future__ import annotations

from collections.abc import Iterable

from bottleneck.evaluation.analyses.best_arm import arms_to_choose
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation
from bottleneck.report.summary import Summary
from bottleneck.report.wording.number_format import three
from bottleneck.text.plurals import counted

__all__ = ["describe_choice"]

_MOST_NAMES = 4


def describe_choice(comparison: Comparison, summary: Summary) -> list[str]:
    """Return which arms were compared, and how the best, its settings and its class were chosen.

    Parameters
    ----------
    comparison : Comparison
        The results.
    summary : Summary
        Their summary.

    Returns
    -------
    list of str
        Sentences; the last one says that the best of several results is optimistic.
    """
    if summary.best is None:
        return []
    arms = arms_to_choose(comparison.evaluations)
    has_readers = any(e.is_reader for e in comparison.evaluations)
    sentences = [_describe_arms(arms, has_readers=has_readers), _describe_class(comparison)]
    sentences += _describe_settings(arms, comparison)
    if len(arms) > 1:
        fresh = (
            "The external cohort was not used for the choice."
            if summary.external
            else "Only new samples show its true value."
        )
        sentences.append(
            f"The best of {len(arms)} arms is, on average, too optimistic, because it was chosen "
            f"on the test samples. {_describe_interval(comparison, summary.best)}{fresh}"
        )
    return sentences


def _describe_interval(comparison: Comparison, best: Evaluation) -> str:
    """Return what the interval of the best arm allows for; "" with two arms."""
    if comparison.choice is None:
        return ""
    own = best.metrics["auroc"]
    if own.low is None or own.high is None:
        return ""
    return (
        f"The lower bound of its interval allows for that: it holds whichever of the "
        f"{comparison.choice.n_arms} arms is chosen. If this arm alone had been tested, the "
        f"interval would be {three(own.low)} to {three(own.high)}. "
    )


def _describe_arms(arms: list[Evaluation], *, has_readers: bool) -> str:
    sources = {(e.backbone, e.weights) for e in arms}
    heads = {e.head for e in arms}
    if len(arms) == 1:
        only = "not a baseline or reader" if has_readers else "not a baseline"
        return f"It was not chosen among others: it is the only arm that is {only}."
    if len(sources) * len(heads) == len(arms) and all(e.backbone for e in arms) and len(heads) > 1:
        networks = f"{len(sources)} feature sets" if len(sources) > 1 else "one feature set"
        made = f"{networks} with {len(heads)} classifiers{' each' if len(sources) > 1 else ''}"
        among = f"{made} ({_listed(dict.fromkeys(e.head for e in arms))})"
    else:
        among = _listed(e.name for e in arms)
    return f"The arm was chosen by this AUROC on the test samples, among {among}."


def _describe_class(comparison: Comparison) -> str:
    if comparison.positive is not None:
        rest = len(comparison.classes) - 1
        against = f", against the other {rest} classes" if rest > 1 else ""
        return f"The positive class is '{comparison.positive}'{against}."
    return f"No class is the positive one: results are means over all {len(comparison.classes)}."


def _describe_settings(arms: list[Evaluation], comparison: Comparison) -> list[str]:
    searched = [e for e in arms if any(e.chosen)]
    if not comparison.features and not searched:
        return ["The models were trained outside this comparison."]
    if not searched:
        return []
    inner = comparison.protocol.get("inner_folds")
    by = f" by a {inner}-fold cross-validation" if inner else ""
    few = "" if len(searched) == len(arms) else f" of {counted(len(searched), 'arm')}"
    which = "Hyperparameters and thresholds"
    if not any(e.operating_points for e in searched):
        which = "Hyperparameters"
    return [
        f"{which}{few} were chosen within each training set{by}; no test sample was used for it."
    ]


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    shown = ", ".join(listed[:_MOST_NAMES])
    more = len(listed) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
