"""docs/tools.md has every tool, with the arguments that the firmware takes."""

import re

from tools.build import FIRMWARE
from tools.paths import ROOT
from tools.specs import read

PAGE = (ROOT / "docs" / "tools.md").read_text()
CODES = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "protocol.md").read_text()))


def _rows() -> dict[str, list[str]]:
    """The cells after the name, by name."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return {row[0].strip(" `"): [c.strip().replace("\\|", "|") for c in row[1:]] for row in cells}


def test_the_table_says_what_the_firmware_takes() -> None:
    rows = _rows()
    wanted = {
        s.name: ["●" if s.acts else "", f"`{s.line}`" if s.line else "—"] for s in read(FIRMWARE)
    }
    assert {name: row[:2] for name, row in rows.items()} == wanted


def test_the_table_has_receipts_and_known_errors() -> None:
    for name, row in _rows().items():
        assert len(row) == 4 and row[2], name
        assert set(re.findall(r"`(\w+)`", row[3])) <= CODES, name
