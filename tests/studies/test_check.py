"""The check against brute force, closed forms, published cases, and tables that must pass."""

from __future__ import annotations

import dataclasses
import itertools
import re
from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from bottleneck.errors import UsageError
from bottleneck.settings.schema import from_table
from bottleneck.studies.consistency.check import check
from bottleneck.studies.consistency.confusion_matrices import (
    fitting_matrices,
    recover_matrices,
)
from bottleneck.studies.consistency.grim import figures_of, fitting_positives
from bottleneck.studies.consistency.prevalence import implied_share
from bottleneck.studies.published_figures import ConfusionMatrix, Figure, PublishedSet
from bottleneck.studies.study import PUBLISHED, load_study


def measured(tn, fp, fn, tp) -> dict[str, float]:
    """The figures of a confusion matrix by their definitions; NaN where there is none."""
    shares = {
        "accuracy": (tp + tn, tn + fp + fn + tp),
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
    }
    return {name: k / of if of else np.nan for name, (k, of) in shares.items()}


def test_measured_is_what_scikit_learn_measures():
    truth, said = [0] * 8 + [1] * 7, [0] * 5 + [1] * 3 + [0] * 1 + [1] * 6
    theirs = (
        accuracy_score(truth, said),
        recall_score(truth, said),
        recall_score(truth, said, pos_label=0),
        precision_score(truth, said),
        precision_score(truth, said, pos_label=0),
        f1_score(truth, said),
    )
    assert tuple(measured(5, 3, 1, 6).values()) == pytest.approx(theirs)


def every_table(n):
    for tn, fp, fn in itertools.product(range(n + 1), repeat=3):
        if tn + fp + fn <= n:
            yield {"tn": tn, "fp": fp, "fn": fn, "tp": n - tn - fp - fn}


@pytest.mark.parametrize(
    "names",
    [
        ("accuracy", "sensitivity", "specificity"),
        ("accuracy", "sensitivity", "specificity", "ppv", "npv", "f1"),
        ("sensitivity", "ppv"),
        ("specificity", "npv"),
        ("f1", "accuracy"),
        ("ppv", "npv", "f1"),
    ],
)
@pytest.mark.parametrize("decimals", [1, 2])
def test_fitting_positives_are_those_of_all_integer_tables(names, decimals):
    n = 6
    tables = [(table, figures_of(ConfusionMatrix(**table))) for table in every_table(n)]
    printed = {
        tuple(f"{float(values[name]):.{decimals}f}" for name in names)
        for _, values in tables
        if set(names) <= set(values)
    }
    assert len(printed) >= 6
    for key in printed:
        figures = dict(zip(names, map(Figure, key), strict=True))
        positives = {
            table["fn"] + table["tp"]
            for table, values in tables
            if all(fits(values, name, figure) for name, figure in figures.items())
        }
        assert set(fitting_positives(figures, n)) == positives


def fits(values, name, figure) -> bool:
    """Whether a value rounds to a figure; what has no value, programs print as they like."""
    if name in values:
        return figure.low <= values[name] <= figure.high
    usual = {"ppv": (0,), "f1": (0,), "npv": (0, 1)}.get(name, ())
    return any(figure.low <= value <= figure.high for value in usual)


def test_fitting_positives_are_exact_where_no_tie_can_be():
    # Of 7 samples no share with 7, 6, 5 or 3 below the line ends in a 5 at the third decimal.
    names = ("accuracy", "sensitivity", "specificity")
    tables = {}
    for table in every_table(7):
        values = measured(**table)
        if not any(np.isnan(values[name]) for name in names):
            key = tuple(f"{values[name]:.3f}" for name in names)
            tables.setdefault(key, set()).add(table["fn"] + table["tp"])
    for key, positives in tables.items():
        found = fitting_positives(dict(zip(names, map(Figure, key), strict=True)), 7)
        assert set(found) == positives


def test_what_no_table_gives_fits_nothing():
    assert fitting_positives({"accuracy": Figure("0.50")}, 3) == []
    assert fitting_positives({"sensitivity": Figure("0.50")}, 3) == [2]
    # Nobody is right less often than in the worse class, nor more often than in the better.
    figures = {"accuracy": "0.95", "sensitivity": "0.60", "specificity": "0.90"}
    assert fitting_positives({k: Figure(v) for k, v in figures.items()}, 100) == []


@pytest.mark.parametrize("decimals", [2, 3])
@pytest.mark.parametrize("stated", [True, False])
def test_no_false_alarm_on_random_confusion_matrices(decimals, stated):
    rng = np.random.default_rng(decimals + 10 * stated)
    for _ in range(250):
        n, positives = int(rng.integers(60, 400)), 0
        positives = int(rng.integers(1, n))
        rows = []
        for model in range(3):
            fn, fp = rng.integers(0, positives + 1), rng.integers(0, n - positives + 1)
            table = {"tn": n - positives - fp, "fp": fp, "fn": fn, "tp": positives - fn}
            table = {name: int(value) for name, value in table.items()}
            values = {
                name: f"{value:.{decimals}f}"
                for name, value in measured(**table).items()
                if not np.isnan(value)
            }
            rows.append({"model": f"m{model}", **values})
            if stated:
                rows[-1]["matrix"] = table
        part = {"name": "test", "n": n, "rows": rows}
        if stated:
            part |= {"positives": positives}
            part["frequencies"] = [
                {"where": "text", "negatives": n - positives, "positives": positives}
            ]
        assert check([from_table(PublishedSet, part, "made up")]) == ()


def test_percent_and_dropped_zeros_are_read_as_printed():
    assert Figure("69.5418 %").value == Fraction(695418, 10**6)
    assert (Figure("0.8").low, Figure("0.8").high) == (Fraction(3, 4), Fraction(17, 20))
    assert Figure("0.8", decimals=2).low == Fraction(795, 1000)
    assert Figure("1", decimals=2).low == Fraction(995, 1000)
    assert Figure("0.985", decimals=2).low == Fraction(9845, 10000)
    for wrong in ("1.2", "101 %", "-0.5", "about 0.8", ""):
        with pytest.raises(UsageError):
            Figure(wrong)


def test_implied_share_is_the_closed_form():
    # 300 of 1000 positive, 240 found, 630 of 700 negatives right.
    figures = {
        "accuracy": Figure("0.870000"),
        "sensitivity": Figure("0.800000"),
        "specificity": Figure("0.900000"),
    }
    low, high = implied_share(figures)
    assert low < Fraction(3, 10) < high
    assert high - low < Fraction(1, 10**4)
    assert implied_share({**figures, "specificity": Figure("0.800000")}) is None


def words_of(name: str) -> str:
    study = load_study(name)
    found = check(study.published, positive=study.positive, negative=study.negative)
    return "\n".join(one.words for one in found)


def test_sai_sundar_needs_two_prevalences():
    words = words_of("sai-sundar")
    assert "'CNN from scratch' (accuracy 0.82, sensitivity 0.89, specificity 0.82)" in words
    assert "needs at most 72 (with 73, at least 65 of 73 and 441 of 540 are right" in words
    assert "506 of 613: an accuracy of 0.8254)" in words
    row = "'Inc_v3-Bottleneck+SVM' (accuracy 0.967, sensitivity 0.985, specificity 0.95)"
    assert f"{row} at least 259" in words


def test_thyronet_was_validated_on_371():
    words = words_of("thyronet-x4")
    texts = "71.6981 %, 69.5418 %, 68.4636 % and 70.6199 %"
    assert f"the accuracies {texts}" in words
    assert "are 266, 258, 254 and 262 of 371, and not of 578" in words
    assert "0.6702 of 'ThyroNet-X4' is 441 of 658" in words
    assert "it is impossible on 602: 403.46 of 602" in words
    for count, text in zip((258, 262, 254, 266), (69.5418, 70.6199, 68.4636, 71.6981), strict=True):
        assert round(100 * count / 371, 4) == text


def test_tn5000_has_three_prevalences():
    words = words_of("tn5000-swinv2")
    assert "28.6 % benign: the class weights, if balanced, 1 / (2 × 1.75), 1 / (2 × 0.70)" in words
    assert "1600 to 1200 in the split table" in words  # 57 %
    assert "55.4 to 58.9 % benign" in words
    assert "208 of 750 benign" in words


def test_figures_that_hold_are_left_alone():
    assert words_of("radimagenet-thyroid") == ""
    # The card's three confusion matrices agree with its figures.
    assert "where 8" not in words_of("tn5000-swinv2")


def test_swin_luna16_has_one_confusion_matrix():
    # The numbers behind 85.4 %, 72.1 % and 92.3 %: 603, 173 and 430 right.
    (recovered,) = recover_matrices(load_study("swin-luna16").published)
    truth = [1] * 240 + [0] * 466
    predicted = [1] * 173 + [0] * 67 + [0] * 430 + [1] * 36
    tn, fp, fn, tp = confusion_matrix(truth, predicted).ravel().tolist()
    assert recovered.matrix == ConfusionMatrix(tn=tn, fp=fp, fn=fn, tp=tp)
    for fraction in ("173/240", "430/466", "603/706", "240/706, 34.0 %"):
        assert fraction in recovered.words
    words = words_of("swin-luna16")
    assert "66.0 % non-nodule: 466 of 706 non-nodule, which the figures need" in words
    assert "50.0 to 64.3 % non-nodule: 2000 to 1500 in the description" in words


def test_fitting_matrices_are_all_that_print_the_figures():
    tables = list(every_table(7))
    printed = {}
    for table in tables:
        values = measured(**table)
        names = ("accuracy", "sensitivity", "specificity")
        if not any(np.isnan(values[name]) for name in names):
            key = tuple(f"{values[name]:.3f}" for name in names)
            printed.setdefault(key, []).append(table)
    for key, expected in printed.items():
        figures = dict(
            zip(("accuracy", "sensitivity", "specificity"), map(Figure, key), strict=True)
        )
        fitting = [dataclasses.asdict(one) for one in fitting_matrices(figures, 7)]
        assert sorted(map(str, fitting)) == sorted(map(str, expected))


def part_of(**given) -> PublishedSet:
    row = {"model": "m", "accuracy": "0.80", "sensitivity": "0.70", "specificity": "0.90"}
    return from_table(PublishedSet, {"name": "test", "n": 100, "rows": [row], **given}, "made up")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"positives": 90},
            "needs 50 positive of 100, where 90 are stated; with 90, at most 63 of 90",
        ),
        ({"n": 5}, "fits no whole numbers of 5 samples"),
        ({"n": 3}, "2.40 of 3, where 2 are 0.67 and 3 are 1.00"),
        (
            {"frequencies": [{"where": "text", "negatives": 60, "positives": 40}], "n": None}
            | {"rows": [{"model": "m", "matrix": {"tn": 10, "fp": 10, "fn": 10, "tp": 10}}]},
            "60.0 % negative: 60 to 40 in text; 50.0 % negative: 20 of 40",
        ),
        (
            {"rows": [{"model": "m", "accuracy": "0.81"}]}
            | {"n": 7, "other_counts": [{"n": 21, "where": "abstract"}]},
            r"is 17 of 21 \(abstract\); it is impossible on 7",
        ),
        (
            {
                "rows": [
                    {
                        "model": "m",
                        "accuracy": "0.60",
                        "matrix": {"tn": 50, "fp": 0, "fn": 30, "tp": 20},
                    }
                ]
            },
            "makes the accuracy 0.7000, where 0.60 is stated",
        ),
        (
            {"rows": [{"model": "m", "matrix": {"tn": 50, "fp": 0, "fn": 30, "tp": 21}}]},
            "has 101 samples, where 100 are stated",
        ),
    ],
)
def test_contradictions_are_reported_with_their_numbers(given, words):
    given = {key: value for key, value in given.items() if value is not None}
    part = part_of(**given)
    if "frequencies" in given:
        part = from_table(PublishedSet, {"name": "test", **given}, "made up")
    found = " ".join(one.words for one in check([part]))
    assert re.search(words, found), found


def test_every_study_can_be_checked():
    for name in PUBLISHED:
        words_of(name)


def test_matrix_refuses_what_is_no_count():
    with pytest.raises(UsageError, match="tn must be a whole number from 0 to 10,000,000, not -1"):
        ConfusionMatrix(tn=-1, fp=0, fn=0, tp=1)
