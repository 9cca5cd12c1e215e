"""Decoded images in a folder, for the networks that follow.

PNG and its like take longer to decode than to read when decoded. A file of the folder has the
sha256 of all that follows, 32 bytes; a line of JSON with mode and ``PixelFacts``; the
thumbnail; and the pixels, one byte each where the image is grey.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image, features

from bottleneck.data.images.decode import POLICY, THUMBNAIL_SIDE, PixelFacts
from bottleneck.data.samples import Box
from bottleneck.errors import UsageError
from bottleneck.files import replacing

__all__ = ["PixelCache"]

# Of the files below; another one where PixelFacts has other fields, or computes them otherwise.
_FORMAT = 2
_DIGEST = 32
_THUMBNAIL = THUMBNAIL_SIDE**2
# Seconds after which no file is still being written: a day.
_ABANDONED = 86400


class PixelCache:
    """A folder of decoded images, each under the sha256 of the file that it was decoded from.

    Any number of threads, processes and machines may share it. What is damaged is decoded anew.
    It holds the pictures themselves: keep it where the images may be kept.

    Parameters
    ----------
    folder : Path
        Created where absent.

    Raises
    ------
    UsageError
        If the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        # Another decoder may make other pixels of the same bytes.
        decoder = f"pillow-{PIL.__version__}-jpeg-{features.version_codec('jpg')}"
        self._folder = self.folder / f"{_FORMAT}-{POLICY}-{decoder}"
        self._unfinished = self._folder / "unfinished"
        try:
            self._unfinished.mkdir(parents=True, exist_ok=True)
            _clear(self._unfinished)
        except OSError as error:
            raise self._unwritable(error) from None

    def __reduce__(self) -> tuple[Any, ...]:
        # Another machine of a cluster may have another decoder.
        return PixelCache, (self.folder,)

    def find(
        self, sha256: str, region: Box | None, codec: str = ""
    ) -> tuple[Image.Image, PixelFacts] | None:
        """Return what is kept of an image: it and its description, as when it was decoded.

        Parameters
        ----------
        sha256 : str
            Of the encoded image.
        region : tuple of int, optional
            The part of it, as ``bottleneck.data.images.decode.decode`` takes it.
        codec : str
            What decodes it beside Pillow, as ``bottleneck.data.images.decode.codec`` names it.

        Returns
        -------
        (PIL.Image.Image, PixelFacts) or None
            The image in mode RGB; None where nothing is kept of it, or it is damaged.

        Raises
        ------
        UsageError
            If what is kept cannot be read.
        """
        try:
            return _read(self._path(sha256, region, codec))
        except OSError as error:
            raise UsageError(
                f"decoded images kept in {self.folder} cannot be read: "
                f"{error.strerror or error}. Mend that, name another --pixel-cache, or leave it out"
            ) from None

    def keep(
        self,
        sha256: str,
        region: Box | None,
        image: Image.Image,
        facts: PixelFacts,
        codec: str = "",
    ) -> None:
        """Keep what an image was decoded to, for ``find``, if the memory has room for it.

        Raises
        ------
        UsageError
            If the folder cannot be written.
        """
        path = self._path(sha256, region, codec)
        try:
            _write(path, _encode(image, facts), self._unfinished)
        except MemoryError:  # The image itself went through, and must not be lost by this.
            return
        except OSError as error:
            # Windows replaces no file that is open; what is there is the same picture.
            with contextlib.suppress(OSError):
                if _read(path) is not None:
                    return
            raise self._unwritable(error) from None

    def _path(self, sha256: str, region: Box | None, codec: str) -> Path:
        parts = [sha256[2:], *map(str, region or ()), *([codec] if codec else [])]
        return self._folder / sha256[:2] / "-".join(parts)

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(
            f"decoded images cannot be kept in {self.folder}: {error.strerror or error}. Make "
            "room, name another --pixel-cache, or leave it out"
        )


def _encode(image: Image.Image, facts: PixelFacts) -> bytes:
    pixels = np.asarray(image)
    grey = np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(
        pixels[..., 0], pixels[..., 2]
    )
    fields = dataclasses.asdict(facts)
    thumbnail = fields.pop("thumbnail")
    header = json.dumps({"mode": "L" if grey else "RGB", **fields}).encode() + b"\n"
    content = header + thumbnail + (pixels[..., 0] if grey else pixels).tobytes()
    return hashlib.sha256(content).digest() + content


def _read(path: Path) -> tuple[Image.Image, PixelFacts] | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    content = memoryview(data)[_DIGEST:]
    if hashlib.sha256(content).digest() != data[:_DIGEST]:
        return None
    end = data.index(b"\n", _DIGEST) + 1
    fields = json.loads(data[_DIGEST:end])
    mode, size = fields.pop("mode"), tuple(fields.pop("size"))
    thumbnail = data[end : end + _THUMBNAIL]
    image = Image.frombytes(mode, size, content[end + _THUMBNAIL - _DIGEST :])
    return image.convert("RGB"), PixelFacts(size=size, thumbnail=thumbnail, **fields)


def _write(path: Path, data: bytes, unfinished: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    # What a power cut spoils is noticed, and decoded anew.
    with replacing(path, durable=False, folder=unfinished) as temporary:
        temporary.write_bytes(data)


def _clear(unfinished: Path) -> None:
    """Remove what killed writers left; those that live may be on any machine."""
    for path in unfinished.iterdir():
        with contextlib.suppress(OSError):  # Another process was first, or the file is another's.
            if path.stat().st_mtime < time.time() - _ABANDONED:
                path.unlink()
