"""Malicious images and data sets: they are refused, with little memory, or read correctly."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import make_images
from made_dicom import dicom, rle
from PIL import Image

from bottleneck.data.images.decode import decode
from bottleneck.data.readers import load_dataset
from bottleneck.errors import DataError, DecodeError, UsageError

# Reads files with so many bytes left to it, and prints what each says.
IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from bottleneck.data.images.decode import decode
from bottleneck.data.readers import load_dataset
from bottleneck.errors import BottleneckError
from bottleneck.deploy.models.model_file import read_model
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
            print("read", read_model(path))
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
    row = bytes(1 + 2 * side) + b"\xff" * (2 * side)  # Half of it clear, half of it white.
    rows = zlib.compress(row * side, 1)
    files = {
        "header.png": (png(2**31 - 1, 2**31 - 1, b""), "decompression bomb"),
        "header.tif": (bytes(tiff), "decompression bomb|the limit is 89 million|damaged"),
        "header.jpg": (bytes(jpeg), "decompression bomb"),
        "clear.png": (png(side, side, rows), r"read \(9400, 9400\)"),
        "header.dcm": (
            dicom(np.zeros((16, 16), np.uint8), Rows=65_000, Columns=65_000),
            "89 million",
        ),
        "runs.dcm": (rle(np.zeros((side, side), np.uint8)), r"read \(9400, 9400\)"),
        "pixels.npz": (bomb.getvalue(), "may be a decompression bomb: train_images.npy"),
        "rows.npz": (many.getvalue(), "declares 180,000 images in"),
        "array.skops": (
            model.getvalue(),
            "may be a decompression bomb: 1.npy: .* would become 50,000,000",
        ),
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
    with pytest.raises(DecodeError, match="not an image in a supported format"):
        decode(encoded(Image.new("L", (16, 16)), "EPS"))


@pytest.mark.parametrize("path", ["pipe.png", ".", "there"])
def test_a_table_cannot_name_a_pipe_or_a_folder(tmp_path: Path, path: str) -> None:
    make_images(tmp_path / "data", 1)
    (tmp_path / "data" / "there").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "data" / "pipe.png")
    (tmp_path / "data" / "x.csv").write_text(f"path,label\n000.png,a\n{path},b\n")
    dataset = load_dataset(tmp_path / "data" / "x.csv")
    assert [sample.source for sample in dataset.samples] == ["000.png"]
    assert dataset.excluded == {"folder or special file": 1}


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    make_images(tmp_path / "data" / "a", 1)
    (tmp_path / "data" / "b").symlink_to("a")
    (tmp_path / "data" / "x.csv").write_text("path,label\na/000.png,a\nb/000.png,b\n")
    assert len(load_dataset(tmp_path / "data" / "x.csv")) == 2


def test_a_link_that_runs_in_a_circle_is_left_out(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 1)
    make_images(tmp_path / "b", 1)
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
    make_images(tmp_path / "b", 1)
    with pytest.raises(UsageError, match="is not a regular expression"):
        load_dataset(tmp_path, patient_pattern=pattern)
