"""Images outside the folders of the app are refused, by whatever way a data set names them."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import make_images

from bottleneck.app.study.steps.image_places import refuse_outside
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.readers import load_dataset
from bottleneck.errors import UsageError


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder that may be read, and one that may not."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    make_images(inside / "a", 1)
    make_images(inside / "b", 1, first=1)
    make_images(outside, 2)
    return inside, outside


def dataset(root: Path, source: str) -> ImageDataset:
    samples = [Sample("1", "a/000.png", "x"), Sample("2", source, "y")]
    return ImageDataset("made", samples, FileSource(root))


def test_images_inside_are_accepted(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    refuse_outside(load_dataset(inside), (inside,))
    refuse_outside(dataset(inside, str(outside / "000.png")), (inside, outside))


@pytest.mark.parametrize("way", ["absolute", "upwards", "link", "linked folder"])
def test_images_outside_are_refused(folders: tuple[Path, Path], way: str) -> None:
    inside, outside = folders
    source = {
        "absolute": str(outside / "000.png"),
        "upwards": "a/../../outside/000.png",
        "link": "b/link.png",
        "linked folder": "linked/000.png",
    }[way]
    (inside / "b/link.png").symlink_to(outside / "000.png")
    (inside / "linked").symlink_to(outside)
    with pytest.raises(UsageError, match="is outside the folders that the app may read"):
        refuse_outside(dataset(inside, source), (inside,))


def test_a_link_that_stays_inside_is_accepted(folders: tuple[Path, Path]) -> None:
    inside, _ = folders
    (inside / "b/link.png").symlink_to(inside / "a/000.png")
    refuse_outside(dataset(inside, "b/link.png"), (inside,))


def test_images_that_are_no_files_need_no_folder() -> None:
    refuse_outside(load_dataset("phantom", limit=2), ())
