"""Reader of a table of images: columns, dialects, paths and repeated rows."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.manifest import read_manifest
from bottleneck.errors import BottleneckError, DataError, UsageError

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture
def write(tmp_path):
    """Write a table, and the images a.png to d.png in its folder."""
    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(name.encode())

    def write_table(text, name="clinic.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write_table


def test_every_column_is_read(write):
    path = write(
        "path,label,patient,split,fold,centre,id,comment\n"
        "a.png,ill,P1,Training,1,Ulm,one,x\n"
        "b.png,well,P2,validation,2,Bonn,two,\n"
        "c.png,well,P2,TEST,2,,,\n"
    )
    dataset = load_dataset(path)
    assert dataset.name == "clinic"
    fields = [
        (s.id, s.source, s.label, s.group, s.split, s.fold, s.centre) for s in dataset.samples
    ]
    assert fields == [
        ("one", "a.png", "ill", "P1", "train", "1", "Ulm"),
        ("two", "b.png", "well", "P2", "val", "2", "Bonn"),
        ("c.png", "c.png", "well", "P2", "test", "2", None),
    ]
    assert dataset.read(dataset.samples[1]) == b"b"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_dialects(write, delimiter, encoding, end):
    rows = ["path,label", 'a.png,"ill, very; so\tmuch"', "b.png , wéll "]
    text = end.join(row.replace(",", delimiter, 1) for row in rows) + end
    dataset = load_dataset(write(text, encoding=encoding))
    assert [s.label for s in dataset.samples] == ["ill, very; so much", "wéll"]


def test_images_in_another_folder(write, tmp_path):
    table = tmp_path / "mine" / "clinic.csv"
    table.parent.mkdir()
    table.write_text(f"path,label\nb.png,ill\n{tmp_path}/c.png,well\n")
    (tmp_path / "link").symlink_to(tmp_path)
    for images in (tmp_path, str(tmp_path), table.parent / "..", tmp_path / "link"):
        dataset = load_dataset(table, images=images)
        assert [s.id for s in dataset.samples] == ["b.png", "c.png"]
        assert [dataset.read(s) for s in dataset.samples] == [b"b", b"c"]
    with pytest.raises(UsageError, match=r"--images: the folder '.*/nowhere' does not exist"):
        load_dataset(table, images=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="the reader 'folders', which has no folder of images"):
        load_dataset(tmp_path, images=tmp_path)


def test_rows_that_stand_twice(write):
    head = "path,label\na.png,x\nb.png,x\n"
    with pytest.raises(DataError, match=r"with the same fields. Ids must be unique .*: delete one"):
        load_dataset(write(head + "a.png,x\n"))
    with pytest.raises(DataError, match="with other fields; 1 other id also repeated"):
        load_dataset(write(head + "a.png,y\nb.png,x\n"))


def test_a_summary(write):
    dataset = load_dataset(write("path,label,patient\na.png,x,1\nb.png,y,1\nc.png,x,\nd.png,,2\n"))
    said = "clinic: 3 images of 2 patients (1 without a name); x 2, y 1; left out: 1 × no label"
    assert dataset.summary == said
    assert " ".join(repr(dataset).split()) == f"<ImageDataset {said}>"
    alone = load_dataset(write("path,label\na.png,x\n"))
    assert alone.summary == "clinic: 1 image of unknown patients; x 1"


def test_other_column_names(write):
    path = write("image,class,case\na.png,ill,7\nb.png,well,8\n")
    dataset = load_dataset(path, columns={"path": "image", "label": "class", "patient": "case"})
    assert [(s.id, s.label, s.group) for s in dataset.samples] == [
        ("a.png", "ill", "7"),
        ("b.png", "well", "8"),
    ]


def test_a_missing_column_lists_the_present_ones_and_the_option(write):
    path = write("image,label\na.png,ill\n")
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    assert "its columns are: image, label" in str(caught.value)
    assert "--path-column NAME (in Python: columns={'path': NAME})" in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": "imagge"}, "did you mean 'image'"),
        ({"fold": "fold"}, "--fold-column 'fold'"),
        ({"patients": "image"}, "did you mean 'patient'"),
    ],
)
def test_columns_that_do_not_exist(write, columns, message):
    with pytest.raises(UsageError, match=message):
        load_dataset(write("image,label\na.png,ill\n"), columns=columns)


def test_rows_without_label_or_path_are_counted(write):
    dataset = load_dataset(write("path,label\na.png,ill\nb.png,\nc.png,  \n,well\n\nd.png\n"))
    assert [s.id for s in dataset.samples] == ["a.png"]
    assert dataset.excluded == {"no label": 3, "no path": 1}


def test_a_row_without_a_patient_is_its_own(write):
    dataset = load_dataset(
        write("path,label,patient\na.png,ill,P1\nb.png,well,\nc.png,well,\nd.png,ill,P1\n")
    )
    assert dataset.n_groups == 3
    assert dataset.samples[0].group == dataset.samples[3].group == "P1"
    assert [s.group for s in dataset.samples[1:3]] == [None, None]


def test_an_empty_patient_column_names_no_patient(write):
    dataset = load_dataset(write("path,label,patient\na.png,ill,\nb.png,well,\n"))
    assert dataset.n_groups is None
    assert dataset.notes == ()


def test_patients_can_come_from_the_path(write):
    path = write("path,label\na.png,ill\nb.png,well\n")
    assert [s.group for s in load_dataset(path, patient_pattern=r"^\w").samples] == ["a", "b"]
    path = write("path,label,patient\na.png,ill,P1\n")
    with pytest.raises(UsageError, match="already has patients"):
        load_dataset(path, patient_pattern=r"^\w")


def test_a_patient_may_be_seen_at_two_centres(write):
    dataset = load_dataset(
        write("path,label,patient,centre\na.png,ill,P1,Ulm\nb.png,ill,P1,Bonn\n")
    )
    assert [(s.group, s.centre) for s in dataset.samples] == [("P1", "Ulm"), ("P1", "Bonn")]


def test_one_image_may_be_listed_under_several_ids(write):
    path = write("id,path,label\n1,a.png,ill\n2,a.png,ill\n")
    assert [(s.id, s.source) for s in load_dataset(path).samples] == [
        ("1", "a.png"),
        ("2", "a.png"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.png,x\nb.png,x\na.png,x\n", "line 4: 'a.png' is already in line 2"),
        ("path,label\na.png,x\n./a.png,x\n", "line 3: 'a.png' is already in line 2"),
        ("id,path,label\n1,a.png,x\n1,b.png,x\n", "line 3: '1' is already in line 2"),
        ("path,label,split\na.png,x,holdout\n", "line 2: unknown split 'holdout'; known: train,"),
        ("path,label\na.png,x,y\n", "line 2: 3 fields, but the header has 2"),
        ("path,label,label\na.png,x,y\n", "several columns 'label'"),
        ("path,label\nnot-there.png,x\n", "none of the 1 images"),
        ("path,label\n" + "long" * 100 + ",x\n", "none of the 1 images"),
        ("path,label\na.png,\n", "contains no images; left out: 1 × no label"),
        ("path,label\n", "contains no images"),
        ("", "is empty: its first line must name the columns"),
        ('path,label\na.png,"x\n', "a double quote may be left open"),
        ('path,label,id\na.png,x,"two\nlines"\n', "contains a line break"),
        ("path,label\na.png,x\0y\n", "contains NUL bytes"),
        ("path,label\n" + "a" * 200_000 + ",x\n", "field larger than field limit"),
    ],
)
def test_broken_tables_name_the_line(write, text, message):
    with pytest.raises(DataError) as caught:
        load_dataset(write(text))
    assert message in str(caught.value)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_other_encodings_are_refused(write, encoding):
    with pytest.raises(DataError, match="not UTF-8 text"):
        load_dataset(write("path,label\na.png,bösartig\n", encoding=encoding))


@pytest.mark.parametrize("stem", ["labels", "Manifest", "train", "metadata"])
def test_a_general_file_name_gives_way_to_the_folder(write, stem):
    path = write("path,label\na.png,ill\n", name=f"{stem}.csv")
    assert load_dataset(path).name == path.parent.name


def test_html_is_kept_and_control_characters_are_not_part_of_a_name(write):
    path = write("path,label,patient,id\na.png,<b>&,\x1b[31m,<script>\n")
    sample = load_dataset(path).samples[0]
    assert (sample.label, sample.group, sample.id) == ("<b>&", "[31m", "<script>")


@settings(max_examples=100)
@given(content=st.binary(max_size=200))
def test_any_bytes_give_a_data_set_or_a_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "x.csv"
    path.write_bytes(content)
    with pytest.raises(BottleneckError):
        load_dataset(path)


cells = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).map(
    lambda text: f"x{text}x"  # space around a cell is dropped on purpose
)


# Each is its own canonical form, and none differs from another in case or spaces alone.
names = st.text('abc0é,;|"<', min_size=1, max_size=8).map(lambda text: f"x{text}x")


@settings(max_examples=100)
@given(
    rows=st.lists(st.tuples(cells, names, names), min_size=1, max_size=6, unique_by=lambda r: r[0])
)
def test_what_a_csv_writer_wrote_is_read_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("round")
    (folder / "a.png").touch()
    with (folder / "x.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "path", "label", "patient"])
        writer.writerows([i, "a.png", label, patient] for i, label, patient in rows)
    samples = read_manifest(folder / "x.csv").samples
    assert [(s.id, s.label, s.group) for s in samples] == rows


@pytest.mark.shared
@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the folder of real images is not beside the checkout"
)
def test_real_ddti_crops():
    path = SHARED / "data" / "ddti-crops" / "labels.csv"
    dataset = load_dataset(path, columns={"path": "image", "fold": "radimagenet_fold"})
    assert (dataset.name, len(dataset), dataset.n_groups) == ("ddti-crops", 456, 290)
    assert Counter(s.label for s in dataset.samples) == {"malignant": 386, "benign": 70}
    assert dataset.excluded == {}
    image, patient, _, _, label, fold = zip(
        *[line.split(",") for line in path.read_text().splitlines()[1:]], strict=True
    )
    assert tuple(s.source for s in dataset.samples) == image
    assert tuple(s.group for s in dataset.samples) == patient
    assert tuple(s.label for s in dataset.samples) == label
    assert tuple(s.fold for s in dataset.samples) == fold
    assert all(dataset.read(s).startswith(b"\x89PNG") for s in dataset.samples[:5])


def test_a_row_that_is_no_image_gets_a_note(write):
    rows = "path,label,patient\na.png,ill,1\nb.png,well,2\nTotal,2,\n"
    assert load_dataset(write(rows)).notes == (
        "no image of the class '2' exists, such as 'Total'. Delete the rows that are not images, "
        "and correct the paths of the others",
    )
    one_missing = rows.replace("Total,2", "e.png,ill")
    assert load_dataset(write(one_missing)).notes == ()


def test_patients_in_the_first_of_their_rows_only_get_a_note(write):
    rows = ["a.png,ill,1", "b.png,ill,", "c.png,well,2", "d.png,well,"]
    (note,) = load_dataset(write("\n".join(["path,label,patient", *rows]))).notes
    assert note.startswith("2 images without a patient, while each patient has one image")
    rows[1] += "1"
    assert load_dataset(write("\n".join(["path,label,patient", *rows]))).notes == ()
