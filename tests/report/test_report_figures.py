"""Figures of the report: curves, confusion matrices, intervals and colours."""

import dataclasses
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from report.factory import SOURCES, fold_aurocs, make_comparison
from sklearn.metrics import roc_auc_score

from bottleneck.evaluation.metrics.metric_values import Difference
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.predictions import Predictions
from bottleneck.report.figures.arm_styles import arm_styles
from bottleneck.report.figures.forest_plots import difference_spans
from bottleneck.report.figures.output.figure_layouts import draw_roc
from bottleneck.report.figures.output.figure_style import inline_svg
from bottleneck.report.figures.plots.confusion_plot import row_shares
from bottleneck.report.figures.roc_curves import Curve, mean_roc_curve


def roc_svg(comparison: Comparison) -> str | None:
    return inline_svg(lambda figure: draw_roc(comparison, "malignant", figure, legend=False), "roc")


def area(curve: Curve) -> float:
    return float(np.trapezoid(curve[1], curve[0]))


def test_area_below_the_mean_curve_is_the_mean_of_scikit_learns_aurocs(binary: Comparison) -> None:
    for e in binary.evaluations:
        curve = mean_roc_curve(e.predictions, "malignant")
        expected = np.mean(fold_aurocs(e.predictions, "malignant"))
        assert area(curve) == pytest.approx(expected, abs=1e-12)


def test_area_below_the_macro_curve_is_scikit_learns_one_vs_rest(lesions: Comparison) -> None:
    p = lesions.evaluations[1].predictions
    assert p.kind == "probability"
    expected = [
        roc_auc_score(p.labels[p.folds == f], p.scores[p.folds == f], multi_class="ovr")
        for f in np.unique(p.folds)
    ]
    assert area(mean_roc_curve(p, None)) == pytest.approx(np.mean(expected), abs=1e-12)


def test_curve_runs_from_corner_to_corner_and_never_falls(binary: Comparison) -> None:
    for e in binary.evaluations:
        fpr, tpr = mean_roc_curve(e.predictions, "malignant")
        assert (fpr[0], tpr[0]) == (0, 0)
        assert (fpr[-1], tpr[-1]) == (1, 1)
        assert (np.diff(fpr) >= 0).all()
        assert (np.diff(tpr) >= -1e-12).all()


def test_ranks_only_within_a_fold() -> None:
    # Each fold ranks perfectly, but all of the second fold's scores lie above the first's.
    labels = np.array(["a", "b", "a", "b"])
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    p = Predictions(
        ids=np.array(list("wxyz")),
        groups=None,
        repeats=np.zeros(4, int),
        folds=np.array([0, 0, 1, 1]),
        labels=labels,
        predicted=labels,
        scores=np.column_stack([-scores, scores]),
        classes=("a", "b"),
        kind="decision",
    )
    assert area(mean_roc_curve(p, "b")) == 1.0
    assert roc_auc_score(labels == "b", scores) == 0.75


def test_no_curve_where_a_fold_lacks_a_class(binary: Comparison) -> None:
    p = binary.evaluations[0].predictions
    folds = np.where(p.labels == "benign", 9, p.folds)
    lacking = Predictions(**{f: getattr(p, f) for f in p.__dataclass_fields__} | {"folds": folds})
    assert mean_roc_curve(lacking, "malignant") is None


def test_row_shares_sum_to_one_and_leave_an_absent_class_at_zero() -> None:
    shares = row_shares(np.array([[3, 1], [0, 0]]))
    np.testing.assert_array_equal(shares, [[0.75, 0.25], [0, 0]])


def test_differences_are_placed_about_zero() -> None:
    def difference(value: float, low: float | None, high: float | None) -> Difference:
        return Difference("a", "b", "auroc", value, low, high)

    limit, spans = difference_spans([difference(0.1, -0.1, 0.17), difference(0.2, None, None)])
    assert limit == pytest.approx(0.2)
    assert spans[1] is None
    assert (spans[0].low, spans[0].value, spans[0].high) == pytest.approx((0.25, 0.75, 0.925))


@pytest.mark.parametrize("bounds", [(None, None), (float("nan"), 0.1)])
def test_no_axis_without_finite_intervals(bounds: tuple[float | None, float | None]) -> None:
    limit, spans = difference_spans([Difference("a", "b", "f1", 0.1, *bounds)])
    assert (limit, spans) == (0.0, [None])


def test_colours_tell_features_apart_and_dashes_heads(binary: Comparison) -> None:
    styles = arm_styles(binary.evaluations)
    assert [s.hue for s in styles] == [0, 0, 0, 1, 1, 1, None]
    assert styles[0].dash == styles[3].dash
    assert len({s.dash for s in styles[:3]}) == 3


def test_colours_tell_apart_what_is_pooled_in_two_ways(binary: Comparison) -> None:
    arms = [
        dataclasses.replace(e, name=e.name.replace("(", f"({pooling}, "))
        for pooling in ("avg", "flatten")
        for e in binary.evaluations[:2]
    ]
    assert [s.hue for s in arm_styles(arms)] == [0, 0, 1, 1]


def test_colours_tell_heads_apart_where_all_share_their_features() -> None:
    alone = make_comparison(sources=SOURCES[:1], n=90)
    styles = arm_styles(alone.evaluations)
    assert [s.hue for s in styles] == [0, 1, 2, None]
    assert {s.dash for s in styles[:3]} == {"none"}


def test_figure_is_deterministic_and_in_the_colours_of_the_page(binary: Comparison) -> None:
    svg = roc_svg(binary)
    assert svg == roc_svg(binary)
    tree = ET.fromstring(re.sub("xlink:", "", svg))
    drawn = {m for m in re.findall(r"stroke: ([^;\"]+)", svg) if m != "none"}
    assert drawn == {"var(--arm-0)", "var(--arm-1)", "var(--muted)", "var(--rule)"}
    assert [t.text for t in tree.iter("text")][-1] == "Sensitivity (malignant)"
    assert "metadata" not in svg
    assert "http" not in svg


def test_figure_ignores_the_settings_of_the_session(binary: Comparison) -> None:
    import matplotlib

    usual = roc_svg(binary)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert roc_svg(binary) == usual
        assert matplotlib.rcParams["font.size"] == 30


def test_no_figure_without_curves() -> None:
    lone = make_comparison(heads=(), n=90)
    assert roc_svg(lone) is None
