"""Rows of features by the content of their image, kept in memory, and in feature files on request.

The memory is that of this process. Feature files are those of ``extract``, of any data set: a row
is known if a file of the folder has it, under the same recipe.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import Recipe
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.readers.new_images.given_images import GivenImages
from bottleneck.errors import DataError, FeatureFileError
from bottleneck.features.compute.engine import (
    BatchPlan,
    ExtractionJob,
    FeatureBatch,
    ForwardPass,
)
from bottleneck.features.compute.local_engine import LocalEngine
from bottleneck.features.devices import resolve_device
from bottleneck.features.extraction import extract
from bottleneck.features.file.neighbour_files import Arithmetic, NeighbourFiles
from bottleneck.features.images.loader import load_images
from bottleneck.features.options import ExtractionOptions
from bottleneck.files.locks import lock
from bottleneck.files.writing import make_folder
from bottleneck.text.plurals import counted

__all__ = ["compute_rows"]

_Row = NDArray[np.float32]
# Bytes of all rows in memory: 130,000 rows of 2,048 numbers.
_MOST_BYTES = 2**30
# Images whose bytes are hashed ahead.
_AHEAD = 64
# Images that a message names.
_NAMED = 3


class _Memory:
    """Rows by recipe and key; those that were not used for the longest time are dropped first."""

    def __init__(self) -> None:
        self._rows: collections.OrderedDict[tuple[str, str], _Row] = collections.OrderedDict()
        self._bytes = 0

    def find(self, recipe: str, key: str) -> _Row | None:
        row = self._rows.get((recipe, key))
        if row is not None:
            self._rows.move_to_end((recipe, key))
        return row

    def keep(self, recipe: str, rows: Mapping[str, _Row]) -> None:
        for key, row in rows.items():
            if (recipe, key) not in self._rows:
                # A copy: a part of a batch would keep the whole batch.
                self._rows[recipe, key] = row.copy()
                self._bytes += row.nbytes
        while self._bytes > _MOST_BYTES:
            self._bytes -= self._rows.popitem(last=False)[1].nbytes


_MEMORY = _Memory()
# One computation at a time: a network uses all cores.
_COMPUTING = threading.RLock()


def compute_rows(
    inputs: GivenImages,
    backbone: Backbone,
    recipe: Recipe,
    plan: BatchPlan,
    options: ExtractionOptions,
    store: Path | None,
) -> NDArray[np.float32]:
    """Return one row per image; those that are known are not computed again.

    Parameters
    ----------
    inputs : GivenImages
        The images.
    backbone : Backbone
        The network.
    recipe : Recipe
        What determines the rows.
    plan : BatchPlan
        How they are computed.
    options : ExtractionOptions
        Options of ``extract``, which writes into the folder ``store``.
    store : Path or None
        Folder of feature files; None for memory alone.

    Returns
    -------
    ndarray of float32, shape (len(inputs), width)

    Raises
    ------
    DataError
        If an image cannot be used; the message names it.
    """
    with _COMPUTING:
        keys = _hash(inputs)
        # Rows of another batch size differ in their last bits, as in feature files.
        memory = recipe.hash + ("" if store is not None else f" {plan}")
        rows = {key: row for key in keys if (row := _MEMORY.find(memory, key)) is not None}
        lacking = {key: n for n, key in reversed(list(enumerate(keys))) if key not in rows}
        if lacking and store is None:
            computed = _in_memory(inputs, lacking, backbone, recipe, plan, options)
        elif lacking and store is not None:
            computed = _in_store(inputs, lacking, backbone, recipe, options, store)
        else:
            computed = {}
        _MEMORY.keep(memory, computed)
        rows |= computed
        if changed := [n for key, n in lacking.items() if key not in rows]:
            raise DataError(f"{inputs.name(changed[0])} changed while it was read; repeat the call")
        return np.stack([rows[key] for key in keys])


def _hash(inputs: GivenImages) -> list[str]:
    """Return the sha256 of the bytes of every image."""
    clock = LocalEngine("cpu", "auto").clock
    dataset = inputs.dataset("images")
    loaded = load_images(dataset, range(len(inputs)), lambda _: (), clock, ahead=_AHEAD)
    with contextlib.closing(loaded):
        rows = list(loaded)
    _refuse_failures(inputs, {row.number: row.failure for row in rows if row.failure is not None})
    return [row.sha256 for row in rows]


def _refuse_failures(inputs: GivenImages, failures: Mapping[int, str]) -> None:
    if failures:
        named = [f"{inputs.name(n)}: {why}" for n, why in sorted(failures.items())[:_NAMED]]
        more = f"; and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
        raise DataError(
            f"{counted(len(failures), 'image')} of {len(inputs)} cannot be used: "
            f"{'; '.join(named)}{more}. Leave them out of X and y"
        )


def _in_memory(
    inputs: GivenImages,
    lacking: Mapping[str, int],
    backbone: Backbone,
    recipe: Recipe,
    plan: BatchPlan,
    options: ExtractionOptions,
) -> dict[str, _Row]:
    engine = LocalEngine(options.device, options.workers)
    numbers = list(lacking.values())
    dataset = inputs.dataset("images")
    forward = ForwardPass((backbone,), recipe.precision, recipe.framing, plan, drift=False)
    job = ExtractionJob(dataset, numbers, [forward], lambda *_: False, lambda _: set(), None)
    rows: dict[str, _Row] = {}
    failures: dict[int, str] = {}
    with contextlib.closing(engine.run(job)) as results:
        for result in results:
            if isinstance(result, FeatureBatch):
                rows |= zip((row.key for row in result.rows), result.features[0], strict=True)
            elif result.failure is not None:
                failures[result.number] = result.failure
    # What was computed is kept, so that a repeated call without the bad images is quick.
    _MEMORY.keep(f"{recipe.hash} {plan}", rows)
    _refuse_failures(inputs, failures)
    return rows


def _in_store(
    inputs: GivenImages,
    lacking: Mapping[str, int],
    backbone: Backbone,
    recipe: Recipe,
    options: ExtractionOptions,
    store: Path,
) -> dict[str, _Row]:
    like = None
    if recipe.precision != "fp32":
        like = Arithmetic(compiled=False, device=resolve_device(options.device).type)
    rows = _read_store(store, recipe, backbone.width, lacking, like)
    if len(rows) == len(lacking):  # The folder may allow no writing.
        return rows
    # Other processes wait, and then read what this one has computed.
    name = f"rows-{recipe.hash[:8]}"
    with lock(make_folder(store, option="store") / name, "transform", FeatureFileError, wait=True):
        rows = _read_store(store, recipe, backbone.width, lacking, like)
        if fresh := {key: n for key, n in lacking.items() if key not in rows}:
            ordered = sorted(fresh.values())
            dataset = _new_dataset(inputs, fresh)
            done = extract(
                dataset,
                backbone,
                precision=recipe.precision,
                device=options.device,
                batch_size=options.batch_size,
                compile="never",
                output=store,
            )
            numbers = {sample.id: n for sample, n in zip(dataset.samples, ordered, strict=True)}
            _refuse_failures(inputs, {numbers[one]: why for one, why in done.failures})
            rows |= _read_store(store, recipe, backbone.width, fresh, like)
        return rows


def _read_store(
    store: Path, recipe: Recipe, width: int, keys: Mapping[str, int], like: Arithmetic | None
) -> dict[str, _Row]:
    taken = NeighbourFiles(store, recipe.hash, width, like=like).read(list(keys))
    return {key: row for key, (_, row) in taken.items()}


def _new_dataset(inputs: GivenImages, fresh: Mapping[str, int]) -> ImageDataset:
    """Return a data set of images without a row, with a name that follows from their content."""
    digest = hashlib.sha256("".join(sorted(fresh)).encode()).hexdigest()
    ids: dict[int, str] = {}
    used: set[str] = set()
    for key, number in sorted(fresh.items(), key=lambda pair: pair[1]):
        name = inputs.sources[number] if inputs.name(number).startswith("'") else key[:16]
        plain = name.isprintable() and len(name) < 500 and name not in used
        ids[number] = name if plain else key[:16]
        used.add(name)
    return inputs.dataset(f"rows-{digest[:12]}", ids)
