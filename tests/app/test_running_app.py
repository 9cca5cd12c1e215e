from __future__ import annotations

import socket
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit

import pytest

pytest.importorskip("gradio", reason="the extra app is not installed")

import bottleneck
from bottleneck.app.session_files import uploads_folder
from bottleneck.deploy.models.model import Model
from bottleneck.errors import MissingExtraError, UsageError


def begin_upload(address: SplitResult, length: int) -> None:
    """Send 300 kB of a picture, and say that the upload has a length in bytes."""
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="scan.png"\r\n\r\n'
    end = b"\r\n--x--\r\n"
    content = head.ljust(300_000 - len(end), b"0") + end
    with socket.create_connection((address.hostname, address.port)) as browser:
        browser.sendall(
            f"POST {address.path}gradio_api/upload HTTP/1.1\r\nHost: {address.netloc}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: {length}\r\n\r\n".encode()
        )
        browser.sendall(content if length == len(content) else content[:-100])
        time.sleep(1)


@pytest.mark.slow
def test_the_app_answers_on_this_machine_and_ends(
    small_model: tuple[Model, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    with bottleneck.start_app(small_model[0], quiet=True) as app:
        with urllib.request.urlopen(app.url) as answer:
            page = answer.read().decode()
        address = urlsplit(app.url)
        assert address.hostname == "127.0.0.1"
        with pytest.raises(HTTPError, match="403"):
            urllib.request.urlopen(f"http://{address.netloc}/")
        assert "For research use only" in page
        with socket.socket() as other, pytest.raises(OSError, match="refused"):
            other.connect(("127.0.0.2", address.port))
        folder = app.settings.sessions["page"].folder
        assert folder.is_dir()
        for length in (300_000, 600_000):  # The second says that there is more, and breaks off.
            begin_upload(address, length)
            latest = time.monotonic() + 20
            while not any(uploads_folder().rglob("scan.png")) and time.monotonic() < latest:
                time.sleep(0.02)
        latest = time.monotonic() + 20
        while any(uploads_folder().glob("tmp*")) and time.monotonic() < latest:
            time.sleep(0.02)
        assert [path.name for path in uploads_folder().iterdir() if path.is_file()] == []
    assert not folder.exists()
    assert not any(uploads_folder().iterdir())
    assert "Traceback" not in capfd.readouterr().err
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(app.url)


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} is in use"):
            bottleneck.start_app(port=port, quiet=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 0}, "the port must be"),
        ({"show_training_images": "yes"}, "show_training_images"),
        ({"folders": ["missing"]}, "'missing' is not an existing folder"),
        ({"licence_policy": "free"}, "licence policy"),
    ],
)
def test_options_are_checked(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        bottleneck.start_app(quiet=True, **options)


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bottleneck.app.running_app.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"bottleneck-features\[app\]"):
        bottleneck.start_app()


def test_uploads_are_for_this_user_only() -> None:
    assert uploads_folder().stat().st_mode & 0o077 == 0
    assert uploads_folder().parent.stat().st_mode & 0o077 == 0
