"""The findings of the leak audit with thumbnails and names of their images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.audit import Audit
from bottleneck.audit.findings import Finding
from bottleneck.audit.pair_findings import name_kind
from bottleneck.checks.check_registry import is_unchecked
from bottleneck.evaluation.cases.wrong_cases import ImageName
from bottleneck.report.gallery.embedded_images import data_url, describe_name

__all__ = ["AuditView", "Exhibit", "view_audit"]

#: Largest number of exhibits on a page, and of one finding.
MOST, MOST_EACH = 24, 12
_ORDER = ("leak", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """One image, or a pair of images.

    Attributes
    ----------
    images : tuple of str
        ``data:`` URLs, one per image; empty if images are not shown.
    names : tuple of str
        Names, one per image; empty if they are not shown.
    kind : str
        What a pair likely is, such as "altered copy: mirrored"; empty for other images.
    """

    images: tuple[str, ...]
    names: tuple[str, ...]
    kind: str = ""


@dataclasses.dataclass(frozen=True)
class AuditView:
    """The leak audit as the page shows it.

    Attributes
    ----------
    findings : list of (Finding, list of Exhibit)
        Findings with their images, the most severe first.
    unchecked : list of Finding
        Checks that were not made.
    """

    findings: list[tuple[Finding, list[Exhibit]]]
    unchecked: list[Finding]


def view_audit(
    audit: Audit,
    thumbnails: Mapping[int, NDArray[np.uint8]],
    names: Mapping[int, ImageName],
) -> AuditView:
    """Sort the findings by severity, and add thumbnails and names.

    Parameters
    ----------
    audit : Audit
        Result of the leak audit.
    thumbnails : mapping of int to ndarray of uint8
        Thumbnails by row; empty to show none.
    names : mapping of int to ImageName
        Names by row; empty to show none.

    Returns
    -------
    AuditView
        The findings, with at most ``MOST`` exhibits, as far as their rows have a thumbnail or a
        name.
    """
    ordered = sorted(audit.findings, key=lambda f: _ORDER.index(f.severity))
    findings, left = [], MOST
    for finding in (f for f in ordered if not is_unchecked(f.code)):
        exhibits = _exhibits(finding, thumbnails, names)[: min(left, MOST_EACH)]
        left -= len(exhibits)
        findings.append((finding, exhibits))
    return AuditView(
        findings=findings,
        unchecked=[f for f in ordered if is_unchecked(f.code)],
    )


def _exhibits(
    finding: Finding,
    thumbnails: Mapping[int, NDArray[np.uint8]],
    names: Mapping[int, ImageName],
) -> list[Exhibit]:
    kinds = [name_kind(pair) for pair in finding.duplicates] or [""] * len(finding.pairs)
    listed: list[tuple[tuple[int, ...], str]] = [
        *zip(finding.pairs, kinds, strict=True),
        *(((row,), "") for row in finding.rows),
    ]
    known = [
        (rows, kind)
        for rows, kind in listed
        if all(row in thumbnails or row in names for row in rows)
    ]
    return [
        Exhibit(
            tuple(data_url(thumbnails[row]) for row in rows if row in thumbnails),
            tuple(describe_name(names[row]) for row in rows if row in names),
            kind,
        )
        for rows, kind in known[:MOST_EACH]
    ]
