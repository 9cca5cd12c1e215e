"""Volumes with changed headers: read as independent readers do, or refused by an error of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz.volume_headers import FORMATS, compare


def check(form: str, runs: int, seed: int) -> None:
    """Compare files; the reasons of all that differ are shown."""
    reasons: list[str] = []
    counts = compare(form, runs, seed, lambda _, reason: reasons.append(reason))
    assert reasons == []
    assert counts.keys() <= {"equal", "refused", "noted"}
    assert min(counts["equal"], counts["refused"]) > runs / 10  # Some changes are harmless.


@pytest.mark.parametrize("form", FORMATS)
def test_volumes_with_changed_headers(form: str) -> None:
    check(form, 60, 1)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_many_volumes_with_changed_headers(form: str) -> None:
    check(form, 2_000, 2)


def test_a_wrong_value_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself works: a reader that swaps two values is noticed."""
    from bottleneck.data.volumes.volume import Volume

    read = Volume.read
    monkeypatch.setattr(Volume, "read", lambda *given: read(*given)[::-1])
    counts = compare("metaimage", 40, 3, lambda folder, reason: None)
    assert counts["different"] > 0
    assert counts["equal"] == 0
