"""pytest at the bench: what tests are given, and what is written down of each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import pytest

from tools.hil.bench import Bench, Faults
from tools.hil.board import Board
from tools.hil.capabilities import MISSING, Capabilities
from tools.hil.record import Board as Described
from tools.hil.record import Figure, Outcome, Record, Run, Series
from tools.hil.second import Second


class Recorder:
    """What a test measured."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self.plots: list[Series] = []

    def figure(
        self,
        name: str,
        unit: str,
        values: list[float] | float,
        better: Literal["lower", "higher"] = "lower",
        limit: float | None = None,
    ) -> None:
        """Write it down. AssertionError where it is past ``limit``."""
        many = values if isinstance(values, list) else [values]
        made = Figure(name, unit, tuple(map(float, many)), better, limit)
        self.figures.append(made)
        assert not made.past_limit, f"{name}: {made.worst:g} {unit}, and the limit is {limit:g}"

    def series(self, name: str, unit: str, points: list[tuple[float, float]]) -> None:
        """Over time, for a plot."""
        self.plots.append(Series(name, unit, tuple(points)))


class Power:
    """The board's supply."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def off(self) -> None:
        self._bench.board.power(False)

    def on(self) -> None:
        self._bench.board.power(True)

    def cycle(self) -> int:
        """Off, on, and online again; the new boot."""
        board, before = self._bench.board, self._bench.board.boot
        self.off()
        self.on()
        return board.online(after=before)


class Wifi:
    """The access point."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def down(self) -> None:
        self._bench.hands.wifi(False)

    def up(self) -> None:
        self._bench.hands.wifi(True)


class Broker:
    """mosquitto, as boards meet it."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def down(self) -> None:
        """It dies, with all it knew, and nobody is there."""
        self._bench.broker_down()

    def up(self) -> None:
        """It is there again, and knows nothing."""
        self._bench.broker_up()


class BenchPlugin:
    """Fixtures, skipping, records. ``soak_s``: seconds of the soak; 0 skips it."""

    def __init__(self, bench: Bench, soak_s: float = 0.0, planted: str = "") -> None:
        self.bench = bench
        self._soak_s = soak_s
        self._planted = planted
        self._began = datetime.now(UTC)
        self._clock = time.monotonic()
        self._about = bench.described()
        self.records: list[Record] = []
        self._recorder = Recorder()
        self._heap: int | None = None
        self._writes: int | None = None
        self._since_s = 0.0
        self._outcome: Outcome = "passed"
        self._reason = ""
        self._seconds = 0.0

    def run(self) -> Run:
        """All of it, so far."""
        has = self.bench.capabilities
        about = dict(self._about)
        machine = about.pop("machine")
        lacks = {name: MISSING[name] for name in MISSING if getattr(has, name) is None}
        return Run(
            began=self._began.strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=time.monotonic() - self._clock,
            board=Described(**about),
            machine=machine,
            capabilities=tuple(name for name in MISSING if name not in lacks),
            missing=lacks,
            planted=self._planted,
            tests=tuple(self.records),
        )

    # ---- what tests are given

    @pytest.fixture
    def board(self, request: pytest.FixtureRequest) -> Iterator[Board]:
        """The board, online, with nothing set."""
        bench = self.bench
        bench.all_well()
        board = bench.board
        board.forget()
        self._since_s = time.monotonic()
        before_boot, before = board.boot, board.flash_writes
        self._heap = board.heap["free"]
        yield board
        bench.all_well(patient=self._outcome != "failed")
        self._heap = min(self._heap, board.heap["free"], *self._told())
        after = board.flash_writes
        self._writes = after - before if board.boot == before_boot else after
        # For JUnit's file; the others have them whole.
        told: dict[str, float] = {"heap_free_min": self._heap, "flash_writes": self._writes}
        told |= {f"{f.name} ({f.unit})": f.median for f in self._recorder.figures}
        request.node.user_properties.extend((name, str(value)) for name, value in told.items())

    def _told(self) -> list[int]:
        """Free bytes of heap in every status of this test."""
        told = self.bench.wire.of("status", self._since_s)
        return [int(h.body["heap"]) for h in told if "heap" in h.body]

    @pytest.fixture
    def has(self) -> Capabilities:
        """What is wired to the board."""
        return self.bench.capabilities

    @pytest.fixture(name="bench")
    def _bench(self) -> Bench:
        """All of it: for tests that look behind the board."""
        return self.bench

    @pytest.fixture
    def faults(self) -> Iterator[Faults]:
        """The network between board and broker."""
        yield self.bench.faults
        self.bench.faults.clear()

    @pytest.fixture
    def broker(self) -> Broker:
        return Broker(self.bench)

    @pytest.fixture
    def power(self) -> Power:
        return Power(self.bench)

    @pytest.fixture
    def wifi(self) -> Wifi:
        return Wifi(self.bench)

    @pytest.fixture
    def second(self) -> Second:
        """Another board, whose pin sees what the tested one's does."""
        return self.bench.second()

    @pytest.fixture
    def record(self) -> Recorder:
        return self._recorder

    @pytest.fixture
    def soak_s(self) -> float:
        """How long the soak takes; a run without one skips it."""
        if not self._soak_s:
            pytest.skip("SOAK=hours runs it")
        return self._soak_s

    # ---- what pytest tells

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line(
            "markers", "long: waits for ten seconds and more; QUICK=1 leaves it"
        )
        config.addinivalue_line(
            "markers", "needs(*names): what must be wired to the board (docs/bench.md)"
        )

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._recorder = Recorder()
        self._heap = self._writes = None
        self._outcome, self._reason, self._seconds = "passed", "", 0.0
        self._since_s = time.monotonic()
        for mark in item.iter_markers("needs"):
            for name in mark.args:
                if getattr(self.bench.capabilities, name) is None:
                    pytest.skip(MISSING[name])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds += report.duration
        if report.skipped and isinstance(report.longrepr, tuple):
            self._outcome = "skipped"
            self._reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        elif report.failed:
            self._reason = "\n".join(part for part in (self._reason, report.longreprtext) if part)
            self._outcome = "failed"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        done = yield
        self.records.append(self._record(item))
        return done

    def _record(self, item: pytest.Item) -> Record:
        boots = self.bench.board.events("boot", self._since_s)
        doc = (getattr(getattr(item, "obj", None), "__doc__", "") or item.name).strip()
        return Record(
            test=item.nodeid.rpartition("hil_tests/")[2],
            family=item.path.stem.removeprefix("test_"),
            title=doc.splitlines()[0],
            outcome=self._outcome,
            reason=self._reason,
            seconds=self._seconds,
            heap_free_min=self._heap,
            flash_writes=self._writes,
            resets=tuple(str(h.body.get("reset", "?")) for h in boots),
            figures=tuple(self._recorder.figures),
            series=tuple(self._recorder.plots),
        )
