"""What spreadsheets, databases and joins do to an identifier."""

from __future__ import annotations

import html
import random
import re
import unicodedata
import urllib.parse
from collections.abc import Callable

import numpy as np
import pandas as pd

NAMES = ["P7", "Müller 3", "0007", "12", "7", "P-001", "Ng_Bình", "1.2.840.10008", "O'Brien"]
NAMES += [
    "20240117",
    "-7",
    "0.70",
    "1.10",
    "Kardiologie 4",
    "350120",
    "case 12b",
    "Ünal",
    "김민준 2",
    "10",
    "A",
    "B12/7",
]

INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u202a\u2066\u061c\ufe0f\u034f"
SPACES = " \t\n\u00a0\u2002\u2003\u2007\u2009\u202f\u205f\u3000\u2028\r"


def _insert(rng: random.Random, text: str, characters: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(characters) + text[at:]


def _as_float(text: str) -> str:
    """Write an integer as pandas writes it when its column has a gap."""
    if not text.isdecimal() or int(text[0]) == 0:
        return text
    return pd.DataFrame({"n": [float(text), np.nan]}).to_csv(index=False).split()[1]


def _as_double(text: str) -> str:
    """Write an integer as Java does from ten millions on."""
    if not text.isdecimal() or int(text[0]) == 0 or len(text) < 8:
        return text
    digits = text[1:].rstrip("0") or "0"
    return f"{text[0]}.{digits}E{len(text) - 1}"


def _wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _sql_hex_free(text: str) -> str:
    return f"b'{text}'" if "'" not in text else text


# These leave the name as it is.
SAME: dict[str, Callable[[random.Random, str], str]] = {
    "an invisible character": lambda rng, t: _insert(rng, t, INVISIBLE),
    "a space at an end": lambda rng, t: rng.choice(
        [t + s for s in SPACES] + [s + t for s in SPACES]
    ),
    "other spaces inside": lambda rng, t: t.replace(" ", rng.choice(SPACES) * rng.randint(1, 2)),
    "decomposed": lambda rng, t: unicodedata.normalize("NFD", t),
    "an apostrophe": lambda rng, t: rng.choice("'\u2019\u2018`") + t,
    "a formula": lambda rng, t: f'="{t}"',
    "quotes": lambda rng, t: rng.choice(['"{}"', "\u201c{}\u201d", "\u201e{}\u201c"]).format(t),
    "full width": lambda rng, t: _wide(t),
    "other dashes": lambda rng, t: t.replace("-", rng.choice("\u2010\u2011\u2012\u2013\u2212")),
    "a float": lambda rng, t: _as_float(t),
    "a decimal comma": lambda rng, t: _as_float(t).replace(".0", ",0") if "." not in t else t,
    "two decimals": lambda rng, t: f"{t}.00" if t.isdecimal() else t,
    "an entity": lambda rng, t: html.escape(t) + rng.choice(["&nbsp;", "&#160;", ""]),
    "a carriage return of Excel": lambda rng, t: t + "_x000D_",
    "an escaped line break": lambda rng, t: t + rng.choice(["\\n", "\\r\\n", "\\t"]),
    "a double of Java": lambda rng, t: _as_double(t),
    "bytes": lambda rng, t: _sql_hex_free(t),
    "other digits": lambda rng, t: "".join(
        chr(0x660 + int(c)) if c in "0123456789" else c for c in t
    ),
}
# These give a name that a person reads as the same.
ALIKE: dict[str, Callable[[random.Random, str], str]] = {
    "upper case": lambda rng, t: t.upper(),
    "lower case": lambda rng, t: t.lower(),
    "no spaces": lambda rng, t: t.replace(" ", ""),
    "a space inside": lambda rng, t: re.sub(r"(?<=[^\W\d])(?=\d)", " ", t),
    "Cyrillic letters": lambda rng, t: t.translate(str.maketrans("PABOK", "РАВОК")),
    "no leading zeros": lambda rng, t: re.sub(r"^0+(?=[\d.])", "", t),
    "more zeros": lambda rng, t: t.zfill(8) if t.isdecimal() else t,
    "another separator": lambda rng, t: re.sub(r"(?<=\w)[-_](?=\w)", rng.choice("-_ ./"), t),
    "a number": lambda rng, t: f"{float(t):g}" if re.fullmatch(r"\d+\.\d+", t) else t,
    "an address": lambda rng, t: urllib.parse.quote(t, safe="/"),
    "no accents": lambda rng, t: unicodedata.normalize("NFKD", t).translate(
        dict.fromkeys(range(768, 880))
    ),
    "brackets": lambda rng, t: rng.choice(["['{}']", "({})", "#{}", "{}.", "{}_"]).format(t),
    "thousands": lambda rng, t: f"{int(t):,}" if t.isdecimal() and t[0] != "0" else t,
}


def _misread(text: str) -> str:
    try:
        return text.encode("utf-8").decode("cp1252")
    except UnicodeDecodeError:
        return text


def respell(rng: random.Random, name: str, kinds: dict, n: int) -> str:
    """Return a name after n things that happened to it."""
    name = _misread(name) if kinds is SAME and name in NAMES and rng.random() < 0.2 else name
    # Nothing but an address comes after its escapes.
    for kind in sorted(rng.choices(list(kinds), k=n), key="an address".__eq__):
        name = kinds[kind](rng, name)
    return name
