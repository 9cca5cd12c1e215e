"""What a folder of a data set contains: images, or volumes; their masks; and other files."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

from bottleneck.data.readers.folders.mask_files import split_masks
from bottleneck.data.sources.image_sources import FileSource, ImageSource
from bottleneck.data.sources.untrusted_files import is_image, list_files
from bottleneck.data.volumes.volume_files import VolumeFiles, is_volume_name
from bottleneck.data.volumes.volume_listing import list_volumes
from bottleneck.errors import DataError, describe_os_error
from bottleneck.text.plurals import counted

__all__ = ["NO_IMAGE", "FolderContents", "read_contents"]

NO_IMAGE = "not an image file"


@dataclasses.dataclass(frozen=True, eq=False)
class FolderContents:
    """The files below a folder of images, or of volumes.

    Attributes
    ----------
    noun : str
        "image" or "volume".
    paths : list of str
        The images or volumes without masks of others, sorted, relative to the folder.
    masks : list of (str, str)
        Masks, each with its image.
    alone : list of str
        Those among ``paths`` that are named like masks, and have no image.
    files : list of str
        All files.
    others : list of str
        The files that are neither images nor part of a volume.
    excluded : Counter of str
        Why files were left out, each with their number.
    notes : list of str
        Notes for the user.
    source : ImageSource
        The source of the images or volumes.
    """

    noun: str
    paths: list[str]
    masks: list[tuple[str, str]]
    alone: list[str]
    files: list[str]
    others: list[str]
    excluded: Counter[str]
    notes: list[str]
    source: ImageSource


def read_contents(folder: Path, *, volumes: bool = False) -> FolderContents:
    """Return what a folder contains, at any depth.

    Parameters
    ----------
    folder : Path
        The folder.
    volumes : bool
        Whether it is read as volumes: files of a volume format, and folders of DICOM slices. A
        folder of the former that contains no image is read as volumes in any case.

    Raises
    ------
    DataError
        If a folder cannot be listed, or a file that may be a slice cannot be read.
    MissingExtraError
        If DICOM files are to be volumes, and the extra ``medical`` is not installed.
    """
    listing = list_files(folder)
    files, excluded, notes = listing.files, listing.excluded, list(listing.notes)
    images = [] if volumes else [file for file in files if is_image(folder, file)]
    named = [file for file in files if is_volume_name(file)]
    is_of_volumes = volumes or (bool(named) and not images)
    if is_of_volumes:
        try:
            listed = list_volumes(folder, files)
        except OSError as error:
            raise DataError(
                f"a file in '{folder}' cannot be read: {describe_os_error(error)}"
            ) from error
        images, others = listed.volumes, listed.others
        notes += listed.notes
    else:
        others = sorted(set(files).difference(images))
        if named:
            notes.append(
                f"{counted(len(named), 'volume')}, such as '{named[0]}', left out, since the "
                "others are images: to read volumes instead, pass --volumes"
            )
    paths, masks, alone = split_masks(images)
    excluded["not part of a volume" if is_of_volumes else NO_IMAGE] += len(others)
    excluded[f"mask of another {'volume' if is_of_volumes else 'image'}"] += len(masks)
    return FolderContents(
        noun="volume" if is_of_volumes else "image",
        paths=paths,
        masks=masks,
        alone=alone,
        files=files,
        others=others,
        excluded=excluded,
        notes=notes,
        source=VolumeFiles(folder) if is_of_volumes else FileSource(folder),
    )
