# Schedules in simulated time: the clock, the ticks and the runs are the test's.
import rig

from ganglion import clock, schedule, tools
from ganglion.schedule import Schedules

T0 = 1795244400  # 2026-11-21 07:00:00 UTC, a Saturday
CET = "CET-1CEST,M3.5.0,M10.5.0/3"


class World:
    """A board that can be switched off and on; `run(s)` lets seconds pass."""

    def __init__(self, unix=T0):
        self.unix = unix
        self.known = True
        self.ms = 0
        self.kit = rig.kit()
        self.ran = []
        self.events = []
        clock.now = lambda: self.unix if self.known else None
        schedule.time = self
        self.boot()

    # what schedule.py asks of `time`
    def ticks_ms(self):
        return self.ms

    def ticks_diff(self, a, b):
        return a - b

    def ticks_add(self, a, b):
        return a + b

    def boot(self):
        self.schedules = Schedules(self.kit.store, self.act, self.event)
        self.kit.engines["schedule"] = self.schedules

    def act(self, tool, args):
        self.ran.append((self.unix, tool, args))
        return {"level": 1}

    def event(self, kind, fields):
        self.events.append((kind, fields))

    def run(self, seconds):
        self.ran = []
        self.events = []
        for _ in range(seconds):
            self.unix += 1
            self.ms += 1000
            self.schedules._turn()
        return [at - T0 for at, _, _ in self.ran]

    def off(self, seconds):
        self.unix += seconds
        self.ms = 0
        self.boot()

    def set(self, when, name="a", **more):
        args = {"name": name, "when": when, "tool": "gpio_write", "args": {"pin": 5, "value": 1}}
        args.update(more)
        receipt = tools.Tools(self.kit).run("schedule_set", args)[0]
        assert "err" not in receipt, receipt
        return receipt

    def refused(self, when, **more):
        args = {"name": "a", "when": when, "tool": "gpio_write", "args": {"pin": 5, "value": 1}}
        args.update(more)
        receipt = tools.Tools(self.kit).run("schedule_set", args)[0]
        assert "err" in receipt, receipt
        return receipt["msg"]

    def do(self, tool, **args):
        return tools.Tools(self.kit).run(tool, args)[0]

    def kinds(self):
        return [kind for kind, _ in self.events]


def test_every_counts_uptime_and_needs_no_clock():
    w = World()
    w.known = False
    w.set("every 10 s")
    assert w.run(35) == [10, 20, 30]
    # The clock comes: nothing runs twice, nothing is left out.
    w.known = True
    assert w.run(20) == [40, 50]


def test_cron_runs_at_local_time():
    w = World()
    w.do("set_timezone", tz=CET)
    receipt = w.set("5 8 * * sat")  # 07:05 UTC
    assert receipt["next"] == "2026-11-21T07:05:00Z", receipt
    assert w.run(600) == [300]
    assert w.do("schedule_list")["schedules"][0][3] == "2026-11-28T07:05:00Z"


def test_nothing_fires_before_the_clock_is_known():
    w = World()
    w.set("* * * * *")
    w.known = False
    w.off(0)
    assert w.run(180) == []
    w.known = True
    assert w.run(120) == [240, 300]


def test_once_in_and_at():
    w = World()
    w.set("in 10 min")
    w.set("at 07:20", name="b")
    assert w.run(1500) == [600, 1200]
    assert w.do("schedule_list")["schedules"] == []


def test_every_from_a_time_starts_anew_each_day():
    w = World()
    w.set("every 7 h from 06:00")  # 06, 13, 20, 03, then 06 again
    assert [at // 3600 for at in w.run(86400 + 3600)] == [6, 13, 20, 23]


def test_missed_runs():
    w = World()
    w.set("30 7 * * *", name="skip")
    w.set("30 7 * * *", name="late", miss="late", late_min=60)
    w.set("30 7 * * *", name="expire", miss="expire")
    w.off(3600)  # the power was away from 07:00 to 08:00
    assert w.run(10) == [3601]
    fired = [f for k, f in w.events if k == "fired"]
    assert [f["by"] for f in fired] == ["late"] and fired[0]["due"] == T0 + 1800
    assert [(k, f["by"]) for k, f in w.events if k == "missed"] == [("missed", "expire")]
    # Once is enough.
    w.off(60)
    assert w.run(10) == [] and w.events == []
    # Too late for `late`.
    w.off(86400 + 7200)
    assert w.run(10) == []
    assert sorted([f["by"] for k, f in w.events if k == "missed"]) == ["expire", "late"]


def test_a_power_cut_right_after_a_run_does_not_run_it_again():
    w = World()
    w.set("30 7 * * *", miss="late")
    assert w.run(1800) == [1800]
    w.off(1)
    assert w.run(3000) == []


def test_a_clock_set_back_does_not_run_it_again():
    w = World()
    w.set("30 7 * * *")
    assert w.run(1810) == [1800]
    w.unix -= 600
    assert w.run(1200) == []


def test_runs_until_and_pause():
    w = World()
    w.set("* * * * *", runs=2)
    assert w.run(300) == [60, 120]
    w.set("* * * * *", until="2026-11-21 07:08")
    assert w.run(600) == [360, 420, 480]
    assert w.do("schedule_list")["schedules"] == []
    w.set("every 10 s")
    w.do("schedule_pause", name="a", paused=True)
    assert w.run(60) == []
    w.do("schedule_pause", name="a", paused=False)
    assert len(w.run(60)) == 6


def test_sun():
    w = World()
    assert "I live at" in w.refused("sunrise")
    w.do("set_place", lat=52.52, lon=13.40)
    # Berlin, 22 November 2026: sunrise 07:35 CET; set 16:02 on the 21st.
    receipt = w.set("sunset -30 min")
    assert receipt["next"][:14] == "2026-11-21T14:" and 25 <= int(receipt["next"][14:16]) <= 40, (
        receipt
    )
    receipt = w.set("sunrise +10 min")
    assert receipt["next"][:14] == "2026-11-22T06:", receipt


def test_what_is_refused_says_why():
    w = World()
    for when, words in (
        ("", "1 to 64"),
        ("whenever", "5 fields"),
        ("tomorrow", "say at 07:30"),
        ("0 7 * *", "5 fields of cron"),
        ("61 * * * *", "minute"),
        ("every", "number"),
        ("every 0 s", "1 s to 7 days"),
        ("every 5 parsecs", "s, min or h"),
        ("every 2 h from 25:00", "time of day"),
        ("at 2026-13-01 07:00", "date"),
        ("at 2026-11-20 07:00", "past"),
        ("sunset about 5", "say sunset"),
    ):
        assert words in w.refused(when), (when, w.refused(when))
    assert "gpio_wite" in w.refused("every 5 s", tool="gpio_wite")
    assert "value is missing" in w.refused("every 5 s", args={"pin": 5})
    assert "cannot run" in w.refused("every 5 s", tool="schedule_delete", args={"name": "a"})
    for n in range(32):
        w.set("every 5 s", name="n%d" % n)
    assert "32" in w.refused("every 5 s", name="one more")
    w.known = False
    assert "time" in w.refused("in 5 min", name="n1")


def test_a_tool_that_fails_stops_nothing():
    w = World()
    w.set("every 10 s")
    w.set("every 10 s", name="b")

    def act(tool, args):
        w.act(tool, args)
        raise ValueError("broken")

    w.schedules._run = act
    ran = w.run(20)
    assert ran == [10, 10, 20, 20] and w.kinds() == ["error"] * 4, (ran, w.events)


def test_what_finds_no_memory_is_set_and_planned_later():
    w = World()
    w.set("1 7 * * *", name="first")
    load = schedule.lazy.load

    def full(name):
        if name == "when":
            raise MemoryError
        return load(name)

    schedule.lazy.load = full
    try:
        args = {
            "name": "b",
            "when": "2 7 * * *",
            "tool": "gpio_write",
            "args": {"pin": 5, "value": 1},
        }
        receipt, say, _ = tools.Tools(w.kit).run("schedule_set", args)
    finally:
        schedule.lazy.load = load
    # It is kept, so the receipt does not say that it failed.
    assert "err" not in receipt and "do not know yet" in say, (receipt, say)
    assert w.run(180) == [60, 120]


def test_what_is_kept_is_not_said_to_have_failed():
    from ganglion import lazy

    s = World()
    load = lazy.load

    def scarce(name):
        if name == "schedule_told":
            raise MemoryError("no room")
        return load(name)

    lazy.load = scarce
    try:
        receipt = s.set("every 10 s")
    finally:
        lazy.load = load
    assert receipt == {"name": "a"} and len(s.run(12)) == 1, receipt


def test_no_memory_to_plan_runs_nothing_that_is_not_due():
    from ganglion import lazy

    w = World()
    w.set("every 10 s", "stays")
    w.set("every 10 s", "changes")
    assert w.run(10) == [10, 10]
    load = lazy.load

    def scarce(name):
        if name == "plan":
            raise MemoryError("no room")
        return load(name)

    lazy.load = scarce
    try:
        w.do("schedule_pause", name="changes", paused=True)
        assert w.run(15) == [20]  # what was planned goes on; what is paused does not run
        assert w.kinds().count("error") == 1, w.events
    finally:
        lazy.load = load
    assert w.run(10) == [30]
    w.do("schedule_pause", name="changes", paused=False)
    assert len(w.run(11)) == 2
