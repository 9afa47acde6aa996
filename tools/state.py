"""The state folder of a running system: who runs, where, and what boards need to start again.

    run.json       written by `ganglion serve`, removed when it ends (0600: it holds the token)
    serve.lock     locked as long as `serve` runs; the lock, not the file, says that it lives
    devices.json   secrets of the boards started here (0600)
    ganglion.toml  backends and limits, by the user's hand; nothing writes it
    ca/            the private authority and the broker's certificate (0600): certificates.py

A process number alone proves little, since numbers are given out again; a lock ends with its
holder, however it dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from tools.files import write_private
from tools.paths import ganglion_home
from tools.problem import Problem, shown


@dataclass(frozen=True)
class Broker:
    host: str
    port: int
    tls: bool = False


@dataclass(frozen=True)
class Running:
    """What run.json says. ``ca`` is the PEM file that the broker's certificate needs, if any.

    ``lan`` is where boards on the network reach the embedded broker, and ``lan_ca`` the authority
    that its certificate needs; None: it listens on loopback only.
    """

    url: str
    token: str
    pid: int
    broker: Broker
    ca: str | None = None
    lan: Broker | None = None
    lan_ca: str | None = None

    @property
    def boards(self) -> Broker:
        """Where a board connects."""
        return self.lan or self.broker

    @property
    def boards_ca(self) -> str | None:
        """PEM file of what a board is to trust; None without TLS."""
        return self.lan_ca if self.lan else self.ca


class Home:
    """One state folder, by default `tools.paths.ganglion_home()`; made when first written to."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or ganglion_home()).expanduser().absolute()
        self._run = self.folder / "run.json"
        self._devices = self.folder / "devices.json"
        self.config = self.folder / "ganglion.toml"
        self.ca = self.folder / "ca"

    def command(self, name: str) -> str:
        """How a person calls command ``name`` on this folder."""
        own = self.folder == ganglion_home()
        return f"ganglion {name}" + ("" if own else f" --home {shown(self.folder)}")

    def create(self) -> None:
        try:
            if self.folder.is_dir():
                return
            self.folder.mkdir(parents=True)
            # As root the broker runs as another user, which must pass through (and reads nothing).
            self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        except OSError as error:
            raise Problem(
                f"cannot make the state folder {shown(self.folder)}: {error.strerror}. "
                "Choose another with --home or GANGLION_HOME."
            ) from error

    # -- run.json --------------------------------------------------------------------------

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Be the one `serve` of this folder; Problem when there is one already.

        Removes a stale run.json at the start, and ours at the end.
        """
        self.create()
        with _locked(self.folder / "serve.lock", wait=False) as lock:
            if lock is None:
                running = self._read_run()
                who = f" (pid {running.pid}, {running.url})" if running else ""
                raise Problem(
                    f"a companion already runs{who} with the state folder {shown(self.folder)}. "
                    "Stop that one, or give this one a folder of its own with --home."
                )
            self._run.unlink(missing_ok=True)
            try:
                yield
            finally:
                self._run.unlink(missing_ok=True)

    def announce(self, running: Running) -> None:
        """Tell the other commands where we are."""
        write_private(self._run, json.dumps(asdict(running), indent=1) + "\n")

    def running(self) -> Running:
        """The companion of this folder, or Problem saying how to start one."""
        running = self._read_run()
        if running is None or not _is_alive(running.pid):
            how = "" if running is None else ": it ended without cleaning up"
            raise Problem(
                f"the companion is not running{how} (state folder {shown(self.folder)}). "
                f"Start it with `{self.command('serve')}`, in another terminal."
            )
        return running

    def _read_run(self) -> Running | None:
        try:
            data = json.loads(self._run.read_text(encoding="utf-8"))
            lan = Broker(**data["lan"]) if data.get("lan") else None
            return Running(**{**data, "broker": Broker(**data["broker"]), "lan": lan})
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise Problem(f"{shown(self._run)} is another user's: {error.strerror}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise Problem(
                f"{shown(self._run)} is damaged ({error}). "
                "Stop `ganglion serve`, delete the file, and start it again."
            ) from error

    # -- devices.json ----------------------------------------------------------------------

    def secret(self, device: str) -> str | None:
        """What ``device`` logs in with, if a board of that name was started here before."""
        known = self._read_devices().get(device)
        return known if isinstance(known, str) else None

    def remember(self, device: str, secret: str) -> None:
        """Keep ``secret`` for the next start of ``device``."""
        self.create()
        with _locked(self.folder / "devices.lock", wait=True):
            write_private(
                self._devices,
                json.dumps({**self._read_devices(), device: secret}, indent=1) + "\n",
            )

    def _read_devices(self) -> dict[str, Any]:
        try:
            data = json.loads(self._devices.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Problem(
                f"{shown(self._devices)} cannot be read ({error}). "
                "Delete it: the boards get new secrets when they start."
            ) from error
        return data if isinstance(data, dict) else {}

    def board(self, device: str) -> Path:
        """The folder of a virtual board: its flash and its control socket."""
        return self.folder / "boards" / device


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[IO[str] | None]:
    """Hold ``path`` locked; None when another holds it and we do not ``wait``."""
    try:
        opened = path.open("w")
    except OSError as error:
        raise Problem(
            f"the state folder {shown(path.parent)} cannot be written: {error.strerror}. "
            "Choose another with --home or GANGLION_HOME."
        ) from error
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
