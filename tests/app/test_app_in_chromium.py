"""The page in a browser: what two users see, and what leaves the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from made import make_images
from made_dicom import dicom
from webdriver import Browser, needs_driver, open_browser

pytest.importorskip("gradio", reason="the extra app is not installed")

import bottleneck
from bottleneck.app.running_app import RunningApp
from bottleneck.app.session_files import uploads_folder
from bottleneck.deploy.models.model import Model

pytestmark = [
    pytest.mark.slow,
    needs_driver,
    # Gradio counts its events with options of pandas that go in pandas 4.
    pytest.mark.filterwarnings("ignore:::gradio\\.queueing"),
]

_DROP = "#drop input[type=file]"


@pytest.fixture(scope="module")
def app(small_model: tuple[Model, Path]) -> Iterator[RunningApp]:
    model, features = small_model
    with bottleneck.start_app(model, features=features, quiet=True) as running:
        yield running


def rows(browser: Browser) -> str:
    return str(
        browser.wait(
            "return document.querySelector('.bn-picture') "
            "&& document.querySelector('.bn-table').innerText"
        )
    )


def test_two_users_see_their_own_pictures_which_go_with_the_page(
    app: RunningApp, tmp_path: Path
) -> None:
    make_images(tmp_path / "new", 2, first=300)
    first, second = sorted((tmp_path / "new").iterdir())
    scan, bad = tmp_path / "IM0001", tmp_path / "bad.png"
    scan.write_bytes(dicom(np.arange(24 * 24, dtype=np.uint8).reshape(24, 24)))
    bad.write_bytes(b"no image")
    with (
        open_browser(tmp_path / "one") as one,
        open_browser(tmp_path / "two", width=420) as two,
    ):
        for browser, files in ((one, [first, scan, bad]), (two, [second])):
            browser.open(app.url)
            browser.wait(f"return document.querySelector('{_DROP}')")
            browser.choose(_DROP, files)
        seen, other = rows(one), rows(two)
        assert all(name in seen for name in (first.name, "IM0001", "bad.png", "No prediction"))
        assert second.name in other
        assert second.name not in seen
        assert not any(name in other for name in (first.name, "IM0001", "bad.png"))
        one.run("document.querySelectorAll('[data-row] button')[1].click()")
        one.wait("return document.querySelector('.bn-picture h2').innerText == 'IM0001'")
        for browser in (one, two):
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
            browser.run("window.scrollTo(0, document.body.scrollHeight)")
            top, bottom = browser.run(
                "const box = document.querySelector('.bn-notice').getBoundingClientRect();"
                "return [box.top, box.bottom]"
            )
            assert 0 <= top < bottom < 200
            hosts = {urlsplit(url).netloc for url in browser.requests() if url[:4] == "http"}
            assert hosts == {urlsplit(app.url).netloc}
        sessions = app.settings.sessions
        assert repr(sessions) == "<SessionFiles 2 open>"
        two.open("about:blank")
        one.wait("return true")
        for _ in range(100):
            if repr(sessions) == "<SessionFiles 1 open>":
                break
            one.run("return new Promise(done => setTimeout(done, 100))")
        assert [path.name for path in uploads_folder().rglob("*.png")] == [first.name, bad.name]
