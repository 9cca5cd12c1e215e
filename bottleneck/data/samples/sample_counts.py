"""What is counted over the samples of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

from bottleneck.data.samples.sample_table import Sample, count_named, fingerprint_of, values_of

__all__ = ["SampleCounts"]


class SampleCounts:
    """Classes, patients and fields of samples.

    Attributes
    ----------
    samples : sequence of Sample
        The samples.
    """

    samples: Sequence[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All labels, sorted."""
        return tuple(sorted(self.class_counts))

    @cached_property
    def class_counts(self) -> Mapping[str, int]:
        """The number of samples with each label; those without a label are not counted."""
        counts = Counter(values_of(self.samples, "label"))
        del counts[""]
        return counts

    @property
    def n_unlabelled(self) -> int:
        """The number of samples without a label."""
        return len(self) - sum(self.class_counts.values())

    @property
    def is_labelled(self) -> bool:
        """Whether every sample has a label."""
        return self.n_unlabelled == 0

    def names(self, field: str) -> bool:
        """Return whether any sample has a value in a field, such as "group".

        Examples
        --------
        >>> from bottleneck import load_dataset
        >>> data = load_dataset("phantom", limit=2)
        >>> data.names("group"), data.names("fold")
        (True, False)
        """
        return any(value is not None for value in values_of(self.samples, field))

    @cached_property
    def n_groups(self) -> int | None:
        """The number of patients, or None if no sample names its patient.

        If some samples do, each of the others counts as a patient of its own.
        """
        named, distinct = count_named(self.samples, "group")
        return distinct + len(self) - named if named else None

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the fields of all samples; the bytes of the images are not included."""
        return fingerprint_of(self.samples)
