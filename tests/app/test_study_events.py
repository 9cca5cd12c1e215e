"""What the buttons of the study tab show, without a browser."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from made import make_images

from bottleneck.app.app_settings import AppSettings
from bottleneck.app.folders import Folders
from bottleneck.app.served_models import ServedModels
from bottleneck.app.session_files import SessionFiles
from bottleneck.app.study.page_study import PageStudy, Updates
from bottleneck.app.study.study_events import StudyEvents

Event = Callable[[PageStudy, str, Mapping[str, Any]], AsyncIterator[Updates]]


class Page:
    """The parts of the tab of one page, with the properties that events gave them."""

    def __init__(self, events: StudyEvents, key: str = "page") -> None:
        self.events, self.key = events, key
        self.study = PageStudy()
        self.parts: dict[str, dict[str, Any]] = {}
        self.texts: list[str] = []

    def press(self, event: Event, **values: Any) -> None:
        """Let an event run to its end."""
        asyncio.run(self.watch(event, lambda: None, values))

    async def watch(
        self, event: Event, look: Callable[[], None], values: Mapping[str, Any]
    ) -> None:
        """Let an event run to its end, and call a function after each of its updates."""
        async for updates in event(self.study, self.key, values):
            for name, properties in updates.items():
                self.parts.setdefault(name, {}).update(properties)
                self.texts.append(str(properties.get("value", "")))
            look()

    def text(self, name: str) -> str:
        return str(self.parts[name]["value"])

    def is_visible(self, name: str) -> bool:
        return bool(self.parts.get(name, {}).get("visible"))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two classes with a folder for each of five patients."""
    for number in range(10):
        label = ("benign", "malignant")[number % 2]
        make_images(tmp_path / "data/scans" / label / f"P{number}", 2, first=2 * number)
    return tmp_path / "data/scans"


@pytest.fixture
def settings(scans: Path, tmp_path: Path) -> Iterator[AppSettings]:
    sessions = SessionFiles()
    yield AppSettings(
        models=ServedModels(),
        folders=Folders([scans.parent]),
        sessions=sessions,
        work_folder=tmp_path / "work",
    )
    sessions.close_all()


@pytest.fixture
def page(settings: AppSettings) -> Page:
    return Page(StudyEvents(settings))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "choose a folder of pictures"),
        ("/etc", "is outside the folders that the app may read"),
        ("{scans}/../../..", "is outside the folders that the app may read"),
        ("{scans}/none", "does not exist"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(
    page: Page, scans: Path, source: str, message: str
) -> None:
    page.press(page.events.read, source=source.format(scans=scans))
    assert message in page.text("read_message")
    assert "bn-problem" in page.text("read_message")
    assert page.study.summary is None


def test_a_page_that_lost_its_steps_says_so(page: Page) -> None:
    for name in ("extract", "compare", "keep"):
        page.press(getattr(page.events, name))
        assert "read the pictures again" in page.text(f"{name}_message")
        assert page.parts[f"{name}_run"] == {"interactive": True}


def test_a_page_whose_files_are_gone_can_be_used_again(page: Page, settings: AppSettings) -> None:
    settings.sessions.close_all()
    page.press(page.events.read, source="phantom")
    assert "the app is ending" in page.text("read_message")
    assert page.parts["read_run"] == {"interactive": True}


def test_other_pictures_hide_the_steps_that_follow(page: Page) -> None:
    page.press(page.events.read, source="/none")
    for name in ("extract", "compare", "report", "keep"):
        assert page.parts[f"{name}_group"] == {"visible": False}


def test_a_pattern_needs_pictures(page: Page) -> None:
    page.press(page.events.preview, patient_pattern="P")
    assert "Read the pictures first" in page.text("preview")
    page.press(page.events.preview, patient_pattern="")
    assert page.text("preview") == ""


@pytest.mark.slow
def test_patients_are_shown_while_their_pattern_is_typed(page: Page, scans: Path) -> None:
    page.press(page.events.read, source=str(scans))
    assert "patients are unknown" in page.text("read_message")
    assert page.text("patient_pattern").startswith("^[^/]+/(?P<patient>")
    assert page.parts["more"] == {"open": True}
    page.press(page.events.preview, patient_pattern=page.text("patient_pattern"))
    assert "10 patients in 20 pictures" in page.text("preview")
    page.press(page.events.preview, patient_pattern="P(")
    assert "not a regular expression" in page.text("preview")
    page.press(page.events.preview, patient_pattern="P[0-4]")
    assert "does not match 10 of 20 pictures" in page.text("preview")
    page.press(page.events.preview, patient_pattern="((.|.)+)+!")
    assert "takes too long" in page.text("preview")


@pytest.mark.slow
def test_from_a_folder_to_a_model_that_predicts(
    page: Page, scans: Path, settings: AppSettings
) -> None:
    events = page.events
    page.press(events.read, source=str(scans), patient_pattern=r"P\d+")
    assert "20 pictures of 10 patients" in page.text("read_message")
    page.press(events.offer)
    (*_, (label, random)) = page.parts["network"]["choices"]
    assert label.startswith("resnet18, random weights")
    assert page.is_visible("extract_group")

    def cancel() -> None:
        if page.study.running and page.study.running.progress:
            events.cancel(page.study)

    asyncio.run(page.watch(events.extract, cancel, {"network": random}))
    assert "Cancelled. The features that were computed are kept" in page.text("extract_message")
    assert not page.is_visible("compare_group")
    page.press(events.extract, network=random)
    assert "20 rows of 512 features" in page.text("extract_message")
    assert page.parts["positive"] == {"choices": ["benign", "malignant"], "value": "malignant"}

    chosen = {"positive": "malignant", "at_sensitivity": 0.8, "with_pictures": False}
    page.press(events.compare, heads=[], **chosen)
    assert "choose at least one classifier" in page.text("compare_message")
    page.press(events.compare, heads=["knn"], **chosen)
    assert page.is_visible("report_group")
    assert "sandbox" in page.text("report")
    with zipfile.ZipFile(page.text("download")) as archive:
        assert "report-scans/report.html" in archive.namelist()

    page.press(events.keep, arm="knn")
    (name,) = settings.models.names
    assert name in page.text("keep_message")
    assert "for a sensitivity of 0.8" in page.text("keep_message")
    assert not page.is_visible("keep_cancel")
    # What came before another data set is not shown with it.
    page.press(events.read, source="phantom")
    assert not page.is_visible("compare_group")
    assert not page.is_visible("keep_group")


@pytest.mark.slow
def test_a_page_that_is_closed_ends_its_step(page: Page, settings: AppSettings) -> None:
    page.press(page.events.read, source="phantom")
    page.press(page.events.offer)
    network = page.parts["network"]["choices"][-1][1]

    def close() -> None:
        if page.study.running and page.study.running.progress:
            settings.sessions.close(page.key)

    asyncio.run(page.watch(page.events.extract, close, {"network": network}))
    assert page.study.running is None
    assert page.study.features is None
    assert repr(settings.sessions) == "<SessionFiles 0 open>"


@pytest.mark.slow
def test_a_prediction_that_was_stopped_stops_no_step(page: Page, settings: AppSettings) -> None:
    settings.sessions[page.key].stop.set()
    page.press(page.events.read, source="phantom")
    assert page.study.summary is not None


@pytest.mark.slow
def test_one_step_of_a_page_runs_at_a_time(page: Page, scans: Path) -> None:
    other = Page(page.events)
    other.study = page.study

    async def both() -> None:
        values = {"source": str(scans)}
        first = page.watch(page.events.read, lambda: None, values)
        second = other.watch(page.events.read, lambda: None, values)
        await asyncio.gather(first, second)

    asyncio.run(both())
    assert "another step of this page is running" in other.text("read_message")
    assert "20 pictures" in page.text("read_message")
