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
from bottleneck.evaluation.results.comparison_results import Comparison
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


@pytest.fixture(scope="module")
def written(full: Comparison, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a report with names, which one without them has then replaced."""
    folder = tmp_path_factory.mktemp("report")
    write_report(full, folder, with_ids=True, figures=False)
    named = {f"named/{path.name}": path.read_bytes() for path in folder.iterdir()}
    write_report(full, folder, overwrite=True, figures=False)
    return named | {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def shown(full: Comparison) -> str:
    return render(full, with_pictures=True)


def test_no_image_and_no_name_is_in_any_file_unless_it_is_asked_for(
    written: dict[str, bytes], shown: str
) -> None:
    private = (b"person-", b"id-1", b"files/", b"case-00", b"pat-00", SECRET.encode())

    def private_in(data: bytes) -> list[bytes]:
        return [name for name in private if name in data.replace(b"<wbr>", b"")]

    for name, data in written.items():
        assert name.startswith(("named/", "predictions")) or private_in(data) == []
        assert b"data:image" not in data
    assert "errors.csv" not in written
    assert "data:image" in shown
    assert private_in(shown.encode()) == []
    named = private_in(written["named/report.html"])
    assert {b"person-", b"id-1"} <= set(named) <= set(private) - {SECRET.encode()}
    assert private_in(written["named/results.json"]) == []


def test_the_table_of_names_holds_the_cases(full: Comparison, written: dict[str, bytes]) -> None:
    frame = pd.read_csv(io.BytesIO(written["named/errors.csv"]), keep_default_na=False)
    for name, cases in full.cases.items():
        part = frame[frame["arm"] == name]
        assert part["id"].tolist() == [case.id for case in cases]
        assert part["case"].tolist() == list(range(1, len(cases) + 1))
        assert part["nearest_3_id"].tolist() == [case.nearest[2].id for case in cases]
        assert part["nearest_5_distance"].astype(float).tolist() == [0.5] * len(cases)


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
    arm = view_errors(shared, with_ids=True)[0]
    assert arm.own.name(10) == "1.png, patient person-5, 10.png"


def test_images_are_those_of_the_cases_and_of_the_training_images(
    full: Comparison, shown: str
) -> None:
    page = Page(errors(shown))
    rows = [
        row
        for arm in view_errors(full)
        for group in arm.groups
        for case in group.cases
        for row in (case.row, *(near.row for near in case.nearest))
    ]
    assert len(page.sources) == len(rows) > 30
    for row, source in zip(rows, page.sources, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        np.testing.assert_array_equal(np.asarray(image), full.thumbnails[row])


def test_the_section_says_what_is_positive_and_how_sure_the_arm_was(
    full: Comparison, written: dict[str, bytes]
) -> None:
    text = Page(errors(written["report.html"].decode())).text
    assert text.index("False negatives: malignant, predicted as benign") < text.index(
        "False positives: benign, predicted as malignant"
    )
    assert "1 of 2" in text
    first = full.evaluations[0]
    n_wrong = len(
        set(first.predictions.ids[first.predictions.predicted != first.predictions.labels])
    )
    assert f"{n_wrong} of 90 samples misclassified in one repeat or more, 6 shown" in text


def test_arrays_have_errors_but_no_images(tmp_path: Path) -> None:
    made = make_features(n_patients=20, signal=0.5)
    features = FeatureSet.from_arrays(made.X, made.y, made.stated_patients, made.ids)
    comparison = compare(features, ["lda"], protocol=QUICK)
    with pytest.raises(UsageError, match=r"--with-pictures.*hold none.*--data.*dataset="):
        write_report(comparison, tmp_path / "report", with_pictures=True)
    assert not (tmp_path / "report").exists()
