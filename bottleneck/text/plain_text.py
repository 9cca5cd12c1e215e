"""Text from files and other programs, made safe to print and to share."""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

__all__ = [
    "READABLE",
    "escape_character",
    "is_hidden",
    "json_text",
    "visible",
    "visible_lines",
    "without_paths",
]

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

# The beginning of an absolute path: "/", "~/", "~user/", "C:\", "\\server", "$HOME/", "%HOME%\",
# and "//server", which is not that of https://; and addresses of all but the web.
_ROOT = (
    r"(?:(?!https?:)(?:[a-z][a-z0-9+.-]*:[\\/]{2,}|file:[\\/])[\\/]*"
    r"|~(?:[A-Za-z_][\w.-]*)?[\\/](?!/)|/(?!/)|//(?=[\w.])|[A-Za-z]:[\\/]|\\\\"
    r"|\$\{?\w+\}?[\\/]|%\w+%[\\/])"
)
# What a path without quotes follows, so that the slashes of "and/or" and "mm/s" do not match.
# The option of a compiler precedes one, too: -I/usr/include.
_BEFORE = r"(?:(?<![^\s=:,;'\"(\[{<|>*`“„«‘→←@!&?#…])(?<!:(?=//))|(?<=\s-[A-Z])(?=/))"
_REST = r"[^\s,;'\"`)\]}>|”“»’]"
# Folders have spaces: up to three words that a separator follows belong to the path.
_WORDS = r"(?: (?!-)[^\W\d][^\s,;:'\"`)\]}>|\\/]*){1,3}"
_ABSOLUTE = re.compile(
    rf"(?<='){_ROOT}(?:[^'\n]|(?<=\w)'(?=\w))+(?=')"
    rf'|(?<="){_ROOT}[^"\n]+(?=")'
    rf"|(?<=`){_ROOT}[^`\n]+(?=`)"
    rf"|(?<=[“„]){_ROOT}[^”“\n]+(?=[”“])"
    rf"|{_BEFORE}{_ROOT}{_REST}+(?:{_WORDS}[\\/]{_REST}+)*",
    re.IGNORECASE,
)

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


def without_paths(text: str) -> str:
    """Replace every absolute path in a text with its last part.

    Examples
    --------
    >>> without_paths("see /data/anna/scans/1.png or file://server/anna/2.png, and/or 3.png")
    'see 1.png or 2.png, and/or 3.png'
    """
    if "\n" not in text and _is_absolute(text):
        return _last_part(text)
    return _ABSOLUTE.sub(lambda match: _last_part(match[0]), text)


def _is_absolute(text: str) -> bool:
    return (
        PurePosixPath(text).is_absolute()
        or PureWindowsPath(text).is_absolute()
        or text.startswith(("~/", "~\\"))
    )


def _last_part(path: str) -> str:
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1] or path


def json_text(value: Any) -> str:
    """Return a value as indented JSON in which nothing is hidden, also not in its names.

    Examples
    --------
    >>> print(json_text(["Müller", "\\x9b31m"]))
    [
      "Müller",
      "\\u009b31m"
    ]

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    hidden = {ord(c): json.dumps(c)[1:-1] for c in set(text) - {"\n"} if is_hidden(c)}
    return text.translate(hidden | ({0x7F: "\\u007f"} if 0x7F in hidden else {}))


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """Return ASCII characters in place of those that an encoding does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    failed = error.object[error.start : error.end]
    return "".join(_SUBSTITUTES.get(c) or escape_character(c) for c in failed), error.end


codecs.register_error(READABLE, _substitute)
