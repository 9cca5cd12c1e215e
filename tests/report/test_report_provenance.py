"""Provenance in the report: paths, invisible characters and units."""

import json
from pathlib import Path

import numpy as np
import pytest
from report.factory import provenance

from bottleneck.plain_text import visible
from bottleneck.report.redaction import fields, plain, shared_and_own, without_paths


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/data/thyroid/a.h5", "a.h5"),
        ("/data/two words/a b.h5", "a b.h5"),
        (r"C:\Users\me\a.h5", "a.h5"),
        (r"\\server\share\a.h5", "a.h5"),
        ("~/scans/", "scans"),
        ("file:///data/a.h5", "a.h5"),
        ("read /data/x/a.png, twice", "read a.png, twice"),
        ("extract '/data/two words/scans' --out=/tmp/o", "extract 'scans' --out=o"),
        ('extract "C:\\two words\\scans"', 'extract "scans"'),
        ("see (/data/x/a.png)", "see (a.png)"),
    ],
)
def test_absolute_paths_are_reduced_to_their_last_part(text: str, kept: str) -> None:
    assert without_paths(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/weights.pth",
        "benign and/or malignant",
        "3 / 4 of the images",
        "images/a.png",
        "hub:owner/name",
        r"--pattern '^(\d+)_'",
        "/",
        "",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert without_paths(text) == text


def test_plain_values_are_strict_json() -> None:
    value = {
        "nan": float("nan"),
        "inf": np.float32("inf"),
        "array": np.array([[1, 2]]),
        "flag": np.bool_(True),
        "none": None,
        1: ("a", Path("/data/b"), "/data/c d"),
    }
    found = plain(value, without_paths)
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "nan": None,
        "inf": None,
        "array": [[1, 2]],
        "flag": True,
        "none": None,
        "1": ["a", "b", "c d"],
    }
    assert plain(("/a/b", 1)) == ["/a/b", 1]


def test_invisible_and_reordering_characters_become_escapes() -> None:
    assert visible("a\x00b\nc\u202egnp.exe\u200b é 図") == "a\\x00b\\x0ac\\u202egnp.exe\\u200b é 図"
    assert visible("\udcff") == "\\udcff"


def test_fields_are_flat() -> None:
    flat = fields(provenance("resnet18", "imagenet"))
    assert flat["preprocessing · mean"] == "0.485, 0.456, 0.406"
    assert flat["preprocessing · squash"] == "no"
    assert flat["weights · source"] == "resnet18.pth"
    assert flat["drift · relative"] == "0.0123"
    assert "layer" not in flat
    assert flat["command"] == "bottleneck extract 'two words' --out=features"
    assert not any(key.startswith("dataset") for key in flat)


def test_fields_say_whose_resize_a_fast_decoding_is() -> None:
    said = fields({"recipe": {"decoding": "1-fast"}})
    assert said == {"decoding": "1-fast (resized by torchvision in place of the resizer)"}


def test_times_of_stages_have_a_unit() -> None:
    said = fields({"stages": {"read": {"busy": 7.01758, "waiting": 0.25}}})
    assert said == {"stages · read · busy": "7.0 s", "stages · read · waiting": "0.2 s"}


def test_fields_that_agree_are_listed_once() -> None:
    shared, own = shared_and_own([provenance("resnet18", "a"), provenance("vgg16", "a")])
    assert shared["pooling"] == "gap"
    assert [f["backbone"] for f in own] == ["resnet18", "vgg16"]
    assert not any(shared.keys() & f.keys() for f in own)


def test_a_single_file_shares_nothing() -> None:
    shared, own = shared_and_own([provenance("resnet18", "a")])
    assert shared == {}
    assert own[0]["pooling"] == "gap"
