"""One sentence on each metric and method of a report: what it says, and what chance is."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

import numpy as np

from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.report.wording.labels import METRICS, metric_label

__all__ = [
    "METHODS",
    "METRIC_LINES",
    "TERMS",
    "Entry",
    "explain_methods",
    "explain_metrics",
    "explain_terms",
]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A term of a report, and a sentence on it."""

    term: str
    line: str


_OWN = "a metric that the user defined; its definition determines what a good value is."

#: A sentence on each metric. Names in braces are chance levels in the samples at hand.
METRIC_LINES = {
    "auroc": "how often a sample of the positive class has a higher score than one of the rest; "
    "1 is perfect, 0.5 is chance.",
    "auprc": "mean PPV over all sensitivities; 1 is perfect, and chance is the share of the "
    "positive class{prevalence}.",
    "accuracy": "share of samples with the right class; 1 is perfect, and always naming the most "
    "frequent class reaches its share{majority}.",
    "balanced_accuracy": "mean of the shares recognised in each class; 1 is perfect, and chance is "
    "1 divided by the number of classes{classes}.",
    "sensitivity": "share of the positive class that is called positive; 1 misses nobody. Chance "
    "is 1 − specificity.",
    "specificity": "share of the rest that is not called positive; 1 raises no false alarm. Chance "
    "is 1 − sensitivity.",
    "ppv": "share of the positive calls that are right; 1 is perfect, and chance is the share of "
    "the positive class{prevalence}.",
    "npv": "share of the negative calls that are right; 1 is perfect, and chance is the share of "
    "the rest{rest}.",
    "ppv_at_prevalence": "PPV that the same sensitivity and specificity give where the positive "
    "class is as frequent as stated; 1 is perfect, and chance is that prevalence.",
    "npv_at_prevalence": "NPV that the same sensitivity and specificity give where the positive "
    "class is as frequent as stated; 1 is perfect, and chance is 1 − that prevalence.",
    "f1": "harmonic mean of sensitivity and PPV; 1 is perfect, and calling every sample positive "
    "reaches 2p / (1 + p) at a prevalence p{f1}.",
    "mcc": "correlation of predicted and true classes (Matthews); 1 is perfect, 0 is chance.",
    "brier": "mean squared distance of the probability from the outcome; 0 is perfect, and giving "
    "everyone the prevalence p reaches p (1 − p){brier}.",
    "calibration_slope": "1 is ideal. Below 1, probabilities are too extreme; above 1, too "
    "cautious; at 0, they are unrelated to the outcome.",
    "calibration_intercept": "0 is ideal. Above 0, probabilities are too low on average; below 0, "
    "too high.",
    "observed_expected": "number of positive samples by the sum of the probabilities; 1 is ideal. "
    "Above 1, probabilities are too low on average; below 1, too high.",
    "ece": "mean gap between probability and observed frequency; 0 is ideal, and few samples "
    "raise it by chance. Giving everyone the prevalence also reaches 0.",
}

#: Other terms of a report.
TERMS = {
    "interval": (
        "95 % confidence interval",
        "values that the data allow; of many such intervals, about 95 % contain the true value.",
    ),
    "prior": (
        "Prior only",
        "ignores the sample and always gives the class frequencies of the training set: chance "
        "level.",
    ),
    "metadata": (
        "Metadata only",
        "uses no image, only its size, brightness and folder; a value above chance shows that "
        "these give the class away.",
    ),
    "difference": (
        "Difference",
        "0 means equally good; an interval that excludes 0 favours the arm on its side.",
    ),
    "p": (
        "p",
        "probability of a difference at least this large if both arms are equally good; below "
        "0.05 is called significant.",
    ),
    "adjusted": (
        "Adjusted p",
        "p after Holm's adjustment for all pairs of the primary comparison: read this one.",
    ),
    "margin": (
        "Margin",
        "the largest loss of AUROC that is accepted; it must be chosen before the results are "
        "known.",
    ),
    "one-sided": (
        "p, one-sided",
        "probability of a result at least this good if the arm loses the margin or more; below "
        "0.025, the arm is non-inferior.",
    ),
    "target": (
        "Target",
        "what the threshold reaches on the training set; the value achieved on test samples can "
        "differ.",
    ),
    "threshold": ("Threshold", "scores at or above it are called positive; one per training set."),
    "roc": (
        "ROC curve",
        "sensitivity at each rate of false alarms, over all thresholds; the higher the curve, the "
        "better, and the diagonal is chance.",
    ),
    "benefit": (
        "Net benefit",
        "true positives per sample minus false positives per sample, weighted by the threshold "
        "probability; 0 is acting on nobody, and higher is better.",
    ),
    "drop": (
        "External minus internal",
        "0 means that the arm is as good in the other cohort; below 0 it is worse there, except "
        "for errors such as the Brier score, where above 0 is worse.",
    ),
    "mmd": (
        "MMD²",
        "distance of two cohorts in the features (maximum mean discrepancy): near 0 for the same "
        "kind of images, and a small p shows a domain shift.",
    ),
    "domain": (
        "AUROC of a cohort classifier",
        "how well the features distinguish the cohorts; 0.5 means no difference, 1 a complete one.",
    ),
    "outliers": (
        "Outliers",
        "samples far from all training samples; many more than expected mean a domain shift.",
    ),
    "subgroup": (
        "Subgroup",
        "the same predictions in a subset of the samples; where intervals overlap widely, a "
        "difference may be chance.",
    ),
    "subgroup-p": (
        "p",
        "probability of differences at least this large if the subgroups do not differ. 0.05 or "
        "more does not show that they do not differ: with few patients, only large differences "
        "are detected.",
    ),
    "fewest": (
        "Fewest patients",
        "patients of the smaller class in the smallest subgroup; the fewer, the larger a "
        "difference must be before it shows.",
    ),
    "confusion": (
        "Confusion matrix",
        "blue cells on the diagonal are right, orange ones wrong; the darker, the larger the share "
        "of the true class.",
    ),
}

#: Methods: a pattern in their names, the term, and a sentence.
METHODS = (
    (r"DeLong", "DeLong", "interval of an AUROC from independent samples."),
    (
        r"Obuchowski",
        "Obuchowski",
        "DeLong's interval for patients with several images, which are not independent.",
    ),
    (
        r"LeDell",
        "LeDell",
        "interval of an AUROC that is averaged over the test folds of a cross-validation.",
    ),
    (
        r"with Nadeau & Bengio's correction|corrected t\b",
        "Nadeau & Bengio's correction",
        "widens an interval because the training sets of the folds overlap.",
    ),
    (
        r"with a jackknife of the training sets",
        "Jackknife of the training sets",
        "widens an interval by as much as the AUROC changes when parts of the patients are "
        "left out of the training sets.",
    ),
    (
        r"lower bound (simultaneous over|adjusted for the choice among)[ \d]*(arms)?",
        "Adjusted lower bound",
        "the lower bounds hold for all arms at once, because the best of many arms seems better "
        "than it is.",
    ),
    (
        r"logit scale",
        "Logit scale",
        "the interval is computed for the log-odds, so that it stays between 0 and 1.",
    ),
    (
        r"\blog scale",
        "Log scale",
        "the interval is computed for the logarithm, so that it stays above 0.",
    ),
    (
        r"true and false positives joined",
        "Joined shares",
        "the intervals of the shares of true and false positives are joined into one of the net "
        "benefit.",
    ),
    (r"\bWald\b", "Wald", "the value plus and minus 1.96 standard errors."),
    (
        r"MOVER-R at a stated prevalence",
        "MOVER-R",
        "joins the intervals of sensitivity and specificity into one of a predictive value.",
    ),
    (r"MOVER(?!-R)", "MOVER", "joins the intervals of two values into one of their difference."),
    (
        r"Welch's F",
        "Welch's F",
        "tests whether three or more values with different standard errors are equal.",
    ),
    (r"Pearson's chi-squared", "Pearson", "tests whether three or more shares are equal."),
    (r"constant score", "Constant score", "all scores are equal: the AUROC is 0.5 by definition."),
    (
        r"distribution-free bound",
        "Distribution-free bound",
        "a wide interval that holds for any data, where there is no standard error.",
    ),
    (
        r"influence by patient",
        "Influence by patient",
        "the interval is computed from how much each patient, with all images, changes the value.",
    ),
    (
        r"clustered Wilson",
        "Clustered Wilson",
        "Wilson's interval of a share for patients with several images.",
    ),
    (r"(?<!clustered )Wilson", "Wilson", "interval of a share that also holds near 0 and 1."),
    (
        r"(?:recalls|PPVs) joined",
        "Joined",
        "the intervals of the classes are joined into one of their mean (MOVER).",
    ),
    (
        r"logistic regression, sandwich variance by patient",
        "Sandwich variance by patient",
        "the interval of a regression for patients with several images.",
    ),
    (
        r"bootstrap of\b|(?:patient|BCa) bootstrap",
        "Bootstrap",
        "the value is computed again for many samples of the patients, drawn with replacement.",
    ),
    (r"\bBCa\b", "BCa", "a bootstrap interval, corrected for bias and skewness."),
    (
        r"(?<!clustered )McNemar",
        "McNemar",
        "tests the difference of two accuracies on the samples that only one of the two arms "
        "classifies correctly.",
    ),
    (r"clustered McNemar", "Clustered McNemar", "McNemar's test for patients with several images."),
    (r"Tango's interval", "Tango", "the interval of the difference that McNemar's test tests."),
    (
        r"first repeat",
        "First repeat",
        "of a repeated cross-validation, only the first repeat is used.",
    ),
    (
        r"prediction interval|for a new centre",
        "Prediction interval",
        "the range in which the value of a new centre is expected, not only the mean of these "
        "centres.",
    ),
    (
        r"random effects of \d+ centres",
        "Random effects",
        "true values differ between centres; their mean and their spread are estimated.",
    ),
    (r"REML|Hartung & Knapp", "REML, Hartung & Knapp", "estimators of this spread and mean."),
    (
        r"independent cohorts",
        "Independent cohorts",
        "the interval assumes that no patient is in both cohorts.",
    ),
    (
        r"Holm",
        "Holm's adjustment",
        "raises p values, so that a chance finding is as unlikely among all tests together as in "
        "a single test.",
    ),
    (
        r"permut",
        "Permutation test",
        "p is the share of random exchanges of patients between the cohorts with a difference at "
        "least this large.",
    ),
    (
        r"one class|not defined without such samples",
        "Not defined",
        "there is no sample of a class, so there is no value.",
    ),
    (
        r"estimate only",
        "Estimate only",
        "too few patients for a reliable interval; it may be too narrow.",
    ),
)


def explain_metrics(
    names: Iterable[str], evaluations: Sequence[Evaluation] = (), positive: str | None = None
) -> list[Entry]:
    """Return a sentence on each metric.

    Parameters
    ----------
    names : iterable of str
        Names of metrics, in order.
    evaluations : sequence of Evaluation
        Arms; the chance levels in their samples are stated.
    positive : str or None
        The positive class; without it, chance levels that need one are not stated.
    """
    levels = dict.fromkeys(("prevalence", "rest", "f1", "brier", "majority", "classes"), "")
    if evaluations:
        labels = evaluations[0].predictions.labels
        shares = dict(zip(*_shares(labels), strict=True))
        levels["majority"] = _here(max(shares.values()))
        levels["classes"] = _here(1 / len(evaluations[0].predictions.classes))
        p = shares.get(positive or "")
        if p is not None:
            levels |= {"prevalence": _here(p), "rest": _here(1 - p)}
            levels |= {"f1": _here(2 * p / (1 + p)), "brier": _here(p * (1 - p))}
    return [
        Entry(metric_label(name), METRIC_LINES[name].format(**levels) if name in METRICS else _OWN)
        for name in dict.fromkeys(names)
    ]


def explain_terms(keys: Iterable[str]) -> list[Entry]:
    """Return a sentence on each of some terms of ``TERMS``."""
    return [Entry(*TERMS[key]) for key in keys]


def explain_methods(methods: Iterable[str | None]) -> list[Entry]:
    """Return a sentence on each term in the names of methods, as results give them."""
    known = [method for method in methods if method]
    return [
        Entry(term, line)
        for pattern, term, line in METHODS
        if any(re.search(pattern, method) for method in known)
    ]


def _shares(labels: np.ndarray) -> tuple[list[str], list[float]]:
    names, counts = np.unique(labels, return_counts=True)
    return names.tolist(), (counts / counts.sum()).tolist()


def _here(value: float) -> str:
    return f" ({value:.3f} here)"
