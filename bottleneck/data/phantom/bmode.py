"""Simulation of B-mode ultrasound images from the echogenicity of tissue."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

__all__ = [
    "PIXEL",
    "Floats",
    "Probe",
    "compress_envelope",
    "gaussian",
    "simulate_envelope",
]

Floats = NDArray[np.float32]

PIXEL = 0.125
"""Edge of a pixel in millimetres, in depth and laterally."""

_SPEED_OF_SOUND = 1.54  # mm/µs, the mean of soft tissue that scanners assume


@dataclasses.dataclass(frozen=True)
class Probe:
    """An ultrasound probe (linear array) and its settings.

    Attributes
    ----------
    carrier : float
        Centre frequency in MHz.
    cycles : float
        Full width at half maximum of the pulse, in periods of the carrier.
    f_number : float
        Focal depth divided by aperture.
    focus : float
        Focal depth in millimetres.
    """

    carrier: float
    cycles: float
    f_number: float
    focus: float

    @property
    def wavelength(self) -> float:
        """Wavelength of the carrier in millimetres."""
        return _SPEED_OF_SOUND / self.carrier

    @property
    def axial_sigma(self) -> float:
        """Standard deviation of the pulse in millimetres of depth (half the path of the sound)."""
        return _sigma(self.cycles * self.wavelength / 2)

    def lateral_sigma(self, depth: Floats) -> Floats:
        """Return the standard deviation of the beam's lateral profile in millimetres.

        At the focus, its full width at half maximum is wavelength × f-number. It widens like a
        Gaussian beam: by a factor of sqrt(2) at a distance of 7 × wavelength × f-number².
        """
        distance = (depth - self.focus) / (7 * self.wavelength * self.f_number**2)
        return _sigma(self.wavelength * self.f_number) * np.sqrt(1 + distance**2)


def _sigma(full_width_at_half_maximum: float) -> float:
    return full_width_at_half_maximum / math.sqrt(8 * math.log(2))


def simulate_envelope(echogenicity: Floats, probe: Probe, rng: np.random.Generator) -> Floats:
    """Return the envelope of the echoes from tissue, before compression.

    The linear model of Bamber and Dickinson [1]_ is used: point scatterers at random positions
    with Gaussian amplitudes are convolved with a separable point-spread function, which is a
    cosine at the carrier frequency in a Gaussian envelope axially, and a Gaussian laterally. The
    analytic signal is computed in the baseband. There the cosine disappears, and a scatterer at
    depth z has the phase 4 pi z / wavelength. This phase turns once per half wavelength, which is
    about the length of a pixel, so the scatterers in a pixel add up to one circular complex
    Gaussian number, which is drawn. Speckle is fully developed: in homogeneous tissue the
    envelope is Rayleigh distributed [2]_ and the covariance of its square is the squared
    autocorrelation of the point-spread function [3]_.

    Parameters
    ----------
    echogenicity : ndarray of float32, shape (rows, columns)
        Mean backscattered power of each pixel in dB; zeros are homogeneous tissue.
    probe : Probe
        The probe, which determines the point-spread function.
    rng : numpy.random.Generator
        The generator of the random scatterers.

    Returns
    -------
    ndarray of float32, shape (rows, columns)
        Amplitude. In homogeneous tissue of 0 dB, the expectation of its square is 1.

    References
    ----------
    .. [1] J. C. Bamber, R. J. Dickinson, "Ultrasonic B-scanning: a computer simulation",
       Physics in Medicine and Biology 25 (1980) 463-479.
    .. [2] C. B. Burckhardt, "Speckle in ultrasound B-mode scans", IEEE Transactions on Sonics
       and Ultrasonics 25 (1978) 1-6.
    .. [3] R. F. Wagner, S. W. Smith, J. M. Sandrik, H. Lopez, "Statistics of speckle in
       ultrasound B-scans", IEEE Transactions on Sonics and Ultrasonics 30 (1983) 156-163.
    """
    rows, columns = echogenicity.shape
    parts = rng.standard_normal((rows, columns, 2), dtype=np.float32)
    scatterers = parts.view(np.complex64)[..., 0] * np.exp(echogenicity * (math.log(10) / 20))

    # The beam's width changes with depth, so each row has its own transfer function.
    depth = PIXEL * np.arange(rows, dtype=np.float32)
    frequency = 2 * np.pi * fft.fftfreq(columns, PIXEL).astype(np.float32)
    beam = gaussian(np.outer(probe.lateral_sigma(depth), frequency))
    beam /= np.sqrt(2 * np.mean(beam**2, axis=1, keepdims=True))
    lines = fft.ifft(fft.fft(scatterers, axis=1) * beam, axis=1)

    pulse = gaussian(np.arange(-8, 9, dtype=np.float32) * (PIXEL / probe.axial_sigma))
    return np.abs(ndimage.convolve1d(lines, pulse / np.linalg.norm(pulse), axis=0))


def compress_envelope(envelope: Floats, gain: float, dynamic_range: float) -> NDArray[np.uint8]:
    """Return the grey levels of a logarithmically compressed envelope.

    Parameters
    ----------
    envelope : ndarray of float32
        Amplitude.
    gain : float
        Level of an amplitude of 1, in dB relative to white.
    dynamic_range : float
        Difference between black and white in dB.

    Returns
    -------
    ndarray of uint8
        Grey levels in the same shape. Values beyond the dynamic range are black or white.
    """
    level = gain + 20 * np.log10(np.maximum(envelope, 1e-6))
    return (255 * np.clip(1 + level / dynamic_range, 0, 1)).astype(np.uint8)


def gaussian(x: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return exp(-x²/2), but at least 4e-18, since denormal numbers are slow."""
    return np.exp(np.maximum(x**2 / -2, -40))
