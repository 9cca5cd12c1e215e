"""The columns of a manifest: which of them hold the path, the label and the patient."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bottleneck.data.spelling.identifiers import canonical
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import DataError, unknown_name

__all__ = ["POINT", "REGION_ROLES", "REQUIRED", "ROLES", "choose_columns", "note_columns"]

ROLES = ("path", "label", "patient", "split", "fold", "centre", "id")
REQUIRED = ("path", "label")
POINT = ("x", "y", "z")
# In a table of volumes.
REGION_ROLES = (*POINT, "space", "size_mm", "lesion")

# Usual names of columns, the most telling ones first; without case, spaces and separators.
_USUAL_NAMES = {
    "path": """
        path paths filepath imagepath imgpath filename file imagefile imagefilename imagename
        image images img picture imageid bild datei dateiname fichier archivo imagen
    """,
    "label": """
        label labels class classes classname category target diagnosis diagnose groundtruth gt
        outcome pathology histology finding malignancy malignant grade tirads result dx y
        diagnostic diagnóstico klasse classe clase
    """,
    "patient": """
        patient patientid patientids patients patientno patientnr patientnumber patientnum
        patientkey patientcode patientname patientuid patid patno patnr pat ptid pid mrn
        subject subjectid subjects subjectno subjectnumber subj subjid person personid
        participant participantid individual individualid proband probandid donor donorid
        animal animalid mouse mouseid case caseid caseno casenumber casenr recordid
        paciente idpaciente pazienteid paziente idpatient fall fallid fallnr fallnummer
        患者 患者id 患者番号 病人 病人id studyid id
    """,
    "x": "coordx xcoord x centerx centrex posx xmm worldx",
    "y": "coordy ycoord y centery centrey posy ymm worldy",
    "z": "coordz zcoord z centerz centrez posz zmm worldz",
}


def choose_columns(
    path: Path,
    header: Sequence[str],
    columns: Mapping[str, str],
    required: Sequence[str] = REQUIRED,
    roles: Sequence[str] = ROLES,
) -> dict[str, int]:
    """Return the position of the column of each role that a table has.

    Letter case and spaces of the names do not matter, except for "id": a column "ID" often names
    the patient.

    Parameters
    ----------
    path : Path
        The table, for messages.
    header : sequence of str
        Names of the columns.
    columns : mapping of str to str
        Names of the columns that are not called like their role.
    required : sequence of str
        The roles that a table must have a column of.
    roles : sequence of str
        The roles that a table may have a column of.

    Raises
    ------
    DataError
        If a required column is missing, or several columns have one name.
    UsageError
        If ``columns`` names an unknown role or column.
    """
    names = [canonical(name) for name in header]
    chosen: dict[str, str] = {}
    for role, column in columns.items():
        if role not in roles:
            raise unknown_name("column role", role, roles)
        found = match_names([column], names)
        if column not in found:
            raise unknown_name(f"column of {path.name} for --{role}-column", column, names)
        chosen[role] = found[column]
    for role in roles:
        found = match_names([role], names)
        if role not in chosen and role in found and (role != "id" or "id" in names):
            chosen[role] = found[role]
    for role in required:
        if role not in chosen:
            raise DataError(_describe_missing(path, names, role, chosen))
    if repeated := [name for name in chosen.values() if names.count(name) > 1]:
        raise DataError(f"{path.name} has several columns '{repeated[0]}'; rename all but one")
    return {role: names.index(name) for role, name in chosen.items()}


def note_columns(
    path: Path,
    header: Sequence[str],
    columns: Mapping[str, str],
    required: Sequence[str] = REQUIRED,
    roles: Sequence[str] = ROLES,
) -> list[str]:
    """Return notes on columns that look like the patient, the label or a point and are not used.

    Parameters
    ----------
    path, header, columns, required, roles
        As for ``choose_columns``.
    """
    chosen = choose_columns(path, header, columns, required, roles)
    names = [canonical(name) for name in header]
    used = [names[n] for n in chosen.values()]
    notes = []
    for role in ("label", "patient"):
        if role not in chosen and (usual := _find_usual(names, role, used)):
            used.append(usual)
            notes.append(
                f"the column '{usual}' of {path.name} looks like the {role}, but is not used: if "
                f"it is, add --{role}-column '{usual}' (in Python: columns={{'{role}': "
                f"'{usual}'}})"
            )
    points = [_find_usual(names, axis, used) for axis in POINT if axis in roles]
    if points and all(points) and not set(POINT) & chosen.keys():
        given = ",".join(map(str, points))
        named = ", ".join(f"'{axis}': '{name}'" for axis, name in zip(POINT, points, strict=True))
        notes.append(
            f"the columns {given} of {path.name} look like points in the volumes, but are not "
            f"used: each volume is a sample as a whole. If they are, add --point-columns {given} "
            f"(in Python: columns={{{named}}})"
        )
    return notes


def _find_usual(names: Sequence[str], role: str, used: Sequence[str]) -> str | None:
    """Return the unused column that most likely has a role; None if none looks like it."""
    bare = {re.sub(r"[\W_]+", "", n.casefold()): n for n in reversed(names) if n not in used}
    return next((bare[usual] for usual in _USUAL_NAMES[role].split() if usual in bare), None)


def _describe_missing(
    path: Path, names: Sequence[str], role: str, chosen: Mapping[str, str]
) -> str:
    start = f"{path.name} has no column '{role}'; its columns are: {', '.join(names)}. "
    if len(names) == 1 and (delimiter := next((d for d in ";,|\t" if d in names[0]), None)):
        return start + (
            f"The header is one field: write it, and all rows, without quotes around the whole "
            f"line, and with {delimiter!r} between the fields"
        )
    in_file = path.suffix  # And no DataFrame or dict.
    if in_file and (len(list(filter(None, names))) < 2 or names[0].startswith("#")):
        return start + (
            "The first line must name the columns, with commas, semicolons, tabs or bars between "
            "them: remove what is above it"
        )
    usual = _find_usual(names, role, list(chosen.values()))
    hint = f"; '{usual}' looks like it" if usual else ""
    if any(re.search(r"\.(png|jpe?g|tiff?|bmp|dcm)$", name, re.IGNORECASE) for name in names):
        hint = "; if the first line is an image, add a line with the names above it"
    return start + (
        f"Name the right one with --{role}-column NAME (in Python: columns={{'{role}': NAME}})"
        f"{hint}"
    )
