"""The one spelling that all spellings of a patient, class, fold or centre are read as."""

from __future__ import annotations

import functools
import html
import numbers
import re
import unicodedata
from decimal import Decimal

__all__ = ["canonical", "has_lost_digits", "is_missing_value", "legible", "name_value"]

# Names without anything that a program could have changed: most of all names.
_PLAIN = re.compile(
    r"[0-9]+|[A-Za-z][A-Za-z0-9]*(?:[-_./ ][A-Za-z0-9]+)*|(?:[A-Za-z0-9]+[-_./ ])+[A-Za-z]+"
)
# Characters that look like another one, and are put there by word processors and fonts.
_ALIKE = {
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u02d7",
    "'": "\u2018\u2019\u201a\u201b\u02b9\u02bb\u02bc\u2032\u00b4`",
    '"': "\u201c\u201d\u201e\u201f\u2033",
    "/": "\u2044\u2215",
    ",": "\u066b",
    ".": "\u2024\u3002",
    # Blanks that Unicode counts as letters or symbols: Braille, and Hangul fillers.
    " ": "\u2800\u115f\u1160\u3164\uffa0",
    # Invisible marks that Unicode does not count as format characters, and a lost picture.
    "": "\u034f\u17b4\u17b5\u2065\ufffc"
    + "".join(map(chr, [*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xFFF0, 0xFFF9)])),
}
# Forms of letters and digits that Unicode has for the layout of text; not superscripts, which
# change the meaning.
_FORMS = ("<wide>", "<narrow>", "<small>", "<square>", "<vertical>", "<font>")
_LIGATURES = range(0xFB00, 0xFB07)
_TAGS = range(0xE0000, 0xE1000)
# An HTML entity, and the way in which .xlsx files write a control character.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31}\d{0,2});")
_CONTROL = re.compile(r"_[xX]00[01][0-9A-Fa-f]_")
# UTF-8 that was read in the encoding of Windows, or as Latin-1: what the first byte of a letter
# becomes, then what its other bytes become. Quotes, dashes and blanks also follow such letters in
# names that were read correctly, except a few that nobody writes.
_REST = "".join(bytes([b]).decode("cp1252", "ignore") + chr(b) for b in range(0x80, 0xC0))
_SURE = "".join(character for character in _REST if character not in "‘’“”–—«»´…\xa0\xad")
_MISREAD = re.compile(f"â€[{_REST}]|Â\xa0|Ã[‘“–—]|[Â-ÅÎ-ÑØÙ][{_SURE}]|[ã-í][{_SURE}]{{2}}")
_TWO_MISREAD = re.compile(f"(?:[Â-ß][{_REST}]|[à-ï][{_REST}]{{2}}|[\0-\x7f])+")
_INVISIBLE = re.compile(
    "[\xad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
# What spreadsheets and Python put around a text so that it is not read as a number.
_GUARDS = tuple(map(re.compile, (r"=\s*(\".*\")", r"=\s*(\d+)", r"b('.*'|\".*\")", r"\"(.*)\"")))
# A line break or tab that a database wrote as an escape, and the time of a date without one.
_ENDS = re.compile(r"(?:\\[nrt])+(?=['\"]*$)|(?<=\d{4}-\d\d-\d\d)[ T]00:00:00(?:\.0+)?$")
# 7.0, 7,00, 7. and +7; three zeros after one to three digits may be thousands: 7.000.
_WHOLE = re.compile(r"([+-]?)(\d+)(?:[.,](0*))?")
# What Java writes for 12345678.0, with all digits: 1.2345678E7.
_JAVA = re.compile(r"([+-]?\d)\.(\d{1,16})E(\d{1,2})")
_SCIENTIFIC = re.compile(r"([+-]?\d+)(?:[.,](\d+))?[eE]\+(\d{1,3})")


class _Folding(dict[int, str]):
    """Replacements of characters for ``str.translate``, made when they are first needed."""

    def __missing__(self, code: int) -> str:
        self[code] = replacement = _fold_character(chr(code))
        return replacement


def _fold_character(character: str) -> str:
    for replacement, characters in _ALIKE.items():
        if character in characters:
            return replacement
    category = unicodedata.category(character)
    if character.isspace() or category in ("Zs", "Zl", "Zp"):
        return " "
    if "\x80" <= character <= "\x9f":  # An encoding of Windows that was read as Latin-1.
        character = bytes([ord(character)]).decode("cp1252", "ignore")
        return _fold_character(character) if character else ""
    if category in ("Cc", "Cf") or ord(character) in _TAGS:
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    is_form = unicodedata.decomposition(character).startswith(_FORMS)
    # Roman numerals have characters of their own, and so have ligatures such as "fi".
    if is_form or category == "Nl" or ord(character) in _LIGATURES:
        return unicodedata.normalize("NFKC", character)
    return character


_FOLDING = _Folding()


def canonical(text: str) -> str:
    """Return the one spelling of a name that its other spellings are read as.

    Spreadsheets, databases and joined tables respell identifiers. This undoes what changes no
    meaning:

    - Unicode is composed (NFC). Full-width forms, ligatures and the digits of every script become
      plain letters and digits, and UTF-8 that was read in another encoding becomes what it was.
    - Invisible characters are removed. Every run of spaces, tabs and line breaks is one space,
      and there is none at the ends. Dashes and quotes of all kinds are the ASCII ones.
    - Guards are removed: a leading apostrophe, ``="0007"``, and quotes around the name.
    - Whole numbers lose ``.0``, ``,0`` and a plus sign. Leading zeros are kept, and so are numbers
      with other decimals, since ``1.10`` may be the tenth part of ``1``.

    Letter case is kept. The canonical spelling of a canonical spelling is itself.

    Examples
    --------
    >>> canonical("P7\\u200b\\xa0"), canonical("'0007"), canonical("7,0"), canonical("1.10")
    ('P7', '0007', '7', '1.10')
    """
    if _PLAIN.fullmatch(text) and "_x00" not in text.lower():
        return text
    return _canonical(text)


@functools.lru_cache(maxsize=512)
def _canonical(text: str) -> str:
    while (folded := _fold(text)) != text:
        text = folded
    return text


def _fold(text: str) -> str:
    """Return a text with each rule applied once."""
    if not text.isascii():
        # An invisible character may also be a byte of a letter.
        text = _read_as_utf_8(unicodedata.normalize("NFC", text))
        text = _read_as_utf_8(_INVISIBLE.sub("", text))
    if "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    text = _CONTROL.sub(" ", text).translate(_FOLDING)
    text = " ".join(unicodedata.normalize("NFC", text).split(" ")).strip()
    text = _ENDS.sub("", re.sub(" +", " ", text))
    for guard in _GUARDS:
        if match := guard.fullmatch(text):
            text = match[1]
    if text.startswith("'"):
        text = text.lstrip("' ")
        text = text if text.startswith("b'") else text.rstrip("' ")
    if match := _SCIENTIFIC.fullmatch(text):
        whole, decimals, exponent = match[1], match[2] or "", int(match[3])
        if exponent <= len(decimals):
            text = format(Decimal(f"{whole}.{decimals or 0}").scaleb(exponent), "f")
    elif match := _JAVA.fullmatch(text):
        text = format(Decimal(f"{match[1]}.{match[2]}").scaleb(int(match[3])), "f")
    if re.fullmatch(r"[.,]\d+", text):
        text = f"0{text}"
    if match := _WHOLE.fullmatch(text):
        sign, digits, zeros = match.groups()
        is_group = zeros == "000" and len(digits) <= 3 and not digits.startswith("0")
        if not is_group:
            text = digits if sign == "+" or not digits.strip("0") else sign + digits
    return text


def _read_as_utf_8(text: str) -> str:
    """Return a text with the letters that two or more wrong ones stand for, as in "MÃ¼ller"."""
    if _TWO_MISREAD.fullmatch(text) and len(re.findall("[Â-ï]", text)) > 1:
        return _decode(text)
    return _MISREAD.sub(lambda match: _decode(match[0]), text)


def _decode(text: str) -> str:
    # A byte without a character in the encoding of Windows is often read as in Latin-1.
    encoded = (c.encode("cp1252" if ord(c) > 0xFF else "latin-1") for c in text)
    try:
        return b"".join(encoded).decode("utf-8")
    except UnicodeError:
        return text


def has_lost_digits(text: str) -> bool:
    """Return whether a canonical name is a number that a spreadsheet wrote with fewer digits.

    Examples
    --------
    >>> has_lost_digits("1.2E+11"), has_lost_digits("12E5")
    (True, False)
    """
    return "+" in text and _SCIENTIFIC.fullmatch(text) is not None


def legible(text: str) -> str:
    """Return a text in quotes, with an escape for each character that is easily overlooked.

    Examples
    --------
    >>> print(legible("P7\\u200b"), legible("Müller"), legible("Mu\\u0308ller"))
    'P7\\u200b' 'Müller' 'Mu\\u0308ller'
    """
    composed = unicodedata.is_normalized("NFC", text)
    shown = "".join(
        ascii(character)[1:-1]
        if not character.isprintable()
        or (ord(character) > 0x7F and _FOLDING[ord(character)] != character)
        or (unicodedata.combining(character) and not composed)
        else character
        for character in text
    )
    return f"'{shown}'"


def is_missing_value(value: object) -> bool:
    """Return whether a value of an array or a data frame is None, NaN, NaT or NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return True
    return isinstance(value, numbers.Number) and bool(value != value)


def name_value(value: object) -> str:
    """Return the name that a value in an array stands for.

    Raises
    ------
    TypeError
        If it is not text, a whole number or a truth value.

    Examples
    --------
    >>> name_value("benign"), name_value(1), name_value(1.0), name_value(True)
    ('benign', '1', '1', 'True')
    """
    if isinstance(value, str):
        return str.__str__(value)  # Of an enumeration, the value.
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return str(bool(value))
    if isinstance(value, numbers.Integral):
        return str(int(value))
    # Beyond 2**53, not every whole number is a float: digits of an id would be lost.
    number = float(value) if isinstance(value, numbers.Real) else 0.5
    if number.is_integer() and abs(number) < 2**53:
        return str(int(number))
    raise TypeError(f"{value!r} is not a name")
