"""Tables of the report: JSON, CSV, Markdown and terminal."""

import dataclasses
import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from report.factory import LESIONS, SECRET, SOURCES, make_cohort, make_comparison
from rich.console import Console

from bottleneck.data.readers.tables.csv_tables import read_table
from bottleneck.evaluation.metrics.metric_values import Metric, as_metric
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.report.page import write_report
from bottleneck.report.tables import terminal_tables, text_tables
from bottleneck.report.wording.labels import caveats, metric_names
from bottleneck.report.wording.number_format import bounds, format_metric
from bottleneck.schemas.json_schemas import json_format
from bottleneck.statistics.inference.intervals import Interval

HOSTILE = ("<b>bold</b>", "=1+1|$x_1$ [red]\u202e&amp;")


def printed(comparison: Comparison, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(terminal_tables.summary_table(comparison))
    return console.file.getvalue().splitlines()


def test_results_follow_the_schema(binary: Comparison, tmp_path) -> None:
    write_report(binary, tmp_path)
    text = (tmp_path / "results.json").read_text("utf-8")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    data = json.loads(text, parse_constant=refuse)
    # Its fields are those of the schema, as in all tests.
    assert data["format"] == json_format("compare")
    assert data["classes"] == ["benign", "malignant"]
    assert data["dataset"]["n_patients"] == 90
    for arm, e in zip(data["arms"], binary.evaluations, strict=True):
        assert (arm["name"], arm["backbone"], arm["n"]) == (e.name, e.backbone, 180)
        assert np.sum(arm["confusion"]) == 180
        for name, metric in e.metrics.items():
            found = arm["metrics"][name]
            expected = None if math.isnan(metric.value) else metric.value
            assert found["value"] == expected
    assert data["arms"][-1]["metrics"]["ppv"]["value"] is None
    assert [c["difference"] for c in data["comparisons"]] == [d.value for d in binary.differences]
    assert SECRET not in text
    assert "case-" not in text
    assert "pat-0" not in text


def test_predictions_are_read_back_as_they_were(binary: Comparison, tmp_path) -> None:
    write_report(binary, tmp_path)
    texts = dict.fromkeys(["arm", "id", "group", "label", "predicted"], str)
    frame = pd.read_csv(tmp_path / "predictions.csv", dtype=texts)
    assert list(frame) == [
        *["arm", "id", "group", "repeat", "fold", "label", "predicted"],
        *["score_benign", "score_malignant"],
    ]
    for e in binary.evaluations:
        rows = frame[frame["arm"] == e.name].drop(columns="arm").reset_index(drop=True)
        expected = e.predictions.to_frame()
        scores = ["score_benign", "score_malignant"]
        pd.testing.assert_frame_equal(rows[scores], expected[scores], rtol=1e-14)
        for column in expected.columns.drop(scores):
            assert rows[column].tolist() == expected[column].tolist()


def test_hostile_ids_and_labels_are_read_back_as_they_were(tmp_path) -> None:
    cohort = make_cohort(HOSTILE, 90)
    ids = cohort.ids.astype("U40")
    ids[:6] = ["=1+1", "+x", "-y", "@z", 'a,"b"\r\n;=c', " 007 "]
    hostile = make_comparison(
        HOSTILE, cohort=dataclasses.replace(cohort, ids=ids), positive=HOSTILE[0]
    )
    write_report(hostile, tmp_path)
    frame, _ = read_table(tmp_path / "predictions.csv")
    arm = frame[frame["arm"] == hostile.evaluations[0].name]
    expected = hostile.evaluations[0].predictions
    assert arm["id"].tolist() == expected.ids.tolist()
    assert arm["label"].tolist() == expected.labels.tolist()


def test_csv_table_has_three_decimals_and_bounds(binary: Comparison) -> None:
    frame = pd.read_csv(io.BytesIO(text_tables.csv_table(binary).encode()), index_col="arm")
    best = binary.evaluations[0]
    row = frame.loc[best.name]
    assert row["n"] == 180
    assert row["positive"] == "malignant"
    for name in ("auroc", "sensitivity"):
        metric = best.metrics[name]
        found = [row[name], row[f"{name}_low"], row[f"{name}_high"]]
        assert found == [round(x, 3) for x in (metric.value, metric.low, metric.high)]
    assert "f1_low" not in frame
    spread = [row["auroc_lowest_repeat"], row["auroc_highest_repeat"]]
    assert spread == [round(x, 3) for x in best.metrics["auroc"].spread]
    assert math.isnan(frame.loc["prior only", "ppv"])


def test_warnings_come_first() -> None:
    warned = make_comparison(
        n=90, warnings=("random weights:\nthe figures | mean nothing", "second")
    )
    frame = pd.read_csv(io.BytesIO(text_tables.csv_table(warned).encode()))
    assert frame.columns[0] == "arm"
    assert set(frame["warnings"]) == {
        "random weights: the figures | mean nothing (BF303) | second (BF303)"
    }
    assert frame["arm"].tolist() == [e.name for e in warned.evaluations]
    markdown = text_tables.markdown_table(warned).splitlines()
    assert markdown[0] == r"> **random weights: the figures \| mean nothing (BF303)**"
    assert markdown[2] == "> **second (BF303)**"


def test_markdown_names_the_positive_class_and_counts(binary: Comparison) -> None:
    text = text_tables.markdown_table(binary)
    auroc = binary.evaluations[0].metrics["auroc"]
    lowest, highest = auroc.spread
    assert (
        f"| {auroc.value:.3f} [{auroc.low:.3f}, {auroc.high:.3f}] ({lowest:.3f}–{highest:.3f}) |"
    ) in text
    assert "In parentheses: the lowest and the highest AUROC of one repeat." in text
    assert "180 samples, 90 patients, positive class: malignant." in text
    assert " n/a |" in text


def test_markdown_cells_are_escaped() -> None:
    sources = (("a|b", "<i>*x*</i>\n`y`", 1.0),)
    rows = text_tables.markdown_table(
        make_comparison(n=90, heads=("svm",), sources=sources)
    ).splitlines()
    assert rows[2].startswith(r"| a\|b (\<i\>\*x\*\</i\>\\x0a\`y\`) + svm | 90 |")
    assert rows[0].count("|") == rows[2].replace(r"\|", "").count("|")


@pytest.mark.parametrize("classes", [("benign", "malignant"), LESIONS])
def test_terminal_table_fits_80_columns(classes: tuple[str, ...]) -> None:
    long = ("a-network-of-a-hospital-" * 4, "checkpoint_of_epoch_0042.safetensors", 1.0)
    comparison = make_comparison(
        classes,
        n=40 * len(classes),
        heads=("svm",),
        sources=(long, SOURCES[1]),
        positive="malignant" if len(classes) == 2 else None,
    )
    lines = printed(comparison)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    for e in comparison.evaluations:
        assert f"{e.metrics['auroc'].value:.3f}" in text
    folded = "".join(line[:30].split("  ")[0].strip() for line in lines)
    assert "a-network-of-a-hospital-a-network" in folded.replace(" ", "")


def test_the_terminal_shows_how_repeats_differ(binary: Comparison) -> None:
    auroc = binary.evaluations[0].metrics["auroc"]
    lines = printed(binary)
    assert max(map(len, lines)) <= 80
    at = next(n for n, line in enumerate(lines) if f"{auroc.value:.3f}" in line)
    assert f"{auroc.low:.2f}–{auroc.high:.2f}" in lines[at + 1]
    assert f"{auroc.spread[0]:.2f}–{auroc.spread[1]:.2f}" in lines[at + 2]
    words = " ".join(" ".join(lines).split())
    assert "Third line: the lowest and the highest AUROC of one repeat." in words


def test_terminal_table_takes_names_literally() -> None:
    comparison = make_comparison(n=90, heads=("svm",), sources=(("[red]x[/red]", "\x1b[31m", 1.0),))
    text = "\n".join(printed(comparison))
    assert "[red]x[/red]" in text
    assert "\x1b" not in text


def test_unusual_metrics_come_after_the_usual_ones(binary: Comparison) -> None:
    first = binary.evaluations[0]
    more = dataclasses.replace(first, metrics={"brier_score": Metric(0.1), **first.metrics})
    comparison = dataclasses.replace(binary, evaluations=(more, *binary.evaluations[1:]))
    names = metric_names(e.metrics for e in comparison.evaluations)
    assert names[0] == "auroc"
    assert names[-1] == "brier_score"
    assert "| Brier score |" in text_tables.markdown_table(comparison)
    assert "n/a |\n" in text_tables.markdown_table(comparison)


def test_an_interval_that_is_an_estimate_only_has_a_dagger_and_a_reason() -> None:
    few = Metric(0.8, 0.6, 0.9, "DeLong; estimate only: 7 patients in the smaller class, 95%")
    assert format_metric(few) == "0.800 [0.600, 0.900]†"
    assert bounds(few) == "0.600–0.900†"
    enough, none = Metric(0.8, 0.6, 0.9, "DeLong, 95%"), Metric(0.8)
    assert format_metric(enough) == "0.800 [0.600, 0.900]"
    assert caveats([{"auroc": enough, "f1": none}, (few, few), None]) == [
        "7 patients in the smaller class"
    ]


def test_accuracies_of_arms_with_and_without_class_weights_have_a_note(binary) -> None:
    labels = binary.evaluations[0].predictions.labels
    name, share = "benign", float(np.mean(labels == "benign"))
    words = f"always predicting '{name}' reaches {share:.3f}"
    assert share > 0.5
    assert words in text_tables.markdown_table(binary)
    console = Console(width=80, file=io.StringIO())
    console.print(terminal_tables.summary_table(binary))
    assert words in " ".join(console.file.getvalue().split())
    alike = dataclasses.replace(
        binary, evaluations=[e for e in binary.evaluations if e.weights_classes]
    )
    assert len(alike.evaluations) > 1
    assert "always predicting" not in text_tables.markdown_table(alike)


@pytest.mark.parametrize("value", [math.nan, 0.5])
def test_a_value_that_is_not_defined_has_no_interval(value: float) -> None:
    made = as_metric(value, Interval(0.5, 0.4, 0.6, 0.05, 0.95, "Wilson"))
    assert (made.low is None) == math.isnan(value)


def test_external_table_fits_the_terminal(full: Comparison) -> None:
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(terminal_tables.external_table(full.external[0]))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "External cohort elsewhere, 60 samples, 30 patients" in " ".join(lines)
    assert f"{full.external[0].evaluations[0].metrics['auroc'].value:.3f}" in "\n".join(lines)
    assert "External cohort elsewhere" in text_tables.markdown_table(full)
