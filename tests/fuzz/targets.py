"""What is fuzzed: for each reader, a sound file and a function that reads it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
from hostile import test_mutations as damaged
from PIL import Image
from volume_formats import AFFINES, make_voxels, write_volume

from bottleneck.data.images.decode import decode
from bottleneck.data.images.preparation_steps.ultrasound_sector import encode_mask
from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.tables.csv_tables import read_table
from bottleneck.data.volumes.volume_files import open_volume
from bottleneck.finetune.training_folder.saved_files import read_object

__all__ = ["TARGETS", "Make"]

Make = Callable[[Path], tuple[Path, Callable[[], object]]]
SIDE = 24


def workbook(folder: Path) -> tuple[Path, Callable[[], object]]:
    """A table in a workbook, with a formula, merged cells and a hidden row."""
    path, book = folder / "w.xlsx", openpyxl.Workbook()
    for row in (["id", "age"], ["a", 3], ["b", "007"], ["b", None]):
        book.active.append(row)
    book.active.merge_cells("A3:A4")
    book.active.row_dimensions[2].hidden = True
    book.save(path)
    return path, lambda: read_table(path)


def medmnist(folder: Path) -> tuple[Path, Callable[[], object]]:
    """A MedMNIST file of nine images."""
    path = folder / "m.npz"
    arrays = {
        f"{split}_{what}": value
        for split in ("train", "val", "test")
        for what, value in {
            "images": np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28),
            "labels": np.array([[0], [1], [0]]),
        }.items()
    }
    np.savez_compressed(path, **arrays)

    def read() -> None:
        dataset = load_dataset(path)
        for sample in dataset.samples:
            dataset.read(sample)

    return path, read


def image(kind: str, **options: object) -> Make:
    """Return the target of an image format."""

    def make(folder: Path) -> tuple[Path, Callable[[], object]]:
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8)
        made = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200 if options else pixels)
        path, encoded = folder / f"i.{kind}", io.BytesIO()
        made.save(encoded, kind)
        path.write_bytes(encoded.getvalue())
        return path, lambda: decode(path.read_bytes())

    return make


def mask(folder: Path) -> tuple[Path, Callable[[], object]]:
    """The mask of an ultrasound sector."""
    path = folder / "mask.png"
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    drawn[4:20, 4:20] = 255
    Image.fromarray(drawn).save(path)
    return path, lambda: encode_mask(path)


def run_record(folder: Path) -> tuple[Path, Callable[[], object]]:
    """The record of a training's options."""
    path = folder / "run.json"
    path.write_text('{"config": {"epochs": 3, "seed": 0}, "data": "00", "folds": [[1, 2], [3]]}')
    return path, lambda: read_object(path, "record")


def volume(suffix: str) -> Make:
    """Return the target of a format of volumes."""

    def make(folder: Path) -> tuple[Path, Callable[[], object]]:
        path = write_volume(folder / f"v{suffix}", make_voxels(), AFFINES["oblique"])

        def read() -> None:
            opened = open_volume(path)
            opened.read((0, 0, 0), opened.geometry.shape)

        return path, read

    return make


TARGETS: dict[str, Make] = {
    **{make.__name__: make for make in damaged.FORMATS},
    "workbook": workbook,
    "medmnist": medmnist,
    "png": image("png"),
    "png_16_bit": image("png", deep=True),
    "tiff": image("tiff"),
    "tiff_16_bit": image("tiff", deep=True),
    "jpeg": image("jpeg"),
    "gif": image("gif"),
    "bmp": image("bmp"),
    "webp": image("webp"),
    "nifti": volume(".nii"),
    "nifti_compressed": volume(".nii.gz"),
    "metaimage": volume(".mha"),
    "nrrd": volume(".nrrd"),
    "mask": mask,
    "run_record": run_record,
}
