"""Settings by message: real brokers, a companion, a virtual board. What the companion would never
send is sent by the test in its place."""

import asyncio
import contextlib
import hmac
import json
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from companion import wire_out
from companion.app import Companion
from companion.config import BrokerConfig, Config
from companion.settings import Order, Settings, SettingsError
from tests.e2e.rig import Tap
from tests.e2e.test_update import sources, until
from tools import runtime
from tools.accounts import update_key
from tools.broker import EmbeddedBroker
from tools.build import build_firmware
from tools.certificates import Authority
from tools.listeners import Lan
from tools.ports import free_port
from tools.vboard import BoardConfig, VirtualBoard, layout
from tools.vboard.flash import prepare

FULL = bool(os.environ.get("GANGLION_FULL"))
PORCH = Order(name="porch")

# Times of a trial, so short that a test can wait for them.
HASTY = {
    # A boot that ends at once counts as a failed one, and three lead to safe mode.
    "ganglion/board.py": ("_MAX_FAILED_BOOTS = const(3)", "_MAX_FAILED_BOOTS = const(99)"),
    "ganglion/settings.py": ("_HEALTHY_AFTER_S = const(10)", "_HEALTHY_AFTER_S = const(0)"),
    "ganglion/settings_trial.py": ("_PROVE_S = const(120)", "_PROVE_S = const(3)"),
}


class House:
    """One board, its broker and its companion."""

    def __init__(
        self, folder: Path, broker: EmbeddedBroker, first: Path, authority: Authority
    ) -> None:
        self.broker = broker
        self.authority = authority
        self.tap = tap(broker)
        user, password = broker.add_service("companion")
        url = f"mqtt://{user}:{password}@127.0.0.1:{broker.port}"
        self.companion = Companion(Config(broker=BrokerConfig(url)), broker)
        self.secret = broker.add("demo")
        config = BoardConfig(self.secret, "127.0.0.1", broker.port)
        shutil.copytree(first / "build", folder / "boards" / "demo" / "build")
        shutil.copy(first / "flash.img", folder / "boards" / "demo")
        self.board = VirtualBoard(folder, "demo", config, firmware=first / "firmware")

    async def online(self, device: str = "demo", after: int = 0) -> dict[str, Any]:
        """The status of a boot later than ``after``, once it knows the time."""
        return await online(self.tap, device, after)

    @property
    def boot(self) -> int:
        return int(self.tap.of("status")[-1]["boot"])

    async def do(self, tool: str, /, device: str = "demo", **args: Any) -> dict[str, Any]:
        return (await self.companion.dispatch.do(device, tool, args))["receipt"]

    async def change(self, order: Order, device: str = "demo") -> dict[str, Any]:
        """How it ended."""
        key = self.broker.update_key(device)
        assert key is not None
        await self.companion.settings.start(device, order, key)
        return await self.ended(device)

    async def ended(self, device: str = "demo") -> dict[str, Any]:
        def told() -> dict[str, Any] | None:
            change = self.companion.settings.change(device)
            return change if change["ended"] else None

        return await until(told, 60)

    # ---- in the companion's place

    def send(self, v: int, to: wire_out.Changes, *, key: bytes | None = None, **how: Any) -> bytes:
        payload = wire_out.encode_settings(key or update_key(self.secret), "demo", v, to)
        self.tap.send("gn/demo/down/config", payload, **how)
        return payload

    async def event(self, v: int, end: str, after: int = 0) -> dict[str, Any]:
        """What the device tells of settings ``v``, in a boot later than ``after``."""
        return await until(
            lambda: next(
                (
                    e
                    for e in self.tap.of("event")
                    if (e["kind"], e.get("v"), e.get("end")) == ("settings", v, end)
                    and e["boot"] > after
                ),
                None,
            ),
            30,
        )


def tap(broker: EmbeddedBroker) -> Tap:
    user, password = broker.add_service("tap")
    return Tap("127.0.0.1", broker.port, user, password)


async def online(tap: Tap, device: str, after: int = 0) -> dict[str, Any]:
    def last() -> dict[str, Any] | None:
        topic = f"gn/{device}/up/status"
        seen = [json.loads(p) for t, p in list(tap.messages) if t == topic and p]
        good = seen and seen[-1]["online"] and seen[-1]["clock"] and seen[-1]["boot"] > after
        return seen[-1] if good else None

    return await until(last, 30)


async def retained(broker: EmbeddedBroker, name: str) -> set[str]:
    """Topics below ``gn/<name>/`` under which the broker retains something."""
    user, password = broker.add_service("late")
    late, fence = Tap("127.0.0.1", broker.port, user, password), "gn/all/down/event/fence"
    try:
        late.send(fence, b"1")
        await until(lambda: any(t == fence for t, _ in list(late.messages)))
        return {t for t, p in late.messages if t.startswith(f"gn/{name}/") and p}
    finally:
        late.close()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the boards begin with, built."""
    folder = tmp_path_factory.mktemp("first")
    build = build_firmware(sources(folder / "firmware", "1.0.0", HASTY), folder / "build")
    prepare(folder / "flash.img", build, {}, runtime.micropython())
    return folder


@pytest_asyncio.fixture
async def house(tmp_path: Path, first: Path) -> AsyncIterator[House]:
    for path in (tmp_path, *(p for p in tmp_path.parents if p.name.startswith("pytest-"))):
        path.chmod(0o711)  # the broker runs as another user when we are root
    authority = Authority(tmp_path / "ca")
    authority.make(["localhost"])
    lan = Lan(
        free_port(), authority.broker_pem.read_text(), authority.broker_key.read_text(),
        address="127.0.0.1",
    )  # fmt: skip
    async with contextlib.AsyncExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(tmp_path / "broker", lan=lan))
        house = House(tmp_path, broker, first, authority)
        stack.callback(house.tap.close)
        await house.companion.start(http=False)
        stack.push_async_callback(house.companion.stop)
        await stack.enter_async_context(house.board)
        await house.online()
        yield house


async def test_another_name_keeps_all_else(house: House) -> None:
    await house.do("memory_set", key="owner", value="Ann")
    await house.do("point_set", name="lamp", pin=5)
    act = {"tool": "gpio_write", "args": {"pin": "lamp", "value": 1}}
    await house.do("schedule_set", name="wake", when="0 7 * * *", **act)
    boot = house.boot
    ended = await house.change(PORCH)
    assert (ended["state"], ended["name"]) == ("done", "porch"), ended
    assert (await house.online("porch"))["boot"] == boot + 1
    assert (await house.do("memory_get", device="porch", key="owner"))["value"] == "Ann"
    assert "wake" in str(await house.do("schedule_list", device="porch"))
    assert "lamp" in str(await house.do("point_list", device="porch"))
    # The old name is nobody's: no login, nothing that says it were there.
    assert house.broker.devices() == {"porch"}
    assert await retained(house.broker, "demo") == set()
    await until(lambda: house.companion.fleet.get("demo") is None)
    # It is kept over a power cut, and its update key is the new one's.
    await house.board.power(False)
    await house.board.power(True)
    await house.online("porch", after=boot + 1)
    ended = await house.change(Order(name="demo"), "porch")
    assert ended["state"] == "done", ended
    assert not house.broker.is_valid("demo", house.secret)


async def test_a_broker_that_is_not_there_is_left_after_a_while(house: House) -> None:
    boot, key = house.boot, update_key(house.secret)
    await house.companion.settings.start("demo", Order(host="127.0.0.1", port=free_port()), key)
    with pytest.raises(SettingsError, match="are being tried"):
        await house.companion.settings.start("demo", PORCH, key)
    ended = await house.ended()
    assert (ended["state"], ended["code"]) == ("failed", "back"), ended
    assert (await house.online(after=boot))["boot"] == boot + 2
    assert "err" not in await house.do("get_version")
    config, _ = await on_flash(house.board)
    assert (config["port"], config["v"]) == (house.broker.port, ended["v"])
    assert config["secret"] == house.secret
    # The same again, kept by the broker for each session: nothing. One that is older: it tells.
    heard = next(p for t, p in house.tap.messages if t.endswith("/config") and p)
    house.tap.send("gn/demo/down/config", heard, retain=True)
    await house.board.power(False)
    await house.board.power(True)
    await house.online(after=boot + 2)
    older = house.send(ended["v"] - 1, wire_out.Changes("127.0.0.1", free_port()))
    refused = await house.event(ended["v"] - 1, "refused")
    assert refused["code"] == "older" and str(ended["v"]) in refused["msg"], older
    told = [e["end"] for e in house.tap.of("event") if e.get("v") == ended["v"]]
    assert house.boot == boot + 3 and told == ["taken", "back"]


async def test_what_is_not_ours_or_not_new_does_nothing(house: House) -> None:
    boot, elsewhere = house.boot, wire_out.Changes("127.0.0.1", free_port())
    house.send(50, elsewhere, key=update_key("another device's secret"))
    assert (await house.event(50, "refused"))["code"] == "mac"
    # Another device's, sent here.
    payload = wire_out.encode_settings(update_key(house.secret), "other", 51, elsewhere)
    house.tap.send("gn/demo/down/config", payload)
    assert (await house.event(51, "refused"))["code"] == "mac"
    # Each field changed on the way, or put there, or taken away.
    signed = json.loads(wire_out.encode_settings(update_key(house.secret), "demo", 52, elsewhere))
    changed: list[dict[str, Any]] = [
        {"v": 53},
        {"v": 54, "host": "127.0.0.2"},
        {"v": 55, "port": signed["port"] + 1},
        {"v": 56, "ca": ""},
        {"v": 57, "device": "porch"},
        # What is signed for a field that is absent, put there.
        {"ca": "-"},
        {"device": ""},
        {"host": f"127.0.0.1\n{signed['port']}", "port": 0},
    ]
    for fields in changed:
        house.tap.send("gn/demo/down/config", {**signed, **fields})
    for fields in changed[:-3]:
        assert (await house.event(fields["v"], "refused"))["code"] == "mac"
    # What cannot be, though signed; and what is no message at all.
    key = update_key(house.secret)
    for n, to in enumerate(
        (
            wire_out.Changes(),
            wire_out.Changes(device="Porch"),
            wire_out.Changes(ca="abc"),
            wire_out.Changes("h", 0),
        )
    ):
        mac = hmac.digest(key, wire_out.settings_text("demo", 60 + n, to), "sha256").hex()
        message = {name: value for name, value in to._asdict().items() if value is not None}
        house.tap.send("gn/demo/down/config", {"v": 60 + n, **message, "mac": mac})
    for payload in (b"{", b"[1]", b'{"v":1}', b'{"v":true,"mac":""}', b"\xff", b"x" * 5000):
        house.tap.send("gn/demo/down/config", payload)
    bad = lambda: [e for e in house.tap.of("event") if e["kind"] == "bad_message"]  # noqa: E731
    await until(lambda: len(bad()) == 3 + 4 + 6)
    assert {e["on"] for e in bad()} == {"config"}
    # A routine is not interrupted.
    call = {"call": ["gpio_write", {"pin": 5, "value": 1}]}
    receipt = await house.do("routine_define", program={"name": "slow", "do": [call, {"wait": 60}]})
    await house.do("routine_approve", token=receipt["token"])
    await house.do("routine_run", name="slow")
    house.send(70, elsewhere)
    assert (await house.event(70, "refused"))["code"] == "busy"
    await house.do("routine_cancel", name="slow")
    assert house.boot == boot

    # One that was good, again: by who has heard it; and kept by the broker for each who comes.
    ended = await house.change(PORCH)
    assert ended["state"] == "done", ended
    assert (await house.change(Order(name="demo"), "porch"))["state"] == "done"
    boot = (await house.online())["boot"]
    heard = [p for t, p in house.tap.messages if t.endswith("/config") and b'"porch"' in p]
    house.tap.send("gn/demo/down/config", heard[-1], retain=True)
    assert (await house.event(ended["v"], "refused"))["code"] == "mac"  # another secret since
    assert house.boot == boot


async def test_the_same_broker_by_tls_and_back(house: House) -> None:
    assert house.broker.lan is not None
    ca = ssl.PEM_cert_to_DER_cert(house.authority.ca_pem.read_text())
    boot, port = house.boot, house.broker.lan.port
    ended = await house.change(Order(host="localhost", port=port, ca=ca))
    assert ended["state"] == "done", (ended, house.board.serial.since(0)[-1500:])
    config, names = await on_flash(house.board)
    assert (config["port"], config["ca"]) == (port, "/ca.der") and "trial" not in config
    assert f"on port {port}." in (house.broker.folder / "mosquitto.log").read_text()
    # An authority that did not sign: it sends nothing, and goes back to the one it has.
    other = Authority(house.board.folder / "other")
    other.make(["localhost"])
    wrong = ssl.PEM_cert_to_DER_cert(other.ca_pem.read_text())
    assert (await house.change(Order(ca=wrong)))["code"] == "back"
    config, names = await on_flash(house.board)
    assert config["ca"] == "/ca.der" and "ca2.der" not in names
    # The same once more, in another file; then none.
    assert (await house.change(Order(ca=ca)))["state"] == "done"
    config, names = await on_flash(house.board)
    assert config["ca"] == "/ca2.der" and "ca.der" not in names
    ended = await house.change(Order(host="127.0.0.1", port=house.broker.port, ca=b""))
    assert ended["state"] == "done", ended
    config, names = await on_flash(house.board)
    assert "ca" not in config and not {name for name in names if name.endswith(".der")}
    assert (await house.online(after=boot))["boot"] == boot + 5


async def test_another_broker_has_it_and_this_one_says_that_it_left(
    house: House, tmp_path: Path
) -> None:
    with EmbeddedBroker(tmp_path / "second") as second:
        second.admit("demo", house.secret)
        there = tap(second)
        try:
            house.companion.settings = brief(house)
            ended = await house.change(Order(host="127.0.0.1", port=second.port))
            assert (ended["state"], ended["code"]) == ("gone", "gone"), ended
            status = await online(there, "demo")
            assert status["boot"] == house.boot + 1
            assert house.companion.fleet.get("demo").online is False  # type: ignore[union-attr]
            kept = await until(lambda: [e for e in there.of("event") if e.get("end") == "kept"])
            assert kept[0]["v"] == ended["v"]
            assert await retained(house.broker, "demo") >= {"gn/demo/up/status"}
            assert "gn/demo/down/config" not in await retained(house.broker, "demo")
        finally:
            there.close()


async def test_what_the_companion_does_not_send(house: House) -> None:
    key = update_key(house.secret)
    house.broker.add("hall")

    async def refused(device: str, order: Order) -> str:
        with pytest.raises(SettingsError) as error:
            await house.companion.settings.start(device, order, key)
        return error.value.code

    assert await refused("nobody", PORCH) == "unknown_device"
    assert await refused("demo", Order()) == "bad_message"
    assert await refused("demo", Order(host="h")) == "bad_message"
    assert await refused("demo", Order(name="porch", ca=b"")) == "bad_message"
    assert await refused("demo", Order(host="a b", port=1)) == "bad_message"
    assert await refused("demo", Order(name="All of it")) == "bad_device"
    assert await refused("demo", Order(name="demo")) == "bad_device"
    assert await refused("demo", Order(name="hall")) == "known"
    assert await refused("demo", Order(host="192.0.2.1", port=1883, ca=b"")) == "plain"
    # A key that is not the device's: it says so, and the login that was made ends.
    await house.companion.settings.start("demo", PORCH, update_key("another secret"))
    assert (await house.ended())["code"] == "mac"
    assert house.broker.devices() == {"demo", "hall"}
    await house.board.power(False)
    # The broker misses it after its keep-alive; a link that is cut tells at once.
    house.tap.send("gn/demo/up/status", {"online": False, "boot": house.boot}, retain=True)
    await until(lambda: not house.companion.fleet.get("demo").online)  # type: ignore[union-attr]
    assert await refused("demo", PORCH) == "offline"


async def test_boots_that_do_not_last_give_the_old_ones_back(house: House) -> None:
    """As when the new settings are what the board cannot live with."""
    boot = house.boot
    house.send(10, wire_out.Changes("127.0.0.1", free_port()), retain=True)
    await house.event(10, "taken")
    await house.board.wait_boots(2)
    for _ in range(3):
        await house.board.wait_serial(f"boot {house.board.boots} of demo")
        await house.board.reset()
    assert (await house.event(10, "back"))["boot"] == (await house.online())["boot"] == boot + 5


async def test_safe_mode_gives_the_old_ones_back(house: House) -> None:
    house.send(10, wire_out.Changes("127.0.0.1", free_port()))
    await house.event(10, "taken")
    await house.board.wait_boots(2)
    # The count of boots that failed, as main.py keeps it in RTC memory.
    memory, count = house.board.hardware.memory, b"GNG" + bytes((99,))
    memory[layout.RTC_LEN : layout.RTC_LEN + 2] = len(count).to_bytes(2, "little")
    memory[layout.RTC : layout.RTC + len(count)] = count
    await house.board.reset()
    await house.board.wait_serial("SAFE MODE")
    await house.board.power(False)
    config, _ = await on_flash(house.board, trial={"end": "back"})
    assert (config["port"], config["v"]) == (house.broker.port, 10)
    await house.board.power(True)
    assert (await house.event(10, "back"))["end"] == "back"


@pytest.mark.timeout(1800 if FULL else 120)
async def test_a_power_cut_at_any_write_leaves_one_whole_setting(house: House) -> None:
    """Cut at one write after the other of a change of name, forth and back, and, at full size, of
    one to a broker that is not there. It ends under one name, and what it says is so."""
    names = ("demo", "porch")

    async def lost(cut_at: int) -> None:
        """To nowhere, with the power cut."""
        now = next(name for name in names if house.broker.known(name))
        house.board.cut_at_write(cut_at, torn=bool(cut_at & 1), auto=True)
        ended = await house.change(Order(host="127.0.0.1", port=free_port()), now)
        why = (cut_at, ended, house.board.serial.since(0)[-2000:])
        assert ended["code"] == "back", why
        assert (await house.do("get_version", device=now))["device"] == now, why
        house.board.cut_at_write(0)
        config, _ = await on_flash(house.board)
        assert (config["port"], config["device"]) == (house.broker.port, now), why

    async def change(cut_at: int) -> None:
        """To the other name, with the power cut."""
        now = next(name for name in names if house.broker.known(name))
        other = names[now == "demo"]
        house.board.cut_at_write(cut_at, torn=bool(cut_at & 1), auto=True)
        ended = await house.change(Order(name=other), now)
        assert ended["state"] in ("done", "failed"), (cut_at, ended)
        name = other if ended["state"] == "done" else now
        why = (cut_at, ended, house.board.serial.since(0)[-2000:])
        assert house.broker.devices() == {name}, why
        assert (await house.do("get_version", device=name))["device"] == name, why
        house.board.cut_at_write(0)

    # The store's file grows: what an append to it takes does, too, up to a block of flash.
    for cut in range(1, 80, 1 if FULL else 20):
        await change(cut)
    for cut in range(1, 160 if FULL else 0, 4):
        await lost(cut)
    assert "SAFE MODE" not in house.board.serial.since(0)


def test_what_is_signed_is_fixed() -> None:
    """Both sides, and who writes a companion of their own, make it so (docs/protocol.md)."""
    to = wire_out.Changes("broker.lan", 8883, "MIIB", "porch")
    assert wire_out.settings_text("kitchen", 7, to).decode().split("\n") == [
        "ganglion settings", "kitchen", "7", "broker.lan", "8883", "MIIB", "porch",
    ]  # fmt: skip
    assert wire_out.settings_text("kitchen", 7, wire_out.Changes()).decode().split("\n") == [
        "ganglion settings", "kitchen", "7", "", "0", "-", "",
    ]  # fmt: skip
    key = update_key("a secret")
    text = b"ganglion name\nporch\n7"
    assert wire_out.name_secret(key, "porch", 7) == hmac.digest(key, text, "sha256").hex()


def brief(house: House) -> Settings:
    """The companion's, with less patience."""
    c = house.companion
    return Settings(c.link.publish, c.fleet, c.updates, c.dispatch.do, house.broker, tries_s=3)


READ = """
import json, os, sys, vfs
class Image:
    f = open(sys.argv[1], "rb")
    def readblocks(self, n, buf, off=0):
        self.f.seek(n * 4096 + off)
        self.f.readinto(buf)
    def writeblocks(self, n, buf, off=0):
        raise OSError
    def ioctl(self, op, arg):
        return {4: 512, 5: 4096}.get(op, 0)
vfs.mount(vfs.VfsLfs2(Image()), "/flash", readonly=True)
print(json.dumps([json.load(open("/flash/config.json")), os.listdir("/flash")]))
"""


async def on_flash(
    board: VirtualBoard, trial: dict[str, Any] | None = None
) -> tuple[dict[str, Any], set[str]]:
    """`/config.json`, once nothing of it is tried or to be told (or ``trial`` is), and the names of
    all files beside it."""
    with tempfile.TemporaryDirectory() as folder:
        image, script = Path(folder) / "flash.img", Path(folder) / "read.py"
        script.write_text(READ)
        command = [*runtime.micropython().command, str(script), str(image)]
        async with asyncio.timeout(10):
            while True:
                shutil.copy(board.folder / "flash.img", image)
                done = await asyncio.to_thread(
                    subprocess.run, command, capture_output=True, text=True
                )
                # It may be in the middle of a write, which a copy then tears.
                if not done.returncode:
                    config, names = json.loads(done.stdout)
                    if config.get("trial") == trial:
                        return config, set(names)
                await asyncio.sleep(0.2)
