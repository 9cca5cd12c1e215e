from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from made import make_images
from made_dicom import dicom
from PIL import Image

from bottleneck.app.predict.picture_predictions import (
    PredictedPictures,
    StoppedError,
    predict_pictures,
)
from bottleneck.app.predict.picture_views import render_model, render_picture, render_results
from bottleneck.app.served_models import ServedModel, ServedModels
from bottleneck.app.session_files import Session, SessionFiles
from bottleneck.deploy.models.model import Model
from bottleneck.errors import LicenceError, ModelError, UsageError

Predict = Callable[..., PredictedPictures]


@pytest.fixture
def session() -> Iterator[Session]:
    sessions = SessionFiles()
    yield sessions["page"]
    sessions.close_all()


@pytest.fixture
def predict(served: ServedModels, session: Session) -> Predict:
    def run(*files: Path, **options: object) -> PredictedPictures:
        return predict_pictures(served["small"], session, files, **options)  # type: ignore[arg-type]

    return run


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    make_images(tmp_path / "new", 3, first=100)
    return sorted((tmp_path / "new").iterdir())


def test_probabilities_are_those_of_the_network_and_the_head(
    predict: Predict, small_model: tuple[Model, Path], pictures: list[Path]
) -> None:
    model, _ = small_model
    frame = predict(*pictures).to_frame()
    assert frame["id"].tolist() == [path.name for path in pictures]
    want = model.predict(pictures).to_frame()
    np.testing.assert_allclose(frame["probability_malignant"], want["probability_malignant"])


def test_files_without_a_prediction_are_named(predict: Predict, pictures: list[Path]) -> None:
    folder = pictures[0].parent
    damaged, table, scan = folder / "damaged.png", folder / "list.csv", folder / "IM0001"
    damaged.write_bytes(pictures[0].read_bytes()[:60])
    table.write_text(f"path,label\n{pictures[1]},benign\n")
    scan.write_bytes(dicom(np.arange(24 * 24, dtype=np.uint8).reshape(24, 24)))
    made = predict(pictures[0], damaged, table, scan)
    assert made.made is not None
    assert made.made.predictions.ids.tolist() == [pictures[0].name, "IM0001"]
    assert [name for name, _ in made.failures] == ["damaged.png", "list.csv"]
    assert "not a picture" in dict(made.failures)["list.csv"]
    frame = made.to_frame()
    assert frame["id"].tolist() == [pictures[0].name, "damaged.png", "IM0001", "list.csv"]


def test_files_of_which_none_is_a_picture_are_all_named(predict: Predict, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    made = predict(path)
    assert (made.made, [name for name, _ in made.failures]) == (None, ["notes.txt"])
    assert "notes.txt" in render_results(made)


def test_a_picture_has_a_map_and_its_nearest_training_images(
    predict: Predict, pictures: list[Path]
) -> None:
    made = predict(*pictures)
    shown = made.explain(1)
    assert shown.case.id == pictures[1].name
    assert shown.case.heat_map is not None
    assert shown.case.heat_map.method == "class activation"
    assert len(shown.case.nearest) == 5
    assert made.explain(1) is shown
    assert made.explain(1, with_map=False).case.heat_map is None
    for row in (-1, 3):
        with pytest.raises(UsageError, match="no longer exists"):
            made.explain(row)


def test_training_images_are_on_the_page_on_request_only(
    predict: Predict, pictures: list[Path]
) -> None:
    made = predict(*pictures)
    shown = made.explain(0)
    one, other = (
        render_picture(made, 0, shown, show_training_images=switch) for switch in (False, True)
    )
    assert other.count("<img") - one.count("<img") == len(shown.case.nearest)
    assert shown.case.nearest[0].id in one


def test_names_are_text_on_the_page(predict: Predict, tmp_path: Path, pictures: list[Path]) -> None:
    name = tmp_path / "<img src=x onerror=alert(1)>.png"
    name.write_bytes(pictures[0].read_bytes())
    made = predict(name)
    for page in (
        render_results(made),
        render_picture(made, 0, made.explain(0), show_training_images=True),
    ):
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page


def test_a_stopped_prediction_ends(
    served: ServedModels, session: Session, pictures: list[Path]
) -> None:
    session.stop.set()
    with pytest.raises(StoppedError):
        predict_pictures(served["small"], session, pictures)


def test_rows_of_many_pictures_are_kept_with_the_page_only(
    served: ServedModels, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "many", 40, first=200)
    made = predict_pictures(served["small"], session, sorted((tmp_path / "many").iterdir()))
    assert len(made.to_frame()) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many"]


def test_pictures_of_one_patient_are_decided_together(
    small_model: tuple[Model, Path], session: Session, pictures: list[Path], served: ServedModels
) -> None:
    one = served["small"]
    of_patients = dataclasses.replace(small_model[0], unit="patient")
    model = ServedModel("patients", of_patients, one.backbone)
    together = predict_pictures(model, session, pictures, of_one_patient=True).made
    apart = predict_pictures(model, session, pictures).made
    assert together is not None
    assert together.by_patient is not None
    assert len(together.by_patient.decided.predictions) == 1
    assert apart is not None
    assert apart.by_patient is not None
    assert len(apart.by_patient.decided.predictions) == 3


def test_a_model_says_what_it_is(served: ServedModels) -> None:
    text = render_model(served["small"])
    assert "For research use only" in text
    assert "20 patients" in text or "10 patients" in text


def test_models_of_numbers_are_refused_and_names_are_unique(
    small_model: tuple[Model, Path],
) -> None:
    import bottleneck

    y = ["benign", "malignant"] * 10
    numbers = bottleneck.fit(np.arange(40.0).reshape(20, 2), "logistic", y=y, quiet=True)
    models = ServedModels()
    with pytest.raises(ModelError, match="was trained on numbers"):
        models.add(numbers)
    names = [models.add(small_model[0], name) for name in ("a", "a", None)]
    assert names == ["a", "a (2)", "logistic"]
    assert list(models.names) == names
    with pytest.raises(UsageError, match="unknown model 'b'"):
        models["b"]


def test_licences_that_a_policy_refuses_are_refused(small_model: tuple[Model, Path]) -> None:
    weights = {"name": "pretrained", "licence": "cc-by-nc-4.0"}
    model = dataclasses.replace(small_model[0], weights=weights)
    with pytest.raises(LicenceError, match="commercial"):
        ServedModels(licence_policy="commercial").add(model)


def test_a_large_image_is_a_failure_and_no_error(predict: Predict, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (12_000, 8_000)).save(path)
    ((name, reason),) = predict(path).failures
    assert name == "large.png"
    assert "the limit is" in reason
