"""Whether the images of a data set are where the app may read."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import values_of
from bottleneck.data.sources.image_sources import FileSource
from bottleneck.errors import UsageError

__all__ = ["refuse_outside"]


def refuse_outside(dataset: ImageDataset, allowed: Sequence[Path]) -> None:
    """Raise UsageError if an image of a data set is outside some folders.

    A table may name any file of this machine, and a file may be a link to another one.

    Parameters
    ----------
    dataset : ImageDataset
        The data set.
    allowed : sequence of Path
        The folders.

    Raises
    ------
    UsageError
        It names the first such image.
    """
    images = dataset.images
    if not isinstance(images, FileSource):  # An archive, or images in memory.
        return
    folders = [folder.resolve() for folder in allowed]

    # Many images share a folder.
    @functools.cache
    def resolve_folder(folder: str) -> Path:
        return Path(folder).resolve()

    for source in values_of(dataset.samples, "source"):
        # Called for every image: building a Path takes longer than both.
        folder, name = os.path.split(os.path.join(images.root, source))  # noqa: PTH118
        path = resolve_folder(folder) / name
        path = path.resolve() if name in ("", ".", "..") or path.is_symlink() else path
        if not any(path.is_relative_to(one) for one in folders):
            raise UsageError(
                f"the image '{source}' is outside the folders that the app may read: start it "
                "with --folder for the folder of the images as well"
            )
