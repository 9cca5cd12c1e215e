"""Loading of a data set by path, by name or from ``bottleneck.toml``."""

from pathlib import Path

import pytest

from bottleneck.data.readers import load_dataset
from bottleneck.errors import DataError, UsageError


@pytest.fixture
def scans(tmp_path):
    for path in ("ill/P1_1.png", "ill/P1_2.png", "well/P2_1.png", "well/P3_1.png"):
        (tmp_path / "scans" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "scans" / path).write_bytes(b"x")
    return tmp_path / "scans"


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Make an empty folder the current one, so that no bottleneck.toml is found by chance."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def groups(dataset):
    return [sample.group for sample in dataset.samples]


def test_nothing_named_is_the_phantom_and_says_so(work):
    dataset = load_dataset()
    assert dataset.name == "phantom"
    assert dataset.notes[0] == "no data set named: using the embedded phantom"
    named = load_dataset("phantom")
    assert named.samples == dataset.samples
    assert "no data set named: using the embedded phantom" not in named.notes


def test_the_word_phantom_wins_over_a_folder_of_that_name(work, scans):
    scans.rename(work / "phantom")
    assert len(load_dataset("./phantom")) == len(load_dataset(Path("phantom"))) == 4
    assert len(load_dataset("phantom")) > 4


def test_the_file_names_the_data_set_and_its_options(work, scans):
    (work / "bottleneck.toml").write_text(
        "[dataset]\npath = '../scans'\npositive = 'ill'\npatient_pattern = 'P\\d+'\nname = 'ours'\n"
    )
    dataset = load_dataset()
    assert (dataset.name, dataset.positive, len(dataset)) == ("ours", "ill", 4)
    assert groups(dataset) == ["P1", "P1", "P2", "P3"]
    assert dataset.notes[0] == "data set named in bottleneck.toml: scans"


def test_explicit_options_win_over_the_file(work, scans):
    (work / "bottleneck.toml").write_text(
        "[dataset]\npath = '../scans'\npositive = 'ill'\npatient_pattern = 'P\\d+'\nname = 'ours'\n"
    )
    dataset = load_dataset(positive="well", patient_pattern="^[a-z]+", name="theirs")
    assert (dataset.name, dataset.positive) == ("theirs", "well")
    assert groups(dataset) == ["ill", "ill", "well", "well"]


def test_the_file_says_nothing_of_a_data_set_named_otherwise(work, scans):
    (work / "bottleneck.toml").write_text(
        "[dataset]\npath = 'elsewhere'\npositive = 'x'\ncrop = true\nname = 'ours'\n"
    )
    dataset = load_dataset(scans)
    assert (dataset.name, dataset.positive, dataset.notes) == ("scans", None, ())


def test_columns_and_crop_come_from_the_file(work, scans):
    (scans / "table.csv").write_text("image,label\nill/P1_1.png,ill\n")
    settings = "[dataset]\npath = '../scans/table.csv'\n[dataset.columns]\npath = 'image'\n"
    (work / "bottleneck.toml").write_text(settings)
    assert [s.id for s in load_dataset().samples] == ["ill/P1_1.png"]
    (work / "bottleneck.toml").write_text(settings.replace(".csv'\n", ".csv'\ncrop = true\n"))
    with pytest.raises(UsageError, match="no regions to crop"):
        load_dataset()


def test_a_table_in_the_folder_of_its_images(work, scans):
    (work / "mine.csv").write_text("path,label\nill/P1_1.png,a\nwell/P2_1.png,b\n")
    (work / "bottleneck.toml").write_text(
        '[dataset]\npath = "mine.csv"\nimages = "../scans"\npositive = "a"\n'
    )
    dataset = load_dataset(columns={})
    assert [dataset.read(s) for s in dataset.samples] == [b"x", b"x"]


def test_a_relative_path_outlives_the_current_folder(work, scans, monkeypatch):
    dataset = load_dataset("../scans")
    monkeypatch.chdir("/")
    assert dataset.name == "scans"
    assert dataset.read(dataset.samples[0]) == b"x"


def test_limit_keeps_whole_patients(scans):
    dataset = load_dataset(scans, patient_pattern=r"P\d+", limit=2)
    assert groups(dataset) == ["P1", "P1", "P2"]
    assert dataset.name == "scans-first2"


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("phantom", {"crop": True}, "the embedded data set, which has no regions"),
        ("phantom", {"columns": {"path": "x"}}, "embedded data set, which has no columns"),
        ("phantom", {"patient_pattern": "P"}, "already has patients"),
        ("scans", {"crop": True}, "these have: TN5000, DDTI"),
        ("scans", {"columns": {"path": "x"}}, "the reader 'folders', which has no columns"),
        ("scans", {"positive": "il"}, "did you mean 'ill'"),
        ("scans", {"limit": 0}, "from 1 to 1,000,000,000, not 0"),
        ("scans", {"name": "../up"}, "cannot name a file"),
        ("scans", {"name": ""}, "cannot name a file"),
        ("scans", {"name": ".hidden"}, "cannot name a file"),
        ("scans", {"name": "a\nb"}, "cannot name a file"),
    ],
)
def test_options_that_do_not_fit(scans, monkeypatch, source, options, message):
    monkeypatch.chdir(scans.parent)
    with pytest.raises(UsageError, match=message):
        load_dataset(source, **options)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("one.png", b"\x89PNG", "is a single image"),
        ("table.ods", b"PK\x03\x04", "is a spreadsheet in another format"),
        ("features.h5", b"\x89HDF\r\n\x1a\n\0\0\0", "not UTF-8 text"),
        ("empty.csv", b"", "is empty: its first line must name the columns"),
        ("empty.npz", b"", "cannot be read as .npz"),
        ("cut.npz", b"PK\x03\x04 and no more", "cannot be read as .npz"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path / name)


@pytest.mark.parametrize("source", ["nowhere", "a\0b", "nowhere/labels.csv"])
def test_paths_that_lead_nowhere(work, source):
    with pytest.raises(DataError, match=r"cannot be read: .* Pass a folder"):
        load_dataset(source)


def test_an_empty_path_is_not_the_current_folder(work, scans, monkeypatch):
    monkeypatch.chdir(scans)
    assert len(load_dataset(".")) == 4
    with pytest.raises(UsageError, match="is empty"):
        load_dataset("")
