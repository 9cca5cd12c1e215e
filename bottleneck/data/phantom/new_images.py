"""Image files of simulated patients, in one folder and without labels, as a model meets them."""

from __future__ import annotations

import io
from pathlib import Path

from bottleneck.data.phantom.generator import phantom_dataset
from bottleneck.files.writing import make_folder, write_whole

__all__ = ["malignant_images", "save_new_images"]


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
    from PIL import Image

    phantom = phantom_dataset(n_patients=n_patients, seed=seed)
    make_folder(folder)
    for number, name in enumerate(_names(n_patients), 1):
        drawn = phantom.images.read(f"P{number:03d}/1.pgm")
        encoded = io.BytesIO()
        Image.open(io.BytesIO(drawn)).save(encoded, "PNG")
        write_whole(folder / name, encoded.getvalue())
    return folder


def malignant_images(*, n_patients: int, seed: int) -> list[str]:
    """Return the names of the files of ``save_new_images`` that show a malignant nodule."""
    phantom = phantom_dataset(n_patients=n_patients, seed=seed)
    labels = {sample.id: sample.label for sample in phantom.samples}
    names = enumerate(_names(n_patients), 1)
    return [name for number, name in names if labels[f"P{number:03d}/1"] == "malignant"]


def _names(n_patients: int) -> list[str]:
    return [f"new-{number}.png" for number in range(1, n_patients + 1)]
