# What the peripheral tools decide by themselves; the hardware's part is in tests/e2e.
import gc
import sys
import time

import machine
import rig

from ganglion import tools
from ganglion.tools import ToolError


def call(t, tool, args):
    return t.run(tool, args)[0]


def refused(code, why, do, *args):
    try:
        do(*args)
    except ToolError as e:
        assert e.args[0] == code and why in e.args[1], e.args
        return
    raise AssertionError("nothing was refused: %r" % (args,))


def wait(ms):
    until = time.ticks_add(time.ticks_ms(), ms)
    while time.ticks_diff(until, time.ticks_ms()) > 0:
        time.sleep_ms(1)


def loaded():
    return [n for n in sys.modules if "hw_" in n]


def test_colours():
    rgb = tools.load("neopixel").rgb
    assert rgb("red", 100) == [255, 0, 0] and rgb("Black", 100) == [0, 0, 0]
    assert rgb("#0080FF", 100) == [0, 128, 255]
    assert rgb("#0080ff", 50) == [0, 64, 128] and rgb("white", 0) == [0, 0, 0]
    assert rgb("white", 0.2) == [1, 1, 1]
    for text in ("#12345", "#1234567", "#12345g", "reddish", "ff0000", "", "#"):
        refused("bad_args", "colour must be", rgb, text, 100)
    tools.drop("neopixel")


def test_hex():
    unhex = tools.load("i2c").unhex
    assert unhex("00fF 10") == b"\x00\xff\x10"
    for text in ("0", "0g", "0x10", "-1", "ä0", " "):
        refused("bad_args", "data must be hex", unhex, text)
    tools.drop("i2c")


def test_scaled_values():
    scaled = tools.load("adc").scaled
    assert scaled(1650, 0.1, -50) == 115 and type(scaled(1650, 0.1, -50)) is int
    assert scaled(1234, 0.01, 0) == 12.34
    assert scaled(0, 2, 0.5) == 0.5
    tools.drop("adc")


def test_a_pulse_ends_by_itself():
    t = rig.tools()
    args = {"pin": 5, "ms": 20}
    receipt, said, acted = t.run("gpio_pulse", args)
    assert receipt["level"] == 1 and receipt["ms"] == 20 and acted
    assert said == "Pin 5 is on for 20 ms.", said
    assert machine.latch[5] == 1 and machine.Timer.armed.n == 1
    wait(21)
    machine.Timer.armed.fire()
    assert machine.latch[5] == 0 and machine.Timer.armed is None and not loaded()


def test_a_second_pulse_ends_from_then():
    t = rig.tools()
    call(t, "gpio_pulse", {"pin": 5, "ms": 20})
    call(t, "gpio_pulse", {"pin": 13, "ms": 20})
    call(t, "gpio_pulse", {"pin": 5, "ms": 5000})
    wait(21)
    machine.Timer.armed.fire()
    assert (machine.latch[5], machine.latch[13]) == (1, 0)
    assert 4900 < machine.Timer.armed.period < 5000
    # A write of the same pin ends the pulse, and what it sets stays.
    call(t, "gpio_write", {"pin": 5, "value": 1})
    assert machine.Timer.armed is None and not loaded() and machine.latch[5] == 1


def test_pulses_are_bounded_and_refused():
    t = rig.tools()
    pins = (2, 4, 5, 13, 14, 15, 16, 17)
    for pin in pins:
        assert call(t, "gpio_pulse", {"pin": pin, "ms": 60000})["level"] == 1
    assert call(t, "gpio_pulse", {"pin": 18, "ms": 1})["err"] == "full"
    assert call(t, "gpio_pulse", {"pin": 2, "ms": 60000})["level"] == 1
    for pin in pins:
        call(t, "gpio_write", {"pin": pin, "value": 0})
    assert not loaded()
    for pin, why in ((34, "only be read"), (6, "flash")):
        r = call(t, "gpio_pulse", {"pin": pin, "ms": 1})
        assert r["err"] == "refused" and why in r["msg"], r
    for ms in (0, 600001, 1.5, "1"):
        assert call(t, "gpio_pulse", {"pin": 5, "ms": ms})["err"] == "bad_args"
    machine.held[5] = 0
    assert call(t, "gpio_pulse", {"pin": 5, "ms": 10})["err"] == "mismatch"
    assert machine.latch[5] == 0 and not loaded()


def test_a_pulse_does_not_write_flash_from_its_timer():
    t = rig.tools()
    guard = t.kit.guard
    guard.store = store = object()  # any use of it would raise
    guard.write = lambda gpio, level, plain=guard.write: plain(gpio, level)
    call(t, "gpio_pulse", {"pin": 5, "ms": 1})
    wait(2)
    machine.Timer.armed.fire()
    assert guard.store is store and machine.latch[5] == 0


def test_pwm_says_what_the_hardware_does():
    t = rig.tools()
    r, said, _ = t.run("pwm_set", {"pin": 5, "freq": 1000, "duty": 25})
    assert r == {"freq": 1000, "duty": 25}, r
    assert said == "Pin 5 is at 25 % of 1000 Hz.", said
    assert t.kit.guard.uses == {5: "pwm"}
    assert call(t, "pwm_set", {"pin": 5, "freq": 1, "duty": 33.3})["duty"] == 33.3
    assert call(t, "servo_set", {"pin": 5, "degrees": 90})["err"] == "refused"
    assert call(t, "pwm_stop", {"pin": 5}) == {"level": 0}
    assert not machine.pwms and not t.kit.guard.uses and not loaded()
    assert call(t, "pwm_stop", {"pin": 5})["err"] == "not_found"
    r = call(t, "servo_set", {"pin": 5, "degrees": 180})
    assert 178 <= r["degrees"] <= 180, r
    call(t, "pwm_stop", {"pin": 5})
    machine.PWM.broken = True
    r = call(t, "pwm_set", {"pin": 5, "freq": 1000, "duty": 25})
    assert (r["err"], r["freq"]) == ("mismatch", 500), r
    assert not machine.pwms and not t.kit.guard.uses


def test_pwm_that_a_chip_has_not():
    t = rig.tools()
    for pin in (5, 13, 14):
        assert "err" not in call(t, "pwm_set", {"pin": pin, "freq": 1000, "duty": 1})
    r = call(t, "pwm_set", {"pin": 15, "freq": 1000, "duty": 1})
    assert r["err"] == "device" and "out of PWM timers" in r["msg"], r
    assert 15 not in t.kit.guard.uses and not loaded()
    # A plain level takes the pin back: off is never refused.
    assert call(t, "gpio_write", {"pin": 5, "value": 0}) == {"level": 0}
    assert 5 not in t.kit.guard.uses


def test_pwm_ends_a_pulse():
    t = rig.tools()
    call(t, "gpio_pulse", {"pin": 5, "ms": 60000})
    call(t, "pwm_set", {"pin": 5, "freq": 1000, "duty": 50})
    assert machine.Timer.armed is None and not loaded()


def test_i2c_says_what_went_wrong():
    t = rig.tools()
    bus = {"sda": 21, "scl": 22}
    held = {"addr": 0x3C, "data": "0001"}
    assert call(t, "i2c_write", dict(bus, **held)) == {"bytes": 2}
    r = call(t, "i2c_write", dict(bus, addr=0x3C, data="000102"))
    assert r["err"] == "device" and "took 2 of 3" in r["msg"], r
    r = call(t, "i2c_write", dict(bus, addr=0x3D, data="00"))
    assert r["err"] == "device" and "nothing answers at 0x3d" in r["msg"], r
    machine.SoftI2C.fails = 116
    assert "hangs" in call(t, "i2c_write", dict(bus, addr=0x3D, data="00"))["msg"]
    machine.held[22] = 0
    r = call(t, "i2c_scan", bus)
    assert r["err"] == "device" and "pin 22 is held low" in r["msg"], r
    assert not t.kit.guard.uses and not loaded()


def test_counting():
    t = rig.tools()
    call(t, "counter_start", {"pin": 4})
    for level in (1, 0, 1, 0, 1):
        machine.edge(4, level)
    assert call(t, "counter_read", {"pin": 4}) == {"count": 3}
    call(t, "counter_start", {"pin": 4, "edge": "falling"})
    assert call(t, "counter_read", {"pin": 4}) == {"count": 0}
    for level in (0, 1, 0):
        machine.edge(4, level)
    assert call(t, "counter_stop", {"pin": 4}) == {"count": 2}
    assert call(t, "counter_read", {"pin": 4})["err"] == "not_found"
    assert not machine.edges and not t.kit.guard.uses and not loaded()


def test_a_bouncing_contact_counts_once():
    t = rig.tools()
    call(t, "counter_start", {"pin": 4, "debounce": 15})
    for _ in range(2):
        for level in (1, 0, 1, 0, 1):  # it closes
            machine.edge(4, level)
        wait(20)
        for level in (0, 1, 0, 1, 0):  # and opens
            machine.edge(4, level)
        wait(20)
    assert call(t, "counter_stop", {"pin": 4}) == {"count": 2}
    call(t, "counter_start", {"pin": 4, "edge": "both", "debounce": 15})
    for level in (1, 0, 1):
        machine.edge(4, level)
    wait(20)
    machine.edge(4, 0)
    assert call(t, "counter_stop", {"pin": 4}) == {"count": 2}


def test_counting_allocates_nothing():
    t = rig.tools()
    call(t, "counter_start", {"pin": 4, "debounce": 1})
    call(t, "counter_start", {"pin": 5})
    handlers = [machine.edges[n][0] for n in (4, 5)]
    pin = machine.Pin(4)
    for handler in handlers:
        handler(pin)
        gc.collect()
        before = gc.mem_alloc()
        for _ in range(100):
            handler(pin)
        assert gc.mem_alloc() - before < 64, gc.mem_alloc() - before
    for n in (4, 5):
        call(t, "counter_stop", {"pin": n})


def test_counters_are_bounded():
    t = rig.tools()
    for pin in (4, 5, 13, 34):
        assert call(t, "counter_start", {"pin": pin}) == {"count": 0}
    assert call(t, "counter_start", {"pin": 14})["err"] == "full"
    assert call(t, "counter_start", {"pin": 4}) == {"count": 0}
    r = call(t, "counter_start", {"pin": 34, "pull": "up"})
    assert r["err"] == "refused" and "no pull" in r["msg"], r
    assert call(t, "counter_read", {"pin": 34}) == {"count": 0}
    for pin in (4, 5, 13, 34):
        call(t, "counter_stop", {"pin": pin})
    assert call(t, "counter_start", {"pin": 6})["err"] == "refused"
    assert not loaded()


def test_nothing_is_left_in_the_heap():
    t = rig.tools()

    def use_all():
        call(t, "gpio_pulse", {"pin": 5, "ms": 60000})
        call(t, "gpio_write", {"pin": 5, "value": 0})
        call(t, "pwm_set", {"pin": 5, "freq": 1000, "duty": 25})
        call(t, "pwm_stop", {"pin": 5})
        call(t, "i2c_write", {"sda": 21, "scl": 22, "addr": 60, "data": "00"})
        call(t, "counter_start", {"pin": 4, "debounce": 5})
        call(t, "counter_stop", {"pin": 4})
        call(t, "ds18x20_read", {"pin": 4, "rom": "x"})
        call(t, "neopixel_set", {"pin": 4, "count": 1, "colour": "x"})
        del machine.writes[:]  # the fake's own
        gc.collect()
        return gc.mem_alloc()

    before = use_all()
    for _ in range(5):
        assert use_all() - before < 128, use_all() - before
    assert not loaded()
