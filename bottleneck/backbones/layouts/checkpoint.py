"""Reading weight files: tensors by name, no code run, wrappings kept visible."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bottleneck.backbones.layouts import keras
from bottleneck.errors import WeightsError
from bottleneck.files import find_bomb

__all__ = ["State", "read_checkpoint"]

State = Mapping[str, Tensor]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_LFS = b"version https://git-lfs"
# Deeper than any training script nests its network, and short of an optimiser's state.
_MAX_DEPTH = 3


def read_checkpoint(path: Path) -> dict[str, State]:
    """Read the tensors of a weight file, running no code from it.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file, what ``torch.save`` wrote, or Keras's ``.h5``.

    Returns
    -------
    dict of str to State
        Every mapping of names to tensors in the file, under the dotted name of its place:
        "" where the file is nothing else, "state_dict", "model_ema", and so on.

    Raises
    ------
    WeightsError
        If the file is missing, no weight file, truncated, or holds more than tensors.
    """
    if not path.is_file():
        raise WeightsError(f"weight file {path} does not exist")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None
    if not head:
        raise WeightsError(f"{path} is empty: the download or the copy went wrong; repeat it")
    if head.lstrip()[:1] == b"<":
        raise WeightsError(f"{path} is a web page, not weights: the download went wrong; repeat it")
    if head.startswith(_LFS):
        raise WeightsError(f"{path} is a Git LFS pointer, not weights; fetch it: git lfs pull")
    if head.startswith(_HDF5):
        return {"": keras.read_hdf5(path)}
    if path.suffix == ".safetensors":
        return {"": _read_safetensors(path)}
    return _read_torch(path, is_pickle=head.startswith(b"\x80"))


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path} is damaged, or no safetensors file: {error}") from None


def _read_torch(path: Path, *, is_pickle: bool) -> dict[str, State]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                bomb = find_bomb(archive)
            if bomb:
                raise WeightsError(f"{path} is not read: it may be a decompression bomb: {bomb}")
        with warnings.catch_warnings():
            # Of a pickle that torch did not write, on the way to refusing it.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    # torch.load raises whatever zipfile, pickle and its own readers raise on damaged bytes.
    except Exception as error:  # noqa: BLE001
        # Without torch's advice to load the file unsafely, which stands in front.
        reason = str(error).rpartition("WeightsUnpickler error:")[2].strip()
        # Noise that is read as a pickle is stopped by the same words; a pickle begins with 0x80.
        if "Unsupported" in reason and (is_pickle or "operand" not in reason):
            raise WeightsError(
                f"{path} holds Python objects besides tensors; loading them could run code, so it "
                "is refused. Where you trust its origin, save the tensors alone: "
                "torch.save(model.state_dict(), FILE)"
            ) from None
        raise WeightsError(
            f"{path} is damaged, or no weight file: read are .safetensors, what torch.save wrote "
            "(.pt, .pth), and Keras's .h5"
        ) from None
    entries = dict(_entries(loaded, "", 0))
    if not entries:
        kind = type(loaded).__name__
        keys = ", ".join(map(str, list(loaded)[:8])) if isinstance(loaded, Mapping) else ""
        holds = f"a {kind} with the keys {keys}" if keys else f"a {kind}"
        raise WeightsError(f"{path} holds {holds}, but no named tensors: no network's weights")
    return entries


def _entries(loaded: Any, place: str, depth: int) -> Iterator[tuple[str, State]]:
    if not isinstance(loaded, Mapping) or depth > _MAX_DEPTH:
        return
    state = {k: v for k, v in loaded.items() if isinstance(k, str) and _is_plain(v)}
    if state:
        yield place, state
    for key, value in loaded.items():
        if isinstance(key, str):
            yield from _entries(value, f"{place}.{key}".lstrip("."), depth + 1)


def _is_plain(value: Any) -> bool:
    # No network has a sparse, quantised or complex tensor, or one without values, and torch
    # cannot copy them into it.
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and not value.is_complex()
    )
