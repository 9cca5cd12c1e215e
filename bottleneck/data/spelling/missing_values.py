"""What tables contain in place of a value that is missing."""

from __future__ import annotations

import re

from bottleneck.data.spelling.identifiers import canonical

__all__ = ["UNASSIGNED", "blank_if_missing", "is_class_word", "may_be_missing", "means_nothing"]

# No patient, and no class next to 0; next to 1 alone it is the other class.
UNASSIGNED = "-1"

# In lower case. What databases, R, Python, SAS and people write where there is no value. NA is
# also Namibia and sodium, but far more often nothing.
_NOTHING_WORDS = """
    na n/a n.a. n.a #na nan -nan +nan <na> nat null (null) <null> [null] \\n
    . .. ... .. -- --- ---- () [] {} (blank) (leer) (vide) (none) <none>
    #n/a #n/d #n/v #nv #n/b #i/t #yok #н/д #δ/υ #hiányzik #není_k_dispozici
    #nedostupný #getting_data 1.#ind -1.#ind 1.#qnan -1.#qnan
"""
_NOTHING = frozenset(_NOTHING_WORDS.split()) | {"", "#n/a n/a"}
# Errors of spreadsheets in any language: #VALUE!, #WERT!, #¿NOMBRE?, #ДЕЛ/0!, #####, Err:502;
# and the missing values .A to .Z of SAS.
_ERROR = re.compile(r"#[¡¿]?[^\W\d_][^\W\d_/0 ]*(?:/0)?[!?]|#+|#?err:?\d+!?|\.[a-z_]")
# In lower case. Words for a missing value that may also be a value.
_UNCLEAR_WORDS = """
    none - ? ?? ??? unknown unk missing undefined nil unspecified unlabeled unlabelled nodata
    tbd pending unbekannt inconnu desconocido desconhecido sconosciuto onbekend okänd ukendt
    неизвестно nieznane 不明 未知 k.a. s/d n/d nd n.d. / \\ * _ ~ …
    void empty blank error loading... nonetype inf -inf ungraded ungradable excluded
    -9 -99 -999 -9999 -99999
"""
_UNCLEAR = frozenset(_UNCLEAR_WORDS.split()) | {
    "[object object]",
    "not assessed",
    "not available",
    "not applicable",
    "not done",
    "not graded",
    "not known",
    "not recorded",
    "not stated",
    "no label",
    "no data",
    "k. a.",
    "keine angabe",
}
# In lower case. Words for a class that may also stand for a finding that was not looked for.
_CLASS_WORDS = frozenset({"normal", "negative", "neg", "no", "nothing"})


def means_nothing(text: str) -> bool:
    """Return whether a field holds no value: blank, "NA", "nan", "null", "#NV", "#WERT!" ...

    The errors of spreadsheets are recognised in any language.

    Examples
    --------
    >>> [means_nothing(text) for text in ("12", " NaN", "#NV", "None")]
    [False, True, True, False]
    """
    return _is_nothing(canonical(text).casefold())


def _is_nothing(folded: str) -> bool:
    # The first character spares most names the slower search.
    return folded in _NOTHING or (folded[0] in "#.e" and _ERROR.fullmatch(folded) is not None)


def blank_if_missing(text: str) -> str:
    """Return a field unchanged, or "" if it ``means_nothing``.

    Examples
    --------
    >>> blank_if_missing("12"), blank_if_missing(" NaN")
    ('12', '')
    """
    # Most fields are longer than any code; this is called for every field of a table.
    return "" if len(text) < 40 and means_nothing(text) else text


def may_be_missing(text: str) -> bool:
    """Return whether a word that can be a value may also mean that there is none.

    Examples
    --------
    >>> [may_be_missing(text) for text in ("None", "unknown", "-", "benign")]
    [True, True, True, False]
    """
    return canonical(text).casefold() in _UNCLEAR


def is_class_word(text: str) -> bool:
    """Return whether a word names a class, such as "normal", that tables also use for no finding.

    Examples
    --------
    >>> is_class_word("Normal"), is_class_word("benign")
    (True, False)
    """
    return canonical(text).casefold() in _CLASS_WORDS
