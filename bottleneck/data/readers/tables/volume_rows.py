"""The region of a volume that a row of a table names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container, Mapping

from bottleneck.data.readers.tables.table_columns import POINT
from bottleneck.data.spelling.identifiers import legible
from bottleneck.data.volumes.volume_region import SPACES, Space, VolumeRegion
from bottleneck.errors import DataError, UsageError
from bottleneck.text.short_repr import shorten

__all__ = ["RegionOptions", "read_number"]

# DICOM and MetaImage are read in LPS by all. NIfTI is RAS, and tables of points in it are either;
# NRRD states its space in each file.
_WITHOUT_DEFAULT = (".nii", ".nii.gz", ".nrrd", ".nhdr")


@dataclasses.dataclass(frozen=True)
class RegionOptions:
    """What the user states for rows that do not state it.

    Attributes
    ----------
    space : {"lps", "ras", "voxel"} or None
        The space of the points.
    size_mm : float or None
        Edge of the cube around a point, in mm.

    Raises
    ------
    UsageError
        If the space is unknown, or the size is not a number above 0.
    """

    space: Space | None = None
    size_mm: float | None = None

    def __post_init__(self) -> None:
        if self.space is not None and self.space not in SPACES:
            raise UsageError(
                f"the space must be {', '.join(SPACES[:-1])} or {SPACES[-1]}, not "
                f"{shorten(self.space)}"
            )
        size = self.size_mm
        is_number = isinstance(size, int | float) and not isinstance(size, bool)
        if size is not None and not (is_number and 0 < size < math.inf):
            raise UsageError(
                f"the size of regions must be a number of mm above 0, not {shorten(size)}"
            )

    def check(self, table: str, roles: Container[str], *, volumes: bool) -> None:
        """Refuse options and columns that do not fit a table.

        Parameters
        ----------
        table : str
            Name of the table, for messages.
        roles : container of str
            The roles that it has a column of.
        volumes : bool
            Whether its paths name volumes.

        Raises
        ------
        DataError
            If it has some of the columns x, y and z.
        UsageError
            If a space or a size is stated, and there are no points.
        """
        lacking = [axis for axis in POINT if axis not in roles]
        if volumes and 0 < len(lacking) < len(POINT):
            raise DataError(
                f"{table} has no column '{lacking[0]}': a point in a volume needs x, y and z. Name "
                "them with --point-columns X,Y,Z (in Python: columns={'x': X, 'y': Y, 'z': Z}), or "
                "rename the others, and each volume is a sample as a whole"
            )
        if (self.space or self.size_mm) and (lacking or not volumes):
            what = "--space" if self.space else "--size-mm"
            why = "has no columns x, y and z" if volumes else "names images, which have no regions"
            raise UsageError(
                f"{what} is for points in volumes, and {table} {why}: leave it out"
                + (", or name the columns with --point-columns X,Y,Z" if volumes else "")
            )

    def read(self, row: Mapping[str, str], source: str, place: str) -> VolumeRegion | None:
        """Return the region that a row names; None where it has no point.

        Parameters
        ----------
        row : mapping of str to str
            Its fields by role; "" for an empty one.
        source : str
            The volume.
        place : str
            The row, for messages.

        Raises
        ------
        DataError
            If a field is not a number, the point is incomplete, or its space is not known.
        """
        texts = [row.get(axis, "") for axis in POINT]
        if not any(texts):
            return None
        x, y, z = (read_number(text, axis, place) for text, axis in zip(texts, POINT, strict=True))
        size = row.get("size_mm", "")
        edge = read_number(size, "size_mm", place) if size else self.size_mm
        if edge is not None and edge <= 0:
            raise DataError(f"{place}: size_mm must be above 0, not {legible(size)}")
        return VolumeRegion(x, y, z, self._space(row.get("space", ""), source, place), edge)

    def _space(self, text: str, source: str, place: str) -> Space:
        stated = next((space for space in SPACES if space == text.casefold()), None)
        if text and stated is None:
            raise DataError(f"{place}: unknown space {legible(text)}; known: {', '.join(SPACES)}")
        if not (stated or self.space) and source.casefold().endswith(_WITHOUT_DEFAULT):
            raise DataError(
                f"{place}: the space of x, y and z is not stated, and '{source}' has none by "
                "default. Add a column 'space', or --space (in Python space=): lps (mm, as DICOM "
                "and ITK have it), ras (mm, as NIfTI has it) or voxel (indices from 0)"
            )
        return stated or self.space or "lps"


def read_number(text: str, name: str, place: str) -> float:
    """Return the finite number that a field states.

    Parameters
    ----------
    text : str
        The field.
    name, place : str
        The column, and the row, for the message.

    Raises
    ------
    DataError
        If it states none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        what = f"not {legible(text)}" if text else "and it is empty"
        raise DataError(f"{place}: {name} must be a number with a decimal point, {what}")
    return number
