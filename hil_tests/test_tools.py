"""Every tool at what is wired to the board."""

import json
import runpy
import time
from typing import Any, Final

import pytest

from hil_tests import test_boot
from hil_tests.covered import claim, covers, exercised
from hil_tests.jumper import Jumper, Span, console, happened, on_time, teach
from tools.hil.board import Board
from tools.hil.capabilities import Capabilities
from tools.hil.plugin import Recorder
from tools.hil.second import Second
from tools.paths import FIRMWARE

claim(test_boot.test_asked_to_restart, "reboot")

# What a value of each kind may be, for arguments that are not looked at.
_FITS: Final = {"integer": 0, "number": 0, "string": "x", "boolean": True, "object": {}}


def told(board: Board) -> dict[str, dict[str, Any]]:
    """What the board tells of its tools, by name."""
    parts: dict[int, list[dict[str, Any]]] = {}
    for heard in board.wire.heard:
        if heard.leaf.partition("/")[0] == "tools" and heard.body["hash"] == board.status["tools"]:
            parts[heard.body.get("part", 1)] = heard.body["specs"]
            whole = heard.body.get("of", 1)
    assert sorted(parts) == list(range(1, whole + 1)), f"parts {sorted(parts)} of {whole} came"
    return {spec["name"]: spec for specs in parts.values() for spec in specs}


def test_each_tool_is_tested(board: Board) -> None:
    """No tool that the board tells is without a test here"""
    assert exercised() == set(told(board))


# ---- wrong use


def test_wrong_arguments(board: Board) -> None:
    """Each tool refuses an argument that it does not know, one that is missing, one out of range"""
    for name, spec in told(board).items():
        properties, required = spec["args"]["properties"], spec["args"].get("required", [])
        least = {each: _fitting(properties[each]) for each in required}
        _bad(board, name, {**least, "nonsense": 1}, "there is no argument 'nonsense'")
        for gone in required[:1]:
            _bad(board, name, {k: v for k, v in least.items() if k != gone}, f"{gone} is missing")
        for argument, schema in properties.items():
            if wrong := _beyond(schema):
                _bad(board, name, {**least, argument: wrong}, f"{argument} must be ")


def _fitting(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "integer")
    return schema.get("minimum", _FITS[kind] if isinstance(kind, str) else 0)


def _beyond(schema: dict[str, Any]) -> Any:
    if "maximum" in schema:
        return schema["maximum"] + 1
    if "maxLength" in schema:
        return "x" * (schema["maxLength"] + 1)
    return "no such word" if "enum" in schema else None


def _bad(board: Board, tool: str, args: dict[str, Any], why: str) -> None:
    receipt = board.ask(tool, **args)
    assert receipt.get("err") == "bad_args" and why in receipt["msg"], (tool, args, receipt)


def test_no_such_tool(board: Board) -> None:
    """An unknown tool, and an unknown point"""
    assert board.refused("make_coffee") == "unknown_tool"
    assert board.refused("gpio_read", pin="attic lamp") == "unknown_point"


def test_reserved_pins(board: Board) -> None:
    """Flash, console and strapping pins are refused, with the reason of the board's file"""
    name = board.do("get_version")["board"]
    denied = runpy.run_path(str(FIRMWARE / "boards" / f"{name}.py"))["DENIED"]
    assert denied
    for first, _, why in denied:
        for tool, args in (("gpio_write", {"value": 1}), ("gpio_read", {}), ("counter_start", {})):
            receipt = board.ask(tool, pin=first, **args)
            assert receipt.get("err") == "refused" and why in receipt["msg"], (tool, receipt)
    assert board.refused("gpio_write", pin=63, value=1) == "refused"


# ---- levels


@covers("gpio_write", "gpio_read", "gpio_read_all")
@pytest.mark.needs("jumper")
def test_levels(board: Board, jumper: Jumper) -> None:
    """What is written at one end of the jumper is read at the other"""
    for value, level in ((1, 1), (0, 0), ("toggle", 1), ("toggle", 0)):
        assert board.do("gpio_write", pin=jumper.from_pin, value=value) == {"level": level}
        assert board.do("gpio_read", pin=jumper.to_pin) == {"level": level}
    levels = board.do("gpio_read_all")["levels"]
    assert levels[f"pin {jumper.from_pin}"] == levels[f"pin {jumper.to_pin}"] == 0, levels


@covers("gpio_write")
@pytest.mark.needs("second")
def test_seen_by_another_board(board: Board, has: Capabilities, second: Second) -> None:
    """What an output does is seen by another board's pin"""
    assert has.second
    try:
        for level in (1, 0, 1):
            board.do("gpio_write", pin=has.second.from_pin, value=level)
            assert second.level() == level
    finally:
        board.do("gpio_write", pin=has.second.from_pin, value=0)
    assert second.level() == 0


@covers("gpio_pulse")
@pytest.mark.needs("jumper")
def test_pulse(board: Board, jumper: Jumper, record: Recorder) -> None:
    """A pulse is seen at the far end, for as long as it was asked for"""
    began_s = time.monotonic()
    receipt = board.do("gpio_pulse", pin=jumper.from_pin, ms=500)
    on = Span(began_s, time.monotonic())
    assert receipt["level"] == 1 and receipt["ms"] == 500, receipt
    assert jumper.reads() == 1
    on_time(record, "pulse", jumper.becomes(0, 10).since(on), 0.5)


@covers("pwm_set", "pwm_stop", "limit_set")
@pytest.mark.needs("jumper")
def test_pwm(board: Board, jumper: Jumper) -> None:
    """PWM at its ends is a level; its receipt is what the hardware has; stopped, the pin is low"""
    pin = jumper.from_pin
    board.do("limit_set", pin=pin, safe=0)  # else it floats when it is stopped
    for duty in (100, 0, 100):
        receipt = board.do("pwm_set", pin=pin, freq=1000, duty=duty)
        assert abs(receipt["freq"] - 1000) <= 10 and abs(receipt["duty"] - duty) <= 1, receipt
        assert jumper.reads() == duty // 100
    receipt = board.do("pwm_set", pin=pin, freq=5000, duty=25)
    assert abs(receipt["freq"] - 5000) <= 50 and abs(receipt["duty"] - 25) <= 1, receipt
    assert board.do("pwm_stop", pin=pin) == {"level": 0}
    assert jumper.reads() == 0
    assert board.refused("pwm_stop", pin=pin) == "not_found"


@covers("servo_set", "pwm_stop")
@pytest.mark.needs("jumper")
def test_servo(board: Board, jumper: Jumper) -> None:
    """A servo's receipt is the angle of its pulses; a plain level ends them"""
    for degrees in (0, 90, 180):
        receipt = board.do("servo_set", pin=jumper.from_pin, degrees=degrees)
        assert abs(receipt["degrees"] - degrees) <= 2, receipt
    jumper.drive(1)
    assert jumper.reads() == 1
    assert board.refused("pwm_stop", pin=jumper.from_pin) == "not_found"
    jumper.drive(0)


# ---- counters


@covers("counter_start", "counter_read", "counter_stop")
@pytest.mark.needs("jumper")
def test_counter(board: Board, jumper: Jumper) -> None:
    """A counter has each pulse that was sent over the jumper, and no other"""
    pin = jumper.to_pin
    for edge, a_pulse in (("rising", 1), ("falling", 1), ("both", 2)):
        assert board.do("counter_start", pin=pin, edge=edge) == {"count": 0}
        for n in range(1, 6):
            jumper.drive(1)
            jumper.drive(0)
            assert board.do("counter_read", pin=pin) == {"count": n * a_pulse}, edge
    assert board.refused("adc_read", pin=pin) == "refused"
    assert board.do("counter_stop", pin=pin) == {"count": 10}
    assert board.refused("counter_read", pin=pin) == "not_found"


@covers("counter_start", "counter_stop")
@pytest.mark.needs("jumper")
def test_counter_of_fast_pulses(board: Board, jumper: Jumper) -> None:
    """100 pulses as fast as the chip sends them are 100; bounces of a contact are one"""
    jumper.fresh()
    steps = [{"call": ["gpio_write", {"pin": jumper.from_pin, "value": value}]} for value in (1, 0)]
    burst = {"repeat": "$n", "do": steps}
    last = [{"notify": "done"}]
    many = {"type": "int", "default": 1, "min": 1, "max": 100}
    teach(board, {"name": "pulses", "params": {"n": many}, "do": [burst, *last]})
    board.do("counter_start", pin=jumper.to_pin)
    _run(board, "pulses", n=100)
    assert board.do("counter_stop", pin=jumper.to_pin) == {"count": 100}
    teach(
        board,
        {"name": "contact", "do": [{"repeat": 3, "do": [*steps * 3, {"wait": 0.6}]}, *last]},
    )
    board.do("counter_start", pin=jumper.to_pin, debounce=300)
    _run(board, "contact")
    assert board.do("counter_stop", pin=jumper.to_pin) == {"count": 3}


def _run(board: Board, name: str, **args: Any) -> None:
    began_s = time.monotonic()
    board.do("routine_run", name=name, args=args)
    board.wait_event("notify", 60, began_s, routine=name)


# ---- what measures


@covers("adc_read")
@pytest.mark.needs("adc")
def test_voltage(board: Board, has: Capabilities, record: Recorder) -> None:
    """The known voltage is measured, and told in the unit of its point"""
    assert has.adc
    board.do("point_set", name="supply", pin=has.adc.pin, unit="V", scale=0.002, offset=1)
    receipt = board.do("adc_read", pin="supply")
    assert 0 < receipt["raw"] < 65535, receipt
    assert receipt["unit"] == "V" and abs(receipt["value"] - receipt["mv"] * 0.002 - 1) < 0.01
    off_mv = abs(receipt["mv"] - has.adc.mv)
    record.figure("voltage off by", "mV", off_mv, limit=has.adc.tolerance_mv)


@covers("i2c_scan")
@pytest.mark.needs("i2c")
def test_i2c_scan(board: Board, has: Capabilities) -> None:
    """A scan of the bus finds the device"""
    assert has.i2c
    found = board.do("i2c_scan", sda=has.i2c.sda, scl=has.i2c.scl)["addrs"]
    assert has.i2c.address in found, [hex(address) for address in found]


@covers("i2c_read", "i2c_write", "i2c_write_read")
@pytest.mark.needs("i2c")
def test_i2c_register(board: Board, has: Capabilities) -> None:
    """The device's register is read, in one transfer and in two; an address with nobody is told"""
    assert has.i2c
    register, value = has.i2c.register, has.i2c.value
    if register is None or value is None:
        pytest.skip("[i2c] of bench.toml has no register with a value that is known")
    bus: dict[str, Any] = {"sda": has.i2c.sda, "scl": has.i2c.scl, "freq": 100000}
    at = {**bus, "addr": has.i2c.address}
    want = {"data": f"{value:02x}"}
    assert board.do("i2c_write_read", **at, data=f"{register:02x}", n=1) == want
    assert board.do("i2c_write", **at, data=f"{register:02x}") == {"bytes": 1}
    assert board.do("i2c_read", **at, n=1) == want
    there = board.do("i2c_scan", **bus)["addrs"]
    nobody = next(address for address in range(8, 120) if address not in there)
    assert board.refused("i2c_read", **bus, addr=nobody, n=1) == "device"
    assert board.refused("i2c_scan", sda=bus["sda"], scl=bus["sda"]) == "bad_args"


@covers("ds18x20_read")
@pytest.mark.needs("ds18b20")
def test_thermometer(board: Board, has: Capabilities) -> None:
    """The DS18B20 reads a temperature of a room, and again by its ROM"""
    assert has.ds18b20
    one = board.do("ds18x20_read", pin=has.ds18b20.pin)
    assert has.ds18b20.celsius_min <= one["celsius"] <= has.ds18b20.celsius_max, one
    (rom,) = one["temps"]
    again = board.do("ds18x20_read", pin=has.ds18b20.pin, bits=12, rom=rom)
    assert abs(again["temps"][rom] - one["celsius"]) <= 1, (one, again)


@covers("dht_read")
@pytest.mark.needs("dht")
def test_dht(board: Board, has: Capabilities) -> None:
    """The DHT reads temperature and humidity of a room"""
    assert has.dht
    reading = board.do("dht_read", pin=has.dht.pin, kind=has.dht.kind)
    assert has.dht.celsius_min <= reading["celsius"] <= has.dht.celsius_max, reading
    assert 5 <= reading["humidity"] <= 100, reading


@covers("neopixel_set")
@pytest.mark.needs("strip")
def test_strip(board: Board, has: Capabilities) -> None:
    """A strip is lit, in part and whole, and dark again"""
    assert has.strip
    count = has.strip.leds
    at: dict[str, Any] = {"pin": has.strip.pin, "count": count}
    board.do("neopixel_set", **at, colour="off")
    one = board.do("neopixel_set", **at, colour="red", brightness=10, first=0, last=0)
    assert (one["lit"], one["count"], one["colour"]) == (1, count, "#1a0000"), one
    # It has its pin alone, until it is dark.
    assert board.refused("gpio_write", pin=has.strip.pin, value=0) == "refused"
    all_of_it = board.do("neopixel_set", **at, colour="#000800")
    assert (all_of_it["lit"], all_of_it["colour"]) == (count, "#000800"), all_of_it
    assert board.do("neopixel_set", **at, colour="off")["lit"] == 0
    assert board.do("gpio_write", pin=has.strip.pin, value=0) == {"level": 0}
    assert board.refused("neopixel_set", **at, colour="mauve") == "bad_args"


# ---- names


@covers("point_set", "point_list", "point_delete")
@pytest.mark.needs("jumper")
def test_points(board: Board, jumper: Jumper) -> None:
    """Pins by name, in any capitals; the list has what they are; a point that is an input is read
    only"""
    made = board.do("point_set", name="Bench Lamp", pin=jumper.from_pin)
    assert (made["name"], made["dir"]) == ("bench lamp", "out"), made
    board.do("point_set", name="bench sense", pin=jumper.to_pin, dir="in", unit="x")
    board.do("gpio_write", pin="BENCH lamp", value=1)
    assert board.do("gpio_read", pin="bench sense") == {"level": 1}
    assert board.do("point_list")["points"] == {
        "bench lamp": {"pin": jumper.from_pin, "dir": "out"},
        "bench sense": {"pin": jumper.to_pin, "dir": "in", "unit": "x"},
    }
    assert board.refused("gpio_write", pin="bench sense", value=1) == "refused"
    assert board.say("turn off the bench lamp")["reply"] == "bench lamp is off."
    assert jumper.reads() == 0
    board.do("point_delete", name="bench lamp")
    assert board.refused("gpio_read", pin="bench lamp") == "unknown_point"


@covers("point_set", "gpio_write", "gpio_read")
@pytest.mark.needs("jumper", "strip")
def test_groups(board: Board, jumper: Jumper, has: Capabilities) -> None:
    """A group is switched and read as one; what of it cannot be is told, the rest is done"""
    assert has.strip
    board.do("neopixel_set", pin=has.strip.pin, count=has.strip.leds, colour="off")
    board.do("point_set", name="near", pin=jumper.from_pin, group="bench")
    board.do("point_set", name="side", pin=has.strip.pin, group="bench")
    done = board.do("gpio_write", pin="all bench", value=1)
    assert done == {"levels": {"near": 1, "side": 1}, "level": 1}
    assert jumper.reads() == 1
    board.do("point_set", name="far", pin=jumper.to_pin, dir="in", group="bench")
    part = board.ask("gpio_write", pin="bench", value=0)
    assert (part["err"], part["levels"]) == ("partial", {"near": 0, "side": 0}), part
    assert part["failed"] == {"far": "refused"}
    assert board.do("gpio_read", pin="bench")["levels"] == {"near": 0, "side": 0, "far": 0}


@covers("memory_set", "memory_get", "memory_list", "memory_delete")
def test_memory(board: Board) -> None:
    """Facts are kept, listed and forgotten"""
    assert board.do("memory_set", key="owner", value="Ünal", pinned=True)["pinned"]
    board.do("memory_set", key="guest", value="nobody")
    assert board.do("memory_get", key="owner") == {"key": "owner", "value": "Ünal", "pinned": True}
    assert board.do("memory_list")["facts"] == {"owner": "Ünal", "guest": "nobody"}
    assert board.do("memory_list", after="guest")["facts"] == {"owner": "Ünal"}
    board.do("memory_delete", key="owner")
    assert board.refused("memory_get", key="owner") == "not_found"


@covers("persona_get", "persona_set", "persona_reset")
def test_persona(board: Board) -> None:
    """Its manner of talking is set, told, and neutral again"""
    assert board.do("persona_set", persona="witty") == {"persona": "witty"}
    assert board.do("persona_get") == {"persona": "witty"}
    assert board.do("persona_reset") == {"persona": "neutral"}


@covers("rename_device", "get_version")
def test_name(board: Board) -> None:
    """A name to show is in its status at once, and gone again; the id stays"""
    began_s = time.monotonic()
    assert board.do("rename_device", name="Bench  Box") == {"name": "Bench Box"}
    assert board.wire.wait("status", 10, began_s, name="Bench Box").body["online"]
    version = board.do("get_version")
    assert (version["name"], version["device"]) == ("Bench Box", board.wire.device), version
    assert board.do("rename_device") == {"name": None}
    assert board.do("get_version")["name"] is None


# ---- time, health


@covers("get_time", "set_timezone", "set_place")
def test_time(board: Board) -> None:
    """It knows the time, in UTC and in the zone that was set"""
    began_s = time.time()
    try:
        assert board.do("set_timezone", tz="IST-5:30")["tz"] == "IST-5:30"
        now = board.do("get_time")
        ended_s = time.time()
    finally:
        board.do("set_timezone", tz="UTC0")
    off_s = max(began_s - now["epoch"], now["epoch"] - ended_s)
    # Of whole seconds, of an answer that may have been under way for a while.
    assert off_s <= 5, f"its clock is {off_s:.1f} s off"
    assert now["iso"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now["epoch"])), now
    local = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(now["epoch"] + 19800))
    assert now["local"] == local, now
    assert board.refused("set_timezone", tz="Middle Earth") == "bad_args"
    assert board.do("set_place", lat=52.5, lon=13.4) == {"lat": 52.5, "lon": 13.4}


@covers("get_health", "get_diagnostics")
def test_health(board: Board) -> None:
    """Its health and its figures, and each part of them by itself"""
    health = board.do("get_health")
    assert health["boot"] == board.boot and health["up"] >= 0 and health["heap"] > 0, health
    every = board.do("get_diagnostics", scope="all")
    assert set(every) == {"store", "link", "wifi", "heap"}, every
    assert every["link"]["up"] and every["wifi"]["up"] and every["store"]["live"] >= 0, every
    for scope in ("store", "link", "wifi", "heap"):
        assert set(board.do("get_diagnostics", scope=scope)) == {scope}
    before = board.do("get_diagnostics", scope="store")["store"]["writes"]
    board.do("memory_set", key="a", value="b")
    after = board.do("get_diagnostics", scope="store")["store"]["writes"]
    assert after == before + 1, (before, after)


# ---- limits, schedules, rules: what they do is in their own files


@covers("limit_set", "limit_get", "limit_list", "limit_delete")
@pytest.mark.needs("jumper")
def test_limits_are_told(board: Board, jumper: Jumper) -> None:
    """A pin's limits are set, changed, told and taken away"""
    pin = jumper.from_pin
    assert board.do("limit_set", pin=pin, max_on_s=60, safe=0)["off"] == 0
    changed = board.do("limit_set", pin=pin, max_on_s=0, rate_per_min=9)
    assert changed["limit"] == {"safe": 0, "rate_per_min": 9}, changed
    assert board.do("limit_get", pin=pin)["limit"] == {"safe": 0, "rate_per_min": 9}
    assert board.do("limit_list")["limits"] == {f"pin {pin}": "rate_per_min 9, safe 0"}
    assert board.refused("limit_set", pin=pin, min=5, max=4) == "bad_args"
    board.do("limit_delete", pin=pin)
    assert board.refused("limit_get", pin=pin) == "not_found"


@covers("schedule_set", "schedule_list", "schedule_pause", "schedule_delete")
def test_schedules_are_told(board: Board) -> None:
    """Schedules are set, listed, paused and forgotten; what is no time is refused"""
    what = {"tool": "get_time", "args": {}}
    made = board.do("schedule_set", name="Tick", when="every 2 h", **what)
    assert (made["name"], made["when"], made["do"]) == ("tick", "every 2 h", ["get_time", {}])
    assert board.do("schedule_pause", name="tick", paused=True)["paused"]
    assert board.do("schedule_list")["schedules"] == [["tick", "every 2 h", "get_time", "paused"]]
    assert "next" in board.do("schedule_pause", name="tick", paused=False)
    board.do("schedule_delete", name="tick")
    assert board.do("schedule_list")["schedules"] == []
    assert board.refused("schedule_delete", name="tick") == "not_found"
    assert board.refused("schedule_set", name="x", when="at noon", **what) == "bad_args"
    unknown = {"tool": "make_coffee", "args": {}}
    assert board.refused("schedule_set", name="x", when="every 2 h", **unknown) == "unknown_tool"


@covers("rule_set", "rule_list", "rule_pause", "rule_delete")
def test_rules_are_told(board: Board) -> None:
    """Rules are set, listed, paused and forgotten; the console has them, too"""
    what = {"tool": "get_time", "args": {}}
    made = board.do("rule_set", name="Bell", event="front door", **{"is": "arrives"}, **what)
    assert made["name"] == "bell" and made["rule"]["event"] == "front-door", made
    assert board.do("rule_pause", name="bell", paused=True)["state"] == "paused"
    assert board.do("rule_list")["rules"] == [["bell", "arrives", "get_time", "paused"]]
    assert board.do("rule_pause", name="bell", paused=False)["state"] == "on"
    assert console(board, "rules", "bell: ") == "event front-door arrives -> get_time {}"
    board.do("rule_delete", name="bell")
    between = {"is": "between", "value": -5, "to": 0}
    board.do("rule_set", name="frost", event="degrees", **between, **what)
    assert console(board, "rules", "frost: ") == "event degrees between -5 and 0 -> get_time {}"
    board.do("rule_delete", name="frost")
    assert board.do("rule_list")["rules"] == []
    assert board.refused("rule_pause", name="bell", paused=True) == "not_found"
    itself = {"tool": "rule_delete", "args": {"name": "bell"}}
    assert board.refused("rule_set", name="x", event="y", **{"is": "arrives"}, **itself) == (
        "bad_args"
    )


# ---- routines


@covers("routine_define", "routine_check", "routine_approve", "routine_list")
@covers("routine_run", "routine_cancel", "routine_delete")
@pytest.mark.needs("jumper")
def test_routine(board: Board, jumper: Jumper) -> None:
    """A routine is checked, tried out, approved, run, cut short with its finally run, forgotten"""
    jumper.fresh()
    switch = [{"call": ["gpio_write", {"pin": jumper.from_pin, "value": v}]} for v in (0, 1)]
    program = {
        "name": "air",
        "params": {"s": {"type": "num", "default": 30, "min": 0, "max": 60}},
        "do": [switch[1], {"wait": "$s"}, {"notify": "aired"}],
        "finally": [switch[0]],
    }
    checked = board.do("routine_check", program=program)
    assert checked["acts"] and checked["pins"] == [jumper.from_pin], checked
    assert checked["left_on"] == [] and 60 <= checked["s"] <= 70, checked
    defined = board.do("routine_define", program=program)
    assert defined["trace"] and "stored" not in defined, defined
    assert board.refused("routine_run", name="air") == "not_found"
    assert jumper.reads() == 0, "the dry run has switched"
    board.do("routine_approve", token=defined["token"])
    assert board.do("routine_list")["routines"] == {"air": "idle"}

    assert board.do("routine_run", name="air")["state"] == "running"
    assert jumper.reads() == 1
    assert board.refused("routine_run", name="air") == "busy"
    assert board.refused("routine_delete", name="air") == "busy"
    cut_s = time.monotonic()
    board.do("routine_cancel", name="air")
    assert board.wait_event("routine", 10, cut_s, routine="air").body["end"] == "canceled"
    assert jumper.reads() == 0

    began_s = time.monotonic()
    board.do("routine_run", name="air", args={"s": 0.2})
    happened(board, 1, 10, began_s, "notify", routine="air", text="aired")
    jumper.becomes(0, 10)
    assert board.do("routine_list")["routines"] == {"air": "idle"}
    board.do("routine_delete", name="air")
    assert board.refused("routine_check", name="air") == "not_found"
    program["do"] = [{"call": ["gpio_write", {"pin": "attic lamp", "value": 1}]}]
    receipt = board.ask("routine_define", program=program)
    assert receipt.get("err") == "bad_args" and "do[0]" in receipt["msg"], json.dumps(receipt)
