"""Report page: its files, sections and warnings; it names no patient."""

import dataclasses
import os
import re
from pathlib import Path

import numpy as np
import pytest
from made_features import make_features
from report.complete import complete
from report.factory import LESIONS, SECRET, SOURCES, make_cohort, make_comparison, provenance
from report.reading import Page

from bottleneck.checks.check_warnings import warn
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.report.figures.flow_diagram import flow
from bottleneck.report.page import render, write_report
from bottleneck.report.summary import missed_by_all, summarise
from bottleneck.report.wording.number_format import p_value

FILES = {
    "report.html",
    "results.json",
    "table.md",
    "table.csv",
    "paragraphs.md",
    "predictions.csv",
}


def lead(comparison: Comparison) -> str:
    paragraph = re.search(r'<p class="lead">(.*?)</p>', render(comparison), re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", paragraph[1])).strip()


@pytest.fixture(scope="module")
def page(binary: Comparison) -> Page:
    return Page(render(binary))


def test_writes_its_files_and_nothing_else(binary: Comparison, tmp_path: Path) -> None:
    path = write_report(binary, tmp_path / "report")
    assert path == tmp_path / "report" / "report.html"
    assert {p.name for p in path.parent.iterdir()} == FILES


def test_an_arm_that_guesses_alone(tmp_path: Path) -> None:
    comparison = compare(make_features(), ["prior"], protocol=Protocol(n_splits=3))
    text = write_report(comparison, tmp_path / "report").read_text()
    assert "resnet18 (imagenet)" in text


def test_same_comparison_same_bytes(binary: Comparison, tmp_path: Path) -> None:
    write_report(binary, tmp_path / "a")
    write_report(binary, tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_page_is_self_contained(page: Page) -> None:
    assert all(link.startswith("#") for link in page.links)
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert not re.search(r"url\((?!#)|@import", "".join(page.inside("style")))
    assert "fetch" not in "".join(page.inside("script"))


def test_page_names_no_sample_patient_or_path(binary: Comparison) -> None:
    html = render(binary)
    assert "case-" not in html
    assert "pat-0" not in html
    assert SECRET not in html


def test_page_has_every_section(page: Page, binary: Comparison) -> None:
    headings = [t.strip() for t in page.inside("h2")]
    assert headings == [
        "Results",
        "Differences between arms",
        "ROC curves",
        "Confusion matrices",
        "Cohort",
        "Protocol",
        "Paragraphs for a manuscript",
        "Features",
        "Limits of use",
        "Reporting checklist",
        "A model to keep",
    ]
    assert binary.protocol["words"] in page.text
    assert "For research use only; not a medical device." in page.text
    assert "nested cross-validation with 3 outer" in page.text
    assert "Positive class: malignant" in page.text
    for e in binary.evaluations:
        for metric in e.metrics.values():
            assert ("n/a" if np.isnan(metric.value) else f"{metric.value:.3f}") in page.text


def test_confusion_matrices_show_counts_and_percentages(binary: Comparison) -> None:
    html = render(binary)
    cells = re.findall(r'--share:([\d.]+)">(\d+)<small>(\d+) %', html)
    assert len(cells) == 4 * len(binary.evaluations)
    expected = binary.evaluations[0].confusion
    assert [int(n) for _, n, _ in cells[:4]] == expected.ravel().tolist()
    assert int(cells[0][2]) == round(100 * expected[0, 0] / expected[0].sum())


def test_warnings_open_the_page() -> None:
    html = render(
        make_comparison(n=90, warnings=("random weights: the figures are meaningless", "and more"))
    )
    page = Page(html)
    assert html.index("the figures are meaningless") < html.index("<h1>")
    assert page.inside("h2")[0] == "Before you read the results"
    assert 'class="banner"' not in render(make_comparison(n=90))


def test_many_classes(lesions: Comparison) -> None:
    html = render(lesions)
    page = Page(html)
    assert "macro" in page.text
    assert len(re.findall("<small>", html.split('id="confusion"')[1].split("</section")[0])) == (
        81 * len(lesions.evaluations)
    )
    for name in LESIONS:
        assert name in page.text


def test_one_positive_class_of_many(lesions: Comparison) -> None:
    text = Page(render(dataclasses.replace(lesions, positive="MEL"))).text
    assert "Positive class: MEL, against the other 8" in text


def test_columns_of_p_values_only_where_something_was_tested(binary: Comparison) -> None:
    untested = tuple(dataclasses.replace(d, p=None, p_adjusted=None) for d in binary.differences)
    tested, other = (
        Page(render(binary)),
        Page(render(dataclasses.replace(binary, differences=untested))),
    )
    assert "Adjusted p" in tested.text
    assert "Adjusted p" not in other.text
    # An interval that excludes 0 next to an adjusted p of 0.05 or more needs words.
    assert (
        "accounts for all pairs of the primary comparison (Holm), but the interval" in tested.text
    )
    assert "(Holm), but the interval" not in other.text


def test_rounding_moves_no_p_value_across_the_level() -> None:
    values = (0.0495, 0.0499999, 0.05, 0.0504, 0.0004, 0.2, None)
    texts = ("< 0.050", "< 0.050", "0.050", "0.050", "< 0.001", "0.200", "–")
    assert tuple(map(p_value, values)) == texts


def test_samples_missed_by_every_arm_are_listed_on_request(binary: Comparison) -> None:
    frames = [e.predictions.to_frame() for e in binary.evaluations[:-1]]
    wrong = [set(f["id"]) - set(f["id"][f["label"] == f["predicted"]]) for f in frames]
    expected = set.intersection(*wrong)
    assert expected
    assert {m.id for m in missed_by_all(binary)} == expected
    listed = dataclasses.replace(binary, cases={e.name: () for e in binary.evaluations[:-1]})
    page = Page(render(listed, with_ids=True))
    assert set(re.findall(r"case-\d+\.png", page.text)) == expected
    assert set(re.findall(r"pat-\d+", page.text)) == {m.group for m in missed_by_all(binary)}


def test_summary_names_the_best_arm_and_the_prior(binary: Comparison) -> None:
    best = max(binary.evaluations, key=lambda e: e.metrics["auroc"].value)
    text = lead(binary)
    assert text.startswith(f"Of 6 arms, {best.name} has the highest AUROC: ")
    assert f"{best.metrics['auroc'].value:.3f}" in text
    assert "compared with 0.500 for the prior-only arm (no images)." in text
    assert "The results are from 180 samples of 90 patients in 3‑fold cross-validation, " in text
    assert "repeated 2 times, with no patient in both the training set and the test fold." in text


def test_the_lead_has_the_interval_that_allows_for_the_choice(binary: Comparison) -> None:
    made = complete(binary)
    found = made.choice.of_best
    interval = f"{found.low:.3f} to {found.high:.3f}, allowing for the choice"
    assert f"{found.value:.3f} (95&nbsp;%&nbsp;CI {interval}" in lead(made)
    assert "includes 0.5" not in lead(made)
    low = dataclasses.replace(found, low=0.49)
    choice = dataclasses.replace(made.choice, auroc={made.choice.best: low})
    assert "includes 0.5" in lead(dataclasses.replace(made, choice=choice))


@pytest.mark.parametrize(
    ("p_values", "words"),
    [
        (
            (0.2, 0.3),
            "Its AUROC does not differ significantly from that of any of the 2 other arms",
        ),
        ((0.01, 0.3), "Its AUROC differs significantly from that of 1 of the 2 other arms"),
        ((0.01, 0.02), "Its AUROC differs significantly from that of each of the 2 other arms"),
        ((None, None), "in both the training set and the test fold."),
    ],
)
def test_summary_says_what_the_tests_say(p_values, words: str) -> None:
    comparison = make_comparison(sources=SOURCES[:1], n=90)
    best = summarise(comparison).best.name
    others = [e.name for e in comparison.evaluations[:-1] if e.name != best]
    tested = tuple(
        Difference(other, best, "auroc", -0.1, p_adjusted=p)
        for other, p in zip(others, p_values, strict=True)
    )
    # Neither the arm without features nor another metric counts.
    noise = (
        Difference(best, "prior only", "auroc", 0.4, p_adjusted=0.001),
        Difference(best, others[0], "accuracy", 0.4, p_adjusted=0.001),
    )
    text = lead(dataclasses.replace(comparison, differences=tested + noise))
    assert words in text
    assert ("adjusted p" in text) == (p_values[0] is not None)


def test_summary_doubts_an_interval_that_reaches_chance(binary: Comparison) -> None:
    doubtful = {"auroc": Metric(0.6, 0.45, 0.75)}
    arms = [dataclasses.replace(e, metrics=doubtful) for e in binary.evaluations]
    assert "no better than chance" in lead(dataclasses.replace(binary, evaluations=tuple(arms)))
    assert "no better than chance" not in lead(binary)


def test_undefined_aurocs_and_absent_patients_are_no_obstacle(binary: Comparison) -> None:
    undefined = {"auroc": Metric(float("nan")), "accuracy": Metric(0.5)}
    arms = [dataclasses.replace(e, metrics=undefined) for e in binary.evaluations]
    dataset = dict(binary.dataset) | {"n_patients": None, "patients": None}
    text = lead(
        dataclasses.replace(binary, evaluations=tuple(arms), dataset=dataset, differences=())
    )
    assert text.startswith("The results are from 180 samples in ")


def test_where_patients_are_unnamed_they_are_apart_as_far_as_known(binary: Comparison) -> None:
    apart = "with no patient in both the training set and the test fold"
    assert f"{apart}." in lead(binary)
    dataset = dict(binary.dataset) | {"n_unnamed": 3}
    some = dataclasses.replace(binary, dataset=dataset)
    assert f"{apart}, as far as patients are known." in lead(some)
    protocol = dict(binary.protocol) | {"grouped": False}
    assert "as far as" not in lead(dataclasses.replace(some, protocol=protocol))


def test_cohort_adds_up(binary: Comparison) -> None:
    found = flow(binary.dataset)
    assert (found.found, found.unreadable, found.used) == (190, 2, 180)
    assert sum(found.excluded.values()) == 8
    assert sum(n for _, n, _, _ in found.classes) == 180


def test_hostile_texts_stay_texts() -> None:
    script = "<script>alert(1)</script>"
    classes = ("</svg><img src=x onerror=alert(1)>", "$\\frac{$ & <b>\x00\u202e")
    rows = make_cohort(classes, 90)
    rows = dataclasses.replace(
        rows,
        ids=np.array([f"{script}{i}" for i in range(90)]),
        groups=np.array([f'"onload="{i // 2}' for i in range(90)]),
    )
    hostile = make_comparison(
        classes,
        cohort=rows,
        positive=classes[0],
        sources=((script, "' onclick='x", 3.0), ("$x$", "--><!--", 3.0)),
        warnings=(f"beware {script}",),
    )
    features = ({"recipe": {"backbone": script}, "\n<b>": ["</dl>", "\x07"]}, {})
    hostile = dataclasses.replace(
        hostile,
        dataset=dict(hostile.dataset) | {"name": script, "excluded": {"<b>no label": 1}},
        protocol=dict(hostile.protocol) | {"words": script},
        features=features,
    )
    html = render(hostile, with_ids=True)
    page = Page(html)
    assert page.tags.count("script") == 1
    assert page.handlers == []
    assert "img" not in page.tags
    assert script in page.text
    assert "\\x00\\u202e" in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", html)


def test_file_names_that_are_no_utf8_can_be_written(tmp_path: Path) -> None:
    rows = make_cohort(("benign", "malignant"), 90)
    rows = dataclasses.replace(rows, ids=np.array([f"caf\udce9-{i}" for i in range(90)]))
    write_report(make_comparison(cohort=rows, heads=("svm",)), tmp_path, with_ids=True)
    assert "caf\\udce9-0" in (tmp_path / "predictions.csv").read_text("utf-8")


def test_a_report_is_replaced_only_on_request(binary: Comparison, tmp_path: Path) -> None:
    path = write_report(binary, tmp_path)
    path.write_text("edited by hand")
    with pytest.raises(UsageError, match=r"report\.html exists.*--overwrite.*--output"):
        write_report(binary, tmp_path)
    assert path.read_text() == "edited by hand"
    assert write_report(binary, tmp_path, overwrite=True).read_text() != "edited by hand"


@pytest.mark.parametrize("target", ["file/report", "file"])
def test_a_folder_that_cannot_be_made_is_a_usage_error(
    binary: Comparison, tmp_path: Path, target: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written.*choose another with --output"):
        write_report(binary, tmp_path / target)
    assert (tmp_path / "file").read_text() == ""


def test_a_failed_write_leaves_the_old_files(
    binary: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(binary, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    changed = dataclasses.replace(binary, warnings=warn("BF305", ["changed"]))
    with pytest.raises(UsageError, match="No space left on device"):
        write_report(changed, tmp_path, overwrite=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_features_that_differ_in_pooling_alone_are_named_as_their_arms(binary: Comparison) -> None:
    one = provenance("resnet18", "imagenet")
    other = {**one, "recipe": {**one["recipe"], "pooling": "max"}, "recipe_hash": "0" * 64}
    seeing = [e for e in binary.evaluations if e.head in ("svm", "logistic")]
    arms = [
        dataclasses.replace(e, name=f"resnet18 (imagenet, {pooling}) + {e.head}")
        for pooling, e in zip(("gap", "gap", "max", "max"), seeing, strict=True)
    ]
    made = dataclasses.replace(
        binary, evaluations=tuple(arms), differences=(), features=(one, other)
    )
    assert Page(render(made)).inside("h3")[-2:] == [
        "resnet18 (imagenet, gap)",
        "resnet18 (imagenet, max)",
    ]
