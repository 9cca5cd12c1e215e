"""Selection of samples and classes: some left out by a list, classes merged, classes left out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import PlainValidator

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.labels.choice import Choice, Selectable, follow_positive
from bottleneck.data.labels.known_labels import require_labels
from bottleneck.data.readers.sample_lists import NamedSamples, find_samples, list_samples
from bottleneck.data.samples.sample_table import Sample, collect, values_of
from bottleneck.data.spelling.identifiers import canonical, name_value
from bottleneck.data.spelling.missing_values import means_nothing
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.data.volumes.candidates import Candidates
from bottleneck.errors import DataError, UsageError, unknown_name
from bottleneck.settings.ranges import Patients
from bottleneck.settings.schema import Field, schema, validate
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

__all__ = [
    "Selection",
    "check_selection",
    "choose_samples",
    "limit_patients",
    "restrict_candidates",
]


def _names(value: object, field: str, what: str) -> tuple[str, ...]:
    """Return names that a user gave in Python, or refuse them."""
    needed = f"{field} must be a sequence of {what}, such as {field}=('a', 'b')"
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise UsageError(f"{needed}, not {shorten(value)}")
    if getattr(value, "ndim", 1) != 1:
        raise UsageError(f"{needed}, not a table: name one column of it")
    names = []
    for one in value:
        try:
            name = name_value(one)
        except TypeError:
            name = ""
        if not name.strip():
            raise UsageError(f"{needed}; {shorten(one)} is not one")
        names.append(name)
    return tuple(names)


def _check_classes(value: object) -> tuple[str, ...]:
    return _names(value, "classes", "names of classes")


def _check_merge(value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise UsageError(
            f"merge must map each new class to the classes that become it, such as "
            f"merge={{'new': ('a', 'b')}}, not {shorten(value)}"
        )
    merge = {}
    for new, parts in value.items():
        if not isinstance(new, str) or means_nothing(new):
            raise UsageError(
                f"merge needs a name for each new class, and {shorten(new)} is none: choose a word"
            )
        try:
            collect([Sample("new", "new", new)])
        except DataError as error:
            raise UsageError(f"merge names a class that cannot be stored: {error}") from None
        merge[new] = _names(parts, f"merge[{new!r}]", "names of classes")
        if not merge[new]:
            raise UsageError(f"merge[{new!r}] is empty: name the classes that become {new!r}")
    return merge


def _check_exclude(value: object) -> tuple[str, ...] | Path:
    if isinstance(value, str | Path) and str(value).strip():
        return Path(value)
    names = _names(value, "exclude", "ids or image paths (or the path of a list)")
    if set(names) <= {"True", "False"} and len(names) > 2:
        raise UsageError(
            "exclude takes ids, but these are truth values: to leave samples out by a mask, use "
            "FeatureSet.select(~mask), or pass features.ids[mask]"
        )
    return names


@schema
class Selection:
    """Which samples and classes of a data set are used; they are chosen in this order.

    Attributes
    ----------
    exclude : sequence of str, or str or Path
        First: samples to leave out, by id or by image path; or a file that lists them, one per line
        or in a column of a table.
    merge : mapping of str to sequence of str
        Then: classes that become one, under a new name. A class of that name must be among them
        or not exist.
    classes : sequence of str
        Last: classes to keep, as they are called after merging; by default all.

    Raises
    ------
    UsageError
        If a value has the wrong type, or is not a name.

    Notes
    -----
    Names may differ from those of the data set in letter case and spaces. The positive class
    follows a merge: if "malignant" becomes "suspicious", "suspicious" is the positive class. What
    is left out is counted in ``Comparison.dataset`` and in the flow diagram of the report.

    Examples
    --------
    >>> from bottleneck import load_dataset
    >>> phantom = load_dataset("phantom", limit=20)
    >>> chosen = phantom.choose(Selection(exclude=["P001/1"], merge={"tumour": ["malignant"]}))
    >>> chosen.class_counts["tumour"], chosen.positive
    (27, 'tumour')
    >>> chosen.selection["words"]
    'excluded by list: 1; malignant renamed tumour'
    """

    classes: Annotated[Sequence[str], PlainValidator(_check_classes)] = Field(default=())
    merge: Annotated[Mapping[str, Sequence[str]], PlainValidator(_check_merge)] = Field(
        default_factory=dict
    )
    exclude: Annotated[Sequence[str] | str | Path, PlainValidator(_check_exclude)] = Field(
        default=()
    )

    def resolve(self, data: Selectable, *, positive: str | int | None = None) -> Choice:
        """Return what the selection means for a data set.

        Parameters
        ----------
        data : Selectable
            Names of its samples and classes.
        positive : str or None
            The positive class, as it is called before or after merging; by default that of the
            data set.

        Raises
        ------
        UsageError
            If it names a class that does not exist, is named twice or was merged, leaves fewer
            than two classes, or samples have no label.
        DataError
            If the list cannot be read.
        """
        labels = list(data.column("label"))
        before = Counter(labels)
        require_labels(data.name, before)
        known = sorted(before)
        names = self._merge(known)
        kept = self._keep(names)
        excluded, found = self._exclude(data)
        mask = np.ones(len(labels), bool)
        mask[sorted(found.rows)] = False
        left_out = Counter(names[label] for label, kept_ in zip(labels, mask, strict=True) if kept_)
        for name in kept:
            if not left_out[name]:
                n = sum(before[label] for label in known if names[label] == name)
                raise UsageError(
                    f"the list excludes all {counted(n, 'sample')} of the class '{name}': exclude "
                    f"fewer, or name the other classes as those to keep (--classes, in Python "
                    f"classes=)"
                )
            del left_out[name]
        is_kept = {label: names[label] in kept for label in known}
        mask &= np.array([is_kept[label] for label in labels], bool)
        merged = {
            new: [label for label in known if names[label] == new]
            for new in dict.fromkeys(names.values())
        }
        merged = {new: parts for new, parts in merged.items() if parts != [new]}
        return Choice(
            rows=mask,
            names=names,
            kept=kept,
            positive=follow_positive(positive, data.positive, names, kept),
            excluded=excluded,
            left_out={name: left_out[name] for name in sorted(left_out)},
            merged={new: tuple(parts) for new, parts in merged.items() if new in kept},
            notes=found.notes,
            unknown=found.unknown,
            problem=found.problem,
        )

    def resolve_for_cohort(self, choice: Choice, data: Selectable) -> Choice:
        """Return what the selection means for another data set, after the one it was made for.

        The same classes are merged and left out. The list excludes those samples here that its
        entries name, where they name none of the first data set.

        Parameters
        ----------
        choice : Choice
            What it means for the first data set.
        data : Selectable
            Names of the samples and classes of the other one.
        """
        labels = list(data.column("label"))
        found = match_names(set(labels), choice.names)
        known = {label: choice.names[old] for label, old in found.items()}
        # A name that no merge concerns keeps its spelling.
        moved = {label: new for label, new in known.items() if new != found[label]}
        own = match_names(set(labels) - set(known), choice.kept)
        names = {label: moved.get(label) or own.get(label) or label for label in set(labels)}
        kept = {label for label in names if known.get(label) in choice.kept or label in own}
        if not self.classes:
            kept |= set(names) - set(known)
        excluded, listed = dataclasses.replace(self, exclude=choice.unknown)._exclude(data)
        mask = np.ones(len(labels), bool)
        mask[sorted(listed.rows)] = False
        out = Counter(
            names[label]
            for label, keep in zip(labels, mask, strict=True)
            if keep and label not in kept
        )
        mask &= np.array([label in kept for label in labels], bool)
        merged: dict[str, tuple[str, ...]] = {}
        for label in sorted(kept):
            if names[label] in choice.merged:
                merged[names[label]] = (*merged.get(names[label], ()), label)
        return Choice(
            rows=mask,
            names=names,
            kept=tuple(sorted({names[label] for label in kept})),
            positive=choice.positive,
            excluded=excluded,
            left_out=dict(sorted(out.items())),
            merged={new: parts for new, parts in merged.items() if parts != (new,)},
            notes=listed.notes,
            unknown=listed.unknown,
            problem=listed.problem,
        )

    def _merge(self, known: Sequence[str]) -> dict[str, str]:
        """Return the name of each class after merging."""
        names = {label: label for label in known}
        taken: dict[str, str] = {}
        for new, parts in self.merge.items():
            found = match_names(parts, known)
            for part in parts:
                if part not in found:
                    raise unknown_name("class to merge", part, known)
                if (other := taken.get(found[part])) is not None:
                    twice = "twice" if other == new else f"into '{other}' and into '{new}'"
                    raise UsageError(
                        f"the class '{found[part]}' is merged {twice}: name it in one merge, once"
                    )
                taken[found[part]] = new
            own = match_names([new], known).get(new)
            target = canonical(new) if own is None else own
            if own is not None and own not in found.values():
                raise UsageError(
                    f"the data set has a class '{own}' already: name it among those that are "
                    f"merged into it ({own}={own}+{'+'.join(found.values())}), or choose another "
                    f"new name"
                )
            if match_names([target], [names[part] for part in taken if taken[part] != new]):
                raise UsageError(
                    f"two merges make a class '{target}': name all its classes in one merge"
                )
            names |= dict.fromkeys(found.values(), target)
        return names

    def _keep(self, names: Mapping[str, str]) -> tuple[str, ...]:
        """Return the classes that are kept, sorted."""
        after = sorted(set(names.values()))
        found = match_names(self.classes, after)
        kept: list[str] = []
        for name in self.classes:
            if name not in found:
                old = match_names([name], names).get(name)
                if old is not None:
                    raise UsageError(
                        f"the class '{old}' is merged into '{names[old]}': name the new class "
                        "among the classes to keep"
                    )
                raise unknown_name("class", name, after)
            if found[name] in kept:
                raise UsageError(f"the class '{found[name]}' is named twice: name it once")
            kept.append(found[name])
        kept = sorted(kept) or after
        if len(kept) < 2:
            raise UsageError(
                f"only the class '{kept[0]}' is left, and at least two are needed: keep or merge "
                f"others. The classes are: {', '.join(names)}"
            )
        return tuple(kept)

    def _exclude(self, data: Selectable) -> tuple[tuple[str, ...], NamedSamples]:
        """Return the ids of samples that the list excludes, and how it was read."""
        if not isinstance(self.exclude, Path) and not self.exclude:
            return (), NamedSamples()
        assert not isinstance(self.exclude, str)
        found = find_samples(list_samples(self.exclude), data.column, data.lost, data.name)
        ids = {i for row, i in enumerate(data.column("id")) if row in found.rows} | found.lost
        return tuple(sorted(ids)), found


def check_selection(selection: object) -> Selection:
    """Return a selection, or raise UsageError for anything else."""
    if not isinstance(selection, Selection):
        raise UsageError(
            f"selection must be a Selection, such as Selection(classes=('a', 'b')), not "
            f"{shorten(selection)}"
        )
    return selection


def choose_samples(
    dataset: ImageDataset, selection: Selection, positive: str | int | None = None
) -> ImageDataset:
    """Return what ``ImageDataset.choose`` does."""
    samples = dataset.samples
    data = Selectable(dataset.name, lambda name: values_of(samples, name), (), dataset.positive)
    choice = check_selection(selection).resolve(data, positive=positive).refuse_unknown()
    notes = dataset.notes + choice.notes
    if not choice.changes:
        return dataclasses.replace(dataset, positive=choice.positive, notes=notes)
    kept = (sample for sample, keep in zip(samples, choice.rows, strict=True) if keep)
    chosen = collect(dataclasses.replace(s, label=choice.names[s.label]) for s in kept)
    return dataclasses.replace(
        dataset,
        # Under the same name, extraction would replace the features of the whole data set.
        name=f"{dataset.name}-{choice.fingerprint(dataset.fingerprint)[:8]}",
        samples=chosen,
        candidates=restrict_candidates(dataset, chosen),
        positive=choice.positive,
        excluded=choice.count(dataset.excluded),
        notes=notes,
        selection=choice.record(dataset.selection),
    )


def limit_patients(dataset: ImageDataset, n_patients: int) -> ImageDataset:
    """Return what ``ImageDataset.limited`` does."""
    validate(Patients, n_patients, "the limit of patients")
    kept = collect(_of_first(dataset.samples, n_patients))
    if len(kept) == len(dataset):
        return dataset
    notes = dataset.notes
    lacking = sorted(set(dataset.classes).difference(values_of(kept, "label")))
    if lacking:
        who = counted(n_patients, "patient")
        notes += (f"none of the first {who} has the label '{lacking[0]}'",)
    return dataclasses.replace(
        dataset,
        name=f"{dataset.name}-first{n_patients}",
        samples=kept,
        candidates=restrict_candidates(dataset, kept),
        positive=None if dataset.positive in lacking else dataset.positive,
        notes=notes,
    )


def restrict_candidates(dataset: ImageDataset, kept: Sequence[Sample]) -> Candidates | None:
    """Return what a data set of candidates was drawn from, where only some samples are kept."""

    def names(samples: Sequence[Sample]) -> Iterator[tuple[str | None, str | None]]:
        return zip(values_of(samples, "group"), values_of(samples, "lesion"), strict=True)

    known = dataset.candidates
    return known and known.restricted(names(dataset.samples), names(kept))


def _of_first(samples: Sequence[Sample], n_patients: int) -> Iterator[Sample]:
    first: set[str] = set()
    for sample in samples:
        key = f"group {sample.group}" if sample.group is not None else f"id {sample.id}"
        if key in first or len(first) < n_patients:
            first.add(key)
            yield sample
