"""Reader of LUNA16: candidates, nodules, subsets and sampled negatives."""

import csv
import math
import shutil
from collections import Counter

import numpy as np
import pytest
from made_luna16 import PAIR, make_luna16

from bottleneck import load_dataset
from bottleneck.cli.reading import DatasetOptions
from bottleneck.data.readers.new_images.image_inputs import load_new_images
from bottleneck.data.readers.volume_sets.luna16_tables import Candidate, is_sampled
from bottleneck.data.splits.folds import make_folds
from bottleneck.data.splits.patients import name_patients
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import DataError, ProtocolError, UsageError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees") / "LUNA16"
    return folder, make_luna16(folder, 14, size=16)


@pytest.fixture
def tree(made, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(made[0], tmp_path / "LUNA16")


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_candidates_are_as_in_the_tables(made):
    folder, scans = made
    dataset = load_dataset(folder)
    assert dataset.reader == {"name": "LUNA16"}
    assert dataset.positive == "nodule"
    rows = rows_of(folder / "candidates_V2.csv")
    assert len(dataset) == len(rows)
    subset = {scan.uid: f"subset{scan.subset}" for scan in scans}
    for sample, row in zip(dataset.samples, rows, strict=True):
        uid = row["seriesuid"]
        assert sample.source == f"{subset[uid]}/{uid}.mhd"
        assert sample.fold == subset[uid]
        assert sample.group == ("LIDC-IDRI-0332" if uid in PAIR else uid)
        assert sample.label == ("nodule" if row["class"] == "1" else "non-nodule")
        point = tuple(float(row[name]) for name in ("coordX", "coordY", "coordZ"))
        assert sample.volume_region == (*point, "lps", None)
    assert {s.volume_region.size_mm for s in load_dataset(folder, size_mm=40).samples} == {40}


def test_lesions_are_the_nodules_that_candidates_lie_in(made):
    folder, scans = made
    dataset = load_dataset(folder)
    nodules = {
        f"{scan.uid}/nodule {n}": nodule
        for scan in scans
        for n, nodule in enumerate(scan.nodules, 1)
    }
    for sample in dataset.samples:
        if sample.label == "non-nodule":
            assert sample.lesion is None
            continue
        *centre, diameter = nodules[sample.lesion]
        assert math.dist(sample.volume_region[:3], centre) <= diameter / 2
    recorded = dataset.candidates
    assert set(recorded.lesions) == set(nodules)
    assert len(recorded.scans) == 14
    assert len(set(recorded.scans.values())) == 13
    # One nodule was made without a candidate.
    assert len(set(nodules) - {s.lesion for s in dataset.samples}) == 1


def test_a_candidate_outside_of_all_nodules_has_no_lesion(tree):
    far = f"{PAIR[0]},0,0,900,1\n"
    with (tree / "candidates_V2.csv").open("a") as file:
        file.write(far)
    dataset = load_dataset(tree)
    assert dataset.samples[-1].lesion is None
    assert any("1 positive candidate within the radius of no" in note for note in dataset.notes)


def test_points_are_where_the_nodules_are(made):
    dataset = load_dataset(made[0])
    assert {scan.sign for scan in made[1]} == {1, -1}
    for sample in dataset.samples:
        volume = dataset.open_volume(sample)
        at = np.rint(volume.geometry.centre_of(sample.volume_region)).astype(int)
        ((((value,),),)) = volume.read(at, at + 1).tolist()
        assert (value > 200) == (sample.label == "nodule")


def test_sampled_negatives_are_the_same_whatever_else_is_there(tree):
    every = load_dataset(tree)
    few, more = (load_dataset(tree, negatives=rate) for rate in (0.2, 0.6))
    assert few.name == "LUNA16-negatives0.2"
    assert few.candidates.negative_rate == 0.2
    ids = [{s.id for s in one.samples} for one in (few, more, every)]
    assert ids[0] < ids[1] < ids[2]
    assert few.class_counts["nodule"] == every.class_counts["nodule"]
    n_left_out = few.excluded["negative that was not sampled"]
    assert len(few) + n_left_out == len(every)
    shutil.rmtree(tree / "subset0")
    shutil.rmtree(tree / "subset3")
    part = load_dataset(tree, negatives=0.2)
    assert part.samples == tuple(s for s in few.samples if s.fold not in ("subset0", "subset3"))
    assert part.excluded["missing scan"] > 0
    assert set(part.candidates.scans) < set(few.candidates.scans)
    assert set(part.candidates.scans) >= {s.source for s in part.samples}


@pytest.mark.parametrize("rate", [0.004, 0.25, 0.9])
def test_as_many_negatives_are_sampled_as_are_asked_for(rate):
    n = 20_000
    rows = [Candidate(f"1.2.{k % 40}", k // 40 + 1, (0.0, 0.0, 0.0), False) for k in range(n)]
    kept = [is_sampled(row, rate) for row in rows]
    # Five standard deviations of the binomial distribution.
    assert abs(sum(kept) - n * rate) < 5 * math.sqrt(n * rate * (1 - rate))
    assert all(is_sampled(row, 1.0) for row in rows)


def test_the_first_version_is_read_with_a_note(made, tree):
    (tree / "candidates_V2.csv").unlink()
    dataset = load_dataset(tree)
    assert len(dataset) == len(rows_of(tree / "candidates.csv"))
    assert any("is the first version" in note for note in dataset.notes)
    assert not any("is the first version" in note for note in load_dataset(made[0]).notes)


def test_the_subsets_part_one_patient(made):
    dataset = load_dataset(made[0])
    assert any("LIDC-IDRI-0332, with a scan in subset2 and subset6" in n for n in dataset.notes)
    with pytest.raises(ProtocolError, match=r"1 patient into several .* --merge-folds"):
        folds_of(dataset)
    assert len(folds_of(dataset, allow_leakage=True)) == 10
    merged = load_dataset(made[0], merge_folds=True)
    assert len(folds_of(merged)) == 10
    moved = [
        (one.fold, other.fold)
        for one, other in zip(dataset.samples, merged.samples, strict=True)
        if one != other
    ]
    counts = Counter(s.fold for s in dataset.samples if s.group == "LIDC-IDRI-0332")
    kept = max(counts, key=lambda fold: (counts[fold], -list(counts).index(fold)))
    assert {new for _, new in moved} == {kept}
    assert len(moved) == counts.total() - counts[kept]
    assert any(f"moves {len(moved)} samples of {len(merged)}" in note for note in merged.notes)


def folds_of(dataset, **options):
    columns = (
        [getattr(s, field) or "" for s in dataset.samples] for field in ("label", "group", "fold")
    )
    y, groups, folds = map(np.array, columns)
    protocol = Protocol(kind="folds", **options)
    return make_folds(protocol, y, name_patients(groups), folds=folds)


def test_other_places_and_formats(tree):
    expected = [(s.id, s.fold, s.lesion) for s in load_dataset(tree).samples]
    nested = tree / "subset0" / "subset0"
    nested.mkdir()
    for file in [*(tree / "subset0").glob("*.*")]:
        file.rename(nested / file.name)
    for file in (tree / "subset1").glob("*.mhd"):
        file.rename(file.with_suffix(".nii.gz"))
    masks = tree / "seg-lungs-LUNA16"
    masks.mkdir()
    for file in (tree / "subset2").glob("*.*"):
        shutil.copy(file, masks)
    (tree / "CSVFILES").mkdir()
    for file in tree.glob("*.csv"):
        file.rename(tree / "CSVFILES" / file.name)
    assert [(s.id, s.fold, s.lesion) for s in load_dataset(tree).samples] == expected


def test_trees_that_are_not_as_published(tree):
    shutil.copy(next((tree / "subset0").glob("*.mhd")), tree / "subset1")
    with pytest.raises(DataError, match=r"has the scan 1\.3\.6\.\S+ twice, as 'subset0/"):
        load_dataset(tree)
    shutil.rmtree(tree / "subset0")
    (tree / "old").mkdir()
    shutil.copy(tree / "candidates_V2.csv", tree / "old")
    with pytest.raises(DataError, match=r"several tables called candidates_v2\.csv"):
        load_dataset(tree)
    shutil.rmtree(tree / "old")
    table = tree / "annotations.csv"
    text = table.read_text()
    table.write_text(text.replace("diameter_mm", "diameter"))
    with pytest.raises(DataError, match=r"annotations\.csv must have one column 'diameter_mm'"):
        load_dataset(tree)
    header, first, *_ = text.splitlines()
    table.write_text(f"{header}\n{first.rpartition(',')[0]},wide\n")
    with pytest.raises(
        DataError, match=r"annotations.csv, line 2: diameter_mm must be a number .*, not 'wide'"
    ):
        load_dataset(tree)
    table.unlink()
    with pytest.raises(DataError, match=r"no annotations.csv, which names the nodules"):
        load_dataset(tree)
    table.write_text(text)
    table = tree / "candidates_V2.csv"
    table.write_text(table.read_text().replace(",1\n", ",2\n"))
    with pytest.raises(DataError, match=r"line \d+: the class must be 0 or 1, not '2'"):
        load_dataset(tree)
    for file in tree.glob("candidates*.csv"):
        file.unlink()
    with pytest.raises(DataError, match=r"neither candidates_V2\.csv nor candidates\.csv"):
        load_dataset(tree)
    for file in tree.glob("subset*/*"):
        file.unlink()
    (tree / "subset0").symlink_to("/")
    with pytest.raises(DataError, match=r"subsets of LUNA16 without a scan.*Symbolic links left"):
        load_dataset(tree)


@pytest.mark.parametrize("share", [0, -0.1, 1.5, math.nan, True, "all"])
def test_shares_that_are_none(made, share):
    with pytest.raises(UsageError, match="share of negative candidates must be above 0 and at mos"):
        load_dataset(made[0], negatives=share)


def test_options_of_other_data_sets(made):
    with pytest.raises(UsageError, match=r"no negative candidates .*; .* these have: LUNA16"):
        load_dataset("phantom", negatives=0.1)
    with pytest.raises(UsageError, match="'phantom' has no published folds: leave --merge-folds"):
        load_dataset("phantom", merge_folds=True)
    options = DatasetOptions(negatives=0.5, merge_folds=True, size_mm=30)
    expected = load_dataset(made[0], negatives=0.5, merge_folds=True, size_mm=30)
    assert options.load(str(made[0]), quiet=True).samples == expected.samples
    new = load_new_images(made[0], classes=("nodule", "non-nodule"), negatives=0.5)
    assert new.samples == load_dataset(made[0], negatives=0.5).samples


def test_a_part_by_patients_has_their_scans_and_lesions(made):
    dataset = load_dataset(made[0]).limited(3)
    patients = {s.group for s in dataset.samples}
    assert set(dataset.candidates.scans.values()) == patients
    assert len(dataset.candidates.scans) == 4


@pytest.mark.shared
def test_published_counts(shared, tmp_path):
    ct = shared / "data" / "ct"
    uids = (ct / "luna16-seriesuids.csv").read_text().split()
    (tmp_path / "subset2").mkdir()
    for uid in uids:
        (tmp_path / "subset2" / f"{uid}.mhd").touch()
    nodules = rows_of(ct / "luna16-annotations.csv")
    shutil.copy(ct / "luna16-annotations.csv", tmp_path / "annotations.csv")
    with (tmp_path / "candidates_V2.csv").open("w") as file:
        file.write("seriesuid,coordX,coordY,coordZ,class\n")
        for row in nodules:
            file.write(f"{','.join(list(row.values())[:4])},1\n")
        file.write(f"{uids[0]},0,0,0,0\n")
    dataset = load_dataset(tmp_path)
    # Setio et al.: 888 scans, 1,186 nodules, in 601 scans.
    assert len(dataset.candidates.scans) == 888
    assert len(set(dataset.candidates.scans.values())) == 887
    assert len(dataset.candidates.lesions) == 1186
    assert len(set(dataset.candidates.lesions.values())) == 601
    # No nodule is within another: each centre is of its own.
    assert len({s.lesion for s in dataset.samples}) == 1187
