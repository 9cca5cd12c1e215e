"""Provenance of a computation: engine, weights, versions, command and times."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import bottleneck
from bottleneck.backbones.backbone import Backbone
from bottleneck.features.compute.engine import Engine
from bottleneck.features.timing import Stage, find_bottleneck

__all__ = ["describe_run"]

_PACKAGES = ("torch", "timm", "numpy", "scipy", "pillow", "h5py")
_OPTIONAL = ("pydicom", "imagecodecs", "scikit-image")


def describe_run(backbone: Backbone, stages: tuple[Stage, ...], engine: Engine) -> dict[str, Any]:
    """Return what made the rows, where and when; ``features/README.md`` specifies the fields.

    Parameters
    ----------
    backbone : Backbone
        The network and layer that computed the rows.
    stages : tuple of Stage
        Where the time of the run went.
    engine : Engine
        Where the rows were computed.
    """
    return {
        **engine.describe(),
        "weights": backbone.weights.to_dict(),
        "shape": list(backbone.shape),
        "versions": {"bottleneck": bottleneck.__version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in _PACKAGES}
        | dict(_installed(*_OPTIONAL))
        | backbone.versions,
        "command": _command(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "stages": {s.name: {"busy": s.busy, "waiting": s.waiting} for s in stages},
        "bottleneck": find_bottleneck(stages),
    }


def _installed(*packages: str) -> Iterator[tuple[str, str]]:
    for name in packages:
        # A folder of that name where the command runs could be imported all the same.
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)


def _command() -> str:
    # Only the last part of each path: folders can name people.
    return shlex.join(word.rstrip(os.sep).rpartition(os.sep)[2] for word in sys.argv)
