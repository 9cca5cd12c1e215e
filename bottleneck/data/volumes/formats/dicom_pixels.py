"""Where the pixels of DICOM slices are, and the bytes of one of them."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.encaps import (
    encapsulate,
    generate_fragments,
    get_frame,
    parse_basic_offsets,
    parse_fragments,
)
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from bottleneck.data.images.dicom.dicom_elements import Elements
from bottleneck.data.images.dicom.dicom_frames import StoredFormat
from bottleneck.data.sources.image_sources import FileSource
from bottleneck.data.volumes.formats.stored_voxels import CHANGED, stamp_of
from bottleneck.errors import DecodeError

__all__ = ["OFFSETS", "UNDEFINED", "PixelPlace"]

OFFSETS = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
# Length of an element whose end is marked, as that of compressed pixels.
UNDEFINED = 0xFFFFFFFF
_PIXEL_DATA = Tag("PixelData")


@dataclasses.dataclass(frozen=True, eq=False)
class PixelPlace:
    """Where the pixels of a slice are.

    Attributes
    ----------
    root, file : Path, str
        A folder, and the file in it.
    elements : Elements
        The header of the file.
    syntax : str
        UID of the transfer syntax.
    vr : str or None
        Of the element PixelData.
    start, length : int
        Place and number of its bytes; the length is ``0xFFFFFFFF`` if they are compressed.
    stamp : tuple of int
        Size and modification time of the file when its header was read.
    frame, n_frames : int
        Number of the frame, from 0, and of all in the file.
    """

    root: Path
    file: str
    elements: Elements
    syntax: str
    vr: str | None
    start: int
    length: int
    stamp: tuple[int, int]
    frame: int
    n_frames: int

    def read(self, stored: StoredFormat) -> Elements:
        """Return the header with the element PixelData of this frame alone."""
        is_native = self.length != UNDEFINED
        # Of the last frame, all bytes: whether they are too many is checked with the header.
        size = stored.rows * stored.columns * stored.allocated // 8
        with FileSource(self.root).open(self.file) as file:
            file.seek(self.start + (self.frame * size if is_native else 0))
            if is_native:
                is_last = self.frame == self.n_frames - 1
                data = file.read(self.length - self.frame * size if is_last else size)
            elif self.n_frames == 1:
                data = file.read()
            else:
                data = self._extract(file)
            if stamp_of(file) != self.stamp:
                raise DecodeError(f"'{self.file}': {CHANGED}")
        raw = RawDataElement(
            BaseTag(_PIXEL_DATA),
            self.vr,
            len(data) if is_native else UNDEFINED,
            data,
            0,
            UID(self.syntax).is_implicit_VR,
            UID(self.syntax).is_little_endian,
        )
        return self.elements.preceded_by([Elements(Dataset({_PIXEL_DATA: raw}))])

    def _extract(self, file: BinaryIO) -> bytes:
        """Return the fragments of a frame, as in a file that has no other."""
        tables = [self.elements.data(n)[0] for n in OFFSETS if n in self.elements]
        try:
            if not tables:
                fragments = _find_fragments(self.root, self.file, self.start, self.stamp)
                if len(fragments) == self.n_frames:
                    file.seek(fragments[self.frame])
                    return encapsulate([next(generate_fragments(file))])
            frame = get_frame(
                file,
                self.frame,
                extended_offsets=(tables[0], tables[1]) if len(tables) == 2 else None,
                number_of_frames=self.n_frames,
            )
        except (OSError, MemoryError):
            raise
        # Damaged bytes may make pydicom raise any exception.
        except Exception:  # noqa: BLE001
            raise DecodeError(
                f"'{self.file}': its fragments do not hold frame {self.frame + 1} of "
                f"{self.n_frames}"
            ) from None
        return encapsulate([frame])


# Without it, the fragments before each frame would be counted again for each of them.
@functools.lru_cache(maxsize=64)
def _find_fragments(root: Path, file: str, start: int, stamp: tuple[int, int]) -> list[int]:
    """Return where the fragments of a file are that has no table of offsets; [] if it has one.

    The stamp is that of the file, which may be replaced by another of the same name.
    """
    with FileSource(root).open(file) as opened:
        opened.seek(start)
        return [] if parse_basic_offsets(opened) else parse_fragments(opened)[1]
