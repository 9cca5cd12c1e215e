"""The page and the record of a comparison that has everything."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from collections import Counter
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from report.complete import CURVES, complete
from report.factory import LESIONS, SECRET, SOURCES, make_cohort, make_comparison
from report.reading import Page

from bottleneck.checks.check_warnings import warn
from bottleneck.evaluation.analyses.best_arm import best_arm
from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.report.checklist import GUIDELINES, quotes, resolve
from bottleneck.report.figures.forest_plots import difference_tables
from bottleneck.report.figures.plots.calibration_plot import plot_calibration
from bottleneck.report.gallery.audit_gallery import MOST, view_audit
from bottleneck.report.json_record import results
from bottleneck.report.page import render, write_report
from bottleneck.report.wording.labels import metric_tables


def part(html: str, name: str) -> str:
    """The text of a section."""
    section = html.split(f'<section id="{name}"')[1].split("</section>")[0]
    text = re.sub(r"<svg.*?</svg>|<[^>]+>", " ", section, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", text))


@pytest.fixture(scope="module")
def html(full: Comparison) -> str:
    return render(full)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_section_is_there_and_in_the_contents(page: Page) -> None:
    headings = [t.strip() for t in page.inside("h2")]
    assert headings == [
        "Results",
        "Differences between arms",
        "Non‑inferiority",
        "ROC curves",
        "Operating points",
        "Calibration and net benefit",
        "Confusion matrices",
        "Errors",
        "Subgroups",
        "Number of training patients",
        "External cohort: elsewhere",
        "Cohort",
        "Leak audit",
        "Protocol",
        "Paragraphs for a manuscript",
        "Costs of training",
        "Features",
        "Limits of use",
        "Reporting checklist",
        "A model to keep",
    ]
    targets = {link[1:] for link in page.links if link.startswith("#")}
    assert targets <= set(page.ids)
    assert "external-1" in targets


def test_ids_are_unique(page: Page) -> None:
    assert [i for i, n in Counter(page.ids).items() if n > 1] == []


def test_only_images_are_embedded(full: Comparison, page: Page, html: str) -> None:
    assert page.sources == []
    shown = Page(render(full, with_pictures=True))
    assert shown.sources
    assert all(source.startswith("data:image/png;base64,") for source in shown.sources)
    outside = [x for x in shown.links if not x.startswith(("#", "data:image/png;base64,"))]
    assert outside == []
    assert "default-src 'none'; img-src data:; style-src" in html


def test_page_names_no_sample_patient_row_or_path(html: str) -> None:
    for name in ("case-", "pat-0", SECRET, "Rows ", "Row "):
        assert name not in html


def test_the_first_warning_comes_before_everything(binary: Comparison, tmp_path: Path) -> None:
    first = "leakage was allowed"
    warned = dataclasses.replace(binary, warnings=warn("BF107", [first, "another warning"]))
    write_report(complete(warned, allow_leakage=True), tmp_path)
    assert set(pd.read_csv(tmp_path / "table.csv")["warnings"]) == {
        f"{first} (BF107) | another warning (BF107)"
    }
    assert (tmp_path / "table.md").read_text().startswith(f"> **{first} (BF107)**\n")
    assert json.loads((tmp_path / "results.json").read_text())["warnings"][0] == {
        "code": "BF107",
        "text": first,
    }
    listed = Page((tmp_path / "report.html").read_text()).inside("li")
    assert listed[0].endswith(first)


def test_every_metric_is_shown_under_its_name(full: Comparison, html: str) -> None:
    text = part(html, "results")
    for words in ("MCC", "AUPRC", "Brier score", "Calibration slope", "Expected calibration error"):
        assert words in text
    for e in full.evaluations:
        for metric in e.metrics.values():
            shown = "n/a" if np.isnan(metric.value) else f"{metric.value:.3f}".replace("-", "−")
            assert shown in text
    assert "for a prevalence of 10 %" in text
    assert "−0.402 to 0.176" in text


def test_wide_tables_are_parted_by_what_the_metrics_are_about(full: Comparison) -> None:
    first, second = metric_tables(e.metrics for e in full.evaluations)
    assert [title for title, _ in first] == ["Ranking", "Probabilities"]
    assert [title for title, _ in second] == ["Decisions"]
    few = [{"auroc": Metric(0.7), "accuracy": Metric(0.6)}]
    assert metric_tables(few) == [[("Ranking", ("auroc",)), ("Decisions", ("accuracy",))]]


def test_target_is_next_to_the_achieved_value(html: str) -> None:
    text = part(html, "thresholds")
    assert "Target specificity 0.90" in text
    assert "Specificity achieved Sensitivity PPV NPV Threshold" in text
    arm = "resnet18 (imagenet) + svm"
    assert f"{arm} 0.90 → 0.871 0.801–0.919 0.613 0.511–0.707 0.701 n/a 0.310 to 0.440" in text
    assert f"{arm} 0.95 → 0.613 0.511–0.707 0.871 0.801–0.919 0.701 n/a −1.200" in text


def test_primary_differences_come_first_and_other_p_values_are_called_secondary(
    full: Comparison, html: str
) -> None:
    text = part(html, "differences")
    primary, secondary = text.split("Secondary: Accuracy")
    assert "Primary comparison: auroc: corrected t" in primary
    assert "p, secondary" not in primary
    assert "Adjusted p" in primary
    assert "p, secondary" in secondary
    assert "Adjusted p" not in secondary
    d = full.differences[0]
    shown = [f"{x:+z.3f}".replace("-", "−") for x in (d.value, d.low, d.high)]
    assert f"{shown[0]} {shown[1]} to {shown[2]} {d.p:.3f} {d.p_adjusted:.3f}" in primary
    found = difference_tables(tuple(reversed(full.differences)))
    assert [(t.metric, t.primary) for t in found] == [("auroc", True), ("accuracy", False)]


def test_bins_and_net_benefits_are_shown_as_given(full: Comparison, html: str) -> None:
    text = part(html, "probabilities")
    best = full.evaluations[0]
    for bin in best.calibration.bins:
        o = bin.observed
        row = f"{bin.n} {bin.predicted:.3f} {o.value:.3f} {o.low:.3f}–{o.high:.3f}"
        assert row in text
    assert best.calibration.source in text
    # At 0.15, one needed action is worth 17 / 3 needless ones.
    assert "Acting from a probability of 0.15 on" in text
    assert "+0.210 +0.140 to +0.280 +0.024 −0.011 to +0.056 13.6 −6.2 to 31.7" in text
    assert "acting on everyone +0.188 +0.110 to +0.265" in text
    axes = plot_calibration(full, arms=best.name, ax=Figure().add_subplot())
    (drawn,) = (line.get_xydata() for line in axes.lines if line.get_marker() == "o")
    expected = [(b.predicted, b.observed.value) for b in best.calibration.bins]
    np.testing.assert_allclose(drawn, expected)


def test_unreadable_samples_are_counted_as_errors(html: str) -> None:
    text = part(html, "results")
    assert "2 test samples could not be read" in text
    assert "0.734 0.660–0.790 0.752 0.680–0.810" in text


def test_subgroups_and_learning_curves_are_shown_as_given(full: Comparison, html: str) -> None:
    text = part(html, "subgroups")
    assert "centre: A 120 60 0.810 0.710–1.000" in text
    assert "centre: B 60 – 0.744 0.644–1.000" in text
    assert sum(bool(e.subgroup_differences) for e in full.evaluations) > 1
    assert text.count("How the subgroups were tested") == 1
    learning = part(html, "learning")
    for n, m in zip((20, 40, 60), full.evaluations[0].learning_curve.auroc, strict=True):
        assert f"{n} {m.value:.3f} {m.low:.3f}–{m.high:.3f}" in learning


def test_each_class_has_a_row(lesions: Comparison) -> None:
    text = part(render(complete(lesions)), "results")
    for name in LESIONS:
        assert f"{name} 0.800 0.700–0.900" in text


def test_external_cohort_is_next_to_the_first(full: Comparison, html: str) -> None:
    text = part(html, "external-1")
    (external,) = full.external
    assert external.warnings[0] in text
    assert "Internal: estimate for the training procedure" in text
    assert "Labels TI-RADS 4 and 5 biopsy" in text
    assert external.shifts[0].words in text
    assert "21 of 60 3.0" in text
    drop = external.drops[0]
    assert f"{drop.arm} {drop.inside.value:.3f} " in text
    assert "−0.100 −0.220 to +0.020" in text
    best = best_arm(full.evaluations)
    drop = next(d for d in external.drops if (d.arm, d.metric) == (best.name, "auroc"))
    front = html.split('<p class="lead">')[2]
    assert f"the same arm has an AUROC of <strong>{drop.outside.value:.3f}</strong>" in front
    flows = part(html, "cohort")
    unreadable = "unreadable: 2 (benign 1, malignant 1)"
    assert f"Samples available 190 Excluded: 10 {unreadable} no label: 3" in flows
    assert "Samples used 180 of 90 patients" in flows
    assert "External: elsewhere Samples available 64 Excluded: 4 no label: 4" in flows


def test_audit_shows_findings_the_gravest_first_and_what_was_not_looked_at(html: str) -> None:
    text = part(html, "audit")
    assert "2 leaks found, 1 warning in 180 samples of 90 patients" in text
    assert "has 3 patients" in text
    order = (
        "Leak BF103 10 pairs belong",
        "Leak BF104 10 pairs of",
        "Warning BF202 3 images",
        "Note BF106 Duplicate",
    )
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "could not be read" in text.split("What was not checked")[1]


def test_exhibits_are_the_thumbnails_and_not_too_many(full: Comparison) -> None:
    view = view_audit(full.audit, full.thumbnails, {})
    exhibits = [(f, exhibit) for f, shown in view.findings for exhibit in shown]
    assert len(exhibits) == 22
    rows = [row for f, _ in view.findings for at in (*f.pairs, *zip(f.rows)) for row in at]
    shown = [address for _, exhibit in exhibits for address in exhibit.images]
    for row, address in zip([r for r in rows if r in full.thumbnails], shown, strict=True):
        data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
        image = np.asarray(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(image, full.thumbnails[row])
    many = dataclasses.replace(full.audit, findings=full.audit.findings * 4)
    found = view_audit(many, full.thumbnails, {}).findings
    assert sum(len(shown) for _, shown in found) == MOST
    assert not any(shown for _, shown in view_audit(full.audit, {}, {}).findings)


def test_copies_are_shown_and_named_on_request(full: Comparison, html: str) -> None:
    shown = render(full, with_pictures=True, with_ids=True)
    assert "2 of 3 shown" in part(shown, "audit")
    assert "remove it before you publish" in part(shown, "audit")
    for text in (Page(shown).text, Page(render(full, with_ids=True)).text):
        assert "id-0, patient person-0, 0.pngid-1, patient person-0, 1.png" in text
    assert "person-" not in html


def test_costs_and_training_curves(html: str) -> None:
    text = part(html, "costs")
    assert "11,177,538 cpu of host 3.00 GiB 14,400 12 min 34 s" in text
    assert ">train loss<" in html
    assert ">val loss<" in html
    assert "network · backbone resnet18 network · weights imagenet seed 7" in text
    assert "config · unfreeze last config · augment yes config · learning rate 0.0001" in text
    section = html.split('<section id="costs"')[1].split("</section>")[0]
    drawn = [d.count("L") + 1 for d in re.findall(r'd="(M [^"]+)" clip-path', section)]
    assert drawn.count(len(CURVES)) == 3


def test_checklist_paths_lead_to_fields(full: Comparison) -> None:
    record = results(full)
    items = [(name, item) for name, listed in GUIDELINES.items() for item in listed]
    for name, item in items:
        for path in item.paths:
            assert any(v is not None for v in resolve(path, record)), (name, item.number, path)
    assert len({(name, item.number) for name, item in items}) == len(items)


def test_checklist_quotes_what_the_record_holds(full: Comparison, html: str) -> None:
    record = results(full)
    said = {
        quote.path: quote.text
        for listed in GUIDELINES.values()
        for item in listed
        for quote in quotes(item, record)
    }
    assert said["dataset.n_samples"] == "180"
    assert said["protocol.grouped"] == "yes"
    assert said["dataset.patients"] == ", ".join(
        f"{c}: {n}" for c, n in full.dataset["patients"].items()
    )
    assert said["external.*.dataset.name"] == "elsewhere"
    assert said["arms.*.metrics"] == f"{len(full.evaluations)} entries"
    text = part(html, "checklist")
    assert "17 Ethical approval and consent for the authors" in text
    assert "dataset.n_samples 180" in text


def test_checklist_leaves_to_the_authors_what_a_report_lacks(binary: Comparison) -> None:
    text = part(render(binary), "checklist")
    assert "33 Testing on external data for the authors" in text
    assert "14 Fairness: what was done for the authors" in text


def test_record_is_strict_json_with_everything_and_nobody(full: Comparison, tmp_path: Path) -> None:
    write_report(full, tmp_path)
    text = (tmp_path / "results.json").read_text("utf-8")
    data = json.loads(text, parse_constant=lambda constant: pytest.fail(constant))
    for name in (SECRET, "case-", "pat-0"):
        assert name not in text
    arm, first = data["arms"][0], full.evaluations[0]
    assert arm["operating_points"][0]["thresholds"] == [0.31, 0.44, 0.39]
    assert arm["operating_points"][0]["metrics"]["npv"]["value"] is None
    assert [b["n"] for b in arm["calibration"]["bins"]] == [36] * 5
    assert arm["decision_curve"]["model"] == first.decision_curve.model.tolist()
    assert arm["subgroups"][1]["n_patients"] is None
    assert arm["learning_curve"]["n_patients"] == [20.0, 40.0, 60.0]
    assert arm["cost"]["curves"] == CURVES
    assert {c["role"] for c in data["comparisons"]} == {"primary", "secondary"}
    (external,) = data["external"]
    assert external["drops"][0]["difference"]["high"] == 0.02
    assert external["shifts"][0]["domain_auroc"]["value"] == 0.93
    assert len(external["arms"]) == len(full.evaluations)
    pairs = data["audit"]["pairs"]
    assert (pairs["identical"], pairs["near_duplicate"]) == (10, 10)
    assert pairs["altered_copy"] + pairs["neighbouring_frame"] <= 10
    assert [set(f) for f in data["audit"]["findings"]] == [
        {"code", "kind", "severity", "count", "text"}
    ] * 5


def test_same_comparison_same_bytes(full: Comparison, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_report(full, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_hostile_texts_stay_texts_everywhere() -> None:
    bad = "</svg><script>alert(1)</script>\"' onerror='x"
    classes = (f"\x00{bad}", "\u202eb")
    rows = make_cohort(classes, 90)
    hostile = complete(
        make_comparison(
            classes, cohort=rows, positive=classes[0], heads=("svm",), sources=((bad, "w", 3.0),)
        )
    )
    arm = hostile.evaluations[0]
    arm = dataclasses.replace(
        arm,
        calibration=dataclasses.replace(arm.calibration, source=bad),
        subgroups=tuple(dataclasses.replace(s, column=bad, value=bad) for s in arm.subgroups),
        cost={bad: bad, "curves": [{"epoch": 1, f"{bad}loss": 0.5}, {"epoch": 2}]},
        per_class={bad: {bad: Metric(0.5)}},
    )
    (external,) = hostile.external
    external = dataclasses.replace(
        external,
        dataset=dict(external.dataset) | {"name": bad, "excluded": {bad: 1}},
        drops=tuple(dataclasses.replace(d, metric=bad) for d in external.drops[:1]),
        shifts=tuple(dataclasses.replace(s, features=bad, words=bad) for s in external.shifts),
        definitions={bad: {"inside": bad, "outside": bad}},
        warnings=warn("BF305", [bad]),
    )
    findings = tuple(dataclasses.replace(f, text=bad) for f in hostile.audit.findings)
    hostile = dataclasses.replace(
        hostile,
        evaluations=(arm, *hostile.evaluations[1:]),
        differences=(Difference(arm.name, bad, bad, 0.1, 0.0, 0.2, 0.01, None, bad, "secondary"),),
        protocol=dict(hostile.protocol) | {"primary": bad, "words": bad, "kind": bad},
        external=(external,),
        audit=dataclasses.replace(hostile.audit, findings=findings),
    )
    html = render(hostile, with_ids=True)
    page = Page(html)
    assert page.tags.count("script") == 1
    assert page.handlers == []
    assert bad in page.text
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", html)


def test_arms_without_images_are_distinguished_from_imported_predictions() -> None:
    comparison = make_comparison(heads=("logistic",), sources=SOURCES[:1], n=90)
    arm, prior = comparison.evaluations
    no_network = {"head": "predictions", "backbone": None, "weights": None}
    foreign = dataclasses.replace(arm, name="reader", **no_network)
    metadata = dataclasses.replace(prior, name="metadata only", head="metadata")
    arms = (arm, foreign, metadata, prior)
    text = render(dataclasses.replace(comparison, evaluations=arms, differences=()))
    assert text.count('class="prior"') == 4
    assert re.search(r"for the prior-only arm \(no images\) and 0\.500 for metadata alone", text)
