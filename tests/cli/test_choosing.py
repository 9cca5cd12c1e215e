"""Options that choose samples and classes: names may have commas, plus and equals signs."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bottleneck.cli.choosing import SelectionOptions
from bottleneck.cli.inputs import split_arm_names, split_names
from bottleneck.errors import UsageError

NAMES = st.lists(st.text("ab,+=", min_size=1, max_size=4), min_size=2, max_size=4, unique=True)


@given(NAMES)
@settings(max_examples=60, deadline=None)
def test_names_joined_are_read_as_they_were_or_refused(known):
    """The judge tries every way to divide the text at its marks."""

    def ways(text, mark):
        pieces = text.split(mark)
        n = len(pieces) - 1
        cuts = itertools.product((False, True), repeat=n)
        for cut in cuts:
            parts = [pieces[0]]
            for is_cut, piece in zip(cut, pieces[1:], strict=True):
                parts = [*parts, piece] if is_cut else [*parts[:-1], f"{parts[-1]}{mark}{piece}"]
            if set(parts) <= set(known):
                yield tuple(parts)

    text = ",".join(known)
    assume(text.count(",") < 10)
    readings = list(ways(text, ","))
    assert tuple(known) in readings
    if len(readings) > 1:
        with pytest.raises(UsageError, match="two ways"):
            SelectionOptions(classes=[text]).read(known)
    else:
        assert SelectionOptions(classes=[text]).read(known).classes == tuple(known)


def test_options_become_a_selection():
    options = SelectionOptions(
        classes=["bad, benign", "HER2+,x"],
        merge=["bad=malignant+solid, cystic", "HER2+=HER2+ +a=b", "x=y"],
        exclude=Path("list.txt"),
    )
    known = ("a=b", "benign", "her2+", "malignant", "solid, cystic", "y")
    read = options.read(known)
    assert read.classes == ("bad", "benign", "HER2+", "x")
    assert read.merge == {
        "bad": ("malignant", "solid, cystic"),
        "HER2+": ("HER2+", "a=b"),
        "x": ("y",),
    }
    assert read.exclude == Path("list.txt")
    assert SelectionOptions().read(known) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"merge": ["A+B"]}, "--merge must be NEW=A+B, not 'A+B'"),
        ({"merge": ["=A+B"]}, "--merge must be NEW=A+B"),
        ({"merge": ["X=A++B"]}, "--merge must be NEW=A+B"),
        ({"merge": ["X=A", "X=B"]}, "two merges make a class 'X'"),
        ({"merge": ["X=A=B"]}, "two ways, as 'X' of 'A=B' or 'X=A' of 'B'"),
        ({"classes": ["A,,B"]}, "names with commas between them, not 'A,,B'"),
        ({"classes": [""]}, "names with commas between them"),
    ],
)
def test_options_that_cannot_be_read_are_refused(given, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        SelectionOptions(**given).read(("A", "B", "A=B"))


def test_names_of_files_and_arms_are_split_at_the_first_sign(tmp_path):
    odd = tmp_path / "a=b.h5"
    odd.touch()
    assert split_names([odd, Path("x.h5")]) == ([], [odd, Path("x.h5")])
    assert split_names([Path(f"ours={odd}"), Path("theirs=x.h5")]) == (
        ["ours", "theirs"],
        [odd, Path("x.h5")],
    )
    assert split_arm_names(["a + svm=Baseline (C=1)"]) == {"a + svm": "Baseline (C=1)"}


@pytest.mark.parametrize(
    ("split", "given", "message"),
    [
        (split_names, [Path("a=x.h5"), Path("y.h5")], "to all feature files, as NAME=PATH"),
        (split_names, [Path("a=x.h5"), Path("a=y.h5")], "two feature files are called 'a'"),
        (split_names, [Path("a=.")], "a name is for one feature file, and . is a folder"),
        (split_arm_names, ["a"], "--name must be OLD=NEW"),
        (split_arm_names, ["=a"], "--name must be OLD=NEW"),
        (split_arm_names, ["a=b", "a=c"], "the arm 'a' is named twice"),
    ],
)
def test_names_that_cannot_be_split_are_refused(split, given, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        split(given)
