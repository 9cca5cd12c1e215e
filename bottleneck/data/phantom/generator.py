"""The embedded data set: B-mode ultrasound images of thyroid nodules, simulated on demand.

With it, a demonstration needs no download. The frames of a patient are similar, so that a split by
image rewards classifiers for recognising patients. Results on these images do not carry over to
real images.
"""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.phantom.anatomy import Patient, draw_patient, draw_tissue
from bottleneck.data.phantom.bmode import PIXEL, compress_envelope, simulate_envelope
from bottleneck.errors import DataError, UsageError

__all__ = ["PhantomSource", "phantom_dataset"]

_SHAPE = (256, 320)
_MARGIN = 16  # Pixels of tissue beyond each edge of the image, since the probe moves.
_SOURCE = re.compile(r"P(\d{3,})/(\d)\.pgm")


def phantom_dataset(*, n_patients: int = 80, seed: int = 0) -> ImageDataset:
    """Return a data set of simulated thyroid nodules, with 2 to 5 frames per patient.

    Malignant and benign nodules differ in the distributions of the features that ACR TI-RADS [1]_
    scores: echogenicity, shape (taller than wide), margin (irregular or blurred; a benign nodule
    may have a halo) and punctate echogenic foci. They also differ in whether the tissue behind
    them is shadowed or enhanced. These distributions overlap. Everything else, such as the layers
    of the neck, echotexture, carrier frequency, gain and dynamic range, depends only on the
    patient and is independent of the label. Between the frames of a patient the probe moves a
    little, and the speckle is drawn again.

    Parameters
    ----------
    n_patients : int
        Number of patients; 9 of 20 are malignant. The first patients do not depend on it.
    seed : int
        Seed of all random draws; unless it is 0, it is part of the name.

    Returns
    -------
    ImageDataset
        Labels "benign" and "malignant", groups "P001" and so on, grey images of 320 × 256 pixels.

    Raises
    ------
    UsageError
        If there are fewer than 2 patients, or the seed is negative.

    References
    ----------
    .. [1] F. N. Tessler et al., "ACR Thyroid Imaging, Reporting and Data System (TI-RADS):
       white paper of the ACR TI-RADS committee", Journal of the American College of
       Radiology 14 (2017) 587-595.
    """
    if n_patients < 2:
        raise UsageError(f"the phantom needs at least 2 patients, one per class, not {n_patients}")
    if seed < 0:
        raise UsageError(f"the phantom's seed must be 0 or more, not {seed}")
    images = PhantomSource(seed)
    samples = tuple(
        Sample(
            id=f"P{number:03d}/{frame}",
            source=f"P{number:03d}/{frame}.pgm",
            label="malignant" if _is_malignant(number) else "benign",
            group=f"P{number:03d}",
        )
        for number in range(1, n_patients + 1)
        for frame in range(1, images.patient(number).n_frames + 1)
    )
    # The name distinguishes feature files: the samples of two seeds can be the same.
    return ImageDataset(
        f"phantom-seed{seed}" if seed else "phantom",
        samples,
        images,
        description={
            "labels": "known, since the nodules are drawn",
            "images": "drawn ultrasound frames",
        },
    )


def _is_malignant(number: int) -> bool:
    """Return whether a patient is malignant: 9 of 20 are, evenly spread, the first is number 2."""
    return (9 * number + 10) % 20 < 9


@dataclasses.dataclass(frozen=True)
class PhantomSource:
    """Simulated images that are rendered when they are read.

    An image does not depend on the order, thread or process in which it is read.

    Attributes
    ----------
    seed : int
        Seed of all random draws.
    """

    seed: int

    def patient(self, number: int) -> Patient:
        """Return the patient with a number, from 1."""
        return draw_patient(_is_malignant(number), np.random.default_rng([self.seed, number, 0]))

    def read(self, source: str) -> bytes:
        """Return an image as binary PGM.

        Raises
        ------
        DataError
            If there is no such image.
        """
        match = _SOURCE.fullmatch(source)
        number, frame = (int(match[1]), int(match[2])) if match else (0, 0)
        patient = self.patient(number)
        if number < 1 or not 1 <= frame <= patient.n_frames:
            raise DataError(f"the phantom has no image '{source}'; its first image is 'P001/1.pgm'")
        image = _render_frame(patient, np.random.default_rng([self.seed, number, frame]))
        return b"P5 %d %d 255\n" % image.shape[::-1] + image.tobytes()


def _render_frame(patient: Patient, rng: np.random.Generator) -> NDArray[np.uint8]:
    rows, columns = _SHAPE
    tissue = draw_tissue(patient, (rows + 2 * _MARGIN, columns + 2 * _MARGIN), _MARGIN)

    turn, zoom = rng.normal(0, 0.03), rng.normal(1, 0.02)
    section = zoom * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    centre = np.array(_SHAPE) / 2
    moved = centre + _MARGIN + rng.normal(0, [0.3, 0.7]) / PIXEL
    tissue = ndimage.affine_transform(
        tissue, section, moved - section @ centre, _SHAPE, order=0, mode="nearest"
    )
    envelope = simulate_envelope(tissue, patient.probe, rng)
    # A pixel on the screen averages over an area. This also softens the zeros of the speckle.
    displayed = ndimage.gaussian_filter(envelope, 0.7)
    return compress_envelope(displayed, rng.normal(patient.gain, 0.3), patient.dynamic_range)
