"""Preparation: what is done to images before a network's own preprocessing.

The steps have this order: a window or rescaling, in which values of more than 8 bits become grey
levels; masking of burned-in text; masking of what lies outside the scanned sector; and a filter
against speckle. None is done unless asked for. A change of what a step does needs a new
``bottleneck.data.images.decode.POLICY``, which every recipe contains.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import BeforeValidator

from bottleneck.data.images.display import Display
from bottleneck.data.images.preparation_steps.ultrasound_sector import (
    encode_mask,
    find_sector,
    read_mask,
)
from bottleneck.errors import DecodeError, UsageError
from bottleneck.settings.ranges import Expected
from bottleneck.settings.schema import from_table, option, schema

__all__ = ["Preparation", "locate_mask", "name_mask", "recorded_preparation"]

_PANEL = "Preparation of images"
_ENCODED = "data:"


def _parse_window(value: object) -> object:
    """Return a window as a tuple: the command line has it as text, and JSON as a list."""
    if isinstance(value, str):
        try:
            centre, width = map(float, value.split(","))
        except ValueError:
            raise UsageError(
                f"the window must be CENTRE,WIDTH, such as 40,400, not '{value}'"
            ) from None
        return centre, width
    return tuple(value) if isinstance(value, list) else value


def _load_sector(value: object) -> object:
    """Return the text of the mask in a file, so that it can be used without the file."""
    if isinstance(value, Path) or (
        isinstance(value, str) and value != "auto" and not value.startswith(_ENCODED)
    ):
        return encode_mask(value)
    if isinstance(value, str) and value != "auto":
        read_mask(value)
    return value


@schema
class Preparation:
    """What is done to images before the resize of a network's preprocessing.

    Everything that is recorded of an image itself, such as its hash, its thumbnail and its
    brightness, describes it after ``window`` or ``rescale`` and before the other steps.

    Attributes
    ----------
    window : tuple of float, optional
        Centre and width of a window, in the unit of the measured values, such as HU. It takes the
        place of what files state. Images of 8 bits and colour images are not changed by it.
    rescale : bool
        Whether the values of each image of more than 8 bits are scaled, from their 0.5th to their
        99.5th percentile, to 0–255; in place of what files state.
    mask_text : bool
        Whether burned-in text is masked, as ``mask_text`` of ``preparation_steps.burned_in_text``
        does. Letters that ``find_text`` cannot detect stay.
    sector : str, optional
        "auto" sets to black what lies outside the scanned sector, as ``find_sector`` of
        ``preparation_steps.ultrasound_sector`` detects it. The path of a mask image of the size of
        the images, in a lossless format, does so where the mask is black. The content of the
        file becomes part of the value.
    denoise : {"median", "lee", "nlm"}, optional
        Filter against speckle, of ``preparation_steps.speckle_filters``: a median of 3 × 3 pixels,
        Lee's filter of 5 × 5, or non-local means, which need the extra ``denoise``.

    Raises
    ------
    UsageError
        If a value does not fit, a window and rescaling are combined, or a mask cannot be used.

    Examples
    --------
    >>> from PIL import Image
    >>> preparation = Preparation(mask_text=True, denoise="median")
    >>> preparation.words
    'text masked, median'
    >>> preparation.prepared(Image.new("RGB", (64, 48))).size
    (64, 48)
    """

    window: Annotated[
        tuple[float, float] | None,
        BeforeValidator(_parse_window),
        Expected("two numbers, CENTRE,WIDTH, such as 40,400"),
    ] = option(
        None,
        "CENTRE,WIDTH of a window (in HU for CT), for volumes, and for images of more than 8 bits "
        "instead of the files' own window.",
        panel=_PANEL,
    )
    rescale: bool = option(
        False,
        "Scale each image of more than 8 bits from its 0.5th to its 99.5th percentile.",
        panel=_PANEL,
    )
    mask_text: bool = option(False, "Mask burned-in text.", panel=_PANEL)
    sector: Annotated[
        str | None, BeforeValidator(_load_sector), Expected("auto, or the path of a mask image")
    ] = option(
        None,
        "Blacken everything outside the scanned ultrasound sector: auto, or a mask image of the "
        "size of the images (black: remove).",
        panel=_PANEL,
    )
    denoise: Literal["median", "lee", "nlm"] | None = option(
        None,
        "Filter against speckle: median (3 × 3 pixels), lee (Lee 1980, 5 × 5) or nlm (non-local "
        "means; needs the extra `denoise`).",
        panel=_PANEL,
    )

    def __post_init__(self) -> None:
        self.display  # noqa: B018  # It refuses windows that cannot be used.

    @property
    def display(self) -> Display:
        """How values of more than 8 bits become levels, for ``decode``."""
        return Display(self.window, self.rescale)

    @property
    def preparation(self) -> Preparation:
        """These fields alone, where options contain them among others."""
        return Preparation(**{name: getattr(self, name) for name in _FIELDS})

    @property
    def words(self) -> str:
        """The steps in a few words, for the names of files and arms; "" for none."""
        words = []
        if self.window is not None:
            words.append("window " + "/".join(f"{number:g}" for number in self.window))
        if self.rescale:
            words.append("rescaled")
        if self.mask_text:
            words.append("text masked")
        if self.sector is not None:
            words.append("sector" if self.sector == "auto" else f"sector {name_mask(self.sector)}")
        if self.denoise is not None:
            words.append(self.denoise)
        return ", ".join(words)

    def with_options(self, other: Preparation) -> Preparation:
        """Return this preparation with the steps that another one states.

        Raises
        ------
        UsageError
            If a window and rescaling are combined.
        MissingExtraError
            If the filter is "nlm", and scikit-image is not installed.
        """
        stated = {name: getattr(other, name) or getattr(self, name) for name in _FIELDS}
        if stated["denoise"] == "nlm":
            from bottleneck.data.images.preparation_steps.speckle_filters import refuse_without_nlm

            refuse_without_nlm()
        return Preparation(**stated)

    def prepared(self, image: Image.Image) -> Image.Image:
        """Return an image with its text masked, its sector kept, and its speckle filtered.

        Parameters
        ----------
        image : PIL.Image.Image
            Mode RGB, as ``decode`` returns it for the display of this preparation.

        Returns
        -------
        PIL.Image.Image
            Mode RGB; the same object if nothing is to be done.

        Raises
        ------
        DecodeError
            If the mask of the sector has another size than the image.
        """
        return self.prepared_with_notes(image)[0]

    def prepared_with_notes(self, image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
        """Return a prepared image, and notes for the user, as ``decode_with_notes`` has them."""
        notes: list[str] = []
        if self.mask_text:
            image = _without_text(image, notes)
        if self.sector is not None:
            image = _within_sector(image, self.sector, notes)
        if self.denoise is not None:
            image = _filtered(image, self.denoise)
        return image, tuple(notes)


_FIELDS = tuple(Preparation.__annotations__)


def recorded_preparation(recipe: Mapping[str, Any]) -> Preparation:
    """Return the preparation in the record of a recipe; no steps where it records none.

    Raises
    ------
    UsageError
        If the record is damaged.

    Examples
    --------
    >>> recipe = {"preprocessing": {"preparation": {"window": [40, 400], "sector": "auto"}}}
    >>> recorded_preparation(recipe).words
    'window 40/400, sector'
    """
    preprocessing = recipe.get("preprocessing")
    stated = preprocessing.get("preparation") if isinstance(preprocessing, Mapping) else None
    where = "the recorded preparation of the images"
    sector = stated.get("sector") if isinstance(stated, Mapping) else None
    if isinstance(sector, str) and sector != "auto" and not sector.startswith(_ENCODED):
        # A record that someone else wrote must not make this machine read a file.
        raise UsageError(f"{where}: sector must be auto or the text of a mask, not '{sector}'")
    return from_table(Preparation, stated or {}, where)


def name_mask(text: str) -> str:
    """Return a short name of a mask in the place of its text; any other text as it is."""
    if not text.startswith(_ENCODED):
        return text
    return f"mask {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def locate_mask(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the table of a preparation in a file with the path of its mask relative to a folder.

    Parameters
    ----------
    table : mapping
        A table of a TOML file that may have the key "sector".
    folder : Path
        The folder of that file.
    """
    sector = table.get("sector")
    if not isinstance(sector, str) or sector == "auto" or sector.startswith(_ENCODED):
        return dict(table)
    return {**table, "sector": str(folder / sector)}


def _without_text(image: Image.Image, notes: list[str]) -> Image.Image:
    from bottleneck.data.images.preparation_steps.burned_in_text import find_text, mask_text

    masked = mask_text(image)
    if masked is not image:
        notes.append("burned-in text was masked")
        if len(find_text(masked)):
            notes.append("strokes like text remain after masking")
    return masked


def _within_sector(image: Image.Image, sector: str, notes: list[str]) -> Image.Image:
    if sector == "auto":
        keep, reason = find_sector(image)
        if keep is None:
            notes.append(f"the whole image was kept as the sector: {reason}")
            return image
    else:
        keep = read_mask(sector)
        if keep.shape != (image.height, image.width):
            raise DecodeError(
                f"the sector mask has {keep.shape[1]}×{keep.shape[0]} pixels, and the image "
                f"{image.width}×{image.height}: both must have the same size"
            )
    return Image.fromarray(np.where(keep[..., None], np.asarray(image), np.uint8(0)))


def _filtered(image: Image.Image, name: str) -> Image.Image:
    from bottleneck.data.images.preparation_steps.speckle_filters import FILTERS

    pixels = np.asarray(image)
    first = pixels[..., :1]
    if (pixels == first).all():
        return Image.fromarray(np.repeat(FILTERS[name](first), 3, axis=-1))
    return Image.fromarray(FILTERS[name](pixels))
