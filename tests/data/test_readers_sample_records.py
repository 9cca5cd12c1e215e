"""Data sets of samples in Python are the same as a table of them; what is none has a message."""

from __future__ import annotations

import dataclasses
import decimal
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import make_images
from PIL import Image

from bottleneck import ImageDataset, Sample, load_dataset
from bottleneck.data.images.decode import decode
from bottleneck.data.samples.sample_table import SampleTable
from bottleneck.data.sources.image_sources import MemorySource
from bottleneck.errors import BottleneckError, DataError, UsageError
from bottleneck.features.rows import row_key

ROWS = [
    {"path": f"{n:03d}.png", "label": ("benign", "malignant")[n // 2 % 2], "patient": f"P{n // 2}"}
    for n in range(8)
]
SAMPLES = [Sample(r["path"], r["path"], r["label"], r["patient"]) for r in ROWS]
ANY = {f"{n}.png": b"x" for n in range(9)}


@pytest.fixture
def scans(tmp_path):
    make_images(tmp_path / "scans", 8)
    return tmp_path / "scans"


@pytest.mark.parametrize(
    "given",
    [
        ROWS,
        SAMPLES,
        pd.DataFrame(ROWS),
        (row for row in ROWS),
        [*ROWS[:4], *SAMPLES[4:]],
        [dataclasses.asdict(sample) for sample in SAMPLES],
        pd.DataFrame(SAMPLES),
        pd.DataFrame(ROWS, index=["x"] * 8).astype("category"),
        pd.DataFrame(ROWS).convert_dtypes(),
        pd.DataFrame(ROWS).set_index("patient"),
        pd.DataFrame(ROWS).set_index("patient", drop=False),
        pd.DataFrame(ROWS, index=pd.RangeIndex(8, name="row")).set_index(
            ["patient", "label"], append=True
        ),
    ],
    ids=[
        *("dicts", "samples", "frame", "generator", "mixed", "fields", "fields-frame", "odd", "NA"),
        *("patients-index", "index-and-column", "levels"),
    ],
)
def test_samples_of_every_kind_are_the_table_of_them(scans, given):
    pd.DataFrame(ROWS).to_csv(scans / "table.csv", index=False)
    table = load_dataset(scans / "table.csv")
    made = ImageDataset.from_samples(given, name="table", images=scans)
    assert (made.fingerprint, list(made.samples)) == (table.fingerprint, list(table.samples))
    assert [made.read(s) for s in made.samples] == [table.read(s) for s in table.samples]


def test_paths_are_found_as_those_of_a_table(scans, monkeypatch):
    absolute = [{**row, "path": scans / row["path"]} for row in ROWS]
    respelled = [{**row, "path": row["path"].replace(".png", ".PNG")} for row in ROWS]
    expected = ImageDataset.from_samples(ROWS, name="x", images=str(scans))
    monkeypatch.chdir(scans)
    for given in (absolute, respelled):
        made = ImageDataset.from_samples(given, name="x")
        assert [s.source for s in made.samples] == [s.source for s in expected.samples]
    assert "the letter case of the suffix" in made.notes[0]
    with pytest.raises(DataError, match=r"none of the 8 images exists, for example '000\.png'"):
        ImageDataset.from_samples(ROWS, name="x", images=scans.parent)


def test_values_of_a_table_in_python_are_those_of_its_text(tmp_path):
    """What pandas writes to CSV and our reader reads is what the same DataFrame gives directly."""
    images = {f"{n}.png": b"x" for n in range(6)}
    for name in images:
        (tmp_path / name).write_bytes(b"x")
    frame = pd.DataFrame(
        {
            "path": list(images),
            "label": [0, 1, 0, 1, 1, 0],
            "patient": [7, np.nan, 8, 12, 12, 7],
            "fold": ["a", None, "b", "a", pd.NA, "NA"],
            "split": ["training", "TEST", "val", "dev", "test", "Train"],
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    made = ImageDataset.from_samples(frame, name="t", images=tmp_path, positive=1)
    assert list(made.samples) == list(load_dataset(tmp_path / "t.csv").samples)
    assert made.positive == "1"
    gaps = frame.assign(label=frame["label"].where(frame.index > 0))
    assert ImageDataset.from_samples(gaps, name="t", images=tmp_path).excluded == {"no label": 1}


def test_regions_and_text_of_numpy_become_plain():
    sample = Sample(np.str_("a"), "0.png", np.str_("x"), region=np.array([0, -2, 9, 9]))
    (kept,) = ImageDataset.from_samples([sample], name="n", images=ANY).samples
    assert kept == Sample("a", "0.png", "x", region=(0, 0, 9, 9))
    assert {type(kept.id), type(kept.label), *map(type, kept.region)} == {str, int}


@pytest.mark.parametrize("region", [(-1, 0, 9, 9), (0, -1, 9, 9), (-5, -5, 9, 9)])
def test_a_region_that_begins_outside_is_the_one_within(region):
    """Files of features have -1 for the whole image: a region is never taken for it."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 15), np.uint8)
    samples = [Sample(n, "0.png", "x", region=r) for n, r in (("a", region), ("b", (0, 0, 9, 9)))]
    made = ImageDataset.from_samples(
        [*samples, Sample("c", "0.png", "x")], name="n", images={"0.png": pixels}
    )
    crop, same, whole = (row_key("hash", sample) for sample in made.samples)
    assert crop == same != whole


def test_columns_by_other_names_and_those_that_are_not_used():
    frame = pd.DataFrame({"file": ["0.png", "1.png"], "dx": ["a", "b"], "mrn": ["1", "2"]})
    how = {"name": "n", "images": ANY}
    made = ImageDataset.from_samples(frame, columns={"path": "file", "label": "dx"}, **how)
    assert "'mrn' of the DataFrame looks like the patient, but is not used" in made.notes[0]
    assert "not used: 'mrn'" in made.notes[1]
    columns = {"path": "file", "label": "dx", "patient": "mrn"}
    assert ImageDataset.from_samples(frame, columns=columns, **how).n_groups == 2


def test_many_samples_are_kept_on_disk():
    made = ImageDataset.from_samples(
        (Sample(str(n), "0.png", "ab"[n % 2]) for n in range(10_001)), name="n", images=ANY
    )
    assert isinstance(made.samples, SampleTable)
    assert made.class_counts == {"a": 5001, "b": 5000}


@pytest.mark.parametrize(
    "pixels",
    [
        np.random.default_rng(0).integers(0, 256, (9, 12), np.uint8),
        np.random.default_rng(1).integers(0, 256, (9, 12, 3), np.uint8),
        np.random.default_rng(1).integers(0, 256, (9, 12, 3), np.uint8)[::-1, ::2],
        np.random.default_rng(2).integers(0, 65536, (9, 12), np.uint16),
        np.random.default_rng(2).integers(0, 65536, (9, 12), np.uint16).astype(">u2"),
    ],
)
def test_pixels_in_memory_lose_nothing(pixels):
    pixels = np.repeat(pixels, 2, axis=1)
    pixels.setflags(write=False)
    images = {"0.png": pixels}
    made = ImageDataset.from_samples([Sample("a", "0.png", "x")], name="n", images=images)
    data = made.read(made.samples[0])
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), pixels)
    if pixels.dtype == np.uint8:
        images["0.png"] = Image.fromarray(pixels)
        assert made.read(made.samples[0]) == data
        rgb = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1)
        assert np.array_equal(np.asarray(decode(data)), rgb)


@pytest.mark.parametrize("kind", ["path", "open", "in memory"])
def test_an_archive_is_a_source(tmp_path, scans, kind):
    encoded = io.BytesIO()
    with zipfile.ZipFile(encoded, "w") as archive:
        for path in sorted(scans.iterdir())[1:]:
            archive.write(path, path.name)
    place = tmp_path / "a.zip"
    place.write_bytes(encoded.getvalue())
    images = place if kind == "path" else zipfile.ZipFile(place if kind == "open" else encoded)
    made = ImageDataset.from_samples(ROWS, name="n", images=images)
    if kind != "in memory":
        assert made.notes == ("1 image absent from the archive of images, such as '000.png'",)
        made = pickle.loads(pickle.dumps(made))
    assert made.read(made.samples[2]) == (scans / "002.png").read_bytes()
    with pytest.raises(DataError):
        made.read(made.samples[0])
    if kind != "path":
        images.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
def test_processes_read_an_archive_side_by_side(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for n in range(200):
            archive.writestr(f"{n}.png", bytes([n]) * 5000)
    rows = [{"path": f"{n}.png", "label": "x"} for n in range(200)]
    made = ImageDataset.from_samples(rows, name="n", images=tmp_path / "a.zip")
    assert made.read(made.samples[0])[:1] == b"\0"

    def wrong() -> int:
        images = [made.read(sample) for _ in range(5) for sample in made.samples]
        return sum(data != bytes([n % 200]) * 5000 for n, data in enumerate(images))

    child = os.fork()
    if not child:
        os._exit(min(wrong(), 1))
    assert wrong() == 0
    assert os.waitpid(child, 0)[1] == 0


class Returns:
    def __init__(self, value):
        self.value = value

    def read(self, name):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "its source returned NoneType, not the bytes"),
        ("text", "its source returned str"),
        (np.zeros((9, 9)), "its source returned ndarray"),
        (KeyError("x"), "cannot be read: KeyError: 'x'"),
        (RuntimeError("a\nb"), "cannot be read: RuntimeError: a b"),
        (UsageError("no"), "cannot be read: UsageError: no"),
    ],
)
def test_a_source_that_gives_no_bytes(value, message):
    made = ImageDataset.from_samples([Sample("a", "b", "c")], name="n", images=Returns(value))
    with pytest.raises(DataError, match=message):
        made.read(made.samples[0])


def test_a_source_that_gives_a_buffer():
    for value in (bytearray(b"x"), memoryview(b"x")):
        made = ImageDataset.from_samples([Sample("a", "b", "c")], name="n", images=Returns(value))
        assert made.read(made.samples[0]) == b"x"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((9, 9)), r"type float64 and shape \(9, 9\); expected uint8"),
        (np.zeros((9, 9, 3), np.uint16), r"type uint16 and shape \(9, 9, 3\)"),
        (np.zeros((3, 9, 9), np.uint8), r"shape \(3, 9, 9\)"),
        (np.zeros((0, 9), np.uint8), r"shape \(0, 9\)"),
        (np.zeros((9, 9), bool), "type bool"),
        (np.ma.masked_equal(np.ones((9, 9), np.uint8), 0), "a masked array"),
        (Image.new("P", (9, 9)), r"mode P; .* image\.convert"),
        (Image.new("RGBA", (9, 9)), "mode RGBA"),
        ([[0, 1]], "list in place of an image"),
        (None, "NoneType in place of an image"),
        ("0.png", "str in place of an image"),
    ],
)
def test_what_is_no_image_in_memory(image, message):
    made = ImageDataset.from_samples([Sample("a", "b", "c")], name="n", images={"b": image})
    with pytest.raises(DataError, match=message):
        made.read(made.samples[0])


def row(**fields):
    return {"path": "0.png", "label": "x", **fields}


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([], {}, "contains no images"),
        (pd.DataFrame(columns=["path", "label"]), {}, "contains no images"),
        ("scans", {}, "samples is 'scans'; load_dataset reads a path"),
        (Path("scans"), {}, "load_dataset reads a path"),
        (7, {}, "samples is int; expected Sample objects"),
        (None, {}, "samples is NoneType"),
        (Sample("a", "0.png", "x"), {}, "as a list or generator"),
        (row(), {}, "samples is dict; .* as a list or generator"),
        ([Sample], {}, r"samples\[0\] is <class .*Sampl.* \(type\); expected Sample objects"),
        ([row(), ("0.png", "x")], {}, r"samples\[1\] is \('0.png', 'x'\) \(tuple\)"),
        (np.zeros((2, 2)), {}, r"samples\[0\] is array\(\[0., 0.\]\) \(ndarray\)"),
        ([{"label": "x"}], {}, "has no column 'path'; its columns are: label"),
        (pd.DataFrame({"path": ["a"], "dx": ["x"]}), {}, "has no column 'label'.*'dx' looks like"),
        ([row(), row(label=0.5)], {}, r"samples\[1\]: the label 0.5 is a number with decimals"),
        ([row(patient=1e17)], {}, r"samples\[0\]: the patient 1e\+17 has so many digits"),
        ([row(patient=b"P1")], {}, r"the patient b'P1' is bytes, not text: write it as text"),
        ([row(fold=[1])], {}, r"the fold \[1\] is list, not text"),
        ([row(patient=pd.Timestamp("2020"))], {}, "is Timestamp, not text"),
        ([row(patient=decimal.Decimal(7))], {}, "is Decimal, not text"),
        ([row(path=7)], {}, "the path 7 is int, not text"),
        ([row(patient=10**5000)], {}, "the patient <int object> is int, not text"),
        ([Sample(10**5000, "0.png", "x")], {}, "the id <int object> is not text but int"),
        ([row(split="tset")], {}, r"samples\[0\]: unknown split 'tset'"),
        ([row(region="1,2,3,4")], {}, "the region '1,2,3,4' of the sample '0.png' is not a box"),
        ([row(region=(1, 2, 3))], {}, "is not a box: expected whole numbers"),
        ([row(region=(5, 2, 3, 9))], {}, "is not a box"),
        ([row(region=(0, 0, 1.5, 9))], {}, "is not a box"),
        ([row(region=(True, 0, 5, 9))], {}, "is not a box"),
        (
            [row(label="unknown"), *[row(id=str(n)) for n in range(9)]],
            {},
            "is 'unknown', the label",
        ),
        ([row(), row()], {}, "several samples have the id '0.png'"),
        ([row(id="a", label="x\0")], {}, "contains a line break or NUL"),
        ([row(id="a\nb")], {}, "line break"),
        ([row(id="\ud800")], {}, "not UTF-8"),
        ([row(id="a" * 1001)], {}, "the limit is 1,000"),
        ([row(patient="007"), row(id="b", patient="7")], {}, "differ only in leading zeros"),
        ([Sample(1, "0.png", "x")], {}, "the id 1 is not text but int: write it as text, such as"),
        ([Sample(None, "0.png", "x")], {}, r"the id of the sample None is missing \(None\)"),
        ([Sample("", "0.png", "x")], {}, "the id of the sample '' is empty"),
        ([Sample("a", "0.png", None)], {}, "the label of the sample 'a' is missing"),
        (
            [Sample("a", "0.png", "")],
            {},
            "1 image has the label '', which means that there is none",
        ),
        ([Sample("a", "0.png", float("nan"))], {}, "the label nan of the sample 'a' is not text"),
        ([Sample("a", "0.png", "x", 7)], {}, "the group 7 of the sample 'a' is not text but int"),
        ([Sample("a", "0.png", "x", split="Train")], {}, "the split 'Train' of the sample 'a'"),
        ([Sample("a", Path("0.png"), "x")], {}, "the source .* of the sample 'a' is not text"),
        ([row()], {"columns": {"path": "file"}}, "unknown column of a dict of samples"),
        ([row()], {"columns": {"file": "path"}}, "unknown column role 'file'"),
        ([row()], {"columns": ["path"]}, "columns must be a dict"),
        ([row()], {"name": ""}, "cannot name a file"),
        ([row()], {"name": 7}, "the name of a data set must be text, not 7"),
        ([row()], {"positive": "y"}, "unknown positive label 'y'"),
        ([row()], {"positive": ["x"]}, r"the positive label must be text, not \['x'\]"),
        ([row()], {"images": "nowhere"}, "the folder of the images 'nowhere' does not exist"),
        ([row()], {"images": __file__}, "is neither a folder nor a zip archive"),
        ([row()], {"images": ""}, "for the current folder, pass '.'"),
        ([row()], {"images": "a\0b"}, "the folder of the images"),
        ([row()], {"images": 7}, "images must be a folder, a mapping"),
        ([row()], {"images": Returns}, "images must be a folder, a mapping"),
        ([row()], {"images": io.BytesIO()}, "images must be a folder, a mapping"),
        ([row()], {"images": [b"x"]}, "images must be a folder, a mapping"),
        ([row()], {"images": {}}, "none of the 1 images is in the mapping of images"),
    ],
)
def test_wrong_uses_have_a_message(tmp_path, monkeypatch, given, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BottleneckError, match=message) as raised:
        ImageDataset.from_samples(given, **{"name": "n", "images": ANY, **options})
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("images", [None, "scans", Path("scans"), Returns, {"a": b""}])
def test_a_data_set_needs_a_source(images):
    with pytest.raises(UsageError, match=r"images must be an object with a method read\(name\)"):
        ImageDataset("n", SAMPLES, images)


@pytest.mark.parametrize("samples", [None, 7, Sample])
def test_a_data_set_needs_samples(samples):
    with pytest.raises(UsageError, match="samples must be a sequence of Sample"):
        ImageDataset("n", samples, MemorySource({}))
    with pytest.raises(UsageError, match="the name of a data set must be text, not None"):
        ImageDataset(None, SAMPLES, MemorySource({}))
    with pytest.raises(DataError, match=r"samples\[0\] is dict, not a Sample"):
        ImageDataset("n", ROWS, MemorySource({}))


def test_images_that_are_absent_from_the_memory_are_named():
    made = ImageDataset.from_samples(ROWS, name="n", images={r["path"]: b"x" for r in ROWS[1:]})
    assert made.notes == ("1 image absent from the mapping of images, such as '000.png'",)
