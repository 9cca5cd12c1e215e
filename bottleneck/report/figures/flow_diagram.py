"""How samples and patients came from the folder to the figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

__all__ = ["Flow", "flow"]


@dataclasses.dataclass(frozen=True)
class Flow:
    """How many samples of a cohort came, went and stayed.

    Attributes
    ----------
    name, fingerprint : str
        Of the data set.
    found, unreadable, used : int
        Samples.
    patients : int or None
        Patients of the samples that were used; None where the data set names none.
    excluded : mapping of str to int
        Reasons, a missing label among them, and how many samples each left out.
    classes : list of (label, samples, share, patients)
        Patients are None where the data set names none.
    """

    name: str
    fingerprint: str
    found: int
    unreadable: int
    used: int
    patients: int | None
    excluded: Mapping[str, int]
    classes: list[tuple[str, int, float, int | None]]


def flow(dataset: Mapping[str, Any]) -> Flow:
    """Count the samples from the folder to the figures.

    Parameters
    ----------
    dataset : mapping
        As ``Comparison.dataset``.

    Returns
    -------
    Flow
    """
    used, unreadable, excluded = dataset["n_samples"], dataset["failures"], dataset["excluded"]
    patients = dataset["patients"] or {}
    return Flow(
        name=dataset["name"],
        fingerprint=dataset["fingerprint"],
        found=used + unreadable + sum(excluded.values()),
        unreadable=unreadable,
        used=used,
        patients=dataset["n_patients"],
        excluded=excluded,
        classes=[(c, n, n / used, patients.get(c)) for c, n in dataset["classes"].items()],
    )
