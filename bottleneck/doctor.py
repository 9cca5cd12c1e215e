"""What is right and wrong with the environment that bottleneck runs in."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal

import bottleneck
from bottleneck.plurals import counted

__all__ = ["Check", "diagnose"]

_REQUIRED = ("torch", "torchvision", "timm", "sklearn", "h5py", "pandas", "PIL", "skops")


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at: broken findings stop work, notes do not."""

    what: str
    state: Literal["ok", "note", "broken"]
    text: str


def diagnose() -> list[Check]:
    """Look at the environment, the devices, the caches and the extras.

    Returns
    -------
    list of Check
        In the order in which a person would mend them.
    """
    return [*_clash(), *_packages(), *_device(), *_folders(), *_weights(), *_hub(), *_extras()]


def _clash() -> Iterator[Check]:
    try:
        version = metadata.version("Bottleneck")
    except metadata.PackageNotFoundError:
        yield Check("name", "ok", "no other package called bottleneck")
        return
    yield Check(
        "name",
        "broken",
        f"the PyPI package Bottleneck {version} is in this environment and installs a module of "
        "the same name; pandas and this package would get each other's. Mend with\n"
        "  pip uninstall Bottleneck && pip install --force-reinstall --no-deps bottleneck-features",
    )


def _packages() -> Iterator[Check]:
    yield Check(
        "python",
        "ok",
        f"{platform.python_version()}, bottleneck-features {bottleneck.__version__}",
    )
    for name in _REQUIRED:
        try:
            module = import_module(name)
        # A broken binary package may raise anything as it loads, and naming it is the point.
        except Exception as error:  # noqa: BLE001
            yield Check(name, "broken", f"does not import ({type(error).__name__}: {error})")
        else:
            yield Check(name, "ok", str(getattr(module, "__version__", "")))


def _device() -> Iterator[Check]:
    try:
        import torch

        from bottleneck.features.devices import native_precision, resolve_device

        for number in range(torch.cuda.device_count()):
            yield Check(f"cuda:{number}", "ok", torch.cuda.get_device_name(number))
        if not torch.cuda.is_available():
            yield Check("gpu", "note", "none; extraction runs on the CPU")
        precision = native_precision(resolve_device("auto"))
        yield Check("precision", "ok", f"auto means {precision} here")
    # What keeps torch or torchvision from loading is named above, whatever it is.
    except Exception as error:  # noqa: BLE001
        yield Check("device", "broken", f"cannot be looked at ({type(error).__name__}: {error})")


def _weights() -> Iterator[Check]:
    try:
        from bottleneck.backbones.weights.folder import folder_path, read_records

        folder = folder_path()
        records = read_records(folder) if folder.is_dir() else {}
    except Exception as error:  # noqa: BLE001  # As above: a broken torch stops this too.
        yield Check("weights folder", "broken", str(error))
        return
    missing = [path.name for path in records if not path.is_file()]
    if missing:
        yield Check("weights folder", "broken", f"{folder} lacks {', '.join(missing)}")
    elif folder.is_dir():
        yield Check("weights folder", "ok", f"{folder}, {counted(len(records), 'weight file')}")
    else:
        text = f"{folder} is absent; `bottleneck weights` makes it"
        yield Check("weights folder", "note", text)


def _folders() -> Iterator[Check]:
    from bottleneck.errors import FeatureFileError
    from bottleneck.features.file.reader import feature_files, read_provenance

    folder = Path("features")
    if not folder.is_dir():
        yield Check("features/", "note", "absent; `bottleneck extract` makes it")
        return
    if not os.access(folder, os.W_OK):
        yield Check("features/", "broken", "cannot be written")
    files = feature_files(folder)
    for path in files:
        try:
            read_provenance(path)
        except FeatureFileError as error:
            yield Check(str(path), "broken", str(error))
    unfinished = len(list(folder.glob("*.unfinished")))
    text = counted(len(files), "feature file")
    if unfinished:
        text += f", {counted(unfinished, 'unfinished run')} that the same command would continue"
    yield Check("features/", "ok", text)


def _hub() -> Iterator[Check]:
    try:
        from huggingface_hub import constants
    except ImportError:
        return
    state = "offline by HF_HUB_OFFLINE" if constants.HF_HUB_OFFLINE else "online if there is a net"
    yield Check("weights cache", "ok", f"{constants.HF_HUB_CACHE} ({state})")


def _extras() -> Iterator[Check]:
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
            text = f"absent: pip install 'bottleneck-features[{extra}]'"
            yield Check(f"extra {extra}", "note", text)
        else:
            yield Check(f"extra {extra}", "ok", "installed")
