"""Random anatomy of patients with a thyroid nodule, from which images are simulated."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from bottleneck.data.phantom.bmode import PIXEL, Floats, Probe, gaussian

__all__ = ["Nodule", "Patient", "draw_patient", "draw_tissue"]

# Rows: skin, fat, strap muscle, thyroid, prevertebral muscle. Columns: echogenicity relative to the
# thyroid, its standard deviation between patients, strength of strands in the layer, strength of
# the echo from its upper surface (all in dB), and how far it follows the bow of the thyroid's
# front (1: completely).
_LAYERS = np.array(
    [
        [5, 2, 2, 0, 0.0],
        [-6, 3, 5, 8, 0.2],
        [-9, 3, 4, 10, 0.5],
        [0, 0, 0, 14, 1.0],
        [-9, 3, 5, 16, -0.7],
    ],
    dtype=np.float32,
)
_THYROID = 3
_FOCUS_LEVEL = 15  # Echogenicity of a punctate echogenic focus, in dB relative to the thyroid.


@dataclasses.dataclass(frozen=True)
class Nodule:
    """A solid nodule; pairs are (lateral, axial), lengths in mm, levels in dB."""

    centre: tuple[float, float]  # lateral from the middle of the image; depth
    half_axes: tuple[float, float]
    outline: Floats  # radius relative to the ellipse, at 256 angles
    blur: float  # width of the margin
    contrast: float  # echogenicity relative to the thyroid
    halo: float  # echogenicity of the rim
    foci: NDArray[np.float64]  # shape (n, 2), in half axes from the centre
    attenuation: float  # per mm, in addition to the thyroid's; negative: enhancement


@dataclasses.dataclass(frozen=True)
class Patient:
    """What all frames of a patient share: anatomy, nodule and settings of the scanner."""

    n_frames: int
    probe: Probe
    gain: float  # level of the thyroid, in dB relative to white
    dynamic_range: float  # dB
    time_gain_residue: float  # dB per mm that time-gain compensation leaves
    interfaces: NDArray[np.float64]  # shape (5,), depth of the top of each layer in mm
    bow: float  # additional depth of the thyroid's front 20 mm from the middle, in mm
    heterogeneity: float  # strength of the thyroid's echotexture in dB
    grain: float  # size of this echotexture in mm
    nodule: Nodule
    texture_seed: int  # seed of strands, echotexture and waves of the interfaces


def draw_patient(malignant: bool, rng: np.random.Generator) -> Patient:
    """Return a random patient; only the nodule depends on ``malignant``."""
    interfaces = np.cumsum(rng.uniform([0, 0.8, 1.5, 2, 15], [0, 1.6, 5, 5, 20]))
    return Patient(
        n_frames=int(rng.integers(2, 6)),
        probe=Probe(
            carrier=rng.uniform(5, 12),
            cycles=rng.uniform(2, 3.5),
            f_number=rng.uniform(2, 4),
            focus=rng.uniform(10, 22),
        ),
        gain=rng.uniform(-36, -25),
        dynamic_range=rng.uniform(50, 65),
        time_gain_residue=rng.uniform(-0.1, 0.4),
        interfaces=interfaces,
        bow=rng.uniform(0, 5),
        heterogeneity=rng.uniform(0.3, 2.5),
        grain=rng.uniform(0.4, 1.5),
        nodule=_draw_nodule(malignant, *interfaces[_THYROID:].tolist(), rng=rng),
        texture_seed=int(rng.integers(2**32)),
    )


def _draw_nodule(malignant: bool, front: float, back: float, *, rng: np.random.Generator) -> Nodule:
    def draw(benign: float, malign: float, spread: float) -> float:
        return rng.normal(malign if malignant else benign, spread)

    aspect, radius = math.exp(draw(-0.25, 0, 0.2)), rng.uniform(4.5, 8)
    half_axes = (radius / math.sqrt(aspect), radius * math.sqrt(aspect))
    room = max(0, (back - front) / 2 - half_axes[1])

    angles = np.linspace(0, 2 * np.pi, 256)
    waves = np.sin(np.outer(np.arange(2, 9), angles) + rng.uniform(0, 2 * np.pi, (7, 1)))
    roughness = rng.normal(size=7) @ waves
    roughness *= max(0, draw(0.04, 0.08, 0.025)) / np.std(roughness)

    n_foci = rng.poisson(math.exp(draw(-0.7, 0.9, 0.9)))
    distance, angle = np.sqrt(rng.uniform(0, 0.7, n_foci)), rng.uniform(0, 2 * np.pi, n_foci)
    return Nodule(
        centre=(rng.uniform(-8, 8), (front + back) / 2 + rng.uniform(-room, room)),
        half_axes=half_axes,
        outline=(1 + roughness).astype(np.float32),
        blur=math.exp(draw(-1.3, -0.8, 0.4)),
        contrast=draw(-3, -8.5, 3.5),
        halo=min(0, draw(-3, 0, 4)),
        foci=np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1),
        attenuation=draw(-0.25, 0.25, 0.25),
    )


def draw_tissue(patient: Patient, shape: tuple[int, int], margin: int) -> Floats:
    """Return a map of the echogenicity of a patient's neck.

    Parameters
    ----------
    patient : Patient
        The patient.
    shape : tuple of int
        Rows and columns in pixels; the number of columns must be even.
    margin : int
        The number of rows above the skin.

    Returns
    -------
    ndarray of float32, shape ``shape``
        Echogenicity in dB relative to the thyroid.
    """
    rng = np.random.default_rng(patient.texture_seed)
    depth = PIXEL * (np.arange(shape[0], dtype=np.float32)[:, None] - margin)
    lateral = PIXEL * (np.arange(shape[1], dtype=np.float32) - shape[1] / 2)

    base, spread, strands, echo, follows = _LAYERS.T
    base = base + spread * rng.standard_normal(len(base), dtype=np.float32)
    tops = _draw_texture(rng, (len(base), shape[1]), 0, 4) / 2
    tops += patient.interfaces[:, None] + np.outer(follows * patient.bow, (lateral / 20) ** 2)
    layer = np.sum(depth > tops[1:, None], axis=0)
    below = depth - np.take_along_axis(tops, layer, axis=0)

    echotexture = patient.heterogeneity * _draw_texture(rng, shape, patient.grain, patient.grain)
    level = base[layer] + strands[layer] * _draw_texture(rng, shape, 0.18, 3)
    level += echo[layer] * gaussian(below / 0.25)
    level += np.where(layer == _THYROID, echotexture, 0)
    _add_nodule(level, patient.nodule, echotexture, depth, lateral)
    return level - patient.time_gain_residue * (depth - patient.probe.focus)


def _add_nodule(
    level: Floats, nodule: Nodule, echotexture: Floats, depth: Floats, lateral: Floats
) -> None:
    (middle, deep), (width, height) = nodule.centre, nodule.half_axes
    x, z = (lateral - middle) / width, (depth - deep) / height
    angle = (np.arctan2(z, x) + np.pi) * (255 / (2 * np.pi))
    outside = (np.hypot(x, z) - nodule.outline[angle.astype(np.intp)]) * min(width, height)
    inside = 0.5 - 0.5 * np.tanh(outside * (2 / nodule.blur))
    level += inside * (nodule.contrast + echotexture - level)
    level += nodule.halo * gaussian(outside / 0.35)
    level -= np.cumsum(inside, axis=0) * (PIXEL * nodule.attenuation)
    for focus in nodule.foci:
        column = np.searchsorted(lateral, middle + width * focus[0])
        row = np.searchsorted(depth[:, 0], deep + height * focus[1])
        level[row : row + 2, column : column + 3] = _FOCUS_LEVEL


def _draw_texture(
    rng: np.random.Generator, shape: tuple[int, int], axial: float, lateral: float
) -> Floats:
    """Return Gaussian noise of unit variance, smoothed with these sigmas in mm."""
    rows, columns = shape
    parts = rng.standard_normal((rows, columns // 2 + 1, 2), dtype=np.float32)
    rise = gaussian(2 * np.pi * axial * fft.fftfreq(rows, PIXEL).astype(np.float32))
    run = gaussian(2 * np.pi * lateral * fft.rfftfreq(columns, PIXEL).astype(np.float32))
    rise /= np.sqrt(2 * np.mean(rise**2) * np.mean(run**2))
    spectrum = parts.view(np.complex64)[..., 0] * np.outer(rise, run)
    return fft.irfft2(spectrum, shape, norm="ortho")
