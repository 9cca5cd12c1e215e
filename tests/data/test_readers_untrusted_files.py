"""Which files of a folder are images."""

import numpy as np
import pytest
from made_dicom import dicom
from PIL import Image

from bottleneck.data.images.decode import decode
from bottleneck.data.sources.untrusted_files import (
    IMAGE_SUFFIXES,
    PICTURE_SUFFIXES,
    is_image,
    list_files,
)

FORMATS = {"PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "DIB", "GIF", "WEBP", "PPM", "MPO"}


def test_every_suffix_that_pillow_gives_to_these_formats_is_taken():
    Image.init()
    suffixes = {s for s, name in Image.registered_extensions().items() if name in FORMATS}
    assert suffixes <= PICTURE_SUFFIXES


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_suffixes_count_in_either_case(tmp_path, suffix):
    for name in ("a" + suffix, "b" + suffix.upper(), "c" + suffix.title()):
        (tmp_path / name).touch()
        assert is_image(tmp_path, name)


@pytest.mark.parametrize("name", ["IM0001", "1.2.840.113619.2.5", "slice 1.5mm", "Scan. Näh"])
@pytest.mark.parametrize("kind", sorted(FORMATS - {"MPO", "DIB"}))
def test_files_without_a_suffix_are_taken_by_their_content(tmp_path, name, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, format=kind)
    assert is_image(tmp_path, name)
    assert decode((tmp_path / name).read_bytes()).size == (16, 16)


def test_a_dicom_file_without_a_suffix_is_taken(tmp_path):
    (tmp_path / "IM0001.1.2.3").write_bytes(dicom(np.zeros((16, 16), np.uint8)))
    assert is_image(tmp_path, "IM0001.1.2.3")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("README", b"P1 is a patient, BM another"),
        ("notes", b""),
        ("Makefile", b"MM: all\n\t\xff\xd8"),
        ("a.png~", b"\x89PNG\r\n\x1a\n"),
        ("a.txt", b"\x89PNG\r\n\x1a\n"),
        ("a.h5", b"\x89HDF\r\n\x1a\n"),
    ],
)
def test_other_files_are_not_taken(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert not is_image(tmp_path, name)


def test_links_that_are_left_out_are_named(tmp_path):
    (tmp_path / "out.png").touch()
    (tmp_path / "data" / "a").mkdir(parents=True)
    assert list_files(tmp_path / "data").notes == ()
    (tmp_path / "data" / "a" / "2.png").symlink_to(tmp_path / "out.png")
    (tmp_path / "data" / "a" / "1.png").symlink_to(tmp_path / "out.png")
    (tmp_path / "data" / "all").symlink_to(tmp_path)
    listing = list_files(tmp_path / "data")
    assert (listing.files, sum(listing.excluded.values())) == ([], 3)
    (note,) = listing.notes
    assert "2 out of the folder, such as 'a/1.png'" in note
    assert "1 to folders, such as 'all'" in note
