"""Standard output and error that may be full, closed, or lack a character."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import Any, TextIO, cast

from bottleneck.cli.exit_codes import ExitCode
from bottleneck.errors import UsageError
from bottleneck.text.plain_text import READABLE, visible_lines

__all__ = ["open_streams"]

# The streams that were replaced: one that nobody holds any more closes its bytes.
_replaced: list[TextIO | None] = []


class _Stream(io.RawIOBase):
    """A stream of bytes to another one, which may be full or closed."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def write(self, data: Any) -> int:
        while (written := self._raw.write(data)) is None:  # It does not block, and is busy.
            select.select([], [self._raw], [])
        return written

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()


class _Output(_Stream):
    """Standard output: an error becomes one of ours, and what is printed after it is dropped."""

    _failed = False

    def write(self, data: Any) -> int:
        if self._failed:
            return len(data)
        try:
            return super().write(data)
        except OSError as error:
            self._failed = True
            if error.errno == errno.EPIPE:
                raise SystemExit(ExitCode.OUTPUT_CLOSED) from None
            raise UsageError(
                f"the standard output cannot be written: {error.strerror}. Files that the command "
                "has written are complete. Send its output to a disk with free space, and repeat it"
            ) from None


class _Errors(_Stream):
    """Standard error: a note that cannot be written is no reason to end the work."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


class _Harmless(io.TextIOWrapper):
    """Text of other code, whose names must not steer the terminal: warnings, tracebacks, logs.

    Attributes
    ----------
    terminal : TextIO
        The same stream for text that is harmless already, and has colours.
    """

    terminal: TextIO

    def write(self, text: str, /) -> int:
        # Other programs move their progress bars by carriage returns.
        parts = (map(visible_lines, part.split("\r")) for part in text.split("\t"))
        super().write("\t".join(map("\r".join, parts)))
        self.flush()
        return len(text)


def open_streams() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams that can be full, closed or ASCII.

    A standard stream that is closed becomes the null device first. Otherwise, the next file that
    is opened would take its number, and what is printed would go into that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
    _replaced.extend((sys.stdout, sys.stderr))
    if (raw := _raw(sys.stdout, 1)) is not None:
        output = io.BufferedWriter(_Output(raw))
        encoding = _encoding(sys.stdout)
        sys.stdout = io.TextIOWrapper(output, encoding, READABLE, line_buffering=raw.isatty())
    if (raw := _raw(sys.stderr, 2)) is not None:
        plain, coloured = (io.BufferedWriter(_Errors(raw)) for _ in range(2))
        encoding = _encoding(sys.stderr)
        harmless = _Harmless(plain, encoding, READABLE)
        harmless.terminal = io.TextIOWrapper(coloured, encoding, READABLE, line_buffering=True)
        sys.stderr = harmless


def _raw(stream: TextIO | None, descriptor: int) -> io.RawIOBase | None:
    """Return a standard stream without its buffer; None where it is not a stream of bytes."""
    if stream is None:  # Python does this where the stream was closed.
        return io.FileIO(descriptor, "w", closefd=False)
    buffer: Any = getattr(stream, "buffer", None)
    return cast(io.RawIOBase | None, getattr(buffer, "raw", buffer))


def _encoding(stream: TextIO | None) -> str:
    return "utf-8" if stream is None else stream.encoding
