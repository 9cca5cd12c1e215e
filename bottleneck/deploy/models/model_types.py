"""What a model file may hold: types, and no more bytes than its own.

skops lists the types in a file before it builds any object.
"""

from __future__ import annotations

import json
import shlex
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from bottleneck.errors import ModelError, UsageError
from bottleneck.files.archives import find_bomb
from bottleneck.text.short_repr import shorten

__all__ = [
    "MAX_BYTES",
    "TRUSTED",
    "find_burst",
    "read_trust",
    "refuse_other_types",
    "trust_command",
    "untrusted_types",
]

#: Bytes of a model file.
MAX_BYTES = 2**31
# Bytes of the description of the objects: 23 kB for a tree, whatever its size.
_MAX_SCHEMA = 2**24

# The types of our heads that skops does not trust by default. Trees are checked when loaded.
TRUSTED = (
    "bottleneck.heads.estimators.classifiers.BalancedMLPClassifier",
    "bottleneck.heads.estimators.classifiers.FewNeighborsClassifier",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
)


def untrusted_types(data: bytes) -> tuple[str, ...]:
    """Return the types in a file that are trusted by neither skops nor us."""
    import skops.io

    return tuple(sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED)))


def read_trust(trust: str | Iterable[str]) -> list[str]:
    """Return the types that a caller trusts.

    Raises
    ------
    UsageError
        If they are not names.
    """
    is_list = isinstance(trust, Iterable) and not isinstance(trust, str | bytes)
    given = list(trust) if is_list else [trust]
    if wrong := [one for one in given if not isinstance(one, str)]:
        raise UsageError(
            f"trust must list the names of types, such as 'package.module.Class', not "
            f"{shorten(wrong[0])}"
        )
    return [str(one) for one in given]


def trust_command(path: str | Path, types: Iterable[str]) -> str:
    """Return the command that reads a model with the types that it needs."""
    words = ["bottleneck", "inspect", str(path)]
    for one in types:
        words += ["--trust", one]
    return shlex.join(words)


def refuse_other_types(path: Path, needed: tuple[str, ...], given: list[str]) -> None:
    """Raise ``ModelError`` if a file needs other types than those that are trusted."""
    if set(given) == set(needed):
        return
    if not needed:
        raise ModelError(
            f"{path} needs no trust in {', '.join(given)}: leave out --trust (in Python: trust=)"
        )
    lacking = [one for one in needed if one not in given]
    more = sorted(set(given) - set(needed))
    wrong = [
        *([f"it holds types that no bottleneck head needs: {', '.join(lacking)}"] * bool(lacking)),
        *([f"it does not hold {', '.join(more)}"] * bool(more)),
    ]
    raise ModelError(
        f"{path} was not loaded, because {', and '.join(wrong)}. Loading runs their code. If you "
        "trust its author, type",
        f"  {trust_command(path, needed)}",
        f"or in Python load_model(..., trust={needed!r})",
    )


def find_burst(archive: zipfile.ZipFile, size: int) -> str | None:
    """Return why an archive would take more memory than its bytes; None if it would not."""
    if size > MAX_BYTES:
        return f"it has {size:,} bytes, and {MAX_BYTES:,} are allowed"
    if bomb := find_bomb(archive):
        return bomb
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED:
            return f"{member.filename} is compressed, and models are not"
        if member.filename == "schema.json" and member.file_size > _MAX_SCHEMA:
            return f"schema.json has {member.file_size:,} bytes, and {_MAX_SCHEMA:,} are allowed"
    if (unpacked := sum(member.file_size for member in archive.infolist())) > size:
        return f"its {size:,} bytes would become {unpacked:,}"
    names = Counter(name for name, _ in set(_named_files(json.loads(archive.read("schema.json")))))
    if repeated := [name for name, n in names.items() if n > 1]:
        return f"it would read {repeated[0]} {names[repeated[0]]} times"
    return None


def _named_files(schema: object) -> Iterator[tuple[str, object]]:
    """Yield the members that hold the arrays of a description, with the id of the object.

    skops builds an object once, however often its id is named.
    """
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.values()
            if isinstance(node.get("file"), str):
                known = node.get("__id__")
                yield node["file"], known if isinstance(known, int) else id(node)
        elif isinstance(node, list):
            waiting += node
