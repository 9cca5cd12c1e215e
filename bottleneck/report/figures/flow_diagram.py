"""The flow diagram of a cohort: samples found, excluded and used."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from bottleneck.data.labels.choice import describe_merges
from bottleneck.data.sources.source_names import describe_sources

__all__ = ["Flow", "flow"]


@dataclasses.dataclass(frozen=True)
class Flow:
    """Numbers of samples and patients in the flow diagram of a cohort.

    Attributes
    ----------
    name, fingerprint : str
        Name and fingerprint of the data set.
    found, unreadable, used : int
        Numbers of samples.
    unreadable_classes : mapping of str to int
        Numbers of the unreadable ones by class, as far as it is recorded.
    patients : int or None
        Number of patients of the samples used; None if patients are not known.
    excluded : mapping of str to int
        Number of samples excluded for each reason, such as a missing label.
    classes : list of (label, samples, share, patients)
        The classes; patients are None if they are not known.
    details : list of str
        Phrases on the data sets that it combines, and on classes that were merged or renamed.
    """

    name: str
    fingerprint: str
    found: int
    unreadable: int
    unreadable_classes: Mapping[str, int]
    used: int
    patients: int | None
    excluded: Mapping[str, int]
    classes: list[tuple[str, int, float, int | None]]
    details: list[str]


def flow(dataset: Mapping[str, Any]) -> Flow:
    """Return the flow diagram of a cohort.

    Parameters
    ----------
    dataset : mapping
        As ``Comparison.dataset``.

    Returns
    -------
    Flow
        The numbers of the diagram.
    """
    used, unreadable, excluded = dataset["n_samples"], dataset["failures"], dataset["excluded"]
    patients = dataset["patients"] or {}
    return Flow(
        name=dataset["name"],
        fingerprint=dataset["fingerprint"],
        found=used + unreadable + sum(excluded.values()),
        unreadable=unreadable,
        unreadable_classes=dataset.get("failures_by_class", {}),
        used=used,
        patients=dataset["n_patients"],
        excluded=excluded,
        classes=[(c, n, n / used, patients.get(c)) for c, n in dataset["classes"].items()],
        details=[
            *([describe_sources(dataset)] if dataset.get("sources") else []),
            *describe_merges(dataset.get("selection", {})),
        ],
    )
