"""The errors on the page: no image and no name unless asked for, and then those of the cases."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_features import make_features
from PIL import Image
from report.complete import complete
from report.factory import SECRET, make_comparison
from report.reading import Page

from bottleneck import FeatureSet, Protocol, compare, write_report
from bottleneck.errors import UsageError
from bottleneck.evaluation.results import Comparison
from bottleneck.report.gallery.error_gallery import errors_frame, view_errors
from bottleneck.report.page import render
from bottleneck.report.redaction import shareable

QUICK = Protocol("cv", n_splits=2, inner_splits=2)


@pytest.fixture(scope="module")
def full() -> Comparison:
    return complete(make_comparison(heads=("svm",), sources=SOURCES, n=90))


SOURCES = (("resnet18", "imagenet", 3.0),)


def errors(html: str) -> str:
    return re.search(r'<section id="errors".*?</section>', html, re.DOTALL)[0]


def test_no_image_and_no_name_is_in_any_file_unless_it_is_asked_for(
    full: Comparison, tmp_path: Path
) -> None:
    private = (b"person-", b"id-1", b"files/", b"case-00", b"pat-00", SECRET.encode())

    def private_in(data: bytes) -> list[bytes]:
        return [name for name in private if name in data.replace(b"<wbr>", b"")]

    write_report(full, tmp_path, figures=False)
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        assert path.name.startswith("predictions") or private_in(data) == []
        assert b"data:image" not in data
    assert not (tmp_path / "errors.csv").exists()
    shown = render(full, with_pictures=True).encode()
    assert b"data:image" in shown
    assert private_in(shown) == []
    named = render(full, with_ids=True).encode()
    assert b"data:image" not in named
    assert {b"person-", b"id-1"} <= set(private_in(named)) <= set(private) - {SECRET.encode()}


def test_the_table_of_names_holds_the_cases(full: Comparison, tmp_path: Path) -> None:
    write_report(full, tmp_path, with_ids=True, figures=False)
    frame = pd.read_csv(tmp_path / "errors.csv", keep_default_na=False)
    for name, cases in full.cases.items():
        part = frame[frame["arm"] == name]
        assert part["id"].tolist() == [case.id for case in cases]
        assert part["case"].tolist() == list(range(1, len(cases) + 1))
        assert part["nearest_3_id"].tolist() == [case.nearest[2].id for case in cases]
        assert part["nearest_5_distance"].astype(float).tolist() == [0.5] * len(cases)
    write_report(full, tmp_path, overwrite=True, figures=False)
    assert not (tmp_path / "errors.csv").exists()


def test_ids_that_are_paths_are_whole_in_the_table_only(full: Comparison) -> None:
    path = f"{SECRET}/x/1.png"
    cases = {
        name: tuple(dataclasses.replace(case, id=path) for case in some)
        for name, some in full.cases.items()
    }
    names = {row: dataclasses.replace(name, id=path) for row, name in full.image_names.items()}
    shared = shareable(dataclasses.replace(full, cases=cases, image_names=names))
    frame = errors_frame(shared)
    assert set(frame["id"]) == {path}
    assert not frame["file"].str.contains("/").any()
    page = render(shared, with_ids=True)
    assert SECRET not in page.replace("<wbr>", "")
    assert "1.png, patient person-5" in Page(page).text


def test_images_are_those_of_the_cases_and_of_the_training_images(full: Comparison) -> None:
    page = Page(errors(render(full, with_pictures=True)))
    rows = [
        row
        for arm in view_errors(full)
        for group in arm.groups
        for _, case in group.cases
        for row in (case.row, *(near.row for near in case.nearest))
    ]
    assert len(page.sources) == len(rows) > 30
    for row, source in zip(rows, page.sources, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        np.testing.assert_array_equal(np.asarray(image), full.thumbnails[row])


def test_the_section_says_what_is_positive_and_how_sure_the_arm_was(full: Comparison) -> None:
    text = Page(errors(render(full))).text
    assert text.index("False negatives: malignant, predicted as benign") < text.index(
        "False positives: benign, predicted as malignant"
    )
    assert "1 of 2" in text
    first = full.evaluations[0]
    n_wrong = len(
        set(first.predictions.ids[first.predictions.predicted != first.predictions.labels])
    )
    assert f"{n_wrong} of 90 samples misclassified, 6 shown" in text


def test_arrays_have_errors_but_no_images(tmp_path: Path) -> None:
    made = make_features(n_patients=20, signal=0.5)
    features = FeatureSet.from_arrays(made.X, made.y, made.stated_patients, made.ids)
    comparison = compare(features, ["lda"], protocol=QUICK)
    with pytest.raises(UsageError, match=r"--with-pictures.*hold none.*--data.*dataset="):
        write_report(comparison, tmp_path / "report", with_pictures=True)
    assert not (tmp_path / "report").exists()
    assert "data:image" not in render(comparison, with_ids=True)
    assert "image-0" in Page(errors(render(comparison, with_ids=True))).text
