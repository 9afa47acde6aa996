"""Started as root: which lesser account can a child run as?

mosquitto gives up root by itself, but only after it has started, which on Linux also clears the
signal that ends it with its parent, and leaves it unable to read files under root's own folders.
So we choose the account, check that it can reach what it must, and change to it before starting.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ACCOUNTS = ("mosquitto", "nobody")


@dataclass(frozen=True)
class Dropped:
    """``account`` is (uid, gid) to change to, None to stay; ``user`` names who we run as then.

    ``why_not`` says why root was kept, ``""`` where it was not or where we never were root.
    """

    account: tuple[int, int] | None
    user: str
    why_not: str = ""


def drop_for(folder: Path, command: Sequence[str]) -> Dropped:
    """The account for a child that owns ``folder`` and runs ``command``; gives it the folder."""
    if os.geteuid() != 0:
        return Dropped(None, _name(os.geteuid()))
    account = next((found for name in _ACCOUNTS if (found := _lookup(name))), None)
    if account is None:
        return Dropped(None, "root", f"there is no user {' or '.join(_ACCOUNTS)}")
    uid, gid = account.pw_uid, account.pw_gid
    files = [Path(word) for word in command if word.startswith("/")]
    for path in (*files, folder):
        blocked = _blocked_at(path.resolve(), uid, gid)
        if blocked is not None:
            return Dropped(None, "root", f"user {account.pw_name} cannot enter {blocked}")
    os.chown(folder, uid, gid)
    return Dropped((uid, gid), account.pw_name)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's numeric user; mosquitto looks at `user` only as root
        return str(uid)


def _lookup(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _blocked_at(path: Path, uid: int, gid: int) -> Path | None:
    """The first folder above ``path`` that (uid, gid) may not enter."""
    for parent in reversed(path.parents):
        facts = parent.stat()
        owned = facts.st_uid == uid, facts.st_gid == gid
        allowed = stat.S_IXUSR if owned[0] else stat.S_IXGRP if owned[1] else stat.S_IXOTH
        if not facts.st_mode & allowed:
            return parent
    return None
