"""Reader of the DDTI data set: its XML, TI-RADS scores and outlines."""

import json
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from bottleneck.data.images.decode import decode
from bottleneck.data.readers import load_dataset
from bottleneck.errors import DataError

SQUARE = [(100, 50), (300, 50), (300, 150), (100, 150)]


def outline(*polygons) -> str:
    return json.dumps(
        [
            {
                "points": [{"x": x, "y": y} for x, y in points],
                "annotation": {},
                "regionType": "freehand",
            }
            for points in polygons
        ]
    )


def add_case(folder: Path, number: int, tirads: str, marks: dict[str, str], images=(1,)) -> None:
    """Write a case as DDTI publishes it."""
    folder.mkdir(exist_ok=True)
    body = "".join(
        f"<mark><image>{image}</image><svg>{escape(svg)}</svg></mark>"
        for image, svg in marks.items()
    )
    (folder / f"{number}.xml").write_text(
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<case><number>{number}</number>'
        f"<age>38</age><sex>F</sex><composition>solid</composition>"
        f"<echogenicity>hypoechogenicity</echogenicity><margins>ill defined</margins>"
        f"<calcifications>non</calcifications><tirads>{tirads}</tirads><reportbacaf/>"
        f"<reporteco/>{body}</case>",
        encoding="utf-8",
    )
    for image in images:
        Image.new("L", (560, 360)).save(folder / f"{number}_{image}.jpg")


@pytest.fixture
def ddti(tmp_path):
    folder = tmp_path / "ddti"
    add_case(folder, 2, "2", {"1": outline(SQUARE)})
    add_case(folder, 9, "", {"1": outline(SQUARE)}, images=(1, 2))
    add_case(folder, 10, "4a", {"1": outline(SQUARE), "2": outline(SQUARE, SQUARE)}, images=(1, 2))
    add_case(folder, 11, "5", {"10": outline(SQUARE), "2": "", "3": "[{"}, images=(10, 2, 3))
    return folder


def test_one_sample_an_image(ddti):
    dataset = load_dataset(ddti)
    assert dataset.name == "ddti"
    assert [(s.id, s.source, s.label, s.group, s.region) for s in dataset.samples] == [
        ("2_1", "2_1.jpg", "benign", "2", None),
        ("10_1", "10_1.jpg", "malignant", "10", None),
        ("10_2", "10_2.jpg", "malignant", "10", None),
        ("11_2", "11_2.jpg", "malignant", "11", None),
        ("11_3", "11_3.jpg", "malignant", "11", None),
        ("11_10", "11_10.jpg", "malignant", "11", None),
    ]
    assert dataset.excluded == {
        "case without a TI-RADS score": 1,
        "image of a case without a TI-RADS score": 2,
    }
    assert dataset.notes == ("labels come from TI-RADS scores, not from pathology",)
    assert dataset.read(dataset.samples[0]).startswith(b"\xff\xd8")


def test_one_sample_a_nodule(ddti):
    dataset = load_dataset(ddti, crop=True)
    assert dataset.name == "ddti-nodules"
    assert [s.id for s in dataset.samples] == ["2_1#1", "10_1#1", "10_2#1", "10_2#2", "11_10#1"]
    assert dataset.samples[0].region == (90, 45, 310, 155)  # 5 % of 200 and of 100
    assert {s.group for s in dataset.samples} == {"2", "10", "11"}
    assert dataset.excluded["image without a usable outline"] == 2


def test_the_crop_holds_the_drawn_nodule(tmp_path):
    points = [(500, 10), (559, 40), (530, 130), (480, 90)]
    add_case(tmp_path, 1, "3", {"1": outline(points)})
    image = Image.new("L", (560, 360))
    ImageDraw.Draw(image).polygon(points, fill=255)
    image.save(tmp_path / "1_1.jpg", quality=100)
    dataset = load_dataset(tmp_path, crop=True)
    crop = decode(dataset.read(dataset.samples[0]), dataset.samples[0].region)
    whole = sum(image.point(lambda v: v > 127).tobytes())
    assert whole > 0
    assert sum(crop.convert("L").point(lambda v: v > 127).tobytes()) == pytest.approx(
        whole, rel=0.02
    )
    # The margin reaches beyond the right edge: the crop ends with the image.
    assert crop.width == 560 - dataset.samples[0].region[0]


@pytest.mark.parametrize(
    ("tirads", "label"),
    [
        *((score, "benign") for score in ("2", "3", " 3 ", "TIRADS 2", "TI-RADS 3")),
        *((score, "malignant") for score in ("4", "4a", "4B", "4 c", "5", "TIRADS 4a", "tirads5")),
    ],
)
def test_tirads_spellings(tmp_path, tirads, label):
    add_case(tmp_path, 1, tirads, {})
    assert load_dataset(tmp_path).samples[0].label == label


@pytest.mark.parametrize("tirads", ["1", "6", "4d", "3?", "benign", "23", "-"])
def test_other_scores_are_left_out(ddti, tirads):
    add_case(ddti, 20, tirads, {})
    excluded = load_dataset(ddti).excluded
    assert excluded["case with an unknown TI-RADS score"] == 1
    assert excluded["image of a case with an unknown TI-RADS score"] == 1


def test_files_that_do_not_meet_are_counted(ddti):
    Image.new("L", (8, 8)).save(ddti / "77_1.jpg")
    add_case(ddti, 30, "2", {"1": outline(SQUARE), "7": "", "../2_1": outline(SQUARE)})
    dataset = load_dataset(ddti, crop=True)
    assert dataset.excluded["image without an XML file"] == 1
    assert dataset.excluded["image that an XML file names but is missing"] == 2
    assert [s.id for s in dataset.samples if s.group == "30"] == ["30_1#1"]


UNUSABLE = [
    "[{",
    "{}",
    "3",
    "null",
    "[1]",
    '["points"]',
    "[[]]",
    '[{"points": 3}]',
    '[{"points": []}]',
    '[{"points": ["x"]}]',
    '[{"points": [{"x": 1}]}]',
    '[{"points": [{"x": "left", "y": 1}, {"x": 2, "y": 3}]}]',
    '[{"points": [{"x": null, "y": 1}, {"x": 2, "y": 3}]}]',
    '[{"points": [{"x": NaN, "y": 1}, {"x": 2, "y": 3}]}]',
    '[{"points": [{"x": Infinity, "y": 1}, {"x": 2, "y": 3}]}]',
    '[{"points": [{"x": 1e9, "y": 1}, {"x": 2, "y": 3}]}]',
    f'[{{"points": [{{"x": 1{"0" * 400}, "y": 1}}, {{"x": 2, "y": 3}}]}}]',
    f"[{'9' * 5000}]",
    '[{"points": [{"x": 5, "y": 5}, {"x": 5, "y": 9}]}]',
    '[{"points": [{"x": -50, "y": 5}, {"x": -20, "y": 9}]}]',
    "[" * 100_000,
]


@pytest.mark.parametrize("svg", UNUSABLE, ids=lambda svg: svg[:40])
def test_outlines_that_cannot_be_used_are_counted(ddti, svg):
    add_case(ddti, 40, "2", {"1": svg})
    dataset = load_dataset(ddti, crop=True)
    assert dataset.excluded["image without a usable outline"] == 3
    assert "40" not in {s.group for s in dataset.samples}
    assert "40" in {s.group for s in load_dataset(ddti).samples}


def test_a_bad_outline_next_to_a_good_one(ddti):
    both = json.dumps([{"points": []}, *json.loads(outline(SQUARE))])
    add_case(ddti, 41, "2", {"1": both})
    dataset = load_dataset(ddti, crop=True)
    assert [s.id for s in dataset.samples if s.group == "41"] == ["41_1#2"]
    assert dataset.excluded["outline that cannot be used"] == 1


def test_an_outline_beyond_the_corner_is_clipped_at_0(tmp_path):
    add_case(tmp_path, 1, "2", {"1": outline([(-30, -4), (70.5, 96.2)])})
    assert load_dataset(tmp_path, crop=True).samples[0].region == (0, 0, 76, 102)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["points", "x", "y"]), inner, max_size=3)
    ),
    max_leaves=15,
)
points = st.fixed_dictionaries({"x": scalars, "y": scalars})
regions = st.fixed_dictionaries({"points": st.lists(points, max_size=4) | documents})


@settings(max_examples=70)
@given(svg=st.text(max_size=20) | st.lists(regions | documents, max_size=4).map(json.dumps))
def test_any_svg_gives_boxes_or_is_counted(tmp_path_factory, svg):
    folder = tmp_path_factory.mktemp("fuzz")
    svg = "".join(c for c in svg if c.isprintable() and c not in "\ufffe\uffff")
    add_case(folder, 1, "2", {"1": outline(SQUARE)})
    add_case(folder, 2, "5", {"1": svg})
    dataset = load_dataset(folder, crop=True)
    found = [s.region for s in dataset.samples if s.group == "2"]
    assert found or dataset.excluded == {"image without a usable outline": 1}
    for left, top, right, bottom in found:
        assert 0 <= left < right < 200_000
        assert 0 <= top < bottom < 200_000


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE case [<!ENTITY a "aaaaaaaaaa">'
    '<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><case><tirads>&b;</tirads></case>'
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB.encode(), "document type or entities"),
        (BOMB.encode("utf-16"), "document type or entities"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><case/>', "document type or entities"),
        (b"<case><tirads>2</tirads>", "50.xml is not readable XML"),
        (b"", "50.xml is not readable XML"),
        (b'<?xml version="1.0" encoding="nonsense"?><case/>', "50.xml is not readable XML"),
        (b"<a>" * 100_000, "50.xml is not readable XML"),
        (b"<case>" + b" " * 5_000_000 + b"</case>", "larger than 5,000,000 bytes"),
    ],
    ids=["bomb", "utf-16 bomb", "external", "cut", "empty", "encoding", "deep", "huge"],
)
def test_harmful_and_damaged_xml_is_refused(ddti, content, message):
    (ddti / "50.xml").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_dataset(ddti)


def test_images_may_have_any_suffix(ddti):
    sources = [sample.source for sample in load_dataset(ddti).samples]
    for path in list(ddti.iterdir()):
        path.rename(path.with_suffix(".XML" if path.suffix == ".xml" else ".PNG"))
    renamed = [sample.source for sample in load_dataset(ddti).samples]
    assert renamed == [source.replace(".jpg", ".PNG") for source in sources]


def test_nothing_left_says_why(tmp_path):
    add_case(tmp_path, 9, "", {})
    with pytest.raises(DataError, match="left out: 1 × case without a TI-RADS score"):
        load_dataset(tmp_path)
