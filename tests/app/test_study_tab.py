"""The study tab in a browser, from a folder of pictures to a model in the other tab."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from made import make_images
from webdriver import Browser, needs_driver, open_browser

from bottleneck.app.running_app import start_app

# In seconds, on a busy machine.
LONG = 300


def text_of(browser: Browser, name: str) -> str:
    return str(browser.run(f"return document.querySelector('#study-{name}')?.innerText ?? ''"))


def press(browser: Browser, name: str) -> None:
    """Press a button as soon as it can be pressed."""
    button = f"document.querySelector('button#study-{name}')"
    browser.wait(f"return {button} && !{button}.disabled", LONG)
    browser.run(f"{button}.scrollIntoView({{block: 'center'}}); {button}.click()")


def write(browser: Browser, name: str, text: str) -> None:
    """Type into a field, and leave it."""
    field = browser.find(f"#study-{name} :is(input, textarea)")
    browser.call("POST", f"{field}/clear")
    browser.call("POST", f"{field}/value", {"text": f"{text}\ue007"})


def wait_for(browser: Browser, name: str, text: str) -> None:
    part = f"document.querySelector('#study-{name}')"
    browser.wait(f"return {part} && {part}.innerText.includes({text!r})", LONG)


def measure_overflow(browser: Browser) -> int:
    """Return how many pixels the page is wider than its window."""
    return int(browser.run("return document.documentElement.scrollWidth - innerWidth"))


@pytest.mark.slow
# Gradio counts its events with an option of pandas that pandas 3 announces to go.
@pytest.mark.filterwarnings("ignore:.*future.no_silent_downcasting")
@needs_driver
def test_a_newcomer_needs_no_terminal(tmp_path: Path) -> None:
    for number in range(10):
        label = ("benign", "malignant")[number % 2]
        make_images(tmp_path / "data/scans" / label, 2, first=2 * number)
        for path in sorted((tmp_path / "data/scans" / label).glob("0*.png")):
            path.rename(path.with_name(f"P{number}_{path.name}"))
    with (
        start_app(folders=[tmp_path / "data"], work_folder=tmp_path) as app,
        open_browser(tmp_path) as browser,
    ):
        browser.open(app.url)
        browser.wait("return document.querySelectorAll('button[role=tab]').length > 1")
        browser.run("document.querySelectorAll('button[role=tab]')[1].click()")
        browser.wait("return document.querySelector('#study-source input')")

        write(browser, "source", "/etc")
        press(browser, "read")
        wait_for(browser, "read-message", "outside the folders")
        write(browser, "source", str(tmp_path / "data/scans"))
        press(browser, "read")
        wait_for(browser, "read-message", "20 pictures of unknown patients")

        browser.run(
            "[...document.querySelectorAll('button')]"
            ".find(b => b.innerText.includes('Patients and columns')).click()"
        )
        browser.wait("return document.querySelector('#study-pattern textarea')?.offsetParent")
        write(browser, "pattern", r"(P\d+)_")
        wait_for(browser, "preview", "10 patients in 20 pictures")
        press(browser, "read")
        wait_for(browser, "read-message", "20 pictures of 10 patients")

        press(browser, "extract")
        wait_for(browser, "extract-message", "20 rows of")
        command = browser.run(
            "return document.querySelector('#study-extract-command textarea').value"
        )
        assert f"bottleneck extract {tmp_path / 'data/scans'}" in command
        heads = "document.querySelectorAll('#study-heads input:checked')"
        browser.run(f"{heads}.forEach((box, number) => number && box.click())")  # One is enough.
        press(browser, "compare")
        browser.wait("return document.querySelector('iframe.study-report')", LONG)
        for width in (1200, 420):
            browser.resize(width, 900)
            assert measure_overflow(browser) <= 0
        press(browser, "keep")
        wait_for(browser, "keep-message", "It is in the tab Predict now")
        (name,) = app.settings.models.names
        assert name in text_of(browser, "keep-message")
        hosts = {urlsplit(url).hostname for url in browser.requests() if url.startswith("http")}
        assert hosts == {"127.0.0.1"}
    assert [path.name for path in (tmp_path / "models").iterdir()] == [f"{name}.skops"]
