"""Tables of readers' scores: what each scale is, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_features import make_features

from bottleneck.errors import BottleneckError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.human_readers.human_reader import match_readers
from bottleneck.evaluation.human_readers.reader_tables import Reading, read_reader_tables
from bottleneck.evaluation.human_readers.reading_scale import find_scale, threshold_of
from bottleneck.evaluation.measures import Measures
from bottleneck.predictions import Predictions

CLASSES = ("benign", "malignant")


def scale(*texts: str, classes: tuple[str, ...] = CLASSES, **options: bool):
    readings = {"R": [Reading(n, text) for n, text in enumerate(texts, 2)]}
    return find_scale("r.csv", readings, classes, **options)


@pytest.mark.parametrize(
    ("texts", "kind", "values"),
    [
        (("1", "5", "3.0"), "rating", [1, 5, 3]),
        (("TR1", "tr 4", "TR-5"), "rating", [1, 4, 5]),
        (("ACR TI-RADS 3", "ACR TI-RADS 5"), "rating", [3, 5]),
        (("TI-RADS IV", "TI-RADS II"), "rating", [4, 2]),
        (("4a", "4b", "4C", "5"), "rating", [4.25, 4.5, 4.75, 5]),
        (("0.1", ".85", "1"), "probability", [0.1, 0.85, 1]),
        (("10 %", "85%", "0.5"), "probability", [0.1, 0.85, 0.5]),
        (("0", "1", "1.0"), "binary", [0, 1, 1]),
        (("10", "85", "100"), "rating", [10, 85, 100]),
        (("-2", "3"), "rating", [-2, 3]),
    ],
)
def test_scales(texts, kind, values):
    found = scale(*texts)
    assert found.kind == kind
    assert [found.values[text] for text in texts] == values


def test_class_names_and_decimal_commas():
    found = scale("Benign", "malignant ", "BENIGN")
    assert found.kind == "class"
    assert set(found.values.values()) == set(CLASSES)
    assert scale("0,5", "0,75", has_decimal_commas=True).numbers == [0.5, 0.75]
    # 1 and 2 are classes, unless a threshold says that they are ratings.
    assert scale("1", "2", classes=("1", "2")).kind == "class"
    assert scale("1", "2", classes=("1", "2"), are_numbers=True).kind == "rating"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("1", "high"), "line 3: 'high' is neither a number, a category such as TR4"),
        (("benign", "suspicious"), "line 2: 'benign' is neither|line 3: 'suspicious' is neither"),
        (("0,5", "0,7"), "'0,5' is neither a number"),
        (("TR3", "BI-RADS 4"), "ratings of several scales"),
        (("4", "4a"), "the rating 4 both with and without a letter"),
        (("85 %", "70"), "has percentages"),
        (("TR3", "0.7"), "has categories and the number '0.7'"),
        (("1", "5", "-1"), "the rating -1 among ratings of 1 to 5"),
        (("1", "5", "99"), "the rating 99 among ratings of 1 to 5"),
    ],
)
def test_scores_that_are_refused(texts, message):
    with pytest.raises(BottleneckError, match=message):
        scale(*texts)


def test_readers_of_one_table_share_a_scale():
    readings = {
        "A": [Reading(2, "1"), Reading(3, "5")],
        "B": [Reading(2, "0.2"), Reading(3, "0.9")],
    }
    with pytest.raises(BottleneckError, match="its reader 2 are between 0 and 1, and those of"):
        find_scale("r.csv", readings, CLASSES)


def test_thresholds():
    ratings = scale("TR1", "TR3", "TR5")
    assert threshold_of("TR4", ratings, "r.csv") == threshold_of(4, ratings, "r.csv") == 4
    assert threshold_of(None, scale("0.2", "0.7"), "r.csv") == 0.5
    assert threshold_of("40 %", scale("20 %", "70 %"), "r.csv") == 0.4
    for given, message in (
        (None, "ratings .1 to 5., which need a threshold"),
        ("BI-RADS 4", "is not a score of r.csv"),
        ("high", "'high' of the readers is not a score"),
        (6, "no score reaches the readers' threshold 6"),
        (1, "every score reaches the readers' threshold 1"),
    ):
        with pytest.raises(BottleneckError, match=message):
            threshold_of(given, ratings, "r.csv")


@pytest.fixture(scope="module")
def features():
    return make_features(n_patients=4, images=1)


I0, I1 = "image-000", "image-001"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,A\nx,1\n", "has no column 'id'; its columns are: name, A. Rename"),
        ("id,A\n", "has no row below its header"),
        ("id,label\nimage-000,benign\n", "has no readers: write the columns id, reader and score"),
        ("id,reader\nimage-000,A\n", "has a column 'reader', so it needs a column 'score'"),
        ("id,reader,rater,score\na,A,A,1\n", "'reader' and 'rater', which mean the same"),
        ("id,A,a\nimage-000,1,2\n", "several columns 'A'"),
        ("id,reader,score\n,A,1\n", "line 2: a row has no id"),
        ("id,reader,score\nimage-000,,1\n", "line 2: a row has no reader"),
        ("id,A,B\nimage-000,1,\n", "the reader 'B' gave no score"),
        ("id,A\nimage-000,1\nx.png,2\n", "1 of 2 ids of readers.csv do not belong to a sample"),
        (
            "id,reader,score\nimage-000,A,1\nimage-000,a ,2\n",
            "two scores of the reader 'A' for 'image-000', in lines 2 and 3",
        ),
        (
            "id,A,label\nimage-000,1,benign\nimage-001,2,benign\n",
            "another label than the data set for 1 sample, such as 'image-001'",
        ),
        ("id,A,label\nimage-000,1,odd\n", "line 2: the label 'odd' is not a class of the data set"),
        (
            "id,reader,score,label\nimage-000,A,1,benign\nimage-000,B,1,malignant\n",
            "states two values of label for 'image-000'",
        ),
    ],
)
def test_tables_that_are_refused(features, tmp_path, text, message):
    path = tmp_path / "readers.csv"
    path.write_text(text)
    with pytest.raises(BottleneckError, match=message) as caught:
        match_readers(read_reader_tables(path), features, unit="image")
    assert "\n" not in str(caught.value)


def test_another_encoding_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "readers.csv"
    path.write_bytes("id,Dr Müller\na,1\n".encode("cp1252"))
    with pytest.raises(BottleneckError, match="is not UTF-8 text; save the table as 'CSV UTF-8'"):
        read_reader_tables(path)
    with pytest.raises(BottleneckError, match="readers need a table"):
        read_reader_tables(3)  # type: ignore[arg-type]


def test_semicolons_ids_in_other_spellings_and_idle_columns(features, tmp_path):
    path = tmp_path / "readers.csv"
    path.write_text("ID;Dr A;age;Label\n image-000 ;0,5;50;BENIGN\nimage-001;0,75;60;malignant\n")
    notes: list[str] = []
    tables = read_reader_tables(str(path), notes.append)
    (reader,) = match_readers(tables, features, unit="image", note=notes.append)
    assert reader.scores == {I0: 0.5, I1: 0.75}
    assert "'age' is not read" in notes[0]
    assert "reader 1 is 'Dr A'" in notes[1]


def test_options_without_effect_and_other_wrong_uses():
    y = np.array(["benign", "malignant"] * 6)
    arm = Predictions.from_arrays(y, np.linspace(0.1, 0.9, 12))
    table = pd.DataFrame({"id": arm.ids, "A": [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 5]})
    called = table.assign(A=y)

    def refused(message: str, readers: object = (), **measures: object) -> None:
        with pytest.raises(BottleneckError, match=message):
            compare(predictions=arm, readers=readers, measures=Measures(**measures))

    refused("--reader-threshold has no effect without --readers", reader_threshold=4)
    refused("--unread drop has no effect without --readers", unread="drop")
    refused("--reader-mean needs at least two", table, reader_threshold=4, reader_mean=True)
    refused("--reader-threshold has no effect, since", called, reader_threshold=4)
    shares = table.assign(A=table["A"] / 10).rename(columns={"A": "B"})
    refused("different scales", [table, shares], reader_threshold=2, reader_mean=True)
    refused("is not a class|neither", table.assign(A=["odd"] * 12))
    with pytest.raises(BottleneckError, match="there is nothing to compare"):
        compare(readers=[])
    with pytest.raises(BottleneckError, match="has no label of 12 of 12 samples"):
        compare(readers=table)


@pytest.mark.parametrize(
    "texts",
    [
        ("1", "5", "-9"),
        ("1", "5", "88", "99"),
        ("0", "35", "100", "-1"),
        ("20", "70", "999"),
        ("20", "-1", "999"),
        ("1", "4", "9999"),
    ],
)
def test_codes_of_missing_ratings_are_refused_on_every_scale(texts):
    with pytest.raises(BottleneckError, match="code for a missing rating"):
        scale(*texts)


@pytest.mark.parametrize("texts", [("20", "88", "99"), ("-2", "0", "-1"), ("0", "500", "999")])
def test_numbers_of_a_scale_are_no_codes(texts):
    assert scale(*texts).numbers == sorted(map(float, texts))
