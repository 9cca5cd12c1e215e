"""Reader of folders with one subfolder per class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers.manifest import SPLITS
from bottleneck.data.readers.untrusted_files import is_image, list_files
from bottleneck.data.samples import Sample, collect
from bottleneck.errors import DataError

__all__ = ["read_class_folders"]


def read_class_folders(folder: Path) -> ImageDataset:
    """Read a folder whose subfolders are the classes.

    Images may be at any depth below the folder of their class. If all subfolders are named after
    splits (train, val, test and synonyms), they are read as splits, and the folders below
    them as classes. The id of a sample is its path relative to the folder. DICOM files need no
    suffix.

    Parameters
    ----------
    folder : Path
        The folder that contains the class folders.

    Returns
    -------
    ImageDataset
        Samples sorted by path.

    Raises
    ------
    DataError
        If no image is in a class folder, or if there is only one class and a CSV table, which
        probably contains the labels.
    """
    listing = list_files(folder)
    files, excluded = listing.files, listing.excluded
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
            f"'{folder}' does not have one subfolder per class, but it has the table "
            f"'{tables[0]}'. If this table names the images and their labels, pass it instead: "
            f"{folder / tables[0]}"
        )
    if not samples:
        message = _describe_missing_images(folder, images, files, depth)
        raise DataError(". ".join((message, *listing.notes)))
    notes = list(listing.notes)
    if depth:
        notes.append(f"the folders {', '.join(sorted(top))} are used as fixed splits")
    if len(classes) == 1:
        notes.append(
            f"there is only one class, '{min(classes)}'; "
            f"if the class folders are inside that folder, pass it instead"
        )
    return ImageDataset(
        name=folder.name,
        samples=collect(samples),
        images=FileSource(folder),
        excluded=+excluded,
        notes=tuple(notes),
    )


def _describe_missing_images(folder: Path, images: list[str], files: list[str], depth: int) -> str:
    expected = "expected one subfolder with images per class, such as benign/ and malignant/"
    if images:
        place = "directly in its split folders" if depth else "directly in it"
        return f"'{folder}': {expected}, but its {len(images)} images are {place}"
    suffixes = Counter(PurePosixPath(f).suffix or "no extension" for f in files)
    present = ", ".join(f"{n} × {suffix}" for suffix, n in suffixes.most_common(3))
    return (
        f"'{folder}': {expected}, but it contains {present or 'no file'} and no image (PNG, JPEG, "
        "TIFF, DICOM, BMP, GIF, WebP, netpbm)"
    )
