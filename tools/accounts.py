"""Who may log in at the embedded broker, and which topics they may use.

Two files that mosquitto reads: ``passwords`` (only salted hashes) and ``acl``; and ``update-keys``,
ours alone: what signs devices' updates, made of their secrets, which are kept nowhere. Devices stay
in ``passwords`` from run to run, and so do senders of events, whose names begin with ``@``; service
users, whose names begin with ``_``, are made anew each time and forgotten at the next start. No
device id can begin so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from tools.files import write_private

# Logs in to see whether a reload is done (broker.py), and may do nothing.
PROBE = "_reload"

_DEVICE_ID = re.compile(r"[a-z0-9-]{1,32}")
_SERVICE_ID = re.compile(r"_[a-z0-9-]{1,31}")
_SENDER_ID = re.compile(r"@[a-z0-9-]{1,31}")
# As firmware/ganglion/tool_rule.py keeps it.
_EVENT = re.compile(r"[^/+#\s\x00-\x1fA-Z]{1,24}")
_MAX_TOPICS = 64

# A secret is 192 random bits, so no amount of guessing finds it and stretching would add nothing;
# and at each reload mosquitto hashes once for every connected client. 101 is its own default.
_SECRET_BYTES = 24
_PBKDF2_ROUNDS = 101
_SALT_BYTES = 12

# Patterns hold for every user: a device writes its own `up` and reads its own `down`.
_ACL_OF_DEVICES = "pattern write gn/%u/up/#\npattern read gn/%u/down/#\n"
# What is for all devices. Not as a pattern, which mosquitto wants to have a %u in it.
_ACL_OF_ALL = "user {}\ntopic read gn/all/down/event/+\n"


def check_device_id(device: str) -> str:
    """``device`` itself, or ValueError saying what an id looks like."""
    if device == "all" or not _DEVICE_ID.fullmatch(device):
        raise ValueError(
            f"{device!r} is not a device id: 1 to 32 of a-z, 0-9 and '-', and not 'all'"
        )
    return device


def check_sender(user: str) -> str:
    """``user`` itself, or ValueError saying what a sender's name looks like."""
    if not _SENDER_ID.fullmatch(user):
        raise ValueError(f"{user!r} is no sender's name: @ and 1 to 31 of a-z, 0-9 and '-'")
    return user


def sender_topics(devices: Iterable[str] = (), events: Iterable[str] = ()) -> tuple[str, ...]:
    """The topics of who may send ``events`` to ``devices``; empty: any event, any device.

    A device may be ``all``, for the topics that every device hears. Raises ValueError.
    """
    for device in (devices := sorted(set(devices))):
        if device != "all":
            check_device_id(device)
    for event in (events := sorted(set(events))):
        if not _EVENT.fullmatch(event) or len(event.encode()) > 24:
            raise ValueError(
                f"{event!r} is no name of an event: 1 to 24 bytes, no capitals, no space / + #"
            )
    topics = [f"gn/{d}/down/event/{e}" for d in devices or ["+"] for e in events or ["+"]]
    if len(topics) > _MAX_TOPICS:
        raise ValueError(f"{len(topics)} topics for one sender; {_MAX_TOPICS} at most")
    return tuple(topics)


def password_line(user: str, secret: str, salt: bytes | None = None) -> str:
    """A line as ``mosquitto_passwd`` writes it: ``user:$7$rounds$salt$hash`` (PBKDF2-SHA512)."""
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, _PBKDF2_ROUNDS)
    shown = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"{user}:$7${_PBKDF2_ROUNDS}${'$'.join(shown)}"


def update_key(secret: str) -> bytes:
    """What signs the updates of the device with that secret (docs/protocol.md, Updates)."""
    return hmac.digest(secret.encode(), b"ganglion update", "sha256")


def matches(line: str, secret: str) -> bool:
    """Is ``secret`` the one a ``$7$`` line was made of?"""
    _, _, rounds, salt, digest = line.partition(":")[2].split("$")
    made = hashlib.pbkdf2_hmac("sha512", secret.encode(), base64.b64decode(salt), int(rounds))
    return hmac.compare_digest(made, base64.b64decode(digest))


class Accounts:
    """The two files in ``folder``, owned by ``owner`` (uid, gid; None: ourselves).

    Each change rewrites the files at one instant. mosquitto takes it up when told to reload.
    """

    def __init__(self, folder: Path, owner: tuple[int, int] | None = None) -> None:
        self.passwords = folder / "passwords"
        self.acl = folder / "acl"
        self._keys_file = folder / "update-keys"
        self._owner = owner
        self._lines = {user: line for user, line in self._read() if _kept(user)}
        self._topics = self._read_topics()
        self._keys = self._read_keys()
        self.write()

    def _read(self) -> list[tuple[str, str]]:
        try:
            text = self.passwords.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [(line.partition(":")[0], line) for line in text.splitlines() if ":$7$" in line]

    def _read_topics(self) -> dict[str, tuple[str, ...]]:
        """What each sender may write, from the rules of the last run."""
        found: dict[str, list[str]] = {}
        user = ""
        if self.acl.exists():
            for line in self.acl.read_text(encoding="utf-8").splitlines():
                word, _, rest = line.partition(" ")
                if word == "user":
                    user = rest
                elif word == "topic" and user in self._lines and user.startswith("@"):
                    found.setdefault(user, []).append(rest.removeprefix("write "))
        return {user: tuple(topics) for user, topics in found.items()}

    def _read_keys(self) -> dict[str, str]:
        try:
            rows = [line.split() for line in self._keys_file.read_text().splitlines()]
        except FileNotFoundError:
            return {}
        return {row[0]: row[1] for row in rows if len(row) == 2 and row[0] in self._lines}

    def update_key(self, user: str) -> bytes | None:
        """What signs updates of a device; None for one that was made before these were kept."""
        key = self._keys.get(user)
        return None if key is None else bytes.fromhex(key)

    def write(self) -> None:
        """Bring the files up to date."""
        keys = "".join(f"{user} {key}\n" for user, key in sorted(self._keys.items()))
        write_private(self._keys_file, keys)
        services = sorted(user for user in self._lines if user.startswith("_") and user != PROBE)
        rules = [f"user {user}\ntopic readwrite gn/#\n" for user in services]
        for user, topics in sorted(self._topics.items()):
            rules += [f"user {user}\n", *(f"topic write {topic}\n" for topic in topics)]
        rules += map(_ACL_OF_ALL.format, sorted(self.devices()))
        # mosquitto takes a pattern after a `user` line for everyone all the same.
        write_private(self.acl, "".join(rules) + _ACL_OF_DEVICES, self._owner)
        lines = "".join(f"{line}\n" for line in self._lines.values())
        write_private(self.passwords, lines, self._owner)

    def set(self, user: str, secret: str = "") -> str:
        """A fresh secret for ``user``, known or not, or this one; an old one is void. Returns the
        secret.

        Raises ValueError for a name that is neither a device id nor a service name.
        """
        if not _SERVICE_ID.fullmatch(user):
            check_device_id(user)
        return self._set(user, secret)

    def set_sender(self, user: str, topics: Iterable[str]) -> str:
        """A fresh secret for ``user``, which may write ``topics`` and read nothing; see
        `sender_topics`. Raises ValueError for a name that is none of a sender."""
        self._topics[check_sender(user)] = tuple(topics)
        return self._set(user)

    def _set(self, user: str, secret: str = "") -> str:
        secret = secret or secrets.token_urlsafe(_SECRET_BYTES)
        self._lines[user] = password_line(user, secret)
        if _DEVICE_ID.fullmatch(user):
            self._keys[user] = update_key(secret).hex()
        return secret

    def drop(self, user: str) -> bool:
        """Forget ``user``. Returns whether it was known."""
        self._topics.pop(user, None)
        self._keys.pop(user, None)
        return self._lines.pop(user, None) is not None

    def devices(self) -> frozenset[str]:
        return frozenset(user for user in self._lines if user[0] not in "_@")

    def senders(self) -> dict[str, tuple[str, ...]]:
        """Name of a sender → the topics that it may write."""
        return dict(self._topics)

    def knows(self, user: str, secret: str) -> bool:
        """Would ``user`` be let in with ``secret``?"""
        line = self._lines.get(user)
        return line is not None and matches(line, secret)


def _kept(user: str) -> bool:
    """Does ``user`` stay from run to run?"""
    return bool(_DEVICE_ID.fullmatch(user) or _SENDER_ID.fullmatch(user))
