"""The Hugging Face hub, and what it left on this machine."""

from __future__ import annotations

import os
import re
import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from bottleneck.backbones.catalogue import PublishedWeights

__all__ = ["HubError", "cached_file", "download"]


class HubError(Exception):
    """Why a file cannot be had from the hub, in one line."""


def cached_file(published: PublishedWeights) -> Path | None:
    """Find a published file in the hub's local cache."""
    from huggingface_hub import try_to_load_from_cache

    if published.repository is None:
        return None
    for name in _names(published):
        found = try_to_load_from_cache(published.repository, name)
        if isinstance(found, str | os.PathLike):
            return Path(found)
    return None


def download(published: PublishedWeights) -> Path:
    """Download a published file into the hub's local cache, and return its path there.

    Raises
    ------
    HubError
        If it cannot be had.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if constants.HF_HUB_OFFLINE:
        raise HubError("HF_HUB_OFFLINE is set")
    # The hub's client would first try for a minute.
    if not _answers(constants.ENDPOINT):
        raise HubError("the hub does not answer")
    for name in _names(published):
        try:
            return Path(hf_hub_download(str(published.repository), name))
        # The client and the transport below it raise errors of many unrelated types when a
        # download fails; what the user can do about it is the same for all.
        except Exception as error:  # noqa: BLE001
            absent = isinstance(error, EntryNotFoundError)
            if absent and not isinstance(error, LocalEntryNotFoundError):
                continue
            cause = re.sub(r"\s+", " ", str(error)).strip()[:160]
            raise HubError(f"{type(error).__name__}: {cause}") from None
    raise HubError(f"{published.repository} has no file {published.file}")


def _names(published: PublishedWeights) -> tuple[str, ...]:
    # Old repositories of timm have the pickle only.
    second = ("pytorch_model.bin",) if published.file == "model.safetensors" else ()
    return (published.file, *second)


def _answers(endpoint: str) -> bool:
    if urllib.request.getproxies():  # Behind a proxy only the client itself can tell.
        return True
    try:
        socket.create_connection((urlsplit(endpoint).hostname, 443), timeout=5).close()
    except OSError:
        return False
    return True
