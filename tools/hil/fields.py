"""Fields of a TOML table, checked; what is wrong is gathered, with its line and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from companion.config.lines import KeyPath
from companion.config.table import near

GPIO_MAX: Final = 48
"""The highest GPIO of the chips that the firmware knows, that of an ESP32-S3."""


class Findings:
    """What is wrong with ``file``, a line each in ``told``; and which pins are taken."""

    def __init__(self, file: str, lines: Mapping[KeyPath, int]) -> None:
        self.told: list[str] = []
        self.pins: dict[int, str] = {}
        self._file = file
        self._lines = lines

    def add(self, table: str, field: str, text: str) -> None:
        line = self._lines.get((table, field)) or self._lines.get((table,))
        where = f"{self._file}, line {line}" if line else self._file
        self.told.append(f"{where}: [{table}] {field}{': ' if field else ''}{text}")


class Fields:
    """One table. A field that is wrong is told of, and something stands for it."""

    def __init__(self, name: str, data: Mapping[str, Any], findings: Findings) -> None:
        self.name = name
        self._data = data
        self._findings = findings
        self._asked: list[str] = []

    def has(self, field: str) -> bool:
        """Is it there? From now on it is a field that may be."""
        self._asked.append(field)
        return field in self._data

    def wrong(self, field: str, text: str) -> None:
        """Tell of a field; "" is the table itself."""
        self._findings.add(self.name, field, text)

    def whole(self, field: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from ``low`` to ``high``; it has to be there where it has no default."""
        return int(self._within(field, low, high, default, True))

    def number(self, field: str, low: float, high: float, default: float) -> float:
        """A number from ``low`` to ``high``."""
        return self._within(field, low, high, default, False)

    def _within(
        self, field: str, low: float, high: float, default: float | None, whole: bool
    ) -> float:
        allowed = f"a {'whole ' if whole else ''}number from {low:g} to {high:g}"
        if not self.has(field):
            if default is None:
                self.wrong(field, f"is missing: {allowed}")
            return low if default is None else default
        value = self._data[field]
        # A TOML boolean is a number to Python.
        if (
            isinstance(value, bool)
            or not isinstance(value, int if whole else int | float)
            or not low <= value <= high
        ):
            self.wrong(field, f"{told(value)} is not {allowed}")
            return low if default is None else default
        return float(value)

    def pin(self, field: str) -> int:
        """A GPIO of the board under test, which nothing else here uses."""
        before = len(self._findings.told)
        pin = self.whole(field, 0, GPIO_MAX)
        if len(self._findings.told) == before:
            mine = f"[{self.name}] {field}"
            there = self._findings.pins.setdefault(pin, mine)
            if there != mine:
                self.wrong(field, f"GPIO {pin} is {there} already: each needs a GPIO of its own")
        return pin

    def text(self, field: str, what: str, default: str | None = None) -> str:
        """A text that is not blank; ``what`` says what it is, to a person."""
        if not self.has(field):
            if default is None:
                self.wrong(field, f"is missing: {what}")
            return default or ""
        value = self._data[field]
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            self.wrong(field, f"{told(value)} is not {what}")
            return ""
        return value

    def flag(self, field: str) -> bool:
        """True or false; false where it is not there."""
        value = self._data[field] if self.has(field) else False
        if not isinstance(value, bool):
            self.wrong(field, f"{told(value)} is not true or false")
            return False
        return value

    def end(self) -> None:
        """The other fields are nobody's."""
        for field in self._data:
            if field in self._asked:
                continue
            if field in ("password", "psk"):
                hint = "a password does not belong here: set GANGLION_WIFI_PASSWORD"
            else:
                hint = f"there is no such field{near(field, self._asked)}"
                hint += f" (there are {', '.join(dict.fromkeys(self._asked))})"
            self.wrong(field, hint)


def told(value: object) -> str:
    """A wrong value, short; never more of a table or an array than what it is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return f'"{value[:40]}"'
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "an array"
    return type(value).__name__
