"""Known regions: outlines, boxes, masks and tables, and where they are on a network's input."""

import itertools
import json

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from PIL import Image, ImageDraw
from test_readers_ddti import SQUARE, add_case, outline
from test_readers_tn5000 import BOX, add_image

import bottleneck.backbones.inputs.resizing  # noqa: F401  # It adds the resizers of libraries.
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.folders.mask_files import match_masks
from bottleneck.data.regions.input_masks import input_mask, input_masks
from bottleneck.data.regions.known_regions import known_regions
from bottleneck.data.regions.outlines import Outlines, fill_polygon, rectangle
from bottleneck.data.samples.sample_table import Sample
from bottleneck.errors import DataError, UsageError

HALF = (0.5, 0.5, 0.5)
PREPROCESSINGS = [
    Preprocessing(32, 32, "bilinear", HALF, HALF),
    Preprocessing(40, 32, "bicubic", HALF, HALF, channels="BGR"),
    Preprocessing(37, 30, "lanczos", HALF, HALF, channels="L"),
    Preprocessing(33, 29, "nearest", HALF, HALF, squash=True),
    Preprocessing(40, 32, "bilinear", HALF, HALF, resizer="opencv"),
    Preprocessing(40, 32, "bicubic", HALF, HALF, resizer="torchvision"),
]
# The transformation that undoes the one with which an image of this orientation becomes upright.
ORIENTATIONS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def save(upright: Image.Image, path, orientation: int = 1) -> None:
    """Write an image as a camera does that was turned."""
    turn = ORIENTATIONS[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(path, exif=exif)


def bright(size, *boxes) -> Image.Image:
    pixels = np.zeros((size[1], size[0]), np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(64, 64), (97, 50), (41, 88)])
def test_a_bright_square_and_its_outline_reach_the_same_pixels(tmp_path, size):
    box = (5, 12, 31, 40)
    cuts = [None, (3, 4, 40, 45), (-9, 10, 30, 500)]
    for orientation, cut in itertools.product(ORIENTATIONS, cuts):
        save(bright(size, box), tmp_path / "1.png", orientation)
        sample = Sample("a", "1.png", "ill", region=cut)
        data = ImageDataset.from_samples([sample], name="made", images=tmp_path)
        (tmp_path / "r.csv").write_text(
            f'id,polygon\na,"{" ".join(f"{x},{y}" for x, y in rectangle(box))}"\n'
        )
        regions = known_regions(data, tmp_path / "r.csv")
        for preprocessing in PREPROCESSINGS:
            (mask,) = input_masks(data, data.samples, preprocessing, regions).masks
            image = load_image(data, preprocessing)
            np.testing.assert_allclose(mask, image[:, :, 0] / 255, atol=1e-6)
            assert mask.shape == (preprocessing.crop,) * 2
            assert 0 < mask.mean() < 1


def load_image(data, preprocessing):
    """Load an image as features are computed of it."""
    from bottleneck.features.images.loader import load_images
    from bottleneck.features.timing import Clock

    (row,) = load_images(data, [0], lambda _: [preprocessing], Clock(1), ahead=1)
    assert row.failure is None
    return row.pixels[preprocessing]


@pytest.mark.parametrize("seed", range(10))
def test_the_pixels_in_an_outline_are_those_of_matplotlib(seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 40)))
    radii = rng.uniform(2, 25, len(angles))
    corners = np.stack([20 + radii * np.cos(angles), 15 + radii * np.sin(angles)], 1)
    if seed % 2:
        corners = corners[::-1]
    made = fill_polygon([tuple(corner) for corner in corners.tolist()], (43, 31))
    y, x = np.mgrid[:31, :43] + 0.5
    inside = Outline(corners).contains_points(np.stack([x.ravel(), y.ravel()], 1))
    np.testing.assert_array_equal(made, inside.reshape(31, 43))


def test_an_outline_that_crosses_itself_encloses_what_it_goes_around_twice():
    twice = [*rectangle((2, 2, 8, 8)), (2, 2), *rectangle((4, 4, 10, 10)), (4, 4), (2, 2)]
    union = np.asarray(bright((12, 12), (2, 2, 8, 8), (4, 4, 10, 10))) > 0
    np.testing.assert_array_equal(fill_polygon(twice, (12, 12)), union)


@pytest.fixture
def ddti(tmp_path):
    """Two images with bright nodules, which their outlines enclose."""
    other = [(400, 200), (500, 220), (450, 320)]
    folder = tmp_path / "ddti"
    add_case(folder, 2, "2", {"1": outline(SQUARE)})
    add_case(folder, 3, "5", {"1": outline(SQUARE, other)})
    add_case(folder, 4, "5", {"1": "[{"})
    for case, polygons in {2: [SQUARE], 3: [SQUARE, other]}.items():
        image = Image.new("L", (560, 360))
        for polygon in polygons:
            ImageDraw.Draw(image).polygon(polygon, 255)
        image.save(folder / f"{case}_1.jpg", quality=100)
    return folder


def test_outlines_of_ddti(ddti):
    preprocessing = PREPROCESSINGS[0]
    data = load_dataset(ddti)
    made = input_masks(data, data.samples, preprocessing, known_regions(data))
    assert [mask is None for mask in made.masks] == [False, False, True]
    both = np.asarray(Image.open(ddti / "3_1.jpg")) > 127
    drawn = preprocessing.pixels(Image.fromarray(both).convert("RGB"))[:, :, 0] / 255
    assert abs(made.masks[1] - drawn).max() < 0.1  # Pillow draws the border as well.

    nodules = load_dataset(ddti, crop=True)
    regions = known_regions(nodules)
    assert [s.id for s in nodules.samples] == ["2_1#1", "3_1#1", "3_1#2"]
    found = [regions.find(sample).polygons for sample in nodules.samples]
    assert [len(polygons) for polygons in found] == [1, 1, 1]  # Each has its own.
    assert found[2][0][0] == (400.0, 200.0)
    square, _, triangle = input_masks(nodules, nodules.samples, preprocessing, regions).masks
    # The margin is 5 % of the side: the square is 200 of 220 pixels wide, in the middle.
    assert square.mean() == pytest.approx((200 / 220) * (100 / 100), abs=0.01)
    assert 0.35 < triangle.mean() < 0.5


def test_boxes_of_pascal_voc(tmp_path):
    root = tmp_path / "TN5000"
    for name, split in {"000001": "train", "000002": "val", "000003": "test"}.items():
        add_image(root, name, [("1", BOX), ("1", (301, 1, 400, 100))], split)
    left, top, right, bottom = BOX
    # Pascal VOC counts pixels from 1 and includes the last one.
    for name in ("000001", "000002", "000003"):
        save(
            bright((400, 400), (left - 1, top - 1, right, bottom), (300, 0, 400, 100)),
            root / "JPEGImages" / f"{name}.png",
        )
        (root / "JPEGImages" / f"{name}.jpg").unlink()
    data = load_dataset(root)
    for preprocessing in PREPROCESSINGS:
        mask = input_masks(data, data.samples[:1], preprocessing, known_regions(data)).masks[0]
        image = load_image(data, preprocessing)[:, :, 0] / 255
        np.testing.assert_allclose(mask, image, atol=1e-6)
    nodules = load_dataset(root, crop=True)
    (own, *_) = known_regions(nodules).find(nodules.samples[1]).polygons
    assert own == rectangle((300, 0, 400, 100))
    assert input_masks(nodules, nodules.samples, PREPROCESSINGS[0], known_regions(nodules)).masks[
        1
    ].min() == pytest.approx(1)


def test_joined_data_sets_have_the_regions_of_each(ddti, tmp_path):
    plain = tmp_path / "plain"
    for label in ("benign", "malignant"):
        (plain / label).mkdir(parents=True)
        bright((20, 20)).save(plain / label / "1.png")
    both = ImageDataset.concatenate({"A": load_dataset(ddti), "B": load_dataset(plain)})
    regions = known_regions(both)
    assert [regions.find(s) is not None for s in both.samples] == [True, True, *[False] * 3]


def masked_folder(root):
    for label, name in itertools.product(("ill", "well"), "12"):
        (root / label).mkdir(parents=True, exist_ok=True)
        bright((40, 30), (3, 4, 20, 25)).save(root / label / f"{name}.png")
    bright((40, 30), (3, 4, 20, 25)).save(root / "ill" / "1_mask.png")
    bright((40, 30), (30, 4, 40, 25)).save(root / "ill" / "1_mask_1.png")
    bright((40, 30)).save(root / "well" / "2_mask.png")
    return root


def test_masks_in_the_folder_of_the_images(tmp_path):
    data = load_dataset(masked_folder(tmp_path / "own"))
    masks = input_masks(data, data.samples, PREPROCESSINGS[0], known_regions(data)).masks
    assert [mask is None for mask in masks] == [False, True, True, False]
    both = bright((40, 30), (3, 4, 20, 25), (30, 4, 40, 25)).convert("RGB")
    np.testing.assert_allclose(masks[0], PREPROCESSINGS[0].pixels(both)[:, :, 0] / 255)
    assert not masks[3].any()


def test_masks_in_a_folder_of_their_own(tmp_path):
    data = load_dataset(masked_folder(tmp_path / "own"))
    others = tmp_path / "outlined"
    (others / "ill").mkdir(parents=True)
    bright((40, 30), (0, 0, 9, 9)).save(others / "ill" / "2.png")
    regions = known_regions(data, others)
    assert [regions.find(s) is not None for s in data.samples] == [False, True, False, False]
    bright((40, 30), (0, 0, 9, 9)).save(others / "2.png")
    with pytest.raises(DataError, match=r"the name of 'ill/2.png' and of 'well/2.png'"):
        known_regions(data, others)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no mask in .* has the name of an image of 'own'"):
        known_regions(data, tmp_path / "empty")


def test_a_mask_of_another_size_is_refused(tmp_path):
    data = load_dataset(masked_folder(tmp_path / "own"))
    bright((80, 60), (3, 4, 20, 25)).save(tmp_path / "own" / "ill" / "1_mask.png")
    with pytest.raises(DataError, match=r"has 80×60 pixels, and its image 40×30"):
        input_masks(data, data.samples, PREPROCESSINGS[0], known_regions(data))


def table_of(tmp_path, text):
    data = load_dataset(masked_folder(tmp_path / "own"))
    (tmp_path / "regions.csv").write_text(text)
    return data, known_regions(data, tmp_path / "regions.csv")


SAME = rectangle((3, 4, 20, 25))


@pytest.mark.parametrize(
    "text",
    [
        'id,polygon\nill/1.png,"3,4 20,4 20,25 3,25"\n',
        "path;polygon\nill\\1.png;3,4 20,4 20,25 3,25\n",
        f'id,polygon\nill/1.png,"{json.dumps(SAME)}"\n',
        'id,polygon\nill/1.png,"POLYGON ((3 4, 20 4, 20 25, 3 25))"\n',
        "ID,Path,Left,Top,Right,Bottom\nx,ill/1.png,3,4,20,25\nx,ill/2.png,,,,\n",
    ],
)
def test_tables_of_regions(tmp_path, text):
    data, regions = table_of(tmp_path, text)
    assert regions.find(data.samples[0]) == Outlines((SAME,))
    assert regions.find(data.samples[1]) is None


def test_rows_of_one_image_are_regions_of_it(tmp_path):
    data, regions = table_of(tmp_path, "id,mask\nill/1.png,a.png\nill/1.png,b.png\n")
    bright((40, 30), (3, 4, 20, 25)).save(tmp_path / "a.png")
    bright((40, 30), (30, 4, 40, 25)).save(tmp_path / "b.png")
    filled = regions.find(data.samples[0]).fill((40, 30), None)
    both = np.asarray(bright((40, 30), (3, 4, 20, 25), (30, 4, 40, 25))) > 0
    np.testing.assert_array_equal(filled, both)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,outline\nill/1.png,1\n", "id or path, and one of these: polygon, mask"),
        ("label,polygon\nill,1\n", "id or path"),
        ('id,polygon\nill/1.png,"3,4 20,4"\n', "line 2: a polygon must be at least 3 corners"),
        ('id,polygon\nill/1.png,"3,4 20,4 x"\n', "at least 3 corners"),
        ('id,polygon\nill/1.png,"3,4 20,4 5"\n', "at least 3 corners"),
        ('id,polygon\nill/1.png,"0.1,0.2 0.5,0.2 0.4,0.9"\n', "not as shares of its width"),
        ("id,left,top,right,bottom\nill/1.png,3,4,2,5\n", "left must be below right"),
        ("id,left,top,right,bottom\nill/1.png,3,4,a,5\n", "a number of pixels, not 'a'"),
        ("id,left,top,right,bottom\nill/1.png,3,4,,5\n", "a number of pixels"),
        ("id,left,top,right,bottom\nill/1.png,3,4,1e9,5\n", "a number of pixels"),
        ("id,left,top,right,bottom\nill/7.png,3,4,9,5\n", "no region in regions.csv belongs to"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        table_of(tmp_path, text)


def test_there_is_no_such_table(tmp_path):
    with pytest.raises(UsageError, match=r"no table or folder of regions 'none.csv'"):
        known_regions(load_dataset("phantom"), "none.csv")


def test_outlines_of_an_image_of_another_size_are_left_out(tmp_path):
    data, regions = table_of(tmp_path, "id,left,top,right,bottom\nill/1.png,30,4,200,250\n")
    made = input_masks(data, data.samples, PREPROCESSINGS[0], regions)
    assert made.masks == (None,) * 4
    assert made.notes[0].startswith("1 region left out that would reach far beyond the image")


def test_a_region_that_is_cropped_away_is_0_everywhere():
    corner = Outlines((rectangle((0, 0, 3, 3)),))
    preprocessing = Preprocessing(64, 32, "bilinear", HALF, HALF)
    assert not input_mask(corner, (64, 64), None, preprocessing).any()


def test_masks_need_no_folders_of_the_images():
    assert match_masks(["gt/a1_seg.png", "x.png"], ["i/a1.png", "i/a2.png"]) == [
        ("gt/a1_seg.png", "i/a1.png")
    ]
