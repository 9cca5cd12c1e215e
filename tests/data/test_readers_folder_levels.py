"""Which level of nested folders is the class, which the patient, and which the split."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.folders.folder_levels import find_levels
from bottleneck.errors import DataError

CLASSES = [
    ("benign", "malignant"),
    ("Normal", "Tumor"),
    ("0_neg", "1_pos"),
    ("TI-RADS 3", "TI-RADS 4"),
]
PATIENTS = ["p{}", "{:04}", "Patient {}", "case_{:03}", "1.2.840.{}", "anna{}"]


def make(root, paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def fields(dataset, *names):
    return [tuple(getattr(sample, name) for name in names) for sample in dataset.samples]


@settings(max_examples=100)
@given(
    classes=st.sampled_from(CLASSES),
    name=st.sampled_from(PATIENTS),
    of=st.lists(st.sampled_from([(0,), (1,), (0, 1)]), min_size=2, max_size=12).filter(
        lambda of: len(set().union(*of)) == 2
    ),
    n=st.integers(1, 3),
    deeper=st.sampled_from(["", "series1/", "left/"]),
    split=st.booleans(),
)
def test_classes_below_patients(classes, name, of, n, deeper, split):
    paths = [
        f"{('train/', 'test/')[number % 2] if split else ''}{name.format(number)}/{classes[c]}/"
        f"{deeper}{image}.png"
        for number, chosen in enumerate(of)
        for c in chosen
        for image in range(n)
    ]
    levels = find_levels(paths)
    assert (levels.split, levels.label, levels.above) == (
        (0, 2, "group") if split else (None, 1, "group")
    )


@settings(max_examples=25)
@given(
    classes=st.sampled_from([*CLASSES, ("A", "B"), ("x", "y", "z")]),
    name=st.sampled_from(PATIENTS),
    n_patients=st.integers(2, 12),
    renumbered=st.booleans(),
    split=st.booleans(),
)
def test_patients_below_classes(tmp_path_factory, classes, name, n_patients, renumbered, split):
    root = tmp_path_factory.mktemp("data")
    paths = [
        f"{'train/' * split}{label}/{name.format(number + (0 if renumbered else 100 * c))}/{i}.png"
        for c, label in enumerate(classes)
        for number in range(n_patients + len(classes))
        for i in range(2)
    ]
    dataset = load_dataset(make(root, paths))
    assert dataset.classes == tuple(sorted(classes))
    assert dataset.n_groups is None
    (note,) = [note for note in dataset.notes if "--patient-pattern" in note]
    patterns = re.findall(r"'(\^[^']*)'", note)
    assert len(patterns) == 1 + renumbered
    # The last pattern tells all patients apart that a folder tells apart.
    named = load_dataset(root, patient_pattern=patterns[-1])
    assert named.n_groups == (n_patients + len(classes)) * len(classes)
    if renumbered:
        named = load_dataset(root, patient_pattern=patterns[0])
        assert named.n_groups == n_patients + len(classes)


def test_patients_come_from_the_folders_above_the_classes(tmp_path):
    root = make(tmp_path, ["p1/benign/a.png", "p1/benign/b.png", "p2/malignant/c.png"])
    dataset = load_dataset(root)
    assert fields(dataset, "label", "group") == [
        ("benign", "p1"),
        ("benign", "p1"),
        ("malignant", "p2"),
    ]
    assert "the inner folders (benign, malignant), below 2 folders such as 'p1'" in dataset.notes[0]
    assert dataset.notes[1] == "patients: the folders above the classes"
    # A pattern that the user states comes first.
    dataset = load_dataset(root, patient_pattern=r"([a-c])\.png")
    assert fields(dataset, "label", "group") == [
        ("benign", "a"),
        ("benign", "b"),
        ("malignant", "c"),
    ]


@pytest.mark.parametrize("name", ["P{:03}", "{}"])
def test_many_folders_with_the_same_few_are_patients(name):
    paths = [f"{name.format(n)}/{'ab'[n % 2]}/1.png" for n in range(12)]
    assert find_levels(paths).above == "group"
    names = ["Anna", "Bert", "Carl", "Dora", "Emil", "Fritz"]
    assert find_levels([f"{n}/{'ab'[i % 2]}/1.png" for i, n in enumerate(names)]).above == "group"


@pytest.mark.parametrize(
    ("outer", "inner", "reason"),
    [
        (["P1", "P2", "P3"], ["a", "b"], "several contain the same"),
        ([f"P{n}" for n in range(9)], ["left", "right"], "several contain the same"),
        (["Anna", "Bert", "Carl", "Dora", "Emil", "Fritz"], ["a", "b"], "several contain the same"),
        (["nevus1", "keratosis"], ["siteA", "siteB"], None),
        (["benign", "malignant", "normal"], ["siteA", "siteB"], None),
        (["benign", "malignant"], ["images"], None),
        ([f"TI-RADS {n}" for n in range(1, 6)], ["a"], None),
        (["train", "test", "extra"], ["a", "b"], "since extra is not a split"),
        (["trainval-image", "test-image"], ["a", "b"], "If they are splits"),
    ],
)
def test_other_folders_stay_classes_and_doubts_are_noted(outer, inner, reason):
    levels = find_levels([f"{a}/{b}/{n}.png" for a in outer for b in inner for n in range(2)])
    assert (levels.label, levels.above) == (0, None)
    assert any(reason in note for note in levels.notes) if reason else levels.notes == ()


def test_numbered_folders_as_classes_are_doubted(tmp_path):
    (note,) = find_levels([f"p{n}/1.png" for n in range(12)]).notes
    assert "the 12 folders, such as 'p0', are read as classes" in note
    (note,) = find_levels(
        [f"p{n}/s{n % 2}/{'benign' if n % 3 else 'normal'}/1.png" for n in range(9)]
    ).notes
    assert "two levels below are named like classes (benign, normal)" in note
    dataset = load_dataset(make(tmp_path / "malignant", ["p1/1.png", "p2/1.png"]))
    assert "the folder is called 'malignant': if it is one of the classes" in dataset.notes[0]


def test_centres_and_folds_above_the_classes(tmp_path):
    paths = [f"site{a}/{b}/1.png" for a in "AB" for b in ("benign", "malignant")]
    dataset = load_dataset(make(tmp_path / "one", paths))
    assert fields(dataset, "centre", "label", "group")[1] == ("siteA", "malignant", None)
    paths = [f"fold{a}/{b}/1.png" for a in range(5) for b in "xy"]
    dataset = load_dataset(make(tmp_path / "two", paths))
    assert fields(dataset, "fold", "label", "group")[1] == ("fold0", "y", None)


def test_splits_below_the_classes(tmp_path):
    paths = [f"{a}/{b}/{n}.png" for a in "AB" for b in ("Train", "test") for n in range(2)]
    dataset = load_dataset(make(tmp_path, paths))
    assert fields(dataset, "label", "split")[:3] == [("A", "train"), ("A", "train"), ("A", "test")]
    assert dataset.notes == ("the folders Train, test below the classes are used as fixed splits",)
    dataset = load_dataset(make(tmp_path, ["A/x.png"]))
    assert not dataset.names("split")
    assert "are not used as fixed splits, since 1 image" in dataset.notes[0]


@pytest.mark.parametrize(
    ("paths", "remedy"),
    [
        (["BUSI/benign/1.png", "BUSI/malignant/2.png"], "if benign/ and malignant/ are classes"),
        (["images/a/1.png", "images/b/2.png", "masks/a/1.png"], "if a/ and b/ are classes"),
        (["archive/1.png", "archive/2.png"], "pass the folder that contains archive/"),
        (["train/a/1.png", "test/a/2.png"], "pass the folder that contains a/"),
        (["p1/benign/1.png", "p2/benign/2.png"], "a table with the columns path and label"),
    ],
)
def test_one_class_is_refused(tmp_path, paths, remedy):
    with pytest.raises(DataError, match=r"has only one class, .* Expected one subfolder") as caught:
        load_dataset(make(tmp_path / "data", paths))
    assert remedy in str(caught.value)


def test_one_class_in_a_table_is_read(tmp_path):
    make(tmp_path, ["a/1.png", "a/2.png"])
    (tmp_path / "t.csv").write_text("path,label\na/1.png,malignant\na/2.png,malignant\n")
    assert load_dataset(tmp_path / "t.csv").classes == ("malignant",)


@pytest.mark.parametrize("above", [("trn", "tst"), ("inside", "outside"), ("2019", "2020")])
def test_few_folders_with_every_class_are_no_patients(tmp_path, above):
    paths = [f"{a}/{b}/{n}.png" for a in above for b in ("benign", "malignant") for n in range(2)]
    dataset = load_dataset(make(tmp_path, paths))
    assert dataset.classes == ("benign", "malignant")
    assert dataset.n_groups is None
    assert f"2 folders such as '{above[0]}', which are not used" in dataset.notes[0]


def test_a_class_that_is_a_link_is_named_where_one_class_is_refused(tmp_path):
    make(tmp_path, ["data/benign/1.png", "far/malignant/2.png"])
    (tmp_path / "data" / "malignant").symlink_to(tmp_path / "far" / "malignant")
    with pytest.raises(DataError, match="has only one class, 'benign'") as caught:
        load_dataset(tmp_path / "data")
    assert "Symbolic links left out: 1 to folders, such as 'malignant'" in str(caught.value)
