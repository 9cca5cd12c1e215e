"""Regions of volumes become rows of feature files, as images do."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from made import dataset_of, make_images
from made_regions import MadeVolumes, made_volume, region_dataset

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume import Volume
from bottleneck.errors import FeatureFileError, ProtocolError, UsageError
from bottleneck.evaluation.cross_validation.arms import match_rows
from bottleneck.features.estimator.frozen_backbone import FrozenBackbone
from bottleneck.features.extraction import extract, extract_all
from bottleneck.features.extraction_result import Extraction
from bottleneck.features.file.reader import load_features
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.testing import tiny_backbone, tiny_volume_backbone

OPTIONS: dict[str, Any] = {"batch_size": 4, "workers": 2, "precision": "fp32"}


def run(
    dataset: ImageDataset, output: Path, backbone: Backbone | None = None, **options: Any
) -> Extraction:
    backbone = backbone or tiny_volume_backbone(side=8)
    return extract(dataset, backbone, output=output, **{**OPTIONS, **options})


def source_of(dataset: ImageDataset) -> MadeVolumes:
    assert isinstance(dataset.images, MadeVolumes)
    return dataset.images


def with_stamps(dataset: ImageDataset) -> ImageDataset:
    """Return the data set with volumes of a known size and time."""
    images = source_of(dataset)
    stamps = dict.fromkeys(images.volumes, (100, 10**18))
    return dataclasses.replace(dataset, images=MadeVolumes(images.volumes, stamps=stamps))


def test_rows_are_those_of_the_network_on_each_patch(tmp_path: Path) -> None:
    dataset, backbone = region_dataset(3, 4, mixed=True), tiny_volume_backbone(side=8)
    done = run(dataset, tmp_path, backbone)
    assert (done.n_extracted, done.n_samples, done.failures) == (12, 12, ())
    features = load_features(done.path)
    assert features.ids.tolist() == [sample.id for sample in dataset.samples]
    for row, sample in enumerate(dataset.samples):
        volume = source_of(dataset).volumes[sample.source]
        voxels = read_region(volume, sample.volume_region, backbone.preprocessing)
        # Padded to the batch of the run, on which the last bits depend.
        patch = torch.zeros(4, *voxels.patch.shape)
        patch[0] = torch.from_numpy(voxels.patch)
        np.testing.assert_allclose(features.X[row], backbone.embed(patch)[0], atol=1e-6)
        assert features.sha256 is not None
        assert features.boxes is not None
        assert features.sha256[row] == voxels.sha256
        assert tuple(features.boxes[row]) == voxels.box
    assert features.has_volumes
    assert set(source_of(dataset).opened.values()) == {1}


def test_regions_and_lesions_are_stored_and_read(tmp_path: Path) -> None:
    dataset = region_dataset(2, 3)
    samples = (*dataset.samples[:-1], dataclasses.replace(dataset.samples[-1], volume_region=None))
    features = load_features(run(dataclasses.replace(dataset, samples=samples), tmp_path).path)
    assert features.volume_regions is not None
    assert features.lesions is not None
    stated = [json.loads(text) if text else None for text in features.volume_regions.tolist()]
    assert stated == [s.volume_region and list(s.volume_region) for s in samples]
    assert features.lesions.tolist() == [s.lesion or "" for s in samples]
    part = features.select(features.lesions != "")
    assert part.boxes is not None
    assert part.boxes.shape == (2, 6)
    copy = load_features(part.save(tmp_path / "part.h5"))
    for name in ("boxes", "volume_regions", "lesions", "sha256", "pixels"):
        np.testing.assert_array_equal(getattr(copy, name), getattr(part, name))


def test_images_have_none_of_these_members(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 4)
    done = extract(dataset_of(tmp_path / "images"), tiny_backbone(), output=tmp_path, **OPTIONS)
    with h5py.File(done.path) as file:
        assert not {"boxes", "volume_regions", "lesions"} & set(file)


def test_a_second_run_opens_no_volume_that_is_unchanged(tmp_path: Path) -> None:
    dataset = with_stamps(region_dataset(3, 2))
    run(dataset, tmp_path)
    images = source_of(dataset)
    images.opened.clear()
    assert run(dataset, tmp_path).n_known == 6
    assert not images.opened
    images.stamps["scan1"] = (101, 10**18)
    assert run(dataset, tmp_path).n_extracted == 0  # Its voxels are the same.
    assert images.opened == {"scan1": 1}


def test_a_changed_coordinate_is_noticed_under_the_same_stamp(tmp_path: Path) -> None:
    dataset = with_stamps(region_dataset(2, 2))
    run(dataset, tmp_path)
    region = dataset.samples[0].volume_region
    assert region is not None
    moved = dataclasses.replace(dataset.samples[0], volume_region=region._replace(x=region.x + 3))
    changed = dataclasses.replace(dataset, samples=(moved, *dataset.samples[1:]))
    done = run(changed, tmp_path)
    assert (done.n_extracted, done.n_known) == (1, 3)
    assert "1 region changed since the last run" in done.notes


@pytest.mark.parametrize(("changed", "n"), [((15, 15, 15), 0), ((0, 0, 15), 1)])
def test_only_voxels_near_a_region_change_its_row(
    tmp_path: Path, changed: tuple[int, int, int], n: int
) -> None:
    """That is, those of the patch, and those that identify the region."""
    side, spacing = 16, (2.0, 2.0, 1.0)
    dataset = region_dataset(2, 1)
    volume = made_volume(0, side, spacing)
    images = MadeVolumes({"scan0": volume, "scan1": made_volume(1)})
    dataset = dataclasses.replace(dataset, images=images)
    run(dataset, tmp_path)
    volume.stored[changed] += 1
    assert run(dataset, tmp_path).n_extracted == n


def test_an_interrupted_run_continues(tmp_path: Path) -> None:
    dataset = region_dataset(4, 4)
    alone = load_features(run(dataset, tmp_path / "alone").path)
    done: list[int] = []

    def interrupt(n: int, total: int, text: str) -> None:
        done.append(n)
        if n == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path / "f", progress=interrupt)
    finished = run(dataset, tmp_path / "f")
    assert 0 < finished.n_extracted < 16
    again = load_features(finished.path)
    np.testing.assert_array_equal(again.X, alone.X)
    np.testing.assert_array_equal(again.boxes, alone.boxes)


def test_slices_of_a_network_of_images(tmp_path: Path) -> None:
    dataset = region_dataset(2, 2)
    three = tiny_volume_backbone(side=8, slices="orthogonal", slice_pooling="concatenate")
    mean = tiny_volume_backbone(side=8, slices="orthogonal")
    done = extract_all(dataset, [three, mean], layers=(), output=tmp_path, **OPTIONS)
    assert [one.width for one in done] == [24, 8]
    # One framing: one pass.
    assert set(source_of(dataset).opened.values()) == {1}
    assert load_features(done[0].path).title == (
        "tiny-slices (random, orthogonal slices, concatenate)"
    )
    joined, pooled = (load_features(one.path).X for one in done)
    np.testing.assert_allclose(joined.reshape(4, 3, 8).mean(axis=1), pooled, atol=1e-6)


def test_networks_of_several_patches_take_one_pass_each(tmp_path: Path) -> None:
    dataset = region_dataset(2, 2)
    networks = [tiny_volume_backbone(side=8), tiny_volume_backbone(side=6)]
    small, large = extract_all(dataset, networks[::-1], layers=(), output=tmp_path, **OPTIONS)
    assert source_of(dataset).opened == {"scan0": 2, "scan1": 2}
    first, other = load_features(small.path), load_features(large.path)
    assert first.sha256 is not None
    assert other.sha256 is not None
    assert not (first.sha256 == other.sha256).any()
    # They are recognised as the same regions all the same.
    assert match_rows(first, other).tolist() == [0, 1, 2, 3]


def test_other_regions_under_the_same_ids_are_not_compared(tmp_path: Path) -> None:
    dataset = region_dataset(2, 2)
    samples = [
        dataclasses.replace(s, volume_region=s.volume_region and s.volume_region._replace(x=-5.0))
        for s in dataset.samples
    ]
    moved = dataclasses.replace(dataset, samples=tuple(samples))
    one = load_features(run(dataset, tmp_path / "a").path)
    other = load_features(run(moved, tmp_path / "b").path)
    assert one.image_hashes is not None
    assert not (one.image_hashes == other.image_hashes).any()
    with pytest.raises(ProtocolError, match="disagree on the voxels of 4 of 4"):
        match_rows(one, other)


def test_data_sets_of_volumes_become_one(tmp_path: Path) -> None:
    first, second = region_dataset(2, 2), region_dataset(4, 2)
    second = dataclasses.replace(second, samples=second.samples[4:], name="others")
    sets = [load_features(run(one, tmp_path).path) for one in (first, second)]
    both = FeatureSet.concatenate({"a": sets[0], "b": sets[1]})
    assert both.boxes is not None
    assert both.lesions is not None
    assert (both.boxes.shape, both.has_volumes) == ((8, 6), True)
    assert both.lesions.tolist()[1] == "a/lesion 0-1"
    joined = run(ImageDataset.concatenate([first, second], name="both"), tmp_path)
    np.testing.assert_array_equal(load_features(joined.path).X, both.X)
    make_images(tmp_path / "images", 2)
    with pytest.raises(UsageError, match="'regions' holds volumes, and 'made' images"):
        ImageDataset.concatenate([first, dataset_of(tmp_path / "images")])
    with pytest.raises(UsageError, match="hold the same samples"):
        FeatureSet.concatenate({"a": sets[0], "b": sets[0].select(sets[0].ids)})


@pytest.mark.parametrize(
    ("make", "options", "text"),
    [
        (lambda: tiny_backbone(), {}, "takes images, and the data set holds volumes"),
        (lambda: tiny_volume_backbone(side=8), {"pixel_cache": "c"}, "--pixel-cache keeps"),
        (lambda: tiny_volume_backbone(side=8), {"decoding": "fast"}, "--decode fast"),
        (lambda: tiny_volume_backbone(side=8), {"mask_text": True}, "mask"),
    ],
)
def test_what_volumes_have_not_is_refused(
    tmp_path: Path, make: Callable[[], Backbone], options: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        run(region_dataset(1, 1), tmp_path, make(), **{**options, "precision": "auto"})


def test_networks_of_volumes_take_no_images(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 2)
    with pytest.raises(UsageError, match="the data set holds images"):
        run(dataset_of(tmp_path / "images"), tmp_path)


def test_the_step_of_a_pipeline_takes_no_volumes() -> None:
    step = FrozenBackbone(tiny_volume_backbone(side=8))
    with pytest.raises(UsageError, match="takes volumes of 8×8×8 voxels: this step takes images"):
        step.fit(np.zeros((2, 40, 40), np.uint8))
    with pytest.raises(
        UsageError, match=r"'1\.NII\.gz', which is a volume: this step takes images"
    ):
        FrozenBackbone(tiny_backbone()).fit(["0.png", "1.NII.gz"])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_scans(tmp_path: Path) -> None:
    side, size = 48, 48**3 * 2  # Bytes of a volume.

    class Fresh(MadeVolumes):
        def open_volume(self, source: str) -> Volume:
            return made_volume(int(source[4:]), side)

    def peak(n: int) -> int:
        dataset = dataclasses.replace(region_dataset(n, 1, name=f"n{n}"), images=Fresh({}))
        tracemalloc.start()
        try:
            assert run(dataset, tmp_path / f"{n}").n_extracted == n
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)
    few, many = peak(8), peak(48)
    assert many - few < 3 * size, (few, many)


def test_another_data_set_under_the_same_name_is_refused(tmp_path: Path) -> None:
    run(region_dataset(1, 2), tmp_path)
    other = region_dataset(3, 2)
    other = dataclasses.replace(other, samples=other.samples[2:])
    with pytest.raises(FeatureFileError, match="none of its images is in this data set"):
        run(other, tmp_path)


@pytest.mark.parametrize(
    ("member", "value"),
    [("boxes", np.full((2, 6), np.nan)), ("volume_regions", ["[1, 2]", "no JSON"])],
)
def test_regions_that_make_no_sense_are_refused(tmp_path: Path, member: str, value: Any) -> None:
    done = run(region_dataset(1, 2), tmp_path)
    with h5py.File(done.path, "r+") as file:
        file[member][...] = value
    with pytest.raises(FeatureFileError, match=member):
        load_features(done.path)


def test_rows_without_boxes_are_not_continued(tmp_path: Path) -> None:
    done = run(region_dataset(2, 2), tmp_path)
    with h5py.File(done.path, "r+") as file:
        del file["boxes"]
    with pytest.raises(FeatureFileError, match="is not that of a volume"):
        run(region_dataset(3, 2), tmp_path)


def test_a_preprocessing_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    done = run(region_dataset(1, 2), tmp_path)
    with h5py.File(done.path, "r+") as file:
        provenance = json.loads(file.attrs["provenance"])
        provenance["recipe"]["preprocessing"]["size"] = [8, 8, -1]
        file.attrs["provenance"] = json.dumps(provenance)
    with pytest.raises(FeatureFileError, match="preprocessing of volumes"):
        load_features(done.path)
