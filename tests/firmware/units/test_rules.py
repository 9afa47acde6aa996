# Rules in simulated time: ticks, levels and sensors are the test's.
import rig

from ganglion import clock, rules, tools
from ganglion.rules import Rules

T0 = 1795244400  # 2026-11-21 07:00:00 UTC


class World:
    def __init__(self):
        self.ms = 0
        self.unix = T0
        self.kit = rig.kit()
        self.pads = {}
        self.sensor = {}
        self.ran = []
        self.events = []
        clock.now = lambda: self.unix
        rules.time = self
        self.boot()

    def ticks_ms(self):
        return self.ms

    def ticks_diff(self, a, b):
        return a - b

    def boot(self):
        self.rules = self.kit.engines["rules"] = Rules(
            self.kit.store,
            lambda ref: self.kit.resolve(ref)[0],
            lambda gpio: self.pads.get(gpio, 0),
            self.sense,
            self.act,
            self.event,
        )

    def sense(self, tool, args):
        return self.sensor

    def act(self, tool, args):
        self.ran.append((self.ms, args["value"]))
        return {"level": args["value"]}

    def event(self, kind, fields):
        self.events.append((kind, fields))

    def run(self, seconds):
        """What ran, in ms from the start of this call."""
        began = self.ms
        self.ran = []
        self.events = []
        for _ in range(int(seconds * 200)):
            self.ms += 5
            self.unix = T0 + self.ms // 1000
            self.rules.turn()
        return [at - began for at, _ in self.ran]

    def do(self, tool, **args):
        return tools.Tools(self.kit).run(tool, args)[0]

    def set(self, **more):
        args = {"name": "a", "tool": "gpio_write", "args": {"pin": 5, "value": 1}}
        args.update(more)
        receipt = tools.Tools(self.kit).run("rule_set", args)[0]
        assert "err" not in receipt, receipt

    def refused(self, **more):
        args = {"name": "a", "tool": "gpio_write", "args": {"pin": 5, "value": 1}}
        args.update(more)
        receipt = tools.Tools(self.kit).run("rule_set", args)[0]
        assert "err" in receipt, receipt
        return receipt["msg"]


SENSOR = {"tool": "get_health", "args": {}, "field": "t"}


def test_a_pin_that_goes_on_acts_at_once_and_once():
    w = World()
    w.set(read=4, **{"is": "on"})
    assert w.run(1) == []
    w.pads[4] = 1
    assert w.run(2) == [5]
    w.pads[4] = 0
    w.run(1)
    w.pads[4] = 1
    assert w.run(1) == [5]


def test_for_and_cool_down():
    w = World()
    w.set(read=4, for_s=2, cool_s=10, **{"is": "off"})
    w.pads[4] = 1
    w.run(1)
    w.pads[4] = 0
    assert w.run(1.5) == []
    w.pads[4] = 1
    w.run(0.1)
    w.pads[4] = 0
    assert w.run(3) == [2005]
    # It holds again within the cool-down: acted on when that is over, if it still holds.
    w.pads[4] = 1
    w.run(0.5)
    w.pads[4] = 0
    began = w.run(12)
    assert len(began) == 1 and 8000 <= began[0] <= 9600, began


def test_changes():
    w = World()
    w.pads[4] = 1
    w.set(read=4, **{"is": "changes"})
    assert w.run(1) == []
    w.pads[4] = 0
    assert w.run(1) == [5]
    w.pads[4] = 1
    assert w.run(1) == [5]


def test_above_with_hysteresis():
    w = World()
    w.set(sensor=SENSOR, value=30, hyst=2, **{"is": "above"})
    w.sensor = {"t": 29}
    assert w.run(25) == []
    w.sensor = {"t": 31}
    assert len(w.run(25)) == 1
    for t in (29, 31, 28.5, 33):  # inside the hysteresis: it has never stopped
        w.sensor = {"t": t}
        assert w.run(25) == [], t
    w.sensor = {"t": 27}
    assert w.run(25) == []
    w.sensor = {"t": 30.5}
    assert len(w.run(25)) == 1


def test_between_and_an_adc_is_looked_at_every_second():
    w = World()
    w.sensor = {"mv": 0}
    try:
        w.set(
            sensor={"tool": "adc_read", "args": {"pin": 32}, "field": "mv"},
            value=100,
            to=200,
            **{"is": "between"},
        )
    except AssertionError:
        return  # no adc_read in this build
    w.run(2)
    w.sensor = {"mv": 150}
    ran = w.run(3)
    assert len(ran) == 1 and ran[0] <= 1005, ran


def test_no_reading_for_a_while():
    w = World()
    w.set(sensor=SENSOR, value=60, **{"is": "silent"})
    w.sensor = {"t": 5}
    assert w.run(120) == []
    w.sensor = {"err": "timeout", "msg": "no answer"}
    ran = w.run(120)
    assert len(ran) == 1 and 50000 <= ran[0] <= 72000, ran
    w.sensor = {"t": 5}
    assert w.run(20) == []
    w.sensor = {"err": "timeout", "msg": "no answer"}
    assert len(w.run(120)) == 1


def test_active_hours():
    w = World()
    w.set(read=4, hours="22:00-06:00", **{"is": "on"})
    w.pads[4] = 1
    assert w.run(1) == []  # it is 07:00
    w.set(read=4, hours="06:00-22:00", **{"is": "on"})
    assert len(w.run(1)) == 1


def test_pause_list_and_delete():
    w = World()
    w.set(read=4, **{"is": "on"})
    assert w.do("rule_list")["rules"] == [["a", "on", "gpio_write", "on"]]
    w.do("rule_pause", name="a", paused=True)
    w.pads[4] = 1
    assert w.run(1) == []
    w.do("rule_pause", name="a", paused=False)
    assert len(w.run(1)) == 1
    w.do("rule_delete", name="a")
    assert w.do("rule_list")["rules"] == []
    w.boot()
    assert w.run(1) == []


def test_it_survives_a_reboot():
    w = World()
    w.set(read=4, **{"is": "on"})
    w.boot()
    w.run(0.1)
    w.pads[4] = 1
    assert w.run(1) == [5]


def test_a_point_that_is_forgotten_ends_its_rule_with_an_event():
    w = World()
    w.do("point_set", name="door", pin=4, dir="in")
    w.set(read="door", **{"is": "on"})
    w.pads[4] = 1
    assert len(w.run(1)) == 1
    w.do("point_delete", name="door")
    w.boot()
    assert w.run(1) == [] and w.events[0][0] == "error" and "door" in w.events[0][1]["msg"]


def test_what_is_refused_says_why():
    w = World()
    for words, fields in (
        ("one of the two", {"is": "on"}),
        ("one of the two", {"is": "on", "read": 4, "sensor": SENSOR}),
        ("say sensor", {"is": "above", "read": 4, "value": 3}),
        ("above, below", {"is": "on", "sensor": SENSOR}),
        ("value is missing", {"is": "above", "sensor": SENSOR}),
        ("more than value", {"is": "between", "sensor": SENSOR, "value": 5, "to": 5}),
        ("86400", {"is": "silent", "sensor": SENSOR, "value": 0}),
        ("needs tool", {"is": "above", "sensor": {"tool": "get_health"}, "value": 1}),
        ("no tool", {"is": "above", "sensor": {"tool": "x", "field": "y"}, "value": 1}),
        ("hours must be", {"is": "on", "read": 4, "hours": "all day"}),
        ("flash", {"is": "on", "read": 6}),
        ("no point called", {"is": "on", "read": "nowhere"}),
        ("cannot run", {"is": "on", "read": 4, "tool": "rule_delete", "args": {"name": "a"}}),
        ("value must be", {"is": "on", "read": 4, "args": {"pin": 5, "value": 7}}),
    ):
        assert words in w.refused(**fields), (fields, w.refused(**fields))
    for n in range(32):
        w.set(name="n%d" % n, read=4, **{"is": "on"})
    assert "32" in w.refused(name="one more", read=4, **{"is": "on"})
