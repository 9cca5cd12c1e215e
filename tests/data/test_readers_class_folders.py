"""Reader of a folder with one subfolder per class."""

import os
from pathlib import Path

import pytest

from bottleneck.data.readers import load_dataset
from bottleneck.errors import DataError, UsageError

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode(errors="surrogateescape"))
    return root


def ids(dataset):
    return [sample.id for sample in dataset.samples]


def test_subfolders_are_the_classes(tmp_path):
    root = touch(tmp_path / "scans", "malignant/b.PNG", "benign/deep/er/a.jpeg", "benign/c.tif")
    dataset = load_dataset(root)
    assert dataset.name == "scans"
    assert ids(dataset) == ["benign/c.tif", "benign/deep/er/a.jpeg", "malignant/b.PNG"]
    assert [s.label for s in dataset.samples] == ["benign", "benign", "malignant"]
    assert {s.group for s in dataset.samples} == {None}
    assert dataset.read(dataset.samples[0]) == b"benign/c.tif"


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp", "pgm", "ppm", "gif"]
)
def test_image_suffixes(tmp_path, suffix):
    root = touch(tmp_path, f"a/1.{suffix}", f"b/2.{suffix.upper()}")
    assert len(load_dataset(root)) == 2


def test_what_is_no_image_is_counted_and_clutter_is_not(tmp_path):
    root = touch(
        tmp_path,
        *("a/1.png", "b/2.png", "b/notes.txt", "readme", "3.png"),
        *("a/.hidden.png", "a/Thumbs.db", "__MACOSX/a/1.png", ".git/x.png"),
    )
    dataset = load_dataset(root)
    assert ids(dataset) == ["a/1.png", "b/2.png"]
    assert dataset.excluded == {"not an image file": 2, "image outside the class folders": 1}


def test_links_out_of_the_folder_are_left_out(tmp_path):
    outside = touch(tmp_path / "outside", "secret.png", "folder/x.png")
    root = touch(tmp_path / "scans", "a/1.png", "b/2.png")
    try:
        (root / "a" / "inside.png").symlink_to(root / "b" / "2.png")
    except OSError:
        pytest.skip("this system does not let us make symbolic links")
    (root / "a" / "out.png").symlink_to(outside / "secret.png")
    (root / "a" / "up.png").symlink_to("../../outside/secret.png")
    (root / "a" / "broken.png").symlink_to(root / "nothing.png")
    (root / "c").symlink_to(outside / "folder", target_is_directory=True)
    (root / "a" / "loop").symlink_to(root, target_is_directory=True)
    dataset = load_dataset(root)
    assert ids(dataset) == ["a/1.png", "a/inside.png", "b/2.png"]
    assert dataset.excluded == {
        "symbolic link that leaves the folder": 2,
        "broken link or special file": 1,
        "symbolic link to a folder": 2,
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_no_image(tmp_path):
    root = touch(tmp_path, "a/1.png", "b/2.png")
    os.mkfifo(root / "a" / "pipe.png")
    assert load_dataset(root).excluded == {"broken link or special file": 1}


def test_fixed_splits_are_not_taken_for_classes(tmp_path):
    root = touch(
        tmp_path, "train/ill/1.png", "train/well/2.png", "Valid/ill/3.png", "test/ill/deep/4.png"
    )
    dataset = load_dataset(root)
    assert dataset.classes == ("ill", "well")
    assert {s.id: s.split for s in dataset.samples} == {
        "Valid/ill/3.png": "val",
        "test/ill/deep/4.png": "test",
        "train/ill/1.png": "train",
        "train/well/2.png": "train",
    }
    assert dataset.notes == ("the folders Valid, test, train are used as fixed splits",)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "contains no file"),
        (["a/1.pdf", "a/2.pdf", "b/3.txt"], "2 × .pdf, 1 × .txt"),
        (["1.png", "2.png"], "its 2 images are directly in it"),
        (["train/1.png", "test/2.png"], "directly in its split folders"),
        (["1.png", "labels.csv"], "pass it instead"),
        (["images/1.png", "images/2.png", "labels.csv"], "pass it instead"),
    ],
)
def test_folders_without_classes_are_refused_with_advice(tmp_path, paths, message):
    with pytest.raises(DataError) as caught:
        load_dataset(touch(tmp_path, *paths))
    assert message in str(caught.value)


def test_one_class_is_refused(tmp_path):
    with pytest.raises(DataError, match="has only one class, 'archive'"):
        load_dataset(touch(tmp_path, "archive/1.png", "archive/deep/2.png"))


def test_folders_of_systems_are_no_classes(tmp_path):
    names = ["@eaDir/1.png/THUMB.jpg", "$RECYCLE.BIN/1.png", "a/@eaDir/1.png/THUMB.jpg"]
    names += ["System Volume Information/1.png", "lost+found/1.png", "#recycle/1.png"]
    dataset = load_dataset(touch(tmp_path, "a/1.png", "b/2.png", "a/desktop.ini", *names))
    assert ids(dataset) == ["a/1.png", "b/2.png"]
    assert dataset.excluded == {}


@pytest.mark.parametrize("word", ["_tumor", "-roi", " - Copy", "_rot90"])
def test_images_with_the_name_of_another_and_a_word_get_a_note(tmp_path, word):
    names = [f"{a}/{n}{w}.png" for a in "ab" for n in range(3) for w in ("", word)]
    (note,) = load_dataset(touch(tmp_path / "x", *names)).notes
    assert f"6 images with the name of another and a word, such as 'a/0{word}.png'" in note
    series = [f"{a}/{n}_{k}.png" for a in "ab" for n in range(3) for k in range(3)]
    assert load_dataset(touch(tmp_path / "y", *series), examinations="none").notes == ()


def test_missing_and_unreadable_folders(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="Pass a folder with one subfolder per class"):
        load_dataset(tmp_path / "nowhere")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    # Permissions do not bind the superuser, so the refusal is played.
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="Permission denied"):
        load_dataset(touch(tmp_path, "a/1.png"))


def test_hostile_names_are_data(tmp_path):
    names = ["a/<script>alert(1)<.png", "a/\x1b[31mred.png", "b/ünï'\".png", "b/-rf.png"]
    dataset = load_dataset(touch(tmp_path, *names))
    assert set(ids(dataset)) == set(names)


@pytest.mark.parametrize("name", ["a/two\nlines.png", "a/caf\udce9.png"])
def test_names_that_no_table_can_hold_are_refused(tmp_path, name):
    try:
        root = touch(tmp_path, name, "b/1.png")
    except OSError:
        pytest.skip("this file system refuses such names itself")
    with pytest.raises(DataError, match="rename it"):
        load_dataset(root)


@pytest.mark.parametrize(
    ("pattern", "patients"),
    [
        (r"P\d+", ["P1", "P1", "P22"]),
        (r"(P\d+)_(\d)", ["P1", "P1", "P22"]),
        (r"(P)(?P<patient>\d+)", ["1", "1", "22"]),
        (r"^([^/]+)/", ["ill", "ill", "well"]),
    ],
)
def test_patients_from_the_path(tmp_path, pattern, patients):
    root = touch(tmp_path, "ill/P1_1.png", "ill/P1_2.png", "well/P22_1.png")
    dataset = load_dataset(root, patient_pattern=pattern)
    assert [s.group for s in dataset.samples] == patients


@pytest.mark.parametrize(
    ("pattern", "note"),
    [
        (r"P\d+", None),
        (r"P", "makes all 3 images one patient"),
        (r"P\d+_\d", "makes each of 3 images a patient of its own"),
    ],
)
def test_patterns_that_tell_no_patients_apart_or_all_images(tmp_path, pattern, note):
    root = touch(tmp_path, "ill/P1_1.png", "ill/P1_2.png", "well/P22_1.png")
    notes = " ".join(load_dataset(root, patient_pattern=pattern).notes)
    assert (note in notes) if note else ("patient pattern" not in notes)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"P\d+", r"match 'well/x.png' \(1 of 3 images do not match\)"),
        (r"(P\d+)|x", r"match 'well/x.png' \(1 of 3"),
        (r"(Z?)", r"3 of 3"),
        (r"(P\d+", "is not a regular expression"),
    ],
)
def test_patterns_that_do_not_fit(tmp_path, pattern, message):
    root = touch(tmp_path, "ill/P1_1.png", "ill/P1_2.png", "well/x.png")
    with pytest.raises(UsageError, match=message):
        load_dataset(root, patient_pattern=pattern)


@pytest.mark.shared
@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the folder of real images is not beside the checkout"
)
def test_real_ud_tn():
    dataset = load_dataset(SHARED / "data" / "ud-tn")
    assert (dataset.name, len(dataset), dataset.classes) == ("ud-tn", 25, ("benign", "malignant"))
    assert sum(s.label == "malignant" for s in dataset.samples) == 13
    assert dataset.excluded == {}
    assert all(dataset.read(s).startswith(b"\xff\xd8") for s in dataset.samples)
