"""Firmware over the air: kept when good, undone when not, refused when it is not ours."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from companion import wire_out
from companion.update import MANIFEST, Package
from hil_tests.events import in_order
from tools.accounts import update_key
from tools.build import version_of
from tools.hil.bench import DEVICE, Bench
from tools.hil.board import Board
from tools.hil.plugin import Power, Recorder
from tools.hil.variants import Edit, built, version_is
from tools.package import number
from tools.paths import FIRMWARE

FIRST = version_of(FIRMWARE)
# Where one file differs, that and the manifest are sent; the rest is copied on the board.
ONE_FILE_BYTES = 20_000
UPDATE_S = 120

CANNOT_BE_IMPORTED = Edit(
    "ganglion/agent.py", "import asyncio\n", "import asyncio, no_such_thing\n"
)
NEVER_ONLINE = Edit(
    "ganglion/link.py",
    "    async def run(self):\n",
    "    async def run(self):\n        raise RuntimeError('no link in this one')\n",
)
THREE_FILES = (
    Edit("ganglion/agent.py", '"nested too deeply"', '"nested far too deeply"'),
    Edit("ganglion/link.py", '"not connected yet"', '"not connected so far"'),
    Edit("ganglion/guard.py", '"went safe"', '"went to its safe state"'),
)


class Firmware:
    """What the board has, but for some edits."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self._bench = bench
        self._folder = folder
        self._n = 0

    def made(self, version: str, *edits: Edit) -> Package:
        self._n += 1
        changes = [*self._bench.options.planted, *edits]
        if version != FIRST:
            changes.append(version_is(version))
        return built(self._folder / str(self._n), changes)


@pytest.fixture
def firmware(board: Board, bench: Bench, tmp_path: Path) -> Iterator[Firmware]:
    """At the end the board has again what it had."""
    firmware = Firmware(bench, tmp_path)
    yield firmware
    bench.all_well()
    if board.status["fw"] != FIRST:
        back = board.update(firmware.made(FIRST), older=True, seconds=UPDATE_S)
        assert back["state"] == "done", back


def ended(board: Board, since_s: float) -> dict[str, Any]:
    """What the board tells of the update's end."""
    return board.wait_event("update", UPDATE_S, since_s).body


def test_an_update_is_kept(board: Board, firmware: Firmware, record: Recorder) -> None:
    """One changed file: a boot more, what was set is there, and the way back wants a word"""
    board.do("memory_set", key="owner", value="the bench")
    board.do("schedule_set", name="wake", when="every 2 h", tool="get_time", args={})
    boot, began_s = board.boot, time.monotonic()
    told = board.update(firmware.made("0.9.1"), seconds=UPDATE_S)
    assert told["state"] == "done", told
    record.figure("update", "s", time.monotonic() - began_s, limit=UPDATE_S)
    sent = told["bytes_up"] + told["bytes_down"]
    record.figure("sent and received", "B", sent, limit=ONE_FILE_BYTES)
    event = ended(board, began_s)
    assert (event["end"], event["v"], event["fw"]) == ("kept", number("0.9.1"), "0.9.1"), event
    status = board.status
    assert (status["fw"], status["boot"], status["safe"]) == ("0.9.1", boot + 1, False)
    assert board.do("get_version")["fw"] == "0.9.1"
    assert board.do("memory_get", key="owner")["value"] == "the bench"
    assert "wake" in str(board.do("schedule_list"))
    first = firmware.made(FIRST)
    refused = board.update(first)
    assert (refused["state"], refused["code"]) == ("failed", "older"), refused
    at_s = time.monotonic()
    back = board.update(first, older=True, seconds=UPDATE_S)
    record.figure("back to the one before", "s", time.monotonic() - at_s, limit=UPDATE_S)
    assert back["state"] == "done", back
    assert (board.status["fw"], board.boot) == (FIRST, boot + 2)
    assert board.do("memory_get", key="owner")["value"] == "the bench"


@pytest.mark.parametrize("edit", [CANNOT_BE_IMPORTED, NEVER_ONLINE], ids=["import", "link"])
def test_a_bad_firmware_is_undone(
    board: Board, firmware: Firmware, record: Recorder, edit: Edit
) -> None:
    """A firmware that does not come online: three boots, and the old one answers, for good"""
    board.do("memory_set", key="owner", value="the bench")
    boot, began_s = board.boot, time.monotonic()
    told = board.update(firmware.made("0.9.2", edit), seconds=UPDATE_S)
    assert (told["state"], told["code"]) == ("failed", "back"), told
    record.figure("back", "s", time.monotonic() - began_s, limit=UPDATE_S)
    event = ended(board, began_s)
    assert (event["end"], event["v"], event["fw"]) == ("back", number("0.9.2"), FIRST), event
    status = board.status
    assert boot < status["boot"] <= boot + 4, status  # three of the new one, then the old one
    assert (status["fw"], status["safe"]) == (FIRST, False)
    assert board.do("memory_get", key="owner")["value"] == "the bench"
    assert board.reset() == status["boot"] + 1
    assert (board.status["fw"], board.status["safe"]) == (FIRST, False)


class Impostor:
    """In the companion's place, with the board's own key or another."""

    def __init__(self, board: Board, bench: Bench) -> None:
        self._board = board
        self._key = update_key(bench.secret)
        self._n = 0
        self.payload = b""
        """of the last offer"""

    def offer(self, made: Package, *, key: bytes | None = None, **terms: Any) -> str:
        """Send one; its id."""
        self._n += 1
        said = wire_out.Terms(
            **{
                "id": f"hil-u{self._board.boot}-{self._n}",
                "boot": self._board.boot,
                "exp": int(time.time()) + 30,
                "v": made.v,
                "fw": made.fw,
                "size": made.flash_bytes,
                "manifest": made.sha256,
                **terms,
            }
        )
        self.payload = wire_out.encode_offer(key or self._key, DEVICE, said)
        self._board.wire.send("update", self.payload)
        return said.id

    def refused(self, id_: str, since_s: float = 0.0) -> str:
        """The code with which the board refuses it. TimeoutError."""
        until_s = time.monotonic() + 30
        while time.monotonic() < until_s:
            for heard in self._board.wire.of("update", since_s, id=id_):
                if "refused" in heard.body:
                    assert heard.body["msg"], heard.body
                    return str(heard.body["refused"])
            time.sleep(0.01)
        raise TimeoutError(f"{id_} was not refused: {self._board.wire.of('update', id=id_)}")

    def serve(self, made: Package, id_: str, change: Callable[[str, bytes], bytes]) -> str:
        """Send what it wants, each chunk as ``change`` has it; the code of its refusal."""
        served, until_s = 0, time.monotonic() + 60
        while time.monotonic() < until_s:
            told = self._board.wire.of("update", id=id_)
            for heard in told[served:]:
                if "want" not in heard.body:
                    assert "refused" in heard.body, heard.body
                    return str(heard.body["refused"])
                path, at = heard.body["want"]
                data = change(path, made.chunk(path, at) or b"")
                self._board.wire.send("update", wire_out.encode_chunk(id_, at, path, data))
            served = len(told)
            time.sleep(0.005)
        raise TimeoutError(f"{id_} has not ended; it said {self._board.wire.of('update', id=id_)}")


def test_what_is_not_ours_not_whole_or_not_now_is_refused(
    board: Board, firmware: Firmware, bench: Bench
) -> None:
    """Another key, another boot, too late, older, changed on the way, replayed: refused"""
    boot, made, impostor = board.boot, firmware.made("0.9.3"), Impostor(board, bench)
    now = int(time.time())
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("mac", {"key": update_key("another device's secret")}),
        ("stale_boot", {"boot": boot - 1}),
        ("expired", {"exp": now - 1}),
        ("expired", {"exp": now + 9999}),
        ("older", {"v": 0, "fw": "0.0.0"}),
        ("full", {"size": 1 << 26}),
    ]
    for code, terms in wrong:
        assert impostor.refused(impostor.offer(made, **terms)) == code, terms

    def manifest(path: str, data: bytes) -> bytes:
        return data[:-1] + b"x" if path == MANIFEST else data

    def file(path: str, data: bytes) -> bytes:
        return data if path == MANIFEST else data[:-1] + bytes([data[-1] ^ 1])

    assert impostor.serve(made, impostor.offer(made), manifest) == "hash"
    assert impostor.serve(made, impostor.offer(made), file) == "hash"
    assert (board.do("get_version")["fw"], board.boot) == (FIRST, boot)

    # A good one, heard by somebody, and said again to the next boot.
    good = impostor.offer(made)
    heard, at_s = impostor.payload, time.monotonic()
    while not board.wire.of("update", id=good):
        assert time.monotonic() < at_s + 30, "a good offer was not taken"
        time.sleep(0.01)
    board.reset()
    assert (board.status["fw"], board.status["safe"]) == (FIRST, False)
    at_s = time.monotonic()
    board.wire.send("update", heard)
    assert impostor.refused(good, at_s) == "stale_boot"


@pytest.mark.needs("power")
def test_the_power_fails_meanwhile(
    board: Board, firmware: Firmware, bench: Bench, power: Power, record: Recorder
) -> None:
    """Power lost three times while an update is on its way: it goes on, and ends well"""
    board.do("memory_set", key="owner", value="the bench")
    dice = random.Random(1)
    # The manifest is some eight chunks; what was whole before a cut is not asked for again.
    chunks = [dice.randint(2, 6), dice.randint(9, 13), dice.randint(2, 5)]
    boot, began_s = board.boot, time.monotonic()
    job = bench.update(firmware.made("0.9.4", *THREE_FILES), False)
    for n, wanted in enumerate(chunks, 1):
        at_s = time.monotonic()
        while len(board.wire.of("update", at_s)) < wanted:
            assert time.monotonic() < at_s + UPDATE_S, (wanted, bench.update_job(job))
            time.sleep(0.002)
        power.off()
        power.on()
        assert board.online(after=boot + n - 1) == boot + n
        assert (board.status["fw"], board.status["safe"]) == (FIRST, False)
    until_s = time.monotonic() + UPDATE_S
    while not (told := bench.update_job(job))["ended"]:
        assert time.monotonic() < until_s, told
        time.sleep(0.05)
    row = told["devices"][0]
    assert row["state"] == "done", row
    record.figure("update, cut three times", "s", time.monotonic() - began_s)
    assert ended(board, began_s)["end"] == "kept"
    assert (board.status["fw"], board.boot) == ("0.9.4", boot + 4)
    assert board.do("memory_get", key="owner")["value"] == "the bench"
    in_order(board.wire.of("event", began_s), boot + 4)
