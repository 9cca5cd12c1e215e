"""The feature files that a command works on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bottleneck.errors import UsageError
from bottleneck.text.plurals import counted


def choose_features(given: Sequence[Path], command: str, *, several: bool = False) -> list[Path]:
    """Return the feature files that were given, or those of the only data set in ``features/``.

    Parameters
    ----------
    given : sequence of Path
        Files, or folders of them; empty for the default folder.
    command : str
        Name of the command, for the message.
    several : bool
        Whether they may be of several data sets.

    Raises
    ------
    UsageError
        If there are no files, or folders hold files of several data sets.
    """
    from bottleneck.backbones.recipe import slug
    from bottleneck.features.file.reader import feature_files, read_provenance

    files: list[Path] = []
    for path in given or [Path("features")]:
        files += feature_files(path) if path.is_dir() or not given else [path]
    if not files:
        where = given[0] if given else "features/"
        raise UsageError(f"no feature files in {where}; make some with `bottleneck extract`")
    if not several and all(path.is_dir() for path in given):
        names = [read_provenance(path)["dataset"]["name"] for path in files]
        if len(set(names)) > 1:
            chosen = Counter(
                path.parent / f"{slug(name)}--*.h5" for path, name in zip(files, names, strict=True)
            )
            lines = (
                f"  bottleneck {command} {path}   ({counted(n, 'file')})"
                for path, n in sorted(chosen.items())
            )
            folders = ", ".join(dict.fromkeys(str(path.parent) for path in files))
            raise UsageError(
                f"{folders}: features of several data sets; choose one, or make one of several "
                "with `bottleneck concatenate`:",
                *lines,
            )
    return files
