"""Names are broken between words only, and uprights fit on two lines."""

from __future__ import annotations

import html
import random
import re

import pytest

from bottleneck.report.wording.line_breaks import breakable, column_height, longest_word

SEPARATORS = ("_", "-", " ", "/", "+", "&", ".", ":", ", ", " & ", " (")
WORDS = (
    "follicular",
    "甲状腺癌",
    "NV",
    "Hürthle",
    "v1.5",
    "갑상선암",
    "<b>x</b>",
    "a" * 48,
    "ﬁbrös",
)


@pytest.mark.parametrize("seed", range(40))
def test_a_break_is_next_to_a_separator_and_changes_no_character(seed: int) -> None:
    rng = random.Random(seed)
    name = rng.choice(WORDS)
    for _ in range(rng.randrange(6)):
        name += rng.choice(SEPARATORS) + rng.choice(WORDS)
    marked = breakable(name)
    text = re.sub(r"</?span[^>]*>", "", marked).replace("<wbr>", "\0")
    assert html.unescape(text).replace("\0", "") == name
    for before in html.unescape(text).split("\0")[:-1]:
        assert not before[-1].isalnum()
    assert "1.<wbr>5" not in marked
    assert "<b>" not in marked


def test_only_the_longest_word_widens_a_column() -> None:
    assert longest_word(["a_" * 40]) == longest_word(["a_"])
    assert longest_word(["a" * 40]) > 20
    assert longest_word(["a" * 400]) < longest_word(["a" * 40])
    assert longest_word(["癌" * 40]) < 1.2
    assert longest_word([]) == 0


@pytest.mark.parametrize("name", ["one_two_three_four", "eins zwei drei", "papillary, tall-cell"])
def test_two_lines_need_little_more_than_half_the_height_of_one(name: str) -> None:
    whole = column_height([name.translate({ord(c): "x" for c in "_ ,-"})])
    assert 0.5 * whole < column_height([name]) < 0.8 * whole
