"""``ganglion update``: another firmware for boards that run, over MQTT."""

from __future__ import annotations

import base64
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.accounts import update_key
from tools.build import BuildError, build_firmware
from tools.client import Client
from tools.package import package
from tools.paths import FIRMWARE
from tools.problem import Problem, Usage
from tools.state import Home

_LOOK_S: Final = 0.2
_BAR: Final = 24


@dataclass(frozen=True)
class Options:
    """``firmware``: the sources. ``older``: it may be older than what a device has."""

    home: Home
    devices: Sequence[str]
    older: bool = False
    firmware: Path = FIRMWARE


def update(options: Options) -> bool:
    """Whether every device runs it now. Problem where nothing could be started."""
    client = Client(options.home.running())
    job = start(client, options)
    while True:
        told = client.update(job)
        _show(told)
        if told["ended"]:
            break
        time.sleep(_LOOK_S)
    if sys.stdout.isatty():
        print("\r\x1b[K", end="")
    for row in told["devices"]:
        print(_result(row))
    return all(row["state"] == "done" for row in told["devices"])


def start(client: Client, options: Options) -> str:
    """Build it and hand it over; the id to ask `Client.update` with."""
    if not (options.firmware / "ganglion" / "__init__.py").exists():
        raise Usage(f"{options.firmware} holds no firmware: there is no ganglion/__init__.py in it")
    with tempfile.TemporaryDirectory(prefix="gn-update-") as folder:
        own = None if options.firmware == FIRMWARE else Path(folder) / "firmware"
        try:
            packed = package(build_firmware(options.firmware, own))
        except BuildError as error:
            raise Problem(str(error)) from error
        files = {path: base64.b64encode(packed.content(path)).decode() for path in packed.files}
    secrets = {device: options.home.secret(device) for device in options.devices}
    keys = {device: update_key(secret).hex() for device, secret in secrets.items() if secret}
    manifest = packed.manifest.decode()
    size = sum(entry.size for entry in packed.files.values())
    print(f"firmware {packed.build.version}: {len(files)} files, {size:,} bytes", flush=True)
    body = {"devices": list(dict.fromkeys(options.devices)), "manifest": manifest, "files": files}
    return client.start_update({**body, "older": options.older, "keys": keys})


def _show(told: dict[str, Any]) -> None:
    from tools.render import clean

    if not sys.stdout.isatty():
        return
    rows = told["devices"]
    sent, total = sum(row["sent"] for row in rows), sum(row["total"] for row in rows)
    filled = _BAR * sent // max(total, 1)
    running = [row for row in rows if row["state"] not in ("done", "failed")]
    words = clean(", ".join(sorted({row["msg"] or row["state"] for row in running})))
    bar = "#" * filled + "." * (_BAR - filled)
    print(f"\r\x1b[K[{bar}] {100 * sent // max(total, 1)} % {words:.80}", end="")
    sys.stdout.flush()


_WHY: Final = {
    "mac": "it does not take our signature: its secret is another one. Register it again with "
    "a new secret (--renew)",
    "older": "{msg}. With --older it goes back",
    "full": "{msg}. Delete what it need not keep",
    "hash": "{msg}. What was sent did not arrive as it was signed; try again",
    "back": "the new firmware did not come online and answer within three boots. {msg}",
    "timeout": "it did not end in time: {msg}. What it has it keeps; run this again to go on",
    "busy": "{msg}; try again later",
}


def _result(row: dict[str, Any]) -> str:
    from tools.render import clean

    msg = clean(str(row["msg"]))
    if row["state"] == "done":
        size = row["bytes_up"] + row["bytes_down"]
        had = " already" if row["code"] == "current" and not row["sent"] else ""
        return f"{row['device']}: {msg}{had} ({row['s']:.1f} s, {size:,} bytes on the wire)"
    why = _WHY.get(row["code"], "{msg}").format(msg=msg)
    return f"{row['device']}: FAILED ({row['code']}): {why}"
