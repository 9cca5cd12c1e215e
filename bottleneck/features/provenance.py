"""What a feature file says of itself; ``features/README.md`` specifies it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import bottleneck
from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import Recipe
from bottleneck.data.dataset import ImageDataset
from bottleneck.features.compute.engine import BatchPlan
from bottleneck.features.file.format import FORMAT
from bottleneck.features.timing import Stage, find_bottleneck

__all__ = ["make_provenance"]

_PACKAGES = ("torch", "timm", "numpy", "pillow", "h5py")
_CODECS = ("pydicom", "imagecodecs")


def make_provenance(
    dataset: ImageDataset,
    backbone: Backbone,
    recipe: Recipe,
    *,
    content: str,
    header: Mapping[str, Any],
    before: Mapping[str, Any],
    n_fresh: int,
    seconds: float,
    stages: tuple[Stage, ...],
) -> dict[str, Any]:
    """Describe a feature file.

    Parameters
    ----------
    dataset : ImageDataset
        Of its rows.
    backbone : Backbone
        What they were computed with.
    recipe : Recipe
        Of their values.
    content : str
        Hash of ids, images and failures.
    header : mapping
        Of the log: how the rows were computed.
    before : mapping
        What the file said before; empty for a new one.
    n_fresh : int
        Rows of the log.
    seconds : float
        That they took.
    stages : tuple of Stage
        Where the time went.

    Returns
    -------
    dict
        All but engine and device.
    """
    seconds = before.get("seconds", 0.0) + (seconds if n_fresh else 0.0)
    extracted = before.get("images_extracted", 0) + n_fresh
    return {
        "format": FORMAT,
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "positive": dataset.positive,
            "n_samples": len(dataset),
            "n_patients": dataset.n_groups,
            "classes": dict(sorted(dataset.class_counts.items())),
            "excluded": dict(dataset.excluded),
            "description": dict(dataset.description),
        },
        "content": content,
        "recipe": recipe.to_dict(),
        "recipe_hash": recipe.hash,
        "weights": backbone.weights.to_dict(),
        "shape": list(backbone.shape),
        **{field.name: header[field.name] for field in dataclasses.fields(BatchPlan)},
        "drift": header["drift"],
        "versions": {"bottleneck": bottleneck.__version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in _PACKAGES}
        | dict(_versions(*_CODECS)),
        "command": _command(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "stages": {s.name: {"busy": s.busy, "waiting": s.waiting} for s in stages},
        "bottleneck": find_bottleneck(stages),
        "images_extracted": extracted,
        "seconds": round(seconds, 3),
        "images_per_second": round(extracted / seconds, 3) if seconds else None,
    }


def _versions(*packages: str) -> Iterator[tuple[str, str]]:
    for name in packages:
        # A folder of that name where the command runs could be imported all the same.
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)


def _command() -> str:
    # Of every path the last part: folders tell who works where.
    return shlex.join(word.rstrip(os.sep).rpartition(os.sep)[2] for word in sys.argv)
