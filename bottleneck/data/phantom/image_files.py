"""Image files of simulated patients: a data set in class folders, and new images without labels."""

from __future__ import annotations

import io
from pathlib import Path

from bottleneck.data.phantom.generator import phantom_dataset
from bottleneck.files.writing import make_folder, write_whole

__all__ = ["malignant_images", "save_new_images", "save_scans"]


def save_scans(folder: Path, *, n_patients: int = 80) -> Path:
    """Write the images of the embedded data set to PNG files in one subfolder per class.

    Parameters
    ----------
    folder : Path
        Folder of the files ``benign/P001-1.png`` and so on; created if it does not exist. The name
        of a file begins with its patient.
    n_patients : int
        Number of patients.

    Returns
    -------
    Path
        The same folder.

    Raises
    ------
    UsageError
        If the folder cannot be created.
    """
    phantom = phantom_dataset(n_patients=n_patients)
    for sample in phantom.samples:
        make_folder(folder / sample.label)
        name = sample.id.replace("/", "-")
        _save_png(phantom.images.read(sample.source), folder / sample.label / f"{name}.png")
    return folder


def save_new_images(folder: Path, *, n_patients: int, seed: int) -> Path:
    """Write the first image of each patient of a phantom to PNG files.

    Parameters
    ----------
    folder : Path
        Folder of the files ``new-1.png`` and so on; created if it does not exist.
    n_patients : int
        Number of patients.
    seed : int
        Seed of the phantom: another one has other patients.

    Returns
    -------
    Path
        The same folder.

    Raises
    ------
    UsageError
        If the folder cannot be created.
    """
    phantom = phantom_dataset(n_patients=n_patients, seed=seed)
    make_folder(folder)
    for number, name in enumerate(_names(n_patients), 1):
        _save_png(phantom.images.read(f"P{number:03d}/1.pgm"), folder / name)
    return folder


def malignant_images(*, n_patients: int, seed: int) -> list[str]:
    """Return the names of the files of ``save_new_images`` that show a malignant nodule."""
    phantom = phantom_dataset(n_patients=n_patients, seed=seed)
    labels = {sample.id: sample.label for sample in phantom.samples}
    names = enumerate(_names(n_patients), 1)
    return [name for number, name in names if labels[f"P{number:03d}/1"] == "malignant"]


def _save_png(drawn: bytes, path: Path) -> None:
    from PIL import Image

    encoded = io.BytesIO()
    Image.open(io.BytesIO(drawn)).save(encoded, "PNG")
    write_whole(path, encoded.getvalue())


def _names(n_patients: int) -> list[str]:
    return [f"new-{number}.png" for number in range(1, n_patients + 1)]
