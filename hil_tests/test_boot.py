"""Starts, and the memory that they leave."""

import time

import pytest

from tools.hil.board import Board
from tools.hil.plugin import Power, Recorder

# Above this a verified TLS handshake fails on an ESP32 without PSRAM (docs/limits.md). Of the
# virtual board's heap up to 15 KB are what is C on a chip.
HEAP_MAX_BYTES = 96 * 1024
FLASH_MIN_BYTES = 512 * 1024
# What `status` calls them. On an ESP32 the button EN is a power-on reset, elsewhere one of its own.
PUSHED, ASKED = ("reset", "power_on"), ("reset", "soft")


def test_the_button_starts_it_anew(board: Board, record: Recorder) -> None:
    """A press of EN: online again, one boot later, as itself"""
    before = board.status
    began_s = time.monotonic()
    boot = board.reset()
    status = board.status
    came_s = board.wire.of("status", began_s, boot=boot, online=True)[0].at_s
    assert boot == before["boot"] + 1
    assert status["tools"] == before["tools"] and status["fw"] == before["fw"]
    assert status["reset"] in PUSHED, status
    assert not status["safe"]
    told = board.wait_event("boot", since_s=began_s, boot=boot)
    assert told.body["reset"] == status["reset"]
    record.figure("online", "s", came_s - began_s, limit=30)


@pytest.mark.long
def test_asked_to_restart(board: Board) -> None:
    """The tool `reboot` answers, then restarts once"""
    boot = board.boot
    assert board.reboot() == boot + 1
    assert board.status["reset"] in ASKED


def test_heap(board: Board, record: Recorder) -> None:
    """The whole agent, connected by TLS, with nothing set, in 96 KiB of heap"""
    record.figure("heap used", "B", board.heap["used"], limit=HEAP_MAX_BYTES)


def test_room_on_flash(board: Board, record: Recorder) -> None:
    """Room for another firmware beside this one"""
    free = board.do("get_health")["flash"]
    record.figure("flash free", "B", free, better="higher", limit=FLASH_MIN_BYTES)


@pytest.mark.needs("power")
def test_the_supply_goes_and_comes(board: Board, power: Power) -> None:
    """Power off and on: a boot more, and the cause is told"""
    boot = board.boot
    board.do("memory_set", key="owner", value="the bench")
    assert power.cycle() == boot + 1
    assert board.status["reset"] == "power_on"
    assert board.do("memory_get", key="owner")["value"] == "the bench"
