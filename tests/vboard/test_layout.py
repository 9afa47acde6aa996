"""Both sides of the shared memory agree on where things are."""

import itertools
import re

import pytest

from tools.paths import ROOT
from tools.vboard import layout

STANDINS = sorted((ROOT / "tools/vboard/standins").glob("*.py"))
# Constants of a stand-in that are its own affair.
PRIVATE = {
    "_hw": {"SIGALRM", "PR_SET_PDEATHSIG", "SIGKILL", "RDWR"},
    "_timer": {"AGAIN_US"},
    "_bus": {"ENODEV"},
    "_fill": {"SINGLE"},
    "network": {"JOIN_MS", "OPEN"},
    "socket": {"EAI_FAIL"},
    "ntptime": {"ETIMEDOUT"},
    "_analog": {"ETIMEDOUT"},
    "_sensor": {"ETIMEDOUT"},
    "_repl": {"WINDOW", "A", "B", "D", "E"},
    "esp32": {"KIND", "VALUE_MAX", "INT", "BLOB", "NOT_FOUND", "FULL"},
}


@pytest.mark.parametrize("path", STANDINS, ids=lambda p: p.stem)
def test_stand_ins_repeat_the_table(path):
    found = re.findall(r"^_([A-Z0-9_]+) = const\((-?\w+)\)", path.read_text(), re.MULTILINE)
    for name, value in found:
        if name not in PRIVATE.get(path.stem, ()):
            assert getattr(layout, name, None) == int(value, 0), name


def test_blocks_do_not_overlap():
    blocks = [
        (layout.WRITES, 4),
        (layout.CUT_AT, 4),
        (layout.WDT_MS, 4),
        (layout.BYTES_LEFT, 4),
        (layout.STANDIN_BYTES, 4),
        (layout.CLOCK, 8),
        (layout.PORTS, 8),
        (layout.UNIQUE_ID, 6),
        (layout.PINS_VALID, 8),
        (layout.PINS_IN_ONLY, 8),
        (layout.SSID, 33),
        (layout.PASSWORD, 64),
        (layout.TARGETS, layout.TARGETS_N * layout.TARGET_SIZE),
        (layout.RTC_LEN, 2),
        (layout.RTC, layout.RTC_SIZE),
        (layout.PINS_ADC, 8),
        (layout.PINS_ADC2, 8),
        (layout.I2C, layout.I2C_N * layout.I2C_SIZE),
        (layout.NVS, layout.NVS_N * layout.NVS_SIZE),
        (layout.PADS, layout.PADS_N * layout.PAD_SIZE),
        (layout.SENSORS, layout.SENSORS_N * layout.SENSOR_SIZE),
        (layout.STRIPS, layout.STRIPS_N * layout.STRIP_SIZE),
        (layout.AHEAD, 8),
        (layout.LEAP_TO, 8),
        (layout.LEAP_MS, 4),
        (layout.STAMPS, layout.PADS_N * layout.STAMP_SIZE),
        (layout.JUMPERS, layout.PADS_N),
        (layout.SIZE, 0),
    ]
    for (start, size), (following, _) in itertools.pairwise(blocks):
        assert start + size <= following
