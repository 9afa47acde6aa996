"""The bench: a broker, a companion and a network of its own, and one board."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from companion.app import Companion
from companion.config import BrokerConfig, Config
from companion.update import Package
from tools.broker import EmbeddedBroker
from tools.certificates import Authority, addresses
from tools.hil import capabilities
from tools.hil.board import Board
from tools.hil.capabilities import Capabilities
from tools.hil.faults import FaultProxy
from tools.hil.loop import LoopThread
from tools.hil.real import RealHands
from tools.hil.second import Second
from tools.hil.switches import make_power, make_wifi
from tools.hil.variants import Edit, sources
from tools.hil.virtual import VirtualHands
from tools.hil.wire import Wire
from tools.listeners import Lan
from tools.paths import FIRMWARE
from tools.ports import LOOPBACK, free_port
from tools.problem import Problem

DEVICE: Final = "bench"
_BROKER_S: Final = 10.0
_BACK_S: Final = 45.0
"""The longest pause between two tries, and what a connection takes (docs/limits.md)."""


@dataclass(frozen=True)
class Options:
    """``port`` "" is the virtual board. ``planted`` are edits of its firmware, ``host`` what a real
    board calls this machine ("": its address), ``kept`` where its files are meanwhile."""

    port: str = ""
    host: str = ""
    capabilities: Capabilities = field(default_factory=Capabilities)
    kept: Path = Path("build/hil/kept")
    planted: tuple[Edit, ...] = ()


class Faults:
    """The network's faults, for tests: `FaultProxy`'s methods, each done when it returns."""

    def __init__(self, proxy: FaultProxy, loop: LoopThread) -> None:
        self.proxy = proxy
        self._loop = loop

    def clear(self) -> None:
        self._loop.call(self.proxy.clear())

    def refuse(self) -> None:
        self._loop.call(self.proxy.refuse())

    def reset(self) -> None:
        self._loop.call(self.proxy.reset())

    def blackhole(self) -> None:
        self._loop.call(self.proxy.blackhole())

    def half_open(self) -> None:
        self._loop.call(self.proxy.half_open())

    def slow(self, bytes_per_s: int, delay_ms: int = 0) -> None:
        self._loop.call(self.proxy.slow(bytes_per_s, delay_ms))

    def truncate(self, after_bytes: int) -> None:
        self._loop.call(self.proxy.truncate(after_bytes))

    def delay_connack(self, seconds: float) -> None:
        self._loop.call(self.proxy.delay_connack(seconds))

    def retarget(self, host: str, port: int) -> None:
        self._loop.call(self.proxy.retarget(host, port))


class Bench:
    """``with Bench(options) as bench``: everything runs, and the board is online."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.capabilities = options.capabilities if options.port else capabilities.VIRTUAL
        self._stack = contextlib.ExitStack()
        self._second: Second | None = None

    def __enter__(self) -> Bench:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        # pytest's own folders are closed to the unprivileged broker.
        self.folder = Path(tempfile.mkdtemp(prefix="gn-hil-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o711)
        self.loop = LoopThread()
        self._stack.callback(self.loop.close)
        host = self._host()
        self.authority = Authority(self.folder / "ca")
        self.authority.make([host])
        tls_port = free_port()
        lan = Lan(tls_port, self.authority.broker_pem.read_text(),
                  self.authority.broker_key.read_text(), address=LOOPBACK)  # fmt: skip
        self.broker = self._stack.enter_context(EmbeddedBroker(self.folder / "broker", lan=lan))
        near = LOOPBACK if self._is_near else "0.0.0.0"
        self.proxy = FaultProxy(LOOPBACK, tls_port, host=near)
        self.loop.call(self.proxy.start())
        self._stack.callback(lambda: self.loop.call(self.proxy.stop()))
        self.faults = Faults(self.proxy, self.loop)
        user, password = self.broker.add_service("companion")
        url = f"mqtt://{user}:{password}@{LOOPBACK}:{self.broker.port}"
        config = Config(broker=BrokerConfig(url))
        self.companion = self.loop.do(lambda: Companion(config, self.broker))
        self.loop.call(self.companion.start(http=False))
        self._stack.callback(lambda: self.loop.call(self.companion.stop()))
        self.secret = self.broker.add(DEVICE)
        self.wire = Wire(DEVICE, self.broker.port, *self.broker.add_service("hil"))
        self._stack.callback(self.wire.close)
        self.hands = self._hands()
        self._stack.callback(self.hands.close)
        self.hands.open(self.secret, host, self.proxy.port, self.authority.ca_der.read_bytes())
        self.board = Board(self.hands, self.wire, self)
        self.board.online()

    @property
    def _is_near(self) -> bool:
        # A pseudo-terminal is a virtual board's, whose network is this machine's.
        return not self.options.port or self.options.port.startswith("/dev/pts/")

    def _host(self) -> str:
        if self._is_near:
            return "localhost"
        if self.options.host:
            return self.options.host
        found = [address for address in addresses() if not address.startswith("127.")]
        if not found:
            raise Problem("this machine has no address on a network where a board could reach it")
        return found[0]

    def _hands(self) -> VirtualHands | RealHands:
        options = self.options
        if not options.port:
            firmware = FIRMWARE
            if options.planted:
                firmware = sources(self.folder / "planted", options.planted)
            return VirtualHands(self.folder, DEVICE, self.loop, firmware)
        if options.planted:
            raise Problem("a fault is planted into the virtual board only: leave PORT out")
        has = options.capabilities
        return RealHands(
            options.port,
            DEVICE,
            options.kept,
            make_power(has.power) if has.power else None,
            make_wifi(has.wifi) if has.wifi else None,
            has.wifi.ssid if has.wifi else "",
        )

    def second(self) -> Second:
        """The other board. A test that asks for it needs ``second``."""
        has = self.capabilities.second
        assert has is not None
        if self._second is None:
            port = has.port
            if isinstance(self.hands, VirtualHands):
                port = self.hands.second()
            self._second = Second(port, has.to_pin)
        return self._second

    # ---- what the board's tests need of it

    def say(self, text: str) -> dict[str, Any]:
        return self.loop.call(self.companion.dispatch.say(DEVICE, text)).public()

    def update(self, made: Package, older: bool) -> str:
        key = self.broker.update_key(DEVICE)
        assert key is not None
        return self.loop.do(lambda: self.companion.updates.start(made, {DEVICE: key}, older=older))

    def update_job(self, job: str) -> dict[str, Any]:
        return self.loop.do(lambda: self.companion.updates.job(job))

    def broker_down(self) -> None:
        """mosquitto dies with all it knew; for boards nobody is there until `broker_up`."""
        self.faults.refuse()
        pid = self.broker.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def broker_up(self) -> None:
        """It is there again, as after its machine's new start. Problem where it does not come."""
        until = time.monotonic() + _BROKER_S
        while self.broker.pid is None:
            if time.monotonic() > until:
                raise Problem(f"mosquitto did not come back within {_BROKER_S:g} s")
            time.sleep(0.01)
        self.faults.clear()

    def all_well(self, patient: bool = True) -> None:
        """Whatever a test broke is whole again, and the board is online; one that is not is reset
        after a while, or at once."""
        self.broker_up()
        if self.capabilities.wifi:
            self.hands.wifi(True)
        if self.capabilities.power:
            self.hands.power(True)
        if not self.board.is_online:
            try:
                self.board.online(seconds=_BACK_S if patient else 0)
            except TimeoutError:
                self._bring_back()

    def _bring_back(self) -> None:
        """From safe mode, too, which a new start alone does not end."""
        before = self.board.boot
        if self.capabilities.power:
            self.board.power(False)
            self.board.power(True)
        else:
            self.board.line.type("safe off\r")
            self.board.press()
        self.board.online(after=before)

    def described(self) -> dict[str, Any]:
        """Of the report: the board, and this machine."""
        told = self.board.do("get_version")
        about = self.hands.described()
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        return {
            "kind": self.hands.kind,
            "device": told["device"],
            "chip": about["chip"],
            "micropython": told["micropython"],
            "firmware": told["fw"],
            "port": about["port"],
            "machine": "; ".join(part for part in (machine, about["machine"]) if part),
        }
