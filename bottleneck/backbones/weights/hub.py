"""Published weights on the Hugging Face hub, and in its cache on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bottleneck.backbones.encoder import PublishedWeights
from bottleneck.backbones.layouts.checkpoint import MAX_BYTES, refuse_foreign
from bottleneck.backbones.weights.folder import sha256_of
from bottleneck.backbones.weights.hub_errors import (
    AbsentError,
    HubError,
    explain,
    harmless_address,
)
from bottleneck.backbones.weights.watched_download import watched
from bottleneck.errors import WeightsError

__all__ = ["HubError", "HubFile", "cached_file", "download"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# The client makes a file name of it.
_ETAG = re.compile(r"[0-9A-Za-z_+=-][0-9A-Za-z_+=.-]{0,127}")
_ABANDONED_SECONDS = 3600.0
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclasses.dataclass(frozen=True)
class HubFile:
    """A file of the hub in its cache on this machine.

    Attributes
    ----------
    path : Path
        The file.
    revision : str or None
        The commit of the repository that it is from.
    sha256 : str or None
        The sha256 that the catalogue or the hub states; the bytes may differ.
    """

    path: Path
    revision: str | None = None
    sha256: str | None = None


def cached_file(published: PublishedWeights) -> HubFile | None:
    """Return a published file in the hub's local cache; None if it is not there.

    With a known sha256, a file of another revision with this sha256 will do as well.
    """
    from huggingface_hub import try_to_load_from_cache

    if published.repository is None:
        return None
    for name in _names(published):
        revisions = [published.revision or "main", *(["main"] if _known(published, name) else [])]
        for revision in revisions:
            path = try_to_load_from_cache(published.repository, name, revision=revision)
            if not isinstance(path, str | os.PathLike):
                continue
            known, stated = _known(published, name), _stated(Path(path))
            if known and stated and known != stated:
                continue
            commit = Path(path).parent.name
            commit_or_none = commit if _COMMIT.fullmatch(commit) else None
            return HubFile(Path(path), commit_or_none, known or stated)
    return None


def download(published: PublishedWeights) -> HubFile:
    """Download a published file into the hub's local cache.

    The revision is that of the catalogue, or the newest one, which the result names. A file with
    another sha256 than the catalogue or the hub states is removed again.

    Raises
    ------
    HubError
        If the file cannot be downloaded, or is not the stated one.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        variables = [name for name in _OFFLINE if os.environ.get(name)]
        raise HubError(f"{' and '.join(variables) or _OFFLINE[0]} is set")
    address = urlsplit(constants.ENDPOINT)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise HubError(
            f"HF_ENDPOINT is '{harmless_address(constants.ENDPOINT)}', not an address that begins "
            "with https:// or http://"
        )
    repository = str(published.repository)
    revision = published.revision or "main"
    for name in _names(published):
        try:
            return _download_file(published, name, revision)
        except AbsentError:
            continue
        # The client and its transport raise errors of many unrelated types.
        except Exception as error:  # noqa: BLE001
            cause = explain(error, repository, revision)
            if not isinstance(cause, AbsentError):
                raise cause from None
    raise HubError(
        f"{repository} has no file {published.file} at the revision {revision}; it may have been "
        "renamed or removed"
    )


def _download_file(published: PublishedWeights, name: str, revision: str) -> HubFile:
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    repository = str(published.repository)
    address = hf_hub_url(repository, name, revision=revision)
    seconds = constants.HF_HUB_ETAG_TIMEOUT
    # The client would retry a failing request for minutes; this one request finds out at once.
    facts = watched(lambda _: get_hf_file_metadata(address, timeout=seconds))
    commit, stated = _checked(facts, published, name)
    _refuse_full_disk(facts.size)
    folder = Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}", "blobs")
    _sweep(folder)
    path = Path(
        watched(
            # The cache finds a file without a known revision by the name "main" only.
            lambda bar: hf_hub_download(repository, name, revision=revision, tqdm_class=bar),
            facts.size,
            MAX_BYTES,
            folder,
        )
    )
    if path.parent.name != commit:  # "main" moved between the two requests.
        commit, stated = path.parent.name, _stated(path)
    known = _known(published, name)
    found = sha256_of(path)
    for sha256, author in ((known, "is known for it"), (stated, "the hub states")):
        if sha256 not in (None, found):
            _remove(path)
            raise HubError(
                f"the download of {name} has the sha256 {found}, not {sha256}, which {author}; it "
                "was "
                "removed. Repeat the command; if this happens again, the server has different "
                "content"
            )
    try:
        with path.open("rb") as file:
            refuse_foreign(file.read(512), Path(name))
    except WeightsError as error:
        _remove(path)
        raise HubError(f"{error}. It was removed from the hub's cache") from None
    return HubFile(path, commit, found)


def _checked(facts: Any, published: PublishedWeights, name: str) -> tuple[str, str | None]:
    """Return the commit and the sha256 that a server states for a file."""
    from huggingface_hub import constants

    commit, etag, size = facts.commit_hash, facts.etag, facts.size
    if not (commit and _COMMIT.fullmatch(commit) and etag and _ETAG.fullmatch(etag)):
        raise HubError(
            f"{harmless_address(constants.ENDPOINT)} answers, but not as a hub does (without a "
            "commit or an ETag): check HF_ENDPOINT, and whether a proxy or a login page answers "
            "instead"
        )
    if published.revision not in (None, commit):
        raise HubError(
            f"the server has the revision {commit} in place of {published.revision}, which is "
            "known for these weights"
        )
    stated = etag if _SHA256.fullmatch(etag) else None
    known = _known(published, name)
    if known and stated and known != stated:
        raise HubError(
            f"the server's {name} has the sha256 {stated}, but {known} is known for it: it is not "
            "downloaded"
        )
    if size is not None and not 0 < size <= MAX_BYTES:
        raise HubError(f"the server's {name} has {size:,} bytes, which no weight file has")
    return commit, stated


def _refuse_full_disk(size: int | None) -> None:
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if size and free < size:
        raise HubError(
            f"the file has {size:,} bytes, but the disk of the hub's cache "
            f"{constants.HF_HUB_CACHE} has {free:,} left: free some space, or name another folder "
            "in HF_HUB_CACHE"
        )


def _sweep(folder: Path) -> None:
    """Remove what downloads left that were killed: the client never continues them."""
    for path in folder.glob("*.incomplete"):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


def _remove(path: Path) -> None:
    """Remove a file from the hub's cache, with what its name there links to."""
    linked = path.parent / path.readlink() if path.is_symlink() else path
    path.unlink(missing_ok=True)
    linked.unlink(missing_ok=True)


def _known(published: PublishedWeights, name: str) -> str | None:
    return published.sha256 if name == published.file else None


def _stated(path: Path) -> str | None:
    """Return the sha256 that the hub stated: the cache names the contents of large files by it."""
    name = path.readlink().name if path.is_symlink() else ""
    return name if _SHA256.fullmatch(name) else None


def _names(published: PublishedWeights) -> tuple[str, ...]:
    # Old repositories of timm only have the pickle.
    fallback = ("pytorch_model.bin",) if published.file == "model.safetensors" else ()
    return (published.file, *fallback)
