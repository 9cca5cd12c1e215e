"""Readers of other packages: chosen by their files or by name, recorded, and never a traceback."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from made import make_images
from typer.testing import CliRunner

from bottleneck import ImageDataset, Sample, load_dataset, load_features
from bottleneck.cli.command_line import app
from bottleneck.cli.reading import ImageOptions
from bottleneck.data.readers.installed_readers import installed_readers
from bottleneck.doctor import _check_readers
from bottleneck.errors import DataError, MissingExtraError, UsageError

READER = """
class {name}:
    name = "{entry}"

    def matches(self, path):
        {matches}

    def read(self, path):
        {read}
"""
READS = (
    "return [dict(path=f.name, label='ab'[n % 2], patient=n // 4)"
    " for n, f in enumerate(sorted(path.glob('*.png')))]"
)
IS_ACME = "return (path / 'acme.txt').exists()"


class Packages:
    """Packages with readers, in a folder on ``sys.path``."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        monkeypatch.syspath_prepend(folder)

    def add(self, entry, *, matches=IS_ACME, read=READS, version="1.5", code=None, value=None):
        module = f"{entry.replace('-', '_')}_package_{len(list(self.folder.iterdir()))}"
        made = READER.format(name="Made", entry=entry, matches=matches, read=read)
        (self.folder / f"{module}.py").write_text(made if code is None else code)
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {entry}-package\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(
            f"[bottleneck.readers]\n{entry} = {value or f'{module}:Made'}\n"
        )
        return module


@pytest.fixture
def packages(tmp_path, monkeypatch):
    yield Packages(tmp_path / "packages", monkeypatch)
    for name in [name for name in sys.modules if "_package_" in name]:
        del sys.modules[name]


@pytest.fixture
def scans(tmp_path):
    make_images(tmp_path / "scans", 8)
    (tmp_path / "scans" / "acme.txt").touch()
    return tmp_path / "scans"


def test_a_package_reads_its_format(packages, scans, monkeypatch):
    packages.add("acme")
    made = load_dataset(scans)
    assert (len(made), made.n_groups, made.name) == (8, 2, "scans")
    assert made.reader == {"name": "acme", "package": "acme-package", "version": "1.5"}
    assert made.notes[0] == "read by the reader 'acme' of the package acme-package 1.5"
    assert made.read(made.samples[3]) == (scans / "003.png").read_bytes()
    for name in ("acme", "ACME", "acme-package:acme"):
        assert load_dataset(scans, reader=name).fingerprint == made.fingerprint
    assert load_dataset("phantom", limit=1).reader == {}


def test_no_package_is_imported_where_none_is_asked(packages, scans, tmp_path):
    module = packages.add("acme", code="raise SystemExit(3)")
    for arguments in (["--help"], ["--version"], ["extract", "--help"]):
        assert CliRunner().invoke(app, arguments).exit_code == 0
    (tmp_path / "t.csv").write_text("path,label\nscans/000.png,a\nscans/001.png,b\n")
    assert load_dataset(tmp_path / "t.csv", reader="table").reader == {"name": "table"}
    assert [(r.name, r.package, r.version) for r in installed_readers()] == [
        ("acme", "acme-package", "1.5")
    ]
    assert module not in sys.modules


def test_the_command_line_takes_a_reader(packages, scans, capfd):
    packages.add("acme", read=f"print('noise'); {READS}")
    assert ImageOptions(reader="acme").load(str(scans), quiet=True).reader["name"] == "acme"
    assert capfd.readouterr() == ("", "noise\n")


@pytest.mark.slow(reason="a network is made")
def test_the_feature_file_names_the_reader(packages, scans, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    packages.add("acme", read=f"print('chatter'); {READS}")
    run = ["extract", "scans", "--reader", "acme", "--weights", "random", "--json", "--quiet"]
    done = CliRunner().invoke(app, [*run, "--backbone", "resnet18"])
    assert done.exit_code == 0, done.output
    assert "chatter" not in done.stdout
    (file,) = (tmp_path / "features").glob("*.h5")
    assert load_features(file).provenance["dataset"]["reader"]["version"] == "1.5"


def test_doctor_lists_readers(packages):
    packages.add("acme")
    packages.add("broken", code="import nothing_of_that_name")
    checks = {check.what: (check.state, check.text) for check in _check_readers()}
    assert checks["reader acme"] == ("ok", "of the package acme-package 1.5")
    assert checks["readers"][1].startswith("TN5000, DDTI, LUNA16, MedMNIST, table, folders")
    assert checks["reader broken"][0] == "note"
    assert "broken-package 1.5 cannot be loaded: ModuleNotFoundError" in checks["reader broken"][1]


def test_readers_that_match_the_same_files_are_named(packages, scans):
    packages.add("acme")
    packages.add("other", version="2")
    with pytest.raises(UsageError, match="acme-package:acme, other-package:other"):
        load_dataset(scans)
    assert load_dataset(scans, reader="other").reader["version"] == "2"
    (scans / "1.xml").write_text("<case/>")
    with pytest.raises(UsageError, match="bottleneck-features:DDTI"):
        load_dataset(scans)


def test_names_that_several_readers_have(packages, scans):
    packages.add("folders")
    with pytest.raises(UsageError, match="bottleneck-features:folders, folders-package:folders"):
        load_dataset(scans, reader="folders")
    assert len(load_dataset(scans, reader="folders-package:folders")) == 8


BROKEN = {
    "import": ({"code": "import nothing_of_that_name"}, "cannot be loaded: ModuleNotFoundError"),
    "syntax": ({"code": "def"}, "cannot be loaded: SyntaxError"),
    "exit": ({"code": "raise SystemExit(3)"}, "cannot be loaded: SystemExit: 3"),
    "attribute": ({"code": "x = 1"}, "cannot be loaded: AttributeError"),
    "constructor": (
        {"code": "class Made:\n    def __init__(self): raise KeyError('k')"},
        "cannot be loaded: KeyError: 'k'",
    ),
    "no reader": ({"code": "Made = 7"}, "is 7, which is not a reader: a reader has a name"),
    "function": ({"code": "def Made(path): return True"}, "which is not a reader"),
    "other name": (
        {"code": READER.format(name="Made", entry="x", matches="return 1", read="pass")},
        "is called 'x' by its own attribute",
    ),
    "raises": (
        {"matches": "raise RuntimeError('a\\nb')"},
        "whether it reads 'scans': Run.*a b",
    ),
    "says None": ({"matches": "return None"}, "matches.path. returned None, not True or False"),
    "says 1": ({"matches": "return 1"}, "returned 1, not True or False"),
}


@pytest.mark.parametrize(("made", "message"), BROKEN.values(), ids=BROKEN)
def test_a_reader_that_cannot_answer_is_noted_and_not_used(packages, scans, made, message):
    packages.add("acme", **made)
    for n, path in enumerate(sorted(scans.glob("*.png"))):
        path.parent.joinpath("ab"[n % 2]).mkdir(exist_ok=True)
        path.rename(path.parent / "ab"[n % 2] / path.name)
    dataset = load_dataset(scans)
    assert dataset.reader == {"name": "folders"}
    note = pd.Series(dataset.notes[:1])
    assert note.str.contains("the reader 'acme' of the package acme-package 1.5").all()
    assert note.str.contains(message).all()
    if "matches" not in made:
        with pytest.raises(DataError, match=message):
            load_dataset(scans, reader="acme")


@pytest.mark.parametrize(
    ("read", "message"),
    [
        ("return None", r"read\(path\) returned None, not an ImageDataset or samples"),
        ("return 'x'", "samples is 'x'; load_dataset reads a path"),
        ("return [1, 2]", r"samples\[0\] is 1 \(int\); expected Sample objects"),
        ("return [{'path': 'x'}]", "has no column 'label'"),
        ("return []", "contains no images"),
        ("return path.nothing", "AttributeError"),
        ("raise RecursionError", "RecursionError"),
        ("raise SystemExit", "SystemExit"),
        ("yield {'path': '000.png', 'label': 'a'}; raise OSError(5, 'gone')", "OSError"),
        ("return [{'path': 'none.png', 'label': 'a'}]", "none of the 1 images exists"),
        ("return [{'path': '000.png', 'label': 0.5}]", "the label 0.5 is a number with decimals"),
    ],
)
def test_what_a_reader_raises_or_returns_is_a_message(packages, scans, read, message):
    packages.add("acme", read=read)
    with pytest.raises(DataError, match=message) as raised:
        load_dataset(scans)
    start = "the reader 'acme' of the package acme-package 1.5 cannot read 'scans': "
    assert str(raised.value).startswith(start)


class Own:
    name = "own"

    def __init__(self, result=None):
        self.result = result

    def matches(self, path):
        return False

    def read(self, path, *, columns=None):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result or [{"path": "000.png", "label": (columns or {}).get("label", "x")}]


MADE_HERE: dict = {}
exec("def matches(p): pass\ndef read(p): return [{'path': '000.png', 'label': 'x'}]", MADE_HERE)
MADE_HERE = {"name": "n", "matches": MADE_HERE["matches"], "read": MADE_HERE["read"]}


def test_an_object_is_a_reader(scans):
    made = load_dataset(scans, reader=Own(), columns={"label": "y"}, positive="y", name="mine")
    assert (made.name, made.positive, made.reader["name"]) == ("mine", "y", "own")
    assert "package" not in load_dataset(scans, reader=SimpleNamespace(**MADE_HERE)).reader
    whole = ImageDataset.from_samples([Sample("a", "b", "c")], name="n", images={"b": b""})
    assert load_dataset(scans, reader=Own(whole)).name == "n"
    with pytest.raises(MissingExtraError):
        load_dataset(scans, reader=Own(MissingExtraError("no")))


class Restless:
    @property
    def name(self):
        raise RuntimeError("no name")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("scans", {"reader": Restless()}, "reader must be the name of a reader"),
        (
            "scans",
            {"reader": "acne"},
            "unknown reader 'acne'. Known: DDTI, LUNA16, MedMNIST, TN5000",
        ),
        ("scans", {"reader": Own}, "reader must be the name of a reader, or an object"),
        ("scans", {"reader": 7}, "reader must be .* not 7"),
        ("scans", {"reader": len}, "reader must be .* not <built-in"),
        ("scans", {"reader": ["table"]}, r"reader must be .* not \['table'\]"),
        ("scans", {"reader": "table"}, "the table .* is a folder; name a regular file"),
        ("scans", {"reader": "TN5000"}, "the list .*train.txt cannot be read"),
        ("scans/000.png", {}, "is a single image"),
        ("scans", {"reader": Own(), "crop": True}, "which has no regions to crop"),
        ("phantom", {"reader": "table"}, "the embedded data set, which needs no reader"),
        (7, {}, "the data set must be a path, not int; ImageDataset.from_samples"),
        ([], {}, "the data set must be a path"),
        (pd.DataFrame(), {}, "the data set must be a path, not DataFrame"),
    ],
)
def test_choices_that_do_not_fit(scans, monkeypatch, source, options, message):
    monkeypatch.chdir(scans.parent)
    with pytest.raises((UsageError, DataError), match=message):
        load_dataset(source, **options)


def test_metadata_that_is_damaged_stops_nothing(packages, scans):
    packages.add("acme")
    for n, text in enumerate(["[bottleneck.readers]\nnonsense\n", "[[\n= =", "\0"]):
        info = packages.folder / f"bad{n}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_bytes(b"\xff\xfe" if n else b"")
        (info / "entry_points.txt").write_text(text)
    assert load_dataset(scans).reader["name"] == "acme"
