"""What the functions on plain arrays take and refuse, and the libraries that they agree with."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from binormal import numbers
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)
from statsmodels.stats.proportion import proportion_confint

from bottleneck import statistics
from bottleneck.errors import BottleneckError

RNG = np.random.default_rng(0)
N = 60
PATIENT = np.repeat(np.arange(30), 2)
TRUE = PATIENT % 2
SHARE = np.clip(0.3 + 0.4 * TRUE + RNG.normal(0, 0.2, N), 0.01, 0.99).round(3)
OTHER = np.clip(0.4 + 0.2 * TRUE + RNG.normal(0, 0.2, N), 0.01, 0.99).round(3)
FOLD = PATIENT // 2 % 3
LEVEL = PATIENT % 3

# Every function of true classes and something numeric or predicted, by its arguments.
FUNCTIONS: dict[str, tuple] = {
    "roc_auc_interval": (SHARE,),
    "roc_auc_difference": (SHARE, OTHER),
    "roc_auc_noninferiority": (SHARE, OTHER),
    "subgroup_auc_test": (SHARE, LEVEL),
    "diagnostic_accuracy": (SHARE >= 0.5,),
    "mcnemar_test": (SHARE >= 0.5, OTHER >= 0.5),
    "calibration_line": (SHARE,),
    "brier_interval": (SHARE,),
    "reliability_curve": (SHARE,),
    "expected_calibration_error": (SHARE,),
    "net_benefit": (SHARE,),
    "decision_curve": (SHARE,),
    "calibration_curve": (SHARE,),
    "observed_expected_ratio": (SHARE,),
}
OPTIONS = {"net_benefit": {"threshold": 0.3}, "roc_auc_noninferiority": {"margin": 0.1}}
ORDER = ["groups", "folds", "thresholds", "threshold", "positive", "classes", "level"]


def call(name: str, y_true: object, *rest: object, **options: object) -> object:
    return getattr(statistics, name)(y_true, *rest, **OPTIONS.get(name, {}), **options)


def test_arguments_have_one_order() -> None:
    for name in statistics.__all__:
        made = getattr(statistics, name)
        if not inspect.isfunction(made):
            continue
        names = [n for n in inspect.signature(made).parameters if n in ORDER]
        assert names == sorted(names, key=ORDER.index), name
        parameters = inspect.signature(made).parameters
        if "y_true" in parameters:
            assert next(iter(parameters)) == "y_true"
        for late in {"positive", "level", "classes"} & set(parameters):
            keyword = parameters[late].kind is inspect.Parameter.KEYWORD_ONLY
            assert keyword or late == "level", (name, late)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "spell",
    [
        lambda values: values.tolist(),
        lambda values: values.astype(bool),
        lambda values: values.astype(float),
        lambda values: 2 * values - 1,
        lambda values: pd.Series(values, dtype="Int64"),
        lambda values: pd.Series(values).map({0: "benign", 1: "malignant"}).astype("category"),
        lambda values: np.array(["β", "µ"], dtype=object)[values],
        lambda values: values + 1,
    ],
    ids=["list", "bool", "float", "-1 and 1", "nullable", "category", "unicode", "1 and 2"],
)
def test_the_spelling_of_the_classes_changes_nothing(name: str, spell: Callable) -> None:
    rest, named = FUNCTIONS[name], {}
    labels = spell(TRUE)
    if set(np.asarray(labels).tolist()) not in ({0, 1}, {-1, 1}):
        named["positive"] = {"benign": "malignant", "β": "µ", 1: 2}[np.asarray(labels)[0]]
    if name in ("diagnostic_accuracy", "mcnemar_test"):
        rest = tuple(spell(values.astype(int)) for values in rest)
    if name == "mcnemar_test":
        named = {}
    assert repr(call(name, labels, *rest, **named)) == repr(call(name, TRUE, *FUNCTIONS[name]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lists_series_and_read_only_arrays_are_the_same(name: str) -> None:
    rest = FUNCTIONS[name]
    plain = repr(call(name, TRUE, *rest, PATIENT))
    index = pd.Index(range(100, 100 + N))
    series = [pd.Series(values, index=index) for values in (TRUE, *rest, PATIENT.astype(str))]
    assert repr(call(name, *series)) == plain
    assert repr(call(name, *(values.tolist() for values in (TRUE, *rest, PATIENT)))) == plain
    fixed = [np.array(values) for values in (TRUE, *rest, PATIENT)]
    for values in fixed:
        values.flags.writeable = False
    assert repr(call(name, *fixed)) == plain


WRONG = {
    "unlike lengths": ((TRUE, SHARE[1:]), {}, "of the 60 samples, but holds 59"),
    "NaN": ((TRUE, np.where(TRUE == 1, np.nan, 0.5)), {}, "missing for 30 of the 60"),
    "missing label": (([None, *TRUE[1:]], SHARE), {}, "y_true .* missing for 1 of the 60"),
    "pandas NA": ((pd.array([None, *TRUE[1:]], "Int64"), SHARE), {}, "missing for 1 of the 60"),
    "masked": ((np.ma.masked_equal(TRUE, 1), SHARE), {}, "y_true has masked values"),
    "text scores": ((TRUE, SHARE.astype(str)), {}, "one number for each of the 60 samples, not"),
    "two columns": ((TRUE, np.stack([1 - SHARE, SHARE], 1)), {}, r"such as \[:, 1\]"),
    "one column": ((TRUE, SHARE[:, None]), {}, r"such as values.ravel\(\)"),
    "ragged": (([[0], [1, 0]], SHARE), {}, "cannot be read as an array"),
    "generator": ((TRUE, (x for x in SHARE)), {}, "not be a generator: give a list"),
    "a number": ((TRUE, 0.5), {}, "not be a float"),
    "empty": (([], []), {}, "at least one sample"),
    "swapped": ((SHARE, TRUE), {}, "the first argument holds the true classes"),
    "text classes": ((np.array(["b", "m"])[TRUE], SHARE), {}, "state which is positive.*'m'"),
    "three classes": ((np.arange(N) % 3, SHARE), {}, "classes 0, 1, 2: state which is positive"),
    "unknown positive": ((TRUE, SHARE), {"positive": 2}, "unknown positive class '2'"),
    "positive as text": ((TRUE, SHARE), {"positive": "1"}, "positive cannot be '1'"),
    "positive as list": ((TRUE, SHARE), {"positive": [1]}, "not a list"),
    "groups with NaN": (
        (TRUE, SHARE, [np.nan, *PATIENT[1:]]),
        {},
        "groups .* missing for 1 of the 60",
    ),
    "groups with blanks": ((TRUE, SHARE, [" ", *["p"] * 59]), {}, "groups .* missing for 1"),
    "short groups": ((TRUE, SHARE, PATIENT[:3]), {}, "groups .* but holds 3"),
    "level in percent": ((TRUE, SHARE), {"level": 95}, "95 % is 0.95"),
    "level as text": ((TRUE, SHARE), {"level": "0.95"}, "not be '0.95'"),
    "indexes": (
        (pd.Series(TRUE), pd.Series(SHARE, index=range(N)[::-1])),
        {},
        "different indexes",
    ),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("name", ["roc_auc_interval", "brier_interval", "net_benefit"])
def test_wrong_arguments_are_named(name: str, case: str) -> None:
    arguments, options, message = WRONG[case]
    with pytest.raises(BottleneckError) as error:
        call(name, *arguments, **options)
    assert re.search(message, str(error.value)), str(error.value)


@pytest.mark.parametrize("name", ["roc_auc_interval", "diagnostic_accuracy", "calibration_line"])
def test_one_class_is_refused(name: str) -> None:
    rest = FUNCTIONS[name]
    with pytest.raises(BottleneckError, match=r"of both classes.*positive class"):
        call(name, np.ones(N, int), *rest)
    with pytest.raises(BottleneckError, match=r"of both classes.*negative class"):
        call(name, np.zeros(N), *rest)


@pytest.mark.parametrize(
    ("call_it", "message"),
    [
        (lambda: statistics.brier_interval(TRUE, 100 * SHARE), "divide percentages by 100"),
        (lambda: statistics.calibration_line(TRUE, SHARE - 1), "between 0 and 1"),
        (lambda: statistics.net_benefit(TRUE, SHARE, threshold=20), "a threshold must be"),
        (
            lambda: statistics.decision_curve(TRUE, SHARE, thresholds=[0.1, np.nan]),
            "thresholds must hold",
        ),
        (lambda: statistics.diagnostic_accuracy(TRUE, SHARE), "such as score >= 0.5"),
        (
            lambda: statistics.diagnostic_accuracy(TRUE, TRUE + 1),
            "y_pred holds 2, which y_true",
        ),
        (
            lambda: statistics.mcnemar_test(["b", "m"], ["b", "M"], ["b", "m"]),
            "pred_a holds 'M', which y_true does not",
        ),
        (lambda: statistics.mcnemar_test([0, 1], ["0", "1"], [0, 1]), "classes of one kind"),
        (lambda: statistics.proportion_interval([0, 1, 2]), "only 0 and 1, or booleans, not 0, 1"),
        (lambda: statistics.wilson_interval(0.9, 50), "for arrays, use proportion_interval"),
        (lambda: statistics.wilson_interval(51, 50), "successes <= n"),
        (lambda: statistics.macro_auc_interval(list("abc"), np.eye(3)[:2]), r"shape \(3, 3\)"),
        (lambda: statistics.net_benefit(TRUE, SHARE, threshold=[0.1]), r"not \[0.1\]"),
        (
            lambda: statistics.net_benefit(TRUE, SHARE, threshold=0.1, versus="all"),
            "versus must be 'nobody' or 'everyone', not 'all'",
        ),
        (lambda: statistics.holds_level("12", 40), "smaller_class must be a number"),
        (lambda: statistics.mmd_test(np.eye(4), [0, 0, 1, 1], seed="x"), "the seed must be"),
        (lambda: statistics.mmd_test(np.eye(4), [0, 0, 0, 1]), "3 in the first and 1 in"),
        (lambda: statistics.mmd_test(np.eye(4), [0, 0, 1, 1], [1, 2, 2, 3]), "in both cohorts"),
        (lambda: statistics.knn_outliers(np.eye(3), np.eye(2)), "same features, not 3 and 2"),
        (lambda: statistics.knn_outliers(np.eye(3), np.eye(3), [1, 1, 1]), "two patients"),
        (
            lambda: statistics.macro_auc_interval(
                list("abab"), np.zeros((4, 3)), classes=["a", "b", "c"]
            ),
            "none of 'c'",
        ),
    ],
)
def test_other_wrong_arguments_are_named(call_it: Callable, message: str) -> None:
    with pytest.raises(BottleneckError, match=message):
        call_it()


def test_diagnostic_accuracy_is_that_of_scikit_learn_and_statsmodels() -> None:
    called = (SHARE >= 0.5).astype(int)
    found = statistics.diagnostic_accuracy(TRUE, called)
    expected = {
        "sensitivity": recall_score(TRUE, called),
        "specificity": recall_score(TRUE, called, pos_label=0),
        "ppv": precision_score(TRUE, called),
        "npv": precision_score(TRUE, called, pos_label=0),
        "accuracy": accuracy_score(TRUE, called),
    }
    for name, value in expected.items():
        interval = getattr(found, name)
        low, high = proportion_confint(round(value * interval.n), interval.n, method="wilson")
        assert (interval.value, interval.low, interval.high) == pytest.approx((value, low, high))
    # One image of each patient: the same as without patients.
    single = statistics.diagnostic_accuracy(TRUE[::2], called[::2], PATIENT[::2])
    copied = statistics.diagnostic_accuracy(
        np.repeat(TRUE[::2], 3), np.repeat(called[::2], 3), np.repeat(PATIENT[::2], 3)
    )
    assert copied.sensitivity.low == pytest.approx(single.sensitivity.low)
    assert (copied.sensitivity.n, copied.sensitivity.n_groups) == (45, 15)


def test_a_class_that_is_never_predicted_has_no_ppv() -> None:
    found = statistics.diagnostic_accuracy(TRUE, np.zeros(N, int))
    assert np.isnan([found.ppv.value, found.ppv.low]).all()
    assert found.npv.value == found.specificity.value / 2 == 0.5


@pytest.mark.parametrize("images", [1, 2])
def test_means_have_the_sandwich_variance_of_statsmodels(images: int) -> None:
    rows = slice(None, None, 3 - images)
    true, share = TRUE[rows], SHARE[rows]
    patients = PATIENT[rows]
    gain = np.where(share >= 0.4, np.where(true == 1, 1, -0.4 / 0.6), 0)
    squares = (share - true) ** 2
    robust = {"groups": patients, "use_correction": False}
    benefit = statistics.net_benefit(true, share, patients, threshold=0.4)
    brier = statistics.brier_interval(true, share, patients)
    assert brier.value == pytest.approx(brier_score_loss(true, share))
    over = statistics.net_benefit(true, share, patients, threshold=0.4, versus="everyone")
    above = gain - np.where(true == 1, 1, -0.4 / 0.6)
    for found, each in ((benefit, gain), (over, above), (brier, squares)):
        model = sm.OLS(each, np.ones(len(each))).fit(cov_type="cluster", cov_kwds=robust)
        assert found.value == pytest.approx(model.params[0])
        assert found.standard_error == pytest.approx(model.bse[0] * np.sqrt(30 / 29))


def test_one_threshold_is_a_point_of_the_curve() -> None:
    curve = statistics.decision_curve(TRUE, SHARE, thresholds=[0.2, 0.4])
    for at, model, everyone in zip(curve.thresholds, curve.model, curve.everyone, strict=True):
        assert statistics.net_benefit(TRUE, SHARE, threshold=at).value == pytest.approx(model)
        ones = np.ones(N)
        assert statistics.net_benefit(TRUE, ones, threshold=at).value == pytest.approx(everyone)


def test_a_curve_has_the_bounds_of_each_threshold() -> None:
    folds = np.arange(N) % 3
    curve = statistics.decision_curve(TRUE, SHARE, PATIENT, folds, thresholds=[0.2, 0.4], level=0.9)
    for n, at in enumerate((0.2, 0.4)):
        rows = {"threshold": at, "level": 0.9}
        model = statistics.net_benefit(TRUE, SHARE, PATIENT, folds, **rows)
        over = statistics.net_benefit(TRUE, SHARE, PATIENT, folds, versus="everyone", **rows)
        assert (curve.low[n], curve.high[n]) == (model.low, model.high)
        bounds = curve.over_everyone_low[n], curve.over_everyone_high[n]
        assert bounds == (over.low, over.high)
        assert over.value == pytest.approx(curve.model[n] - curve.everyone[n])


def test_classes_name_the_columns_of_macro_scores() -> None:
    y_true = np.array(list("abc"))[np.arange(N) % 3]
    scores = np.eye(3)[np.arange(N) % 3] + RNG.normal(0, 1, (N, 3))
    found = statistics.macro_auc_interval(y_true, scores, PATIENT)
    mixed = statistics.macro_auc_interval(
        y_true, scores[:, [2, 0, 1]], PATIENT, classes=list("cab")
    )
    assert numbers(mixed) == pytest.approx(numbers(found))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    own = statistics.macro_auc_interval(y_true, shares)
    assert own.value == pytest.approx(roc_auc_score(y_true, shares, multi_class="ovr"))


def test_folds_raise_the_variance_of_a_mean_by_the_factor_of_nadeau_and_bengio() -> None:
    once = statistics.brier_interval(TRUE, SHARE, PATIENT)
    over = statistics.brier_interval(TRUE, SHARE, PATIENT, FOLD)
    factor = 1 + 3 * (1 / 3) / (2 / 3)
    assert over.standard_error == pytest.approx(once.standard_error * np.sqrt(factor))
    plain = statistics.proportion_interval(SHARE > 0.5, PATIENT)
    folded = statistics.proportion_interval(SHARE > 0.5, PATIENT, FOLD)
    assert folded.high - folded.low > plain.high - plain.low


def test_patients_are_told_apart_however_they_are_written() -> None:
    plain = statistics.roc_auc_interval(TRUE, SHARE, PATIENT)
    large = PATIENT + 2**60
    mixed = [float(p) if n % 2 else int(p) for n, p in enumerate(PATIENT)]
    for groups in (large, large.astype(object), PATIENT.astype(float), mixed, PATIENT.astype("S")):
        found = statistics.roc_auc_interval(TRUE, SHARE, groups)
        assert (numbers(found), found.n_groups) == (pytest.approx(numbers(plain)), 30)
