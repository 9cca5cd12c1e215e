"""Which samples take part, and which side they stand on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.studies.study import StudyProtocol
from bottleneck.studies.subset import draw_sets, take_patients


def dataset(n: int, *, images: int = 1, malignant_every: int = 4, patients=True) -> ImageDataset:
    samples = tuple(
        Sample(
            f"{patient}-{image}",
            f"{patient}-{image}.png",
            "malignant" if patient % malignant_every == 0 else "benign",
            group=f"P{patient}" if patients else None,
        )
        for patient in range(n)
        for image in range(images)
    )
    return ImageDataset("made", samples, FileSource(Path()))


def protocol(train, test, validation=0, **given) -> StudyProtocol:
    return StudyProtocol(
        name="drawn", kind="draw", train=train, validation=validation, test=test, **given
    )


def test_stated_sizes_are_met_where_there_are_enough():
    parts = draw_sets(dataset(5000, patients=False), protocol(2800, 750, 700))
    assert Counter(parts.values()) == {"train": 2800, "val": 700, "test": 750}


def test_the_ratio_is_kept_in_smaller_data():
    drawn = draw_sets(dataset(1000), protocol(2525, 613, together="image"))
    counts = Counter(drawn.values())
    assert counts["test"] == round(1000 * 613 / 3138)
    assert sum(counts.values()) == 1000


def test_parts_are_stratified():
    made = dataset(400)
    labels = {sample.id: sample.label for sample in made.samples}
    parts = draw_sets(made, protocol(300, 100))
    test = Counter(labels[name] for name, part in parts.items() if part == "test")
    assert test == {"benign": 75, "malignant": 25}


@pytest.mark.parametrize("seed", range(5))
def test_patients_are_never_parted_unless_asked_for(seed):
    made = dataset(60, images=3)
    group = {sample.id: sample.group for sample in made.samples}

    def sides(together):
        parts = draw_sets(made, protocol(120, 60, together=together, seed=seed))
        found = {}
        for name, part in parts.items():
            found.setdefault(group[name], set()).add(part)
        return [len(parts) for parts in found.values()]

    assert max(sides("patient")) == 1
    assert max(sides("image")) == 2


def test_what_is_joined_is_never_parted():
    made = dataset(40, patients=False)
    joined = {sample.id: str(number // 8) for number, sample in enumerate(made.samples)}
    for seed in range(5):
        parts = draw_sets(made, protocol(30, 10, seed=seed), joined)
        sides = {(joined[name], part) for name, part in parts.items()}
        assert len(sides) == len({unit for unit, _ in sides})


def test_seeds_draw_differently_and_again_the_same():
    made = dataset(100)
    first, again, other = (draw_sets(made, protocol(80, 20, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_part_without_a_class_is_refused():
    with pytest.raises(ProtocolError, match="set without 'malignant': 1 samples"):
        draw_sets(dataset(12, malignant_every=12), protocol(8, 4))


@pytest.mark.parametrize("first", [0, 4])
def test_patients_with_samples_of_both_classes_count_for_the_rarer(first):
    # One candidate of five is a nodule in each second patient, wherever it stands in the table.
    samples = tuple(
        Sample(f"{p}-{c}", f"{p}.nii", ("no", "yes")[c == first and p % 2 == 0], group=f"P{p}")
        for p in range(40)
        for c in range(5)
    )
    made = ImageDataset("candidates", samples, FileSource(Path()))
    parts = draw_sets(made, protocol(160, 40))
    test = {name.partition("-")[0] for name, part in parts.items() if part == "test"}
    assert Counter(int(p) % 2 for p in test) == {0: 4, 1: 4}
    taken = {sample.group for sample in take_patients(made, 10).samples}
    assert Counter(int(p[1:]) % 2 for p in taken) == {0: 5, 1: 5}


def test_one_patient_without_a_nodule_does_not_leave_a_set_without_a_class():
    samples = tuple(
        Sample(f"{p}-{c}", f"{p}.nii", ("no", "yes")[c == 0 and p > 0], group=f"P{p}")
        for p in range(10)
        for c in range(3)
    )
    parts = draw_sets(ImageDataset("candidates", samples, FileSource(Path())), protocol(24, 6))
    test = [sample.label for sample in samples if parts[sample.id] == "test"]
    assert {"no", "yes"} == set(test)


def test_patients_are_taken_in_proportion():
    made = dataset(100, images=2)
    taken = take_patients(made, 20)
    assert taken.n_groups == 20
    assert len(taken) == 40
    patients = {sample.group: sample.label for sample in taken.samples}
    assert Counter(patients.values()) == {"benign": 15, "malignant": 5}
    assert taken.name == "made-20of100"
    assert take_patients(made, 200) is made
    with pytest.raises(UsageError, match="at least 2 patients"):
        take_patients(made, 1)
