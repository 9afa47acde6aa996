"""Energy: the counters' arithmetic against a fake powercap tree (files in a temporary folder that
the test writes), shares against sums."""

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.backends.base import Card
from companion.config.model import EnergyConfig
from companion.meter.energy import Energy, Shared, gpus

HERE = Card("house", local=True, here=True)
RANGE_UJ = 262_143_328_850
IDLE_WATTS = 10.0


@dataclass
class FakePowercap:
    """Counters that draw what the test says, in a world whose clock it moves."""

    root: Path
    now_s: float = 1000.0
    uj: dict[str, int] = field(default_factory=dict)

    def zone(self, folder: str, name: str, uj: int = 0) -> None:
        (self.root / folder).mkdir(parents=True)
        (self.root / folder / "name").write_text(f"{name}\n")
        (self.root / folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self.uj[folder] = uj
        self._write(folder)

    def draw(self, seconds: float, watts: float, folder: str = "intel-rapl:0") -> None:
        # Whole milliseconds, so that no sum of floats drifts.
        self.now_s = round(self.now_s + seconds, 3)
        self.uj[folder] = (self.uj[folder] + round(seconds * watts * 1_000_000)) % RANGE_UJ
        self._write(folder)

    def clock(self) -> float:
        return self.now_s

    def _write(self, folder: str) -> None:
        (self.root / folder / "energy_uj").write_text(f"{self.uj[folder]}\n")


@pytest.fixture
def machine(tmp_path: Path) -> FakePowercap:
    fake = FakePowercap(tmp_path)
    fake.zone("intel-rapl:0", "package-0", uj=5_000_000)
    return fake


async def started(machine: FakePowercap, **config: float | bool | None) -> Energy:
    said: dict[str, float | bool | None] = {"idle_watts": IDLE_WATTS, **config}
    energy = Energy(EnergyConfig(**said), root=machine.root, clock=machine.clock)  # type: ignore[arg-type]
    await energy.start()
    return energy


async def test_one_answer_takes_what_was_drawn_above_idle(machine: FakePowercap) -> None:
    energy = await started(machine)
    machine.draw(100, IDLE_WATTS)
    span = energy.begin(HERE)
    machine.draw(2, 25)
    assert span.end(300) == (30_000, "measured")
    assert span.end(300) == (0, "measured")


async def test_answers_at_the_same_time_share_each_interval(machine: FakePowercap) -> None:
    energy = await started(machine)
    one = energy.begin(HERE)
    machine.draw(1, 20)  # 10 J above idle for one
    two = energy.begin(HERE)
    machine.draw(1, 40)  # 30 J for two
    assert one.end(0) == (25_000, "measured")
    machine.draw(1, 17)  # 7 J for the other alone
    assert two.end(0) == (22_000, "measured")


async def test_a_counter_that_wraps(machine: FakePowercap) -> None:
    energy = await started(machine, idle_watts=0.0)
    machine.draw(1, (RANGE_UJ - machine.uj["intel-rapl:0"] - 1_000_000) / 1_000_000)
    span = energy.begin(HERE)
    machine.draw(1, 3)
    assert machine.uj["intel-rapl:0"] == 2_000_000
    assert span.end(0) == (3_000, "measured")


async def test_each_part_of_the_machine_counts_once(machine: FakePowercap) -> None:
    machine.zone("intel-rapl:0:0", "core")
    machine.zone("intel-rapl:0:1", "dram")
    machine.zone("intel-rapl:1", "package-1")
    machine.zone("intel-rapl:2", "psys")
    energy = await started(machine, idle_watts=0.0)
    span = energy.begin(HERE)
    for folder in machine.uj:
        machine.draw(0, 0, folder)
        machine.uj[folder] += 4_000_000
        machine.draw(0, 0, folder)
    # Two packages and the memory; the cores are in a package, and psys has both packages.
    assert span.end(0) == (12_000, "measured")


async def test_idle_is_measured_when_it_is_not_said(
    machine: FakePowercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(seconds: float) -> "asyncio.Future[None]":
        machine.draw(seconds, 8)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    monkeypatch.setattr(asyncio, "sleep", sleep)
    energy = await started(machine, idle_watts=None, idle_s=5.0)
    span = energy.begin(HERE)
    machine.draw(1, 11)
    assert span.end(0) == (3_000, "measured")


async def test_an_answer_is_no_idleness(
    machine: FakePowercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle is measured anew as long as an answer falls into it; that answer is estimated."""
    windows = 0
    energy = Energy(EnergyConfig(idle_s=5.0), root=machine.root, clock=machine.clock)
    card = Card("house", here=True, joules_per_token=0.5)
    results = []

    def sleep(seconds: float) -> "asyncio.Future[None]":
        nonlocal windows
        windows += 1
        if windows == 1:
            span = energy.begin(card)
            machine.draw(seconds, 90)
            results.append(span.end(4))
        else:
            machine.draw(seconds, 8)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await energy.start()
    assert (windows, results) == (2, [(2_000, "estimated")])
    span = energy.begin(card)
    machine.draw(1, 9)
    assert span.end(4) == (1_000, "measured")


async def test_drawing_less_than_idle_is_nothing_and_never_negative(machine: FakePowercap) -> None:
    energy = await started(machine)
    span = energy.begin(HERE)
    machine.draw(10, 9)
    assert span.end(0) == (0, "measured")
    span = energy.begin(HERE)
    machine.draw(1, 11)
    assert span.end(0) == (1_000, "measured")


@pytest.mark.parametrize(
    ("card", "tokens", "expected"),
    [
        (Card("cloud"), 100, (0, "")),
        (Card("cloud", joules_per_token=0.25), 100, (25_000, "estimated")),
        (Card("cloud", joules_per_token=0.25), -5, (0, "estimated")),
        (Card("shed", watts=60.0), 100, (120_000, "estimated")),
        # The owner knows the machine better than the publisher of the model.
        (Card("shed", watts=60.0, joules_per_token=9.0), 100, (120_000, "estimated")),
    ],
)
async def test_who_is_elsewhere_is_estimated(
    machine: FakePowercap, card: Card, tokens: int, expected: tuple[int, str]
) -> None:
    energy = await started(machine)
    span = energy.begin(card)
    machine.draw(2, 100)
    assert span.end(tokens) == expected
    assert span.end(tokens) == (0, expected[1])


async def test_one_machine_elsewhere_is_shared_too(machine: FakePowercap) -> None:
    energy = await started(machine)
    card = Card("shed", watts=60.0)
    spans = [energy.begin(card) for _ in range(3)]
    machine.draw(3, 0)
    assert [span.end(0) for span in spans] == [(60_000, "estimated")] * 3
    # Its owner corrects the figure, and the configuration is read again.
    span = energy.begin(Card("shed", watts=20.0))
    machine.draw(3, 0)
    assert span.end(0) == (60_000, "estimated")


async def test_without_counters_nothing_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    energy = Energy(EnergyConfig(), root=tmp_path / "nothing")
    await asyncio.wait_for(energy.start(), 1)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    assert not energy.measures
    assert energy.begin(HERE).end(10) == (0, "")
    assert energy.begin(HERE) is energy.begin(Card("cloud"))


async def test_it_is_not_measured_where_that_is_not_wanted(machine: FakePowercap) -> None:
    energy = await started(machine, measure=False)
    assert not energy.measures
    assert energy.begin(HERE).end(10) == (0, "")


def forbid(machine: FakePowercap) -> None:
    # A folder in its place, which root cannot read as a file either.
    (machine.root / "intel-rapl:0" / "energy_uj").unlink()
    (machine.root / "intel-rapl:0" / "energy_uj").mkdir()


async def test_counters_for_root_alone_are_said_once(
    machine: FakePowercap, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    forbid(machine)
    energy = await started(machine)
    card = Card("house", here=True, joules_per_token=0.5)
    for _ in range(3):
        assert energy.begin(card).end(4) == (2_000, "estimated")
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "energy_uj" in record.getMessage() and "docs/energy.md" in record.getMessage()


async def test_counters_that_go_away_leave_estimates(
    machine: FakePowercap, caplog: pytest.LogCaptureFixture
) -> None:
    energy = await started(machine)
    card = Card("house", here=True, joules_per_token=0.5)
    one, two = energy.begin(card), energy.begin(card)
    forbid(machine)
    assert one.end(4) == (2_000, "estimated")
    assert two.end(4) == (2_000, "estimated")
    assert not energy.measures
    assert energy.begin(card).end(4) == (2_000, "estimated")


# -- the sum


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=5_000_000),  # drawn above idle, µJ
            st.booleans(),  # enter, or the n-th leaves
            st.integers(min_value=0, max_value=50),
        ),
        max_size=60,
    )
)
def test_shares_sum_up_to_what_was_drawn(events: list[tuple[int, bool, int]]) -> None:
    total_uj = 0
    shared = Shared(lambda: total_uj)
    inside = [shared.enter()]
    given_mj, counted_from = 0, total_uj
    for step_uj, enters, which in events:
        total_uj += step_uj
        if enters or len(inside) == 1:
            inside.append(shared.enter())
        else:
            given_mj += shared.leave(inside.pop(which % len(inside)))
    while inside:
        total_uj += 777
        given_mj += shared.leave(inside.pop())
    # Whole millijoules are given; less than one is left for the next answer.
    assert given_mj == (total_uj - counted_from) // 1000


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 400), st.integers(10, 200), st.integers(0, 2)),
        min_size=1,
        max_size=30,
    ),
    st.integers(0, RANGE_UJ - 1),
)
def test_of_a_machine_the_shares_are_delta_minus_idle(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, int, int]], first_uj: int
) -> None:
    """Through files and wraps: whatever begins and ends when, all answers together took what the
    machine drew less its idle."""
    machine = FakePowercap(tmp_path_factory.mktemp("powercap"))
    machine.zone("intel-rapl:0", "package-0", uj=first_uj)
    energy = asyncio.run(started(machine))
    spans: list[Callable[[int], tuple[int, str]]] = [energy.begin(HERE).end]
    expected_mj = given_mj = 0
    for tenths, watts, what in events:
        machine.draw(tenths / 10, watts)
        expected_mj += tenths * (watts - int(IDLE_WATTS)) * 100
        if what == 0 and len(spans) > 1:
            given_mj += spans.pop(0)(0)[0]
        elif what == 1:
            spans.append(energy.begin(HERE).end)
    for end in spans:
        given_mj += end(0)[0]
    assert given_mj == expected_mj


# -- GPUs


class FakeNvml:
    """Stands in for the module ``pynvml``: two GPUs, the first too old to count its energy."""

    class NVMLError(Exception):
        pass

    def __init__(self, driver: bool = True) -> None:
        self.driver = driver
        self.mj = 1_000_000

    def nvmlInit(self) -> None:
        if not self.driver:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        if handle == 0 or not self.driver:
            raise self.NVMLError("Not Supported")
        return self.mj


async def test_gpus_count_with_the_processors(
    machine: FakePowercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    energy = await started(machine)
    span = energy.begin(HERE)
    machine.draw(2, 25)
    nvml.mj += 70_000
    assert span.end(0) == (30_000 + 70_000, "measured")
    nvml.driver = False
    assert energy.begin(HERE).end(0) == (0, "")


@pytest.mark.parametrize("module", [None, FakeNvml(driver=False)])
def test_without_nvml_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    assert gpus() == []
