"""An audit in types of strict JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.audit import Audit
from bottleneck.audit.findings import Finding
from bottleneck.report.redaction import plain

__all__ = ["audit_record"]

_SEARCH = ("threshold", "doubtful", "similarity", "compared", "capped")


def audit_record(audit: Audit, ids: NDArray[np.str_] | None = None) -> dict[str, Any]:
    """Return an audit as ``results.json`` and ``audit --json`` hold it.

    Parameters
    ----------
    audit : Audit
        The audit.
    ids : ndarray of str, shape (n_samples,), or None
        Ids of the samples, to name those of each finding; None to name none.
    """
    pairs = audit.groups.pairs
    kinds = Counter(pair.kind for pair in pairs)
    identical = sum(pair.identical for pair in pairs)
    search = audit.groups.search
    return {
        "n_samples": audit.n_samples,
        "n_patients": audit.n_patients,
        "largest_group": audit.largest_group,
        "leaks": len(audit.leaks),
        "verdict": audit.verdict,
        "ties": audit.ties,
        "ignored": dict(audit.ignored),
        "findings": [_finding(finding, ids) for finding in audit.findings],
        "pairs": {
            "identical": identical,
            "near_duplicate": len(pairs) - identical,
            "altered_copy": kinds["altered copy"],
            "neighbouring_frame": kinds["neighbouring frame"],
        },
        "search": None
        if search is None
        else plain({name: getattr(search, name) for name in _SEARCH}),
        "metadata": plain(audit.metadata),
    }


def _finding(finding: Finding, ids: NDArray[np.str_] | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        name: getattr(finding, name) for name in ("code", "kind", "severity", "count", "text")
    }
    if ids is not None:
        facts["pairs"] = [[str(ids[row]) for row in pair] for pair in finding.pairs]
        facts["kinds"] = [
            {"kind": pair.kind, "alterations": pair.alterations} for pair in finding.duplicates
        ]
        facts["samples"] = [str(ids[row]) for row in finding.rows]
    return facts
