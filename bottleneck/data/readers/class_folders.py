"""A folder with one subfolder a class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers.manifest import SPLITS
from bottleneck.data.readers.untrusted_files import IMAGE_SUFFIXES, is_image, list_files
from bottleneck.data.samples import Sample, collect
from bottleneck.errors import DataError

__all__ = ["read_class_folders"]


def read_class_folders(folder: Path) -> ImageDataset:
    """Read a folder whose subfolders are the classes.

    Images may lie at any depth below a class. Where all subfolders are named after
    splits (train, val, test and their like), they are the splits, and the folders
    below them the classes. The id of a sample is its path relative to the folder.
    DICOM files need no suffix.

    Parameters
    ----------
    folder : Path
        The folder above the classes.

    Returns
    -------
    ImageDataset
        Samples sorted by path.

    Raises
    ------
    DataError
        If no image lies in a class folder, or a table beside a single folder of
        images says that the labels are elsewhere.
    """
    files, excluded = list_files(folder)
    images = [f for f in files if is_image(folder / f)]
    tables = [f for f in files if "/" not in f and f.casefold().endswith(".csv")]
    if others := len(files) - len(images):
        excluded["not an image file"] = others
    top = {PurePosixPath(f).parts[0] for f in images if "/" in f}
    depth = 1 if top and all(name.casefold() in SPLITS for name in top) else 0
    samples = []
    for path in images:
        parts = PurePosixPath(path).parts
        if len(parts) < depth + 2:
            excluded["image outside the class folders"] += 1
            continue
        split = SPLITS[parts[0].casefold()] if depth else None
        samples.append(Sample(id=path, source=path, label=parts[depth], split=split))
    classes = {sample.label for sample in samples}
    if tables and len(classes) < 2:
        raise DataError(
            f"'{folder}' has no subfolder for each class, but holds the table '{tables[0]}'; "
            f"if that names the images and their labels, pass that CSV: {folder / tables[0]}"
        )
    if not samples:
        raise DataError(_describe_lack(folder, images, files, depth))
    notes = []
    if depth:
        notes.append(f"the folders {', '.join(sorted(top))} are read as fixed splits")
    if len(classes) == 1:
        notes.append(
            f"there is one class only, '{min(classes)}'; "
            f"if the data set begins inside that folder, pass it instead"
        )
    return ImageDataset(
        name=folder.name,
        samples=collect(samples),
        images=FileSource(folder),
        excluded=excluded,
        notes=tuple(notes),
    )


def _describe_lack(folder: Path, images: list[str], files: list[str], depth: int) -> str:
    expected = "expected one subfolder a class with images in it, such as benign/ and malignant/"
    if images:
        where = "directly in its split folders" if depth else "directly in it"
        return f"'{folder}': {expected}; its {len(images)} images lie {where}"
    suffixes = Counter(PurePosixPath(f).suffix or "no extension" for f in files)
    found = ", ".join(f"{n} × {suffix}" for suffix, n in suffixes.most_common(3))
    return (
        f"'{folder}': {expected}; it holds no image "
        f"({', '.join(sorted(IMAGE_SUFFIXES))}), but {found or 'nothing at all'}"
    )
