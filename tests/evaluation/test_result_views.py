"""Results as pandas tables."""

from __future__ import annotations

import dataclasses
import itertools
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from report.complete import complete
from report.factory import LESIONS, make_comparison

from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation
from bottleneck.evaluation.results.result_views import Part

NUMBERS = ["value", "low", "high"]


@pytest.fixture(scope="module")
def full() -> Comparison:
    return complete(make_comparison(heads=("logistic", "svm"), n=80))


@pytest.fixture(scope="module")
def bare() -> Comparison:
    """A comparison without intervals, and without arms that use images."""
    return make_comparison(heads=(), n=60, intervals=False, sources=())


def held(of: Evaluation, part: Part) -> dict[tuple[object, ...], object]:
    """The metrics of an arm by what they are of."""
    nested = {
        "metrics": {(): of.metrics},
        "classes": {(name,): metrics for name, metrics in of.per_class.items()},
        "subgroups": {(s.column, s.value): s.metrics for s in of.subgroups},
        "operating points": {(p.held, p.target): p.metrics for p in of.operating_points},
        "centres": {(c.name,): {"auroc": c.auroc} for c in (of.centres.each if of.centres else ())},
    }[part]
    return {(*keys, name): m for keys, metrics in nested.items() for name, m in metrics.items()}


def test_a_cohort_is_shown_by_the_arm_that_was_chosen_inside(full: Comparison) -> None:
    """The highest AUROC on the cohort may be that of another arm, and its interval too high."""
    (cohort,) = full.external
    for chosen in [e.name for e in cohort.evaluations if e.uses_images]:
        drops = tuple(
            dataclasses.replace(d, inside=Metric(0.9 if d.arm == chosen else 0.6))
            for d in cohort.drops
        )
        text = " ".join(repr(dataclasses.replace(cohort, drops=drops)).split())
        (auroc,) = (e.metrics["auroc"].text for e in cohort.evaluations if e.name == chosen)
        assert f"auroc {auroc} of {chosen}, the highest inside" in text


@pytest.mark.parametrize("part", get_args(Part))
def test_every_metric_has_a_row(full: Comparison, part: Part) -> None:
    frame = full.to_frame(part)
    keys = list(frame.columns[6 : frame.columns.get_loc("metric") + 1])
    for e in full.evaluations:
        rows = frame[frame["arm"] == e.name].set_index(keys)
        metrics = held(e, part)
        assert len(rows) == len(metrics)
        for key, metric in metrics.items():
            row = rows.loc[key if len(keys) > 1 else key[0]]
            got = dataclasses.astuple(metric)[:3]
            np.testing.assert_array_equal(row[NUMBERS].to_numpy(float), np.array(got, float))
            assert row["method"] == metric.method or metric.method is None
        pd.testing.assert_frame_equal(
            rows.reset_index()[[*keys, *NUMBERS]], e.to_frame(part)[[*keys, *NUMBERS]]
        )


@pytest.mark.parametrize("part", get_args(Part))
def test_columns_have_their_types_whatever_they_hold(
    full: Comparison, bare: Comparison, part: Part
) -> None:
    for comparison, one in itertools.product((full, bare), (0, 1)):
        frame = comparison.evaluations[0].to_frame(part) if one else comparison.to_frame(part)
        assert frame.dtypes[[*NUMBERS, "n", "estimate_only"]].tolist() == [float] * 3 + [int, bool]


def test_a_tidy_table_is_pivoted_and_joined(full: Comparison) -> None:
    frame = pd.concat([full.to_frame(), *(e.to_frame() for e in full.external)])
    wide = frame.pivot(index=["dataset", "arm"], columns="metric", values="value")
    for result in (full, *full.external):
        for e in result.evaluations:
            assert wide.loc[(result.dataset["name"], e.name), "auroc"] == e.metrics["auroc"].value
    assert set(frame["positive"]) == {"malignant"}
    assert frame.loc[frame["arm"] == "prior only", "backbone"].isna().all()


def test_each_class_of_several(full: Comparison) -> None:
    lesions = complete(make_comparison(LESIONS, heads=("svm",), n=180, positive=None))
    frame = lesions.to_frame("classes")
    assert set(frame["class"]) <= set(LESIONS)
    assert full.to_frame("classes").empty


def test_differences_and_drops(full: Comparison) -> None:
    frame = full.differences_frame()
    assert len(frame) == len(full.differences)
    for d, row in zip(full.differences, frame.itertuples(index=False), strict=True):
        assert (row.a, row.b, row.metric, row.value, row.role) == (
            d.a, d.b, d.metric, d.value, d.role,
        )  # fmt: skip
        assert np.isnan(row.p_adjusted) if d.p_adjusted is None else row.p_adjusted == d.p_adjusted
    (external,) = full.external
    drops = external.drops_frame()
    for drop, (_, row) in zip(external.drops, drops.iterrows(), strict=True):
        assert row["outside"] == drop.outside.value
        assert row["difference_low"] == drop.difference.low
    assert len(external.differences_frame()) == len(external.differences)
    empty = dataclasses.replace(external, drops=(), differences=())
    assert empty.drops_frame().columns.tolist() == drops.columns.tolist()
    assert empty.differences_frame().dtypes.tolist()[3:8] == [float] * 5


def test_findings_are_rows(full: Comparison) -> None:
    assert full.audit is not None
    frame = full.audit.to_frame()
    assert frame.columns.tolist() == ["code", "severity", "kind", "count", "text"]
    assert frame["text"].tolist() == [finding.text for finding in full.audit.findings]
    assert dataclasses.replace(full.audit, findings=()).to_frame()["count"].dtype == int


def test_names_need_not_be_valid_unicode(full: Comparison) -> None:
    name = "x\udc80"
    arm = dataclasses.replace(full.evaluations[0], name=name)
    frame = dataclasses.replace(full, evaluations=(arm,)).to_frame()
    assert set(frame["arm"]) == {name}


@pytest.mark.parametrize("part", ["metric", None, 3, ["metrics"]])
def test_an_unknown_part_is_refused(full: Comparison, part: object) -> None:
    for result in (full, full.evaluations[0], full.external[0]):
        with pytest.raises(UsageError, match=r"unknown part of the results .* Known: centres, "):
            result.to_frame(part)  # type: ignore[arg-type]
