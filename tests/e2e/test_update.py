"""Firmware over MQTT: a real mosquitto, a companion, a virtual board with two slots. What the
companion would never send is sent by the test in its place."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from companion import wire_out
from companion.app import Companion
from companion.config import BrokerConfig, Config
from companion.update import MANIFEST, Package, read_package
from tests.e2e.rig import Tap
from tools import runtime
from tools.accounts import update_key
from tools.broker import EmbeddedBroker
from tools.build import build_firmware
from tools.package import number, package
from tools.paths import FIRMWARE
from tools.vboard import BoardConfig, VirtualBoard
from tools.vboard.flash import prepare

FULL = bool(os.environ.get("GANGLION_FULL"))
Edits = dict[str, tuple[str, str]]

# Times of a trial, so short that a test can wait for them.
WATCHDOG = {"choose.py": ("timeout=30000", "timeout=2000")}
HASTY = {**WATCHDOG, "deadline.py": ("_PROVE_S = const(120)", "_PROVE_S = const(2)")}


def sources(folder: Path, version: str, edits: Edits) -> Path:
    shutil.copytree(FIRMWARE, folder)
    changes = {"ganglion/__init__.py": ('"0.1.0"', f'"{version}"'), **edits}
    for name, (old, new) in changes.items():
        text = (folder / name).read_text()
        assert text.count(old) == 1, (name, old)
        (folder / name).write_text(text.replace(old, new))
    return folder


class House:
    """One board, its broker and its companion. The board begins as version 1.0.0."""

    def __init__(self, folder: Path, broker: EmbeddedBroker, first: Path) -> None:
        self.folder = folder
        self._first = first
        self.broker = broker
        user, password = broker.add_service("tap")
        self.tap = Tap("127.0.0.1", broker.port, user, password)
        user, password = broker.add_service("companion")
        url = f"mqtt://{user}:{password}@127.0.0.1:{broker.port}"
        self.companion = Companion(Config(broker=BrokerConfig(url)), broker)
        self.secret = broker.add("demo")
        self._n = 0
        config = BoardConfig(self.secret, "127.0.0.1", broker.port)
        # What is compiled already is not compiled again.
        shutil.copytree(first / "build", folder / "boards" / "demo" / "build")
        shutil.copy(first / "flash.img", folder / "boards" / "demo")
        self.board = VirtualBoard(folder, "demo", config, firmware=first / "firmware")

    def made(self, version: str, edits: Edits | None = None) -> Package:
        # Where only the version differs, only that file is compiled again.
        name = f"made-{len(list(self.folder.iterdir()))}" if edits else "plain"
        folder = self.folder / name
        if folder.exists():
            (folder / "ganglion" / "__init__.py").write_text(f'VERSION = "{version}"\n')
        else:
            sources(folder, version, edits or {})
            shutil.copytree(self._first / "build", self.folder / f"{name}-build")
        packed = package(build_firmware(folder, self.folder / f"{name}-build"))
        files = {path: packed.content(path) for path in packed.files}
        return read_package(packed.manifest, files)

    async def online(self, after: int = 0, seconds: float = 30) -> dict[str, Any]:
        """The status of a boot later than ``after``, once it knows the time."""
        return await until(
            lambda: next(
                (
                    s
                    for s in reversed(self.tap.of("status"))
                    if s["boot"] > after and s["online"] and s["clock"]
                ),
                None,
            ),
            seconds,
        )

    @property
    def boot(self) -> int:
        return int(self.tap.of("status")[-1]["boot"])

    async def do(self, tool: str, /, **args: Any) -> dict[str, Any]:
        return (await self.companion.dispatch.do("demo", tool, args))["receipt"]

    def start(self, made: Package, *, older: bool = False) -> str:
        key = self.broker.update_key("demo")
        assert key is not None
        return self.companion.updates.start(made, {"demo": key}, older=older)

    async def ended(self, job: str, seconds: float = 60) -> dict[str, Any]:
        def row() -> dict[str, Any] | None:
            told = self.companion.updates.job(job)
            return told["devices"][0] if told["ended"] else None

        return await until(row, seconds)

    async def event(self) -> dict[str, Any]:
        """How the update ended, as the device tells it."""
        return await until(
            lambda: next((e for e in self.tap.of("event") if e["kind"] == "update"), None)
        )

    # ---- in the companion's place

    def offer(self, made: Package, *, key: bytes | None = None, **terms: Any) -> str:
        self._n += 1
        said = wire_out.Terms(
            **{
                "id": f"test-{self._n}",
                "boot": self.boot,
                "exp": int(time.time()) + 30,
                "v": made.v,
                "fw": made.fw,
                "size": made.flash_bytes,
                "manifest": made.sha256,
                **terms,
            }
        )
        payload = wire_out.encode_offer(key or update_key(self.secret), "demo", said)
        self.tap.send("gn/demo/down/update", payload)
        return said.id

    async def told(self, id_: str, what: str, seconds: float = 15) -> dict[str, Any]:
        return await until(
            lambda: next(
                (m for m in self.tap.of("up/update") if m["id"] == id_ and what in m),
                None,
            ),
            seconds,
        )

    async def serve(self, made: Package, id_: str, change: Callable[[str, int, bytes], bytes]):
        """Send what is wanted, each chunk as ``change`` has it; how it ended."""
        served = 0
        async with asyncio.timeout(30):
            while True:
                messages = [m for m in self.tap.of("up/update") if m["id"] == id_]
                for message in messages[served:]:
                    if "want" not in message:
                        return message
                    path, at = message["want"]
                    data = change(path, at, made.chunk(path, at) or b"")
                    self.tap.send("gn/demo/down/update", wire_out.encode_chunk(id_, at, path, data))
                served = len(messages)
                await asyncio.sleep(0.005)


async def until(probe: Callable[[], Any], seconds: float = 15) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := probe()):  # noqa: ASYNC110 (other processes change it)
            await asyncio.sleep(0.01)
        return found


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """What the boards begin with, built; True: a firmware on trial has 2 s a boot."""
    folders = {}
    for hasty, edits in ((False, WATCHDOG), (True, HASTY)):
        folder = folders[hasty] = tmp_path_factory.mktemp("first")
        if hasty:
            shutil.copytree(folders[False] / "build", folder / "build")
        build = build_firmware(sources(folder / "firmware", "1.0.0", edits), folder / "build")
        prepare(folder / "flash.img", build, {}, runtime.micropython())
    return folders


@pytest_asyncio.fixture
async def house(
    request: pytest.FixtureRequest, tmp_path: Path, first: dict[bool, Path]
) -> AsyncIterator[House]:
    async with contextlib.AsyncExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(tmp_path / "broker"))
        house = House(tmp_path, broker, first[getattr(request, "param", False)])
        stack.callback(house.tap.close)
        await house.companion.start(http=False)
        stack.push_async_callback(house.companion.stop)
        await stack.enter_async_context(house.board)
        await house.online()
        yield house


async def test_an_update_and_what_was_set_survives(house: House) -> None:
    program = {"name": "wave", "do": [{"call": ["gpio_write", {"pin": 5, "value": 1}]}]}
    await house.do("memory_set", key="owner", value="Ann")
    await house.do("point_set", name="lamp", pin=5)
    act = {"tool": "gpio_write", "args": {"pin": "lamp", "value": 1}}
    await house.do("schedule_set", name="wake", when="0 7 * * *", **act)
    token = (await house.do("routine_define", program=program))["token"]
    await house.do("routine_approve", token=token)
    boot = house.boot
    made = house.made("1.1.0")
    ended = await house.ended(house.start(made))
    assert ended["state"] == "done", ended
    # What the running slot has is copied there: a manifest and the file that differs are sent.
    assert ended["bytes_up"] + ended["bytes_down"] < 20_000
    status = await house.online(after=boot)
    assert (status["fw"], status["boot"], status["safe"]) == ("1.1.0", boot + 1, False)
    event = await house.event()
    assert (event["end"], event["v"], event["fw"]) == ("kept", number("1.1.0"), "1.1.0")
    assert (await house.do("get_version"))["fw"] == "1.1.0"
    assert (await house.do("memory_get", key="owner"))["value"] == "Ann"
    assert "wake" in str(await house.do("schedule_list"))
    assert "wave" in str(await house.do("routine_list"))
    assert "err" not in await house.do("gpio_write", pin="lamp", value=1)
    assert house.board.level(5) == 1
    # It is kept over a power cut; the same again is nothing to do, and back needs a word.
    await house.board.power(False)
    await house.board.power(True)
    assert (await house.online(after=boot + 1))["fw"] == "1.1.0"
    again = await house.ended(house.start(made))
    assert (again["state"], again["code"]) == ("done", "current")
    first = house.made("1.0.0")
    assert (await house.ended(house.start(first)))["code"] == "older"
    assert (await house.ended(house.start(first, older=True)))["state"] == "done"
    assert (await house.do("get_version"))["fw"] == "1.0.0"


async def test_what_is_not_ours_not_whole_or_not_now_is_refused(house: House) -> None:
    boot, made = house.boot, house.made("1.1.0")
    past = int(time.time()) - 1
    other = update_key("another device's secret")
    refused: list[tuple[str, dict[str, Any]]] = [
        ("mac", {"key": other}),
        ("stale_boot", {"boot": boot - 1}),
        ("expired", {"exp": past}),
        ("expired", {"exp": int(time.time()) + 9999}),
        ("older", {"v": number("0.9.9"), "fw": "0.9.9"}),
        ("full", {"size": 1 << 26}),
    ]
    for code, terms in refused:
        told = await house.told(house.offer(made, **terms), "refused")
        assert told["refused"] == code and told["msg"], told
    # A field changed on the way: older, and signed as it was before.
    said = wire_out.Terms("t-1", boot, past + 30, 0, "0.0.0", 1, made.sha256)
    payload = wire_out.encode_offer(update_key(house.secret), "demo", said)
    assert b'"fw":"0.0.0"' in payload
    house.tap.send("gn/demo/down/update", payload.replace(b'"mac"', b'"older":true,"mac"'))
    assert (await house.told("t-1", "refused"))["refused"] == "mac"
    # Another device's offer, sent here.
    payload = wire_out.encode_offer(update_key(house.secret), "other", said._replace(id="t-2"))
    house.tap.send("gn/demo/down/update", payload)
    assert (await house.told("t-2", "refused"))["refused"] == "mac"

    # What is no offer at all.
    for payload in (b"{", b"[1]", b'{"id":7}', b"\xff", b"", b"x" * 5000):
        house.tap.send("gn/demo/down/update", payload)
    await until(lambda: [e for e in house.tap.of("event") if e["kind"] == "bad_message"])

    # A manifest, then a file, that somebody changed on the way.
    def manifest(path: str, at: int, data: bytes) -> bytes:
        return data[:-1] + b"x" if path == MANIFEST else data

    def file(path: str, at: int, data: bytes) -> bytes:
        return data if path == MANIFEST else data[:-1] + bytes([data[-1] ^ 1])

    told = await house.serve(made, house.offer(made), manifest)
    assert told.get("refused") == "hash", (told, house.tap.of("up/update"))
    assert (await house.serve(made, house.offer(made), file))["refused"] == "hash"

    # A routine is not interrupted.
    call = {"call": ["gpio_write", {"pin": 5, "value": 1}]}
    program = {"name": "slow", "do": [call, {"wait": 60}]}
    receipt = await house.do("routine_define", program=program)
    assert "token" in receipt, receipt
    await house.do("routine_approve", token=receipt["token"])
    await house.do("routine_run", name="slow")
    assert (await house.told(house.offer(made), "refused"))["refused"] == "busy"
    await house.do("routine_cancel", name="slow")
    assert house.boot == boot and (await house.do("get_version"))["fw"] == "1.0.0"

    # An offer that was good, again in the next boot: by who has heard it.
    good = house.offer(made)
    await house.told(good, "want")
    heard = next(p for t, p in house.tap.messages if b'"mac"' in p and good.encode() in p)
    await house.board.power(False)
    await house.board.power(True)
    status = await house.online(after=boot)
    assert (status["fw"], status["safe"]) == ("1.0.0", False)
    house.tap.messages.clear()
    house.tap.send("gn/demo/down/update", heard)
    assert (await house.told(good, "refused"))["refused"] == "stale_boot"


BAD: dict[str, Edits] = {
    "cannot be imported": {
        "ganglion/agent.py": ("import asyncio\n", "import asyncio, no_such_thing\n")
    },
    "hangs": {"ganglion/board.py": ("    board = Board()\n", "    while True: pass\n")},
    "never comes online": {
        "ganglion/link.py": (
            "    async def run(self):\n",
            "    async def run(self):\n        while True:\n            self.beat += 1\n"
            "            await asyncio.sleep(1)\n",
        ),
        "ganglion/trial.py": ("    slot = read()\n", "    return\n"),
    },
}


@pytest.mark.parametrize(
    "what, house", [(what, "online" in what) for what in BAD], indirect=["house"]
)
async def test_a_firmware_that_does_not_prove_itself_goes(house: House, what: str) -> None:
    boots = house.board.boots
    ended = await house.ended(house.start(house.made("1.1.0", BAD[what])), 60)
    assert (ended["state"], ended["code"]) == ("failed", "back"), ended
    assert house.board.boots <= boots + 4  # three of the new one, then the old one
    event = await house.event()
    assert (event["end"], event["v"], event["fw"]) == ("back", number("1.1.0"), "1.0.0")
    assert (await house.do("get_version"))["fw"] == "1.0.0"
    status = house.tap.of("status")[-1]
    assert status["online"] and not status["safe"]
    if what != "cannot be imported":
        return  # the rest is alike
    # For good: the next boot is an ordinary one, and another update may come.
    await house.board.power(False)
    await house.board.power(True)
    assert (await house.online(after=status["boot"]))["fw"] == "1.0.0"
    assert (await house.ended(house.start(house.made("1.1.1"))))["state"] == "done"


@pytest.mark.timeout(3600 if FULL else 120)
async def test_a_power_cut_at_any_write_leaves_a_board_that_works(house: House) -> None:
    """Cut at one write after the other of an update, which then goes on and ends well. The first
    two updates fill both slots, so that the writes are those of what is new."""
    hardware = house.board.stats
    n = 0

    async def update(cut_at: int = 0) -> int:
        """Update to the next version, with the power cut; how many writes it took."""
        nonlocal n
        n += 1
        made = house.made(f"1.1.{n}")
        before = hardware()["flash_writes"]
        house.board.cut_at_write(cut_at, torn=bool(n & 1), auto=True)
        ended = await house.ended(house.start(made))
        assert ended["state"] == "done", (cut_at, ended, house.board.serial.since(0)[-2000:])
        assert (await house.do("get_version"))["fw"] == f"1.1.{n}", cut_at
        return int(hardware()["flash_writes"]) - before

    copied = await update()
    await update()
    writes = await update()
    assert copied > 3 * writes
    print(f"{copied} writes with the copies, {writes} without")
    cuts = range(1, writes + 1, 1 if FULL else max(writes // 20, 1))
    for cut in cuts:
        await update(cut)
    assert "SAFE MODE" not in house.board.serial.since(0)


async def test_a_copy_of_a_whole_firmware_is_cut_again_and_again(house: House) -> None:
    made = house.made("1.2.0")
    job = house.start(made)
    for _ in range(4 if not FULL else 12):
        house.board.cut_at_write(150, auto=False)
        await house.board.wait_off(20)
        await house.board.power(True)
    ended = await house.ended(job)
    assert ended["state"] == "done", ended
    assert (await house.do("get_version"))["fw"] == "1.2.0"


def test_what_is_signed_is_fixed() -> None:
    """Both sides, and who writes a companion of their own, make it so (docs/protocol.md)."""
    terms = wire_out.Terms(
        "a-1", 3, 1700000000, 1024, "0.1.0", 4096, hashlib.sha256(b"").hexdigest()
    )
    assert wire_out.offer_text("kitchen", terms).decode().split("\n") == [
        "ganglion update", "kitchen", "a-1", "3", "1700000000", "1024", "0.1.0", "4096",
        hashlib.sha256(b"").hexdigest(), "0",
    ]  # fmt: skip
