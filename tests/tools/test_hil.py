"""The bench tests the virtual board, finds the faults that are planted into it, and takes a board
that is plugged in as it is and leaves it as it was."""

import asyncio
import os
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.tools.system import environment
from tools.hil.planted import FAULTS, Planted
from tools.hil.record import Run, read
from tools.paths import ROOT
from tools.vboard import BoardConfig, VirtualBoard
from tools.vboard.line import Line

FULL = bool(os.environ.get("GANGLION_FULL"))
# The other faults make a test wait for what does not come, for up to a minute each.
QUICK = ("boot", "tools", "guard", "outages", "power")
PLANTED = [fault for fault in FAULTS if FULL or fault.name in QUICK]


async def hil(folder: Path, *args: str) -> tuple[int, str]:
    """``make hil`` with these options, and what it printed. Its files are in ``folder``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.hil", "--out", str(folder), *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env=environment(folder),
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


def outcomes(run: Run) -> dict[str, str]:
    return {record.test: record.outcome for record in run.tests}


@pytest.mark.timeout(600)
async def test_green_on_the_virtual_board(tmp_path: Path) -> None:
    """But for hours of soak, and what waits for long: nothing fails, what is skipped says why."""
    code, told = await hil(tmp_path, *(["--soak", "0.01"] if FULL else ["--quick"]))
    assert code == 0, told[-6000:]
    run = read(tmp_path / "run.json")
    skipped = {r.test: r.reason for r in run.tests if r.outcome == "skipped"}
    assert FULL or list(skipped.values()) == ["SOAK=hours runs it"], skipped
    assert not [r for r in run.tests if r.outcome == "failed"]
    # Each file of the folder was there, and each test is told in all three.
    files = {f"test_{record.family}.py" for record in run.tests}
    assert files == {path.name for path in (ROOT / "hil_tests").glob("test_*.py")}
    cases = ET.parse(tmp_path / "junit.xml").getroot().findall(".//testcase")
    assert len(cases) == len(run.tests)
    html = (tmp_path / "report.html").read_text()
    assert all(record.title.split("`")[0].split("'")[0] in html for record in run.tests)
    assert run.board.kind == "virtual" and run.missing == {}
    # What it measured is there to compare with.
    named = {figure.name for record in run.tests for figure in record.figures}
    assert {"heap used", "online"} <= named, named
    assert all(r.heap_free_min for r in run.tests if r.outcome == "passed")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", PLANTED, ids=[fault.name for fault in PLANTED])
async def test_a_planted_fault_is_found(fault: Planted, tmp_path: Path) -> None:
    """By the tests that it is listed with, in the firmware that has it and in no other."""
    soak = ["--soak", "0.01"] if "test_soak" in fault.seen_by[0] else []
    tests = [f"hil_tests/{name}" for name in fault.seen_by]
    code, told = await hil(tmp_path, "--plant", fault.name, *soak, *tests)
    found = outcomes(read(tmp_path / "run.json"))
    assert code == 1 and set(found.values()) == {"failed"}, told[-4000:]
    assert set(found) == set(fault.seen_by)


def test_each_family_has_a_planted_fault() -> None:
    """And the documentation lists each with the test that sees it."""
    page = (ROOT / "docs" / "bench.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| `([\w.:]+)`", page, re.M))
    families = {path.stem[5:] for path in (ROOT / "hil_tests").glob("test_*.py")}
    assert {fault.name for fault in FAULTS} == families
    assert rows == {fault.name: fault.seen_by[0] for fault in FAULTS}


async def test_a_board_that_is_plugged_in_is_left_as_it_was(tmp_path: Path) -> None:
    """The virtual board at its pseudo-terminal, in the place of a real one."""
    # Nobody listens at that port: the board has settings that the bench must bring back.
    board = VirtualBoard(tmp_path, "mine", BoardConfig("a secret", port=1))
    async with board, Line(board).open() as port:
        await board.wait_serial("ganglion: boot")
        before = await contents(port)
        code, told = await hil(tmp_path / "out", "--port", port, "hil_tests/test_boot.py")
        assert code == 2 and "Say YES=1" in told
        wiring = tmp_path / "bench.toml"
        wiring.write_text("[jumper]\nfrom = 4\nto = 5\n")
        code, told = await hil(
            tmp_path / "out", "--port", port, "--yes", "--wiring", str(wiring),
            "hil_tests/test_boot.py", "-k", "button or heap or supply",
        )  # fmt: skip
        assert code == 0, told[-4000:]
        after = await contents(port)
        await killed_in_the_middle(tmp_path / "out", port)
        code, told = await hil(tmp_path / "out", "--port", port, "--yes")
        assert code == 1 and "RESTORE=1" in told, told
        code, told = await hil(tmp_path / "out", "--port", port, "--restore")
        assert code == 0 and "its own settings" in told, told
        restored = await contents(port)
        code, told = await hil(tmp_path / "out", "--port", port, "--restore")
        assert code == 2 and "nothing of this board" in told, told
    assert restored.keys() == after.keys()
    assert restored["config.json"] == after["config.json"]
    # The log of its store only grows, with what it would have told at this boot.
    log = before.pop("store.log")
    assert log and after.pop("store.log").startswith(log)
    assert after == before
    run = read(tmp_path / "out" / "run.json")
    assert (run.board.kind, run.board.port) == ("real", port)
    assert outcomes(run)["test_boot.py::test_the_supply_goes_and_comes"] == "skipped"
    assert run.capabilities == ("jumper",) and "uhubctl" in run.missing["power"]


async def killed_in_the_middle(folder: Path, port: str) -> None:
    """A bench that cannot put anything back."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.hil", "--out", str(folder), "--port", port, "--yes",
        "hil_tests/test_boot.py",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env={**environment(folder), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout
    async with asyncio.timeout(60):
        while b"test session starts" not in (line := await process.stdout.readline()):
            assert line
    process.kill()
    await process.communicate()


async def contents(port: str) -> dict[str, str]:
    """Path → what is in it, as hex, of each file in the board's root but what every boot counts."""
    source = (
        "import os, json, binascii\n"
        "for e in os.ilistdir('/'):\n"
        "    if not e[1] & 0x4000 and e[0] != 'boot':\n"
        "        with open('/' + e[0], 'rb') as f:\n"
        "            print('file:' + e[0], binascii.hexlify(f.read()).decode())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mpremote", "connect", port, "exec", source,
        "+", "reset", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    return dict(re.findall(r"file:(\S+) ([0-9a-f]*)", out.decode()))


@pytest.mark.parametrize(
    "args, says",
    [
        (["--plant", "nothing"], "there are boot,"),
        (["--base", "nowhere.json"], "nowhere.json"),
        (["--restore"], "RESTORE=1 wants PORT="),
        (["--soak", "-1"], "no number of hours"),
        (["--wiring", "nowhere.toml"], "nowhere.toml"),
        (["--port", "/dev/ttyNoSuchBoard", "--yes"], "ttyNoSuchBoard"),
    ],
)
async def test_what_is_said_wrongly(args: list[str], says: str, tmp_path: Path) -> None:
    code, told = await hil(tmp_path, *args)
    assert code in (1, 2) and says in told, told
    assert "Traceback" not in told
