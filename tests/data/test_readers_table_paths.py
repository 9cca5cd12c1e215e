"""The files that the paths in a table name."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck.data.readers import load_dataset
from bottleneck.errors import DataError

NFC, NFD = (
    (lambda text: unicodedata.normalize("NFC", text)),
    (lambda text: unicodedata.normalize("NFD", text)),
)


def write(root, *names):
    """Write files that contain their own path."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(path))
    return root


def table(folder, *paths, ids=()):
    folder.mkdir(parents=True, exist_ok=True)
    head = "path,label,id\n" if ids else "path,label\n"
    rows = [f'"{path}",a{"," + ids[n] if ids else ""}\n' for n, path in enumerate(paths)]
    (folder / "clinic.csv").write_text(head + "".join(rows), encoding="utf-8")
    return folder / "clinic.csv"


def contents(dataset):
    return [Path(os.fsdecode(dataset.read(sample))) for sample in dataset.samples]


def ids(dataset):
    return [sample.id for sample in dataset.samples]


def test_absolute_paths_are_read_wherever_they_are(tmp_path):
    write(tmp_path, "scans/a.png", "scans/deep/b.png", "mine/c.png")
    scans, mine = tmp_path / "scans", tmp_path / "mine"
    dataset = load_dataset(table(mine, f"{scans}/a.png", f"/{scans}//deep/./b.png", mine / "c.png"))
    assert contents(dataset) == [scans / "a.png", scans / "deep/b.png", mine / "c.png"]
    assert ids(dataset) == [f"{scans}/a.png", f"{scans}/deep/b.png", "c.png"]
    assert dataset.notes == (f"2 images outside {mine}, in {scans}, such as '{scans}/a.png'",)
    assert dataset.excluded == {}


def test_paths_above_the_table_are_read(tmp_path):
    write(tmp_path, "scans/a.png", "mine/c.png")
    dataset = load_dataset(table(tmp_path / "mine", "../scans/a.png", "x/../../mine/c.png"))
    assert contents(dataset) == [tmp_path / "scans/a.png", tmp_path / "mine/c.png"]
    assert ids(dataset) == ["../scans/a.png", "c.png"]
    assert dataset.notes == (
        f"1 image outside {tmp_path}/mine, in {tmp_path}/scans, such as '../scans/a.png'",
    )


def test_one_file_by_two_paths_is_refused(tmp_path):
    write(tmp_path, "mine/c.png")
    path = table(tmp_path / "mine", "c.png", tmp_path / "mine/c.png")
    with pytest.raises(DataError, match=r"line 3: 'c.png' is already in line 2"):
        load_dataset(path)


def test_links_of_a_table_are_read_and_their_folder_is_named(tmp_path):
    write(tmp_path, "scans/a.png", "scans/deep/b.png", "mine/c.png", "mine/sub/d.png")
    mine = tmp_path / "mine"
    (mine / "images").symlink_to(tmp_path / "scans")
    (mine / "b.png").symlink_to("../scans/deep/b.png")
    (mine / "d.png").symlink_to("sub/d.png")
    dataset = load_dataset(table(mine, "images/a.png", "b.png", "c.png", "d.png"))
    assert contents(dataset) == [
        tmp_path / name
        for name in ("scans/a.png", "scans/deep/b.png", "mine/c.png", "mine/sub/d.png")
    ]
    assert dataset.notes == (
        f"2 images outside {mine}, in {tmp_path}/scans, such as 'images/a.png'",
    )


def test_two_dots_after_a_link_are_those_of_the_file_system(tmp_path):
    write(tmp_path, "far/right/x.png", "far/a.png", "mine/a.png")
    (tmp_path / "mine" / "link").symlink_to(tmp_path / "far" / "right")
    (expected,) = [tmp_path / "far/a.png"]
    assert (tmp_path / "mine" / "link/../a.png").read_bytes() == os.fsencode(expected)
    assert contents(load_dataset(table(tmp_path / "mine", "link/../a.png"))) == [expected]


MOVED = [
    "/home/anna/scans/{}",
    "C:\\data\\scans\\{}",
    "D:/scans/{}",
    "\\\\nas\\share\\scans\\{}",
]


@pytest.mark.parametrize("written", MOVED)
@pytest.mark.parametrize("below", ["", "scans"])
def test_absolute_paths_of_another_computer(tmp_path, written, below):
    names = ["p1/001.png", "p2/001.png", "p2/002.png"]
    write(tmp_path / "new" / below, *names)
    separator = "\\" if "\\" in written else "/"
    path = table(tmp_path, *(written.format(name.replace("/", separator)) for name in names))
    dataset = load_dataset(path, images=tmp_path / "new")
    assert contents(dataset) == [tmp_path / "new" / below / name for name in names]
    assert ids(dataset) == [f"{below}/{name}".strip("/") for name in names]
    (note,) = dataset.notes
    assert note.startswith(f"3 images read below {tmp_path}/new, without the beginning '")


def test_moved_files_of_one_name_are_not_mistaken_for_each_other(tmp_path):
    write(tmp_path / "new", "001.png")
    path = table(tmp_path, "/old/p1/001.png", "/old/p2/001.png")
    with pytest.raises(DataError, match=r"none of the 2 images in clinic.csv exists"):
        load_dataset(path, images=tmp_path / "new")


def test_the_longest_tail_of_a_moved_path_counts(tmp_path):
    write(tmp_path / "new", "a/1.png", "1.png", "a/2.png", "2.png")
    dataset = load_dataset(table(tmp_path, "/old/a/1.png", "/old/a/2.png"), images=tmp_path / "new")
    assert ids(dataset) == ["a/1.png", "a/2.png"]


@pytest.mark.parametrize("written", MOVED)
def test_absolute_paths_of_another_computer_say_what_to_do(tmp_path, written):
    path = table(tmp_path / "mine", written.format("a.png"))
    with pytest.raises(DataError, match=r"must exist on this computer. .* 'scans/a.png' with"):
        load_dataset(path)
    with pytest.raises(DataError, match=r"on this computer, or end below --images. "):
        load_dataset(path, images=tmp_path)
    write(tmp_path / "mine", "scans/a.png")
    with pytest.raises(DataError, match=f"'scans/a.png' in .*pass --images {tmp_path}/mine$"):
        load_dataset(path)


@pytest.mark.parametrize(
    ("path", "images", "remedy"),
    [
        ("a.png", "mine", "mine/scans"),
        ("scans/a.png", "mine/scans", "mine"),
        ("ü.png", "mine", "mine/x"),
    ],
)
def test_relative_paths_that_begin_in_another_folder_say_which(tmp_path, path, images, remedy):
    write(tmp_path, "mine/scans/a.png", NFD("mine/x/ü.png"))
    written = table(tmp_path / "mine", path)
    with pytest.raises(DataError, match=f"pass --images {tmp_path}/{remedy}$"):
        load_dataset(written, images=tmp_path / images)
    assert len(load_dataset(written, images=tmp_path / remedy)) == 1


@pytest.mark.parametrize("name", ["scans\\a.png", ".\\scans\\a.png", "x\\..\\scans/a.png"])
def test_backslashes_are_separators_where_the_file_exists_so(tmp_path, name):
    write(tmp_path, "scans/a.png", "literal\\b.png")
    dataset = load_dataset(table(tmp_path, name, "literal\\b.png"))
    assert ids(dataset) == ["scans/a.png", "literal\\b.png"]
    assert [path.name for path in contents(dataset)] == ["a.png", "literal\\b.png"]
    assert dataset.notes == (
        "1 image with a path that differs from the table in '\\' for '/', such as 'scans/a.png'",
    )


words = st.text(
    st.sampled_from("aA1 -_.(üÜéñşệåΩ각ガ")
    | st.characters(categories=("Lu", "Ll", "Lo"), max_codepoint=0x2FFF),
    min_size=1,
    max_size=8,
).map(lambda text: f"x{text}")


@settings(max_examples=60)
@given(
    names=st.lists(st.tuples(words, words), min_size=1, max_size=5),
    on_disk=st.sampled_from([NFC, NFD]),
    in_table=st.sampled_from([NFC, NFD]),
    suffix=st.sampled_from([".png", ".PNG", ".Png"]),
)
def test_names_match_in_either_unicode_form_and_case_of_the_suffix(
    tmp_path_factory, names, on_disk, in_table, suffix
):
    names = list({NFC(f"{folder}/{name}"): None for folder, name in names})
    root = tmp_path_factory.mktemp("forms")
    write(root, *(on_disk(name) + ".png" for name in names))
    dataset = load_dataset(table(root, *(in_table(name) + suffix for name in names)))
    assert contents(dataset) == [root / f"{on_disk(name)}.png" for name in names]
    assert ids(dataset) == [in_table(name) + suffix for name in names]
    n_forms = sum(on_disk(name) != in_table(name) for name in names)
    noted = [int(note.split()[0]) for note in dataset.notes if "Unicode" in note]
    assert noted == ([n_forms] if n_forms else [])
    assert any("case of the suffix" in note for note in dataset.notes) == (suffix != ".png")


def test_the_file_as_written_comes_first(tmp_path):
    write(tmp_path, NFC("ü.png"), NFD("ü.png"), "a.PNG", "a.png")
    written = [NFD("ü.png"), NFC("ü.png"), "a.PNG", "a.png"]
    dataset = load_dataset(table(tmp_path, *written))
    assert [path.name for path in contents(dataset)] == written
    assert not any("differs from the table" in note for note in dataset.notes)


@pytest.mark.parametrize("names", [("a.PNG", "a.Png"), (NFD("ü") + ".PNG", "ü.PNG")])
def test_two_files_that_match_are_refused_with_both_names(tmp_path, names):
    write(tmp_path, *names)
    with pytest.raises(DataError) as caught:
        load_dataset(table(tmp_path, f"{NFC(names[0][:-4])}.png"))
    assert all(ascii(name) in str(caught.value) for name in names)
    assert "clinic.csv, line 2" in str(caught.value)


@pytest.mark.parametrize("names", [("a.png", "a.PNG"), ("ü.png", NFD("ü.png"))])
def test_two_spellings_of_one_file_are_refused(tmp_path, names):
    write(tmp_path, names[0])
    with pytest.raises(DataError, match="are spellings of one file; delete one"):
        load_dataset(table(tmp_path, *names))
    assert len(load_dataset(table(tmp_path, *names, ids=("1", "2")))) == 2


def test_paths_without_suffix_are_explained(tmp_path):
    write(tmp_path, "scans/a.png")
    with pytest.raises(DataError, match=r"There is 'scans/a\.png': write paths like this"):
        load_dataset(table(tmp_path, "scans/a"))


@pytest.mark.parametrize("name", ["A.png", "b.jpeg", "ab.png", "a.png.PNG", "a"])
def test_other_names_do_not_match(tmp_path, name):
    write(tmp_path, "a.png", "b.jpg", "c.png")
    dataset = load_dataset(table(tmp_path, name, "c.png"))
    assert not (tmp_path / dataset.samples[0].source).exists()


def test_a_folder_is_listed_once(tmp_path, monkeypatch):
    write(tmp_path, *(f"{NFD('ü')}{n}.png" for n in range(50)))
    listed = []
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: listed.append(self) or iterdir(self))
    path = table(tmp_path, *(f"ü{n}.png" for n in range(50)))
    assert len(load_dataset(path)) == 50
    assert len(listed) == 1
