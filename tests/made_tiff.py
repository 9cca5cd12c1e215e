"""TIFF files of any combination of tags, written from known samples."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator, Sequence

import imagecodecs
import numpy as np
from numpy.typing import NDArray

NONE, LZW, DEFLATE, PACKBITS, ZSTD = 1, 5, 8, 32773, 50000
_ENCODERS = {
    NONE: bytes,
    LZW: imagecodecs.lzw_encode,
    DEFLATE: zlib.compress,
    PACKBITS: imagecodecs.packbits_encode,
    ZSTD: imagecodecs.zstd_encode,
}
_FORMATS = {"uint": 1, "int": 2, "float": 3}
_BACKWARDS = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)).reshape(-1, 8)[:, ::-1])


@dataclasses.dataclass(frozen=True)
class Layout:
    """How samples are stored."""

    photometric: int = 1
    alpha: int = 0
    kind: str = "uint"
    bits: int = 8
    planar: bool = False
    order: str = "<"
    compression: int = NONE
    predictor: int = 1
    tiled: bool = False
    fill_order: int = 1
    orientation: int = 1
    big: bool = False

    @property
    def n_samples(self) -> int:
        colours = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}[self.photometric]
        return colours + (self.alpha > 0)

    @property
    def dtype(self) -> np.dtype:
        size = next(size for size in (1, 2, 4, 8) if 8 * size >= self.bits)
        return np.dtype(f"{ {'uint': 'u', 'int': 'i', 'float': 'f'}[self.kind] }{size}")


def tiff(layout: Layout, samples: NDArray, palette: NDArray | None = None, **tags: object) -> bytes:
    """Return a file of samples of shape (height, width, n)."""
    return tiff_of([page(layout, samples, palette, **tags)], layout.order, layout.big)


def page(
    layout: Layout, samples: NDArray, palette: NDArray | None = None, **tags: object
) -> tuple[dict[int, Sequence], list[bytes]]:
    """Return the tags and the strips or tiles of a page; other tags are named t254 and so on."""
    height, width, n = samples.shape
    side = 16, 16
    entries: dict[int, Sequence] = {
        256: [width],
        257: [height],
        258: [layout.bits] * n,
        259: [layout.compression],
        262: [layout.photometric],
        266: [layout.fill_order],
        274: [layout.orientation],
        277: [n],
        284: [1 + layout.planar],
        317: [layout.predictor],
        339: [_FORMATS[layout.kind]] * n,
    }
    if layout.tiled:
        entries |= {322: [side[1]], 323: [side[0]]}
    else:
        entries |= {278: [side[0]]}
    if layout.alpha:
        entries[338] = [layout.alpha]
    if layout.photometric == 6:
        entries[530] = [1, 1]
    if palette is not None:
        entries[320] = palette.T.ravel().tolist()
    entries |= {int(name[1:]): value for name, value in tags.items()}
    planes = [samples[:, :, i : i + 1] for i in range(n)] if layout.planar else [samples]
    segments = [
        _encoded(layout, part) for plane in planes for part in _parts(plane, side, layout.tiled)
    ]
    return entries, segments


def tiff_of(
    pages: Sequence[tuple[dict[int, Sequence], list[bytes]]], order: str = "<", big: bool = False
) -> bytes:
    """Return a file of pages."""
    offset, count, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    head = {"<": b"II", ">": b"MM"}[order]
    data = head + (struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42))
    link = len(data)
    data = bytearray(data + bytes(struct.calcsize(offset)))
    for entries, segments in pages:
        places = []
        for segment in segments:
            data += bytes(len(data) % 2)
            places.append(len(data))
            data += segment
        names = (324, 325) if 322 in entries else (273, 279)
        listed = {names[0]: places, names[1]: [len(segment) for segment in segments]} | entries
        data += bytes(len(data) % 2)
        struct.pack_into(order + offset, data, link, len(data))
        start = len(data)
        size = struct.calcsize(count)
        link = start + size + entry * len(listed)
        data += bytes(size + entry * len(listed) + struct.calcsize(offset))
        struct.pack_into(order + count, data, start, len(listed))
        for i, (tag, values) in enumerate(sorted(listed.items())):
            at = start + size + entry * i
            code, kind = (2, "s") if isinstance(values, bytes) else (4, "I")
            if not isinstance(values, bytes) and max(values) < 2**16:
                code, kind = 3, "H"
            if kind == "s":
                content = values + b"\0"
            else:
                content = struct.pack(f"{order}{len(values)}{kind}", *values)
            n = len(content) if kind == "s" else len(values)
            struct.pack_into(order + "HH" + offset, data, at, tag, code, n)
            at += 4 + struct.calcsize(offset)
            if len(content) <= struct.calcsize(offset):
                data[at : at + len(content)] = content
            else:
                struct.pack_into(order + offset, data, at, len(data))
                data += content + bytes(len(content) % 2)
    return bytes(data)


def _parts(plane: NDArray, side: tuple[int, int], tiled: bool) -> Iterator[NDArray]:
    height, width, n = plane.shape
    for top in range(0, height, side[0]):
        if not tiled:
            yield plane[top : top + side[0]]
            continue
        for left in range(0, width, side[1]):
            tile = np.zeros((*side, n), plane.dtype)
            part = plane[top : top + side[0], left : left + side[1]]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def _encoded(layout: Layout, part: NDArray) -> bytes:
    if layout.predictor == 2:
        part = np.concatenate([part[:, :1], part[:, 1:] - part[:, :-1]], axis=1)
    if layout.bits in (8, 16, 32, 64):
        data = part.astype(part.dtype.newbyteorder(layout.order)).tobytes()
    else:  # The highest bits first; each row begins with a byte.
        rows = part.reshape(part.shape[0], -1, 1).astype(">u2").view(np.uint8)
        bits = np.unpackbits(rows, axis=-1)[..., -layout.bits :]
        data = np.packbits(bits.reshape(part.shape[0], -1), axis=1).tobytes()
    data = _ENCODERS[layout.compression](data)
    return _BACKWARDS[np.frombuffer(data, np.uint8)].tobytes() if layout.fill_order == 2 else data
