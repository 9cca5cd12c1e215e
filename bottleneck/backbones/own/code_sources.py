"""Source code of functions and classes: its package, its text and the globals that it reads."""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import sys
import sysconfig
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bottleneck.errors import UsageError
from bottleneck.text.plain_text import visible

__all__ = ["find_package", "global_names", "read_source"]

_STANDARD = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
_INSTALLED = ("site-packages", "dist-packages")


def find_package(module: str | None, file: str | None) -> tuple[str, str] | None:
    """Return the name and version of the installed package that code belongs to.

    Parameters
    ----------
    module : str or None
        Name of the module that holds the code.
    file : str or None
        Its file.

    Returns
    -------
    tuple of str, or None
        None for code of one's own. torch and Python have no version here: as for networks of the
        catalogue, it is in the provenance, and no part of a recipe.
    """
    top = (module or "builtins").partition(".")[0]
    if top == "__main__":  # Its file may be a program that runs what the user types.
        return None
    if file is None or file.startswith("<frozen"):
        return (top, "") if top in sys.stdlib_module_names else None
    if any(part in _INSTALLED for part in Path(file).parts):
        version = "" if top == "torch" else getattr(sys.modules.get(top), "__version__", "")
        return top, str(version).partition("+")[0]  # Without the variant, such as +cpu.
    return (top, "") if file.startswith(_STANDARD) else None


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def global_names(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Return the names of the globals that a function reads, and those of attributes."""
    read, attributes = set(), set()
    for each in _codes(code):
        for instruction in dis.get_instructions(each):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                read.add(str(instruction.argval))
            elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                attributes.add(str(instruction.argval))
    return read, attributes


def read_source(function: Any, where: str) -> str:
    """Return the source of a function without comments, if it is what runs."""
    name, code = function.__qualname__, function.__code__
    if function.__name__ == "<lambda>":
        raise UsageError(
            f"{where} is a lambda, which has no source of its own: replace it by a named function "
            "(def)"
        )
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, function.__globals__)
    try:
        codes = list(_codes(compile("".join(lines), code.co_filename, "exec")))
    except (SyntaxError, ValueError):  # The file is just being edited.
        codes = []
    if lines and not any(_same(code, other) for other in codes):
        raise UsageError(
            f"the code of {visible(name)} differs from its file: the file was changed after it "
            "was imported. Start Python again"
        )
    try:
        return ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(function))))
    except (OSError, TypeError, SyntaxError, ValueError):
        raise UsageError(
            f"the code of {visible(name)} cannot be read, so it is unknown what it computes: "
            "define it in a file, or in a cell of a notebook"
        ) from None


def _same(code: types.CodeType, other: types.CodeType) -> bool:
    if code.co_name != other.co_name or code.co_code != other.co_code:
        return False
    if code.co_names != other.co_names or len(code.co_consts) != len(other.co_consts):
        return False
    return all(
        _same(one, two)
        if isinstance(one, types.CodeType) and isinstance(two, types.CodeType)
        else repr(one) == repr(two)
        for one, two in zip(code.co_consts, other.co_consts, strict=True)
    )
