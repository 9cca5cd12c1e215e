"""Tables whose rows are volumes, or points in volumes."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottleneck import ImageDataset, Sample, load_dataset
from bottleneck.cli.reading import DatasetOptions
from bottleneck.data.readers.new_images.image_inputs import load_new_images
from bottleneck.data.readers.tables.volume_rows import RegionOptions
from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DataError, UsageError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a table, beside empty files of four volumes and two images."""
    for name in ("a.mhd", "b.mha", "c.nii.gz", "d.nii", "e.png", "f.png"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    def write_table(text, name="lesions.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write_table


def test_every_column_is_read(write):
    dataset = load_dataset(
        write(
            "path,label,patient,x,y,z,space,size_mm,lesion,id\n"
            "a.mhd,ill,P1,-128.6994211,175.3,-298,,,L1,one\n"
            "a.mhd,well,P1,1e1,0,0,RAS,40.5,,two\n"
            "c.nii.gz,well,P2,3,4,5,voxel,,,\n"
        )
    )
    assert dataset.holds_volumes
    assert repr(dataset).startswith("<ImageDataset lesions: 3 regions of 2 patients")
    assert [(s.id, s.volume_region, s.lesion) for s in dataset.samples] == [
        ("one", (-128.6994211, 175.3, -298, "lps", None), "L1"),
        ("two", (10, 0, 0, "ras", 40.5), None),
        ("c.nii.gz@3,4,5", (3, 4, 5, "voxel", None), None),
    ]


def test_options_hold_for_rows_that_state_nothing(write):
    table = write(
        "path,label,x,y,z,space,size_mm\nc.nii.gz,ill,1,2,3,,\nd.nii,well,1,2,3,voxel,7\n"
    )
    dataset = load_dataset(table, space="ras", size_mm=30)
    assert [s.volume_region[3:] for s in dataset.samples] == [("ras", 30), ("voxel", 7)]
    with pytest.raises(
        DataError, match=r"line 2: the space of x, y and z is not stated, .*--space"
    ):
        load_dataset(table)


def test_whole_volumes(write):
    dataset = load_dataset(write("path,label\na.mhd,ill\nc.nii.gz,well\n"))
    assert dataset.holds_volumes
    assert "2 volumes of unknown patients" in dataset.summary
    assert {s.volume_region for s in dataset.samples} == {None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2", "no column 'z': a point in a volume needs x, y and z"),
        ("x,y,z\n1,2,", "line 2: z must be a number with a decimal point, and it is empty"),
        ('x,y,z\n1,2,"3,5"', r"line 2: z must be a number with a decimal point, not '3,5'"),
        ("x,y,z\n1,2,nan5", "line 2: z must be a number"),
        ("x,y,z\n1,2,1e400", "line 2: z must be a number"),
        ("x,y,z\n1,2,1e7", "has a coordinate that is not a number of usual size"),
        ("x,y,z,space\n1,2,3,mni", "line 2: unknown space 'mni'; known: lps, ras, voxel"),
        ("x,y,z,size_mm\n1,2,3,-4", "line 2: size_mm must be above 0, not '-4'"),
        ("x,x,y,z\n1,1,2,3", "has several columns 'x'"),
    ],
)
def test_what_is_no_point(write, text, message):
    header, row = text.split("\n")
    with pytest.raises(DataError, match=message):
        load_dataset(write(f"path,label,{header}\na.mhd,ill,{row}\n"))


def test_rows_without_a_point_are_left_out(write):
    text = "path,label,x,y,z\na.mhd,ill,,NA,\na.mhd,well,1,2,3\n"
    dataset = load_dataset(write(text))
    assert dataset.excluded == {"no point": 1}
    assert [s.id for s in dataset.samples] == ["a.mhd@1,2,3"]
    rows = [{"path": "a.mhd", "label": "ill", "x": None, "y": math.nan, "z": None}]
    rows += [{"path": "a.mhd", "label": "well", "x": 1, "y": 2.0, "z": "3"}]
    same = ImageDataset.from_samples(rows, name="lesions", images=".")
    assert same.excluded == dataset.excluded
    assert same.samples == dataset.samples


def test_tables_of_images_have_no_regions(write):
    table = write("path,label,x,y,z,space\ne.png,ill,a,b,c,d\nf.png,well,a,,,\n")
    dataset = load_dataset(table)
    assert not dataset.holds_volumes
    assert {s.volume_region for s in dataset.samples} == {None}
    for option in ({"space": "lps"}, {"size_mm": 3}):
        with pytest.raises(UsageError, match=r"names images, which have no regions"):
            load_dataset(table, **option)
    with pytest.raises(UsageError, match="'y' was named as x, which is for tables of volumes"):
        load_dataset(table, columns={"x": "y"})


def test_options_without_points(write):
    table = write("path,label\na.mhd,ill\nb.mha,well\n")
    with pytest.raises(UsageError, match=r"--size-mm is for points in volumes, .* no columns x, y"):
        load_dataset(table, size_mm=20)
    with pytest.raises(UsageError, match="which has no points in volumes"):
        load_dataset(table.parent, space="lps")
    for wrong in (0, -1, math.inf, math.nan, "20", True):
        with pytest.raises(UsageError, match="size of regions must be a number of mm above 0"):
            RegionOptions(size_mm=wrong)
    with pytest.raises(UsageError, match="must be lps, ras or voxel, not 'LAS'"):
        RegionOptions(space="LAS")


def test_images_and_volumes_are_not_mixed(write):
    for first, second in (("a.mhd", "e.png"), ("e.png", "a.mhd")):
        rows = [{"path": first, "label": "ill"}, {"path": second, "label": "well"}]
        table = write(f"path,label\n{first},ill\n{second},well\n")
        with pytest.raises(DataError, match=rf"line 3: '{second}' is .* make a table of each"):
            load_dataset(table)
        with pytest.raises(DataError, match="1 of 2 samples name volumes"):
            ImageDataset.from_samples(rows, name="mixed", images=".")


def test_one_point_twice(write):
    text = "path,label,x,y,z\na.mhd,ill,1,2,3\na.mhd,ill,1.0,2,3.00\n"
    with pytest.raises(DataError, match=r"'a.mhd@1,2,3' is already in line 2.*path and the point"):
        load_dataset(write(text))


def test_points_whose_columns_are_not_named(write):
    table = write("path,label,a,b,c\na.mhd,ill,1,2,3\na.mhd,ill,4,5,6\n")
    with pytest.raises(
        DataError, match=r"already in line 2.*name the columns with --point-columns"
    ):
        load_dataset(table)
    assert len(load_dataset(table, columns=dict(zip("xyz", "abc", strict=True)))) == 2


def test_regions_of_a_volume_are_of_one_patient(write):
    text = "path,label,x,y,z{}\na.mhd,ill,1,2,3{}\na.mhd,well,3,2,1{}\nb.mha,ill,0,0,0{}\n"
    dataset = load_dataset(write(text.format("", "", "", "")))
    assert [s.group for s in dataset.samples] == ["a.mhd", "a.mhd", "b.mha"]
    assert any("3 regions without a patient" in note for note in dataset.notes)
    table = write(text.format(",patient", ",P7", ",P7", ""))
    assert [s.group for s in load_dataset(table).samples] == ["P7", "P7", None]
    blank = load_dataset(write(text.format(",patient", ",", ",P7", ",")))
    assert [s.group for s in blank.samples] == ["P7", "P7", "b.mha"]
    blank = load_dataset(write(text.format(",patient", ",", ",P7", ",P8")))
    assert [s.group for s in blank.samples] == ["P7", "P7", "P8"]
    assert any("1 region without a patient, taken from the" in note for note in blank.notes)
    with pytest.raises(DataError, match=r"'a.mhd' are of the patients 'P7' and 'P9', and a vol"):
        load_dataset(write(text.format(",patient", ",P7", ",P9", "")))
    table = write(text.format("", "", "", ""))
    named = load_dataset(table, patient_pattern=r"^(\w)\.")
    assert [s.group for s in named.samples] == ["a", "a", "b"]
    new = load_new_images(table, name="new")
    assert [s.group for s in new.samples] == ["a.mhd", "a.mhd", "b.mha"]


def test_columns_with_other_names(write):
    text = "seriesuid,class,coordX,coordY,coordZ\na.mhd,1,-1.5,2,3\nb.mha,0,1,2,3\n"
    table = write(text)
    columns = {"path": "seriesuid", "label": "class"}
    whole = load_dataset(table, columns=columns)
    assert any("--point-columns coordX,coordY,coordZ" in note for note in whole.notes)
    options = DatasetOptions(
        path_column="seriesuid", label_column="class", point_columns="coordX, coordY,coordZ"
    )
    named = options.load(str(table), quiet=True)
    assert named.samples[0].volume_region == VolumeRegion(-1.5, 2, 3, "lps")
    with pytest.raises(UsageError, match="must be three columns, such as coordX,coordY,coordZ"):
        DatasetOptions(point_columns="x,y").columns  # noqa: B018  # The property raises.


def test_samples_in_python(write):
    table = write("path,label,x,y,z,space,size_mm,lesion\nd.nii,ill,1,2,3.5,ras,9,L\n")
    expected = load_dataset(table).samples[0]
    region = VolumeRegion(1, 2, 3.5, "ras", 9)
    point = {"x": 1, "y": 2, "z": 3.5, "size_mm": 9}
    base = {"path": "d.nii", "label": "ill", "lesion": "L"}
    for rows, options in (
        ([{**base, **point}], {"space": "ras"}),
        (pd.DataFrame([{**base, **point, "space": "ras"}]), {}),
        ([{**base, "volume_region": region, "id": expected.id}], {}),
        ([Sample(expected.id, "d.nii", "ill", lesion="L", volume_region=region)], {}),
    ):
        made = ImageDataset.from_samples(rows, name="mine", **options)
        assert made.holds_volumes
        assert made.samples == (expected,)
    with pytest.raises(UsageError, match="space applies only to rows with a point"):
        ImageDataset.from_samples([base], name="mine", space="ras")


def test_whole_numbers_are_one_region_with_floats(write):
    table = write("path,label,x,y,z\na.mhd,ill,1,2,3\n")
    sample = Sample("one", "a.mhd", "ill", volume_region=VolumeRegion(1, 2, 3, "lps", 50))
    for dataset in (
        load_dataset(table, size_mm=50),
        ImageDataset.from_samples([sample], name="mine"),
    ):
        assert repr(dataset.samples[0].volume_region[4]) == "50.0"
        assert set(map(type, dataset.samples[0].volume_region[:3])) == {float}


@given(st.tuples(*[st.floats(-1e5, 1e5)] * 3), st.sampled_from(["lps", "ras", "voxel"]))
def test_numbers_are_read_as_they_are_written(point, space):
    row = dict(zip("xyz", map(repr, point), strict=True)) | {"space": space}
    assert RegionOptions().read(row, "d.nii", "line 2") == VolumeRegion(*point, space)


def test_one_point_in_each_space_is_one_region(write):
    nibabel = pytest.importorskip("nibabel", reason="the extra volumes is not installed")
    rng = np.random.default_rng(0)
    turned, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turned * [0.7, 0.8, 2.5]
    affine[:3, 3] = (-31.5, 12.25, -200)
    values = rng.integers(-1000, 1000, (20, 18, 12)).astype(np.int16)
    table = write("")
    nibabel.save(nibabel.Nifti1Image(values, affine), table.parent / "oblique.nii")
    voxel = (9, 11, 4)
    # nibabel's coordinates are RAS.
    ras = nibabel.affines.apply_affine(affine, voxel)
    points = {"voxel": voxel, "ras": ras, "lps": ras * [-1, -1, 1]}
    rows = [
        {"path": "oblique.nii", "label": "ill", "space": space, "id": space}
        | dict(zip("xyz", map(float, point), strict=True))
        for space, point in points.items()
    ]
    table.write_text(pd.DataFrame(rows).to_csv(index=False))
    dataset = load_dataset(table)
    regions = [
        read_region(dataset.open_volume(s), s.volume_region, VolumePreprocessing(size=(5, 5, 5)))
        for s in dataset.samples
    ]
    assert len({one.sha256 for one in regions}) == len({one.pixels_sha256 for one in regions}) == 1
    assert {one.patch[2, 2, 2, 0] for one in regions} == {values[voxel]}
