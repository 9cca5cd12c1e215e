"""The exit codes of the command line, which ``docs/reference/exit-codes.md`` explains."""

from __future__ import annotations

import enum

__all__ = ["ExitCode"]


class ExitCode(enum.IntEnum):
    """How a command ended; a signal ends it with 128 plus its number, as a shell has it."""

    DONE = 0
    CHECK_FAILED = 1
    ERROR = 2
    OUTPUT_CLOSED = 141
