"""The findings of the leak audit with thumbnails of their images."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.audit import Audit
from bottleneck.audit.findings import Finding

__all__ = ["AuditView", "Exhibit", "view_audit"]

#: Largest number of exhibits on a page, and of one finding.
MOST, MOST_EACH = 24, 12
_ORDER = ("leak", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """The thumbnails of one image, or of a pair of images.

    Attributes
    ----------
    rows : tuple of int
        Rows of the feature set.
    images : tuple of str
        ``data:`` URLs, one per row.
    """

    rows: tuple[int, ...]
    images: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class AuditView:
    """The leak audit as the page shows it.

    Attributes
    ----------
    findings : list of (Finding, list of Exhibit)
        Findings with their thumbnails, the most severe first.
    unchecked : list of Finding
        Checks that were not made.
    """

    findings: list[tuple[Finding, list[Exhibit]]]
    unchecked: list[Finding]


def view_audit(audit: Audit, thumbnails: Mapping[int, NDArray[np.uint8]]) -> AuditView:
    """Sort the findings by severity, and add thumbnails.

    Parameters
    ----------
    audit : Audit
        Result of the leak audit.
    thumbnails : mapping of int to ndarray of uint8, shape (height, width)
        Grey thumbnails by row; findings are illustrated as far as their rows have one.

    Returns
    -------
    AuditView
        The findings, with at most ``MOST`` exhibits.
    """
    ordered = sorted(audit.findings, key=lambda f: _ORDER.index(f.severity))
    findings, left = [], MOST
    for finding in (f for f in ordered if f.kind != "not checked"):
        exhibits = _exhibits(finding, thumbnails)[: min(left, MOST_EACH)]
        left -= len(exhibits)
        findings.append((finding, exhibits))
    return AuditView(
        findings=findings,
        unchecked=[f for f in ordered if f.kind == "not checked"],
    )


def _exhibits(finding: Finding, thumbnails: Mapping[int, NDArray[np.uint8]]) -> list[Exhibit]:
    shown: list[tuple[int, ...]] = [*finding.pairs, *((row,) for row in finding.rows)]
    known = [rows for rows in shown if all(row in thumbnails for row in rows)][:MOST_EACH]
    return [Exhibit(rows, tuple(_data_url(thumbnails[row]) for row in rows)) for rows in known]


def _data_url(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.asarray(image, np.uint8)).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
