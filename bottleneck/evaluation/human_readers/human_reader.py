"""Human readers, matched to the samples of a comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.labels.choice import Choice
from bottleneck.data.spelling.identifiers import canonical, legible
from bottleneck.data.spelling.spelling_keys import match_ids, match_names
from bottleneck.errors import DataError, ProtocolError
from bottleneck.evaluation.human_readers.reader_tables import ReaderTable, Reading
from bottleneck.evaluation.human_readers.reading_scale import (
    ReadingScale,
    find_scale,
    is_unread,
)
from bottleneck.features.arrays.array_features import without_features
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.text.plurals import counted

__all__ = ["HumanReader", "match_readers", "samples_of_readers"]


@dataclasses.dataclass(frozen=True, eq=False)
class HumanReader:
    """The scores of one reader.

    Attributes
    ----------
    name : str
        Name of the arm: "reader 1", unless the user chooses another.
    own_name : str
        The reader's name in the table, which no report holds.
    source : str
        Name of the table, for messages.
    scale : ReadingScale
        The scale of all readers of the table.
    scores : mapping of str to float or str
        The score, or the class, by sample.
    """

    name: str
    own_name: str
    source: str
    scale: ReadingScale
    scores: Mapping[str, float | str]

    @property
    def is_probable(self) -> bool:
        """Whether the scores are probabilities."""
        return self.scale.kind == "probability"


def match_readers(
    tables: Sequence[ReaderTable],
    samples: FeatureSet,
    *,
    unit: str,
    choice: Choice | None = None,
    are_numbers: bool = False,
    note: Callable[[str], None] | None = None,
) -> list[HumanReader]:
    """Return the readers of some tables, numbered over all of them.

    Parameters
    ----------
    tables : sequence of ReaderTable
        The tables.
    samples : FeatureSet
        All samples of the comparison, before a selection.
    unit : {"image", "patient"}
        Unit of the metrics. Scores of patients are taken where it is the patient.
    choice : Choice or None
        The selection, which renames classes.
    are_numbers : bool
        Whether scores are numbers where they could also be names of classes.
    note : callable or None
        Called with the name of each reader, which is in no report, and the number of scores.

    Raises
    ------
    DataError
        If an id is of no sample, a reader has two scores of a sample, or a score or a label
        cannot be read.
    ProtocolError
        If a label is another one than that of the sample.
    """
    readers: list[HumanReader] = []
    names = samples.classes if choice is None else (*samples.classes, *choice.kept)
    for table in tables:
        known = _match_ids(table, samples, unit)
        _refuse_other_labels(table, known, samples)
        read = {
            name: [(i, one) for i, one in rows if not is_unread(one.text, names)]
            for name, rows in table.readers.items()
        }
        scale = find_scale(
            table.source,
            {name: [one for _, one in rows] for name, rows in read.items()},
            names,
            has_decimal_commas=table.has_decimal_commas,
            are_numbers=are_numbers,
        )
        if scale.kind == "class" and choice is not None:
            values = {text: choice.names.get(str(v), v) for text, v in scale.values.items()}
            scale = dataclasses.replace(scale, values=values)
        for name, rows in read.items():
            number = f"reader {len(readers) + 1}"
            scores = _by_sample(table, name, rows, known, scale)
            readers.append(HumanReader(number, name, table.source, scale, scores))
            if note is not None:
                note(
                    f"{number} is {legible(name)} of {table.source} "
                    f"({counted(len(rows), 'score')}); the report has only the number"
                )
    return readers


def _by_sample(
    table: ReaderTable,
    reader: str,
    rows: Sequence[tuple[str, Reading]],
    known: Mapping[str, Sequence[str]],
    scale: ReadingScale,
) -> dict[str, float | str]:
    lines: dict[str, int] = {}
    scores: dict[str, float | str] = {}
    for identity, reading in rows:
        for sample in known[identity]:
            if (before := lines.setdefault(sample, reading.line)) != reading.line:
                raise DataError(
                    f"{table.source} has two scores of the reader {legible(reader)} for "
                    f"{legible(sample)}, in lines {before} and {reading.line}: keep one, or give "
                    "the second reading another reader's name"
                )
            scores[sample] = scale.values[reading.text]
    return scores


def _match_ids(table: ReaderTable, samples: FeatureSet, unit: str) -> dict[str, Sequence[str]]:
    """Return the samples of each id, which may be that of a patient; none for unread images."""
    lost = [identity for identity, _ in samples.failures]
    found = match_ids(table.ids, [*samples.ids.tolist(), *lost])
    unknown = [identity for identity in table.ids if identity not in found]
    if not unknown:
        return {i: () if name in lost else (name,) for i, name in found.items()}
    patients = samples.stated_patients
    if not found and patients is not None:
        owners = match_names(table.ids, np.unique(patients).tolist())
        if len(owners) == len(table.ids):
            if unit != "patient":
                raise ProtocolError(
                    f"the ids of {table.source} are those of patients: compare scores of patients "
                    "with --unit patient (in Python Protocol(unit='patient')), or write a row per "
                    "image"
                )
            return {
                identity: samples.ids[patients == owner].tolist()
                for identity, owner in owners.items()
            }
    raise DataError(
        f"{len(unknown)} of {len(table.ids)} ids of {table.source} do not belong to a sample of "
        f"the data set, such as {legible(unknown[0])}; ids must be those of the feature file or "
        "of the "
        f"predictions, such as {legible(str(samples.ids[0]))}"
    )


def _refuse_other_labels(
    table: ReaderTable, known: Mapping[str, Sequence[str]], samples: FeatureSet
) -> None:
    label = dict(zip(samples.ids.tolist(), samples.y.tolist(), strict=True))
    spelled = match_names([one.text for one in table.labels.values()], samples.classes)
    wrong = []
    for identity, reading in table.labels.items():
        if reading.text not in spelled:
            raise DataError(
                f"{table.source}, line {reading.line}: the label {legible(reading.text)} is not "
                f"a class of the data set ({', '.join(samples.classes)})"
            )
        stated = spelled[reading.text]
        wrong += [(i, reading) for i in known.get(identity, ()) if label[i] != stated]
    if wrong:
        sample, reading = wrong[0]
        n = counted(len(wrong), "sample")
        raise ProtocolError(
            f"{table.source} has another label than the data set for {n}, such as "
            f"{legible(sample)} ({legible(reading.text)} in line {reading.line}, and "
            f"{legible(label[sample])}): correct the labels, or leave the column out"
        )


def samples_of_readers(tables: Sequence[ReaderTable]) -> FeatureSet:
    """Return the samples that readers scored, with labels and patients, and without features.

    Raises
    ------
    DataError
        If a sample has no label, or two.
    """
    # One name of each sample, whatever spelling it has in other rows and tables.
    ids = list({canonical(i): i for table in reversed(tables) for i in reversed(table.ids)})[::-1]
    columns: list[dict[str, str]] = [{}, {}]
    for table in tables:
        for column, stated in zip(columns, (table.labels, table.patients), strict=True):
            for identity, reading in stated.items():
                text = column.setdefault(canonical(identity), reading.text)
                if not match_names([text], [reading.text]):
                    raise DataError(
                        f"{table.source}, line {reading.line}: {legible(identity)} is stated as "
                        f"{legible(reading.text)}, and as {legible(text)} before; correct one"
                    )
    labels, patients = columns
    if lacking := [i for i in ids if i not in labels]:
        raise DataError(
            f"{tables[0].source} has no label of {len(lacking)} of {len(ids)} samples, such as "
            f"{legible(lacking[0])}: add a column 'label' with the truth, or compare the readers "
            "with features or predictions, which have labels"
        )
    return _name_samples(ids, [labels[i] for i in ids], [patients.get(i, "") for i in ids])


def _name_samples(ids: list[str], labels: list[str], patients: list[str]) -> FeatureSet:
    from bottleneck.features.arrays.sample_columns import name_samples

    identities: NDArray[np.str_] = np.array(ids, str)
    spelled, stated, _ = name_samples(identities, labels, patients if any(patients) else None)
    return without_features(identities, spelled, [] if stated is None else stated.tolist())
