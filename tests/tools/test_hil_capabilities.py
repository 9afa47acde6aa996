"""bench.toml: what is wired to the board on the bench."""

import dataclasses
from pathlib import Path

import pytest

from tools.hil.capabilities import (
    MISSING,
    VIRTUAL,
    Adc,
    Capabilities,
    Commands,
    Dht,
    Ds18b20,
    I2c,
    Jumper,
    Relay,
    Second,
    Strip,
    Uhubctl,
    Wifi,
    names,
    read,
)
from tools.problem import USAGE, Usage

ALL = """
[jumper]
from = 4
to = 5
[adc]
pin = 34
mv = 1650
tolerance_mv = 100
[ds18b20]
pin = 14
celsius_min = -10
celsius_max = 30.5
[dht]
pin = 27
kind = "dht11"
[i2c]
sda = 21
scl = 22
address = 0x76
register = 0xD0
value = 0x60
[strip]
pin = 13
leds = 8
[power]
uhubctl = "1-1.4"
port = 2
[wifi]
ssid = "bench"
on = "true"
off = "false"
[second]
port = "/dev/ttyUSB2"
from = 18
to = 4
"""


@pytest.fixture
def file(tmp_path):
    def made(text: str) -> Path:
        path = tmp_path / "bench.toml"
        path.write_text(text)
        return path

    return made


def test_everything_that_can_be_wired(file):
    assert read(file(ALL)) == Capabilities(
        Jumper(4, 5),
        Adc(34, 1650, 100),
        Ds18b20(14, -10.0, 30.5),
        Dht(27, "dht11", 0.0, 50.0),
        I2c(21, 22, 0x76, 0xD0, 0x60),
        Strip(13, 8),
        Uhubctl("1-1.4", 2),
        Wifi("bench", Commands("true", "false", "wifi")),
        Second("/dev/ttyUSB2", 18, 4),
    )


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("[adc]\npin = 34\nmv = 0", "adc", Adc(34, 0, 150)),
        ("[i2c]\nsda = 1\nscl = 2\naddress = 8", "i2c", I2c(1, 2, 8, None, None)),
        ('[power]\nrelay = "/dev/r"', "power", Relay("/dev/r", 1, False)),
        (
            '[power]\nrelay = "/dev/r"\nchannel = 8\ninverted = true',
            "power",
            Relay("/dev/r", 8, True),
        ),
        ('[power]\non = "a"\noff = "b"', "power", Commands("a", "b", "power")),
        ('[power]\nuhubctl = "2"\nport = 14', "power", Uhubctl("2", 14)),
        ('[wifi]\non = "a"\noff = "b"', "wifi", Wifi("", Commands("a", "b", "wifi"))),
    ],
)
def test_what_may_be_left_out(file, text, name, found):
    assert read(file(text)) == Capabilities(**{name: found})


def test_an_empty_file_is_a_bare_board(file):
    assert read(file("")) == Capabilities()


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("[jumpr]\nfrom = 4", 1, "[jumpr] there is no such table; did you mean 'jumper'?"),
        ("[x]", 1, "(there are jumper, adc, ds18b20, dht, i2c, strip, power, wifi, second)"),
        ("jumper = 4", 1, "[jumper] is a table: write [jumper] on a line of its own"),
        ("[jumper]\nfrom = 4", 1, "[jumper] to: is missing: a whole number from 0 to 48"),
        ("[jumper]\nfrom = 4\nto = 49", 3, "[jumper] to: 49 is not a whole number from 0 to 48"),
        ("[jumper]\nfrom = true\nto = 5", 2, "[jumper] from: true is not a whole number"),
        ("[jumper]\nfrom = 4.0\nto = 5", 2, "[jumper] from: 4.0 is not a whole number"),
        ('[jumper]\nfrom = "4"\nto = 5', 2, '[jumper] from: "4" is not a whole number'),
        ("[jumper]\nfrom = 4\nto = 4", 3, "[jumper] to: GPIO 4 is [jumper] from already"),
        (
            "[jumper]\nfrom = 4\nto = 5\n[strip]\npin = 5\nleds = 1",
            5,
            "[strip] pin: GPIO 5 is [jumper] to already",
        ),
        (
            "[i2c]\nsda = 4\nscl = 5\naddress = 9\n[second]\nport = 'x'\nfrom = 5\nto = 5",
            7,
            "[second] from: GPIO 5 is [i2c] scl already",
        ),
        ("[adc]\npin = 34\nmv = 3301", 3, "[adc] mv: 3301 is not a whole number from 0 to 3300"),
        ("[adc]\npin = 34\nmv = 9\ntolerance = 5", 4, "did you mean 'tolerance_mv'?"),
        (
            "[ds18b20]\npin = 4\ncelsius_min = 30\ncelsius_max = 20",
            3,
            "[ds18b20] celsius_min: 30 is not below celsius_max, 20",
        ),
        ("[ds18b20]\npin = 4\ncelsius_max = nan", 3, "nan is not a number from -55 to 125"),
        ('[dht]\npin = 4\nkind = "dht12"', 3, '"dht12" is not "dht11" or "dht22"'),
        ("[dht]\npin = 4", 1, '[dht] kind: is missing: "dht11" or "dht22"'),
        ("[i2c]\nsda = 1\nscl = 2\naddress = 0x78", 4, "120 is not a whole number from 8 to 119"),
        (
            "[i2c]\nsda = 1\nscl = 2\naddress = 8\nregister = 1",
            5,
            "[i2c] register: stands alone: value has to say what is read",
        ),
        ("[strip]\npin = 4\nleds = 0", 3, "[strip] leds: 0 is not a whole number from 1 to 256"),
        ("[power]\n", 1, "[power] says nothing: write one of uhubctl"),
        (
            '[power]\nuhubctl = "1-1"\nport = 1\nrelay = "x"',
            4,
            "[power] relay: says uhubctl and relay: write one of",
        ),
        ('[power]\nuhubctl = "1-1"', 1, "[power] port: is missing: a whole number from 1 to 14"),
        ('[power]\nuhubctl = "one"\nport = 1', 2, '"one" is no location of a hub'),
        ("[power]\nrelay = 1", 2, "[power] relay: 1 is not a serial port"),
        ('[power]\nrelay = "x"\ninverted = 1', 3, "[power] inverted: 1 is not true or false"),
        ('[power]\noff = "x"', 1, "[power] on: is missing: a command that switches it on"),
        ('[power]\non = ""\noff = "x"', 2, '[power] on: "" is not a command'),
        ("[wifi]\non = ['x']\noff = 'x'", 2, "[wifi] on: an array is not a command"),
        (f"[wifi]\nssid = '{'é' * 17}'\non = 'x'\noff = 'x'", 2, "is longer than 32 bytes"),
        (
            "[wifi]\npassword = 'tops3cret'\non = 'x'\noff = 'x'",
            2,
            "[wifi] password: a password does not belong here: set GANGLION_WIFI_PASSWORD",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_what_is_allowed(file, text, line, told):
    with pytest.raises(Usage) as caught:
        read(file(text))
    said = str(caught.value)
    assert f"bench.toml, line {line}: " in said and told in said, said
    assert "tops3cret" not in said and "\n" not in said and caught.value.exit_code == USAGE


def test_all_that_is_wrong_is_told_at_once(file):
    with pytest.raises(Usage) as caught:
        read(file("[jumper]\nfrom = 99\n[adc]\npin = 1\nmv = 1\nvolt = 1\n"))
    said = str(caught.value).splitlines()
    assert [line.partition("[")[2].split(":")[0] for line in said] == [
        "jumper] from",
        "jumper] to",
        "adc] volt",
    ]


def test_files_that_cannot_be_read(file, tmp_path):
    with pytest.raises(Usage, match="cannot be read: No such file"):
        read(tmp_path / "none.toml")
    with pytest.raises(Usage, match=r"bench\.toml is no TOML: .*line 1"):
        read(file("[jumper\n"))
    path = file("")
    path.write_bytes(b"\xff")
    with pytest.raises(Usage, match="is not text in UTF-8"):
        read(path)


def test_what_is_missing_says_what_to_write():
    assert tuple(MISSING) == names()
    for name, told in MISSING.items():
        assert told.startswith(f"needs [{name}] in bench.toml: ")


def test_the_virtual_bench_has_it_all_at_pins_of_their_own():
    assert None not in [getattr(VIRTUAL, name) for name in names()]
    pins = [
        value
        for name in names()
        for field, value in dataclasses.asdict(getattr(VIRTUAL, name)).items()
        if field in ("pin", "sda", "scl", "from_pin") or (name, field) == ("jumper", "to_pin")
    ]
    assert len(pins) == 9 and len(set(pins)) == 9
