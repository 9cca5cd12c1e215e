"""Tables of predictions: written and read back, and refused where they do not fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from bottleneck.errors import DataError
from bottleneck.predictions import Predictions
from bottleneck.predictions.prediction_tables import read_predictions


def some(n=12, **fields):
    rng = np.random.default_rng(0)
    p = rng.uniform(size=n)
    return Predictions(
        **(
            {
                "ids": np.array([f"image-{i}" for i in range(n)]),
                "groups": np.array([f"patient-{i // 2}" for i in range(n)]),
                "repeats": np.zeros(n, np.int64),
                "folds": np.arange(n) % 3,
                "labels": np.array(["benign", "malignant"])[np.arange(n) % 2],
                "predicted": np.array(["benign", "malignant"])[(p > 0.5).astype(int)],
                "scores": np.stack([1 - p, p], axis=1),
                "classes": ("benign", "malignant"),
                "kind": "probability",
            }
            | fields
        )
    )


def assert_same(a, b):
    for field in dataclasses.fields(Predictions):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y)
        else:
            assert x == y


@pytest.mark.parametrize(
    "predictions",
    [some(), some(groups=None), some(probabilities=some().scores[:, ::-1].copy())],
    ids=["plain", "without patients", "calibrated"],
)
def test_what_is_written_is_read(tmp_path, predictions):
    path = tmp_path / "predictions.csv"
    predictions.to_frame().to_csv(path, index=False)
    read, validation = read_predictions(path)
    assert_same(read, predictions)
    assert validation is None


def test_patients_and_classes_have_one_spelling(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(
        "ID|label|group|score_0|score_1\n"
        "a|1,0|P7|0,25|0,75\nb|True|'p7|0|1\nc|FALSE|#NV|1|0\nd|0.0|P 7|1|0\n"
    )
    read, _ = read_predictions(path)
    assert read.labels.tolist() == ["1", "1", "0", "0"]
    assert read.groups.tolist() == ["P7", "P7", "", "P7"]
    assert read.scores[0].tolist() == [0.25, 0.75]
    path.write_text("id,label,group,score_0,score_1\na,1,0007,0,1\nb,0,7,1,0\n")
    with pytest.raises(DataError, match="differ only in leading zeros"):
        read_predictions(path)


def test_a_table_of_ids_labels_and_scores_will_do(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("id,label,score_a,score_b,score_c\n001,a,3,1,-2\nNA,c,0.5,1,0\n")
    read, _ = read_predictions(path)
    assert list(read.ids) == ["001", "NA"]
    assert list(read.predicted) == ["a", "b"]
    assert read.kind == "decision"
    assert read.groups is None
    assert set(read.folds) == set(read.repeats) == {0}


@pytest.mark.parametrize(("sep", "decimal"), [(";", ","), (";", "."), ("\t", ".")])
def test_tables_of_other_delimiters_are_read(tmp_path, sep, decimal):
    path = tmp_path / "predictions.csv"
    some().to_frame().to_csv(path, index=False, sep=sep, decimal=decimal)
    assert_same(read_predictions(path)[0], some())


def test_a_decimal_comma_among_commas_is_refused(tmp_path):
    path = tmp_path / "predictions.csv"
    some().to_frame().to_csv(path, index=False, decimal=",")
    with pytest.raises(DataError, match="line 2: score_benign needs a number, not '0,"):
        read_predictions(path)


def test_validation_rows_are_kept_apart(tmp_path):
    frame = some().to_frame().assign(part=["test", "validation"] * 6)
    frame.to_csv(tmp_path / "p.csv", index=False)
    read, validation = read_predictions(tmp_path / "p.csv")
    assert_same(read, some().take(np.arange(0, 12, 2)))
    assert_same(validation, some().take(np.arange(1, 12, 2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="id"), "no column 'id'"),
        (lambda f: f.drop(columns=["score_benign", "score_malignant"]), "0 columns score_"),
        (lambda f: f.iloc[:0], "no row"),
        (
            lambda f: f.assign(score_benign="high"),
            "line 2: score_benign needs a number, not 'high'",
        ),
        (lambda f: f.assign(score_benign=""), "needs a number, not ''"),
        (lambda f: f.assign(label="cyst"), "label 'cyst'"),
        (lambda f: f.assign(predicted="cyst"), "predicts 'cyst'"),
        (lambda f: f.assign(part="train"), "part 'train'"),
        (lambda f: f.assign(id="one"), "predicts 'one' twice"),
    ],
)
def test_what_is_no_table_of_predictions_is_refused(tmp_path, change, message):
    path = tmp_path / "predictions.csv"
    change(some().to_frame()).to_csv(path, index=False)
    with pytest.raises(DataError, match=message):
        read_predictions(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.csv cannot be read: No such file"):
        read_predictions(tmp_path / "absent.csv")


def test_probabilities_are_probabilities():
    with pytest.raises(DataError, match="not between 0 and 1"):
        some(probabilities=np.full((12, 2), np.nan))
    with pytest.raises(DataError, match="one probability per row and class"):
        some(probabilities=np.full((12, 3), 0.5))
    with pytest.raises(DataError, match="with and without probabilities"):
        Predictions.concatenate([some(), some(probabilities=some().scores)])


def test_the_table_of_a_frame_reads_as_pandas_writes_it(tmp_path):
    frame = some().to_frame()
    assert list(frame.columns) == [
        *("id", "group", "repeat", "fold", "label", "predicted"),
        *("score_benign", "score_malignant"),
    ]
    frame.to_csv(tmp_path / "p.csv", index=False)
    # As text, because pandas before 3.1 changes the last bit of some numbers.
    again = pd.read_csv(tmp_path / "p.csv", dtype={"score_malignant": str})
    np.testing.assert_array_equal(again["score_malignant"].map(float), some().scores[:, 1])


@pytest.mark.parametrize("kind", ["probability", "decision"])
def test_a_predicted_class_that_its_scores_contradict_is_refused(tmp_path, kind):
    path, rng = tmp_path / "scores.csv", np.random.default_rng(1)
    p = rng.uniform(size=200).round(2)
    scores = [1 - p, p] if kind == "probability" else [np.zeros(200), p - 0.5]
    table = pd.DataFrame({"id": np.arange(200), "label": np.where(p > 0.6, "b", "a")})
    table["predicted"] = np.where(p >= 0.3, "b", "a")
    table["score_a"], table["score_b"] = scores
    table.to_csv(path, index=False)
    wrong = np.flatnonzero((p >= 0.3) & (p < 0.5))
    with pytest.raises(DataError) as caught:
        read_predictions(path)
    message = str(caught.value)
    assert f"line {wrong[0] + 2}: predicted is 'b', but score_a (" in message
    assert f"in {len(wrong)} of 200 rows. Remove the column predicted" in message

    # What the message says to do.
    assert "write score_b - t in place of score_b, and 0 in place of score_a" in message
    shifted = table.assign(score_b=scores[1] - (0.3 if kind == "probability" else -0.2), score_a=0)
    shifted.assign(score_b=shifted["score_b"].round(6)).to_csv(path, index=False)
    assert read_predictions(path)[0].predicted.tolist() == table["predicted"].tolist()
    table.drop(columns="predicted").to_csv(path, index=False)
    expected = np.where(scores[1] > scores[0], "b", "a").tolist()
    assert read_predictions(path)[0].predicted.tolist() == expected


def test_of_equal_scores_any_class_may_be_predicted(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(
        "id,label,predicted,score_a,score_b,score_c\n"
        "1,a,b,0.4,0.4,0.2\n2,b,a,0.4,0.4,0.2\n3,c,c,0.3,0.3,0.3\n"
    )
    assert read_predictions(path)[0].predicted.tolist() == ["b", "a", "c"]
    path.write_text(path.read_text().replace("1,a,b", "1,a,c"))
    with pytest.raises(
        DataError, match=r"line 2: predicted is 'c', but score_a \(0\.4\)"
    ) as caught:
        read_predictions(path)
    assert "threshold" not in str(caught.value)


TABLE = "id,label,score_a,score_b{}\n1,a,0.2,0.8{}\n2,b,0.9,0.1{}\n"


@pytest.mark.parametrize(
    ("columns", "values", "lacking"),
    [
        (",probability_b", ",0.7", "probability_a"),
        (",probability_a,probability_c", ",0.3,0.7", "probability_b"),
        (",probability_a,probability_b,probability_c", ",0.3,0.7,0", "probability_c"),
    ],
)
def test_probabilities_of_other_classes_than_the_scores_are_refused(
    tmp_path, columns, values, lacking
):
    path = tmp_path / "scores.csv"
    path.write_text(TABLE.format(columns, values, values))
    with pytest.raises(DataError, match=f"one probability for each class .*check '{lacking}'"):
        read_predictions(path)


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_probabilities_with_two_decimals_are_probabilities(tmp_path, n_classes):
    rng = np.random.default_rng(n_classes)
    rounded = rng.dirichlet(np.ones(n_classes), 200).round(2)
    classes = tuple("abcdefg"[:n_classes])
    labels = np.array(classes)[np.arange(200) % n_classes]
    made = some(200, labels=labels, predicted=labels, scores=rounded, classes=classes)
    path = tmp_path / "scores.csv"
    made.to_frame().drop(columns="predicted").to_csv(path, index=False)
    assert read_predictions(path)[0].kind == "probability"
    made.to_frame().drop(columns="predicted").assign(score_a=1.0).to_csv(path, index=False)
    assert read_predictions(path)[0].kind == "decision"


def test_a_table_of_one_probability_says_what_to_add(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("id,label,score_b\n1,a,0.8\n")
    with pytest.raises(DataError, match="write 1 - p for the other"):
        read_predictions(path)


def test_a_jackknife_follows_its_rows():
    made = Predictions.from_arrays(["a", "b", "b"], [[3, 1], [1, 2], [0, 2]])
    parts = np.arange(12.0).reshape(3, 2, 2)
    whole = dataclasses.replace(made, jackknife=parts)
    np.testing.assert_array_equal(whole.take(np.array([2, 0])).jackknife, parts[[2, 0]])
    halves = [whole.take(np.array([n])) for n in range(3)]
    np.testing.assert_array_equal(Predictions.concatenate(halves).jackknife, parts)
    # Parts of other numbers are not the same parts.
    halves[1] = dataclasses.replace(halves[1], jackknife=parts[1:2, :1])
    assert Predictions.concatenate(halves).jackknife is None
    for wrong in (parts[:2], parts[:, :, :1], parts[:, 0], parts * np.nan):
        with pytest.raises(DataError, match="jackknife"):
            dataclasses.replace(made, jackknife=wrong)
