"""Checks of the environment that bottleneck runs in."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import stat
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal

import bottleneck
from bottleneck.errors import one_line
from bottleneck.text.plurals import counted

__all__ = ["Check", "diagnose"]

_REQUIRED = ("torch", "torchvision", "timm", "sklearn", "h5py", "pandas", "PIL", "skops")


@dataclasses.dataclass(frozen=True)
class Check:
    """The result of checking one part of the environment.

    Attributes
    ----------
    what : str
        The part: "python", "weights folder", "extra ray".
    state : {"ok", "note", "broken"}
        "broken" keeps bottleneck from working; "note" does not.
    text : str
        The result in words.
    """

    what: str
    state: Literal["ok", "note", "broken"]
    text: str


def diagnose() -> list[Check]:
    """Check the packages, the devices, the folders, the caches, the extras and the readers.

    Returns
    -------
    list of Check
        In the order in which problems should be fixed.
    """
    return [
        *_check_name_clash(),
        *_check_packages(),
        *_check_devices(),
        *_check_feature_folder(),
        *_check_weights_folder(),
        *_check_hub_cache(),
        *_check_extras(),
        *_check_readers(),
    ]


def _check_name_clash() -> Iterator[Check]:
    try:
        version = metadata.version("Bottleneck")
    except metadata.PackageNotFoundError:
        yield Check("name", "ok", "no other package named bottleneck")
        return
    yield Check(
        "name",
        "broken",
        f"the PyPI package Bottleneck {version} is in this environment and installs a module of "
        "the same name, so pandas and this package would import each other's module. Fix it with "
        "`pip uninstall Bottleneck && pip install --force-reinstall --no-deps "
        "bottleneck-features`",
    )


def _check_packages() -> Iterator[Check]:
    yield Check(
        "python",
        "ok",
        f"{platform.python_version()}, bottleneck-features {bottleneck.__version__}",
    )
    for name in _REQUIRED:
        try:
            module = import_module(name)
        # A broken binary package may raise any exception when it is loaded; report it.
        except Exception as error:  # noqa: BLE001
            yield Check(
                name, "broken", f"cannot be imported ({type(error).__name__}: {one_line(error)})"
            )
        else:
            yield Check(name, "ok", str(getattr(module, "__version__", "")))


def _check_devices() -> Iterator[Check]:
    try:
        import torch

        from bottleneck.features.devices import native_precision, resolve_device

        for index in range(torch.cuda.device_count()):
            yield Check(f"cuda:{index}", "ok", torch.cuda.get_device_name(index))
        if not torch.cuda.is_available():
            yield Check("gpu", "note", "none; extraction runs on the CPU")
        precision = native_precision(resolve_device("auto"))
        yield Check("precision", "ok", f"auto means {precision} here")
    # Any error that keeps torch or torchvision from loading is reported by _check_packages.
    except Exception as error:  # noqa: BLE001
        yield Check(
            "device", "broken", f"cannot be checked ({type(error).__name__}: {one_line(error)})"
        )


def _check_weights_folder() -> Iterator[Check]:
    try:
        from bottleneck.backbones.weights.folder import find_folder, is_file, read_records

        used = find_folder()
        records = read_records(used.path)
        open_to_others = used.open_to_others()
        missing = [path.name for path in records if not is_file(path)]
    except Exception as error:  # noqa: BLE001  # A broken torch stops this too.
        yield Check("weights folder", "broken", str(error))
        return
    if missing:
        yield Check("weights folder", "broken", f"{used.text} lacks {', '.join(missing)}")
    elif used.path.is_dir():
        state: Literal["ok", "note"] = "note" if used.is_from_project else "ok"
        yield Check("weights folder", state, f"{used.text}, {counted(len(records), 'weight file')}")
    else:
        text = f"{used.text} does not exist yet; `bottleneck weights fetch` creates it"
        yield Check("weights folder", "note", text)
    if open_to_others:
        text = (
            f"every user of this machine can change {', '.join(open_to_others[:5])} in "
            f"{used.path}: chmod -R o-w {used.path}"
        )
        yield Check("weights folder", "note", text)


def _check_feature_folder() -> Iterator[Check]:
    from bottleneck.errors import FeatureFileError
    from bottleneck.features.file.reader import feature_files, read_provenance

    folder = Path("features")
    if not folder.is_dir():
        yield Check("features/", "note", "does not exist yet; `bottleneck extract` creates it")
        return
    if not os.access(folder, os.W_OK):
        yield Check("features/", "broken", "is not writable; change its permissions")
    files = feature_files(folder)
    for path in files:
        try:
            read_provenance(path)
        except FeatureFileError as error:
            yield Check(str(path), "broken", str(error))
    unfinished = len(list(folder.glob("*.unfinished")))
    text = counted(len(files), "feature file")
    if unfinished:
        text += f", {counted(unfinished, 'unfinished run')}; repeat the command to continue one"
    yield Check("features/", "ok", text)


def _check_hub_cache() -> Iterator[Check]:
    try:
        from huggingface_hub import constants
    except ImportError:
        return
    from bottleneck.backbones.weights.hub_errors import harmless_address

    state = f"online: {harmless_address(constants.ENDPOINT)}"
    if constants.HF_HUB_OFFLINE:
        state = "offline: HF_HUB_OFFLINE is set"
    cache = Path(constants.HF_HUB_CACHE)
    yield Check("weights cache", "ok", f"{cache} ({state})")
    with contextlib.suppress(OSError):
        if os.name != "nt" and cache.stat().st_mode & stat.S_IWOTH:
            text = f"every user of this machine can change {cache}: chmod -R o-w {cache}"
            yield Check("weights cache", "note", text)


def _check_extras() -> Iterator[Check]:
    try:
        requirements = metadata.requires("bottleneck-features") or []
    except metadata.PackageNotFoundError:
        yield Check("extras", "note", "bottleneck-features runs from a checkout, not installed")
        return
    from packaging.requirements import Requirement

    for extra in metadata.metadata("bottleneck-features").get_all("Provides-Extra") or []:
        missing = []
        for requirement in map(Requirement, requirements):
            if requirement.marker and requirement.marker.evaluate({"extra": extra}):
                try:
                    metadata.version(requirement.name)
                except metadata.PackageNotFoundError:
                    missing.append(requirement.name)
        if missing:
            text = f"not installed: pip install 'bottleneck-features[{extra}]'"
            yield Check(f"extra {extra}", "note", text)
        else:
            yield Check(f"extra {extra}", "ok", "installed")


def _check_readers() -> Iterator[Check]:
    from bottleneck.data.readers.built_in_readers import BUILT_IN
    from bottleneck.data.readers.installed_readers import installed_readers
    from bottleneck.errors import DataError

    yield Check("readers", "ok", f"{', '.join(one.name for one in BUILT_IN)}, of this package")
    for reader in installed_readers():
        what = f"reader {reader.name}"
        try:
            _ = reader.reader
        except DataError as error:
            yield Check(what, "note", f"{error}. It is not used. Repair or uninstall this package")
        else:
            yield Check(what, "ok", f"of the package {reader.package} {reader.version}".rstrip())
