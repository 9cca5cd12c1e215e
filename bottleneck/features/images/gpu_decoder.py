"""JPEG files decoded, described and resized on the device, many at a time.

What a device makes of a file is not to the last bit what Pillow makes of it: its decoder rounds
otherwise, and so does its resize. So that a row hangs on its file alone, each picture is held
against libjpeg's means of its blocks of 8×8 pixels, which cost the processor less than half of
what decoding would: they tell what belongs to another picture, or to none, though not what is
wrong inside a block. Where they are further off than ``MOST_LEVELS`` or ``MEAN_LEVELS``, the
picture is Pillow's; and so are those that ``read_plain_jpeg`` does not take, those that the device
refuses, and colours that are stored at a lower resolution, which nvJPEG repeats where libjpeg
interpolates.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import io
import itertools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from bottleneck.backbones.resizing import frame
from bottleneck.data.images.decode import (
    MIN_SIDE,
    PixelFacts,
    PlainJpeg,
    gather_facts,
    read_plain_jpeg,
)
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.samples import Box
from bottleneck.errors import DeviceError, MissingExtraError, UsageError, first_line
from bottleneck.features.devices import ALONE, is_out_of_memory, report_failure
from bottleneck.features.images.decoder_pool import Decoders, Picture
from bottleneck.features.thumbnails import shrink
from bottleneck.features.timing import Clock

__all__ = ["MEAN_LEVELS", "MOST_LEVELS", "DeviceDecoders"]

# Of 255: how far the mean of a block may be from libjpeg's, in any channel, and on average. Where
# decoded values had to be clipped, libjpeg's own pixels are up to 5 off; on average 0.3.
MOST_LEVELS, MEAN_LEVELS = 16, 1
# A device that makes so many pictures, and none as libjpeg does, is of no use.
_TRIED = 16
# A picture whose channels are further apart somewhere is one of colours.
_GREY = 3
# Pixels of one batch, which takes some 40 bytes for each.
_PIXELS = 2**24
# How torchcodec passes on what nvJPEG returned, and what of it speaks of the file: damaged, not
# supported in general or here, incomplete (nvjpegStatus_t 3, 4, 9, 10), or of the memory (5).
_STATUS = re.compile(r"(?:nvjpegDecode failed|Failed to \w+ \w+(?: \w+)?): (\d+)\s*$")
_REFUSED, _NO_MEMORY = (3, 4, 9, 10), 5

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
    means: NDArray[np.float32]
    coloured: bool


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
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._try_device()
        self._tasks: collections.deque[_Task] = collections.deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="device decode")
        self._agreed = self._differed = 0

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
            If the device makes other pictures than the host, of all files, or its memory is too
            small for one image.
        DeviceError
            If it fails.
        """
        here = tuple(each for each in framings if each.resizer == "device")
        made = self._ask(data, region, here) if here else None
        if made is None:
            with self._turns:
                return self._host.picture(data, sha256, region, framings)
        pixels: dict[Preprocessing, NDArray[np.uint8 | np.float32] | Tensor] = {**made.crops}
        if elsewhere := [each for each in framings if each not in here]:
            with self._turns:
                pixels |= self._host.picture(data, sha256, region, elsewhere).pixels
        with self._clock.stage("describe"):
            return Picture(pixels, _describe(made))

    def close(self) -> None:
        """End the thread, and the host's decoders."""
        self._pool.shutdown(cancel_futures=True)
        while self._tasks:
            self._tasks.popleft().future.set_exception(CancelledError())
        self._host.close()

    def _ask(
        self, data: bytes, region: Box | None, framings: tuple[Preprocessing, ...]
    ) -> _Made | None:
        with self._clock.stage("decode"):
            jpeg = read_plain_jpeg(data)
            if jpeg is None or (jpeg.subsampled and np.ptp(jpeg.means, axis=2).max() > _GREY):
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
            self._tasks.append(task)
            self._pool.submit(self._serve)
            made = task.future.result()
        if made is None or not self._agree(jpeg, made):
            return None
        return None if made.coloured and jpeg.subsampled else made

    def _agree(self, jpeg: PlainJpeg, made: _Made) -> bool:
        off = np.abs(made.means - jpeg.means)
        agree = bool(off.max() <= MOST_LEVELS and off.mean() <= MEAN_LEVELS)
        if agree:
            self._agreed += 1
        else:
            self._differed += 1
        if self._differed >= _TRIED and not self._agreed:
            raise UsageError(
                f"{self._device} makes other pictures of JPEG files than libjpeg, of each of the "
                f"first {self._differed}; the last is {off.mean():.1f} of 255 levels off, where "
                f"{MEAN_LEVELS} is allowed. Say --decode fast, and report it"
            )
        return agree

    def _try_device(self) -> None:
        file = io.BytesIO()
        Image.new("L", (16, 16), 128).save(file, "JPEG")
        try:
            with self._on_device():
                self._decode([file.getvalue()], mode="RGB", device=self._device)
        except RuntimeError as error:
            raise UsageError(
                f"{self._device} cannot decode JPEG: {first_line(error)}. Say --decode fast"
            ) from None

    @contextlib.contextmanager
    def _on_device(self) -> Iterator[None]:
        if self._stream is None:
            yield
            return
        with ALONE, torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            yield

    def _serve(self) -> None:
        """Answer what was asked until now; who asked last may find it done."""
        tasks: list[_Task] = []
        while self._tasks and _pixels(tasks) < _PIXELS:
            tasks.append(self._tasks.popleft())
        if not tasks:
            return
        try:
            self._answer(tasks)
        # Whoever asked must not wait for ever.
        except BaseException as error:  # noqa: BLE001
            for task in tasks:
                if not task.future.done():
                    task.future.set_exception(error)

    def _answer(self, tasks: Sequence[_Task]) -> None:
        answer: Exception | None
        try:
            for task, made in zip(tasks, self._make(tasks), strict=True):
                task.future.set_result(made)
            return
        except (RuntimeError, MemoryError) as error:
            answer = self._judge(error, tasks[0])
        # Out here, where the exception no longer holds on to the tensors.
        if len(tasks) > 1:  # One of them, or all together.
            for task in tasks:
                self._answer([task])
        elif isinstance(answer, Exception):
            tasks[0].future.set_exception(answer)
        else:
            tasks[0].future.set_result(answer)

    def _judge(self, error: RuntimeError | MemoryError, task: _Task) -> Exception | None:
        """Return what to say of a file that failed alone; None, if the host may have it."""
        said = _STATUS.search(first_line(error))
        status = int(said[1]) if said else None
        if isinstance(error, MemoryError):
            return MemoryError()
        if is_out_of_memory(error) or status == _NO_MEMORY:
            width, height = task.jpeg.size
            return UsageError(
                f"the memory of the device is too small to decode an image of {width}×{height} "
                "pixels beside the network: say --decode fast, or a smaller --batch-size, in a "
                "new --output"
            )
        if self._device.type == "cpu" or status in _REFUSED or "chroma" in first_line(error):
            return None
        try:
            report_failure(error, self._device)
        except DeviceError as failure:
            return failure
        return DeviceError(
            f"the device {self._device} failed to decode a JPEG file: {first_line(error)}. What "
            "was finished is kept; --decode fast, in a new --output, decodes on the processor"
        )

    def _make(self, tasks: Sequence[_Task]) -> list[_Made | None]:
        made: dict[int, _Made] = {}
        kinds = list(dict.fromkeys(task.framings for task in tasks))

        def alike(number: int) -> tuple[object, ...]:
            task = tasks[number]
            return *task.jpeg.size, *task.box, kinds.index(task.framings)

        with self._on_device():
            files = [task.data for task in tasks]
            decoded = self._decode(files, mode="RGB", device=self._device)
            # Of another size: no device should, and the host may have it.
            right = [n for n, task in enumerate(tasks) if decoded[n].shape == _shape(task)]
            for _, group in itertools.groupby(sorted(right, key=alike), alike):
                numbers = list(group)
                pictures = torch.stack([decoded[number] for number in numbers])
                results = _make_alike(pictures, tasks[numbers[0]])
                made.update(zip(numbers, results, strict=True))
        return [made.get(number) for number in range(len(tasks))]


def _make_alike(whole: Tensor, like: _Task) -> Iterator[_Made]:
    left, top, right, bottom = like.box
    height, width = whole.shape[-2:]
    # Encoders fill up the last blocks so, for the most part.
    filled = pad(whole.float(), (0, -width % 8, 0, -height % 8), mode="replicate")
    means = _to_host(avg_pool2d(filled, 8).permute(0, 2, 3, 1))
    pictures = whole[:, :, top:bottom, left:right].contiguous()
    crops = {each: frame(pictures, each) for each in like.framings}
    coloured = (pictures.amax(1) - pictures.amin(1)).flatten(1).amax(1) > _GREY
    red, green, blue = pictures.int().unbind(1)
    # ITU-R 601-2 as Pillow rounds it.
    grey = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    thumbnails, totals = shrink(grey), grey.sum((1, 2))
    rgb = _to_host(pictures.permute(0, 2, 3, 1))
    # These wait; what came before them in the stream is done as well.
    thumbnails, totals, coloured = thumbnails.cpu(), totals.cpu(), coloured.cpu()
    for n in range(len(pictures)):
        yield _Made(
            {each: crop[n] for each, crop in crops.items()},
            rgb[n].numpy(),
            int(totals[n]),
            thumbnails[n].numpy(),
            means[n].numpy(),
            bool(coloured[n]),
        )


def _to_host(tensor: Tensor) -> Tensor:
    tensor = tensor.contiguous()
    if tensor.device.type != "cuda":
        return tensor
    # Twice as fast as into memory that may be moved.
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)


def _describe(made: _Made) -> PixelFacts:
    height, width = made.rgb.shape[:2]
    return gather_facts(made.rgb.data, (width, height), made.total, made.thumbnail)


def _shape(task: _Task) -> tuple[int, int, int]:
    width, height = task.jpeg.size
    return 3, height, width


def _pixels(tasks: Sequence[_Task]) -> int:
    return sum(task.jpeg.size[0] * task.jpeg.size[1] for task in tasks)


def _load_decoder() -> _Decode:
    try:
        from torchcodec.decoders import decode_jpeg
    # The latter, where it was built for another torch.
    except (ImportError, OSError, RuntimeError) as error:
        why = first_line(error)
        raise MissingExtraError(
            f"--decode device needs torchcodec, built for this torch, and it cannot be used here "
            f"({why}). Install it with\n  pip install 'bottleneck-features[gpu]'"
        ) from None
    decode: _Decode = decode_jpeg
    return decode
