"""The head of the page says which arms were compared, and how the best was chosen."""

from __future__ import annotations

import dataclasses

import pytest
from report.complete import complete
from report.factory import LESIONS, SOURCES, make_comparison

from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.report.summary import summarise
from bottleneck.report.wording.headline import describe_choice


def told(comparison: Comparison) -> str:
    return " ".join(describe_choice(comparison, summarise(comparison)))


def test_arms_class_search_and_optimism_are_named(binary: Comparison) -> None:
    text = told(binary)
    assert "among 2 feature sets with 3 classifiers each (svm, logistic, neighbours)" in text
    assert "The positive class is 'malignant'." in text
    assert "by a 3-fold cross-validation; no test sample was used" in text
    assert "The best of 6 arms is, on average, too optimistic" in text
    assert "Only new samples" in text
    assert "lower bound" not in text
    whole = complete(binary)
    assert "external cohort was not used" in told(whole)
    own = summarise(whole).best.metrics["auroc"]
    assert "The lower bound of its interval allows for that" in told(whole)
    assert f"the interval would be {own.low:.3f} to {own.high:.3f}" in told(whole)


@pytest.mark.parametrize("positive", [None, "MEL"])
def test_of_many_classes_one_is_positive_or_none(lesions: Comparison, positive: str | None) -> None:
    text = told(dataclasses.replace(lesions, positive=positive))
    assert ("against the other 8 classes" in text) == (positive is not None)
    assert (f"means over all {len(LESIONS)}" in text) == (positive is None)


def test_a_single_arm_was_not_chosen_among_others() -> None:
    text = told(make_comparison(heads=("svm",), sources=SOURCES[:1], n=90))
    assert text.startswith("It was not chosen among others")
    assert "optimistic" not in text


def test_imported_models_were_trained_outside(binary: Comparison) -> None:
    arms = tuple(
        dataclasses.replace(e, backbone=None, chosen=(), name=f"reader {n}")
        for n, e in enumerate(binary.evaluations[:-1])
    )
    text = told(dataclasses.replace(binary, evaluations=arms, features=()))
    assert "among reader 0, reader 1, reader 2, reader 3 and 2 more" in text
    assert "trained outside this comparison" in text
    assert "Hyperparameters" not in text
