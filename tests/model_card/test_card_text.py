"""What cards say: every number is a field, the metadata are those of the hub, all is Markdown."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from made_features import make_features
from markdown_it import MarkdownIt
from model_card.conftest import RECIPE, Published, publish

from bottleneck import check_card, load_model, write_card
from bottleneck.errors import LicenceError, UsageError

CARDS = ("published", "several_classes", "by_patient", "of_volumes")
QUOTE = re.compile(r"<!--((?:model#)?)(/[^>]*)-->")
NUMBER = re.compile(r"[+−]?\d[\d,]*(?:\.\d+)?$")
# Numbers of definitions, which are of no result.
CONSTANT = re.compile(
    r"95 %|\b0\.5\b|\b[01] is (?:perfect|ideal|chance)|(?:[Bb]elow|[Aa]bove) [01]"
    r"|; 1 (?:misses|raises)|\b1 − s|\b1 divided|2p / \(1 \+ p\)|p \(1 − p\)|\bat 0\b"
    r"|\bF1\b|Apache-2\.0|sha256|reaches 0"
)


@pytest.fixture(params=CARDS)
def made(request: pytest.FixtureRequest) -> Published:
    found: Published = request.getfixturevalue(request.param)
    return found


def visible_part(text: str) -> str:
    """The Markdown below the metadata, without the record, code and the heading."""
    text = text.split("\n---\n", 1)[1].partition("<!-- bottleneck-card")[0]
    return re.sub(r"(?ms)^# .*?$|^```.*?^```|`[^`\n]*`", "", text)


def resolve(document: Any, pointer: str) -> Any:
    """RFC 6901, section 6."""
    for key in pointer.split("/")[1:]:
        key = unquote(key).replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


def quotes(made: Published) -> Iterator[tuple[str, Any, str]]:
    """Yield the text up to each pointer, the value of its field, and the pointer."""
    (comment,) = re.findall(r"(?s)<!-- bottleneck-card\n(.*?)\n-->", made.text)
    documents = {"": made.results, "model#": json.loads(comment)["model"]}
    parts = QUOTE.split(visible_part(made.text))
    for before, source, pointer in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        yield before, resolve(documents[source], pointer), pointer


def without_value(before: str, value: Any) -> str:
    """Return what stands before the value of a field; the value must be there."""
    if isinstance(value, dict) or value is None or isinstance(value, bool):
        return before.removesuffix("not defined")
    if isinstance(value, str):
        plain = re.sub(r"\\(?=[^\w\s])", "", before)
        assert plain.endswith(value), (before, value)
        return plain.removesuffix(value)
    number = NUMBER.search(before)
    assert number is not None, (before, value)
    decimals = len(number[0].partition(".")[2])
    shown = float(number[0].replace("−", "-").replace(",", ""))
    assert shown == pytest.approx(value, abs=0.5000001 * 10**-decimals)
    return before[: number.start()]


def test_each_number_and_text_is_its_field_and_no_other_number_is_there(made: Published) -> None:
    found = list(quotes(made))
    assert len(found) > 100
    rest = [without_value(before, value) for before, value, _ in found]
    rest.append(QUOTE.split(visible_part(made.text))[-1])
    assert [part for part in rest if re.search(r"\d", CONSTANT.sub("", part))] == []


def test_the_figures_are_those_of_the_arm_of_the_model(published: Published) -> None:
    arm = next(one for one in published.results["arms"] if one["head"] == "logistic")
    pointers = {pointer for _, _, pointer in quotes(published)}
    place = published.results["arms"].index(arm)
    for name, figure in arm["metrics"].items():
        for part in ("value", "low", "high"):
            assert figure[part] is None or f"/arms/{place}/metrics/{name}/{part}" in pointers
    for pointer in (
        "/dataset/excluded/no%20label",
        "/external/0/drops/0/difference/value",
        "/external/0/shifts/0/words",
        f"/arms/{place}/subgroups/1/metrics/auroc/low",
        f"/arms/{place}/operating_points/0/metrics/specificity/high",
        f"/arms/{place}/calibration/bins/0/predicted",
        "/audit/verdict",
        "/protocol/words",
    ):
        assert pointer in pointers


def test_the_hub_reads_the_metadata(made: Published) -> None:
    card = ModelCard.load(made.card)
    data = card.data.to_dict()
    assert data["pipeline_tag"] == "image-classification"
    # The features of these tests have no record of their weights.
    assert (data["license"], data["license_name"]) == ("other", "not-stated")
    assert "research-only" in data["tags"]
    _, results = model_index_to_eval_results(data["model-index"])
    names = {"roc_auc": "auroc", "accuracy": "accuracy"}
    arm = next(one for one in made.results["arms"] if one["head"] == "logistic")
    for one in results:
        field = one.metric_args["field"].removeprefix("results.json#")
        assert one.metric_value == pytest.approx(resolve(made.results, field), abs=5.1e-4)
        figure = resolve(made.results, field.removesuffix("/value"))
        if figure["low"] is not None:
            assert f"{figure['low']:.3f} to {figure['high']:.3f}" in one.metric_name
        if one.metric_type in names and one.dataset_split != "external":
            assert figure == arm["metrics"][names[one.metric_type]]
    assert {one.dataset_name for one in results} >= {made.results["dataset"]["name"]}


def test_pages_show_no_pointer_and_no_markup(made: Published) -> None:
    """CommonMark with tables, as the hub renders it."""
    page = MarkdownIt("commonmark").enable("table").render(visible_part(made.text))
    shown = re.sub(r"(?s)<!--.*?-->|<[^>]+>", "", page)
    assert "-->" not in shown
    assert "/arms/" not in shown
    assert "**" not in shown
    assert "|" not in shown.replace("clinic | *A*", "")
    rows = re.findall(r"(?s)<tr>(.*?)</tr>", page)
    assert len(rows) > 40
    for table in re.findall(r"(?s)<table>(.*?)</table>", page):
        assert len({len(re.findall(r"<t[hd]", row)) for row in table.split("<tr>")[1:]}) == 1


def test_a_threshold_that_was_not_measured_is_not_given_the_figures_of_another(
    published: Published, tmp_path: Path
) -> None:
    assert "Sensitivity at the threshold (95 % CI" in published.text
    assert not re.search(r"name: (?:Accuracy|Sensitivity) \(", published.text)
    model = load_model(published.model)
    assert model.operating_point is not None
    other = dataclasses.replace(model.operating_point, target=0.8)
    card = write_card(
        dataclasses.replace(model, operating_point=other), published.report, tmp_path / "card.md"
    )
    text = card.read_text()
    assert "Not measured: the comparison has no figures at this threshold." in text
    assert "None of these rows is of the model's own threshold." in text
    assert "at the threshold (95 %" not in text


def test_the_probability_from_which_a_model_decides_is_that_of_equal_scores(
    published: Published, tmp_path: Path
) -> None:
    model = dataclasses.replace(load_model(published.model), operating_point=None)
    text = write_card(model, published.report, tmp_path / "card.md").read_text()
    assert model.sigmoids is not None
    # The log-odds of one half are 0.
    expected = 1 / (1 + math.exp(-model.sigmoids.intercepts[0]))
    assert f"from a probability of {expected:.3f}<!--model#/boundary--> on" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "name"),
    [
        (("a: b", "c"), "set: \"one\" 'two' # three"),
        (("良性", "😀"), "甲状腺 📊"),
        (("a\nb", "c\n---\nd"), "x\n---\ny"),
        (("<script>alert(1)</script>", "<!-- c -->"), "x --> <!-- bottleneck-card"),
        (("yes", "no"), "null"),
        (("{{ 7*7 }}", "---"), "{{ title }}"),
    ],
)
def test_any_names_give_metadata_that_the_hub_reads(
    tmp_path: Path, classes: tuple[str, ...], name: str
) -> None:
    dataset = {"name": name, "positive": classes[0]}
    features = make_features(n_patients=24, classes=classes, recipe=RECIPE, dataset=dataset)
    made = publish(tmp_path, dataclasses.replace(features, stated_patients=None), at=None)
    data = ModelCard.load(made.card).data.to_dict()
    _, results = model_index_to_eval_results(data["model-index"])
    assert {one.dataset_name for one in results} == {made.results["dataset"]["name"]}
    assert "**Caution** | No patients are known." in made.text
    assert "No patients are known: the intervals" in made.text
    assert check_card(made.card, made.report, model=made.model).agrees


def test_sections_are_in_order(published: Published) -> None:
    titles = re.findall(r"(?m)^## (.*)$", published.text)
    assert titles == [
        "Intended use", "Out of scope", "How to use it", "Data", "How it was made",
        "How it was tested", "Performance", "Operating points", "Subgroups", "Calibration",
        "External results", "Leak audit", "How sure a single answer is", "Limits", "Licences",
        "Citation", "Where the numbers come from",
    ]  # fmt: skip


def test_nothing_names_a_sample_or_patient_or_path(made: Published) -> None:
    assert not re.search(r"image-\d|patient-\d|bern image", made.text)
    assert str(made.folder) not in made.text


@pytest.mark.parametrize(
    ("licence", "on_the_hub", "words"),
    [
        ("Apache-2.0", "apache-2.0", "allows commercial use on its conditions"),
        ("CC-BY-NC-4.0", "cc-by-nc-4.0", "**does not allow commercial use**"),
        ("House terms 2", "other", "read it before you use the model"),
        (None, "other", "do not assume that your use is allowed"),
    ],
)
def test_the_licence_of_the_weights_is_named_and_judged(
    published: Published, tmp_path: Path, licence: str | None, on_the_hub: str, words: str
) -> None:
    weights = {"name": "imagenet", "source": "a.pth", "licence": licence}
    model = dataclasses.replace(load_model(published.model), weights=weights)
    card = write_card(model, published.report, tmp_path / "card.md")
    assert ModelCard.load(card).data.to_dict()["license"] == on_the_hub
    assert f"{words} |" in card.read_text()
    if on_the_hub == "apache-2.0":
        again = tmp_path / "again.md"
        write_card(model, published.report, again, licence_policy="commercial")
        assert again.read_text() == card.read_text()
    else:
        with pytest.raises(LicenceError):
            write_card(model, published.report, tmp_path / "no.md", licence_policy="commercial")
        assert not (tmp_path / "no.md").exists()


def test_a_model_in_memory_is_not_loaded(published: Published, tmp_path: Path) -> None:
    model = load_model(published.model)
    with pytest.raises(UsageError, match="trust is for the file of a model"):
        write_card(model, published.report, tmp_path / "card.md", trust="own_heads.Centroid")
    with pytest.raises(UsageError, match=r"name a file for the card, such as README\.md"):
        write_card(model, published.report)


def test_the_interval_of_a_card_allows_for_the_choice(
    published: Published, by_patient: Published
) -> None:
    choice = published.results["choice"]["auroc"]
    (low,) = {f"{a['low']:.3f}" for name, a in choice.items() if "logistic" in name}
    shown = re.sub(r"<!--.*?-->", "", published.text)
    assert re.search(rf"confidence interval {low} to [\d.]+, which allows for the choice", shown)
    assert "allows for the choice" not in by_patient.text


def test_checks_that_were_ignored_are_among_the_limits(tmp_path: Path) -> None:
    features = make_features(n_patients=24, recipe=RECIPE)
    text = publish(tmp_path, features, ignore=["BF902", "BF202"]).text
    limits = text.partition("\n## Limits")[2]
    found = re.findall(r"- Check (BF\d+).* was ignored: (.*?), (\d+)", limits)
    assert [(code, name) for code, name, _ in found] == [
        ("BF902", "copies not checked"),
        ("BF202", "burned-in text"),
    ]
    assert "BF902" not in text.partition("\n## Limits")[0].replace("ignored checks (BF902)", "")
