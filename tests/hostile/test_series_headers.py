"""DICOM series with changed headers: read as SimpleITK and pydicom do, or refused by our errors."""

from __future__ import annotations

import pytest
from fuzz.series_headers import compare


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "seed"), [(60, 1), (2_000, 2)])
def test_series_with_changed_headers(runs: int, seed: int) -> None:
    reasons: list[str] = []
    counts = compare(runs, seed, lambda _, reason: reasons.append(reason))
    assert reasons == []
    assert counts.keys() <= {"equal", "refused", "unjudged"}
    assert min(counts["equal"], counts["refused"]) > runs / 10  # Some changes are harmless.
    assert counts["unjudged"] < runs / 100
