"""Reader of the TN5000 data set: its lists, boxes and XML."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from bottleneck.data.images.decode import decode
from bottleneck.data.readers import load_dataset
from bottleneck.errors import DataError

BOX = (48, 240, 195, 371)


def add_image(root: Path, name: str, objects, split: str | None) -> None:
    """Write an image and its annotation as Pascal VOC lays them out."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for other in ("train", "val", "test"):
        with (root / "ImageSets" / "Main" / f"{other}.txt").open("a") as file:
            file.write(f"{name}\n" if other == split else "")
    Image.new("L", (400, 400)).save(root / "JPEGImages" / f"{name}.jpg")
    body = "".join(
        f"<object><name>{label}</name><pose>Unspecified</pose><truncated>0</truncated>"
        f"<difficult>0</difficult><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for label, box in objects
    )
    (root / "Annotations" / f"{name}.xml").write_text(
        f"<annotation><folder>JPEGImages</folder><filename>{name}.jpg</filename><size>"
        f"<width>400</width><height>400</height><depth>3</depth></size>"
        f"<segmented>0</segmented>{body}</annotation>"
    )


@pytest.fixture
def tn5000(tmp_path):
    root = tmp_path / "TN5000"
    add_image(root, "000001", [("1", BOX)], "train")
    add_image(root, "000002", [("0", BOX), ("0", (1, 1, 400, 400))], "test")
    add_image(root, "000003", [("0", BOX), ("1", BOX)], "val")
    return root


def test_one_sample_an_image(tn5000):
    dataset = load_dataset(tn5000)
    assert dataset.name == "TN5000"
    assert [(s.id, s.source, s.label, s.group, s.split, s.region) for s in dataset.samples] == [
        ("000001", "JPEGImages/000001.jpg", "malignant", None, "train", None),
        ("000002", "JPEGImages/000002.jpg", "benign", None, "test", None),
    ]
    assert dataset.excluded == {"image with benign and malignant nodules": 1}
    assert dataset.read(dataset.samples[0]).startswith(b"\xff\xd8")


def test_one_sample_a_nodule(tn5000):
    dataset = load_dataset(tn5000, crop=True)
    assert dataset.name == "TN5000-nodules"
    assert [(s.id, s.label, s.split) for s in dataset.samples] == [
        ("000001#1", "malignant", "train"),
        ("000003#1", "benign", "val"),
        ("000003#2", "malignant", "val"),
        ("000002#1", "benign", "test"),
        ("000002#2", "benign", "test"),
    ]
    assert dataset.samples[0].region == (47, 239, 195, 371)
    assert dataset.samples[-1].region == (0, 0, 400, 400)
    assert dataset.excluded == {}


def test_boxes_count_from_1_and_include_their_last_pixel(tn5000):
    image = Image.new("L", (400, 400))
    left, top, right, bottom = (edge - 1 for edge in BOX)
    ImageDraw.Draw(image).rectangle((left, top, right, bottom), fill=255)  # Pillow counts from 0
    image.save(tn5000 / "JPEGImages" / "000001.jpg", format="PNG")
    dataset = load_dataset(tn5000, crop=True)
    crop = decode(dataset.read(dataset.samples[0]), dataset.samples[0].region)
    assert crop.getextrema() == ((255, 255),) * 3
    assert crop.size == (195 - 48 + 1, 371 - 240 + 1)


@pytest.mark.parametrize(
    "box",
    [
        (50, 50, 49, 80),
        (50, 50, 80, 20),
        ("", 1, 5, 5),
        ("a", 1, 5, 5),
        (1, 1, "nan", 5),
        (1, 1, "1e300", 5),
    ],
)
def test_impossible_boxes_are_counted(tn5000, box):
    add_image(tn5000, "000004", [("1", box)], "train")
    assert load_dataset(tn5000, crop=True).excluded == {"nodule with an impossible box": 1}
    assert "000004" in {s.id for s in load_dataset(tn5000).samples}


def test_lists_and_files_that_do_not_meet_are_counted(tn5000):
    add_image(tn5000, "000005", [("1", BOX)], None)
    add_image(tn5000, "000006", [("1", BOX)], "train")
    add_image(tn5000, "000007", [("1", BOX)], "train")
    add_image(tn5000, "000008", [], "train")
    (tn5000 / "JPEGImages" / "000006.jpg").unlink()
    (tn5000 / "Annotations" / "000007.xml").unlink()
    with (tn5000 / "ImageSets" / "Main" / "val.txt").open("a") as file:
        file.write("\n../../outside\n000001 \n".replace("000001 ", "000099 -1"))
    assert load_dataset(tn5000).excluded == {
        "image in no list of ImageSets/Main": 1,
        "listed image that is missing": 3,
        "image without an annotation file": 1,
        "image without a nodule": 1,
        "image with benign and malignant nodules": 1,
    }


def test_an_image_in_two_splits_is_an_error(tn5000):
    with (tn5000 / "ImageSets" / "Main" / "test.txt").open("a") as file:
        file.write("000001\n")
    with pytest.raises(DataError, match=r"'000001' is in both train\.txt and test\.txt"):
        load_dataset(tn5000)


def test_a_missing_list_is_an_error(tn5000):
    (tn5000 / "ImageSets" / "Main" / "val.txt").unlink()
    with pytest.raises(DataError, match=r"ImageSets/Main/val\.txt"):
        load_dataset(tn5000)


@pytest.mark.parametrize("name", ["2", "cat", "", "malignant"])
def test_other_objects_are_an_error(tn5000, name):
    add_image(tn5000, "000009", [(name, BOX)], "train")
    with pytest.raises(DataError, match=f"Annotations/000009.xml: object '{name}'"):
        load_dataset(tn5000)


def test_harmful_xml_is_refused(tn5000):
    (tn5000 / "Annotations" / "000001.xml").write_text(
        '<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><annotation>&y;</annotation>'
    )
    with pytest.raises(DataError, match="document type or entities"):
        load_dataset(tn5000)


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".png", ".Tif", ".bmp"])
def test_images_may_have_any_suffix(tn5000, suffix):
    for path in (tn5000 / "JPEGImages").iterdir():
        path.rename(path.with_suffix(suffix))
    (tn5000 / "Annotations" / "000001.xml").rename(tn5000 / "Annotations" / "000001.XML")
    (tn5000 / "ImageSets/Main/val.txt").rename(tn5000 / "ImageSets/Main/Val.TXT")
    assert [(s.id, s.source) for s in load_dataset(tn5000).samples] == [
        (name, f"JPEGImages/{name}{suffix}") for name in ("000001", "000002")
    ]


def test_two_images_of_one_name_are_refused(tn5000):
    (tn5000 / "JPEGImages" / "000001.PNG").touch()
    with pytest.raises(DataError, match=r"'JPEGImages/000001\.PNG' and 'JPEGImages/000001\.jpg'"):
        load_dataset(tn5000)


@pytest.mark.parametrize(
    "line", ["{}", "{}.jpg", "{}.JPG", "JPEGImages/{}.jpg", "{}  1", "{}\t-1", "{}.jpg 1", " {} "]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["x", "n 1", "Müller", "Mu\u0308ller", "v1.5"])
def test_lists_name_images_as_people_write_them(tmp_path, line, end, name):
    add_image(tmp_path, name, [("1", BOX)], "train")
    path = tmp_path / "ImageSets" / "Main" / "train.txt"
    path.write_bytes((line.format(name.replace("u\u0308", "ü")) + end).encode())
    (sample,) = load_dataset(tmp_path).samples
    assert sample.source == f"JPEGImages/{name}.jpg"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_may_begin_with_a_mark(tn5000, encoding):
    expected = load_dataset(tn5000).samples
    for path in (tn5000 / "ImageSets" / "Main").iterdir():
        path.write_bytes(path.read_text().encode(encoding))
    assert load_dataset(tn5000).samples == expected


def test_a_list_in_another_encoding_says_so(tn5000):
    (tn5000 / "ImageSets" / "Main" / "val.txt").write_bytes("结节".encode("gbk"))
    with pytest.raises(DataError, match=r"val\.txt .* is not UTF-8 text; save it so"):
        load_dataset(tn5000)
