"""Pictures out of the bytes of images: in the thread that asks, or in processes beside this one.

What decodes holds the interpreter's lock for about a third of its time, and what drives the
networks needs it too: beyond three or four cores, threads alone keep no GPU busy.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.images.decode import PixelFacts, codec, decode, pixel_facts
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.samples import Box
from bottleneck.errors import DecodeError, UsageError
from bottleneck.features.timing import Clock

__all__ = ["Decoders", "Picture"]

_LENGTH = struct.Struct("<Q")
# The child finds this package where its parent did.
_CHILD = "import sys; sys.path[:] = sys.argv[1:]; "
_CHILD += "from bottleneck.features.images import decoder_pool; decoder_pool.serve()"


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """What networks see, of shape (crop, crop, 3), by framing, and what is recorded of it."""

    pixels: Mapping[Preprocessing, NDArray[np.uint8 | np.float32]]
    facts: PixelFacts


class Decoders:
    """Make pictures for any number of threads. Close it at the end.

    Parameters
    ----------
    clock : Clock
        Counts the time.
    cache : PixelCache, optional
        Keeps what was decoded.
    processes : bool
        Whether each thread that asks has a process of its own do it, which no other thread
        waits for. Each takes a second or two to start, and 40 MB; with torchvision's resize
        400 MB, which are torch's.
    """

    def __init__(
        self, clock: Clock, cache: PixelCache | None = None, *, processes: bool = False
    ) -> None:
        self._clock, self._cache, self._processes = clock, cache, processes
        self._idle: list[_Child] = []

    def picture(
        self, data: bytes, sha256: str, region: Box | None, framings: Sequence[Preprocessing]
    ) -> Picture:
        """Decode, describe, resize and crop an image.

        Parameters
        ----------
        data : bytes
            An encoded image.
        sha256 : str
            Of them.
        region : tuple of int, optional
            The part to keep, as ``bottleneck.data.images.decode.decode`` takes it.
        framings : sequence of Preprocessing
            In which it is needed.

        Raises
        ------
        DecodeError
            If the image cannot be used, or twice killed the process that decoded it.
        UsageError
            If no process can be started, or the pixel cache cannot be used.
        """
        if not self._processes:
            return _picture(data, sha256, region, framings, self._clock, self._cache)
        task = data, sha256, region, framings
        killed = 0
        while killed < 2:
            try:
                child, fresh = self._idle.pop(), False
            except IndexError:
                child, fresh = _Child(self._cache), True
            try:
                answer, busy = child.ask(task)
            except (OSError, EOFError):
                child.close()
                killed += fresh  # One that was idle may have been dead before.
                continue
            self._idle.append(child)
            self._clock.add(busy)
            if isinstance(answer, Exception):
                raise answer
            return answer
        raise DecodeError(
            "the process that decoded it was killed, twice: it crashes the decoder, or the memory "
            "was too small for it"
        )

    def close(self) -> None:
        """End the processes."""
        while self._idle:
            self._idle.pop().close()


class _Child:
    def __init__(self, cache: PixelCache | None) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                # Ctrl-C is for the parent; this one ends when its standard input does.
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(
                f"a process that decodes cannot be started: {error.strerror or error}; with "
                "--workers 1 there is none"
            ) from None
        assert self._process.stdin
        assert self._process.stdout
        self._to, self._from = self._process.stdin, self._process.stdout
        try:
            _send(self._to, cache)
            refused = _receive(self._from)
        except (OSError, EOFError):
            self.close()
            raise UsageError(
                f"a process that decodes ended as it began (exit code {self._process.returncode}); "
                "with --workers 1 there is none"
            ) from None
        if refused is not None:
            self.close()
            raise refused

    def ask(self, task: tuple[Any, ...]) -> tuple[Any, dict[str, float]]:
        _send(self._to, task)
        return _receive(self._from)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._to.close()
        self._from.close()
        self._process.wait()


def serve() -> None:
    """Answer on standard output what standard input asks, until that ends."""
    import bottleneck.backbones.resizing  # noqa: F401  # Enters torchvision's resize.

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Where there are no sessions, it comes here.
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a library prints must not get between the answers.
    clock = Clock(1)
    with contextlib.suppress(EOFError, BrokenPipeError):
        try:
            cache = _receive(questions)
        except UsageError as error:  # The folder cannot be used.
            _send(answers, error)
            return
        _send(answers, None)
        while True:
            data, sha256, region, framings = _receive(questions)
            answer: Picture | Exception
            try:
                answer = _picture(data, sha256, region, framings, clock, cache)
            except Exception as error:  # noqa: BLE001  # The parent raises it.
                answer = error
            _send(answers, (answer, clock.take()))
    # There is nothing to tidy up, which would take torch a second.
    os._exit(0)


def _send(file: IO[bytes], value: object) -> None:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    file.write(_LENGTH.pack(len(data)))
    file.write(data)
    file.flush()


def _receive(file: IO[bytes]) -> Any:
    (length,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
    return pickle.loads(_exactly(file, length))


def _exactly(file: IO[bytes], length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _picture(
    data: bytes,
    sha256: str,
    region: Box | None,
    framings: Sequence[Preprocessing],
    clock: Clock,
    cache: PixelCache | None,
) -> Picture:
    image, rgb, facts = _decoded(data, sha256, region, clock, cache)
    with clock.stage("preprocess"):
        return Picture({framing: framing.pixels(image, rgb) for framing in framings}, facts)


def _decoded(
    data: bytes, sha256: str, region: Box | None, clock: Clock, cache: PixelCache | None
) -> tuple[Image.Image, NDArray[np.uint8] | None, PixelFacts]:
    if cache is not None:
        with clock.stage("read"):
            kept = cache.find(sha256, region, codec(data))
        if kept is not None:
            image, facts = kept
            return image, None, facts
    with clock.stage("decode"):
        image = decode(data, region)
    with clock.stage("describe"):
        # Pillow packs its pixels anew whenever it is asked for them.
        rgb = np.asarray(image)
        facts = pixel_facts(image, rgb)
        if cache is not None:
            cache.keep(sha256, region, image, facts, codec(data))
    return image, rgb, facts
