"""Provenance in the report: paths, invisible characters and units."""

import dataclasses
import json
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies
from report.factory import provenance

from bottleneck.checks.check_warnings import warn
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation
from bottleneck.report.page import write_report
from bottleneck.report.redaction import fields, plain, shareable, shared_and_own
from bottleneck.text.plain_text import visible, without_paths


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
        ("gcc -I/data/x/a.h", "gcc -Ia.h"),
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
    assert said == {"decoding": "1-fast (resized by torchvision instead of the resizer)"}


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


ROOTS = (
    *("/", "//server/", "~/", "~anna/", "C:\\", "d:/", "\\\\server\\share\\", "\\\\?\\C:\\"),
    *("file:///", "file://server/", "file:///C:/", "smb://server/", "sftp://me@host/"),
    *("$HOME/", "${HOME}/", "%USERPROFILE%\\", "s3://bucket/", "sqlite:////", "zip:///"),
)
#: What programs write around a path.
AROUND = (
    *("{}", "read {}", "{} is missing", "see ({})", "[{}]", "--out={}", "path: {}", "a,{}", "x;{}"),
    *("'{}'", '"{}"', "`{}`", "“{}”", "PosixPath('{}')", '{{"path": "{}"}}', "<{}>", "a|{}|b"),
    *("at {}:12", "{}, twice", "new\nline {}", "@{}", "one {} two", "→{}", "…{}", "user@host:{}"),
)


@hypothesis.given(
    root=strategies.sampled_from(ROOTS),
    around=strategies.sampled_from(AROUND),
    folders=strategies.lists(
        strategies.sampled_from(["SECRET", "SECRET-1.2", "SECRET_ä", "SECRET SECRET"]),
        min_size=1,
        max_size=4,
    ),
    backslash=strategies.booleans(),
)
@hypothesis.settings(max_examples=200, derandomize=True)
def test_no_folder_of_an_absolute_path_stays(
    root: str, around: str, folders: list[str], backslash: bool
) -> None:
    separator = "\\" if backslash or "\\" in root else "/"
    path = root + separator.join([*folders, "last.png"])
    found = without_paths(around.format(path))
    assert "SECRET" not in found
    assert "last.png" in found
    assert without_paths(found) == found


@pytest.mark.parametrize(
    "text",
    [
        *("3/4 of 7 / 8 n/a", "mm/s, w/o, and/or, km²/h", "a/b/c.png", "https://x.org/a b/c"),
        *("ratio 1:2", "p < 0.05", "https://x.org:80/a", "images/SECRET/a.png", "±5 %/year"),
    ],
)
def test_slashes_of_other_texts_stay(text: str) -> None:
    assert without_paths(text) == text


def test_no_file_of_a_report_holds_an_absolute_path(full: Comparison, tmp_path: Path) -> None:
    path = "/home/SECRET/My SECRET/x.h5"
    texts = [template.format(path) for template in ("{}", "of {} and", "file://{}", "'{}'")]
    texts += ["C:\\Users\\SECRET\\x", "\\\\srv\\SECRET\\x", "~/SECRET/x", "$HOME/SECRET/x"]
    nested = {path: [{text: text} for text in texts], **{t: {t: [t]} for t in texts}}

    def spoil(arm: Evaluation) -> Evaluation:
        return dataclasses.replace(
            arm,
            name=f"/home/SECRET/{arm.name}",
            backbone=arm.backbone and path,
            weights=arm.weights and path,
            cost={**arm.cost, "device": path, "host": path, "more": nested},
            subgroups=tuple(dataclasses.replace(s, column=path, value=path) for s in arm.subgroups),
            chosen=tuple({**chosen, path: path} for chosen in arm.chosen),
        )

    arms = tuple(map(spoil, full.evaluations))
    names = {old.name: new.name for old, new in zip(full.evaluations, arms, strict=True)}
    differences = [
        dataclasses.replace(d, a=names[d.a], b=names[d.b], method=f"by {path}")
        for d in full.differences
    ]
    assert full.audit is not None
    findings = tuple(dataclasses.replace(f, text=texts[1]) for f in full.audit.findings)
    external = tuple(
        dataclasses.replace(
            one,
            dataset={**one.dataset, "name": path},
            warnings=warn("BF305", texts),
            evaluations=tuple(dataclasses.replace(e, name=names[e.name]) for e in one.evaluations),
            differences=(),
            drops=(),
            conflicts=None,
        )
        for one in full.external
    )
    hostile = dataclasses.replace(
        full,
        dataset={**full.dataset, "name": path},
        protocol={**full.protocol, "words": texts[1]},
        warnings=warn("BF305", texts),
        evaluations=arms,
        differences=tuple(differences),
        features=tuple({**one, **nested, "weights": nested} for one in full.features),
        audit=dataclasses.replace(full.audit, findings=findings),
        external=external,
        conflicts=None,
        inner={names[name]: parts for name, parts in full.inner.items()},
    )
    write_report(hostile, tmp_path, inner_scores=True)
    for file in tmp_path.iterdir():
        assert "SECRET" not in file.read_text(), file.name
    record = json.loads((tmp_path / "results.json").read_text())
    written = [arm["name"] for arm in record["arms"]]
    assert len(set(written)) == len(written)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert sorted(table["arm"].unique()) == sorted(written)


def test_names_that_become_the_same_are_numbered(binary: Comparison) -> None:
    arms = [
        dataclasses.replace(arm, name=name)
        for arm, name in zip(binary.evaluations, ["/a/x", "/b/x", "x", "/c/benign"], strict=False)
    ]
    shared = shareable(dataclasses.replace(binary, evaluations=tuple(arms)))
    assert [arm.name for arm in shared.evaluations] == ["x (2)", "x (3)", "x", "benign (2)"]
    assert plain({"/a/x": 1, "x": 2, "/b/x": 3}, without_paths) == {"x (2)": 1, "x": 2, "x (3)": 3}
