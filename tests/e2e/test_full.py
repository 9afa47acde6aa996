"""Every table full, in the heap of a chip: what is set runs, is listed, changed and taken away."""

import asyncio
import base64
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.rig import Board, System, wait_for
from tests.e2e.test_settings import on_flash
from tools.accounts import update_key
from tools.build import build_firmware
from tools.package import package
from tools.paths import FIRMWARE

PINS = (5, 13, 14, 15, 16, 17, 18, 19)
ACT = {"tool": "gpio_write", "args": {"pin": "lamp 1 upstairs", "value": 1}}
WHENS = ("30 3 * * mon-fri", "sunset -30 min", "every 30 min", "every 2 h from 06:00")
PROGRAM = {
    "do": [{"call": ["gpio_write", ACT["args"]]}, {"wait": 5}],
    "finally": [{"call": ["gpio_write", {"pin": "lamp 1 upstairs", "value": 0}]}],
}


def well(board: Board, tool: str, /, **args: Any) -> dict[str, Any]:
    receipt = board.do(tool, args)
    assert "err" not in receipt, (tool, args, receipt, board.process.text()[-2000:])
    return receipt


def fill(board: Board) -> None:
    well(board, "set_timezone", tz="CET-1CEST,M3.5.0,M10.5.0/3")
    well(board, "set_place", lat=52.5, lon=13.4)
    for n in range(64):
        well(board, "point_set", name=f"lamp {n} upstairs", pin=PINS[n % 8])
        well(board, "memory_set", key=f"fact number {n}", value="it is so " * 4)
    for n in range(32):
        well(board, "schedule_set", name=f"wake {n}", when=WHENS[n % 4], **ACT)
        well(board, "rule_set", name=f"door {n}", read=4, **{"is": "on"}, for_s=60, **ACT)
    for n in range(24):
        program = {"name": f"routine {n}", "phrases": [f"please do number {n}"], **PROGRAM}
        receipt = well(board, "routine_define", program=program)
        well(board, "routine_approve", token=receipt["token"])
    for pin in PINS[:6]:
        well(board, "limit_set", pin=pin, max_on_s=3600, safe=0)


def use(system: System, board: Board, n: int) -> None:
    for said in ("turn on lamp 2 upstairs", "is lamp 2 upstairs on?", "what time is it?"):
        turn = system.say(said)
        assert turn["answered"], (said, turn, board.process.text()[-2000:])
    assert system.say("please do number 7")["calls"][0]["tool"] == "routine_run"
    well(board, "routine_cancel", name="routine 7")
    # While one runs, its interpreter has the room that setting a schedule takes.
    states = lambda: board.do("routine_list", {})["routines"]  # noqa: E731
    wait_for("its end", lambda: states()["routine 7"] == "idle")
    well(board, "schedule_set", name="wake 3", when="5 7 * * *", **ACT)
    well(board, "schedule_set", name="wake 4", when="sunrise", **ACT)
    well(board, "rule_set", name="door 3", read=4, **{"is": "off"}, **ACT)
    receipt = well(board, "routine_define", program={"name": "routine 9", **PROGRAM})
    well(board, "routine_approve", token=receipt["token"])
    for kind in ("schedule", "rule", "routine", "point", "memory", "limit"):
        well(board, f"{kind}_list")
    for tool in ("get_health", "get_diagnostics", "get_time", "get_version", "gpio_read_all"):
        well(board, tool)
    well(board, "adc_read", pin=34)
    well(board, "pwm_set", pin=21, freq=1000, duty=50)
    well(board, "pwm_stop", pin=21)
    for tool, name in (
        ("schedule_delete", f"wake {n}"),
        ("rule_delete", f"door {n}"),
        ("routine_delete", f"routine {n}"),
    ):
        well(board, tool, name=name)


def update(system: System, board: Board, folder: Path) -> None:
    """To the same firmware under another version."""
    shutil.copytree(FIRMWARE, folder / "fw")
    (folder / "fw" / "ganglion" / "__init__.py").write_text('VERSION = "9.0.0"\n')
    packed = package(build_firmware(folder / "fw", folder / "fw-build"))
    files = {p: base64.b64encode(packed.content(p)).decode() for p in packed.files}
    keys = {board.device: update_key(system.secrets[board.device]).hex()}
    body = {"devices": [board.device], "manifest": packed.manifest.decode(), "files": files}
    status, told = system.http("POST", "/updates", {**body, "keys": keys})
    assert status == 200, told
    job = told["id"]
    wait_for("its end", lambda: system.http("GET", f"/updates/{job}")[1]["ended"], 60)
    row = system.http("GET", f"/updates/{job}")[1]["devices"][0]
    assert row["state"] == "done", (row, board.process.text()[-3000:])
    board.online(after=board.boot)


def resettle(system: System, board: Board) -> None:
    """To the same broker by its other name."""
    key = update_key(system.secrets[board.device]).hex()
    path = f"/devices/{board.device}/settings"
    status, told = system.http(
        "POST", path, {"host": "localhost", "port": system.broker.port, "key": key}
    )
    assert status == 200, told
    wait_for("its end", lambda: system.http("GET", path)[1]["ended"], 60)
    told = system.http("GET", path)[1]
    assert told["state"] == "done", (told, board.process.text()[-3000:])
    board.online(after=board.boot)


def start_anew(board: Board) -> None:
    boot = board.boot
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    board.online(after=boot)


@pytest.mark.timeout(300)
def test_with_every_table_full_all_goes_on(fresh, tmp_path: Path) -> None:
    system: System = fresh()
    board = system.board()
    fill(board)
    # As bench measures it: after a start. One that has used everything since its own keeps the
    # names of all of it (docs/agent.md, The heap), and may then refuse to set one more thing.
    boot = board.boot
    start_anew(board)
    for tool, args in (
        ("point_set", {"name": "one more", "pin": 5}),
        ("memory_set", {"key": "one more", "value": "x"}),
        ("schedule_set", {"name": "one more", "when": "0 7 * * *", **ACT}),
        ("rule_set", {"name": "one more", "read": 4, "is": "on", **ACT}),
        ("routine_define", {"program": {"name": "one more", **PROGRAM}}),
    ):
        assert board.do(tool, args)["err"] == "full", tool
    use(system, board, 5)
    assert board.boot == boot + 1, board.process.text()[-2000:]
    update(system, board, tmp_path)
    assert board.boot == boot + 2, board.process.text()[-2000:]
    # The boot of a trial has a little less heap than others (docs/limits.md).
    start_anew(board)
    use(system, board, 6)
    resettle(system, board)
    asyncio.run(on_flash(board))  # told, too: the next boot has nothing left of it
    start_anew(board)
    use(system, board, 7)
    assert "MemoryError" not in board.process.text(), board.process.text()[-3000:]
