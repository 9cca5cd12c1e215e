"""What candidates were drawn from: the scans examined, and the lesions annotated in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from annotated_types import Gt, Le

from bottleneck.errors import UsageError
from bottleneck.settings.schema import from_table, schema

__all__ = ["Candidates", "recorded_candidates"]

# Patient and lesion of a sample.
Names = tuple[str | None, str | None]


@schema(kw_only=False)
class Candidates:
    """The scans and lesions behind the samples of a data set of candidates.

    A free-response analysis needs them, since scans without a candidate and lesions without one
    are not samples.

    Attributes
    ----------
    negative_rate : float
        Share of the candidates without a lesion that are samples, above 0 and at most 1.
    scans : mapping of str to str
        Every scan that was examined, by its ``Sample.source``, with its patient.
    lesions : mapping of str to str
        Every annotated lesion, by its ``Sample.lesion``, with its scan.

    Raises
    ------
    UsageError
        If the rate is out of range, or a lesion lies in a scan that is not listed.

    Examples
    --------
    >>> Candidates(0.25, {"1.mhd": "p", "2.mhd": "q"}, {"a": "1.mhd"}).negative_rate
    0.25
    """

    negative_rate: Annotated[float, Gt(0), Le(1)]
    scans: Mapping[str, str]
    lesions: Mapping[str, str]

    def __post_init__(self) -> None:
        if lost := sorted(set(self.lesions.values()) - set(self.scans)):
            raise UsageError(f"a lesion lies in '{lost[0]}', which is not among the scans")

    def restricted(self, before: Iterable[Names], after: Iterable[Names]) -> Candidates | None:
        """Return what remains when some samples are left out.

        Patients without a sample, and lesions without one, remain: nobody left them out. Where only
        some samples without a lesion remain of a patient, their share is no longer known. Then the
        result is None.

        Parameters
        ----------
        before, after : iterable of (str or None, str or None)
            Patient and lesion of every sample, and of the samples that are kept.

        Examples
        --------
        >>> known = Candidates(1.0, {"1.mhd": "p", "2.mhd": "q"}, {"a": "1.mhd", "b": "2.mhd"})
        >>> part = known.restricted([("p", "a"), ("q", None)], [("p", "a")])
        >>> part and part.scans
        {'1.mhd': 'p'}
        """
        counts, kept_counts = Counter(before), Counter(after)
        left = {patient for patient, _ in kept_counts}
        for (patient, lesion), n in counts.items():
            if lesion is None and patient in left and kept_counts[patient, None] < n:
                return None
        patients = {patient for patient, _ in counts} - left
        lesions = {lesion for _, lesion in counts} - {lesion for _, lesion in kept_counts}
        scans = {scan: patient for scan, patient in self.scans.items() if patient not in patients}
        kept = {
            lesion: scan
            for lesion, scan in self.lesions.items()
            if scan in scans and lesion not in lesions
        }
        return Candidates(self.negative_rate, scans, kept)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary that can be written as JSON.

        Examples
        --------
        >>> Candidates(1.0, {"1.mhd": "p"}, {}).to_dict()["negative_rate"]
        1.0
        """
        return {
            "negative_rate": self.negative_rate,
            "scans": dict(self.scans),
            "lesions": dict(self.lesions),
        }


def recorded_candidates(record: Mapping[str, Any]) -> Candidates | None:
    """Return the candidates in the record of a data set; None where it records none.

    Parameters
    ----------
    record : mapping
        The record of a data set in a provenance.

    Raises
    ------
    UsageError
        If the record is damaged.
    """
    stated = record.get("candidates")
    return stated and from_table(Candidates, stated, "the recorded candidates")
