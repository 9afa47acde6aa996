"""The network between board and broker fails: the board acts on alone, and comes back by itself.

What each fault is, and what it does not show of a real network: tools/hil/faults.py.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from tools.hil.bench import Faults
from tools.hil.board import Board
from tools.hil.capabilities import Capabilities
from tools.hil.plugin import Power, Recorder

# From firmware/ganglion/link.py: the first back-off, how much longer or shorter than said each may
# be, the time that a connection may take, and that until a PUBACK is overdue.
BACKOFF_FIRST_S, SHORTEST, LONGEST = 0.5, 0.75, 1.25
CONNECT_S = 10.0
ACK_S = 10.0
# Dialing, a TLS handshake and the session's first packets, on a chip at a busy machine.
OPENED_S = 8.0
# After so long a session the next back-off is the first again.
STABLE_S = 10.0
# Of the schedule: a second, one for `up` being told in whole ones, and what a chip computes a
# handshake for, with nothing beside it.
PAUSE_S = 1 + 1 + 3


def back_limit_s(outage_s: float) -> float:
    """How long a board that just started may take to be back after so long an outage. Each wait is
    twice the last, so none is much longer than all before it; an attempt that was under way when
    the fault went may fail for it, and wait once more."""
    longest_s = LONGEST * (BACKOFF_FIRST_S + outage_s / SHORTEST)
    return 2 * longest_s + CONNECT_S + OPENED_S


class Life:
    """What the board does by itself: every second it tells for how long it has been up. (Of these
    events 16 wait on flash for a session.) And a routine, whose every run is told."""

    def __init__(self, board: Board) -> None:
        self.board = board
        program = {"name": "knock", "do": [{"notify": "knock"}]}
        board.do("routine_define", program=program)
        board.do("schedule_set", name="tick", when="every 1 s", tool="get_health", args={})
        self._boot, self._sessions = board.boot, board.sessions
        self._pool = ThreadPoolExecutor(1)
        self._began_s = time.monotonic()
        self._up = int(board.do("get_health")["up"])

    def knocks(self) -> Future[dict[str, Any]]:
        """A command from now on, again every 2 s with the same id until it is answered."""
        return self._pool.submit(self.board.do, "routine_run", seconds=60.0, name="knock")

    def went_on(self, record: Recorder, new_sessions: int, knock: Future[dict[str, Any]]) -> None:
        """Never stopped, never started anew, and did once what it was told again and again."""
        board = self.board
        assert knock.result(60)["routine"] == "knock"
        up = int(board.do("get_health")["up"])
        # Events come in order: with this one all are here that waited, and any second knock.
        until("a tick", lambda: self._ticks()[-1] > up, 30)
        ticks = self._ticks()
        pause_s = max(later - earlier for earlier, later in pairwise(ticks))
        record.figure("longest pause", "s", pause_s, limit=PAUSE_S)
        assert len(board.events("notify", self._began_s, routine="knock")) == 1
        assert board.boot == self._boot
        assert board.sessions == self._sessions + new_sessions

    def _ticks(self) -> list[int]:
        """When it began and when it ticked, in seconds of its own."""
        told = self.board.events("fired", self._began_s, by="tick", boot=self._boot)
        return [self._up, *(int(heard.body["receipt"]["up"]) for heard in told)]

    def close(self) -> None:
        self._pool.shutdown()


@pytest.fixture
def patient(board: Board, has: Capabilities, power: Power) -> None:
    """The board's next back-off is the first, whatever was before. (No reset: three in their
    first ten seconds are a board that cannot start.)"""
    if has.power:
        power.cycle()
    else:
        time.sleep(STABLE_S)


@pytest.fixture
def life(board: Board) -> Iterator[Life]:
    made = Life(board)
    yield made
    made.close()


def back(board: Board, record: Recorder, cleared_s: float, limit_s: float) -> None:
    board.online(since_s=cleared_s, seconds=limit_s)
    came = board.wire.of("status", cleared_s, online=True)[0]
    record.figure("back", "s", came.at_s - cleared_s, limit=limit_s)


def outage(board: Board, faults: Faults, record: Recorder, life: Life, seconds: float) -> None:
    """The fault is there: clear it after so long."""
    knock = life.knocks()
    time.sleep(seconds)
    faults.clear()
    back(board, record, time.monotonic(), back_limit_s(seconds))
    life.went_on(record, 1, knock)


def until(what: str, probe: Callable[[], object], seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < end_s, f"{what} did not come within {seconds:g} s"
        time.sleep(0.02)


def dials_again(faults: Faults, accepted: int, seconds: float) -> None:
    until("another connection", lambda: faults.proxy.accepted > accepted, seconds)


@pytest.mark.long
@pytest.mark.usefixtures("patient")
def test_refused(board: Board, faults: Faults, life: Life, record: Recorder) -> None:
    """Connection refused: the board acts alone, tries again, and is back"""
    faults.refuse()
    # The fourth attempt is the first that can succeed, with no session for longer than PAUSE_S.
    outage(board, faults, record, life, 4.5)


@pytest.mark.usefixtures("patient")
def test_reset(board: Board, faults: Faults, life: Life, record: Recorder) -> None:
    """Connections are reset, the new ones at their first bytes: the board keeps trying"""
    accepted = faults.proxy.accepted
    faults.reset()
    dials_again(faults, accepted, LONGEST * BACKOFF_FIRST_S + CONNECT_S)
    outage(board, faults, record, life, 0.5)


@pytest.mark.long
@pytest.mark.usefixtures("patient")
def test_blackhole(board: Board, faults: Faults, life: Life, record: Recorder) -> None:
    """Nothing passes, nothing is closed: the board misses an acknowledgement and dials anew"""
    faults.blackhole()
    began_s = time.monotonic()
    knock = life.knocks()
    # A tick that is not acknowledged; the board looks every 0.2 s.
    limit_s = 1 + ACK_S + PAUSE_S
    until("the board's end of it", lambda: not faults.proxy.connections, limit_s)
    record.figure("noticed", "s", time.monotonic() - began_s, limit=limit_s)
    faults.clear()
    back(board, record, time.monotonic(), back_limit_s(0))
    life.went_on(record, 1, knock)


@pytest.mark.long
@pytest.mark.usefixtures("patient")
def test_half_open(board: Board, faults: Faults, life: Life, record: Recorder) -> None:
    """A router forgets the connection: the broker tells the will, the board notices and is back"""
    began_s = time.monotonic()
    faults.half_open()
    knock = life.knocks()
    board.offline(seconds=5)
    # Nobody clears this fault: it is over with the connection that it was of.
    limit_s = 1 + ACK_S + PAUSE_S + LONGEST * BACKOFF_FIRST_S + OPENED_S
    back(board, record, began_s, limit_s)
    life.went_on(record, 1, knock)


def test_slow(board: Board, faults: Faults, life: Life, record: Recorder) -> None:
    """2,000 bytes a second, 1.2 s each way: one session, and a command said twice acts once"""
    faults.slow(2000, delay_ms=1200)
    began_s = time.monotonic()
    knock = life.knocks()
    knock.result(60)
    answered_s = time.monotonic() - began_s
    assert answered_s >= 2.4  # so it was said again, after 2 s
    record.figure("answer", "s", answered_s, limit=2.4 + OPENED_S)
    faults.clear()
    life.went_on(record, 0, knock)


@pytest.mark.usefixtures("patient")
def test_truncated(board: Board, faults: Faults, life: Life, record: Recorder) -> None:
    """Connections end in the middle of a TLS record: the board drops the half and dials anew"""
    accepted = faults.proxy.accepted
    # The record of a PUBACK or of a CONNACK has 33 bytes.
    faults.truncate(20)
    dials_again(faults, accepted, 2 + LONGEST * BACKOFF_FIRST_S + CONNECT_S)
    outage(board, faults, record, life, 0.5)


@pytest.mark.usefixtures("patient")
def test_late_connack(board: Board, faults: Faults, life: Life, record: Recorder) -> None:
    """The broker says nothing for 2 s after CONNECT: the board waits, and does not dial twice"""
    faults.refuse()
    accepted = faults.proxy.accepted
    faults.delay_connack(2)
    began_s = time.monotonic()
    knock = life.knocks()
    back(board, record, began_s, back_limit_s(0) + 2)
    came_s = board.wire.of("status", began_s, online=True)[0].at_s
    assert came_s - began_s >= 2
    assert faults.proxy.accepted == accepted + 1
    faults.clear()
    life.went_on(record, 1, knock)
