"""A folder of decoded images, for later runs with other networks.

Formats such as PNG take longer to decode than decoded pixels take to read. A file of the folder
holds the sha256 of its name and of all that follows (32 bytes), a line of JSON with mode and
``PixelFacts``, the thumbnail, and the pixels, one byte each if the image is grey.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image, features

from bottleneck.data.images.decode import POLICY, THUMBNAIL_SIDE, PixelFacts
from bottleneck.data.images.display import AS_STORED, Display
from bottleneck.data.samples.sample_table import Box
from bottleneck.errors import UsageError, describe_os_error
from bottleneck.files.small_files import read_small
from bottleneck.files.writing import refuse_planted, replacing, sweep

__all__ = ["PixelCache"]

# Version of the files. Change it with the fields of PixelFacts, or the way they are computed.
_FORMAT = 3
_DIGEST = 32
_THUMBNAIL = THUMBNAIL_SIDE**2
# Bytes of a file, for 89 million pixels in colour, and of its line of JSON.
_MAX_BYTES, _MAX_HEADER = 2**29, 65_536


class PixelCache:
    """A folder of decoded images, named by the sha256 of the encoded ones.

    Any number of threads, processes and machines may share it. Damaged files are ignored, and
    their images decoded again. It holds the images themselves: keep it where they may be kept.

    Parameters
    ----------
    folder : Path
        Folder of the cache, created if absent.

    Attributes
    ----------
    folder : Path
        The same, as an absolute path.

    Raises
    ------
    UsageError
        If the folder cannot be created, or the way to it is a symbolic link of another user.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        # Another version of a decoder may decode the same bytes to other pixels.
        decoder = f"pillow-{PIL.__version__}-jpeg-{features.version_codec('jpg')}"
        self._folder = self.folder / f"{_FORMAT}-{POLICY}-{decoder}"
        self._unfinished = self._folder / "unfinished"
        refuse_planted(self.folder, "--pixel-cache")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self._folder, self._unfinished):
                _make_within(folder)
            sweep(self._unfinished)
        except OSError as error:
            raise self._unwritable(error) from None

    def __reduce__(self) -> tuple[Any, ...]:
        # Another machine of a cluster may have another decoder.
        return PixelCache, (self.folder,)

    def find(
        self, sha256: str, region: Box | None, codec: str = "", display: Display = AS_STORED
    ) -> tuple[Image.Image, PixelFacts] | None:
        """Return a decoded image and its description.

        Parameters
        ----------
        sha256 : str
            Hash of the encoded image.
        region : tuple of int, optional
            The part of the image, as ``bottleneck.data.images.decode.decode`` takes it.
        codec : str
            Decoder other than Pillow, as ``bottleneck.data.images.decode.codec`` names it.
        display : Display
            How values of more than 8 bits became levels.

        Returns
        -------
        (PIL.Image.Image, PixelFacts) or None
            The image in mode RGB. None if the cache does not have it, or its file is damaged.

        Raises
        ------
        UsageError
            If the file cannot be read.
        """
        try:
            return _read(self._path(sha256, region, codec, display))
        except UsageError as error:
            raise UsageError(
                f"the pixel cache {self.folder} cannot be read: {error}. Make it readable, choose "
                "another --pixel-cache, or leave it out"
            ) from None

    def keep(
        self,
        sha256: str,
        region: Box | None,
        image: Image.Image,
        facts: PixelFacts,
        codec: str = "",
        display: Display = AS_STORED,
    ) -> None:
        """Store a decoded image for ``find``, if the memory has room for it.

        Raises
        ------
        UsageError
            If the folder cannot be written.
        """
        path = self._path(sha256, region, codec, display)
        try:
            _write(path, _encode(path, image, facts), self._unfinished)
        except MemoryError:  # The image itself could be decoded, and is not lost by this.
            return
        except OSError as error:
            # Windows replaces no file that is open. The one there is the same image.
            with contextlib.suppress(UsageError):
                if _read(path) is not None:
                    return
            raise self._unwritable(error) from None

    def _path(self, sha256: str, region: Box | None, codec: str, display: Display) -> Path:
        parts = [sha256[2:], *map(str, region or ()), *([codec] if codec else [])]
        if display.window is not None:
            parts += ["window", *map(repr, display.window)]
        if display.rescale:
            parts.append("rescaled")
        return self._folder / sha256[:2] / "-".join(parts)

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(
            f"the pixel cache {self.folder} cannot be written: {describe_os_error(error)}. Free "
            "some space, choose another --pixel-cache, or leave it out"
        )


def _encode(path: Path, image: Image.Image, facts: PixelFacts) -> bytes:
    pixels = np.asarray(image)
    grey = np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(
        pixels[..., 0], pixels[..., 2]
    )
    fields = dataclasses.asdict(facts)
    thumbnail = fields.pop("thumbnail")
    del fields["box"]
    header = json.dumps({"mode": "L" if grey else "RGB", **fields}).encode() + b"\n"
    content = header + thumbnail + (pixels[..., 0] if grey else pixels).tobytes()
    return _digest(path, content) + content


def _digest(path: Path, content: bytes | memoryview) -> bytes:
    # With the name, so that a file that got the name of another image is not taken for it.
    digest = hashlib.sha256(f"{path.parent.name}{path.name}\n".encode())
    digest.update(content)
    return digest.digest()


def _read(path: Path) -> tuple[Image.Image, PixelFacts] | None:
    if not os.path.lexists(path):
        return None
    data = read_small(path, "cached image", limit=_MAX_BYTES)
    content = memoryview(data)[_DIGEST:]
    if _digest(path, content) != data[:_DIGEST]:
        return None
    end = data.find(b"\n", _DIGEST, _DIGEST + _MAX_HEADER) + 1
    try:
        fields = json.loads(data[_DIGEST:end])
        mode, (width, height) = fields.pop("mode"), fields.pop("size")
        notes = tuple(fields.pop("notes"))
        pixels = content[end + _THUMBNAIL - _DIGEST :]
        if len(pixels) != width * height * {"L": 1, "RGB": 3}[mode]:
            return None
        image = Image.frombytes(mode, (width, height), pixels).convert("RGB")
        thumbnail = data[end : end + _THUMBNAIL]
        facts = PixelFacts(size=(width, height), thumbnail=thumbnail, notes=notes, **fields)
    # The digest shows damage, and not that somebody made the file to mislead.
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
        return None
    return image, facts


def _write(path: Path, data: bytes, unfinished: Path) -> None:
    _make_within(path.parent)
    # A file that a power cut damaged is noticed by its hash.
    with replacing(path, durable=False, private=True, folder=unfinished) as file:
        file.write(data)
        if _is_shared(path.parent):
            with contextlib.suppress(PermissionError):  # Network storage with its own permissions.
                os.fchmod(file.fileno(), 0o640)


def _make_within(folder: Path) -> None:
    """Make a folder that the user alone can read, or the group that can write into its parent."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if not _is_shared(folder.parent):
            return
        with contextlib.suppress(PermissionError):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IRWXG)


def _is_shared(folder: Path) -> bool:
    return os.name != "nt" and bool(folder.stat().st_mode & stat.S_IWGRP)
