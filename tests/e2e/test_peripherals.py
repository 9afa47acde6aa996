"""PWM, ADC, I2C, sensors, LED strips, pulses and counters: what the wire says, and the hardware."""

import time
from typing import Any

import pytest

from tests.e2e.rig import Board, System, wait_for

BUS = {"sda": 21, "scl": 22}


def pad(board: Board, pin: int) -> dict[str, Any]:
    return dict(board.control.call("pads")["pads"][str(pin)])


def given_back(board: Board, *pins: int) -> None:
    for pin in pins:
        shown = pad(board, pin)
        assert (shown["mode"], shown["pull"]) == ("in", None), (pin, shown)


def failed(board: Board, tool: str, args: dict[str, Any], code: str, why: str) -> None:
    receipt = board.do(tool, args)
    assert receipt.get("err") == code and why in receipt["msg"], receipt


# ---- every tool: wrong arguments, wrong pins, pins in use

GOOD: dict[str, dict[str, Any]] = {
    "gpio_pulse": {"pin": 5, "ms": 100},
    "pwm_set": {"pin": 5, "freq": 1000, "duty": 50},
    "servo_set": {"pin": 5, "degrees": 90},
    "pwm_stop": {"pin": 5},
    "adc_read": {"pin": 36},
    "i2c_scan": BUS,
    "i2c_read": {**BUS, "addr": 60, "n": 1},
    "i2c_write": {**BUS, "addr": 60, "data": "00"},
    "i2c_write_read": {**BUS, "addr": 60, "data": "00", "n": 1},
    "ds18x20_read": {"pin": 4},
    "dht_read": {"pin": 4, "kind": "dht22"},
    "neopixel_set": {"pin": 4, "count": 8, "colour": "red"},
    "counter_start": {"pin": 4},
    "counter_read": {"pin": 4},
    "counter_stop": {"pin": 4},
}

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("gpio_pulse", {"ms": 0}, "ms must be"),
    ("gpio_pulse", {"ms": 600001}, "ms must be"),
    ("pwm_set", {"freq": 0}, "freq must be"),
    ("pwm_set", {"freq": 40001}, "freq must be"),
    ("pwm_set", {"duty": 100.1}, "duty must be"),
    ("pwm_set", {"duty": -1}, "duty must be"),
    ("servo_set", {"degrees": 181}, "degrees must be"),
    ("i2c_scan", {"scl": 21}, "two pins"),
    ("i2c_scan", {"freq": 400001}, "freq must be"),
    ("i2c_read", {"addr": 7}, "addr must be"),
    ("i2c_read", {"addr": 120}, "addr must be"),
    ("i2c_read", {"n": 65}, "n must be"),
    ("i2c_write", {"data": "0"}, "hex"),
    ("i2c_write", {"data": "xy"}, "hex"),
    ("i2c_write", {"data": "00" * 65}, "data must be"),
    ("i2c_write_read", {"n": 0}, "n must be"),
    ("ds18x20_read", {"bits": 8}, "bits must be"),
    ("ds18x20_read", {"rom": "28"}, "16 hex digits"),
    ("dht_read", {"kind": "dht33"}, "dht11, dht22"),
    ("neopixel_set", {"count": 257}, "count must be"),
    ("neopixel_set", {"first": 8}, "0 to 7"),
    ("neopixel_set", {"first": 3, "last": 2}, "0 to 7"),
    ("neopixel_set", {"colour": "#12345"}, "colour must be"),
    ("neopixel_set", {"colour": "reddish"}, "colour must be"),
    ("neopixel_set", {"brightness": 101}, "brightness must be"),
    ("counter_start", {"edge": "up"}, "edge must be"),
    ("counter_start", {"debounce": 1001}, "debounce must be"),
    ("counter_start", {"pull": "on"}, "pull must be"),
    ("adc_read", {"at": 1}, "no argument"),
]


@pytest.mark.parametrize(("tool", "change", "why"), BAD)
def test_bad_arguments(board: Board, tool: str, change: dict[str, Any], why: str) -> None:
    failed(board, tool, {**GOOD[tool], **change}, "bad_args", why)


@pytest.mark.parametrize("tool", sorted(GOOD))
def test_pins_that_are_not_for_this(board: Board, tool: str) -> None:
    pin = "scl" if "scl" in GOOD[tool] else "pin"
    # What only looks finds nothing there, before it would touch a pin.
    looks = {"counter_read", "counter_stop", "pwm_stop"}
    code = "not_found" if tool in looks else "refused"
    failed(board, tool, {**GOOD[tool], pin: 6}, code, "" if tool in looks else "flash")
    failed(board, tool, {**GOOD[tool], pin: "attic"}, "unknown_point", "attic")
    if tool not in looks | {"adc_read", "counter_start"}:
        failed(board, tool, {**GOOD[tool], pin: 34}, "refused", "only be read")


def test_a_pin_has_one_use(board: Board) -> None:
    board.do("counter_start", {"pin": 4})
    for tool in ("dht_read", "ds18x20_read", "neopixel_set"):
        failed(board, tool, GOOD[tool], "refused", "in use")
    for tool in ("pwm_set", "servo_set", "adc_read"):
        failed(board, tool, {**GOOD[tool], "pin": 4}, "refused", "in use")
    failed(board, "i2c_scan", {"sda": 21, "scl": 4}, "refused", "in use")
    failed(board, "gpio_pulse", {"pin": 4, "ms": 5}, "refused", "in use")
    assert board.do("counter_stop", {"pin": 4}) == {"count": 0}
    # The other pin of a bus that was refused is free.
    assert board.do("gpio_write", {"pin": 21, "value": 0}) == {"level": 0}


# ---- outputs


def test_pulse(system: System, board: Board) -> None:
    assert board.do("gpio_pulse", {"pin": 5, "ms": 400})["level"] == 1
    assert board.level(5) == 1
    began = time.monotonic()
    receipt = board.do("gpio_pulse", {"pin": 5, "ms": 600})
    assert receipt["ms"] == 600 and receipt["until"].endswith("Z")
    time.sleep(0.3)
    assert board.level(5) == 1
    wait_for("the end of the pulse", lambda: board.level(5) == 0)
    assert 0.5 < time.monotonic() - began < 1.2
    board.control.call("hold", pin=5, level=0)
    failed(board, "gpio_pulse", {"pin": 5, "ms": 100}, "mismatch", "reads off")
    board.control.call("hold", pin=5, level=None)
    assert pad(board, 5)["latch"] == 0


def test_a_pulse_of_what_is_safe_high_goes_low_and_comes_back(board: Board) -> None:
    board.do("limit_set", {"pin": 18, "safe": 1})
    assert board.do("gpio_pulse", {"pin": 18, "ms": 300})["level"] == 0
    assert board.level(18) == 0
    wait_for("the end of the pulse", lambda: board.level(18) == 1)
    board.do("limit_delete", {"pin": 18})
    board.do("gpio_write", {"pin": 18, "value": 0})


def test_a_write_ends_a_pulse(board: Board) -> None:
    board.do("gpio_pulse", {"pin": 5, "ms": 200})
    board.do("gpio_write", {"pin": 5, "value": 1})
    time.sleep(0.4)
    assert board.level(5) == 1
    board.do("gpio_write", {"pin": 5, "value": 0})


def test_pwm(board: Board) -> None:
    assert board.do("pwm_set", {"pin": 5, "freq": 1000, "duty": 25}) == {"freq": 1000, "duty": 25}
    assert pad(board, 5)["pwm"] == {"freq_hz": 1000, "duty_u16": 16384}
    assert board.do("pwm_set", {"pin": 5, "freq": 40000, "duty": 0.5})["duty"] == 0.5
    assert board.do("pwm_set", {"pin": 5, "freq": 1, "duty": 100})["duty"] == 100
    assert pad(board, 5)["level"] == 1
    assert board.do("pwm_set", {"pin": 5, "freq": 1, "duty": 0})["duty"] == 0
    assert board.do("pwm_stop", {"pin": 5}) == {"level": 0}
    assert "pwm" not in pad(board, 5)
    failed(board, "pwm_stop", {"pin": 5}, "not_found", "no PWM")


def test_off_is_off_under_pwm(board: Board) -> None:
    board.do("pwm_set", {"pin": 5, "freq": 1000, "duty": 80})
    assert board.do("gpio_write", {"pin": 5, "value": 0}) == {"level": 0}
    assert "pwm" not in pad(board, 5) and board.level(5) == 0


@pytest.mark.parametrize(("degrees", "us"), [(0, 500), (90, 1500), (180, 2500), (45.5, 1005)])
def test_servo(board: Board, degrees: float, us: float) -> None:
    assert board.do("servo_set", {"pin": 13, "degrees": degrees}) == {"degrees": degrees}
    pwm = pad(board, 13)["pwm"]
    assert pwm["freq_hz"] == 50 and abs(pwm["duty_u16"] / 65535 * 20000 - us) < 2, pwm
    board.do("pwm_stop", {"pin": 13})


def test_neopixel(board: Board) -> None:
    def colours() -> list[str]:
        return list(board.control.call("strip", pin=16)["colours"])

    strip = {"pin": 16, "count": 5}
    assert board.do("neopixel_set", {**strip, "colour": "blue"}) == {
        "lit": 5,
        "count": 5,
        "first": 0,
        "last": 4,
        "colour": "#0000ff",
    }
    assert colours() == ["#0000ff"] * 5
    part = {**strip, "first": 1, "last": 2, "colour": "#FF8000", "brightness": 50}
    receipt = board.do("neopixel_set", part)
    assert (receipt["lit"], receipt["colour"]) == (5, "#804000")
    assert colours() == ["#0000ff", "#804000", "#804000", "#0000ff", "#0000ff"]
    failed(board, "gpio_write", {"pin": 16, "value": 0}, "refused", "neopixel")
    failed(board, "neopixel_set", {"pin": 17, "count": 252, "colour": "red"}, "full", "256")
    assert board.do("neopixel_set", {**strip, "colour": "off"})["lit"] == 0
    assert colours() == ["#000000"] * 5
    assert board.do("gpio_write", {"pin": 16, "value": 0}) == {"level": 0}


# ---- inputs


def test_adc(system: System, board: Board) -> None:
    board.control.call("adc", pin=36, mv=1650)
    receipt = board.do("adc_read", {"pin": 36})
    assert receipt == {"raw": 32767, "mv": 1650}
    board.do("point_set", {"name": "Tank", "pin": 36, "unit": "l", "scale": 0.1, "offset": -50})
    receipt = board.do("adc_read", {"pin": "tank"})
    assert (receipt["mv"], receipt["value"], receipt["unit"]) == (1650, 115, "l"), receipt
    assert board.do("adc_read", {"pin": 36})["value"] == 115
    board.do("point_delete", {"name": "tank"})
    assert "value" not in board.do("adc_read", {"pin": 36})
    failed(board, "adc_read", {"pin": 5}, "refused", "no analog input")
    failed(board, "adc_read", {"pin": 4}, "device", "Wi-Fi")


def test_i2c(board: Board) -> None:
    assert board.do("i2c_scan", BUS) == {"addrs": []}
    board.control.call("i2c", addr=0x3C, regs=bytes(range(256)).hex())
    board.control.call("i2c", addr=0x76, regs="ff")
    assert board.do("i2c_scan", {**BUS, "freq": 400000}) == {"addrs": [0x3C, 0x76]}
    device = {**BUS, "addr": 0x3C}
    assert board.do("i2c_write_read", {**device, "data": "d0", "n": 3}) == {"data": "d0d1d2"}
    assert board.do("i2c_write", {**device, "data": "10 CA fe"}) == {"bytes": 3}
    assert board.do("i2c_write_read", {**device, "data": "10", "n": 2}) == {"data": "cafe"}
    assert board.do("i2c_write", {**device, "data": "00"}) == {"bytes": 1}
    data = board.do("i2c_read", {**device, "n": 64})["data"]
    assert len(data) == 128 and data.startswith("0001")
    for tool in ("i2c_read", "i2c_write", "i2c_write_read"):
        failed(board, tool, {**GOOD[tool], "addr": 0x20}, "device", "nothing answers at 0x20")
    board.control.call("hold", pin=22, level=0)
    failed(board, "i2c_scan", BUS, "device", "pin 22 is held low")
    board.control.call("hold", pin=22, level=None)
    given_back(board, 21, 22)


def test_ds18x20(board: Board) -> None:
    def sensor(**what: Any) -> None:
        board.control.call("sensor", pin=4, **({"kind": "ds18b20", "celsius": 21.4} | what))

    read = {"pin": 4}
    failed(board, "ds18x20_read", read, "device", "no DS18x20 answers on pin 4")
    sensor()
    rom = "2804000000000000"
    # A quarter of a degree is what 10 bits have.
    assert board.do("ds18x20_read", read) == {"temps": {rom: 21.25}, "celsius": 21.25}
    assert board.do("ds18x20_read", {**read, "bits": 12})["celsius"] == 21.375
    sensor(celsius=-10.5)
    assert board.do("ds18x20_read", {**read, "rom": rom})["celsius"] == -10.5
    sensor(celsius=85)
    assert board.do("ds18x20_read", read)["celsius"] == 85
    failed(board, "ds18x20_read", {**read, "rom": "28" + "11" * 7}, "device", "answers on pin 4")
    second = "28ffeeddccbbaa99"
    sensor(celsius=30, rom=second)
    assert board.do("ds18x20_read", read) == {"temps": {rom: 85, second: 30}}
    assert board.do("ds18x20_read", {**read, "rom": second})["celsius"] == 30
    sensor(celsius=30, rom=second, fail="crc")
    receipt = board.do("ds18x20_read", read)
    assert receipt["temps"] == {rom: 85} and "checksum" in receipt["failed"][0], receipt
    sensor(fail="crc")
    failed(board, "ds18x20_read", read, "device", "checksum")
    sensor(fail="power")
    sensor(kind=None, rom=second)
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    board.online(after=board.boot)
    failed(board, "ds18x20_read", read, "device", "supply")
    sensor(fail="gone")
    failed(board, "ds18x20_read", read, "device", "no DS18x20")
    sensor(kind=None)
    given_back(board, 4)


def test_dht(board: Board) -> None:
    def sensor(kind: str | None, **what: Any) -> None:
        board.control.call("sensor", pin=15, kind=kind, **what)

    read = {"pin": 15, "kind": "dht22"}
    failed(board, "dht_read", read, "device", "no dht22 answers on pin 15")
    sensor("dht22", celsius=-3.7, humidity=45.2)
    assert board.do("dht_read", read) == {"celsius": -3.7, "humidity": 45.2}
    sensor("dht22", celsius=20, humidity=50, fail="crc")
    failed(board, "dht_read", read, "device", "checksum")
    sensor("dht22", celsius=20, humidity=50, fail="gone")
    failed(board, "dht_read", read, "device", "no dht22 answers")
    sensor("dht11", celsius=22, humidity=41)
    assert board.do("dht_read", {**read, "kind": "dht11"}) == {"celsius": 22, "humidity": 41}
    failed(board, "dht_read", read, "device", "nonsense")
    sensor(None)
    given_back(board, 15)


def test_counter(board: Board) -> None:
    def clicks(n: int) -> None:
        for _ in range(n):
            for level in (1, 0):
                board.control.call("drive", pin=14, level=level)
                time.sleep(0.02)

    assert board.do("counter_start", {"pin": 14, "pull": "down"}) == {"count": 0}
    assert pad(board, 14)["pull"] == "down"
    clicks(5)
    assert board.do("counter_read", {"pin": 14}) == {"count": 5}
    # It counts on, whatever else is asked of the board.
    board.do("i2c_scan", BUS)
    clicks(2)
    assert board.do("counter_stop", {"pin": 14}) == {"count": 7}
    given_back(board, 14)
    clicks(1)
    failed(board, "counter_read", {"pin": 14}, "not_found", "nothing is counted")
    board.do("counter_start", {"pin": 14, "edge": "both", "debounce": 200})
    clicks(3)
    assert board.do("counter_stop", {"pin": 14}) == {"count": 1}
    failed(board, "counter_start", {"pin": 36, "pull": "up"}, "refused", "no pull")
    board.control.call("drive", pin=14, level=None)


def test_counters_are_bounded(board: Board) -> None:
    pins = (4, 13, 34, 35)
    for pin in pins:
        assert board.do("counter_start", {"pin": pin}) == {"count": 0}
    failed(board, "counter_start", {"pin": 14}, "full", "4 counters")
    for pin in pins:
        assert board.do("counter_stop", {"pin": pin}) == {"count": 0}


# ---- limits of the owner


def test_a_limit_holds_for_pwm(board: Board) -> None:
    board.do("limit_set", {"pin": 17, "max": 50, "max_on_s": 1})
    failed(board, "pwm_set", {"pin": 17, "freq": 100, "duty": 51}, "refused", "pin 17")
    assert "pwm" not in pad(board, 17)
    assert board.do("pwm_set", {"pin": 17, "freq": 100, "duty": 50})["duty"] == 50
    # Switched off by the guard's timer, and nobody's pin then.
    wait_for("the limit", lambda: "pwm" not in pad(board, 17), 3)
    assert board.level(17) == 0
    failed(board, "pwm_stop", {"pin": 17}, "not_found", "no PWM")
    assert board.do("pwm_set", {"pin": 17, "freq": 100, "duty": 10})["duty"] == 10
    board.do("pwm_stop", {"pin": 17})
    board.do("limit_delete", {"pin": 17})


def test_a_limit_holds_for_pulses_strips_and_servos(board: Board) -> None:
    board.do("limit_set", {"pin": 18, "interlock": "pair"})
    board.do("limit_set", {"pin": 19, "interlock": "pair"})
    board.do("gpio_write", {"pin": 18, "value": 1})
    refused = {
        "gpio_pulse": {"pin": 19, "ms": 100},
        "servo_set": {"pin": 19, "degrees": 0},
        "neopixel_set": {"pin": 19, "count": 1, "colour": "red"},
    }
    for tool, args in refused.items():
        failed(board, tool, args, "refused", "")
    assert board.level(19) == 0 and board.control.call("strip", pin=19)["colours"] == []
    board.do("gpio_write", {"pin": 18, "value": 0})
    for tool, args in refused.items():
        assert "err" not in board.do(tool, args)
        board.do("gpio_write", {"pin": 19, "value": 0})
    assert board.do("neopixel_set", {"pin": 19, "count": 1, "colour": "off"})["lit"] == 0
    board.do("limit_delete", {"pin": 18})
    board.do("limit_delete", {"pin": 19})


# ---- what it leaves


def test_nothing_is_left_in_the_heap(board: Board) -> None:
    board.control.call("sensor", pin=4, kind="ds18b20", celsius=20)
    board.control.call("sensor", pin=15, kind="dht22", celsius=20, humidity=50)

    def use_all() -> int:
        for tool in sorted(GOOD):
            if tool != "dht_read":
                board.do(tool, GOOD[tool])
        board.do("dht_read", {"pin": 15, "kind": "dht22"})
        board.do("counter_start", {"pin": 14})
        board.do("counter_stop", {"pin": 14})
        board.do("neopixel_set", {**GOOD["neopixel_set"], "colour": "off"})
        board.do("gpio_write", {"pin": 5, "value": 0})
        return int(board.do("get_health", {})["heap"])

    use_all()
    free = use_all()
    for _ in range(3):
        left = use_all()
    assert abs(left - free) < 1024, (left, free)
