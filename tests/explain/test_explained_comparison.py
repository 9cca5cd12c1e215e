"""The errors of a comparison: maps by the heads of its folds, the page, and wrong uses."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made import dataset_of, make_images
from PIL import Image

from bottleneck import (
    Explanation,
    FeatureSet,
    ImageDataset,
    Protocol,
    compare,
    explain_predictions,
    extract,
    load_dataset,
    load_features,
    write_explanation,
    write_report,
)
from bottleneck.errors import BottleneckError, UsageError, WeightsError
from bottleneck.explain.recorded.recorded_comparison import read_comparison
from bottleneck.report.explanation_page import explanation_record
from bottleneck.testing import tiny_backbone

ARM = "tiny (random) + ridge"


@dataclasses.dataclass
class Made:
    """Images, their features, and the report of a comparison."""

    dataset: ImageDataset
    features: FeatureSet
    report: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("explained")
    make_images(root / "images", 24)
    dataset = dataset_of(root / "images")
    run = extract(dataset, tiny_backbone(), output=root / "features", precision="fp32", quiet=True)
    features = load_features(run.path)
    quick = Protocol(n_splits=2, inner_splits=2)
    comparison = compare(features, ["ridge", "svm_2018"], protocol=quick, n_jobs=1, quiet=True)
    page = write_report(comparison, root / "report", figures=False, quiet=True)
    return Made(dataset, features, page.parent)


def explain(made: Made, source: Any = None, **options: Any) -> Explanation:
    usual: dict[str, Any] = {"features": made.report.parent / "features", "quiet": True}
    return explain_predictions(made.report if source is None else source, **usual | options)


@pytest.fixture(scope="module")
def explained(made: Made) -> Explanation:
    return explain(made, data=made.dataset, arms=ARM, backbone=tiny_backbone(), most=5)


def test_each_error_has_the_map_of_the_head_that_made_it(
    made: Made, explained: Explanation
) -> None:
    recorded = read_comparison(made.report).choose((ARM,))[0].predictions
    wrong = set(recorded.ids[recorded.predicted != recorded.labels].tolist())
    (arm,) = explained.arms
    assert arm.n_wrong == len(wrong)
    assert len(arm.cases) == min(5, len(wrong))
    scores = dict(zip(recorded.ids.tolist(), recorded.scores, strict=True))
    for case in arm.cases:
        assert case.id in wrong
        assert case.heat_map is not None
        assert case.heat_map.towards == case.predicted
        score = scores[case.id][recorded.classes.index(case.predicted)]
        assert case.heat_map.decision == pytest.approx(score, abs=1e-5)
        assert case.heat_map.intercept is not None
        mean = float(case.heat_map.values.mean()) + case.heat_map.intercept
        assert mean == pytest.approx(score, abs=1e-5)
        # The image of a case is that of its file, as the network gets it.
        with Image.open(made.report.parent / "images" / case.id) as image:
            expected = tiny_backbone().preprocessing.pixels(image.convert("RGB"))
        np.testing.assert_array_equal(case.pixels, expected)
    confidence = [case.probability or 0 for case in arm.cases]
    assert confidence == sorted(confidence, reverse=True)


def names_of(made: Made) -> list[str]:
    return [*made.features.ids.tolist(), *np.unique(made.features.stated_patients).tolist()]


def names_in(folder: Path, names: list[str]) -> set[str]:
    """Return the names that any file, or any name of one, holds as a word."""
    found = set()
    for path in folder.rglob("*"):
        text = path.name
        if path.is_file():
            text += path.read_bytes().decode("utf-8", "replace")
        text = re.sub(r"base64,[\w+/=]+|<wbr>", "", text)
        found |= {name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)}
    return found


def images_in(page: Path) -> int:
    return len(re.findall('alt="Case [0-9]+: [^"]+, predicted as', page.read_text("utf-8")))


def test_files_name_nobody_and_show_no_image_unless_asked(
    made: Made, explained: Explanation, tmp_path: Path
) -> None:
    names = names_of(made)
    page = write_explanation(explained, tmp_path / "plain")
    assert {path.name for path in page.parent.iterdir()} == {
        "explanation.html",
        "explanation.csv",
        "explanation.json",
        "maps.npz",
    }
    assert names_in(page.parent, names) == set()
    assert images_in(page) == 0
    assert str(made.report.parent) not in page.read_text(encoding="utf-8")
    everything = write_explanation(
        explained, tmp_path / "all", with_ids=True, with_pictures=True
    ).parent
    shown = {case.id for case in explained.arms[0].cases}
    assert shown <= names_in(everything, names)
    n = len(shown)
    assert images_in(everything / "explanation.html") == n
    assert len(list((everything / "images").iterdir())) == 2 * n
    table = pd.read_csv(everything / "explanation.csv")
    assert table["id"].tolist() == [case.id for case in explained.arms[0].cases]
    with np.load(page.parent / "maps.npz") as maps:
        for case in explained.arms[0].cases:
            assert case.heat_map is not None
            np.testing.assert_array_equal(maps[f"arm-1-case-{case.number}"], case.heat_map.values)
    # What an earlier run showed is gone.
    with pytest.raises(UsageError, match="exists: replace it with --overwrite"):
        write_explanation(explained, everything)
    write_explanation(explained, everything, overwrite=True)
    assert names_in(everything, names) == set()
    assert not list((everything / "images").glob("*"))
    assert names_in(tmp_path / "plain", names) == set()
    assert repr(explained).count("case") == 1
    assert not any(name in str(explanation_record(explained)) for name in shown)


def test_without_images_there_are_cases_and_no_maps(made: Made, tmp_path: Path) -> None:
    done = explain(made)
    assert [arm.name for arm in done.arms] == [ARM, "tiny (random) + svm_2018"]
    for arm in done.arms:
        assert "--data" in " ".join(arm.words)
        for case in arm.cases:
            assert case.heat_map is None
            assert case.nearest
            assert case.patient not in {one.patient for one in case.nearest}
    page = write_explanation(done, tmp_path / "out")
    assert not (page.parent / "maps.npz").exists()


def test_a_case_has_the_number_of_the_report_however_many_are_shown(made: Made) -> None:
    every = explain(made, arms=ARM, most=99).arms[0].cases
    assert [case.number for case in every] == list(range(1, len(every) + 1))
    number = {case.id: case.number for case in every}
    few = explain(made, arms=ARM, most=2).arms[0].cases
    assert {case.id: case.number for case in few}.items() <= number.items()
    assert {case.label for case in few} == {case.label for case in every}


def test_without_the_weights_there_are_cases_unless_maps_are_asked_for(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(*args: Any, **options: Any) -> None:
        raise WeightsError("the weights are not on this machine.", "Copy the file")

    monkeypatch.setattr("bottleneck.explain.explained_comparison.load_network", lack)
    (arm,) = explain(made, data=made.dataset, arms=ARM, most=2).arms
    assert not arm.heat_maps
    assert all(case.pixels is not None for case in arm.cases)
    assert "no heat maps: the weights are not on this machine. " in " ".join(arm.words)
    for asked in ({"maps": "exact"}, {"weights": "file.pth"}):
        with pytest.raises(WeightsError):
            explain(made, data=made.dataset, arms=ARM, most=2, **asked)


def test_another_image_under_the_same_name_has_no_map(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.report.parent / "images", tmp_path / "images")
    first = explain(made, arms=ARM).arms[0].cases[0].id
    Image.fromarray(np.zeros((24, 24), np.uint8)).save(tmp_path / "images" / first)
    other = dataset_of(tmp_path / "images")
    (arm,) = explain(made, data=other, arms=ARM, backbone=tiny_backbone()).arms
    without = {case.id for case in arm.cases if case.heat_map is None}
    assert without == {first}
    assert "not the image that the features were computed from" in " ".join(arm.words)
    foreign = load_dataset("phantom", limit=2)
    (arm,) = explain(made, data=foreign, arms=ARM, backbone=tiny_backbone()).arms
    assert "is it the data set that the features were extracted from" in " ".join(arm.words)
    assert not arm.heat_maps


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arms": "resnet"}, "unknown arm 'resnet'"),
        (
            {"images": "new"},
            "explains only the images that it tested: leave the others out, and "
            "name the data set with --data",
        ),
        ({"maps": "gradcam"}, "the method of maps must be"),
        ({"most": 0}, "the number of images must be a whole number from 1"),
        ({"features": "nowhere"}, "are not in nowhere: name their file or folder with --features"),
        ({"features": 5}, "features must be feature sets, feature files or a folder"),
        ({"source": 5}, "an explanation needs a comparison, a model, or the path"),
        ({"source": "."}, "holds neither a report"),
        ({"window": (1, 2)}, "unknown option 'window'"),
    ],
)
def test_wrong_uses_are_explained(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BottleneckError, match=re.escape(message)):
        explain(made, **options)


def test_a_report_without_its_table_says_what_is_missing(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.report, tmp_path / "report")
    (tmp_path / "report" / "predictions.csv").unlink()
    with pytest.raises(UsageError, match=r"holds no predictions\.csv"):
        explain(made, tmp_path / "report")
