"""What is wired to the board on the bench: a small TOML file, and what tests may count on.

Each table is one capability, and none has to be there. `read` tells of everything that is wrong
with a file at once; nothing here looks at hardware.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeAlias

from companion.config.lines import key_lines
from companion.config.table import near
from tools.hil.fields import GPIO_MAX, Fields, Findings, told
from tools.problem import Usage, shown

_LEDS_MAX: Final = 256
_HUB_PORTS: Final = 14
"""uhubctl 2.5: "port numbers must be from 1 to 14"."""
_HUB: Final = re.compile(r"[0-9]+(-[0-9]+(\.[0-9]+)*)?")
_SSID_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Jumper:
    """Two GPIOs joined by a wire: tests drive ``from_pin`` and read ``to_pin``."""

    from_pin: int
    to_pin: int


@dataclass(frozen=True, slots=True)
class Adc:
    """A known voltage at an ADC pin."""

    pin: int
    mv: int
    tolerance_mv: int = 150


@dataclass(frozen=True, slots=True)
class Ds18b20:
    """A DS18B20, and between what a reading lies here."""

    pin: int
    celsius_min: float = 0.0
    celsius_max: float = 50.0


@dataclass(frozen=True, slots=True)
class Dht:
    """A DHT11 or DHT22 (``kind`` "dht11", "dht22"), and between what a reading lies here."""

    pin: int
    kind: str
    celsius_min: float = 0.0
    celsius_max: float = 50.0


@dataclass(frozen=True, slots=True)
class I2c:
    """A device on the bus. Where ``register`` is not None it reads ``value``."""

    sda: int
    scl: int
    address: int
    register: int | None = None
    value: int | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """An LED strip."""

    pin: int
    leds: int


@dataclass(frozen=True, slots=True)
class Uhubctl:
    """The board hangs at ``port`` of the USB hub at ``location`` ("1-1"), as uhubctl names it."""

    location: str
    port: int


@dataclass(frozen=True, slots=True)
class Relay:
    """The board's supply goes through a relay of a USB relay board at the serial port ``port``.

    ``inverted``: through its normally closed contact, so the relay pulls to cut the power.
    """

    port: str
    channel: int = 1
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class Commands:
    """Two shell commands, which are done when they end. ``table`` is where they were written.

    Not in its repr: people write tokens of smart plugs into commands.
    """

    on: str = field(repr=False)
    off: str = field(repr=False)
    table: str


@dataclass(frozen=True, slots=True)
class Virtual:
    """The virtual board's own: the bench switches it, and nothing is wired."""


Power: TypeAlias = Uhubctl | Relay | Commands | Virtual


@dataclass(frozen=True, slots=True)
class Wifi:
    """An access point that can be switched. ``ssid`` "" is the one that the board knows; of
    another the password is in ``GANGLION_WIFI_PASSWORD``."""

    ssid: str
    switch: Commands | Virtual


@dataclass(frozen=True, slots=True)
class Second:
    """Another board at the serial port ``port`` ("" in the virtual bench); our GPIO ``from_pin``
    is joined to its GPIO ``to_pin``, and ground to ground."""

    port: str
    from_pin: int
    to_pin: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """All that can be wired to a board; None is what is not."""

    jumper: Jumper | None = None
    adc: Adc | None = None
    ds18b20: Ds18b20 | None = None
    dht: Dht | None = None
    i2c: I2c | None = None
    strip: Strip | None = None
    power: Power | None = None
    wifi: Wifi | None = None
    second: Second | None = None


VIRTUAL: Final = Capabilities(
    jumper=Jumper(4, 5),
    adc=Adc(34, 1650, 150),
    ds18b20=Ds18b20(14),
    dht=Dht(27, "dht22"),
    i2c=I2c(21, 22, 0x76, 0xD0, 0x60),
    strip=Strip(13, 8),
    power=Virtual(),
    wifi=Wifi("", Virtual()),
    second=Second("", 18, 4),
)
"""The virtual bench's own wiring. 0x60 at 0xD0 is what a BME280 calls itself (its datasheet)."""

MISSING: Final = {
    "jumper": (
        "needs [jumper] in bench.toml: two GPIOs joined by a wire through 330 Ω; "
        "from = the one that is driven, to = the one that reads"
    ),
    "adc": (
        "needs [adc] in bench.toml: a known voltage at an ADC pin, as two 10 kΩ between 3V3 and "
        "GND make it; pin = the GPIO, mv = 1650"
    ),
    "ds18b20": (
        "needs [ds18b20] in bench.toml: a DS18B20 with 4.7 kΩ from its data line to 3V3; "
        "pin = the GPIO at its data line"
    ),
    "dht": (
        "needs [dht] in bench.toml: a DHT11 or DHT22 with 10 kΩ from its data line to 3V3; "
        'pin = the GPIO at its data line, kind = "dht11" or "dht22"'
    ),
    "i2c": (
        "needs [i2c] in bench.toml: a device on an I2C bus; sda, scl = the GPIOs, address = 0x76; "
        "register and value where it has one that always reads the same"
    ),
    "strip": (
        "needs [strip] in bench.toml: a WS2812 LED strip; pin = the GPIO at its data line, "
        "leds = how many"
    ),
    "power": (
        'needs [power] in bench.toml: a supply that can be switched; uhubctl = "1-1" and '
        'port = 2, or relay = "/dev/ttyUSB1", or on and off = two commands'
    ),
    "wifi": (
        "needs [wifi] in bench.toml: an access point that can be switched; on and off = two "
        "commands, ssid = its name where the board knows another"
    ),
    "second": (
        "needs [second] in bench.toml: another board, GND to GND and a GPIO of this one to a GPIO "
        "of that; port = its serial port, from = our GPIO, to = its GPIO"
    ),
}
"""Capability → what a person wires and writes to have it: the reason of a skipped test."""


def names() -> tuple[str, ...]:
    """All capabilities, as their tables are called."""
    return tuple(each.name for each in fields(Capabilities))


def read(path: Path) -> Capabilities:
    """What the file says. Raises Usage with a line for each thing that is wrong: file, line,
    table, field, and what is allowed."""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except UnicodeDecodeError:
        raise Usage(f"{shown(path)} is not text in UTF-8") from None
    except OSError as error:
        raise Usage(f"{shown(path)} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Usage(f"{shown(path)} is no TOML: {error}") from None
    findings = Findings(shown(path), key_lines(text))
    found = _capabilities(data, findings)
    if findings.told:
        raise Usage("\n".join(findings.told))
    return found


def _capabilities(data: Mapping[str, Any], findings: Findings) -> Capabilities:
    made: dict[str, Any] = {}
    for name, value in data.items():
        reader = _READERS.get(name)
        if reader is None:
            text = f"there is no such table{near(name, _READERS)} (there are {', '.join(_READERS)})"
            findings.add(name, "", text)
        elif not isinstance(value, dict):
            findings.add(name, "", f"is a table: write [{name}] on a line of its own")
        else:
            table = Fields(name, value, findings)
            made[name] = reader(table)
            table.end()
    return Capabilities(**made)


def _jumper(table: Fields) -> Jumper:
    return Jumper(table.pin("from"), table.pin("to"))


def _adc(table: Fields) -> Adc:
    return Adc(
        table.pin("pin"), table.whole("mv", 0, 3300), table.whole("tolerance_mv", 1, 1000, 150)
    )


def _ds18b20(table: Fields) -> Ds18b20:
    return Ds18b20(table.pin("pin"), *_celsius(table))


def _dht(table: Fields) -> Dht:
    kinds = ("dht11", "dht22")
    pin, kind = table.pin("pin"), table.text("kind", '"dht11" or "dht22"')
    if kind and kind not in kinds:
        table.wrong("kind", f'{told(kind)} is not "dht11" or "dht22"{near(kind, kinds)}')
    return Dht(pin, kind, *_celsius(table))


def _celsius(table: Fields) -> tuple[float, float]:
    low = table.number("celsius_min", -55.0, 125.0, 0.0)
    high = table.number("celsius_max", -55.0, 125.0, 50.0)
    if low >= high:
        table.wrong("celsius_min", f"{low:g} is not below celsius_max, {high:g}")
    return low, high


def _i2c(table: Fields) -> I2c:
    sda, scl = table.pin("sda"), table.pin("scl")
    address = table.whole("address", 0x08, 0x77)
    register = table.whole("register", 0, 255) if table.has("register") else None
    value = table.whole("value", 0, 255) if table.has("value") else None
    if (register is None) != (value is None):
        there, lacks = ("register", "value") if value is None else ("value", "register")
        table.wrong(there, f"stands alone: {lacks} has to say what is read, 0 to 255")
    return I2c(sda, scl, address, register, value)


def _strip(table: Fields) -> Strip:
    return Strip(table.pin("pin"), table.whole("leds", 1, _LEDS_MAX))


def _power(table: Fields) -> Power | None:
    ways = [way for way in ("uhubctl", "relay", "on") if table.has(way)]
    if table.has("off") and "on" not in ways:
        ways.append("on")
    if len(ways) != 1:
        said = "says " + " and ".join(ways) if ways else "says nothing"
        table.wrong(
            ways[1] if ways else "",
            f'{said}: write one of uhubctl = "1-1" and port = 2, relay = "/dev/ttyUSB1", '
            "or on and off = two commands",
        )
        for known in ("port", "channel", "inverted"):
            table.has(known)
        return None
    if ways == ["uhubctl"]:
        location = table.text("uhubctl", 'a hub\'s location as uhubctl shows it, like "1-1.4"')
        if location and not _HUB.fullmatch(location):
            table.wrong("uhubctl", f'{told(location)} is no location of a hub, like "1-1.4"')
        return Uhubctl(location, table.whole("port", 1, _HUB_PORTS))
    if ways == ["relay"]:
        return Relay(
            table.text("relay", 'a serial port, like "/dev/ttyUSB1"'),
            table.whole("channel", 1, 8, 1),
            table.flag("inverted"),
        )
    return _commands(table)


def _wifi(table: Fields) -> Wifi:
    ssid = table.text("ssid", "the name of an access point", "")
    if len(ssid.encode()) > _SSID_BYTES:
        table.wrong("ssid", f"is longer than {_SSID_BYTES} bytes")
    return Wifi(ssid, _commands(table))


def _commands(table: Fields) -> Commands:
    on = table.text("on", "a command that switches it on")
    off = table.text("off", "a command that switches it off")
    return Commands(on, off, table.name)


def _second(table: Fields) -> Second:
    port = table.text("port", 'the serial port of the second board, like "/dev/ttyUSB2"')
    # `to` is a GPIO of the other board: ours may have the same number in use.
    return Second(port, table.pin("from"), table.whole("to", 0, GPIO_MAX))


_READERS: Final = {
    "jumper": _jumper,
    "adc": _adc,
    "ds18b20": _ds18b20,
    "dht": _dht,
    "i2c": _i2c,
    "strip": _strip,
    "power": _power,
    "wifi": _wifi,
    "second": _second,
}
