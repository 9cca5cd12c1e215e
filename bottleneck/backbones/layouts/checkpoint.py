"""Reader of weight files: named tensors, without running code from the file."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bottleneck.backbones.layouts import keras
from bottleneck.errors import WeightsError, describe_os_error, one_line
from bottleneck.files.archives import find_bomb
from bottleneck.files.small_files import open_regular

__all__ = [
    "MAX_BYTES",
    "State",
    "parse_checkpoint",
    "read_checkpoint",
    "read_weights",
    "refuse_foreign",
]

State = Mapping[str, Tensor]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_LFS = b"version https://git-lfs"
# Deeper than training scripts nest the network, but not as deep as the state of optimisers.
_MAX_DEPTH = 3
# More than the largest weights in timm have.
MAX_BYTES = 32 << 30


def read_checkpoint(path: Path) -> dict[str, State]:
    """Return the named tensors of a weight file, without running code from it.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file, a file that ``torch.save`` wrote, or a Keras ``.h5`` file.

    Returns
    -------
    dict of str to State
        Each mapping of names to tensors in the file, by its dotted position in the file:
        "" at the top, "state_dict", "model_ema", and so on.

    Raises
    ------
    WeightsError
        If the file is missing, damaged or not a weight file, or contains other Python objects.
    """
    return parse_checkpoint(read_weights(path), path)


def read_weights(path: Path) -> bytes:
    """Return the bytes of a weight file, read once.

    What is hashed and what is parsed are these bytes, even if the file changes meanwhile.

    Raises
    ------
    WeightsError
        If the file is missing or not a regular file, cannot be read, or has more bytes than any
        weight file or than fit twice into the memory of this machine.
    """
    if not os.path.lexists(path):
        raise WeightsError(f"weight file {path} does not exist")
    with open_regular(path, "weight file", WeightsError) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES or 2 * size > _memory():
            raise WeightsError(
                f"{path} has {size:,} bytes: too many for a weight file on this machine, which "
                "needs twice as much memory to read it"
            )
        try:
            data = file.read(size + 1)
        except MemoryError:
            raise WeightsError(f"{path} cannot be read: there is not enough memory") from None
        except OSError as error:
            raise WeightsError(f"{path} cannot be read: {describe_os_error(error)}") from None
    if len(data) != size:
        raise WeightsError(f"{path} changed while it was read; repeat the command")
    return data


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return 2 * MAX_BYTES


def parse_checkpoint(data: bytes, path: Path) -> dict[str, State]:
    """Return the named tensors in the bytes of a weight file; see ``read_checkpoint``.

    Parameters
    ----------
    data : bytes
        From ``read_weights``.
    path : Path
        The file, for messages; its suffix tells ``.safetensors`` apart.
    """
    refuse_foreign(data[:512], path)
    if data.startswith(_HDF5):
        return {"": keras.read_hdf5(data, path)}
    if path.suffix == ".safetensors":
        return {"": _parse_safetensors(data, path)}
    return _parse_torch(data, path)


def refuse_foreign(head: bytes, path: Path) -> None:
    """Raise an error where the first 512 bytes show a failed download."""
    if not head:
        raise WeightsError(f"{path} is empty: the download or copy failed; repeat it")
    if head.lstrip()[:1] == b"<":
        raise WeightsError(f"{path} is a web page, not weights: the download failed; repeat it")
    if head.startswith(_LFS):
        raise WeightsError(f"{path} is a Git LFS pointer, not weights; fetch it: git lfs pull")


def _parse_safetensors(data: bytes, path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(data)
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is damaged, or not a safetensors file: {one_line(error)}"
        ) from None


def _parse_torch(data: bytes, path: Path) -> dict[str, State]:
    is_pickle = data.startswith(b"\x80")
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                bomb = find_bomb(archive)
            if bomb:
                raise WeightsError(f"{path} is not read: it may be a decompression bomb: {bomb}")
        with warnings.catch_warnings():
            # torch warns about a pickle that it did not write; such a file is refused anyway.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    # For damaged bytes, torch.load raises any error of zipfile, pickle and its own readers.
    except Exception as error:  # noqa: BLE001
        # Remove the beginning, in which torch advises to load the file unsafely.
        reason = str(error).rpartition("WeightsUnpickler error:")[2].strip()
        # Noise that is read as a pickle has the same message; a real pickle begins with 0x80.
        if "unsupported" in reason.lower() and (is_pickle or "operand" not in reason):
            raise WeightsError(
                f"{path} contains Python objects other than tensors. Loading them could run code, "
                "so it is refused. If you trust its origin, save only the tensors: "
                "torch.save(model.state_dict(), FILE)"
            ) from None
        raise WeightsError(
            f"{path} is damaged, or not a weight file. Supported are .safetensors, files of "
            "torch.save (.pt, .pth), and .h5 files of Keras"
        ) from None
    entries = dict(_entries(loaded, "", 0, set()))
    if not entries:
        kind = type(loaded).__name__
        keys = ", ".join(map(str, list(loaded)[:8])) if isinstance(loaded, Mapping) else ""
        content = f"a {kind} with the keys {keys}" if keys else f"a {kind}"
        raise WeightsError(f"{path} contains {content}, but no named tensors and so no weights")
    return entries


def _entries(loaded: Any, position: str, depth: int, seen: set[int]) -> Iterator[tuple[str, State]]:
    # A pickle of a few bytes can hold the same dictionary a million times.
    if not isinstance(loaded, Mapping) or depth > _MAX_DEPTH or id(loaded) in seen:
        return
    seen.add(id(loaded))
    state = {k: v for k, v in loaded.items() if isinstance(k, str) and _is_plain(v)}
    if state:
        yield position, state
    for key, value in loaded.items():
        if isinstance(key, str):
            yield from _entries(value, f"{position}.{key}".lstrip("."), depth + 1, seen)


def _is_plain(value: Any) -> bool:
    # No supported network has sparse, quantised, complex or meta tensors, and torch cannot copy
    # them into one.
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and not value.is_complex()
    )
