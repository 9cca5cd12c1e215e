"""From the stored values of a grey DICOM image to levels (PS3.3, C.11.1, C.11.2 and C.11.6)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.dicom_elements import Elements
from bottleneck.data.images.dicom_tables import find_depth, read_table
from bottleneck.data.images.display import (
    Display,
    levels_in_range,
    refuse_faint,
    used_range,
    windowed,
)
from bottleneck.errors import DecodeError

__all__ = ["ADVICE", "grey_levels"]

ADVICE = (
    "give a window (--window CENTRE,WIDTH), scale each image by its own values (--rescale), or "
    "write WindowCenter and WindowWidth into the file"
)

_RESCALE = ("RescaleSlope", "RescaleIntercept")


def grey_levels(
    elements: Elements,
    values: NDArray,
    count: Callable[[], NDArray],
    display: Display,
    notes: list[str],
) -> tuple[NDArray[np.floating], str]:
    """Return the level, 0 to 255, of each possible stored value, before inversion.

    Parameters
    ----------
    elements : Elements
        The header.
    values : ndarray of int, shape (n_values,)
        All possible stored values.
    count : callable
        Returns how many pixels have each of these values, without padding.
    display : Display
        What replaces the window of the header.
    notes : list of str
        Notes for the user are appended to it.

    Returns
    -------
    ndarray of float64, shape (n_values,)
        The levels.
    str
        What made them, for messages.

    Raises
    ------
    DecodeError
        If an element is not valid, or a level is not a finite number.
    """
    measured, declared = _measure(elements, values, notes)
    if display.window is not None:
        kind = "with the window {:g},{:g}".format(*display.window)
        return windowed(measured, display.window), kind
    if display.rescale:
        return _rescale(measured, count()), "scaled by its own values"
    for item in elements.items("VOILUTSequence"):
        if "LUTDescriptor" in item and "LUTData" in item:
            # C.11.2.1.1: the first value is signed if what is looked up can be negative.
            table = read_table(item, bool(measured.min() < 0), measured, notes)
            levels = table.look_up(measured) / float((1 << find_depth([table], notes)) - 1) * 255
            return levels, "with the VOI LUT of its header"
    window = _find_window(elements)
    if window is not None:
        kind = "with the window {:g},{:g} of its header".format(*window)
        return _finite(_windowed(elements, measured, *window)), kind
    return _finite(levels_in_range(measured, *declared)), "without a window"


def _measure(
    elements: Elements, values: NDArray, notes: list[str]
) -> tuple[NDArray[np.floating], tuple[float, float]]:
    """Return measured values (C.11.1), and the range that is declared for them."""
    for item in elements.items("ModalityLUTSequence"):
        if "LUTDescriptor" in item and "LUTData" in item:
            table = read_table(item, bool(values.min() < 0), values, notes)
            top = (1 << find_depth([table], notes)) - 1
            return table.look_up(values).astype(np.float64), (0.0, float(top))
    for name, other in (_RESCALE, _RESCALE[::-1]):
        if name in elements and other not in elements:
            notes.append(f"{name} without {other}: not applied")
            return values.astype(np.float64), (float(values.min()), float(values.max()))
    slope = elements.number("RescaleSlope", 1)
    if slope == 0:
        raise DecodeError("RescaleSlope is 0, which makes all values of the image the same")
    measured = _finite(values * slope + elements.number("RescaleIntercept", 0))
    return measured, (float(measured.min()), float(measured.max()))


def _find_window(elements: Elements) -> tuple[float, float] | None:
    """Return centre and width of the first window of which neither is empty."""
    pairs = zip(elements.numbers("WindowCenter"), elements.numbers("WindowWidth"), strict=False)
    for centre, width in pairs:
        if centre is not None and width is not None:
            return centre, width
    return None


def _windowed(
    elements: Elements, measured: NDArray, centre: float, width: float
) -> NDArray[np.floating]:
    function = elements.text("VOILUTFunction").upper() or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise DecodeError(
            f"VOILUTFunction is '{function[:20]}', and the standard has LINEAR, LINEAR_EXACT and "
            f"SIGMOID: {ADVICE}"
        )
    if width <= 0 or (width < 1 and function == "LINEAR"):
        least = "at least 1" if function == "LINEAR" else "more than 0"
        raise DecodeError(f"WindowWidth is {width:g}, and {function} needs {least}: {ADVICE}")
    if function == "LINEAR":
        return windowed(measured, (centre, width))
    if function == "LINEAR_EXACT":
        return levels_in_range(measured, centre - width / 2, centre + width / 2)
    return 255 / (1 + np.exp(-4 * (measured - centre) / width))


def _rescale(measured: NDArray, counts: NDArray) -> NDArray[np.floating]:
    if not counts.any():
        refuse_faint(counts, "a DICOM image", ADVICE)
    order = np.argsort(measured, kind="stable")
    low, high = used_range(counts[order])
    return levels_in_range(measured, measured[order[low]], measured[order[high]])


def _finite(values: NDArray) -> NDArray:
    if not np.isfinite(values).all():
        raise DecodeError("its window or rescaling is not a finite number")
    return values
