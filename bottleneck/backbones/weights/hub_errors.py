"""What went wrong between this machine and the hub, and what to do about it."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

__all__ = ["AbsentError", "HubError", "explain", "harmless_address"]

_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class HubError(Exception):
    """The reason why a file is not available from the hub, in one line."""


class AbsentError(HubError):
    """The repository has no such file."""


def explain(error: BaseException, repository: str, revision: str) -> HubError:
    """Return the reason for an error of the hub's client, with what to do.

    Parameters
    ----------
    error : BaseException
        What the client, its transport or the file system raised. Their types are many and
        unrelated, and change with the client's version; they are told apart by name.
    repository, revision : str
        What was asked for.
    """
    from huggingface_hub import constants

    if isinstance(error, HubError):
        return error
    host = harmless_address(constants.ENDPOINT)
    chain = list(_causes(error))
    names = {kind.__name__ for one in chain for kind in type(one).__mro__}
    text = " ".join(map(str, chain))
    status = next((s for s in map(_status, chain) if s is not None), None)
    if "GatedRepoError" in names or "RepositoryNotFoundError" in names or status in (401, 403):
        return HubError(_refusal(host, repository, status))
    if "RevisionNotFoundError" in names:
        return HubError(f"{host} has no revision {revision} of {repository}; it may be removed")
    if "ProxyError" in names or status == 407:
        return HubError(
            "the proxy of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY does not answer or refuses: correct "
            f"it, or name {urlsplit(host).hostname} in NO_PROXY"
        )
    if status == 404 or any(_is_absent(one) for one in chain):
        return AbsentError(f"{repository} has no such file at the revision {revision}")
    if status == 429:
        return HubError(f"{host} asks for fewer requests (429): repeat the command later")
    if status is not None and status >= 400:
        return HubError(f"{host} cannot answer now ({status}): repeat the command later")
    if names & {"FileMetadataError", "UnsupportedProtocol"}:
        return HubError(
            f"{host} answers, but not as a hub does: check HF_ENDPOINT, and whether a proxy or a "
            "login page answers instead"
        )
    if names & {"LocalProtocolError", "UnicodeEncodeError"}:
        return HubError("HF_TOKEN has characters that no token has: log in with `hf auth login`")
    if "ImportError" in names:
        return HubError("a SOCKS proxy needs a further package: pip install socksio")
    if "InvalidURL" in names:
        return HubError(
            "HF_ENDPOINT, HTTPS_PROXY, HTTP_PROXY or ALL_PROXY does not hold a valid address: "
            "correct it"
        )
    if "TooManyRedirects" in names:
        return HubError(f"{host} redirects the request in a circle: check HF_ENDPOINT")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return HubError(
            f"the certificate of {host} is not trusted: name the file of your certificates in "
            "SSL_CERT_FILE"
        )
    if "TimeoutException" in names or "TimeoutError" in names:
        return HubError(
            f"the hub does not answer in time ({host}): repeat the command later, or raise "
            f"HF_HUB_ETAG_TIMEOUT ({constants.HF_HUB_ETAG_TIMEOUT} seconds) and "
            f"HF_HUB_DOWNLOAD_TIMEOUT ({constants.HF_HUB_DOWNLOAD_TIMEOUT})"
        )
    if "ConnectError" in names:
        return HubError(
            f"the hub does not answer ({host}): check the connection, HF_ENDPOINT and the proxy"
        )
    # The client resumes by recursion.
    cut = {"NetworkError", "ProtocolError", "DecodingError", "RecursionError"}
    if names & cut or "Consistency check" in text:
        return HubError(
            f"the download from {host} was cut off, and nothing of it is kept: repeat the command"
        )
    return _of_the_disk(chain) or HubError(
        f"the hub's client fails with {type(error).__name__}: {_one_line(text)}"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _is_absent(error: BaseException) -> bool:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    # The local error only says that the cache is empty as well.
    return "EntryNotFoundError" in kinds and "LocalEntryNotFoundError" not in kinds


def _refusal(host: str, repository: str, status: int | None) -> str:
    return (
        f"{host} refuses access to {repository}{f' ({status})' if status else ''}: it may need a "
        f"login or the acceptance of its terms. Accept them on {host}/{repository}, and log in "
        "with `hf auth login` or set HF_TOKEN to a token that may read it"
    )


def _of_the_disk(chain: list[BaseException]) -> HubError | None:
    from huggingface_hub import constants

    cache = constants.HF_HUB_CACHE
    for error in chain:
        number = error.errno if isinstance(error, OSError) else None
        if number in _FULL:
            return HubError(
                f"the disk of the hub's cache {cache} is full: free some space, or name another "
                "folder in HF_HUB_CACHE"
            )
        if number in _ACCESS:
            return HubError(
                f"the hub's cache {cache} cannot be written: correct its permissions, or name "
                "another folder in HF_HUB_CACHE"
            )
        if number is not None:
            reason = getattr(error, "strerror", None)
            return HubError(f"the hub's cache {cache} cannot be used: {reason or 'input/output'}")
    return None


def harmless_address(address: str) -> str:
    """Return a web address without user name, password and query, which may be secrets.

    Examples
    --------
    >>> harmless_address("https://me:secret@hub.example:8443/mirror?key=1")
    'https://hub.example:8443/mirror'
    """
    bare = re.sub(r"//[^/@\s]*@", "//", address)
    return re.sub(r"[?#]\S*", "", bare)


def _one_line(text: str) -> str:
    return harmless_address(re.sub(r"\s+", " ", text).strip())[:160]
