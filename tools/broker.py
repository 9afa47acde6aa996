"""The embedded broker: mosquitto as a supervised, unprivileged child on loopback, and for boards
on the network where that is wanted.

    with EmbeddedBroker(home / "broker") as broker:
        secret = broker.add("kitchen")          # the device may log in when this returns
        user, password = broker.add_service("companion")

Everything it needs lies in its folder: configuration, password hashes, access rules, log. Device
ids are MQTT user names and client ids at once (`use_username_as_clientid`), so no device can take
over another's connection, and the access rules confine it to its own topics.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from tools import children, ports
from tools.accounts import PROBE, Accounts, sender_topics
from tools.files import write_private
from tools.listeners import Lan, configuration
from tools.privileges import Dropped, drop_for

log = logging.getLogger("ganglion.broker")

_START_S = 10.0  # mosquitto listens after 10 to 50 ms; a loaded machine gets more
_RELOAD_S = 5.0
_TRIES_FOR_A_PORT = 5
_BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)  # then every 5 s, for as long as we run
_HEALTHY_S = 10.0  # alive for so long: the next death starts with a short delay again
_LOG_KEPT_BYTES = 1 << 20


class BrokerError(OSError):
    """The broker does not start, or does not take up a change. The text says why."""


class EmbeddedBroker:
    """A mosquitto of our own, and the companion's ``Credentials``: who may log in at it.

    Thread-safe; every method blocks for milliseconds.

    ``folder`` is made when missing. ``port``: that one or :class:`tools.ports.PortTaken`; None: the
    one it had before where that is free, else a free one. ``lan`` is a listener for boards on the
    network, beside that on loopback. ``command`` starts mosquitto; None: ``runtime.mosquitto()``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        lan: Lan | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        if command is None:
            from tools import runtime  # may unpack packages: only when really needed

            command = runtime.mosquitto()
        self.host = ports.LOOPBACK
        self.folder = folder
        self.lan = lan
        self.restarts = 0
        self._command = list(command)
        self._wanted = port
        self._port: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._settled = threading.Event()
        self._failure: Exception | None = None
        self._supervisor: threading.Thread | None = None

    # -- life ------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        if self._port is None:
            raise BrokerError("the broker has not been started")
        return self._port

    @property
    def pid(self) -> int | None:
        """mosquitto's process id; None while it is down."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def start(self) -> None:
        """Start mosquitto and return when it accepts logins. Raises PortTaken or BrokerError."""
        if self._supervisor is not None:
            raise BrokerError("the broker was started before")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._dropped: Dropped = drop_for(self.folder, self._command)
        if self._dropped.why_not:
            log.warning("the broker runs as root: %s", self._dropped.why_not)
        self._accounts = Accounts(self.folder, self._dropped.account)
        self._rotate_log()
        # The supervisor forks mosquitto, and lives as long: see children.spawn on threads.
        self._supervisor = threading.Thread(target=self._supervise, name="broker", daemon=True)
        self._supervisor.start()
        atexit.register(self.stop)
        self._settled.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End mosquitto and its supervision. Safe to repeat."""
        self._stopping.set()
        atexit.unregister(self.stop)
        if self._supervisor is not None:
            self._supervisor.join()

    def __enter__(self) -> EmbeddedBroker:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _supervise(self) -> None:
        try:
            self._launch_first()
        except Exception as error:
            self._failure = error
            return
        finally:
            self._settled.set()
        deaths = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            child = self._child
            assert child is not None
            while child.poll() is None and not self._stopping.wait(0.05):
                pass
            if self._stopping.is_set():
                break
            deaths = 1 if time.monotonic() - started > _HEALTHY_S else deaths + 1
            delay_s = _BACKOFF_S[min(deaths, len(_BACKOFF_S)) - 1]
            log.error(
                "mosquitto ended (%s); starting it again on port %d in %g s. Its log: %s",
                _how_it_ended(child.returncode), self.port, delay_s, self._log_path,
            )  # fmt: skip
            if self._stopping.wait(delay_s):
                break
            try:
                self._launch(self.port)
            except BrokerError as error:
                log.error("%s", error)
            else:
                self.restarts += 1
                log.warning("mosquitto runs again on port %d", self.port)
        if self._child is not None:
            children.stop(self._child)

    def _launch_first(self) -> None:
        if self.lan is not None and not ports.is_free(self.lan.port, self.lan.address):
            raise ports.PortTaken(self.lan.port, "boards on the network", "--lan-port")
        if self._wanted is not None:
            if not ports.is_free(self._wanted):
                raise ports.PortTaken(self._wanted)
            self._launch(self._wanted)
            return
        # Boards that still run look where the broker was.
        previous = self._previous_port()
        if previous is not None and ports.is_free(previous):
            with contextlib.suppress(BrokerError):
                self._launch(previous)
                return
        for last in (False,) * (_TRIES_FOR_A_PORT - 1) + (True,):
            port = ports.free_port()
            try:
                self._launch(port)
                return
            except BrokerError:
                # Somebody took it between our look and mosquitto's bind: take another.
                if last or ports.is_free(port):
                    raise

    def _launch(self, port: int) -> None:
        """One mosquitto on ``port``, accepting logins; otherwise BrokerError, nothing left."""
        with self._lock:
            self._write_configuration(port)
            secret = self._accounts.set(PROBE)
            self._accounts.write()
            with self._log_path.open("ab") as output:
                if self._dropped.account is not None:
                    os.fchown(output.fileno(), *self._dropped.account)
                child = children.spawn(
                    [*self._command, "-c", "mosquitto.conf"],
                    cwd=self.folder,
                    stdout=output,
                    stderr=output,
                    account=self._dropped.account,
                )
            self._child, self._port = child, port
            # A login, not a mere connection: somebody else's listener would accept that too.
            end = time.monotonic() + _START_S
            while not _login(self.host, port, PROBE, secret):
                if child.poll() is not None:
                    raise BrokerError(f"mosquitto does not start on port {port}: {self._last()}")
                if time.monotonic() > end or self._stopping.is_set():
                    children.stop(child)
                    raise BrokerError(
                        f"mosquitto accepts no login on port {port} after {_START_S:g} s; "
                        f"see {self._log_path}"
                    )
                time.sleep(0.005)

    # -- users -----------------------------------------------------------------------------

    def add(self, device: str) -> str:
        """Let ``device`` in with a fresh secret, and return that; an old secret is void at once.

        When this returns the broker accepts the new login, and has dropped a connection made with
        the old one. Raises ValueError for a bad id, BrokerError when mosquitto does not follow.
        """
        with self._lock:
            secret = self._accounts.set(device)
            self._reload()
            return secret

    rotate = add

    def admit(self, device: str, secret: str) -> None:
        """Let ``device`` in with this very secret; else as ``add``."""
        with self._lock:
            self._accounts.set(device, secret)
            self._reload()

    def remove(self, device: str) -> None:
        """Shut ``device`` out, dropping its connection; nothing happens when it is not known."""
        with self._lock:
            if self._accounts.drop(device):
                self._reload()

    def known(self, device: str) -> bool:
        """May ``device`` log in?"""
        return device in self.devices()

    def devices(self) -> frozenset[str]:
        """All that may log in, services apart."""
        with self._lock:
            return self._accounts.devices()

    def is_valid(self, device: str, secret: str) -> bool:
        """Would ``device`` be let in with ``secret``?"""
        with self._lock:
            return self._accounts.knows(device, secret)

    def update_key(self, device: str) -> bytes | None:
        """What signs updates of ``device``; None where it is not kept."""
        with self._lock:
            return self._accounts.update_key(device)

    def add_service(self, name: str) -> tuple[str, str]:
        """A user that may use every Ganglion topic, until the broker stops: (user, secret).

        Client ids are pinned to user names: each companion needs a user of its own, or two would
        throw each other out in turn.
        """
        user = f"_{name}"
        return user, self.add(user)

    def add_sender(
        self, name: str, devices: Iterable[str] = (), events: Iterable[str] = ()
    ) -> tuple[str, str]:
        """Somebody who may tell ``devices`` of ``events`` and nothing else: (user, secret).

        It stays from run to run; said again it gets a new secret, and the topics said last. Empty
        is any; the device ``all`` is what all devices hear. ValueError for what is no name.
        """
        topics = sender_topics(devices, events)
        with self._lock:
            secret = self._accounts.set_sender(f"@{name}", topics)
            self._reload()
            return f"@{name}", secret

    def remove_sender(self, name: str) -> None:
        """Shut a sender out; nothing happens when it is not known."""
        self.remove(f"@{name}")

    def senders(self) -> dict[str, tuple[str, ...]]:
        """Name of a sender, as it was added → the topics that it may write."""
        with self._lock:
            return {user[1:]: topics for user, topics in self._accounts.senders().items()}

    def _reload(self) -> None:
        """Make mosquitto read the files again, and wait until it has.

        SIGHUP only asks. A user whose secret changes with each reload tells when it is done.
        While mosquitto is down the files are enough: it reads them when it starts.
        """
        secret = self._accounts.set(PROBE)
        self._accounts.write()
        end = time.monotonic() + _RELOAD_S
        while (child := self._child) is not None and child.poll() is None:
            # Asked anew each round: a signal that comes while it reads would be forgotten.
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGHUP)
            asked = time.monotonic()
            while time.monotonic() < asked + 0.5:
                if _login(self.host, self.port, PROBE, secret):
                    return
                time.sleep(0.003)
            if time.monotonic() > end:
                raise BrokerError(f"mosquitto does not reload its users; see {self._log_path}")

    # -- files -----------------------------------------------------------------------------

    @property
    def _log_path(self) -> Path:
        return self.folder / "mosquitto.log"

    def _write_configuration(self, port: int) -> None:
        texts = {"mosquitto.conf": configuration(self.host, port, self._dropped.user, self.lan)}
        if self.lan is not None and self.lan.tls:
            texts |= {"lan.pem": self.lan.certificate, "lan.key": self.lan.key}
        for name in {"lan.pem", "lan.key"} - set(texts):
            (self.folder / name).unlink(missing_ok=True)
        for name, text in texts.items():
            write_private(self.folder / name, text, self._dropped.account)

    def _previous_port(self) -> int | None:
        with contextlib.suppress(OSError):
            text = (self.folder / "mosquitto.conf").read_text(encoding="utf-8")
            if found := re.search(r"^listener (\d+)", text, re.MULTILINE):
                return int(found[1])
        return None

    def _rotate_log(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self._log_path.stat().st_size > _LOG_KEPT_BYTES:
                self._log_path.replace(self.folder / "mosquitto.log.1")

    def _last(self) -> str:
        """mosquitto's last words: the final lines of its log that tell of an error."""
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-6:]
        errors = [line for line in lines if "error" in line.lower()] or lines[-1:]
        return " ".join(errors) or f"no reason given; see {self._log_path}"


def _how_it_ended(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def _login(host: str, port: int, user: str, secret: str) -> bool:
    """Does the broker accept this login? One MQTT 3.1.1 CONNECT and the code of its CONNACK."""
    fields = b"".join(
        len(part).to_bytes(2, "big") + part
        for part in (user.encode(), user.encode(), secret.encode())
    )
    # protocol name and level, flags (user, password, clean session), keep-alive 5 s
    body = b"\x00\x04MQTT\x04\xc2\x00\x05" + fields
    try:
        with socket.create_connection((host, port), timeout=1.0) as connection:
            connection.sendall(bytes((0x10, len(body))) + body)  # < 128 bytes: one length byte
            accepted = connection.recv(4)[3:4] == b"\x00"
            if accepted:
                connection.sendall(b"\xe0\x00")  # DISCONNECT
            return accepted
    except OSError:
        return False
