"""Keys that spellings of one name share: letter case, spaces, separators and zeros."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from urllib.parse import unquote

from bottleneck.data.spelling.identifiers import canonical

__all__ = [
    "N_DIGITS",
    "is_rounded",
    "loose_key",
    "match_ids",
    "match_names",
    "near_key",
    "roundings",
    "truth_value",
    "wide_key",
]

# Letters of other scripts that look like Latin ones, and letters that Arabic and Persian
# keyboards write differently. In upper case, so that letter case makes no difference.
_LOOK_ALIKE = str.maketrans(
    "АВЕКМНОРСТХУІЈЅ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + "يىك", "ABEKMHOPCTXYIJS" + "ABEZHIKMNOPTYX" + "ییک"
)
# A double-precision number keeps so many digits of any integer; spreadsheets show zeros for others.
N_DIGITS = 15
_N_SHARED = 12
# More digits than any identifier has; the largest number of double precision has 309.
_MOST_DIGITS = 64

# Groups of three digits, or as in India: 12,34,567.
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:[.,' ]\d{3})+|[1-9]\d?(?:,\d\d)+,\d{3}")
_DECIMALS = re.compile(r"(\d+),(\d+)")
_SHORT_SCIENTIFIC = re.compile(r"([1-9])e0?([0-9])")
# Also the marks of footnotes, and of the parts of a name in DICOM; not + and <, as in "HER2+".
_MARKS = "_:;/\\()[]{}#\"'^=*†‡§|%$&@!~°"
_SEPARATORS = re.compile(rf"[\s.,{re.escape(_MARKS)}-]+")
_AROUND = f"{_MARKS} "
# Between so many digits a separator makes a long number legible; in 1-2 it has a meaning.
_IN_LONG_NUMBER = re.compile(
    r"(?<=\d{3})[-_/ ](?=\d\d)|(?<=\d\d)[-_/ ](?=\d{3})|(?<=\d{4}-\d\d)-(?=\d\d)"
    r"|(?<=[a-z]\d)[-_/ ](?=\d{4})"
)
_URN = "urn:uuid:"
_ACCENTS = re.compile("[\u0300-\u036f]")
_UUID_DIGITS = 32
_UUID = re.compile(r"[0-9a-f]{32}")
_NEGATIVE = re.compile(r"-\d+([.,]\d+)?")
_END_ZEROS = re.compile(r"(-?\d+[.,]\d*?)0+")
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
# P7.0: a number that a join made a decimal, after other letters.
_FLOAT_AT_END = re.compile(r"([^.,]*[^\W\d_][^.,]*\d)[.,]0+")
# 0.30000000000000004: a decimal with the error of its binary form.
_BINARY = re.compile(r"(\d+)[.,](\d*(?:0{5}|9{5})\d*)")
_SECONDS = re.compile(r"(\d{1,2}:\d\d):00(?:\.0+)?")

# What programs write for true and false in several languages; then words of people, which may also
# mean something else.
_TRUE = frozenset({"true", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "sant"})
_TRUE |= {"sand", "истина", "prawda"}
_FALSE = frozenset({"false", "falsch", "faux", "falso", "onwaar", "falsk", "ложь", "fałsz"})
_YES = frozenset({"yes", "y", "t", "ja", "j", "oui", "o", "si", "sí", "s", "sim", "да", "tak"})
_NO = frozenset({"no", "n", "f", "nein", "nej", "non", "não", "нет", "nie"})


def loose_key(text: str) -> str:
    """Return a key that names share which differ in letter case or spaces.

    The names of two persons do not differ in these alone. The key also ignores whether a letter is
    Latin or a look-alike of another script, and how thousands and decimals are separated.

    Examples
    --------
    >>> loose_key("P 7"), loose_key("Bösartig"), loose_key("7,5")
    ('p7', 'bösartig', '7.5')
    """
    text = _fold_case(text).removeprefix(_URN)
    if len(text) >= _UUID_DIGITS and _UUID.fullmatch(bare := re.sub("[{}-]", "", text)):
        return bare
    if _THOUSANDS.fullmatch(text):
        return re.sub(r"\D", "", text)
    if match := _DECIMALS.fullmatch(text):
        return f"{match[1]}.{match[2]}"
    return text.replace(" ", "")


def _fold_case(text: str) -> str:
    text = canonical(text)
    while "%" in text and (plain := canonical(unquote(text))) != text:
        text = plain  # It was part of a web address: P%207.
    if not text.isascii():
        text = text.casefold().upper().translate(_LOOK_ALIKE)
        return text.casefold().replace("i\u0307", "i")
    return text.lower()


def near_key(text: str) -> str:
    """Return a key that names share which may be one name, or may be two.

    It ignores accents, separators (but not between two digits, unless the number is long), zeros
    before a number and at the end of its decimals, and what floating point and clocks add.

    Examples
    --------
    >>> near_key("P-007"), near_key("P7"), near_key("1_2"), near_key("12")
    ('p7', 'p7', '1-2', '12')
    """
    text = _fold_case(text)
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    if not text.isalnum():
        inner = text.lstrip(_AROUND).rstrip(f"{_AROUND}.,")
        if inner[:1] in (".", ",") and inner[1:].isdigit():
            inner = text = f"0{inner}"
        if _THOUSANDS.fullmatch(inner):
            text = re.sub(r"\D", "", inner)
        elif match := _BINARY.fullmatch(inner):
            text = f"{round(Decimal(f'{match[1]}.{match[2]}'), 5).normalize():f}"
        elif match := (
            _END_ZEROS.fullmatch(inner)
            or _FLOAT_AT_END.fullmatch(inner)
            or _SECONDS.fullmatch(inner)
        ):
            text = match[1]
        # A minus sign before a number is part of it: 1 and -1 are often classes.
        is_negative = _NEGATIVE.fullmatch(inner) is not None
        text = _IN_LONG_NUMBER.sub("", text)
        text = "-" * is_negative + _SEPARATORS.sub(_replace_separator, text)
    if match := _SHORT_SCIENTIFIC.fullmatch(text):
        text = match[1] + "0" * int(match[2])
    return _ZEROS.sub("", text)


def _replace_separator(match: re.Match[str]) -> str:
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return "-" if before.isdigit() and after.isdigit() else ""


def wide_key(text: str) -> str:
    """Return a key that names share which share a ``loose_key``, and numbers that may be equal.

    These are numbers that differ in leading zeros, in three zeros at the end (7.000 can be 7, and
    can be 7000), or after their first 12 digits, which rounding to 15 digits rarely changes.

    Examples
    --------
    >>> wide_key("0007"), wide_key("7.000"), wide_key("P 7")
    ('7', '7', 'p7')
    """
    key = loose_key(text)
    if key.isdigit():
        key = key.lstrip("0") or "0"
        if len(key) > N_DIGITS:
            return f"{key[:_N_SHARED]} {len(key)}"
        while key.endswith("000") and len(key) > 3:
            key = key[:-3]
    return key


def roundings(name: str) -> set[str]:
    """Return what a whole number of more than 15 digits becomes in programs that round it.

    Excel writes zeros after 15 digits, LibreOffice and R round there, JavaScript after 17, and a
    join in pandas leaves the nearest number of double precision. The number itself is left out.

    Parameters
    ----------
    name : str
        A canonical name.

    Returns
    -------
    set of str
        Empty for other names.

    Examples
    --------
    >>> sorted(roundings("9007199254740993")), roundings("P7")
    (['9007199254740990', '9007199254740992'], set())
    """
    if not (name.isascii() and name.isdigit() and N_DIGITS < len(name) < _MOST_DIGITS):
        return set()
    double = float(name)
    kept = {name[:N_DIGITS].ljust(len(name), "0"), str(int(double))}
    for n_decimals in (14, 15, 16):
        text = f"{double:.{n_decimals}e}"
        digits, exponent = text[0] + text[2 : 2 + n_decimals], int(text.partition("e")[2])
        # Another program may read the rounded number as double precision again.
        kept |= {digits[: exponent + 1].ljust(exponent + 1, "0"), str(int(float(text)))}
    return kept - {name}


def is_rounded(name: str) -> bool:
    """Return whether a whole number of more than 15 digits looks as if a program had rounded it.

    Examples
    --------
    >>> is_rounded("1234567890123450"), is_rounded("1234567890123456")
    (True, False)
    """
    is_double = int(name) > 2**53 and len(name) < _MOST_DIGITS and float(name) == int(name)
    return is_double or not name[N_DIGITS:].strip("0")


def truth_value(text: str, *, strict: bool = False) -> str | None:
    """Return "1" or "0" for the words of programs and people for true and false; None for others.

    Parameters
    ----------
    text : str
        A name.
    strict : bool
        Whether words that people also use for something else, such as "yes" and "N", are left out.

    Examples
    --------
    >>> [truth_value(text) for text in ("True", "FALSCH", "0", "no", "2")]
    ['1', '0', '0', '0', None]
    """
    folded = canonical(text).casefold()
    if folded in ("1", "0"):
        return folded
    if folded in _TRUE or (not strict and folded in _YES):
        return "1"
    return "0" if folded in _FALSE or (not strict and folded in _NO) else None


def match_names(given: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return which known name each given name is a spelling of.

    Parameters
    ----------
    given : iterable of str
        Names from another table.
    known : iterable of str
        Names of a data set.

    Returns
    -------
    dict of str to str
        For each given name with exactly one match: the known name that it equals, or else that
        has its canonical spelling, its ``loose_key``, or as a word its truth value.

    Examples
    --------
    >>> match_names(["Benign ", "x"], ["benign", "malignant"])
    {'Benign ': 'benign'}
    """
    return _match(given, known, (canonical, loose_key, _truth_key))


def _truth_key(text: str) -> str:
    return truth_value(text, strict=True) or loose_key(text)


def match_ids(given: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return which known id each given id is a spelling of; letter case tells ids apart.

    Parameters
    ----------
    given, known : iterable of str
        Ids from another table, and those of a data set.

    Examples
    --------
    >>> match_ids(["a.png ", "A.png"], ["a.png"])
    {'a.png ': 'a.png'}
    """
    return _match(given, known, (canonical,))


def _match(
    given: Iterable[str], known: Iterable[str], keys: Sequence[Callable[[str], str]]
) -> dict[str, str]:
    names = dict.fromkeys(known)
    missing = list(dict.fromkeys(given))
    found = {name: name for name in missing if name in names}
    for key in keys:
        missing = [name for name in missing if name not in found]
        if not missing:
            break
        at: dict[str, list[str]] = {}
        for name in names:
            at.setdefault(key(name), []).append(name)
        for name in missing:
            if len(matches := at.get(key(name), [])) == 1:
                found[name] = matches[0]
    return found
