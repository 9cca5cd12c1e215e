"""Masks that are stored with their images."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.folders.mask_files import split_masks

# How data sets name the mask of the image X.
BESIDE = [
    *("X_mask", "X-mask", "X mask", "X.mask", "X_Mask", "X_MASK", "X_masks", "mask_X", "Mask-X"),
    *("X_segmentation", "X_Segmentation", "X_seg", "X-seg", "X_label", "X_labels", "X_gt", "X_GT"),
    *("gt_X", "X_groundtruth", "X_ground_truth", "X_annotation", "X_contour", "X_overlay"),
    *("X_mask_1", "X_mask1", "X_mask (2)", "X_mask-12", "X_1_mask", "X_superpixels"),
]
SUFFIXES = [".png", ".jpg", ".PNG", ".tif", ".bmp", ".dcm"]
bases = st.one_of(
    st.integers(0, 9999).map(str),
    st.integers(0, 99).map("benign ({})".format),
    st.sampled_from(
        ["case", "P1_2", "IMG-003", "Müller", "1.2.840", "scan_001", "unmask", "Labelled"]
    ),
)


@settings(max_examples=300)
@given(
    names=st.sets(bases, min_size=1, max_size=6),
    folder=st.sampled_from(["", "benign/", "p1/benign/"]),
    form=st.sampled_from(BESIDE),
    suffix=st.sampled_from(SUFFIXES),
    other=st.sampled_from(SUFFIXES),
)
def test_masks_next_to_their_image_are_set_aside(names, folder, form, suffix, other):
    images = sorted(folder + name + suffix for name in names)
    masks = sorted(folder + form.replace("X", name) + other for name in names)
    kept, found, alone = split_masks(sorted(images + masks))
    assert kept == images
    assert [mask for mask, _ in found] == masks
    assert alone == []


@pytest.mark.parametrize(
    ("mask", "image"),
    [
        ("masks/benign/1.png", "images/benign/1.jpg"),
        ("benign/masks/1.png", "benign/images/1.png"),
        ("benign/Mask/1.png", "benign/1.png"),
        ("benign/gt/1_gt.png", "benign/1.png"),
        ("benign_mask/1.png", "benign/1.png"),
        ("labels/1_mask.png", "img/1.png"),
        ("trainval-mask/0001.jpg", "trainval-image/0001.jpg"),
        ("a/mask_1.png", "a/image_1.png"),
        ("a/mask001.png", "a/img001.png"),
        ("a/001_mask.png", "a/001_image.png"),
        ("a/001mask.png", "a/001.png"),
        ("a/scanMask.png", "a/scan.png"),
        ("a/Mu\u0308ller_mask.png", "a/Müller.png"),
    ],
)
def test_masks_in_folders_of_their_own(mask, image):
    kept, masks, _ = split_masks(sorted([mask, image, "other/9.png"]))
    assert sorted(kept) == sorted([image, "other/9.png"])
    assert masks == [(mask, image)]


@pytest.mark.parametrize(
    "images",
    [
        ["a/1.png", "a/2_mask.png"],
        ["a/1.png", "b/1_mask.png"],
        ["mask/1.png", "no_mask/1.png"],
        ["mask/1.png", "without/1.png"],
        ["label_0/1.png", "label_1/1.png"],
        ["a/masked.png", "a/m.png", "a/unmask.png", "a/un.png"],
        ["a/legt.png", "a/le.png"],
        ["seg/1.png", "lymph/1.png"],
    ],
)
def test_what_is_called_a_mask_and_has_no_image_is_kept(images):
    assert split_masks(images)[:2] == (images, [])


def test_masks_are_counted_and_named(tmp_path):
    (tmp_path / "scans" / "benign").mkdir(parents=True)
    (tmp_path / "scans" / "malignant").mkdir()
    for name in ("benign/benign (1)", "benign/benign (1)_mask", "benign/benign (1)_mask_1"):
        (tmp_path / "scans" / f"{name}.png").touch()
    for name in ("malignant/1.png", "malignant/1_mask.png", "malignant/2_mask.png"):
        (tmp_path / "scans" / name).touch()
    dataset = load_dataset(tmp_path / "scans")
    assert [sample.id for sample in dataset.samples] == [
        "benign/benign (1).png",
        "malignant/1.png",
        "malignant/2_mask.png",
    ]
    assert dataset.excluded == {"mask of another image": 3}
    assert "'benign/benign (1)_mask.png' of 'benign/benign (1).png'" in dataset.notes[0]
    assert (
        "1 image kept with the name of a mask, such as 'malignant/2_mask.png'" in dataset.notes[1]
    )
    # A table is read as it is.
    (tmp_path / "scans" / "t.csv").write_text(
        "path,label\nmalignant/1_mask.png,a\nmalignant/1.png,a\n"
    )
    assert len(load_dataset(tmp_path / "scans" / "t.csv")) == 2


def test_images_that_differ_only_in_their_suffix_are_noted(tmp_path):
    for name in ("a/1.jpg", "a/1.png", "a/2.png", "b/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    dataset = load_dataset(tmp_path)
    assert len(dataset) == 4
    (note,) = dataset.notes
    assert "1 pair of images with the same name" in note
    assert "'a/1.jpg' and 'a/1.png'" in note
