"""Logins at a broker of one's own: a command of the user's lets a login in, or shuts it out.

It gets one JSON object on stdin; exit status 0 says that it is done:

    {"action": "add", "user": "kitchen", "secret": "…",
     "write": ["gn/kitchen/up/#"], "read": ["gn/kitchen/down/#", "gn/all/down/event/+"]}
    {"action": "remove", "user": "kitchen"}

``user`` is the client id, too. An ``add`` for a user that is known replaces secret and topics.
"""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tools.accounts import check_device_id, check_sender, sender_topics
from tools.files import write_private

_COMMAND_S: Final = 20.0
_SECRET_BYTES: Final = 24


class CommandLogins:
    """The companion's ``Credentials``. ``file`` keeps who was let in, without secrets.

    Raises ValueError for a command that is none; its methods raise OSError where the command
    fails. Thread-safe.
    """

    def __init__(self, command: str, file: Path) -> None:
        self._command = shlex.split(command)
        if not self._command:
            raise ValueError("it names no command")
        self._file = file
        self._lock = threading.Lock()

    def add(self, device: str) -> str:
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        self.admit(device, secret)
        return secret

    def admit(self, device: str, secret: str) -> None:
        check_device_id(device)
        read = [f"gn/{device}/down/#", "gn/all/down/event/+"]
        self._add(device, secret, [f"gn/{device}/up/#"], read)

    def remove(self, device: str) -> None:
        with self._lock:
            known = self._known()
            if device in known:
                self._run({"action": "remove", "user": device})
                del known[device]
                self._keep(known)

    def known(self, device: str) -> bool:
        return device in self._known()

    def update_key(self, device: str) -> bytes | None:
        """Not kept here: ``ganglion update`` makes it of the secret that this machine remembers."""
        return None

    def add_sender(
        self, name: str, devices: Iterable[str] = (), events: Iterable[str] = ()
    ) -> tuple[str, str]:
        user, secret = check_sender(f"@{name}"), secrets.token_urlsafe(_SECRET_BYTES)
        self._add(user, secret, list(sender_topics(devices, events)), [])
        return user, secret

    def remove_sender(self, name: str) -> None:
        self.remove(f"@{name}")

    def senders(self) -> dict[str, tuple[str, ...]]:
        return {u[1:]: tuple(topics) for u, topics in self._known().items() if u.startswith("@")}

    def _add(self, user: str, secret: str, write: list[str], read: list[str]) -> None:
        with self._lock:
            known = self._known()
            self._run(
                {"action": "add", "user": user, "secret": secret, "write": write, "read": read}
            )
            self._keep({**known, user: write})

    def _run(self, order: dict[str, Any]) -> None:
        what = f"broker.register ({self._command[0]}) could not {order['action']} {order['user']}"
        try:
            done = subprocess.run(
                self._command,
                input=json.dumps(order) + "\n",
                cwd=self._file.parent,
                capture_output=True,
                text=True,
                timeout=_COMMAND_S,
            )
        except subprocess.TimeoutExpired:
            raise OSError(f"{what}: no end after {_COMMAND_S:g} s") from None
        except OSError as error:
            raise OSError(f"{what}: {error.strerror or error}") from None
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            said = said.replace(order.get("secret") or "\0", "***")
            raise OSError(f"{what}: exit status {done.returncode}: {said}")

    def _known(self) -> dict[str, list[str]]:
        """User → the topics that it may write."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise OSError(f"{self._file} is damaged: {error}") from None
        return dict(found)

    def _keep(self, known: dict[str, list[str]]) -> None:
        write_private(self._file, json.dumps(known, indent=1) + "\n")
