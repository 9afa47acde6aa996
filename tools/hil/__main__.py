"""`make hil`: the bench's tests, and a report of them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tools.hil import capabilities, compare, page, planted, record, summary
from tools.hil.bench import Bench, Options
from tools.hil.real import RealHands
from tools.paths import BUILD, ROOT
from tools.problem import Problem, Usage

_TESTS = ROOT / "hil_tests"
_SECONDS_A_TEST = 300
_HOURS_MAX = 1000


def main() -> int:
    """0: nothing failed. 1: something did, or the bench does not work. 2: used wrongly."""
    said, said_to_pytest = _parser().parse_known_args()
    said.pytest = said_to_pytest
    try:
        return _run(said)
    except Usage as error:
        print(f"hil: {error}", file=sys.stderr)
        return 2
    except Problem as problem:
        print(f"hil: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="make hil", description=__doc__,
                                     epilog="What else is said goes to pytest.")  # fmt: skip
    parser.add_argument("--port", default=env("PORT", ""), help="a real board's; else virtual")
    parser.add_argument("--host", default=env("HOST", ""), help="how that board reaches us")
    parser.add_argument("--wiring", type=Path, default=env("WIRING") or None,
                        help="what is wired to it (bench.toml)")  # fmt: skip
    parser.add_argument("--base", type=Path, default=env("BASE") or None, help="an earlier run")
    parser.add_argument("--soak", type=_hours, default=env("SOAK") or "0", help="hours")
    parser.add_argument("--quick", action="store_true", default=env("QUICK") == "1",
                        help="leave out the tests that wait for long")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path(env("OUT") or BUILD / "hil"))
    parser.add_argument("--plant", default=env("PLANT", ""), help="a fault, by its name")
    parser.add_argument("--restore", action="store_true", default=env("RESTORE") == "1",
                        help="put back what an earlier bench took from the board")  # fmt: skip
    parser.add_argument("--yes", action="store_true", default=env("YES") == "1",
                        help="do not ask before a real board is used")  # fmt: skip
    return parser


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours <= _HOURS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours from 0 to {_HOURS_MAX}")
    return hours


def _run(said: argparse.Namespace) -> int:
    base = record.read(said.base) if said.base else None
    edits = planted.named(said.plant).edits if said.plant else ()
    wiring = said.wiring or (Path("bench.toml") if Path("bench.toml").exists() else None)
    if said.port and wiring is None:
        print("hil: no bench.toml says what is wired to the board: such tests are skipped "
              "(docs/bench.md)", file=sys.stderr)  # fmt: skip
    has = capabilities.read(wiring) if wiring else capabilities.Capabilities()
    kept = said.out / "kept"
    if said.restore:
        return _restore(said.port, kept)
    if said.port and not said.yes:
        _ask(said.port)
    said.out.mkdir(parents=True, exist_ok=True)
    options = Options(said.port, said.host, has, kept, edits)
    print("hil: a broker, a companion, a board …", file=sys.stderr)
    with Bench(options) as bench:
        run, code = _tests(bench, said)
    compared = compare.compare(run, base) if base else None
    record.write(run, said.out / "run.json")
    record.put(said.out / "report.html", page.page(run, compared))
    print(summary.text(run, compared, said.out / "report.html"))
    return code


def _tests(bench: Bench, said: argparse.Namespace) -> tuple[record.Run, int]:
    import pytest

    from tools.hil.plugin import BenchPlugin

    plugin = BenchPlugin(bench, said.soak * 3600, said.plant)
    code = pytest.main(
        [
            *said.pytest,
            *([] if any(Path(arg.partition("::")[0]).exists() for arg in said.pytest)
              else [str(_TESTS)]),
            *(["-m", "not long"] if said.quick else []),
            f"--rootdir={ROOT}",
            f"--timeout={_SECONDS_A_TEST}",
            f"--junitxml={said.out / 'junit.xml'}",
            "-o", "junit_family=xunit2",
            "-p", "no:cacheprovider",
            "-v", "--no-header", "--tb=short", "-r", "N",
        ],
        plugins=[plugin],
    )  # fmt: skip
    # Of the rest (no such test, nothing collected, interrupted) none is a finding.
    return plugin.run(), {0: 0, 1: 1}.get(int(code), 2)


def _ask(port: str) -> None:
    """Usage where nobody says yes."""
    what = (
        f"The board at {port} gets this firmware and the bench's settings. What it has (settings, "
        "memory, routines, schedules) is copied and put back at the end. Outputs will switch: take "
        "off what must not"
    )
    if not sys.stdin.isatty():
        raise Usage(f"{what}. Say YES=1 to go on")
    if input(f"{what}. Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Usage("nothing was done")


def _restore(port: str, kept: Path) -> int:
    if not port:
        raise Usage("RESTORE=1 wants PORT=, the board's")
    RealHands(port, "", kept).restore()
    return 0


if __name__ == "__main__":
    sys.exit(main())
