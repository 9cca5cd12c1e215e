"""JPEG files, and a device that decodes them: a CPU, which makes the pixels of the host."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.features.images.decoder_pool import Decoders, Picture
from bottleneck.features.timing import Clock

CPU = torch.device("cpu")
FRAMING = Preprocessing(20, 16, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).on_device()


def noise(seed: int = 0, mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


class Device:
    """Decodes as torchcodec does on a CPU, and counts; what is set to fail fails."""

    def __init__(self, decode: Callable[..., list[torch.Tensor]]) -> None:
        self._decode = decode
        self.batches: list[int] = []
        self.fails: Callable[[list[bytes]], object] = lambda files: None
        self.spoils: Callable[[torch.Tensor], object] = lambda pixels: None
        self.stands_in: Callable[[], torch.Tensor] | None = None

    def __call__(self, files: list[bytes], **options: Any) -> list[torch.Tensor]:
        self.fails(files)
        self.batches.append(len(files))
        if self.stands_in is not None:
            return [self.stands_in() for _ in files]
        decoded = self._decode(files, **{**options, "device": CPU})
        for each in decoded:
            self.spoils(each)
        return decoded


class Hold:
    """Holds a device at its first batch."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, files: list[bytes]) -> None:
        self.begun.set()
        assert self.go_on.wait(timeout=60)


def on_host(data: bytes, region: Any = None) -> Picture:
    return Decoders(Clock(1)).picture(data, "", region, [FRAMING])


def same(a: Picture, b: Picture) -> bool:
    return a.facts == b.facts and np.array_equal(a.pixels[FRAMING], b.pixels[FRAMING])


def make_folder(folder: Path, n_images: int = 24) -> Path:
    folder.mkdir()
    for n in range(n_images):
        image = noise(n, "L" if n % 3 else "RGB", (50 + n % 2, 40))
        kind, end = ("PNG", "png") if n % 8 == 7 else ("JPEG", "jpg")
        (folder / f"{n:03d}.{end}").write_bytes(encoded(image, kind))
    (folder / "100.jpg").write_bytes(encoded(noise(99))[:300])
    return folder
