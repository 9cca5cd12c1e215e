"""Names that would be formulas, commands or links in a table."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import regex
from hostile.names import HOSTILE
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import bottleneck
from bottleneck.data.readers.tables.csv_tables import read_table
from bottleneck.predictions import Predictions
from bottleneck.predictions.prediction_tables import read_predictions
from bottleneck.text.plain_text import visible
from bottleneck.text.table_text import csv_cell, csv_text, frame_csv, markdown_text, read_cell

HIDDEN = regex.compile(
    r"[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]"
)
# In any script, and after what a spreadsheet removes.
FORMULA = regex.compile(r"[\s\"]*[=+\-@\t\r\u2212\p{East_Asian_Width=F}&&[＝＋－＠]]", regex.V1)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def assert_harmless(cell: str) -> None:
    assert HIDDEN.search(cell) is None, ascii(cell)
    assert NUMBER.fullmatch(cell) or FORMULA.match(cell) is None, ascii(cell)
    sheet = openpyxl.Workbook().active
    assert sheet is not None
    sheet.append([cell])
    assert sheet["A1"].data_type != "f"


@given(HOSTILE)
@example("'=1+1")
@example("\\x1b")
@example("'\\x1b\\")
def test_every_cell_is_harmless_and_is_read_as_it_was(name: str) -> None:
    cell = csv_cell(name)
    assert_harmless(cell)
    assert read_cell(cell) == name
    # Where a semicolon separates the fields, the cell is several.
    for separator in ";|\t":
        line = csv_text([["x", name, "y"]])
        for field in next(csv.reader([line.rstrip("\n")], delimiter=separator)):
            assert_harmless(field)


@pytest.mark.parametrize("text", ["-1", "+1", "-0.5", "P-7", "a@b", "1=2", "benign", "x y", "1e-5"])
def test_usual_names_and_numbers_are_unchanged(text: str) -> None:
    assert csv_cell(text) == read_cell(text) == text


FOREIGN = ["'t Hooft", "'s-Hertogenbosch", "'0007", "'", "'a\\x41", "'-1", "'C:\\a"]


@pytest.mark.parametrize("name", FOREIGN)
def test_an_apostrophe_of_another_program_is_part_of_the_name(name: str) -> None:
    assert read_cell(name) == name
    assert read_cell(csv_cell(name)) == name


@given(HOSTILE.map("'{}".format))
def test_no_two_cells_are_read_as_one(cell: str) -> None:
    assert read_cell(cell) == cell or csv_cell(read_cell(cell)) == cell


@given(st.lists(HOSTILE, min_size=2, max_size=4, unique=True), st.booleans())
@settings(max_examples=25)
def test_tables_are_read_by_other_libraries_and_by_ours(names: list[str], bom: bool) -> None:
    text = csv_text([["name", "value"], *([name, -0.5] for name in names)], bom=bom)
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert [read_cell(row[0]) for row in rows[1:]] == names
    assert {row[1] for row in rows[1:]} == {"-0.5"}
    frame = pd.read_csv(io.BytesIO(text.encode()), dtype={"name": str}, keep_default_na=False)
    assert list(map(read_cell, frame["name"].tolist())) == names
    assert (frame["value"] == -0.5).all()
    for row in rows:
        assert_harmless(row[0])


# An array of texts cannot end in NUL; ids with NUL are refused as they are read.
IDS = st.lists(
    HOSTILE.map(lambda name: name.replace("\0", "")), min_size=4, max_size=4, unique=True
)


@given(IDS, st.data())
@settings(max_examples=12)
def test_predictions_are_read_back_with_the_same_ids(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], data: st.DataObject
) -> None:
    classes = tuple(sorted(data.draw(st.sets(st.sampled_from(CLASSES), min_size=2, max_size=2))))
    labels = np.array([*classes, *classes])
    scores = np.array([[0.5, -0.5], [-0.25, 0.25], [1.0, -1.0], [0.0, 2.0]])
    made = Predictions(
        ids=np.array(ids, dtype=object),
        groups=None,
        repeats=np.zeros(4, np.int64),
        folds=np.zeros(4, np.int64),
        labels=labels,
        predicted=labels,
        scores=scores,
        classes=classes,
        kind="decision",
    )
    path = tmp_path_factory.mktemp("table") / "p.csv"
    path.write_bytes(frame_csv(made.to_frame()).encode())
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    for cell in [*header, *(cell for row in rows for cell in row)]:
        assert_harmless(cell)
    # The columns of scores are named after the labels, also for other programs.
    label = header.index("label")
    assert {f"score_{row[label]}" for row in rows} <= set(header)
    again, _ = read_predictions(path)
    assert again.ids.tolist() == ids
    assert again.classes == classes
    assert again.labels.tolist() == labels.tolist()
    np.testing.assert_array_equal(again.scores, scores)


CLASSES = ("-ve", "+ve", "@x", "a;=1", "-1", "1", "benign", "b|c", 'x"y', "x\\y")


def _flat(tokens: list) -> list[str]:
    return [
        kind
        for token in tokens
        for kind in (token.type, *(child.type for child in token.children or ()))
        # Neighbouring texts may be in several parts, with escapes between them.
        if kind not in ("text", "text_special")
    ]


def _text(tokens: list) -> str:
    return "".join(
        child.content for token in tokens for child in token.children or () if child.content
    )


@given(HOSTILE)
@example("a https://x.y www.x.y")
def test_markdown_shows_any_name_as_text(name: str) -> None:
    name = f"{name}."
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    shown = visible(name).strip(" ")
    for template in ("{}", "| a |\n| --- |\n| {} |\n", "> **a {} b**\n"):
        harmless, tokens = (
            parser.parse(template.replace("{}", text)) for text in ("Müller", markdown_text(name))
        )
        assert _flat(tokens) == _flat(harmless)
        # CommonMark removes blanks at the ends of a line.
        around = ("a", "") if "---" in template else ("a", "b") if "*" in template else ("", "")
        found = _text(tokens).removeprefix(around[0]).removesuffix(around[1])
        assert found.strip() == shown.strip()
    # GitHub makes links of addresses.
    assert not re.search(r"https?://|www\.", markdown_text(name))


ADDRESS = "https://doi.org/10.1000/x_y-z.1?a=b"


@pytest.mark.parametrize("text", ["{}", "see {}.", "({})", "a, {} (abstract)", "- {}; b"])
def test_addresses_become_links_where_they_may(text: str) -> None:
    parser = MarkdownIt("commonmark")
    shown = markdown_text(text.format(ADDRESS), links=True)
    (link,) = re.findall('<a href="([^"]*)">', parser.render(shown))
    assert link == ADDRESS
    assert "<a" not in parser.render(markdown_text(text.format(ADDRESS)))


@pytest.mark.parametrize(
    "text",
    [
        "http://a.org",
        "javascript://a.org",
        "https://a.org@b.org",
        "https://a.org/<b>",
        "https://a.org/[x](y)",
        "https://а.org",  # In Cyrillic.
        "https://localhost/x",
        "xhttps://a.org",
        "https://a.org/\u202e",
        "https://a.org/|",
    ],
)
def test_other_addresses_stay_text(text: str) -> None:
    assert markdown_text(text, links=True) == markdown_text(text)


@given(HOSTILE)
def test_with_links_any_name_is_text_too(name: str) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    plain, linked = (
        parser.parse(markdown_text(text, links=True)) for text in ("Müller", f"{name}.")
    )
    assert set(_flat(linked)) - {"link_open", "link_close"} <= set(_flat(plain))


def test_only_one_module_writes_csv() -> None:
    package = Path(bottleneck.__file__).parent
    writers = {
        path.name
        for path in package.rglob("*.py")
        if re.search(r"\.to_csv\(|csv\.writer|\.to_markdown\(", path.read_text(encoding="utf-8"))
    }
    assert writers == {"table_text.py"}


def test_a_table_of_folds_is_read_with_its_ids(tmp_path: Path) -> None:
    ids = ["=1", "-x\x1b", "' a", "\udce9.png"]
    path = tmp_path / "folds.csv"
    path.write_bytes(frame_csv(pd.DataFrame({"id": pd.Series(ids, dtype=object)})).encode())
    frame, _ = read_table(path)
    assert frame["id"].tolist() == ids
