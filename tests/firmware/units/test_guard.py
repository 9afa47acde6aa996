# The guard: limits, their times, what they refuse, what a boot makes of them.
import time

import machine
import ramdisk
import rig

from ganglion import guard as guard_module
from ganglion import guard_set
from ganglion.guard import Guard, Refused
from ganglion.store import StoreFull


class Clock:
    """Stands where `time` is in guard.py, and moves when told."""

    def __init__(self):
        self.ms = 5000

    def ticks_ms(self):
        return self.ms & 0x3FFFFFFF

    def ticks_diff(self, a, b):
        return time.ticks_diff(a, b)

    def ticks_add(self, a, b):
        return time.ticks_add(a, b)

    def sleep_us(self, us):
        pass


def setup():
    clock = guard_module.time = guard_set.time = Clock()
    t = rig.tools()
    guard_set.boot(t.kit.guard, t.kit.store, True)
    return t, t.kit.guard, clock


def run(guard, clock, seconds, down=False):
    """The main program's loop for some time; what the guard told."""
    told = []
    for n in range(seconds):
        for _ in range(10):
            clock.ms += 100
            timer = machine.Timer.armed
            if timer:
                timer.period -= 100
                if timer.period <= 0:
                    timer.fire()
        told += guard.tick(n + 1 if down else 0)
    return told


def limit(t, **args):
    receipt = t.run("limit_set", args)[0]
    assert "err" not in receipt, receipt
    return receipt


def write(t, pin, value):
    return t.run("gpio_write", {"pin": pin, "value": value})[0]


def refused(t, pin, value, *words):
    receipt = write(t, pin, value)
    assert receipt.get("err") == "refused", receipt
    for word in words:
        assert word in receipt["msg"], receipt
    return receipt["msg"]


def again(t):
    """The same flash after a reset: pads float, and all starts anew."""
    machine.clean()
    guard_module.time = guard_set.time = clock = Clock()
    guard = Guard(t.kit.guard.board)
    store = rig.Store(t.kit.store.path)
    guard_set.boot(guard, store, True)
    return type(t)(rig.Kit(guard, rig.Points(store), store, t.kit.health)), guard, clock


def test_max_on_ends_without_a_loop():
    t, guard, clock = setup()
    limit(t, pin=5, max_on_s=10)
    assert write(t, 5, 1) == {"level": 1}
    timer = machine.Timer.armed
    assert timer.n == 0 and timer.period == 10000, timer.period
    clock.ms += timer.period
    timer.fire()  # nothing else runs
    assert machine.latch[5] == 0 and machine.Timer.armed is None
    assert guard.tick(0) == [(5, "pin 5 was on for as long as it may be")]
    assert guard.tick(0) == []
    # It may be on again, and for the whole time.
    assert write(t, 5, 1) == {"level": 1}
    assert not run(guard, clock, 9) and machine.latch[5] == 1
    assert run(guard, clock, 1) and machine.latch[5] == 0


def test_on_again_while_on_does_not_extend_it():
    t, guard, clock = setup()
    limit(t, pin=5, max_on_s=10)
    for _ in range(9):
        write(t, 5, 1)
        run(guard, clock, 1)
    assert machine.latch[5] == 1
    write(t, 5, 1)
    assert run(guard, clock, 1) and machine.latch[5] == 0


def test_one_timer_for_many_pins():
    t, guard, clock = setup()
    for n, pin in enumerate((4, 5, 13, 14)):
        limit(t, pin=pin, max_on_s=3 + n)
    for pin in (14, 4, 13, 5):
        write(t, pin, 1)
    seen = []
    for _ in range(8):
        run(guard, clock, 1)
        seen.append([pin for pin in (4, 5, 13, 14) if machine.latch[pin]])
    assert seen == [[4, 5, 13, 14]] * 2 + [[5, 13, 14], [13, 14], [14], [], [], []], seen
    # Off by hand: the timer may still ring, and does nothing.
    write(t, 4, 1)
    write(t, 4, 0)
    run(guard, clock, 1)
    write(t, 4, 1)
    assert not run(guard, clock, 2) and machine.latch[4] == 1
    assert run(guard, clock, 1) and machine.latch[4] == 0


def test_max_on_holds_over_the_wrap_of_the_ticks():
    t, guard, clock = setup()
    limit(t, pin=5, max_on_s=86400, min_off_s=3)
    limit(t, pin=13, min_off_s=3)
    clock.ms = 0x3FFFFFFF - 30000
    write(t, 5, 1)
    run(guard, clock, 60)
    assert clock.ticks_ms() < 40000 and machine.latch[5] == 1
    write(t, 5, 0)
    refused(t, 5, 1, "in 3 s")
    # Days later an off time long past is not taken for one to come.
    for _ in range(30):
        clock.ms += 86400000 * 2
        guard.tick(0)
        assert write(t, 13, 1)["level"] == 1
        write(t, 13, 0)
        run(guard, clock, 4)


def test_min_off():
    t, guard, clock = setup()
    limit(t, pin=5, min_off_s=12)
    write(t, 5, 1)
    write(t, 5, 0)
    refused(t, 5, 1, "pin 5 may be on again in 12 s")
    run(guard, clock, 5)
    refused(t, 5, "toggle", "in 7 s")
    write(t, 5, 0)  # off again is no new beginning
    run(guard, clock, 7)
    assert write(t, 5, 1) == {"level": 1}


def test_rate():
    t, guard, clock = setup()
    limit(t, pin=5, rate_per_min=3)
    on = []
    for second in range(400):
        if write(t, 5, 1).get("level"):
            on.append(second)
            write(t, 5, 1)  # is on: does not count
        write(t, 5, 0)  # off is always allowed
        run(guard, clock, 1)
    assert len(on) > 13, on
    for n in range(3, len(on)):
        assert on[n] - on[n - 3] >= 60, on
    text = refused(t, 5, 1, "pin 5 may be on again in ")
    left = int(text.split()[-2])
    run(guard, clock, left - 1)
    refused(t, 5, 1, "in 1 s")
    run(guard, clock, 1)
    assert write(t, 5, 1) == {"level": 1}
    limit(t, pin=5, rate_per_min=60)
    for _ in range(60):
        write(t, 5, 0)
        last = write(t, 5, 1)
    assert last.get("err") == "refused"


def test_interlock():
    t, guard, clock = setup()
    limit(t, pin=5, interlock="gate")
    limit(t, pin=13, interlock="gate", max_on_s=5)
    limit(t, pin=14, interlock="door")
    write(t, 13, 1)
    refused(t, 5, 1, "pin 13 is on", "never together with 5")
    assert write(t, 14, 1) == {"level": 1} and write(t, 13, 1) == {"level": 1}
    run(guard, clock, 5)
    assert machine.latch[13] == 0 and write(t, 5, 1) == {"level": 1}
    refused(t, 13, 1, "pin 5 is on")
    # A third that is on when it gets the word goes off.
    write(t, 4, 1)
    assert limit(t, pin=4, interlock="gate")["off"] == 1 and machine.latch[4] == 0


def test_a_pin_that_is_off_high():
    """safe says which level is off: a relay board that switches with 0."""
    t, guard, clock = setup()
    limit(t, pin=5, safe=1, max_on_s=4, min_off_s=2)
    write(t, 5, 1)
    assert machine.Timer.armed is None
    assert write(t, 5, 0) == {"level": 0}
    assert run(guard, clock, 4) and machine.latch[5] == 1
    refused(t, 5, 0, "pin 5 may be off again in 2 s")
    run(guard, clock, 2)
    write(t, 5, 0)
    guard.safe()
    assert machine.latch[5] == 1


def test_drivers_are_held_to_the_same():
    t, guard, clock = setup()
    limit(t, pin=5, max_on_s=5, min_off_s=2, rate_per_min=4, min=0, max=50)
    guard.take(5, "pwm", True)
    done = []

    def act():
        done.append(1)
        return "shown"

    assert guard.drive(5, True, act) == "shown" and guard.uses == {5: "pwm"}
    run(guard, clock, 3)
    guard.drive(5, True, act)  # another duty: the time goes on, and it counts
    run(guard, clock, 2)
    assert machine.latch[5] == 0 and 5 not in guard.uses, "the pad is taken from the driver"
    for _ in range(2):
        try:
            guard.drive(5, True, act)
            raise AssertionError("min_off")
        except Refused as e:
            assert "in 2 s" in e.args[0], e.args
    assert len(done) == 2
    run(guard, clock, 2)
    guard.take(5, "pwm", True)
    guard.drive(5, True, act)
    guard.drive(5, True, act)
    try:
        guard.drive(5, True, act)
        raise AssertionError("rate")
    except Refused as e:
        assert "again in" in e.args[0]
    guard.drive(5, False, act)
    guard.within(5, 0)
    guard.within(5, 50)
    for value in (-1, 50.5):
        try:
            guard.within(5, value)
            raise AssertionError(value)
        except Refused as e:
            assert e.args[0] == "pin 5 takes 0 to 50", e.args
    guard.within(13, 10000)


def test_what_hangs_while_it_switches_on_is_ended():
    t, guard, clock = setup()
    limit(t, pin=5, max_on_s=5)

    def hang():
        machine.latch[5] = 1
        clock.ms += 5000
        machine.Timer.armed.fire()
        assert machine.latch[5] == 0
        machine.latch[5] = 1  # and comes back to life
        return 1

    guard.drive(5, True, hang)
    assert machine.latch[5] == 0, "on without anybody to end it"

    def fails():
        machine.latch[5] = 1
        raise OSError("bus")

    try:
        guard.drive(5, True, fails)
    except OSError:
        pass
    run(guard, clock, 5)
    assert machine.latch[5] == 0


def test_uses_of_a_pin():
    t, guard, clock = setup()
    guard.take(21, "i2c", True)
    guard.take(21, "i2c", True)
    try:
        guard.take(21, "pwm", True)
        raise AssertionError("two uses")
    except Refused as e:
        assert e.args[0] == "pin 21 is in use: i2c"
    refused(t, 21, 1, "pin 21 is in use: i2c")
    writes = len(machine.writes)
    guard.read(21)  # leaves it as it is
    assert len(machine.writes) == writes and 21 in guard.uses
    guard.free(21)
    assert write(t, 21, 1) == {"level": 1}
    # PWM gives way to a plain level.
    guard.take(5, "pwm", True)
    guard.drive(5, True, lambda: None)
    assert write(t, 5, 0) == {"level": 0} and 5 not in guard.uses
    # An output that becomes an input is on no more, and holds nobody off.
    limit(t, pin=14, interlock="a", max_on_s=3)
    limit(t, pin=15, interlock="a")
    write(t, 14, 1)
    guard.take(14, "adc", False)
    machine.writes.clear()
    assert write(t, 15, 1) == {"level": 1}
    run(guard, clock, 4)
    assert machine.writes == [(15, 1)] and 14 in guard.uses
    # A pin with a safe level goes there when it is let go.
    limit(t, pin=13, safe=1)
    guard.take(13, "pwm", True)
    guard.free(13)
    assert machine.latch[13] == 1
    for pin, output in ((6, True), (34, True), (40, False)):
        try:
            guard.take(pin, "pwm", output)
            raise AssertionError(pin)
        except Refused:
            pass


def test_allow():
    t, _guard, _clock = setup()
    write(t, 5, 1)
    r = limit(t, pin=5, allow="in")
    assert r["off"] == 1 and 5 not in machine.latch, "it floats"
    refused(t, 5, 1, "pin 5 may only be read")
    assert t.run("gpio_read", {"pin": 5})[0] == {"level": 0}
    limit(t, pin=5, allow="no")
    refused(t, 5, 1, "not be used")
    assert t.run("gpio_read", {"pin": 5})[0]["err"] == "refused"
    limit(t, pin=5, allow="io", max_on_s=3)
    assert write(t, 5, 1) == {"level": 1}
    t.run("point_set", {"name": "lock", "pin": 13})
    t.run("point_set", {"name": "lamp", "pin": 5})
    limit(t, pin="lock", allow="no")
    assert t.run("gpio_read_all", {})[0] == {"levels": {"lamp": 1}}
    # What the board says stands.
    for pin, why in ((6, "flash"), (40, "no pin"), (34, "only be read")):
        r = t.run("limit_set", {"pin": pin, "allow": "io"})[0]
        assert r["err"] == "refused" and why in r["msg"], r
        refused(t, pin, 1, why)
    assert t.run("limit_set", {"pin": 34, "max_on_s": 3})[0]["err"] == "refused"
    limit(t, pin=34, allow="no")
    assert t.run("gpio_read", {"pin": 34})[0]["err"] == "refused"


def test_a_limit_holds_at_once():
    t, guard, clock = setup()
    write(t, 5, 1)
    assert limit(t, pin=5, max_on_s=3)["off"] == 0
    run(guard, clock, 3)
    assert machine.latch[5] == 0
    # A longer time counts from when it was switched on, so does a shorter one.
    limit(t, pin=5, max_on_s=10)
    write(t, 5, 1)
    run(guard, clock, 6)
    limit(t, pin=5, max_on_s=12)
    run(guard, clock, 5)
    assert machine.latch[5] == 1
    run(guard, clock, 1)
    assert machine.latch[5] == 0
    write(t, 5, 1)
    run(guard, clock, 6)
    assert limit(t, pin=5, max_on_s=2)["off"] == 1 and machine.latch[5] == 0
    # Taken away: on for good.
    write(t, 5, 1)
    limit(t, pin=5, max_on_s=0, safe=0)
    run(guard, clock, 20)
    assert machine.latch[5] == 1
    # Off becomes the other level: it is off now, with no time running.
    limit(t, pin=5, safe=1, max_on_s=3)
    run(guard, clock, 20)
    assert machine.latch[5] == 1
    # A driver's output with a new range is switched off: its value is not known.
    guard.take(13, "pwm", True)
    guard.drive(13, True, lambda: None)
    assert limit(t, pin=13, max=20)["off"] == 1 and machine.latch[13] == 0


def test_link_loss():
    t, guard, clock = setup()
    limit(t, pin=5, link_loss_s=10, safe=1)
    limit(t, pin=13, link_loss_s=20)
    write(t, 5, 0)
    write(t, 13, 1)
    write(t, 14, 1)
    told = run(guard, clock, 9, True)
    assert not told and machine.latch[5] == 0
    told = run(guard, clock, 10, True)
    assert told == [(5, "pin 5 went safe: the link is lost")], told
    assert machine.latch[5] == 1 and machine.latch[13] == 1
    # Once an outage: what a rule switches on later stays.
    write(t, 5, 0)
    assert not run(guard, clock, 15, True) and machine.latch[5] == 0
    run(guard, clock, 1)
    assert len(run(guard, clock, 25, True)) == 2
    assert [machine.latch[n] for n in (5, 13, 14)] == [1, 0, 1]


def test_boot_puts_outputs_where_they_belong():
    t, guard, clock = setup()
    limit(t, pin=4, safe=1)
    limit(t, pin=5, safe=0, restore="last")
    limit(t, pin=13, safe=0, restore="last", min_off_s=5)
    limit(t, pin=14, safe=0, restore="last", interlock="a")
    limit(t, pin=15, max_on_s=5)
    limit(t, pin=16, restore="last", max_on_s=30)
    for pin in (5, 13, 14, 15, 16):
        write(t, pin, 1)
    run(guard, clock, 1)
    assert t.kit.store.get("o:5") == 1 and t.kit.store.get("o:4") is None
    write(t, 14, 0)
    run(guard, clock, 1)
    writes = t.kit.store.writes
    run(guard, clock, 10)
    assert machine.latch[15] == 0 and t.kit.store.writes == writes
    t, guard, clock = again(t)
    assert machine.latch == {4: 1, 5: 1, 13: 0, 14: 0, 16: 1}, machine.latch
    assert not run(guard, clock, 4) and machine.latch[13] == 0
    run(guard, clock, 2)
    assert machine.latch[13] == 1, "a compressor comes back after its pause"
    assert not t.kit.store.writes
    # The time it may be on is counted in this boot, too.
    run(guard, clock, 25)
    assert machine.latch[16] == 0 and t.kit.store.get("o:16") == 0
    # Without the last levels, as safe mode starts.
    machine.clean()
    guard_set.boot(Guard(guard.board), t.kit.store, False)
    assert machine.latch == {4: 1, 5: 0, 13: 0, 14: 0}, machine.latch
    assert t.kit.store.get("o:5") == 1


def test_what_a_driver_had_on_comes_back_as_no_level():
    t, guard, clock = setup()
    limit(t, pin=5, restore="last", safe=0)
    limit(t, pin=13, restore="last")
    for pin in (5, 13):
        assert write(t, pin, 1) == {"level": 1}
    run(guard, clock, 1)
    assert t.kit.store.get("o:5") == t.kit.store.get("o:13") == 1
    # Now dimmed, and a servo: neither is a level that could be set at boot.
    assert t.run("pwm_set", {"pin": 5, "freq": 1000, "duty": 20})[0]["duty"] == 20
    guard.free(13)
    assert t.run("servo_set", {"pin": 13, "degrees": 90})[0]["degrees"] > 85
    run(guard, clock, 2)
    assert t.kit.store.get("o:5") == t.kit.store.get("o:13") == 0
    again(t)
    assert machine.latch == {5: 0, 13: 0}, machine.latch


def test_a_boot_ends_what_the_one_before_left():
    t, guard, _ = setup()
    limit(t, pin=4, safe=1)
    limit(t, pin=5, safe=0)
    limit(t, pin=14, max_on_s=60)
    # A restart without a loss of power: pads as they were, PWM running.
    machine.latch.update({5: 1, 13: 1, 14: 1})
    for pin in (4, 15, 16):
        machine.PWM(machine.Pin(pin), freq=1000, duty_u16=30000)
    guard = Guard(t.kit.guard.board)
    guard_set.boot(guard, t.kit.store, True)
    assert machine.latch == {4: 1, 5: 0} and not machine.pwms, (machine.latch, machine.pwms)
    assert guard.in_use() == [4, 5] and not guard.uses


def test_a_safe_level_ends_pwm_and_servos():
    t, guard, clock = setup()
    limit(t, pin=4, safe=1, link_loss_s=5)
    limit(t, pin=5, safe=0, link_loss_s=5)
    limit(t, pin=13, link_loss_s=5)

    def start():
        for pin, duty in ((4, 30), (5, 50)):
            assert t.run("pwm_set", {"pin": pin, "freq": 1000, "duty": duty})[0]["duty"] == duty
        assert t.run("servo_set", {"pin": 13, "degrees": 10})[0]["degrees"] < 15
        assert sorted(machine.pwms) == [4, 5, 13]

    def safe():
        assert not machine.pwms and not guard.uses
        return [machine.latch[pin] for pin in (4, 5, 13)] == [1, 0, 0]

    start()
    told = run(guard, clock, 6, True)
    assert len(told) == 3 and safe(), told
    start()
    guard.safe()  # as when a task of the agent dies
    assert safe()
    start()
    for pin in (4, 5, 13):
        assert t.run("pwm_stop", {"pin": pin})[0]["level"] == (pin == 4)


def test_pwm_of_an_output_that_is_off_at_1():
    t, guard, clock = setup()
    limit(t, pin=5, safe=1, max_on_s=5)
    # All of the time at 1 is off, all of it at 0 is on.
    t.run("pwm_set", {"pin": 5, "freq": 1000, "duty": 100})
    assert not run(guard, clock, 8) and guard.uses[5] == "pwm"
    t.run("pwm_set", {"pin": 5, "freq": 1000, "duty": 0})
    assert run(guard, clock, 5) == [(5, "pin 5 was on for as long as it may be")]
    assert machine.latch[5] == 1 and not machine.pwms


def test_both_of_an_interlock_never_come_back():
    t, guard, clock = setup()
    limit(t, pin=5, restore="last")
    limit(t, pin=13, restore="last")
    write(t, 5, 1)
    write(t, 13, 1)
    run(guard, clock, 1)
    t.kit.store.set("g:5", {"restore": "last", "interlock": "x"})
    t.kit.store.set("g:13", {"restore": "last", "interlock": "x"})
    t, guard, clock = again(t)
    assert sum(machine.latch.values()) == 1, machine.latch


def test_limits_are_kept_merged_and_listed():
    t, guard, _ = setup()
    t.run("point_set", {"name": "pump", "pin": 5})
    r = limit(t, pin="pump", max_on_s=60, interlock="water")
    assert r == {"pin": 5, "limit": {"max_on_s": 60, "interlock": "water"}, "off": 0}
    said = t.run("limit_set", {"pin": 5, "min_off_s": 5, "safe": 0})[1]
    assert said == "pump is limited: interlock water, max_on_s 60, min_off_s 5, safe 0.", said
    t, guard, _clock = again(t)
    r = t.run("limit_get", {"pin": "pump"})[0]
    want = {"max_on_s": 60, "interlock": "water", "min_off_s": 5, "safe": 0}
    assert r == {"pin": 5, "limit": want}, r
    limit(t, pin=5, interlock="none", min_off_s=0)
    r = t.run("limit_list", {})
    assert r[0] == {"limits": {"pump": "max_on_s 60, safe 0"}}, r
    assert r[1] == "pump max_on_s 60, safe 0.", r
    assert t.run("limit_delete", {"pin": 5})[1] == "pump has no limits."
    for tool in ("limit_delete", "limit_get"):
        assert t.run(tool, {"pin": 5})[0]["err"] == "not_found"
    assert not len(guard.limits)
    assert t.run("limit_list", {})[1] == "no pin has limits."
    for args, why in (
        ({"pin": 5}, "which limit"),
        ({"pin": 5, "min": 5, "max": 1}, "min is above max"),
        ({"pin": 5, "max_on_s": -1}, "max_on_s must be"),
        ({"pin": 5, "rate_per_min": 61}, "rate_per_min must be"),
        ({"pin": 5, "safe": 2}, "safe must be"),
        ({"pin": 5, "restore": "on"}, "restore must be"),
        ({"pin": 5, "mx": 1}, "no argument 'mx'"),
    ):
        r = t.run("limit_set", args)[0]
        assert r["err"] == "bad_args" and why in r["msg"], r
    assert not t.kit.store.keys("g:")


def test_24_pins():
    t, guard, clock = setup()
    board = guard.board

    class Large:
        NAME = "large"
        IO = bytes(range(40))
        IN = b""
        DENIED = ()

    guard.board = Large
    for pin in range(24):
        limit(t, pin=pin, max_on_s=3600, interlock="i%d" % pin, min_off_s=100, safe=0)
    r = t.run("limit_set", {"pin": 30, "safe": 0})[0]
    assert r["err"] == "full" and "24 pins" in r["msg"], r
    limit(t, pin=3, max_on_s=3)
    r = t.run("limit_list", {})[0]
    assert len(str(r)) < 2000 and len(r["limits"]) + r["more"] == 24, r
    t.run("limit_delete", {"pin": 7})
    assert guard.row(7) == -1 and len(guard.limits) == 23 * 10
    assert write(t, 3, 1) == {"level": 1}
    run(guard, clock, 3)
    assert machine.latch[3] == 0
    guard.board = board


def test_power_cut_while_limits_change():
    """At every write of a change: afterwards the old limits hold or the new ones, never none."""
    for n in range(1, 60):
        try:
            ramdisk.unmount()
        except OSError:
            pass
        disk = ramdisk.Disk(32)
        ramdisk.mount(disk, True)
        t = rig.Tools(rig.kit(rig.Store("/ram/store.log")))
        limit(t, pin=5, max_on_s=10, safe=1)
        disk.cut_at = disk.writes + n
        receipt = t.run("limit_set", {"pin": 5, "max_on_s": 20})[0]
        uncut = disk.writes < disk.cut_at
        ramdisk.unmount()
        ramdisk.mount(ramdisk.Disk(data=disk.power_off()), False)
        t, _guard, _clock = again(t)
        now = guard_set.get(t.kit.store, 5)
        assert now["safe"] == 1 and now["max_on_s"] in (10, 20), (n, now)
        assert "err" in receipt or now["max_on_s"] == 20, (n, receipt)
        assert machine.latch[5] == 1
        if uncut:
            break
    assert 1 < n < 59, n


def test_full_flash_keeps_nothing_from_being_switched():
    t, guard, clock = setup()
    limit(t, pin=5, restore="last", max_on_s=5)

    class Full:
        def set(self, key, value):
            raise StoreFull("flash is full")

    guard.store = Full()
    assert write(t, 5, 1) == {"level": 1}
    run(guard, clock, 5)
    assert machine.latch[5] == 0
