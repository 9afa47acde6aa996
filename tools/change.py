"""``ganglion change``: another name or another broker for a board that runs, over MQTT."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tools.options import HomeOption, InsecureOption
from tools.problem import FAILED, Problem, Usage

if TYPE_CHECKING:
    from companion.link import BrokerUrl
    from tools.client import Client
    from tools.state import Home, Running
    from tools.there import There

_LOOK_S: Final = 0.5
_SHOWN: Final = {
    "sent": "asked {device} to change",
    "taken": "{device} takes it, and restarts in some seconds",
    "trying": "{device} tries it; without a connection it comes back by itself after two minutes",
}
_WHY: Final = {
    "back": "it could not connect, and runs with its old settings again. What it said of the new "
    "ones is in its log (`log` on its console)",
    "mac": "it does not take our signature: its secret is another one. Register it again with "
    "a new secret (--renew)",
    "older": "{msg}, and this is less: is this machine's clock behind?",
    "busy": "{msg}; try again later",
    "timeout": "{msg}. If it is not there in a few minutes, look at its console",
    "gone": "{msg}. Ask there: `ganglion devices`, or say a login of that broker in --broker",
}


def change(
    device: Annotated[str, typer.Argument(metavar="DEVICE")],
    name: Annotated[
        str, typer.Option("--name", metavar="NEW", help="Another id; memory and schedules stay.")
    ] = "",
    broker: Annotated[
        str,
        typer.Option("--broker", metavar="URL",
                     help="Another broker, as mqtts://host:port; with user:password@ this command "
                          "looks there whether the board has come."),
    ] = "",
    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="FILE",
                     help="PEM file of the authority that the broker uses. Default: that of the "
                          "companion's broker."),
    ] = None,
    insecure: InsecureOption = False,
    home: HomeOption = None,
) -> None:  # fmt: skip
    """Give DEVICE another name or broker. It goes back by itself if it cannot connect.

    Its Wi-Fi is changed over USB (ganglion provision --change wifi) or at its console.
    """
    from tools.client import Client
    from tools.state import Home

    state = Home(home)
    running = state.running()
    body, url = _body(name, broker, ca, insecure, running)
    client = Client(running)
    key = _key(state, device)
    if key:
        body["key"] = key.hex()
    there = _there(url, ca or _pem(running), device)
    try:
        client.change_settings(device, body)
        done, told = _follow(client, device, there)
    finally:
        if there is not None:
            there.close()
    if told["state"] == "done" and name and key:
        from companion.wire_out import name_secret

        state.remember(name, name_secret(key, name, told["v"]))
    print(_result(told, there))
    if not done:
        raise typer.Exit(FAILED)


def _body(
    name: str, broker: str, ca: Path | None, insecure: bool, running: Running
) -> tuple[dict[str, Any], BrokerUrl | None]:
    """Of `POST /devices/{d}/settings`, and the broker where it is another. Usage, Problem."""
    from tools.accounts import check_device_id
    from tools.plaintext import refuse_plain

    if name and (broker or ca):
        raise Usage("the name and the broker are changed one after the other")
    if name:
        try:
            return {"name": check_device_id(name)}, None
        except ValueError as error:
            raise Usage(str(error)) from error
    if not broker:
        if ca is None:
            raise Usage("say what to change: --name, --broker or --ca")
        return {"ca": _checked(ca)}, None
    from companion.link import BrokerUrl

    try:
        url = BrokerUrl.parse(broker)
    except ValueError as error:
        raise Usage(f"--broker: {error}") from error
    refuse_plain(url.host, url.tls, insecure)
    if not url.tls:
        if ca is not None:
            raise Usage("--ca is for TLS: say mqtts:// in --broker")
        return {"host": url.host, "port": url.port, "ca": "", "insecure": insecure}, url
    pem = ca or _pem(running)
    if pem is None:
        raise Problem(
            "a board trusts the one authority that its broker's certificate needs, and the "
            "companion was told none: give its PEM file with --ca"
        )
    return {"host": url.host, "port": url.port, "ca": _checked(pem)}, url


def _pem(running: Running) -> Path | None:
    return Path(running.boards_ca) if running.boards_ca else None


def _checked(pem: Path) -> str:
    from tools.flash.settings import der

    der(pem)
    return pem.read_text()


def _key(home: Home, device: str) -> bytes:
    """What signs for a device whose login is not the companion's; empty where it is not known."""
    from tools.accounts import update_key

    secret = home.secret(device)
    return update_key(secret) if secret else b""


def _there(url: BrokerUrl | None, ca: Path | None, device: str) -> There | None:
    """Somebody at the other broker, where a login for it was given."""
    if url is None or url.user is None:
        return None
    from tools.there import There

    return There(url, ca, device)


def _follow(client: Client, device: str, there: There | None) -> tuple[bool, dict[str, Any]]:
    """Whether it answers under the new settings, and what the companion says last."""
    state, tty = "", sys.stdout.isatty()
    began = time.monotonic()
    while True:
        told = client.settings(device)
        if there is not None and there.kept(told["v"]):
            told = {**told, "state": "done", "msg": f"it is at {there.address}, and stays"}
        if told["ended"] or told["state"] == "done":
            if tty:
                print("\r\x1b[K", end="")
            return told["state"] == "done", told
        if told["state"] != state:
            state = told["state"]
            print(("\r\x1b[K" if tty else "") + _SHOWN[state].format(device=device), flush=True)
        if tty:
            print(f"\r\x1b[K{time.monotonic() - began:.0f} s", end="", flush=True)
        time.sleep(_LOOK_S)


def _result(told: dict[str, Any], there: There | None) -> str:
    from tools.render import clean

    msg = clean(str(told["msg"]))
    if told["state"] == "done":
        return f"{told['device']}: {msg} ({told['s']:.1f} s)"
    why = _WHY.get(told["code"], "{msg}").format(msg=msg)
    if told["code"] == "gone" and there is not None:
        why = f"it left, and is not at {there.address} either: {msg}"
    return f"{told['device']}: FAILED ({told['code']}): {why}"
