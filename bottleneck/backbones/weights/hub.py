"""Published weights on the Hugging Face hub, and in its cache on this machine."""

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
    """The reason why a file is not available from the hub, in one line."""


def cached_file(published: PublishedWeights) -> Path | None:
    """Return the path of a published file in the hub's local cache; None if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    if published.repository is None:
        return None
    for name in _names(published):
        path = try_to_load_from_cache(published.repository, name)
        if isinstance(path, str | os.PathLike):
            return Path(path)
    return None


def download(published: PublishedWeights) -> Path:
    """Download a published file into the hub's local cache, and return its path there.

    Raises
    ------
    HubError
        If the file cannot be downloaded.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if constants.HF_HUB_OFFLINE:
        raise HubError("HF_HUB_OFFLINE is set")
    # Without this check, the hub's client would retry for a minute.
    if not _answers(constants.ENDPOINT):
        raise HubError("the hub does not answer")
    for name in _names(published):
        try:
            return Path(hf_hub_download(str(published.repository), name))
        # The client and its transport raise errors of many unrelated types when a download fails.
        # The user can do the same about all of them.
        except Exception as error:  # noqa: BLE001
            absent = isinstance(error, EntryNotFoundError)
            if absent and not isinstance(error, LocalEntryNotFoundError):
                continue
            cause = re.sub(r"\s+", " ", str(error)).strip()[:160]
            raise HubError(f"{type(error).__name__}: {cause}") from None
    raise HubError(f"{published.repository} has no file {published.file}")


def _names(published: PublishedWeights) -> tuple[str, ...]:
    # Old repositories of timm only have the pickle.
    fallback = ("pytorch_model.bin",) if published.file == "model.safetensors" else ()
    return (published.file, *fallback)


def _answers(endpoint: str) -> bool:
    if urllib.request.getproxies():  # Behind a proxy, only the client can know.
        return True
    try:
        socket.create_connection((urlsplit(endpoint).hostname, 443), timeout=5).close()
    except OSError:
        return False
    return True
