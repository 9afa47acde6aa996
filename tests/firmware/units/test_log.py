# The last events in RTC memory, behind the count of failed boots.
import machine

from ganglion import log


def fresh(head=b"GNG\2"):
    machine.RTC.kept = head


def test_events_are_lines_with_boot_and_time():
    fresh()
    log.note(7, 0, {"kind": "boot", "boot": 7, "n": 1, "reset": "watchdog", "cut": False})
    log.note(
        7, 4000, {"kind": "fired", "by": "wake", "tool": "gpio_write", "receipt": {"level": 1}}
    )
    receipt = {"err": "refused", "msg": "pin 6 is flash"}
    log.note(7, 4001, {"kind": "fired", "by": "bad", "tool": "gpio_write", "receipt": receipt})
    assert list(log.lines()) == [
        "7 +0:00:00 boot watchdog",
        "7 +1:06:40 fired wake gpio_write ok",
        "7 +1:06:41 fired bad gpio_write failed: pin 6 is flash",
    ]
    assert machine.RTC.kept[:4] == b"GNG\2"  # what main.py counts
    assert log.last("fired wake ") == "gpio_write ok (boot 7 +1:06:40)"
    assert log.last("fired wak ") is None and log.last("wake ") is None


def test_what_happens_often_does_not_push_out_what_matters():
    fresh()
    log.note(1, 0, {"kind": "fault:", "msg": "the agent"})
    for n in range(1000):
        log.note(1, n, {"kind": "fired", "by": "blink", "tool": "gpio_write", "receipt": {}})
    assert list(log.lines()) == [
        "1 +0:00:00 fault: the agent",
        "1 +0:16:39 fired blink gpio_write ok",
    ]
    log.note(2, 0, {"kind": "fault:", "msg": "the agent"})
    assert list(log.lines())[-1] == "2 +0:00:00 fault: the agent" and len(list(log.lines())) == 2


def test_it_is_bounded_and_the_oldest_go():
    fresh()
    for n in range(200):
        log.note(1, n, {"kind": "error", "msg": "%d is no good\n: ünïcode" % n + "x" * (n % 150)})
        assert len(machine.RTC.kept) <= 720
    found = list(log.lines())
    assert len(found) >= 5 and "199 is no good : ünïcode" in found[-1]
    numbers = [int(line.split()[3]) for line in found]
    assert numbers == list(range(200 - len(found), 200)), numbers


def test_noise_in_the_memory_is_no_fault():
    # What main.py cut in the middle of a line, and what a brown-out left.
    fresh(b"GNG\1\xffes\n1 2 boot reset\nfault: ValueError('x')\n\xfe\xfd")
    assert list(log.lines()) == ["1 +0:00:02 boot reset", "fault: ValueError('x')"]
    log.note(3, 5, {"kind": "boot", "reset": "reset"})
    assert next(iter(log.lines())) == "fault: ValueError('x')"
