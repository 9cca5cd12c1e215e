from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bottleneck.app.session_files import (
    SessionFiles,
    delete_uploads,
    receiving_upload,
    uploads_folder,
)
from bottleneck.errors import UsageError


@pytest.fixture
def sessions() -> Iterator[SessionFiles]:
    made = SessionFiles()
    yield made
    made.close_all()


def upload(name: str, content: str, digest: str | None = None) -> Path:
    """Write a file as a server does that names its folder after the content."""
    folder = uploads_folder() / (digest or secrets.token_hex(8))
    folder.mkdir(exist_ok=True)
    new = folder / f"{name}.new"
    new.write_text(content)
    return new.rename(folder / name)


def test_a_page_has_the_files_of_its_last_upload_under_their_names(sessions: SessionFiles) -> None:
    page = sessions["a"]
    first = page.take([upload("x.png", "1"), upload("x.png", "2"), upload("y.png", "3")])
    assert [path.name for path in first] == ["x.png", "x (2).png", "y.png"]
    assert [path.read_text() for path in first] == ["1", "2", "3"]
    (second,) = page.take([upload("z.png", "4")])
    assert page.files == (second,)
    assert not any(path.exists() for path in first)


def test_closing_a_page_deletes_its_files_and_no_others(sessions: SessionFiles) -> None:
    sent = [upload("x.png", "1"), upload("x.png", "2")]
    (first,), (second,) = sessions["a"].take(sent[:1]), sessions["b"].take(sent[1:])
    sessions.close("a")
    assert not first.exists()
    assert not sent[0].exists()
    assert second.read_text() == "2"


def test_the_same_image_of_two_pages_is_deleted_with_each(sessions: SessionFiles) -> None:
    (first,) = sessions["a"].take([upload("x.png", "1", "same")])
    again = upload("x.png", "1", "same")
    sessions.close("a")
    (second,) = sessions["b"].take([again])
    assert (first.exists(), second.read_text()) == (False, "1")
    sessions.close("b")
    assert (again.exists(), second.exists()) == (False, False)


def test_files_that_were_not_uploaded_are_refused(sessions: SessionFiles, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_text("secret")
    inside = uploads_folder() / "link.png"
    inside.symlink_to(secret)
    for path in (secret, uploads_folder() / ".." / ".." / "x", inside):
        with pytest.raises(UsageError, match="was not uploaded"):
            sessions["a"].take([path])
    inside.unlink()


def test_an_upload_that_was_deleted_is_named(sessions: SessionFiles) -> None:
    path = upload("x.png", "1")
    path.unlink()
    with pytest.raises(UsageError, match=r"'x\.png' was deleted"):
        sessions["a"].take([path])


def test_pages_that_nobody_uses_are_closed() -> None:
    sessions = SessionFiles(most_idle=0.2)
    (path,) = sessions["a"].take([upload("x.png", "1")])
    latest = time.monotonic() + 20
    while path.exists() and time.monotonic() < latest:
        time.sleep(0.05)
    assert not path.exists()
    sessions.close_all()


def test_the_end_of_the_app_deletes_all_files_and_stops_what_runs(sessions: SessionFiles) -> None:
    page = sessions["a"]
    (path,) = page.take([upload("x.png", "1")])
    sessions.close_all()
    assert page.stop.is_set()
    assert not path.parent.parent.parent.exists()
    with pytest.raises(UsageError, match="is ending"):
        sessions["b"]


def test_an_upload_that_was_broken_off_is_deleted_and_one_that_runs_is_kept() -> None:
    whole = upload("x.png", "1")
    with contextlib.suppress(ConnectionError), receiving_upload():
        running = uploads_folder() / "tmp1"
        running.write_text("half of x")
        with receiving_upload():
            pass
        assert running.exists()
        raise ConnectionError
    assert (running.exists(), whole.exists()) == (False, True)
    delete_uploads()
    assert list(uploads_folder().iterdir()) == []


@pytest.mark.parametrize("key", [None, "", "../x", "a/b", "x" * 65])
def test_keys_that_are_none_of_a_page_are_refused(sessions: SessionFiles, key: str | None) -> None:
    with pytest.raises(UsageError, match="reload it"):
        sessions[key]
