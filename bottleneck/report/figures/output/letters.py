"""Fonts for the letters of a figure, and letters that no font has."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["find_fonts"]


def find_fonts(figure: Figure) -> set[str]:
    """Let the texts of a figure use any font of the machine; return the letters that none has.

    The fonts of matplotlib's settings come first. Letters are drawn with the first font that has
    them, and fonts with outlines that a PDF cannot hold as TrueType are not used.
    """
    from matplotlib.text import Text

    texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and not t.get_text().isascii()]
    letters = "".join(sorted({letter for t in texts for letter in t.get_text()} - {"\n"}))
    families, missing = _choose_fonts(letters)
    for text in texts if len(families) > 1 else ():
        text.set_fontfamily(families)
    return set(missing)


@functools.lru_cache(maxsize=64)
def _choose_fonts(letters: str) -> tuple[list[str], str]:
    """Return the names of fonts that have the letters together, and letters that none has."""
    from matplotlib import font_manager, rcParams

    usual = font_manager.findfont(font_manager.FontProperties(family=rcParams["font.family"]))
    families = list(rcParams["font.family"])
    missing = set(letters) - _letters_of(usual)
    fonts = sorted(font_manager.fontManager.ttflist, key=lambda font: (font.name, font.fname))
    for font in fonts:
        if not missing:
            break
        if font.name.startswith("Last Resort"):  # It has a box for every letter.
            continue
        is_plain = font.style == "normal" and font.weight in (400, "normal", "regular")
        if is_plain and (known := missing & _letters_of(font.fname)):
            families.append(font.name)
            missing -= known
    return families, "".join(sorted(missing))


@functools.lru_cache(maxsize=1024)
def _letters_of(path: str) -> frozenset[str]:
    """Return the letters of a TrueType font; none of another one."""
    from fontTools.ttLib import TTFont

    with TTFont(path, fontNumber=0, lazy=True) as font:
        return frozenset(map(chr, font.getBestCmap() or ())) if "glyf" in font else frozenset()
