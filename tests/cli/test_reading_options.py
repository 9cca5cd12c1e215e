"""Options for reading several data sets of different formats in one command."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from made import make_images

from bottleneck.cli.reading import SampleOptions, options_of_each


def test_columns_are_for_tables_and_the_pattern_is_for_folders(tmp_path: Path) -> None:
    for n, label in enumerate(("benign", "malignant")):
        make_images(tmp_path / "bern" / label, 4, first=4 * n)
    make_images(tmp_path / "basel", 4, first=20)
    names = sorted(path.name for path in (tmp_path / "basel").iterdir())
    table = {"Datei": names, "Befund": ["benign", "malignant"] * 2, "Person": list("aabb")}
    pd.DataFrame(table).to_csv(tmp_path / "basel" / "list.csv", index=False)
    options = SampleOptions(
        path_column="Datei",
        label_column="Befund",
        patient_column="Person",
        patient_pattern=r"\d+",
    )
    paths = [str(tmp_path / "bern"), str(tmp_path / "basel" / "list.csv")]
    bern, basel = (
        how.load(path, quiet=True)
        for how, path in zip(options_of_each(options, paths), paths, strict=True)
    )
    assert (len(bern), bern.n_groups, len(basel), basel.n_groups) == (8, 8, 4, 2)
    # Options that fit none of the data sets are an error of the reader.
    assert options_of_each(options, paths[:1] * 2) == [options] * 2
    # Without a column of patients, the pattern is for the table as well.
    plain = SampleOptions(path_column="Datei", patient_pattern=r"\d+")
    assert options_of_each(plain, paths)[1] == plain
