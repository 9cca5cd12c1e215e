"""Files made to mislead: what is refused, in little memory, and what is read as it is."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import skops.io
from made import dataset_of, make_images
from made_dicom import dicom, rle
from PIL import Image

from bottleneck.data.decode import decode
from bottleneck.data.readers import load_dataset
from bottleneck.errors import DataError, DecodeError, FeatureFileError, ModelError, UsageError
from bottleneck.features.extraction import extract
from bottleneck.features.store import load_features, read_provenance
from bottleneck.features.stored import StoredRows
from bottleneck.heads.persistence import load_model
from bottleneck.predictions import read_predictions
from bottleneck.testing import tiny_backbone

# Reads files with so many bytes left to it, and prints what each says.
IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from bottleneck.data.decode import decode
from bottleneck.data.readers import load_dataset
from bottleneck.errors import BottleneckError
from bottleneck.heads.persistence import load_model
import skops.io
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), used + (1 << 30)))
for name in sys.argv[1:]:
    path = Path(name)
    try:
        if path.suffix == ".npz":
            dataset = load_dataset(path)
            print("read", dataset.read(dataset.samples[0])[:2])
        elif path.suffix == ".skops":
            print("read", load_model(path))
        else:
            print("read", decode(path.read_bytes()).size)
    except BottleneckError as error:
        print(error)
"""


def in_little_memory(*paths: Path) -> list[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", IN_LITTLE_MEMORY, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def png(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is counted in /proc")
def test_bombs_are_refused_or_read_in_less_than_a_gibibyte(tmp_path: Path) -> None:
    side = 9400
    tiff = bytearray(encoded(Image.new("L", (16, 16)), "TIFF"))
    at = tiff.index(struct.pack("<HHI", 256, 4, 1)) if tiff[:2] == b"II" else 0
    tiff[at + 8 : at + 12] = tiff[at + 20 : at + 24] = struct.pack("<I", 60_000)
    jpeg = bytearray(encoded(Image.new("L", (16, 16)), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    pixels = np.zeros((500_000, 28), np.uint8)
    bomb, many = io.BytesIO(), io.BytesIO()
    np.savez_compressed(
        bomb,
        **{f"{s}_images": pixels[:, :, None] for s in ("train", "val", "test")},
        **{f"{s}_labels": pixels[:, :1] for s in ("train", "val", "test")},
    )
    np.savez_compressed(
        many,
        **{f"{s}_images": pixels[:60_000, :1, None] for s in ("train", "val", "test")},
        **{f"{s}_labels": pixels[:60_000, :1] for s in ("train", "val", "test")},
    )
    model = io.BytesIO()
    with zipfile.ZipFile(model, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b"{}")
        archive.writestr("1.npy", bytes(50_000_000))
    rows = zlib.compress(bytes((1 + 4 * side) * side), 1)
    files = {
        "header.png": (png(2**31 - 1, 2**31 - 1, b""), "decompression bomb"),
        "header.tif": (bytes(tiff), "decompression bomb|more than 89 million|damaged"),
        "header.jpg": (bytes(jpeg), "decompression bomb"),
        "clear.png": (png(side, side, rows), r"read \(9400, 9400\)"),
        "header.dcm": (
            dicom(np.zeros((16, 16), np.uint8), Rows=65_000, Columns=65_000),
            "89 million",
        ),
        "runs.dcm": (rle(np.zeros((side, side), np.uint8)), r"read \(9400, 9400\)"),
        "pixels.npz": (bomb.getvalue(), "may be a bomb: train_images.npy"),
        "rows.npz": (many.getvalue(), "promises 180,000 images in"),
        "array.skops": (model.getvalue(), "may be a bomb: 1.npy: .* would become 50,000,000"),
    }
    for name, (content, _) in files.items():
        assert len(content) < 2_000_000, name
        (tmp_path / name).write_bytes(content)
    said = in_little_memory(*(tmp_path / name for name in files))
    for line, (name, (_, expected)) in zip(said, files.items(), strict=True):
        assert re.search(expected, line), (name, line)


def test_a_jpeg_of_thousands_of_scans_is_refused() -> None:
    data = encoded(Image.new("L", (4000, 4000)), "JPEG", progressive=True)
    assert decode(data).size == (4000, 4000)
    last = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(DecodeError, match="3006 scans of 4000×4000 pixels"):
        decode(data[:-2] + last * 3000 + data[-2:])


def test_an_image_that_another_program_would_draw_is_refused() -> None:
    # Pillow hands PostScript to Ghostscript.
    with pytest.raises(DecodeError, match="not an image in a format that can be read"):
        decode(encoded(Image.new("L", (16, 16)), "EPS"))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("link.png", "symbolic link that leaves the folder"),
        ("there/out.png", "symbolic link that leaves the folder"),
        ("there", "symbolic link that leaves the folder"),
        ("pipe.png", "folder or special file"),
        (".", "folder or special file"),
    ],
)
def test_a_table_cannot_lead_out_of_its_folder(tmp_path: Path, path: str, reason: str) -> None:
    make_images(tmp_path / "data", 1)
    make_images(tmp_path / "elsewhere", 1)
    (tmp_path / "elsewhere" / "000.png").rename(tmp_path / "elsewhere" / "out.png")
    (tmp_path / "data" / "link.png").symlink_to(tmp_path / "elsewhere" / "out.png")
    (tmp_path / "data" / "there").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "data" / "pipe.png")
    (tmp_path / "data" / "x.csv").write_text(f"path,label\n000.png,a\n{path},b\n")
    dataset = load_dataset(tmp_path / "data" / "x.csv")
    assert [sample.source for sample in dataset.samples] == ["000.png"]
    assert dataset.excluded == {reason: 1}


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    make_images(tmp_path / "data" / "a", 1)
    (tmp_path / "data" / "b").symlink_to("a")
    (tmp_path / "data" / "x.csv").write_text("path,label\na/000.png,a\nb/000.png,b\n")
    assert len(load_dataset(tmp_path / "data" / "x.csv")) == 2


def test_a_link_that_runs_in_a_circle_is_left_out(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 1)
    (tmp_path / "a" / "x.png").symlink_to("x.png")
    assert load_dataset(tmp_path).excluded == {"broken link or special file": 1}


def test_lists_of_tn5000_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "tn"
    make_images(folder / "JPEGImages", 1)
    (folder / "JPEGImages" / "000.png").rename(tmp_path / "out.jpg")
    (folder / "Annotations").mkdir()
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "train.txt").write_text(f"../../out\n{tmp_path}/out\n")
    for split in ("val", "test"):
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("")
    with pytest.raises(DataError, match="left out: 2 × listed image that is missing"):
        load_dataset(folder)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"path,label,id\n000.png,a,{'x' * 1001}\n", "id 'x{50}…' has 1,001 characters"),
        (f"path,label\n000.png,{'x' * 50_000}\n", "label .* has 50,000 characters"),
        ("x" * 1_000_001, "first line does not end"),
        ("path,label\n000.png,a\nx\0,a\n", "NUL"),
    ],
)
def test_tables_that_would_burst_are_refused(tmp_path: Path, text: str, says: str) -> None:
    make_images(tmp_path, 1)
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        load_dataset(tmp_path / "x.csv")


@pytest.mark.parametrize("pattern", ["a{99999999999999999999}", "(" * 5000 + ")" * 5000, "["])
def test_patterns_that_no_engine_takes_are_refused(tmp_path: Path, pattern: str) -> None:
    make_images(tmp_path / "a", 1)
    with pytest.raises(UsageError, match="is not a regular expression"):
        load_dataset(tmp_path, patient_pattern=pattern)


HEADER = "id,label,score_a,score_b"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"{HEADER},fold\n1,a,1,2,99999999999999999999\n", "fold needs whole numbers from 0"),
        (f"{HEADER},fold\n1,a,1,2,1e30\n", "fold needs whole numbers from 0, not 1e\\+30"),
        (f"{HEADER},repeat\n1,a,1,2,0.5\n", "repeat needs whole numbers from 0, not 0.5"),
        (f"{HEADER},fold\n1,a,1,2,-1\n", "fold needs whole numbers from 0, not -1"),
        (f"{HEADER},score_a\n1,a,1,2,3\n", "several columns 'score_a'"),
        (f"{HEADER},id\n1,a,1,2,3\n", "several columns 'id'"),
        (f"{HEADER}\n1,a,nan,2\n", "score_a needs a number, not 'nan'"),
        (f"{HEADER}\n1,a,1,-inf\n", "score_b needs a number, not '-inf'"),
        (f"{HEADER}\n1\0,a,1,2\n", "NUL bytes"),
        (f"{HEADER}\n1,a,1,2,9\n", "cannot read predictions"),
        ("id,label,score_,score_b\n1,b,1,2\n", "names no class"),
        (f"{HEADER}\n1,a,1,2\n".encode("utf-16"), "cannot read predictions"),
        (f"{HEADER}\né,a,1,2\n".encode("latin-1"), "cannot read predictions"),
        (b"", "cannot read predictions"),
    ],
)
def test_odd_tables_of_predictions_are_refused(
    tmp_path: Path, content: str | bytes, says: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=says):
        read_predictions(path)


def test_predictions_are_a_file_whatever_its_name(tmp_path: Path) -> None:
    for name in ("p.csv.gz", "p.zip", "p.xz"):
        (tmp_path / name).write_text(f"{HEADER}\n1,a,1,2\n")
        assert len(read_predictions(tmp_path / name)[0]) == 1
    with pytest.raises(DataError, match="No such file"):
        read_predictions("http://localhost/p.csv")


@pytest.fixture(scope="module")
def feature_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("features")
    make_images(folder / "images", 6)
    dataset = dataset_of(folder / "images")
    return extract(dataset, tiny_backbone(), precision="fp32", output=folder).path.read_bytes()


def replaced(name: str, make: Callable[[h5py.File], Any]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        made = make(file)
        if made is not None:
            file[name] = made

    return change


def stated(**fields: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file.attrs["provenance"] = json.dumps(json.loads(file.attrs["provenance"]) | fields)

    return change


def attribute(value: Any) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__("provenance", value)


def huge(file: h5py.File, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    file.create_dataset(name, shape, dtype, chunks=tuple(min(s, 64) for s in shape))


LIES: dict[str, Callable[[h5py.File], None]] = {
    "external link": replaced("embeddings", lambda f: h5py.ExternalLink("/etc/passwd", "x")),
    "soft link": replaced("embeddings", lambda f: h5py.SoftLink("/size")),
    "circle of links": replaced("ids", lambda f: h5py.SoftLink("/ids")),
    "group": replaced("labels", lambda f: f.create_group("labels") and None),
    "group in itself": replaced("labels", lambda f: f["/"]),
    "huge size": replaced("embeddings", lambda f: huge(f, "embeddings", (6, 10**12), "<f4")),
    "huge text": replaced("labels", lambda f: huge(f, "labels", (6,), "S100000000")),
    "other file's bytes": replaced(
        "embeddings",
        lambda f: (
            f.create_dataset("embeddings", (6, 8), "<f4", external=[("/etc/passwd", 0, 192)])
            and None
        ),
    ),
    "fewer rows": replaced("labels", lambda f: np.array(["a"] * 5, h5py.string_dtype())),
    "other shape": replaced("embeddings", lambda f: np.zeros((6, 2, 4), "<f4")),
    "integers": replaced("embeddings", lambda f: np.zeros((6, 8), "<i4")),
    "objects": replaced("ids", lambda f: np.array([f.ref] * 6, h5py.ref_dtype)),
    "lists": replaced("ids", lambda f: huge(f, "ids", (6,), h5py.vlen_dtype(np.int32))),
    "no text": replaced("ids", lambda f: huge(f, "ids", (6,), h5py.string_dtype())),
    "not UTF-8": replaced("labels", lambda f: np.array([b"\xff"] * 6, h5py.string_dtype())),
    "ids twice": replaced("ids", lambda f: np.array(["same"] * 6, h5py.string_dtype())),
    "small thumbnails": replaced("thumbnails", lambda f: np.zeros((6, 3, 3), "u1")),
    "failures of numbers": replaced("failures", lambda f: np.zeros(3)),
    "no provenance": lambda file: file.attrs.__delitem__("provenance"),
    "provenance of numbers": attribute(np.arange(3)),
    "provenance is a reference": lambda f: f.attrs.create(
        "provenance", f.ref, dtype=h5py.ref_dtype
    ),
    "provenance is a list": attribute("[1, 2]"),
    "deep provenance": attribute("[" * 30_000),
    "recipe is a number": stated(recipe=3),
    "name is a number": stated(dataset={"name": 3}),
    "newer format": stated(format=99),
}


@pytest.mark.parametrize("lie", LIES)
def test_feature_files_made_to_mislead_are_refused(
    tmp_path: Path, feature_file: bytes, lie: str
) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(feature_file)
    with h5py.File(path, "r+") as file:
        LIES[lie](file)
    with pytest.raises(FeatureFileError):
        load_features(path)


def test_texts_that_share_their_bytes_are_refused(tmp_path: Path, feature_file: bytes) -> None:
    # A long text, to which every row then points: 6 MB as the file says, 100 GB in memory.
    path, n = tmp_path / "x.h5", 100_000
    path.write_bytes(feature_file)
    with h5py.File(path, "r+") as file:
        del file["ids"]
        texts = file.create_dataset("ids", (n,), h5py.string_dtype())
        texts[:] = ["x"] * (n - 1) + ["y" * 1_000_000]
        place = texts.id.get_offset()
    data = bytearray(path.read_bytes())
    data[place : place + 16 * n] = data[place + 16 * (n - 1) : place + 16 * n] * n
    path.write_bytes(data)
    with pytest.raises(FeatureFileError, match=r"'/ids' is missing or malformed"):
        load_features(path)


def test_a_heap_of_texts_without_end_is_refused(tmp_path: Path, feature_file: bytes) -> None:
    # HDF5 2.0 itself never returns from this one.
    path, data = tmp_path / "x.h5", bytearray(feature_file)
    heap = data.index(b"GCOL\x01")
    data[heap + 16 : heap + 32] = bytes(16)
    path.write_bytes(data)
    for read in (read_provenance, load_features, StoredRows):
        with pytest.raises(FeatureFileError, match="a heap of its texts has no end"):
            read(path)


def test_a_heap_inside_of_the_embeddings_is_found(tmp_path: Path, feature_file: bytes) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(feature_file)
    with h5py.File(path, "r+") as file:
        place, size = file["ids"].id.get_offset(), file["ids"].size
        del file["embeddings"]
        inside = file.create_dataset("embeddings", (6, 512), "<f4")
        inside[:] = 0
        start = inside.id.get_offset()
    data = bytearray(path.read_bytes())
    # Every id is a text of the heap that begins where the features do, and has no end.
    data[start : start + 16] = struct.pack("<5s3xQ", b"GCOL\x01", 4096)
    row = struct.pack("<IQI", 4, start, 1)
    data[place : place + len(row) * size] = row * size
    path.write_bytes(data)
    with pytest.raises(FeatureFileError, match="a heap of its texts has no end"):
        load_features(path)


def test_features_of_another_recipe_under_this_name_are_refused(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 3)
    dataset, options = dataset_of(tmp_path / "images"), {"precision": "fp32", "output": tmp_path}
    one = extract(dataset, tiny_backbone(width=1), **options).path
    other = extract(dataset, tiny_backbone(width=8), **options).path
    one.replace(other)
    with pytest.raises(FeatureFileError, match="features of another recipe"):
        extract(dataset, tiny_backbone(width=8), **options)


@pytest.mark.parametrize(
    "node",
    [
        {"__class__": "system", "__module__": "os", "__loader__": "TypeNode"},
        {"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode"},
        {
            "__class__": "Pipeline",
            "__module__": "sklearn.pipeline",
            "__loader__": "OperatorFuncNode",
            "attrs": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode"},
        },
        {
            "__class__": "Pipeline",
            "__module__": "sklearn.pipeline",
            "__loader__": "MethodNode",
            "content": {"func": "__init__", "obj": {"__loader__": "JsonNode", "content": "1"}},
        },
    ],
    ids=lambda node: node["__loader__"],
)
def test_models_with_code_in_them_are_refused(tmp_path: Path, node: dict[str, Any]) -> None:
    path = tmp_path / "m.skops"
    skops.io.dump({"format": "bottleneck-model/1", "metadata": {}, "estimator": 1}, path)
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
    schema["content"]["estimator"] = node | {"__id__": 99}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    with pytest.raises(ModelError):
        load_model(path)
