"""Which other users of the machine can read a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["find_readers"]


def find_readers(path: Path) -> str:
    """Return which other users can read a file: "everyone", "the group NAME", or "" for none.

    The permissions of the folders that lead to the file count too. Lists of single users (ACLs)
    are not looked at, and on Windows the result is "".

    Parameters
    ----------
    path : Path
        A file that exists.
    """
    if os.name == "nt":
        return ""
    import grp
    import pwd

    path = path.resolve()
    status = path.stat()
    everyone, group = status.st_mode & stat.S_IROTH, status.st_mode & stat.S_IRGRP
    for folder in path.parents:
        on_the_way = folder.stat()
        everyone = everyone and on_the_way.st_mode & stat.S_IXOTH
        bit = stat.S_IXGRP if on_the_way.st_gid == status.st_gid else stat.S_IXOTH
        group = group and on_the_way.st_mode & bit
    if everyone:
        return "everyone"
    if not group:
        return ""
    try:
        name, members = (entry := grp.getgrgid(status.st_gid)).gr_name, set(entry.gr_mem)
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:  # Of a container or a directory service that does not answer.
        return f"the group {status.st_gid}"
    # Most systems give each user a group of the same name, which has no other member.
    return "" if name == owner and members <= {owner} else f"the group {name}"
