"""What a board is told of itself and of where it belongs: asked for, registered, put together."""

from __future__ import annotations

import getpass
import os
import ssl
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.accounts import check_device_id
from tools.client import Client, Refused
from tools.plaintext import is_loopback, refuse_plain
from tools.problem import Problem, Usage, shown
from tools.state import Home, Running

CA_ON_BOARD: Final = "/ca.der"


@dataclass(frozen=True)
class Said:
    """What a person said on the command line. ``device`` "" keeps the board's name, or makes one of
    its MAC; ``ca`` is a PEM file, None: that of the companion's broker."""

    home: Home
    port: str = ""
    device: str = ""
    ssid: str = ""
    renew: bool = False
    ca: Path | None = None
    insecure: bool = False

    def check(self) -> None:
        """Usage for a name that is none."""
        if self.device:
            try:
                check_device_id(self.device)
            except ValueError as error:
                raise Usage(str(error)) from error


@dataclass(frozen=True, slots=True)
class Place:
    """Where a board connects. ``ca`` is DER, empty without TLS."""

    host: str
    port: int
    ca: bytes

    def entries(self) -> dict[str, Any]:
        """Of `/config.json`."""
        found: dict[str, Any] = {"host": self.host, "port": self.port}
        return {**found, "ca": CA_ON_BOARD} if self.ca else found


def place(said: Said, running: Running, port: str) -> Place:
    """The companion's broker, for a board at the serial line ``port``. Problem where that board
    could not reach it, or could not verify it."""
    broker = running.boards
    # A virtual board's line is a pseudo-terminal, and its network is this machine's.
    if is_loopback(broker.host) and not port.startswith("/dev/pts/"):
        raise Problem(
            "the companion's broker listens on this machine only, where no board can reach it. "
            f"Run `{said.home.command('ca init')}` once, and start "
            f"`{said.home.command('serve --lan')}`"
        )
    refuse_plain(broker.host, broker.tls, said.insecure)
    if not broker.tls:
        return Place(broker.host, broker.port, b"")
    pem = said.ca or (Path(running.boards_ca) if running.boards_ca else None)
    if pem is None:
        raise Problem(
            "a board trusts the one authority that its broker's certificate needs, and the "
            "companion was told none: give its PEM file with --ca"
        )
    return Place(broker.host, broker.port, der(pem))


def der(pem: Path) -> bytes:
    """Of a PEM file of one certificate; Problem where it is none."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        found = ssl.PEM_cert_to_DER_cert(pem.read_text())
        key = x509.load_der_x509_certificate(found).public_key()
    except (OSError, ValueError) as error:
        raise Problem(f"{shown(pem)} is no PEM file of one certificate: {error}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        print(f"         {shown(pem)} has no P-256 key: its chain may not fit the chip's memory")
    return found


def begin_count(config: dict[str, Any]) -> None:
    """A board that has not dealt with any settings by message takes none that was sent before now:
    its flash may have been erased, and its secret be the same (docs/protocol.md, Settings)."""
    config.setdefault("v", int(time.time()))


def wifi(ssid: str) -> dict[str, str]:
    """From the environment, or asked; the password without echo."""
    ssid = ssid or os.environ.get("GANGLION_WIFI_SSID", "")
    password = os.environ.get("GANGLION_WIFI_PASSWORD")
    if not sys.stdin.isatty() and (not ssid or password is None):
        raise Usage(
            "the board needs a Wi-Fi network: set GANGLION_WIFI_SSID and GANGLION_WIFI_PASSWORD "
            "(empty for an open network), or run this at a terminal and be asked"
        )
    ssid = ssid or input("Wi-Fi network (2.4 GHz): ").strip()
    if password is None:
        password = getpass.getpass(f"Password of {ssid!r} (empty if open): ")
    if not 1 <= len(ssid.encode()) <= 32:
        raise Usage("the name of a Wi-Fi network has 1 to 32 bytes")
    if password and not 8 <= len(password.encode()) <= 63:
        raise Usage("a WPA password has 8 to 63 characters; none for an open network")
    return {"ssid": ssid, "password": password}


def login(said: Said, client: Client, device: str, held: str = "") -> str:
    """The secret of ``device``, registered where it is not. ``held`` is what the board has as
    that device, "" if it is another or none."""
    kept = said.home.secret(device) or held
    try:
        secret = str(client.register(device, renew=said.renew)["secret"])
    except Refused as refused:
        if refused.code == "known" and kept:
            return kept  # registered in a run that was cut off before the board had it
        if refused.code == "known":
            raise Problem(
                f"{device!r} is registered already, and this board is not it. Give another name "
                "with --device, or take a new secret with --renew, which shuts the other one out"
            ) from refused
        if refused.code == "no_credentials":
            return held or _own_login(device)
        raise
    # Before the board has it: a run that is cut off here goes on with the same.
    said.home.remember(device, secret)
    return secret


def _own_login(device: str) -> str:
    """At a broker whose logins the companion does not manage."""
    secret = os.environ.get("GANGLION_SECRET", "")
    if not secret and sys.stdin.isatty():
        secret = getpass.getpass(f"Password of user {device!r} at your broker: ")
    if not secret:
        raise Problem(
            f"the companion uses a broker of yours, and cannot let {device!r} in. Add a user "
            f"{device!r} there and give its password as GANGLION_SECRET, or name a command that "
            "does it: docs/operating.md, 'A broker of your own'"
        )
    return secret
