"""What a check of a card catches, and what authors may add."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_features import make_features
from model_card.conftest import QUICK, Published

from bottleneck import CardCheck, check_card, compare, fit, load_model, write_card
from bottleneck.errors import UsageError
from bottleneck.model_card.checking.card_differences import compare_lines
from bottleneck.model_card.sources.card_record import read_record
from bottleneck.report.json_record import results_text


def check(published: Published, text: str, tmp_path: Path) -> CardCheck:
    path = tmp_path / "README.md"
    path.write_text(text)
    return check_card(path, published.report)


def test_a_new_card_agrees(published: Published, several_classes: Published, by_patient: Published):
    for made in (published, several_classes, by_patient):
        done = check_card(made.card, made.report, model=made.model)
        assert done.agrees
        assert (done.own_lines, done.notes) == ((), ())


def test_each_changed_digit_is_caught_and_its_field_named(published: Published) -> None:
    text, _ = read_record(published.text, "README.md")
    numbers = list(re.finditer(r"(\d)<!--((?:model#)?/[^>]*)-->", text))
    assert len(numbers) > 150
    for found in numbers[:: len(numbers) // 40]:
        other = str((int(found[1]) + 1) % 10)
        changed = text[: found.start()] + other + text[found.start() + 1 :]
        (difference,), own = compare_lines(text, changed)
        assert own == ()
        assert difference.field == found[2]
        assert difference.line == text[: found.start()].count("\n") + 1


def test_each_line_that_is_removed_is_caught(published: Published) -> None:
    text, _ = read_record(published.text, "README.md")
    lines = text.split("\n")
    for n in range(text[: text.index("\n# ")].count("\n") + 1, len(lines)):
        # The marks below two tables of one form are the same.
        if lines[n].strip():
            differences, _ = compare_lines(text, "\n".join(lines[:n] + lines[n + 1 :]))
            assert differences, lines[n]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("value: 0", "value: 1", "the metadata have 1"),
        ("pipeline_tag: image", "pipeline_tag: text", "pipeline_tag"),
        ("- research-only\n", "", "the metadata lack the tags research-only"),
        ("no leak found", "no leak at all", "'at all', not 'found'"),
        ("## Limits", "## Strengths", "## Limits"),
        ("/audit/verdict", "/audit/ties", "this line names other fields"),
        ("AUROC (95 % CI", "AUROC (99 % CI", "AUROC (99 % CI"),
    ],
)
def test_changed_texts_are_caught(
    published: Published, tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in published.text
    done = check(published, published.text.replace(old, new, 1), tmp_path)
    assert words in "\n".join(map(str, done.differences))


def test_metadata_that_readers_of_yaml_disagree_on_are_caught(
    published: Published, tmp_path: Path
) -> None:
    for old, new in (
        ("pipeline_tag:", "pipeline_tag: text-classification\npipeline_tag:"),
        ("    - type: roc_auc\n", "    - type: roc_auc\n      verified: true\n"),
        ("      args:\n", "      args:\n      args:\n"),
    ):
        assert old in published.text
        assert not check(published, published.text.replace(old, new, 1), tmp_path).agrees


def test_empty_lines_that_divide_or_join_what_is_shown_are_caught(
    published: Published,
) -> None:
    text, _ = read_record(published.text, "README.md")
    lines = text.split("\n")
    first, last = text[: text.index("\n# ")].count("\n") + 1, len(text.rstrip().split("\n"))
    for n in range(first, last, 7):
        if lines[n].strip() and lines[n - 1].strip():
            changed = [*lines[:n], "", *lines[n:]]
        elif not lines[n].strip() and lines[n + 1].strip() and lines[n - 1].strip():
            changed = [*lines[:n], *lines[n + 1 :]]
        else:
            continue
        (difference,), _ = compare_lines(text, "\n".join(changed))
        assert "empty line" in difference.words


def test_lines_in_another_order_are_caught(published: Published, tmp_path: Path) -> None:
    row, other = re.findall(r"(?m)^\| (?:PPV|NPV) \| .*$", published.text)[:2]
    text = published.text.replace(row, "@").replace(other, row).replace("@", other)
    assert not check(published, text, tmp_path).agrees


def test_authors_may_add_paragraphs_tags_and_fields(published: Published, tmp_path: Path) -> None:
    own = "## Patients\n\nAll adults of 2019.\n\n- Ethics: approved\n\n"
    text = published.text.replace("## Data\n", own + "## Data\n")
    text = text.replace("tags:\n", "language: en\ntags:\n- thyroid\n").replace("\n", "\r\n")
    done = check(published, text, tmp_path)
    assert done.agrees
    assert len(done.own_lines) == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n## Limits\n", "\n<!--\n\n## Limits\n"),
        ("\n## Limits\n", "\n<div style='display:none'>\n\n## Limits\n"),
        ("\n## Limits\n", "\n```\n\n## Limits\n"),
        ("\n| **All**", "\n| elsewhere | 999 | 999 |\n| **All**"),
        ("\n## Limits\n", "\nAnd it is approved.\n## Limits\n"),
    ],
)
def test_added_text_that_hides_or_changes_other_text_is_caught(
    published: Published, tmp_path: Path, old: str, new: str
) -> None:
    assert not check(published, published.text.replace(old, new, 1), tmp_path).agrees


def test_changed_results_are_caught_with_what_they_change(
    published: Published, tmp_path: Path
) -> None:
    shutil.copytree(published.report, tmp_path / "report")
    path = tmp_path / "report" / "results.json"
    results = json.loads(path.read_text())
    place = [arm["head"] for arm in results["arms"]].index("logistic")
    results["arms"][place]["metrics"]["f1"]["value"] = 0.123
    path.write_text(json.dumps(results))
    done = check_card(published.card, tmp_path / "report")
    assert "results.json has changed" in str(done.differences[0])
    field = f"/arms/{place}/metrics/f1/value"
    assert any(one.field == field and "0.123" in one.words for one in done.differences[1:])
    path.write_text(path.read_text() + "\n")
    assert len(check_card(published.card, tmp_path / "report").differences) >= 2
    results["arms"][place]["metrics"]["auroc"]["value"] = 0.99
    path.write_text(json.dumps(results))
    texts = "\n".join(map(str, check_card(published.card, tmp_path / "report").differences))
    assert "is not the report of the comparison that evaluated the model: the AUROC" in texts


def test_another_model_is_caught(published: Published, tmp_path: Path) -> None:
    features = make_features(n_patients=24)
    other = fit(features, "lda", comparison=compare(features, ("lda",)))
    (difference,) = check_card(published.card, published.report, model=other).differences
    assert "this is not the model" in difference.words
    assert "recipe hash" in difference.words
    (note,) = check_card(published.card, published.report).notes
    assert "no model was named" in note


def test_what_is_no_card_is_refused(published: Published, tmp_path: Path) -> None:
    text = published.text
    start = text.index("<!-- bottleneck-card")
    for broken in (
        "# Model\n",
        text[:start],
        text + text[start:],
        text.replace('"format": 1', '"format": 9'),
        text.replace('"format": 1', '"format" 1'),
        text.replace('"title"', '"titel"'),
    ):
        with pytest.raises(UsageError, match="card"):
            check(published, broken, tmp_path)


def test_models_without_their_comparison_have_no_card(
    published: Published, several_classes: Published, tmp_path: Path
) -> None:
    features = make_features(n_patients=24)
    with pytest.raises(UsageError, match="--comparison REPORT"):
        write_card(fit(features, "lda"), published.report, tmp_path / "card.md")
    with pytest.raises(UsageError, match="is not the report of the comparison"):
        write_card(published.model, several_classes.report, tmp_path / "card.md")
    with pytest.raises(UsageError, match=r"holds no results\.json"):
        write_card(published.model, tmp_path, tmp_path / "card.md")
    noise = np.random.default_rng(0).normal(size=features.X.shape).astype(np.float32)
    other = compare({"features": noise}, "lda", y=features.y, protocol=QUICK)
    (tmp_path / "other.json").write_text(results_text(other))
    with pytest.raises(UsageError, match="has no arm"):
        write_card(published.model, tmp_path / "other.json", tmp_path / "card.md")
    assert not (tmp_path / "card.md").exists()


def test_a_report_that_was_changed_after_the_fit_gives_no_card(
    published: Published, tmp_path: Path
) -> None:
    """The F1 is not a figure that a model keeps."""
    text = (published.report / "results.json").read_text()
    results = json.loads(text)
    for arm in results["arms"]:
        arm["metrics"].get("f1", {})["value"] = 0.99
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(UsageError, match=r"the sha256 of results\.json is"):
        write_card(published.model, tmp_path, tmp_path / "card.md")
    # A comparison in memory has no file.
    model = load_model(published.model)
    assert model.comparison is not None
    assert model.comparison.results_sha256 == hashlib.sha256(text.encode()).hexdigest()
    evaluated = dataclasses.replace(model.comparison, results_sha256=None)
    in_memory = dataclasses.replace(model, comparison=evaluated)
    write_card(in_memory, tmp_path, tmp_path / "card.md")


def test_damaged_results_are_refused_in_a_sentence(published: Published, tmp_path: Path) -> None:
    results = json.loads((published.report / "results.json").read_text())
    del results["audit"]["ties"]
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "card.md").write_text(published.text)
    done = check_card(tmp_path / "card.md", tmp_path)
    assert "lacks a field that a card needs" in done.differences[-1].words
