"""Text from files and other programs, made safe to print: no character of it is a command."""

from __future__ import annotations

import codecs
import unicodedata

__all__ = ["READABLE", "escape_character", "is_hidden", "visible", "visible_lines"]

# Control, format and surrogate characters, characters that no Unicode version known here has,
# and line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
# Letters, marks and symbols that are drawn as nothing: Unicode's "default ignorable" ones, and
# the empty Braille pattern.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
    + "".join(
        chr(code)
        for first, last in ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
        for code in range(first, last + 1)
    )
)
# Marks on one letter. Hebrew with accents has four; a hundred of them cover the lines above.
_MOST_MARKS = 4
# Vowels and final consonants of Korean are drawn within the syllable before them.
_JAMO = frozenset(map(chr, (*range(0x1160, 0x1200), *range(0xD7B0, 0xD800))))

# Name of the error handler for an output that cannot show a character.
READABLE = "bottleneck.readable"
_SUBSTITUTES = {
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "→": "->",
    "±": "+/-",
    "×": "x",
    "·": "-",
    "†": "*",
    "≥": ">=",
    "≤": "<=",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "\xa0": " ",
    "\u202f": " ",
}


def is_hidden(character: str) -> bool:
    """Return whether a character is invisible, steers a terminal or changes the text's direction.

    Examples
    --------
    >>> is_hidden("\\x1b"), is_hidden("\\u202e"), is_hidden("é")
    (True, True, False)
    """
    return unicodedata.category(character) in _HIDDEN or character in _BLANK


def escape_character(character: str) -> str:
    """Return a character as Python writes it in a string literal, with ASCII characters alone."""
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str) -> str:
    """Return a text on one line in which nothing is hidden, and nothing steers a terminal.

    Control characters, also line breaks and tabs, become escapes; so do characters that are
    invisible or change the direction of text, halves of surrogate pairs, and all but the first
    four marks on a letter. The result of the result is the same text.

    Examples
    --------
    >>> print(visible("scan\\x1b[2J\\n.png"), visible("Müller"))
    scan\\x1b[2J\\x0a.png Müller
    """
    if text.isascii() and text.isprintable():
        return text
    shown = []
    n_marks = 0
    for character in text:
        is_mark = unicodedata.category(character)[0] == "M" or character in _JAMO
        n_marks = n_marks + 1 if is_mark else 0
        escaped = is_hidden(character) or n_marks > _MOST_MARKS
        shown.append(escape_character(character) if escaped else character)
    return "".join(shown)


def visible_lines(text: str) -> str:
    """Return a text with each of its lines as ``visible`` returns it."""
    return "\n".join(map(visible, text.split("\n")))


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """Return ASCII characters in place of those that an encoding does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    failed = error.object[error.start : error.end]
    return "".join(_SUBSTITUTES.get(c) or escape_character(c) for c in failed), error.end


codecs.register_error(READABLE, _substitute)
