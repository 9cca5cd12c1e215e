"""``bottleneck.toml``: its keys, its paths and the messages about mistakes."""

import os
from pathlib import Path

import pytest

from bottleneck.errors import UsageError
from bottleneck.files.temporary import own_folder
from bottleneck.settings.config import Configuration, DatasetTable, cache_folder, read_configuration


def write(folder: Path, text: str) -> Path:
    (folder / "bottleneck.toml").write_text(text, encoding="utf-8")
    return folder


def test_no_file_is_an_empty_configuration(tmp_path):
    assert read_configuration(tmp_path) == Configuration(dataset=None)


def test_every_key_is_read(tmp_path):
    folder = write(
        tmp_path,
        """
        [dataset]
        path = "data/labels.csv"
        positive = "malignant"
        patient_pattern = '(\\d+)_'
        crop = true
        space = "ras"
        size_mm = 50
        negatives = 0.004
        merge_folds = true
        name = "clinic-a"
        [dataset.columns]
        path = "image"
        """,
    )
    assert read_configuration(folder).dataset == DatasetTable(
        path=tmp_path / "data" / "labels.csv",
        columns={"path": "image"},
        patient_pattern=r"(\d+)_",
        positive="malignant",
        crop=True,
        space="ras",
        size_mm=50.0,
        negatives=0.004,
        merge_folds=True,
        name="clinic-a",
    )


def test_the_current_folder_is_the_default(tmp_path, monkeypatch):
    write(tmp_path, "[dataset]\npath = 'scans'")
    monkeypatch.chdir(tmp_path)
    assert read_configuration().dataset == DatasetTable(path=tmp_path / "scans")


def test_an_absolute_path_stays(tmp_path):
    elsewhere = (tmp_path / "elsewhere").as_posix()
    dataset = read_configuration(write(tmp_path, f"[dataset]\npath = '{elsewhere}'")).dataset
    assert dataset is not None
    assert dataset.path == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[datset]\npath = 'x'", "did you mean 'dataset'"),
        (
            "[dataset]\npath = 'x'\npostive = 'm'",
            "unknown key of dataset 'postive'; did you mean 'positive'",
        ),
        ("[dataset]\npositive = 'm'", "the key 'dataset.path' is missing"),
        ("[dataset]\npath = ''", "dataset.path must be the path of a file or folder, not ''"),
        ("[dataset]\npath = 3", "dataset.path must be the path of a file or folder, not 3"),
        ("[dataset]\npath = 'x'\ncrop = 'yes'", "dataset.crop must be true or false"),
        ("[dataset]\npath = 'x'\ncolumns = 'image'", "dataset.columns must be a table"),
        (
            "[dataset]\npath = 'x'\n[dataset.columns]\npath = 1",
            "columns.path must be a string, not 1",
        ),
        ("dataset = 'x'", "dataset must be a table"),
        ("[dataset", "cannot be read"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    with pytest.raises(UsageError, match=r"bottleneck\.toml") as caught:
        read_configuration(write(tmp_path, text))
    assert message in str(caught.value)


def test_a_file_that_is_not_utf8_is_an_error(tmp_path):
    (tmp_path / "bottleneck.toml").write_bytes("[dataset]\npath = 'é'".encode("latin-1"))
    with pytest.raises(UsageError, match="cannot be read"):
        read_configuration(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_the_folder_for_caches_is_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder().is_relative_to(tmp_path / "home")
    assert cache_folder().stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/none")
    monkeypatch.setenv("HOME", "/dev/null")
    assert cache_folder() == own_folder()
