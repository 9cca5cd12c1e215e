"""Where the name of an arm or of a class may continue on a new line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from markupsafe import Markup, escape

from bottleneck.text.plain_text import visible

__all__ = ["breakable", "column_height", "longest_word"]

# Browsers break lines at spaces, after hyphens, and between Chinese and Japanese characters. Names
# of files and classes have other separators; the point of "v1.5" is none.
_BREAK = re.compile(r"(?<=[\w)\]][_/\\+&|:;,=@#~-])(?=\w)|(?<=[^\W\d]\.)(?=\w)|(?<=\.)(?=[^\W\d])")
# What is longer is not a word of any language, such as a digest, and may be broken anywhere.
_LONGEST = 60
# Korean has spaces between words, but browsers also break within these.
_KOREAN = re.compile(r"[\uac00-\ud7a3]{2,}")


def breakable(name: str) -> Markup:
    """Return a name as HTML that can be broken after separators, and never inside a word.

    Only what is longer than 60 characters without a separator is broken, so that nothing is cut.

    Examples
    --------
    >>> breakable("follicular_carcinoma v1.5")
    Markup('follicular_<wbr>carcinoma v1.5')
    """
    segments = (str(escape(segment)) for segment in _split(visible(name)))
    return Markup(_KOREAN.sub(r'<span class="whole">\g<0></span>', "<wbr>".join(segments)))


def longest_word(names: Iterable[str]) -> float:
    """Return the width of the longest word of some names in em, as ``breakable`` splits them."""
    words = (word for name in names for word in _words(visible(name)))
    return max(map(_width, words), default=0.0)


def column_height(names: Iterable[str]) -> float:
    """Return the height in em that upright headings need to fit on two lines each."""
    heights = [0.0]
    for name in names:
        words = _words(visible(name))
        halves = (
            max(_width("".join(words[:cut])), _width("".join(words[cut:])))
            for cut in range(len(words))
        )
        heights.append(min(halves, default=0.0))
    return max(heights) + 0.5


def _split(name: str) -> list[str]:
    """Split a name after its separators."""
    return [
        piece
        for segment in _BREAK.split(name)
        for piece in (
            re.findall(f".{{1,{_LONGEST // 2}}}", segment)
            if re.search(rf"\S{{{_LONGEST}}}", segment)
            else [segment]
        )
    ]


def _words(name: str) -> list[str]:
    """Split a name where a line may end; spaces stay at the end of their words."""
    words: list[str] = []
    for segment in _split(name):
        for word in re.findall(r"\S+\s*", segment):
            ideographs = not _KOREAN.search(word) and any(map(_wide, word))
            words += list(word) if ideographs else [word]
    return words


def _width(text: str) -> float:
    """Return the width of a text in em, rounded up for common sans-serif fonts."""
    return sum(1.05 if _wide(c) else 0.75 if c.isupper() or c in "mw@%&" else 0.57 for c in text)


def _wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"
