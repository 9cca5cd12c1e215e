"""A Ray cluster on this machine that nobody else can reach, read or join."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bottleneck.processes import cluster_guard

__all__ = ["environment", "guarded", "private", "read_token"]


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def private(ray: Any) -> Iterator[None]:
    """Let a cluster that is started in the block be one for this process alone.

    Its servers listen on 127.0.0.1, every request needs a random token, which is on no disk, and
    its files are those of the user.

    Parameters
    ----------
    ray : module
        Ray.
    """
    values = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Only with this does Ray take 127.0.0.1 for the address of the machine; it exists because
        # other systems have no clusters of several machines.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # No usage statistics.
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    constants = ray._private.ray_constants  # Read from the environment when Ray was imported.
    several, umask = constants.ENABLE_RAY_CLUSTER, os.umask(0o077)
    constants.ENABLE_RAY_CLUSTER = False
    try:
        with environment(values):
            read_token(ray)
            yield
    finally:
        constants.ENABLE_RAY_CLUSTER = several
        os.umask(umask)


@contextlib.contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """End all processes of a cluster when the block or this process ends, however it ends.

    Parameters
    ----------
    folder : Path
        Folder of the cluster.
    """
    if sys.platform != "linux":
        yield
        return
    guard = subprocess.Popen(
        [sys.executable, "-P", cluster_guard.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Signals of a terminal are not for it.
    )
    with guard:  # Closes its input at the end, and waits.
        yield


def read_token(ray: Any) -> None:
    """Let Ray read from the environment whether requests have a token; it remembers its last."""
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()
