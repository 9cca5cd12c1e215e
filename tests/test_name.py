"""The package's name, which pandas and others import by themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bottleneck

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("order", ["pandas, bottleneck", "bottleneck, pandas"])
@pytest.mark.parametrize("folder", [CHECKOUT, CHECKOUT.parent])
def test_pandas_does_not_mind(order: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {order}"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_pandas_does_not_use_us() -> None:
    import pandas as pd
    from pandas.core import nanops

    assert nanops._BOTTLENECK_INSTALLED is False
    assert pd.Series([1.0, None, 3.0]).mean() == 2.0


def test_other_attributes_say_which_package_this_is() -> None:
    with pytest.raises(AttributeError, match=r"bottleneck-features.*PyPI package Bottleneck"):
        bottleneck.nanmedian  # noqa: B018


def accelerator(folder: Path) -> Path:
    """What the PyPI package Bottleneck leaves in an environment, as far as we meet it."""
    (folder / "bottleneck").mkdir(parents=True)
    (folder / "bottleneck" / "__init__.py").write_text('__version__ = "1.6.0"\n')
    info = folder / "Bottleneck-1.6.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Bottleneck\nVersion: 1.6.0\n")
    return folder


def test_doctor_reports_the_accelerator(tmp_path: Path) -> None:
    site = accelerator(tmp_path / "site")
    code = (
        f"import sys; sys.path.append({str(site)!r}); from bottleneck_features import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "pip uninstall Bottleneck" in done.stdout


def test_every_command_says_that_the_accelerator_took_our_place(tmp_path: Path) -> None:
    site = accelerator(tmp_path / "site")
    code = f"""
import sys
sys.path[:0] = [{str(site)!r}]
from bottleneck_features import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(CHECKOUT)},
    )
    assert done.returncode == 2
    assert "has taken its place" in done.stderr
    assert "Traceback" not in done.stderr
