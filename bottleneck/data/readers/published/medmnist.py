"""Reader of MedMNIST data sets: one ``.npz`` file with arrays of small images or volumes.

Yang et al., "MedMNIST v2", Scientific Data 10:41, 2023.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import Sample, collect, values_of
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.volume import Volume
from bottleneck.errors import BottleneckError, DataError
from bottleneck.files.archives import find_bomb
from bottleneck.files.small_files import open_regular

__all__ = ["ArraySource", "ArrayVolumes", "read_medmnist"]

_SPLITS = ("train", "val", "test")
# The fewest bytes of a compressed image; a real one has several hundred.
_MIN_BYTES = 16
# Last axes that are channels of an image, and none of a volume.
_CHANNELS = (1, 2, 4)
_Header = tuple[tuple[int, ...], np.dtype]


@dataclasses.dataclass(frozen=True)
class ArraySource:
    """The images of a MedMNIST file, which are rows of its arrays.

    The arrays are loaded when the first image is read, once in every process that uses this object.

    Attributes
    ----------
    path : Path
        The ``.npz`` file.
    """

    path: Path

    def read(self, source: str) -> bytes:
        """Return an image as binary netpbm (P5 or P6), always with the same bytes.

        Raises
        ------
        DataError
            If the file is damaged.
        """
        image = self._row(source)
        kind = "P5" if image.ndim == 2 else "P6"
        height, width = image.shape[:2]
        return f"{kind}\n{width} {height}\n255\n".encode() + image.tobytes()

    def _row(self, source: str) -> NDArray[np.uint8]:
        split, index = source.split("/")
        return self._arrays[split][int(index)]

    @cached_property
    def _arrays(self) -> dict[str, NDArray[np.uint8]]:
        with (
            _reporting(self.path),
            open_regular(self.path, "data set", DataError) as file,
            np.load(file, allow_pickle=False) as archive,
        ):
            return {split: archive[f"{split}_images"] for split in _SPLITS}

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}


@dataclasses.dataclass(frozen=True)
class ArrayVolumes(ArraySource):
    """The volumes of a MedMNIST file."""

    def open_volume(self, source: str) -> Volume:
        """Return a volume; raise DataError if the file is damaged."""
        stored = self._row(source)
        a, b, c = stored.shape
        note = "MedMNIST states no place of voxels: 1 mm apart, and axes towards L, P, S"
        return Volume(
            VolumeGeometry((a, b, c), np.eye(4)), stored, format="MedMNIST", notes=(note,)
        )

    def stamp(self, source: str) -> None:
        """Return None: a volume is not a file of its own."""

    def read(self, source: str) -> bytes:
        """Raise DataError: a volume is not an encoded image."""
        raise DataError(f"'{source}' is a volume, from which regions are read, not an image")


def read_medmnist(path: Path) -> ImageDataset:
    """Read the images or volumes, labels and fixed splits of a MedMNIST data set.

    Parameters
    ----------
    path : Path
        The ``.npz`` file, in any of the sizes of MedMNIST.

    Returns
    -------
    ImageDataset
        Ids are ``train/000000`` and so on, with the index in the array. Labels are the
        numbers in the file, as text.

    Raises
    ------
    DataError
        If the file is damaged or not a MedMNIST data set, or contains several labels per image.
    """
    with _reporting(path), open_regular(path, "data set", DataError) as file:
        n_images, kinds = 0, set()
        with zipfile.ZipFile(file) as archive:
            if bomb := find_bomb(archive):
                raise DataError(f"{path.name} is not read: it may be a decompression bomb: {bomb}")
            for split in _SPLITS:
                images = _read_header(path.name, archive, f"{split}_images")
                labels = _read_header(path.name, archive, f"{split}_labels")
                kinds.add(_check_headers(f"{path.name}, {split}", images, labels))
                n_images += images[0][0]
        if len(kinds) > 1:
            raise DataError(f"{path.name}: images in one split, and volumes in another")
        if n_images * _MIN_BYTES > path.stat().st_size:
            raise DataError(
                f"{path.name} declares {n_images:,} images in {path.stat().st_size:,} bytes, but "
                f"even empty images take {_MIN_BYTES} bytes each; is it truncated?"
            )
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            numbers = {split: arrays[f"{split}_labels"].ravel() for split in _SPLITS}
    samples = collect(
        Sample(id=source, source=source, label=str(label), split=split)
        for split in _SPLITS
        for index, label in enumerate(numbers[split])
        for source in [f"{split}/{index:06d}"]
    )
    notes: tuple[str, ...] = ()
    if len(set(values_of(samples, "label"))) == 2:
        notes = (
            "labels are MedMNIST's numbers, and 1 is not always the disease: in BreastMNIST, "
            "0 is malignant. State the positive class",
        )
    (source,) = kinds
    return ImageDataset(name=path.stem, samples=samples, images=source(path), notes=notes)


def _read_header(file_name: str, archive: zipfile.ZipFile, name: str) -> _Header:
    """Return the shape and type of an array without loading it."""
    if f"{name}.npy" not in archive.namelist():
        present = ", ".join(archive.namelist()[:8]) or "nothing"
        raise DataError(
            f"{file_name} is not a MedMNIST data set: it lacks {name} and contains {present}"
        )
    with archive.open(f"{name}.npy") as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape, dtype


def _check_headers(place: str, images: _Header, labels: _Header) -> type[ArraySource]:
    """Return the source of images or volumes that arrays of these shapes and types are."""
    (shape, dtype), (label_shape, label_dtype) = images, labels
    if dtype.hasobject or label_dtype.hasobject:
        raise DataError(f"{place}: arrays of Python objects could run code and are not loaded")
    if dtype != np.uint8 or len(shape) not in (3, 4) or shape[3:] in [(n,) for n in _CHANNELS]:
        raise DataError(
            f"{place}: expected 8-bit images (n, height, width) or (n, height, width, 3), or "
            f"volumes (n, a, b, c), not {dtype} {shape}"
        )
    if not np.issubdtype(label_dtype, np.integer):
        raise DataError(f"{place}: expected integer labels, not {label_dtype}")
    if len(label_shape) == 2 and label_shape[1] != 1:
        raise DataError(
            f"{place}: {label_shape[1]} labels per image (multi-label) are not supported, only one"
        )
    if len(label_shape) not in (1, 2) or label_shape[0] != shape[0]:
        raise DataError(f"{place}: labels {label_shape} do not fit images {shape}")
    return ArrayVolumes if len(shape) == 4 and shape[3] != 3 else ArraySource


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    """Raise DataError for any error that a damaged archive causes."""
    try:
        yield
    except BottleneckError:
        raise
    # zipfile and numpy raise errors of any type for archives that are truncated or forged.
    except Exception as error:
        reason = str(error).partition("\n")[0]  # numpy then explains its own options.
        raise DataError(f"{path.name} cannot be read as .npz: {reason}") from error
