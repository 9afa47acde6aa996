"""``ganglion board``: one virtual board as a process, its serial line on this terminal.

A terminal is put into the mode a serial terminal has: each key goes to the board, which echoes it,
and Enter is CR. Only Ctrl-C stays ours. With ``pty`` the line is a device of its own beside it, for
picocom, screen or mpremote. A board without a secret registers itself with the running companion
and keeps the secret in the state folder for the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.accounts import check_device_id
from tools.client import Client, Refused
from tools.ending import orders
from tools.plaintext import refuse_plain
from tools.problem import Problem, Usage, shown
from tools.state import Home, Running

if TYPE_CHECKING:
    from tools.vboard import VirtualBoard


@dataclass(frozen=True)
class Login:
    """Where a board connects, and with what. Its user name is its device id."""

    host: str
    port: int
    secret: str
    tls: bool = False
    ca: Path | None = None


def run(
    home: Home,
    device: str,
    *,
    broker: str = "",
    ca: Path | None = None,
    secret: str = "",
    renew: bool = False,
    wait_s: float = 0.0,
    pty: bool = False,
    insecure: bool = False,
) -> None:
    """Run a board until SIGINT, SIGTERM or SIGHUP. Problem when it cannot start.

    ``broker`` is the URL of a broker to use without any companion of ours; else the running
    companion says where its broker is, waited for ``wait_s``.
    """
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        check_device_id(device)
    except ValueError as error:
        raise Usage(str(error)) from error
    if broker:
        if wait_s:
            _running(home, wait_s)
        login = _at_own_broker(broker, ca, secret or home.secret(device) or "")
        refuse_plain(login.host, login.tls, insecure)
    else:
        login = _registered(home, _running(home, wait_s), device, secret, renew)
    os.umask(0o077)  # the flash image holds the secret
    home.create()
    asyncio.run(_run(home, device, login, pty))


def _at_own_broker(broker: str, ca: Path | None, secret: str) -> Login:
    from companion.link import BrokerUrl

    try:
        url = BrokerUrl.parse(broker)
    except ValueError as error:
        raise Usage(f"--broker: {error}") from error
    return Login(url.host, url.port, secret, url.tls, ca)


def _running(home: Home, wait_s: float) -> Running:
    """The companion; with ``wait_s`` one that reaches its broker, or the board would ask for the
    time in vain and ask again only seconds later."""
    until = time.monotonic() + wait_s
    while True:
        try:
            running = home.running()
            if not wait_s or Client(running).health().get("ok"):
                return running
        except Problem:
            if time.monotonic() > until:
                raise
        if time.monotonic() > until:
            return running
        time.sleep(0.03)


def _registered(home: Home, running: Running, device: str, secret: str, renew: bool) -> Login:
    """Log in at the companion's broker, registering first where that is needed."""
    kept = secret or home.secret(device)
    try:
        secret = str(Client(running).register(device, renew=renew)["secret"])
        home.remember(device, secret)
    except Refused as refused:
        if refused.code == "known" and kept is None:
            raise Problem(
                f"{device!r} is registered already, and its secret is not in "
                f"{shown(home.folder / 'devices.json')}. Choose another name with --device, or "
                "take a new secret with --renew, which shuts out the board that has the old one."
            ) from refused
        if refused.code == "no_credentials" and kept is None:
            raise Problem(
                f"the companion uses a broker of yours, so it cannot let {device!r} in. Add a user "
                f"{device!r} there, and give its password with --secret."
            ) from refused
        if refused.code not in ("known", "no_credentials"):
            raise
        secret = kept or ""
    broker = running.broker
    ca = Path(running.ca) if running.ca else None
    return Login(broker.host, broker.port, secret, broker.tls, ca)


async def _run(home: Home, device: str, login: Login, pty: bool) -> None:
    from tools.build import BuildError
    from tools.runtime import RuntimeMissing
    from tools.vboard import BoardBusy, BoardConfig, VirtualBoard
    from tools.vboard.flash import FlashError
    from tools.vboard.line import Line

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, *orders()):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        host, port = login.host, login.port
        if login.tls:
            from tools.tlsrelay import TlsRelay

            try:
                relay = await stack.enter_async_context(TlsRelay(host, port, login.ca))
            except OSError as error:
                raise Usage(f"--ca: {login.ca} cannot be used: {error}") from error
            host, port = "127.0.0.1", relay.port
        config = BoardConfig(secret=login.secret, host=host, port=port)
        board = VirtualBoard(home.folder, device, config)
        board.serial.listeners.append(_print)
        try:
            await stack.enter_async_context(board)
        except (BoardBusy, BuildError, FlashError, RuntimeMissing) as error:
            raise Problem(str(error)) from error
        where = f"{login.host}:{login.port}{' (TLS)' if login.tls else ''}"
        print(
            f"ganglion: board {device!r} on {board.stats()['micropython']}, broker {where}, "
            f"files in {shown(board.folder)}\n"
            "ganglion: this is its serial line; type `help`. Ctrl-C ends the board.",
            flush=True,
        )
        if pty:
            device_path = await stack.enter_async_context(Line(board).open())
            print(f"ganglion: its serial line is {device_path}, too: picocom {device_path}")
        stack.enter_context(_as_a_serial_terminal())
        if board.note:
            print(f"ganglion: {board.note}", flush=True)
        _pass_on_what_is_typed(board, loop)
        await stop.wait()


def _print(data: bytes) -> None:
    with contextlib.suppress(BlockingIOError):
        os.write(1, data)


def _in_foreground() -> bool:
    return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()


@contextlib.contextmanager
def _as_a_serial_terminal() -> Iterator[None]:
    """Keys as they are typed, without echo; Ctrl-C still interrupts us."""
    if sys.stdin is None or not _in_foreground():
        yield
        return
    before = termios.tcgetattr(0)
    try:
        tty.setcbreak(0, termios.TCSANOW)
        mode = termios.tcgetattr(0)
        mode[0] &= ~(termios.ICRNL | termios.IXON)
        termios.tcsetattr(0, termios.TCSANOW, mode)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _send(board: VirtualBoard, data: bytes) -> None:
    with contextlib.suppress(ValueError):  # the board is off: nobody hears it
        board.send(data)


def _pass_on_what_is_typed(board: VirtualBoard, loop: asyncio.AbstractEventLoop) -> None:
    """From stdin to the serial line, in a thread: not every stdin can be waited for."""
    if sys.stdin is None or (os.isatty(0) and not _in_foreground()):
        return  # reading the terminal from the background would stop us (SIGTTIN)

    def read() -> None:
        with contextlib.suppress(OSError, RuntimeError):  # closed, or the loop has ended
            while data := os.read(0, 4096):
                loop.call_soon_threadsafe(_send, board, data)

    threading.Thread(target=read, daemon=True).start()
