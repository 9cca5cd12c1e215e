"""Selections, against pandas doing the same, and refusals."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_features import make_features

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.labels.selection import Selection
from bottleneck.data.samples.sample_table import Sample
from bottleneck.errors import BottleneckError, UsageError
from bottleneck.features.sets.failed_samples import FailedSample

CLASSES = ("benign", "malignant", "normal", "suspicious, HER2+")


@pytest.fixture(scope="module")
def features():
    n = 96
    return make_features(
        n_patients=n // 2,
        classes=CLASSES,
        sources=np.array([f"scans/{i % 7}/{i:03d}.png" for i in range(n)]),
        failures=(("image-lost", "truncated"), ("image-broken", "truncated")),
        failed_samples=(
            FailedSample("image-lost", "malignant"),
            FailedSample("image-broken", "malignant", "patient-07"),
        ),
        thumbnails=None,
    )


@pytest.fixture(scope="module")
def dataset(features):
    rows = zip(features.ids, features.sources, features.y, features.stated_patients, strict=True)
    samples = [Sample(*map(str, row)) for row in rows]
    return ImageDataset("phantom", samples, FileSource(Path("scans")))


selections = st.fixed_dictionaries(
    {
        "exclude": st.sets(st.integers(0, 95), max_size=10),
        "merge": st.sampled_from(
            [
                {},
                {"bad": ("malignant", "suspicious, HER2+")},
                {"malignant": ("Malignant ", "normal")},
                {"x=1": ("benign",)},
                {"a": ("benign", "normal"), "b": ("malignant", "suspicious, HER2+")},
            ]
        ),
        "n_kept": st.integers(2, 4),
        "order": st.permutations(range(4)),
        "by_path": st.booleans(),
    }
)


@given(selections)
@settings(max_examples=25, deadline=None)
def test_a_selection_is_what_pandas_keeps(features, dataset, drawn):
    frame = pd.DataFrame(
        {"id": features.ids, "path": features.sources, "label": features.y, "x": features.X[:, 0]}
    )
    named = frame["path" if drawn["by_path"] else "id"][list(drawn["exclude"])].tolist()
    expected = frame[~frame.index.isin(drawn["exclude"])]
    new = {part.strip().lower(): to for to, parts in drawn["merge"].items() for part in parts}
    expected = expected.assign(label=[new.get(v.lower(), v) for v in expected.label])
    names = sorted({new.get(c.lower(), c) for c in CLASSES})
    after = [names[n] for n in drawn["order"] if n < len(names)]
    kept = after[: drawn["n_kept"]]
    expected = expected[expected.label.isin(kept)]
    selection = Selection(exclude=named, merge=drawn["merge"], classes=kept)
    chosen = features.choose(selection)
    assert chosen.ids.tolist() == expected.id.tolist()
    assert chosen.y.tolist() == expected.label.tolist()
    np.testing.assert_array_equal(chosen.X[:, 0], expected.x)
    assert chosen.classes == tuple(sorted(kept))
    recorded = chosen.provenance["dataset"]
    # Every sample is used, excluded, or could not be read.
    assert len(chosen) + sum(recorded["excluded"].values()) == len(features)
    images = dataset.choose(selection)
    assert [s.id for s in images.samples] == chosen.ids.tolist()
    assert [s.label for s in images.samples] == chosen.y.tolist()
    assert images.excluded == recorded["excluded"]
    assert images.positive == chosen.positive
    assert images.selection == chosen.selection
    same = not drawn["exclude"] and not drawn["merge"] and len(kept) == len(CLASSES)
    before = features.provenance["dataset"]["fingerprint"]
    assert (recorded["fingerprint"] == before) == same
    assert (images.fingerprint == dataset.fingerprint) == same
    assert (images.name == dataset.name) == same


def test_a_choice_is_recorded_in_words(features):
    chosen = features.choose(
        Selection(
            exclude=["image-000", "image-lost", "'image-001"],
            merge={"bad": ["malignant", "suspicious, HER2+"]},
            classes=["bad", "benign"],
        )
    )
    assert chosen.selection["words"] == (
        "excluded by list: 3; class normal left out: 24; malignant and suspicious, HER2+ merged "
        "into bad"
    )
    assert chosen.positive == "bad"
    assert chosen.failures == (("image-broken", "truncated"),)
    assert chosen.failed_samples == (FailedSample("image-broken", "bad", "patient-07"),)
    again = chosen.choose(Selection(exclude=["image-008"]))
    assert again.selection["words"].startswith("excluded by list: 4; class normal left out: 24; m")
    assert again.provenance["dataset"]["excluded"] == {
        "excluded by list": 4,
        "class normal left out": 24,
    }


@pytest.mark.parametrize(
    ("stated", "positive"),
    [(None, "bad"), ("malignant", "bad"), ("NORMAL", "bad"), ("bad", "bad"), ("benign", "benign")],
)
def test_the_positive_class_follows_a_merge(features, stated, positive):
    selection = Selection(merge={"bad": ["malignant", "normal"]}, classes=["bad", "benign"])
    assert features.choose(selection, positive=stated).positive == positive


def test_a_grade_1_of_several_is_no_positive_class():
    grades = make_features(classes=("0", "1", "2", "3"))
    selection = Selection(merge={"low": [0, 1], "high": (np.int64(2), "3")})
    assert grades.choose(selection).positive is None


def write_lists(folder):
    """The same three samples as a list, as tables, and in a workbook."""
    ids = ["image-001", "image-003", "image-005"]
    paths = ["scans/1/001.png", "./scans/3/003.png", "scans\\5\\005.png"]
    texts = {
        "plain.txt": "\n".join(ids),
        "headed.txt": "\n".join(["Image ID", "", *ids, ids[0]]),
        "paths.txt": "\n".join(paths),
        "moved.txt": "\n".join(f"/data/old/{path.replace(chr(92), '/')}" for path in paths[::2])
        + "\n/data/old/scans/3/003.png",
        "headless.csv": "\n".join(f"{i};blurred" for i in ids),
        "table.csv": "n;id;why\n" + "\n".join(f"{n};{i};blurred" for n, i in enumerate(ids)),
        "by_path.csv": "why,file\n" + "\n".join(f"blurred,{path}" for path in paths),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    book = openpyxl.Workbook()
    for row in [("case", "sample"), *((n, i) for n, i in enumerate(ids))]:
        book.active.append(row)
    book.save(folder / "list.xlsx")
    return [*texts, "list.xlsx"]


def test_a_list_is_read_in_every_form(features, tmp_path):
    for name in write_lists(tmp_path):
        chosen = features.choose(Selection(exclude=tmp_path / name))
        left = sorted(set(features.ids) - set(chosen.ids))
        assert left == ["image-001", "image-003", "image-005"], name


def test_every_region_of_a_listed_image_is_excluded(features):
    twice = make_features(sources=np.array([f"{i // 2}.png" for i in range(80)]))
    chosen = twice.choose(Selection(exclude=["3.png"]))
    assert set(twice.ids) - set(chosen.ids) == {"image-006", "image-007"}


WRONG = {
    "not 'benign'": {"classes": "benign"},
    "only the class 'benign' is left": {"classes": ["benign"]},
    "did you mean 'benign'": {"classes": ["benign", "benigm"]},
    "the class 'benign' is named twice": {"classes": ["benign", "Benign "]},
    "is merged into 'x': name the new class": {
        "merge": {"x": ["normal"]},
        "classes": ["normal", "x"],
    },
    "name it among those that are merged into it": {"merge": {"benign": ["malignant"]}},
    "'malignant' is merged twice": {"merge": {"x": ["malignant", "Malignant"]}},
    "into 'x' and into 'y'": {"merge": {"x": ["normal"], "y": ["normal"]}},
    "two merges make a class 'X'": {"merge": {"x": ["normal"], "X ": ["benign"]}},
    "only the class 'x' is left": {"merge": {"x": CLASSES}},
    "unknown class to merge 'bening'; did you mean 'benign'": {"merge": {"x": ["bening"]}},
    "'NA' is none: choose a word": {"merge": {"NA": ["benign"]}},
    "merge['x'] is empty": {"merge": {"x": []}},
    "not 'ab'": {"merge": {"x": "ab"}},
    "merge must map each new class": {"merge": [("x", "y")]},
    "cannot be stored": {"merge": {"x\ud800": ["benign"]}},
    "nan is not one": {"classes": ["benign", float("nan")]},
    "unknown class 'True'": {"classes": ["benign", True]},
    "None is not one": {"classes": ["benign", None]},
    "these are truth values": {"exclude": np.arange(96) % 2 == 0},
    "not a table: name one column": {"exclude": pd.DataFrame({"id": ["image-001"]})},
    "1 of 2 entries name none: 'image-09'": {"exclude": ["image-001", "image-09"]},
    "'patient-03' is a patient: list the samples": {"exclude": ["patient-03"]},
    "exclude=['image-001']": {"exclude": "image-001"},
    "the list excludes all 24 samples of the class 'benign'": {
        "exclude": [f"image-{n:03d}" for n in range(96) if n // 2 % 4 == 0]
    },
    "unknown key 'clases'; did you mean 'classes'": {"clases": ["a"]},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_selection_is_refused(features, dataset, message):
    for data in (features, dataset):
        with pytest.raises(UsageError, match=re.escape(message)):
            data.choose(Selection(**WRONG[message]))


def test_a_positive_class_that_is_left_out_is_refused(features):
    selection = Selection(classes=["benign", "normal"])
    with pytest.raises(UsageError, match="positive class 'malignant' is left out"):
        features.choose(selection, positive="malignant")
    assert features.choose(selection).positive is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no sample"),
        (" \n\n", "names no sample"),
        ("Patient\npatient-03\n", "'patient-03' is a patient: list the samples"),
        ("id\n", "names no sample"),
        ("image-001\nimage-0x\n", "'image-0x' (line 2)"),
        ("/x/scans/1/001.png\n/x/scans/1/00.png\n", "1 of 2 entries name none: '/x/scans/1/00.p"),
        ("id,why\nnobody,x\n", "the only entry names none: 'nobody' (line 2)"),
    ],
)
def test_a_wrong_list_is_refused(features, tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(BottleneckError, match=re.escape(message)):
        features.choose(Selection(exclude=tmp_path / "list.csv"))


def test_something_else_is_no_selection(features, dataset):
    for data in (features, dataset):
        with pytest.raises(UsageError, match=r"must be a Selection, .* not {'classes': \['a'\]}"):
            data.choose({"classes": ["a"]})
    assert features.choose(Selection(merge={"1": ["benign"]}), positive=1).positive == "1"


def test_several_data_sets_keep_the_record_of_what_was_chosen(features):
    sites = {
        "Bern": features.select(features.ids < "image-048"),
        "Basel": features.select(features.ids >= "image-048"),
    }
    merge = {"bad": ["malignant", "suspicious, HER2+"]}
    chosen = {
        "Bern": sites["Bern"].choose(Selection(merge=merge, exclude=["image-001"])),
        "Basel": sites["Basel"].choose(Selection(merge=merge, exclude=["image-050"])),
    }
    both = type(features).concatenate(chosen)
    assert both.selection["words"] == (
        "excluded by list: 2; malignant and suspicious, HER2+ merged into bad"
    )


def test_paths_with_commas_need_no_quotes(tmp_path):
    sources = np.array([f"solid, cystic/{i}, left.png" for i in range(80)])
    features = make_features(sources=sources)
    text = "\n".join(["./solid, cystic/3, left.png", "solid, cystic/5, left.png"])
    (tmp_path / "list.txt").write_text(text)
    chosen = features.choose(Selection(exclude=tmp_path / "list.txt"))
    assert set(features.ids) - set(chosen.ids) == {"image-003", "image-005"}
    (tmp_path / "list.txt").write_text(text + ", x\n")
    with pytest.raises(UsageError, match=r"1 of 2 entries name none: '.* left.png, x' .line 2."):
        features.choose(Selection(exclude=tmp_path / "list.txt"))
