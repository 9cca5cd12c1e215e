"""The feature files that a command works on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
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
    from bottleneck.features.file.reader import feature_files, is_of_prediction, read_provenance

    files: list[Path] = []
    for path in given or [Path("features")]:
        if path.is_dir() or not given:
            # New images, which a model predicted there, are not a data set to train on.
            files += [f for f in feature_files(path) if not is_of_prediction(read_provenance(f))]
        else:
            files.append(path)
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


def split_names(given: Sequence[Path]) -> tuple[list[str], list[Path]]:
    """Return the names and the paths of feature files that are given as NAME=PATH.

    Parameters
    ----------
    given : sequence of Path
        All as NAME=PATH, or none of them. A file that exists under the whole text is a path.

    Returns
    -------
    names : list of str
        Empty where no name is given.
    paths : list of Path
        The paths alone.

    Raises
    ------
    UsageError
        If only some have names, two have the same, or a name is given to a folder.
    """
    halves = [(path, *str(path).partition("=")) for path in given]
    named = [
        (name.strip(), Path(after))
        for path, name, _, after in halves
        if name.strip() and after and not path.exists()
    ]
    if not named:
        return [], list(given)
    if len(named) < len(given):
        raise UsageError("give a name to all feature files, as NAME=PATH, or to none of them")
    names = [name for name, _ in named]
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise UsageError(f"two feature files are called '{twice[0]}': give each a name of its own")
    if folders := [path for _, path in named if path.is_dir()]:
        raise UsageError(f"a name is for one feature file, and {folders[0]} is a folder")
    return names, [path for _, path in named]


def split_arm_names(texts: Iterable[str]) -> dict[str, str]:
    """Return the new names of arms that are given as OLD=NEW.

    Raises
    ------
    UsageError
        If a text is no such pair, or an arm is named twice.
    """
    names: dict[str, str] = {}
    for text in texts:
        old, _, new = (half.strip() for half in text.partition("="))
        if not old or not new:
            raise UsageError(
                f"--name must be OLD=NEW, such as 'resnet18 (imagenet) + svm=Baseline', not "
                f"'{text}'"
            )
        if old in names:
            raise UsageError(f"the arm '{old}' is named twice: name it once")
        names[old] = new
    return names
