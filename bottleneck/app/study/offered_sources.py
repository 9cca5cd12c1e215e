"""Data sets that the app offers to choose from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["PHANTOM", "list_sources"]

#: The embedded data set, as ``load_dataset`` names it.
PHANTOM = "phantom"
# More than this nobody reads in a list; any other path can be typed.
_MOST = 200
_TABLES = (".csv", ".tsv", ".xlsx")


def list_sources(folders: Sequence[Path]) -> list[tuple[str, str]]:
    """Return names and paths of the folders and tables that may be data sets.

    They are the folders, the folders in them, and the tables in both, without hidden ones. The
    embedded data set comes last.

    Parameters
    ----------
    folders : sequence of Path
        Folders that the app may read.
    """
    found: dict[str, None] = {}
    for folder in folders:
        found[str(folder)] = None
        for entry in _list(folder):
            if entry.is_dir(follow_symlinks=False):
                found[entry.path] = None
                found |= dict.fromkeys(
                    each.path for each in _list(Path(entry.path)) if _is_table(each)
                )
            elif _is_table(entry):
                found[entry.path] = None
    paths = [(path, path) for path in [*found][:_MOST]]
    return [*paths, ("embedded example: simulated ultrasound images", PHANTOM)]


def _list(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:  # It cannot be listed: reading it will say why.
        return
    yield from (entry for entry in listed if not entry.name.startswith("."))


def _is_table(entry: os.DirEntry[str]) -> bool:
    return entry.name.casefold().endswith(_TABLES) and entry.is_file(follow_symlinks=False)
