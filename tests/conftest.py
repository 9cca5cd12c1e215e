"""What tests of several rooms share."""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from made import make_images

# A shell ignores Ctrl-C for what it starts in the background, and everything below inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)

if importlib.util.find_spec("hypothesis"):  # The tests on a GPU do not need it.
    from hypothesis import HealthCheck, settings

    # The machine may be busy.
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name no test by the bytes of a file: some are random."""
    return "file" if isinstance(val, bytes) and len(val) > 40 else None


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have a home folder of our own: what is remembered there changes what runs do."""
    home = str(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", home)
        patch.setenv("USERPROFILE", home)  # as Windows has it
        patch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", home)
        for variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
            patch.delenv(variable, raising=False)
        yield


_FIGURE_KINDS = "bottleneck.report.figures.output.figure_kinds.KINDS"


@pytest.fixture(scope="session", autouse=True)
def figure_kinds() -> Iterator[Any]:
    """Write reports without the files of their figures, which take seconds; return their kinds.

    Fixtures of modules are made before those of single tests, and write reports too. Tests of these
    files are marked ``figures``.
    """
    from bottleneck.report.figures.output.figure_kinds import KINDS

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_FIGURE_KINDS, ())
        yield KINDS


@pytest.fixture(autouse=True)
def _figure_files(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, figure_kinds: Any
) -> None:
    if "figures" in request.keywords:
        monkeypatch.setattr(_FIGURE_KINDS, figure_kinds)


_REPEATS = "bottleneck.data.splits.folds.REPEATS_OF_FEW"


@pytest.fixture(scope="session", autouse=True)
def repeats_of_few() -> Iterator[int]:
    """Draw folds once where no number is given, which takes a fifth of the time.

    Return the number that users have. Tests of that are marked ``repeats``.
    """
    from bottleneck.data.splits.protocol import REPEATS_OF_FEW

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_REPEATS, 1)
        yield REPEATS_OF_FEW


@pytest.fixture(autouse=True)
def _drawn_repeats(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, repeats_of_few: int
) -> None:
    if "repeats" in request.keywords:
        monkeypatch.setattr(_REPEATS, repeats_of_few)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and weights next to the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real images and weights is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _checked_json() -> Iterator[None]:
    """Compare every record that a test prints or writes as JSON with its schema."""
    from json_checks import check_record

    from bottleneck.report.redaction import plain
    from bottleneck.schemas.json_schemas import JsonRecord

    make = JsonRecord.__init__

    def make_checked(self: JsonRecord, name: str, fields: Mapping[str, Any]) -> None:
        make(self, name, fields)
        check_record(name)(plain(self))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JsonRecord, "__init__", make_checked)
        yield


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[[int], Path]:
    """Make a folder of n different images."""

    def make(n: int) -> Path:
        make_images(tmp_path / "images", n)
        return tmp_path / "images"

    return make
