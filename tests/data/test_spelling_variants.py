"""A patient or a class that is spelled in two ways is refused in every reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import make_images

from bottleneck.data import samples as samples_module
from bottleneck.data.readers import load_dataset
from bottleneck.data.samples import Sample, SampleTable, collect, first_alike
from bottleneck.data.spelling_variants import spelling_key
from bottleneck.errors import DataError


def table(folder: Path, rows: list[str], header: str = "path,label,patient") -> Path:
    make_images(folder, len(rows), side=16)
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *(f"{n:03d}.png,{row}" for n, row in enumerate(rows))]))
    return path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("7", "007"),
        ("0", "0.0"),
        ("Bösartig", "bösartig"),
        ("P 1", "P1"),
        # Composed and decomposed: what macOS makes of a file's name.
        ("M\u00fcller", "Mu\u0308ller"),
    ],
)
def test_one_name_in_two_spellings(tmp_path: Path, one: str, other: str) -> None:
    assert spelling_key(one) == spelling_key(other)
    patients = table(tmp_path, [f"a,{one}", f"b,{other}", f"a,{one}"])
    with pytest.raises(DataError, match=f"the patients '{one}' and '{other}' differ only"):
        load_dataset(patients)
    classes = table(tmp_path, [f"{one},x", f"{other},y"])
    with pytest.raises(DataError, match=r"the classes .* differ only in spelling"):
        load_dataset(classes)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "10"), ("1.5", "1.50"), ("P1", "P01"), ("5²", "52"), ("0", "00a"), ("a", "á")],
)
def test_names_that_differ(tmp_path: Path, one: str, other: str) -> None:
    dataset = load_dataset(table(tmp_path, [f"a,{one}", f"b,{other}"]))
    assert dataset.n_groups == 2


def test_a_fold_in_two_spellings(tmp_path: Path) -> None:
    folds = table(tmp_path, ["a,x,1", "b,y,1.0"], "path,label,patient,fold")
    with pytest.raises(DataError, match=r"the folds '1' and '1.0' differ"):
        load_dataset(folds)


def test_folders_of_one_class(tmp_path: Path) -> None:
    make_images(tmp_path / "Benign", 1)
    make_images(tmp_path / "benign ", 1)
    with pytest.raises(DataError, match="the classes 'Benign' and 'benign ' differ"):
        load_dataset(tmp_path)


def test_many_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples_module, "_MAX_IN_MEMORY", 3)
    apart = collect(Sample(str(n), "a", "x", group=str(n)) for n in range(9))
    alike = collect([*apart, Sample("9", "a", "x"), Sample("10", "a", "x", group="8.0")])
    assert isinstance(alike, SampleTable)
    assert first_alike(apart, "group", spelling_key) is None
    assert first_alike(alike, "group", spelling_key) == ("8", "8.0")


@pytest.mark.parametrize("nothing", ["NA", "nan", "N/A", "null", ""])
def test_what_says_nothing(tmp_path: Path, nothing: str) -> None:
    dataset = load_dataset(table(tmp_path, ["a,x", "b,y", f"{nothing},x", f"a,{nothing}"]))
    assert dataset.classes == ("a", "b")
    assert dataset.excluded == {"no label": 1}
    assert dataset.samples[2].group is None
