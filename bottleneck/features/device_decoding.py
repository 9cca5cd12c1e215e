"""JPEG files decoded, described and resized on the device, many at a time.

What the device makes of a file is not what Pillow makes of it, to the last bit: its decoder rounds
otherwise, and so does its resize. Files of which it might make another picture are left to
Pillow: those that ``read_plain_jpeg`` does not take, those that its decoder refuses, and colours
that are stored at a lower resolution, which nvJPEG repeats where libjpeg interpolates. So a row
hangs on its file alone. While the drift of the features is measured, both ways are taken, and a
device that is further off than ``MOST_LEVELS`` and ``MEAN_LEVELS`` ends the run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bottleneck.backbones.resizing import frame
from bottleneck.data.decode import (
    MIN_SIDE,
    THUMBNAIL_SIDE,
    PixelFacts,
    PlainJpeg,
    gather_facts,
    read_plain_jpeg,
)
from bottleneck.data.preprocessing import Preprocessing
from bottleneck.data.samples import Box
from bottleneck.errors import DeviceError, MissingExtraError, UsageError
from bottleneck.features.decoders import Decoders, Picture
from bottleneck.features.devices import is_out_of_memory, report_failure
from bottleneck.features.stages import Clock

__all__ = ["MEAN_LEVELS", "MOST_LEVELS", "DeviceDecoders", "shrink"]

# Of 255: how far pixels that reach a network may be from those of the host, in one and on average.
MOST_LEVELS, MEAN_LEVELS = 8, 0.5
# A picture whose channels are further apart somewhere is one of colours.
_GREY = 3
# Pictures, and pixels, of one batch: what it takes is some 40 bytes a pixel.
_AT_ONCE, _PIXELS = 64, 2**24
# Pillow's coefficients are whole numbers, this many to one.
_ONE = 2**22

_Decode = Callable[..., list[Tensor]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Task:
    data: bytes
    jpeg: PlainJpeg
    box: Box
    framings: tuple[Preprocessing, ...]
    future: Future[_Made | None]


@dataclasses.dataclass(frozen=True, slots=True)
class _Made:
    """What the device made of a file: crops that stay there, and what is recorded of it."""

    crops: dict[Preprocessing, Tensor]
    rgb: NDArray[np.uint8]
    total: int
    thumbnail: NDArray[np.uint8]


class DeviceDecoders:
    """Make pictures for any number of threads, as ``Decoders`` does. Close it at the end.

    A thread of its own gathers what they ask for into batches, for which a GPU has its engines.

    Parameters
    ----------
    device : torch.device
        That decodes; a CPU makes the same pixels as the host, for it is the host.
    clock : Clock
        Counts the time. What a thread waits for the device is counted as decoding.
    host : Decoders
        Decodes all that the device does not. It is closed too.

    Raises
    ------
    MissingExtraError
        If torchcodec is not installed.
    UsageError
        If the device cannot decode JPEG.
    """

    def __init__(self, device: torch.device, clock: Clock, host: Decoders) -> None:
        self._device, self._clock, self._host = device, clock, host
        # The threads are more than there are cores, as most of them wait for the device.
        self._turns = threading.BoundedSemaphore(clock.workers)
        self._decode = _load_decoder()
        self._try_device()
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="device decode", daemon=True)
        self._thread.start()

    def picture(
        self, data: bytes, sha256: str, region: Box | None, framings: Sequence[Preprocessing]
    ) -> Picture:
        """Decode, describe, resize and crop an image, as ``Decoders.picture``.

        The pixels of framings whose resizer is "device" are tensors there, but for those of files
        that it does not decode.

        Raises
        ------
        DecodeError
            If the image cannot be used.
        UsageError
            If the device makes other pixels than the host, or its memory is too small for one
            image.
        DeviceError
            If it fails.
        """
        here = tuple(each for each in framings if each.resizer == "device")
        made = self._ask(data, region, here) if here else None
        if made is None:
            with self._turns:
                return self._host.picture(data, sha256, region, framings)
        pixels: dict[Preprocessing, NDArray[np.uint8 | np.float32] | Tensor] = {**made.crops}
        if len(here) < len(framings):
            with self._turns:
                twin = self._host.picture(data, sha256, region, framings)
            for each in here:
                self._compare(made.crops[each].cpu().numpy(), twin.pixels[each])
            pixels = {**twin.pixels, **pixels}
        with self._clock.stage("describe"):
            return Picture(pixels, _describe(made))

    def close(self) -> None:
        """End the thread, and the host's decoders."""
        self._tasks.put(None)
        self._thread.join()
        self._host.close()

    def _ask(
        self, data: bytes, region: Box | None, framings: tuple[Preprocessing, ...]
    ) -> _Made | None:
        jpeg = read_plain_jpeg(data)
        if jpeg is None:
            return None
        width, height = jpeg.size
        left, top, right, bottom = region or (0, 0, width, height)
        box = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        across, down = box[2] - box[0], box[3] - box[1]
        if min(across, down) < MIN_SIDE:  # The host says why.
            return None
        for each in framings:
            each.place((across, down))
        task = _Task(data, jpeg, box, framings, Future())
        with self._clock.stage("decode"):
            self._tasks.put(task)
            return task.future.result()

    def _compare(self, made: NDArray[np.uint8], expected: object) -> None:
        off = np.abs(made.astype(np.int16) - np.asarray(expected, np.int16))
        if off.max() > MOST_LEVELS or off.mean() > MEAN_LEVELS:
            raise UsageError(
                f"{self._device} makes other pixels of a JPEG file than Pillow: up to "
                f"{off.max()} of 255 levels off, {off.mean():.2f} on average, where "
                f"{MOST_LEVELS} and {MEAN_LEVELS} are allowed. Say --decode fast, and report it"
            )

    def _try_device(self) -> None:
        file = io.BytesIO()
        Image.new("L", (16, 16), 128).save(file, "JPEG")
        try:
            self._decode([file.getvalue()], mode="RGB", device=self._device)
        except RuntimeError as error:
            raise UsageError(
                f"{self._device} cannot decode JPEG: {_first_line(error)}. Say --decode fast"
            ) from None

    def _serve(self) -> None:
        with self._stream():
            while (first := self._tasks.get()) is not None:
                tasks = [first]
                with contextlib.suppress(queue.Empty):
                    while _pixels(tasks) < _PIXELS and len(tasks) < _AT_ONCE:
                        task = self._tasks.get_nowait()
                        if task is None:
                            self._tasks.put(None)
                            break
                        tasks.append(task)
                self._answer(tasks)

    def _stream(self) -> contextlib.AbstractContextManager[object]:
        if self._device.type != "cuda":
            return contextlib.nullcontext()
        stack = contextlib.ExitStack()
        stack.enter_context(torch.cuda.device(self._device))
        stack.enter_context(torch.cuda.stream(torch.cuda.Stream(self._device)))
        return stack

    def _answer(self, tasks: Sequence[_Task]) -> None:
        try:
            for task, made in zip(tasks, self._make(tasks), strict=True):
                task.future.set_result(made)
        except RuntimeError as error:
            if len(tasks) > 1:  # One of them, or all together.
                for task in tasks:
                    self._answer([task])
                return
            (task,) = tasks
            if is_out_of_memory(error):
                width, height = task.jpeg.size
                task.future.set_exception(
                    UsageError(
                        "the memory of the device is too small to decode an image of "
                        f"{width}×{height} pixels beside the network: say --decode fast, or a "
                        "smaller --batch-size, in a new --output"
                    )
                )
                return
            try:
                report_failure(error, self._device)
            except DeviceError as failure:
                task.future.set_exception(failure)
            else:  # It does not take this file; the host may, or says why.
                task.future.set_result(None)
        # Whoever asked must not wait for ever.
        except BaseException as error:  # noqa: BLE001
            for task in tasks:
                if not task.future.done():
                    task.future.set_exception(error)

    def _make(self, tasks: Sequence[_Task]) -> list[_Made | None]:
        files = [task.data for task in tasks]
        decoded = self._decode(files, mode="RGB", device=self._device)
        made: dict[int, _Made | None] = {}
        kinds = list(dict.fromkeys(task.framings for task in tasks))

        def alike(number: int) -> tuple[int, int, int]:
            left, top, right, bottom = tasks[number].box
            return right - left, bottom - top, kinds.index(tasks[number].framings)

        order = sorted(range(len(tasks)), key=alike)
        for _, group in itertools.groupby(order, alike):
            numbers = list(group)
            cut = []
            for number in numbers:
                left, top, right, bottom = tasks[number].box
                cut.append(decoded[number][:, top:bottom, left:right])
            results = _make_alike(torch.stack(cut), tasks[numbers[0]].framings)
            for number, (one, coloured) in zip(numbers, results, strict=True):
                made[number] = None if coloured and tasks[number].jpeg.subsampled else one
        return [made[number] for number in range(len(tasks))]


def _make_alike(
    pictures: Tensor, framings: Sequence[Preprocessing]
) -> Iterator[tuple[_Made, bool]]:
    crops = {each: frame(pictures, each) for each in framings}
    spread = (pictures.amax(1) - pictures.amin(1)).flatten(1).amax(1)
    red, green, blue = pictures.int().unbind(1)
    # ITU-R 601-2 as Pillow rounds it.
    grey = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    thumbnails, totals = shrink(grey), grey.sum((1, 2))
    rgb = _to_host(pictures.permute(0, 2, 3, 1).contiguous())
    # The last of them: what came before it in the stream is done as well.
    spreads, totals, thumbnails = spread.cpu(), totals.cpu(), thumbnails.cpu()
    for n in range(len(pictures)):
        own = {each: crop[n] for each, crop in crops.items()}
        made = _Made(own, rgb[n].numpy(), int(totals[n]), thumbnails[n].numpy())
        yield made, bool(spreads[n] > _GREY)


def shrink(grey: Tensor) -> Tensor:
    """Shrink grey pictures to thumbnails: Pillow's Lanczos resize, where they are.

    In whole numbers, and so with the same values everywhere. Pillow goes across first; versions
    from 13 on go down first in pictures of more than about twice their width, which moves values
    by a few levels.

    Parameters
    ----------
    grey : Tensor of whole numbers, shape (n, height, width)
        0 to 255.

    Returns
    -------
    Tensor of uint8, shape (n, 32, 32)
    """
    height, width = grey.shape[-2:]
    across, down = (torch.from_numpy(_lanczos(n)).to(grey.device) for n in (width, height))
    rows = _round(grey.double() @ across)
    return _round(down.T @ rows).to(torch.uint8)


def _round(values: Tensor) -> Tensor:
    # Sums of whole numbers below 2**53, which are exact in any order.
    return ((values + _ONE / 2) / _ONE).floor().clamp(0, 255)


@functools.lru_cache(256)
def _lanczos(length: int) -> NDArray[np.float64]:
    """Return the weights of ``length`` pixels in each of 32, as Pillow rounds them."""
    scale = length / THUMBNAIL_SIDE
    stretch = max(scale, 1.0)
    weights = np.zeros((length, THUMBNAIL_SIDE))
    for place in range(THUMBNAIL_SIDE):
        centre = (place + 0.5) * scale
        first = max(int(centre - 3 * stretch + 0.5), 0)
        last = min(int(centre + 3 * stretch + 0.5), length)
        x = (np.arange(first, last) - centre + 0.5) / stretch
        kernel = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)
        kernel *= _ONE / kernel.sum()
        weights[first:last, place] = np.trunc(kernel + np.copysign(0.5, kernel))
    return weights


def _to_host(tensor: Tensor) -> Tensor:
    if tensor.device.type != "cuda":
        return tensor
    # Twice as fast as into memory that may be moved.
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)


def _describe(made: _Made) -> PixelFacts:
    height, width = made.rgb.shape[:2]
    return gather_facts(made.rgb.data, (width, height), made.total, made.thumbnail)


def _pixels(tasks: Sequence[_Task]) -> int:
    return sum(task.jpeg.size[0] * task.jpeg.size[1] for task in tasks)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _load_decoder() -> _Decode:
    try:
        from torchcodec.decoders import decode_jpeg
    # The latter, where it was built for another torch.
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingExtraError(
            f"--decode device needs torchcodec, which cannot be used here ({error}). Install it "
            "with\n  pip install 'bottleneck-features[gpu]'"
        ) from None
    decode: _Decode = decode_jpeg
    return decode
