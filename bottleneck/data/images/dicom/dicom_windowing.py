"""From the stored values of a grey DICOM image to levels (PS3.3, C.11.1, C.11.2 and C.11.6)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.dicom.dicom_elements import Elements
from bottleneck.data.images.dicom.dicom_tables import find_depth, read_table
from bottleneck.data.images.display import (
    AS_STORED,
    Conversion,
    Display,
    levels_in_range,
    refuse_faint,
    used_range,
    windowed,
)
from bottleneck.errors import DecodeError

__all__ = ["advise", "grey_levels"]

_RESCALE = ("RescaleSlope", "RescaleIntercept")


def advise(is_deep: bool) -> str:
    """Return what the user can do about an image of more than 8 bits, or of fewer."""
    if not is_deep:  # ``Display`` does not change it.
        return "correct its header, or save it as an 8-bit PNG"
    return (
        "give a window (--window CENTRE,WIDTH), scale each image by its own values (--rescale), or "
        "write WindowCenter and WindowWidth into the file"
    )


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
    is_stored = display == AS_STORED
    voi = _find_table(elements, "VOILUTSequence") if is_stored else None
    window = _find_window(elements) if is_stored and voi is None else display.window
    is_absolute = voi is not None or window is not None
    measured, declared = _measure(elements, values, is_absolute, notes)
    if display.rescale:
        return _rescale(measured, count()), "scaled by its own values"
    if display.window is not None:
        kind = "with the window {:g},{:g}".format(*display.window)
        is_whole = bool((measured == np.rint(measured)).all())
        return windowed(measured, display.window, exact=not is_whole), kind
    if voi is not None:
        # C.11.2.1.1: the first value is signed if what is looked up can be negative.
        table = read_table(voi, bool(measured.min() < 0), measured, notes)
        levels = table.look_up(measured) / float((1 << find_depth([table], notes)) - 1) * 255
        return levels, "with the VOI LUT of its header"
    if window is not None:
        kind = "with the window {:g},{:g} of its header".format(*window)
        return _finite(_windowed(elements, measured, *window)), kind
    return _finite(levels_in_range(measured, *declared)), "without a window"


def _measure(
    elements: Elements, values: NDArray, is_absolute: bool, notes: list[str]
) -> tuple[NDArray[np.floating], tuple[float, float]]:
    """Return measured values (C.11.1), and the range that is declared for them.

    Both of slope and intercept are required (C.11.1), and one alone is ignored. An intercept alone
    is an error if a window or table shows absolute values: some readers apply it, and CT without
    its intercept is far beside its windows.
    """
    item = _find_table(elements, "ModalityLUTSequence")
    if item is not None:
        table = read_table(item, bool(values.min() < 0), values, notes)
        top = (1 << find_depth([table], notes)) - 1
        return table.look_up(values).astype(np.float64), (0.0, float(top))
    intercept = elements.number("RescaleIntercept", 0)
    if is_absolute and intercept != 0 and "RescaleSlope" not in elements:
        raise DecodeError(
            f"RescaleIntercept is {intercept:g} and RescaleSlope is missing, which programs "
            "interpret differently: write RescaleSlope into the file"
            + ", or scale each image by its own values (--rescale)"
            * (len(values) > 256)
        )
    for name, other in (_RESCALE, _RESCALE[::-1]):
        if name in elements and other not in elements:
            notes.append(f"{name} without {other}: not applied")
            return values.astype(np.float64), (float(values.min()), float(values.max()))
    slope = elements.number("RescaleSlope", 1)
    if slope == 0:
        raise DecodeError("RescaleSlope is 0, which makes all values of the image the same")
    measured = _finite(values * slope + intercept)
    return measured, (float(measured.min()), float(measured.max()))


def _find_table(elements: Elements, sequence: str) -> Elements | None:
    """Return the first item of a sequence that has a table."""
    for item in elements.items(sequence):
        if "LUTDescriptor" in item and "LUTData" in item:
            return item
    return None


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
            f"VOILUTFunction is '{function[:20]}', but the standard has LINEAR, LINEAR_EXACT and "
            f"SIGMOID: {advise(len(measured) > 256)}"
        )
    if width <= 0 or (width < 1 and function == "LINEAR"):
        least = "at least 1" if function == "LINEAR" else "more than 0"
        raise DecodeError(
            f"WindowWidth is {width:g}, and {function} needs {least}: {advise(len(measured) > 256)}"
        )
    if function != "SIGMOID":
        return windowed(measured, (centre, width), exact=function == "LINEAR_EXACT")
    return 255 / (1 + np.exp(-4 * (measured - centre) / width))


def _rescale(measured: NDArray, counts: NDArray) -> NDArray[np.floating]:
    if not counts.any():
        refuse_faint(counts, Conversion("a DICOM image", advise(is_deep=True)))
    order = np.argsort(measured, kind="stable")
    low, high = used_range(counts[order])
    return levels_in_range(measured, measured[order[low]], measured[order[high]])


def _finite(values: NDArray) -> NDArray:
    if not np.isfinite(values).all():
        raise DecodeError("its window or rescaling is not a finite number")
    return values
