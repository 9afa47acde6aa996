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
            self.kit.points,
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

    def arrive(self, payload, event="bell", pid=0, again=False):
        """What an event made run at once."""
        began = len(self.ran)
        view = payload if payload is None else memoryview(payload.encode())
        self.rules.arrived(event, view, pid, again)
        return len(self.ran) - began

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


def test_an_event_that_arrives_acts_at_once_and_each_time():
    w = World()
    w.set(event="Front Door", **{"is": "arrives"})
    w.run(0.1)
    for payload in ("", "ding", "22.5", '{"value": null}', '{"who": "knows"}', "[1]"):
        assert w.arrive(payload, "front-door") == 1, payload
    assert w.arrive("", "back-door") == 0 and w.arrive("", "front-doo") == 0
    assert w.arrive("", "Front Door") == 0  # the name is the topic's last level, letter by letter
    assert w.run(30) == [] and w.events == []


def test_an_event_that_never_had_a_rule_is_forgotten():
    w = World()
    w.set(event="bell", **{"is": "arrives"})
    w.do("rule_delete", name="a")
    assert w.arrive("") == 0 and w.events == []


def test_the_number_of_an_event():
    w = World()
    w.set(event="bell", value=22.1, hyst=1, **{"is": "above"})
    for payload, n in (
        ("22.1", 0),
        ("22.5", 1),
        ("23", 0),  # it has never stopped being above
        ("21.5", 0),  # nor here: that is within the hysteresis
        ('{"value": 25}', 0),
        ('{"value": "20"}', 0),
        ('{"value": "22.5", "unit": "C"}', 1),
    ):
        assert w.arrive(payload) == n, payload
    w.run(10)
    w.set(event="bell", value=5, to=6, **{"is": "between"})
    assert [w.arrive(p) for p in ("4", "5", "7", "6")] == [0, 1, 0, 1]
    w.set(event="bell", value=-5, to=0, **{"is": "between"})
    assert [w.arrive(p) for p in ("-6", "-5", "1", "0")] == [0, 1, 0, 1]
    w.set(event="bell", value=22.1, **{"is": "equals"})
    assert [w.arrive(p) for p in ("22", "22.1", "22.10", "3", '{"value": 22.1}')] == [0, 1, 0, 0, 1]
    w.set(event="bell", value=0, **{"is": "equals"})
    assert [w.arrive(p) for p in ("1", "0")] == [0, 1]


def test_the_text_of_an_event():
    w = World()
    w.set(event="bell", text="Double", **{"is": "equals"})
    assert [w.arrive(p) for p in ("single", "double", '"hold"', '{"value": "DOUBLE"}', " ")] == [
        0, 1, 0, 1, 0,
    ]  # fmt: skip
    w.set(event="bell", **{"is": "on"})
    for both in ("on off", '"ON" "OFF"', "true false", "1 0", "open closed"):
        on, off = both.split()
        w.run(1)
        assert [w.arrive(on), w.arrive(off)] == [1, 0], on
    w.set(event="bell", **{"is": "changes"})
    assert [w.arrive(p) for p in ("home", "home", "away", "away", "3")] == [0, 0, 1, 0, 1]


def test_for_and_silence_of_an_event():
    w = World()
    w.set(event="bell", value=30, for_s=10, **{"is": "above"})
    w.run(2)
    assert w.arrive("31") == 0
    ran = w.run(15)
    assert len(ran) == 1 and 10000 <= ran[0] <= 11005, ran
    w.arrive("29")
    w.arrive("31")
    w.run(6)
    assert w.arrive("32") == 0
    w.run(2)
    w.arrive("20")  # in time: it did not stay so for 10 s
    assert w.run(20) == []
    w.set(event="bell", value=60, **{"is": "silent"})
    w.run(50)
    w.arrive("anything")
    assert w.run(55) == []
    ran = w.run(30)
    assert len(ran) == 1 and ran[0] <= 6010, ran
    assert w.run(200) == []


def test_cool_down_and_active_hours_of_an_event():
    w = World()
    w.set(event="bell", cool_s=10, **{"is": "arrives"})
    assert [w.arrive(""), w.arrive("")] == [1, 0]
    assert w.run(12) == []  # what came within the cool-down does not come after it
    assert w.arrive("") == 1
    w.set(event="bell", hours="22:00-06:00", **{"is": "arrives"})
    assert w.arrive("") == 0  # it is 07:00
    # What still holds when the cool-down is over is acted on then.
    w.set(event="bell", cool_s=10, value=5, **{"is": "above"})
    w.run(20)
    assert [w.arrive(p) for p in ("6", "4", "7")] == [1, 0, 0]
    ran = w.run(15)
    assert len(ran) == 1 and 9000 <= ran[0] <= 11010, ran


def test_an_event_that_comes_twice_acts_once_where_that_can_be_known():
    w = World()
    w.set(event="bell", **{"is": "arrives"})
    # The broker says that it sent this packet before.
    assert w.arrive("", pid=7) == 1
    assert w.arrive("", pid=7, again=True) == 0
    assert w.arrive("", pid=8, again=True) == 1  # the first one was lost on the way
    assert w.arrive("", pid=7) == 1  # a packet id comes round again
    # The sender says which one it is, so a double of its own is known, too.
    w.run(30)
    assert [w.arrive('{"id": "a1"}', pid=n) for n in (20, 21, 22)] == [1, 0, 0]
    assert w.arrive('{"id": 1}') == 1 and w.arrive('{"id": 1}') == 0
    w.run(30)
    for n in range(12):
        assert w.arrive('{"id": "b%d"}' % n, pid=100 + n) == 1
    assert w.arrive('{"id": "b0"}', pid=900) == 0
    w.run(30)
    # And until when it is worth something.
    assert w.arrive('{"exp": %d}' % (w.unix + 5)) == 1
    assert w.arrive('{"exp": %d}' % w.unix) == 0
    assert w.events[-1][1]["code"] == "expired"
    w.unix = None
    assert w.arrive('{"exp": %d}' % (T0 + 5000)) == 0
    assert w.events[-1][1]["code"] == "no_clock"
    assert w.arrive("") == 1


def test_an_event_that_is_no_message_changes_nothing_and_says_why():
    w = World()
    w.set(event="bell", value=30, **{"is": "above"})
    for payload, code, words in (
        ("x" * 600, "too_big", "512"),
        (None, "too_big", "512"),
        ("hot", "bad_message", "rule a wants"),
        ("[[[[[[[[", "bad_message", "rule a wants"),
        ("1e99", "bad_message", "1e"),
        ('{"value": 31, "id": [1]}', "bad_message", "id must"),
        ('{"value": 31, "exp": "soon"}', "bad_message", "exp must"),
    ):
        w.events = []
        assert w.arrive(payload) == 0, payload
        kind, fields = w.events[0]
        assert kind == "bad_message" and fields["on"] == "event/bell", fields
        assert fields["code"] == code and words in fields["msg"], fields
        w.run(2)
    w.events = []
    w.rules.arrived("bell", memoryview(b"\xff\xfe31"), 1, 0)
    assert w.ran == [] and w.events[0][1]["code"] == "bad_utf8"
    assert w.arrive("31") == 1


def test_a_flood_of_events_is_bounded_and_told_once():
    w = World()
    w.set(event="bell", **{"is": "arrives"})
    assert sum([w.arrive("") for _ in range(100)]) == 16
    w.run(1.1)
    assert sum([w.arrive("") for _ in range(100)]) == 4
    w.run(10)
    assert [e for e in w.events if e[0] == "error"] == [
        ("error", {"on": "event", "msg": "180 events came too fast and were dropped"})
    ]
    assert w.arrive("") == 1


def test_two_rules_on_one_event_and_after_a_reboot():
    w = World()
    w.set(name="up", event="bell", value=30, **{"is": "above"})
    w.set(name="down", event="bell", value=20, args={"pin": 5, "value": 0}, **{"is": "below"})
    w.boot()
    w.arrive("31")
    w.arrive("19")
    assert [value for _, value in w.ran] == [1, 0]


def test_what_is_set_beside_it_does_not_make_a_rule_act_again():
    w = World()
    w.set(read=4, **{"is": "on"})
    w.pads[4] = 1
    assert len(w.run(1)) == 1
    w.set(name="b", read=13, **{"is": "on"})
    assert w.run(1) == []
    w.set(read=4, **{"is": "on"})  # set again it begins again
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


def test_a_long_list_comes_in_parts():
    w = World()
    for n in range(12):
        w.set(name="n%02d" % n, read=4, **{"is": "on"})
    first, say, _ = tools.Tools(w.kit).run("rule_list", {})
    assert len(first["rules"]) == 8 and first["more"] == 4, first
    assert say.startswith("n00: when pin 4 is on, I turn pin 5 on; "), say
    assert say.endswith("; 4 more, after n07."), say
    rest = w.do("rule_list", after="n07")
    assert [row[0] for row in rest["rules"]] == ["n08", "n09", "n10", "n11"] and "more" not in rest


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
    w.do("point_set", name="door", pin=16, dir="in")  # from here on it is another pin
    w.pads[4] = 0
    w.run(0.1)
    w.pads[4] = 1
    assert w.run(1) == []
    w.pads[16] = 1
    assert len(w.run(1)) == 1
    w.do("point_delete", name="door")
    assert w.run(1) == [] and w.events[0][0] == "error" and "door" in w.events[0][1]["msg"]


def test_what_is_refused_says_why():
    w = World()
    for words, fields in (
        ("one of the three", {"is": "on"}),
        ("one of the three", {"is": "on", "read": 4, "sensor": SENSOR}),
        ("one of the three", {"is": "on", "read": 4, "event": "bell"}),
        ("without / + #", {"is": "arrives", "event": "a/b"}),
        ("without / + #", {"is": "arrives", "event": "+"}),
        ("for an event", {"is": "arrives", "read": 4}),
        ("for an event", {"is": "equals", "sensor": SENSOR, "value": 1}),
        ("arrives does not", {"is": "arrives", "event": "bell", "for_s": 3}),
        ("value is missing", {"is": "equals", "event": "bell"}),
        ("in the place of value", {"is": "equals", "event": "bell", "text": "a", "value": 1}),
        ("in the place of value", {"is": "arrives", "event": "bell", "text": "a"}),
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


def test_no_memory_for_the_table_runs_nothing_that_is_not_so():
    from ganglion import lazy

    w = World()
    w.pads[4] = 0
    w.set(read=4, **{"is": "on"})
    w.set(name="stays", read=13, **{"is": "on"})
    assert w.run(1) == []
    load = lazy.load

    def scarce(name):
        if name == "rows":
            raise MemoryError("no room")
        return load(name)

    lazy.load = scarce
    try:
        w.do("rule_pause", name="a", paused=True)
        assert w.run(3) == []
        w.pads[4] = 1
        assert w.run(3) == []
        w.pads[13] = 1  # the other one goes on
        assert len(w.run(3)) == 1
    finally:
        lazy.load = load
    w.do("rule_pause", name="a", paused=False)
    assert len(w.run(3)) == 1
