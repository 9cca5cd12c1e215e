"""What a model file may hold: types, and no more bytes than its own.

skops lists the types in a file before it builds any object.
"""

from __future__ import annotations

import json
import shlex
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bottleneck.errors import ModelError, UsageError
from bottleneck.files.archives import find_bomb
from bottleneck.heads.estimators.scores import order_classes
from bottleneck.heads.estimators.tree_check import refuse_broken_trees
from bottleneck.heads.head_catalogue import HEADS, get_head

if TYPE_CHECKING:
    from bottleneck.heads.persistence import Model

__all__ = [
    "TRUSTED",
    "check_estimator",
    "find_burst",
    "refuse_other_types",
    "trust_command",
    "untrusted_types",
]

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
        *(
            [f"it holds types that no head of bottleneck needs: {', '.join(lacking)}"]
            * bool(lacking)
        ),
        *([f"it does not hold {', '.join(more)}"] * bool(more)),
    ]
    raise ModelError(
        f"{path} was not loaded, because {', and '.join(wrong)}. Loading runs their code. If you "
        f"trust who made it, type",
        f"  {trust_command(path, needed)}",
        f"or in Python load_model(..., trust={needed!r})",
    )


def find_burst(archive: zipfile.ZipFile, size: int) -> str | None:
    """Return why an archive would take more memory than its bytes; None if it would not."""
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


def check_estimator(path: Path, model: Model) -> None:
    """Raise ``ModelError`` if the estimator is not that of the head, or has other classes."""
    _check_types(model)
    refuse_broken_trees(model.estimator)
    method = "predict_proba" if model.kind == "probability" else "decision_function"
    known = hasattr(model.estimator, method)
    if known and model.head in HEADS:
        head = get_head(model.head)
        built = [h.build(0) for h in (head, head.large) if h is not None]
        steps = [type(step) for step in getattr(model.estimator, "named_steps", {}).values()]
        known = any(steps == [type(step) for step in pipeline] for pipeline in built)
    if not known:
        raise ModelError(f"{path} holds an estimator other than that of the head '{model.head}'")
    try:
        order_classes(model.estimator, model.classes)
    except UsageError as error:
        raise ModelError(
            f"{path} holds an estimator with classes other than those listed in it"
        ) from error


def _check_types(model: Model) -> None:
    """Raise ``TypeError`` if a field of a loaded model has another type."""
    texts = (model.head, model.recipe_hash, model.dataset, model.fingerprint, model.trained_on)
    mappings = (model.recipe, model.versions, model.selection, model.classifier, model.chosen)
    sound = (
        all(isinstance(text, str) for text in (*texts, *model.classes))
        and isinstance(model.classes, tuple)
        and all(isinstance(field, Mapping) for field in mappings)
        and model.kind in ("probability", "decision")
        and isinstance(model.positive, str | None)
    )
    if not sound:
        raise TypeError("its metadata has fields of the wrong type")
