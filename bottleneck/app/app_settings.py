"""What an app was started with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bottleneck.app.folders import Folders
from bottleneck.app.served_models import ServedModels
from bottleneck.app.session_files import SessionFiles
from bottleneck.text.short_repr import show_fields

__all__ = ["AppSettings"]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class AppSettings:
    """What an app was started with; its tabs share it.

    Attributes
    ----------
    models : ServedModels
        The models that predict. A model that is added later is in the list of the first tab, too.
    folders : Folders
        The folders that the app may read; it refuses all other paths.
    sessions : SessionFiles
        The temporary files of each open page, which are deleted with it.
    weights : Path or None
        The weight file of the networks; None if they are searched by their sha256.
    show_training_images : bool
        Whether training images are shown.
    work_folder : Path
        The folder of feature files, reports and models that the app writes.
    """

    models: ServedModels
    folders: Folders
    sessions: SessionFiles
    weights: Path | None = None
    show_training_images: bool = False
    work_folder: Path = Path()

    __repr__ = show_fields
