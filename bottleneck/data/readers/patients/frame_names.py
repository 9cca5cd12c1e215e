"""Examinations that file names tell: a common part, followed by the number of a frame."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from bottleneck.files.disk_backed import Database

__all__ = ["ToldNames", "name_examinations"]

#: Path of an image, label, and patient as far as it is known.
Row: TypeAlias = tuple[str, str, str | None]

# What is numbered, a separator, perhaps a word for a frame, and the number: case12_003.
_COUNTED = re.compile(
    r"(?P<stem>.*\d.*?)[_\-. ]+(?:(?:frame|fr|image|img|im|slice|view)[_\-. ]?)?"
    r"(?P<number>\d{1,5})",
    re.IGNORECASE,
)
# A year, a date, or a class, a place, a part of the data set or an alteration with its number names
# none, and no number of a patient is one of a frame: site2_patient_17.
_NO_EXAMINATION = re.compile(
    r"(19|20)\d\d|\D*((19|20)\d\d([_\-.]?\d\d){1,2}|\d\d[_\-.]?\d\d[_\-.]?(19|20)\d\d)|"
    r"(\D*[_\-. ])?(class|label|grade|stage|level|type|density|acr|(bi|ti)[_\-. ]?rads|tr|site|"
    r"cent(re|er)|hosp(ital)?|clinic|scanner|device|batch|set|part|fold|group|train|val|test|copy|"
    r"aug\w*|rot\w*|flip\w*)[_\-. ]?\d+\w?|"
    r".*[_\-. ](patients?|pat|pt|case|subject|subj|person)",
    re.IGNORECASE,
)
_FEWEST = 3
# An examination with more of the images than this is rather the name of the data set.
_LARGEST = 0.5
# If more of the numbers are different, they number the images of the data set.
_DISTINCT = 0.9
# Names of more shapes follow no rule.
_MOST_SHAPES = 1000
# Of the examinations with known patients, so many have a single one.
_CONSISTENT = 0.95
_SCHEMA = (
    "CREATE TABLE images (number INTEGER PRIMARY KEY, name, frame, source, label, patient); "
    "CREATE TABLE told (name TEXT PRIMARY KEY, n) WITHOUT ROWID"
)
_FILL = (
    "INSERT INTO told SELECT name, COUNT(*) FROM images WHERE name IS NOT NULL "
    "GROUP BY name HAVING COUNT(*) > 1"
)


class ToldNames:
    """The common part of the file names of each examination, on the disk.

    Attributes
    ----------
    n_examinations, n_images : int
        Examinations with an image without a patient, and these images.
    example : str
        Path of such an image; "" where there is none.
    """

    def __init__(self, rows: Iterable[tuple[str | None, str, str, str, str | None]]) -> None:
        self._data = Database(_SCHEMA)
        self._data.insert("INSERT INTO images VALUES (NULL, ?, ?, ?, ?, ?)", rows)
        self._data.insert(_FILL, [()])
        if not self._are_examinations():
            self._data.insert("DELETE FROM told", [()])
        ((self.n_images, self.n_examinations, example),) = self._data.rows(
            "SELECT COUNT(*), COUNT(DISTINCT name), MIN(source) FROM images "
            "WHERE patient IS NULL AND name IN (SELECT name FROM told)"
        )
        self.example = example or ""

    def __bool__(self) -> bool:
        return bool(self._data.rows("SELECT 1 FROM told LIMIT 1"))

    def read(self, start: int, stop: int) -> list[str | None]:
        """Return folder and common part for consecutive images; None where there is none."""
        found = self._data.rows(
            "SELECT told.name FROM images LEFT JOIN told USING (name) "
            "WHERE number BETWEEN ? AND ? ORDER BY number",
            start + 1,  # SQLite counts from one.
            stop,
        )
        return [name for (name,) in found]

    def _are_examinations(self) -> bool:
        ((n_all, n_labels),) = self._data.rows("SELECT COUNT(*), COUNT(DISTINCT label) FROM images")
        ((n_groups, n_named, largest),) = self._data.rows(
            "SELECT COUNT(*), TOTAL(n), MAX(n) FROM told"
        )
        if n_groups < max(_FEWEST, n_labels + 1) or largest > _LARGEST * n_all:
            return False
        ((n_numbers,),) = self._data.rows(
            "SELECT COUNT(DISTINCT frame) FROM images JOIN told USING (name)"
        )
        if n_numbers > _DISTINCT * n_named:
            return False
        ((n_known, n_consistent),) = self._data.rows(
            "SELECT COUNT(*), TOTAL(owners = 1) FROM (SELECT COUNT(DISTINCT patient) AS owners "
            "FROM images JOIN told USING (name) WHERE patient IS NOT NULL GROUP BY name)"
        )
        return bool(n_consistent >= _CONSISTENT * n_known)


def name_examinations(rows: Callable[[], Iterator[Row]]) -> ToldNames | None:
    """Return the common part of the file names of each examination.

    The rule is conservative: it tells an examination only where all of this holds.

    - The name ends in a separator and a number of up to five digits, and what precedes them holds
      a digit: ``case12_003.png``, ``294_2.jpg``. A second number counts where other names of the
      data set lack it: ``14_1-2.png`` beside ``14_1.png``.
    - It is not a year or date, and no class, site, part of the data set or alteration with a
      number, and it does not say that the number is that of a patient: ``site2_patient_17.png``.
    - Numbers begin again in each examination: they do not number the images of the data set.
    - There are at least three examinations of several images, more than there are classes, and
      none holds more than half of the images.
    - Where patients are known, 95 % of the examinations have one.

    Parameters
    ----------
    rows : callable
        Returns an iterator over path, label and patient of every image, twice the same.

    Returns
    -------
    ToldNames or None
        None where no name ends in a number, or the names follow too many rules.

    Examples
    --------
    >>> frames = [f"{case}_{frame}.png" for case in (12, 14, 15) for frame in (1, 2)]
    >>> told = name_examinations(lambda: ((frame, "benign", None) for frame in frames))
    >>> told.read(0, 6)
    ['12', '12', '14', '14', '15', '15']
    """
    shapes: set[str] = set()
    for source, _, _ in rows():
        stem = _stem(source)
        if _COUNTED.fullmatch(stem):
            shapes.add(_shape(stem))
        if len(shapes) > _MOST_SHAPES:
            return None
    if not shapes:
        return None
    return ToldNames(
        (*_divide(source, shapes), source, label, patient) for source, label, patient in rows()
    )


def _divide(source: str, shapes: set[str]) -> tuple[str | None, str]:
    """Return folder and common part of a name, and the number of the frame."""
    match = _COUNTED.fullmatch(_stem(source))
    # A name without its number can be that of other images, with another number.
    if match and _shape(match.group("stem")) in shapes:
        match = _COUNTED.fullmatch(match.group("stem"))
    if not match or _NO_EXAMINATION.fullmatch(match.group("stem")):
        return None, ""
    folder = posixpath.dirname(source)
    return posixpath.join(folder, match.group("stem")), match.group("number")


def _stem(source: str) -> str:
    # pathlib would intern every name, which takes memory for each image.
    return posixpath.splitext(posixpath.basename(source))[0]


def _shape(name: str) -> str:
    return re.sub(r"\d+", "9", name)
