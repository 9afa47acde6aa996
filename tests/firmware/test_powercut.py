"""Power cut at every flash write: nothing acknowledged is lost, and the board boots."""

import os

import pytest

from tools.bench import powercut

FULL = bool(os.environ.get("GANGLION_FULL"))


@pytest.mark.timeout(900)  # the full size takes minutes
def test_power_cut_at_every_write() -> None:
    figures = powercut.run(powercut.OPERATIONS if FULL else 60)
    assert figures["powercut_lost"] == figures["powercut_unbootable"] == 0, figures
    assert figures["powercut_cuts"] > (15_000 if FULL else 600), figures
    assert figures["powercut_compactions"] >= 1, figures
