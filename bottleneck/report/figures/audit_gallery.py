"""Small pictures of what the leak audit found."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.audit import Audit, Finding

__all__ = ["AuditView", "Exhibit", "view_audit"]

#: Exhibits of a page, and of one finding.
MOST, MOST_EACH = 24, 12
_ORDER = ("leak", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """A pair of pictures, or one picture.

    Attributes
    ----------
    rows : tuple of int
        Rows of the feature set.
    pictures : tuple of str
        ``data:`` addresses, one a row.
    """

    rows: tuple[int, ...]
    pictures: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class AuditView:
    """The leak audit as the page shows it.

    Attributes
    ----------
    counts : dict of str to int
        Findings by severity, without what was not looked at.
    found : list of (Finding, list of Exhibit)
        The gravest first.
    unseen : list of Finding
        What was not looked at.
    """

    counts: dict[str, int]
    found: list[tuple[Finding, list[Exhibit]]]
    unseen: list[Finding]


def view_audit(audit: Audit, thumbnails: Mapping[int, NDArray[np.uint8]]) -> AuditView:
    """Sort findings by severity, and put pictures to them.

    Parameters
    ----------
    audit : Audit
    thumbnails : mapping of int to ndarray of uint8, shape (height, width)
        Small grey pictures by row; a finding is shown as far as its rows are here.

    Returns
    -------
    AuditView
        With at most ``MOST`` exhibits.
    """
    ordered = sorted(audit.findings, key=lambda f: _ORDER.index(f.severity))
    found, left = [], MOST
    for finding in (f for f in ordered if f.kind != "not looked at"):
        exhibits = _exhibits(finding, thumbnails)[: min(left, MOST_EACH)]
        left -= len(exhibits)
        found.append((finding, exhibits))
    return AuditView(
        counts={s: sum(f.severity == s for f, _ in found) for s in _ORDER},
        found=found,
        unseen=[f for f in ordered if f.kind == "not looked at"],
    )


def _exhibits(finding: Finding, thumbnails: Mapping[int, NDArray[np.uint8]]) -> list[Exhibit]:
    shown: list[tuple[int, ...]] = [*finding.pairs, *((row,) for row in finding.rows)]
    known = [rows for rows in shown if all(row in thumbnails for row in rows)][:MOST_EACH]
    return [Exhibit(rows, tuple(_address(thumbnails[row]) for row in rows)) for rows in known]


def _address(picture: NDArray[np.uint8]) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.asarray(picture, np.uint8)).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
