# Thirty days of schedules on MicroPython, in simulated time: reads a scenario, prints what ran.
#
# Between two due times nothing happens, so the time between them is left out; flash, store,
# schedules and tools are the firmware's.
import gc
import json
import sys

import rig

from ganglion import clock, schedule, tools
from ganglion.schedule import Schedules

scenario = json.loads(sys.stdin.readline())


class World:
    def __init__(self):
        self.unix = scenario["start"]
        self.ms = 0
        self.known = True
        self.kit = rig.kit()

    def ticks_ms(self):
        return self.ms

    def ticks_diff(self, a, b):
        return a - b

    def ticks_add(self, a, b):
        return a + b

    def act(self, tool, args):
        print("@run", args["key"], self.unix)
        return {}

    def event(self, kind, fields):
        if kind != "fired":
            print("@" + kind, fields.get("by", fields), fields.get("due", 0))

    def boot(self):
        self.ms = 0
        self.schedules = Schedules(self.kit.store, self.act, self.event)
        self.kit.engines["schedule"] = self.schedules

    def run(self, seconds):
        end = self.unix + seconds
        while self.unix < end:
            self.schedules._turn()
            now = self.unix if self.known else None
            soonest = end
            for name in self.kit.store.keys("s:"):
                due = self.schedules.due(name) if self.known else None
                if due is None and not self.known:
                    soonest = self.unix + 1
                elif due is not None:
                    soonest = min(soonest, due)
            step = max(1, soonest - self.unix)
            self.unix += step
            self.ms += step * 1000
            del now

    def off(self, seconds):
        self.unix += seconds


w = World()
clock.now = lambda: w.unix if w.known else None
schedule.time = w
t = tools.Tools(w.kit)
w.boot()
receipt = t.run("set_timezone", {"tz": scenario["tz"]})[0]
assert "err" not in receipt, receipt
for args in scenario["schedules"]:
    args["tool"] = "memory_get"
    args["args"] = {"key": args["name"]}
    receipt = t.run("schedule_set", args)[0]
    assert "err" not in receipt, receipt
heap = []
for kind, seconds in scenario["events"]:
    if kind == "on":
        w.run(seconds)
    elif kind == "off":
        w.off(seconds)
        w.boot()
    elif kind == "lost":  # on, and the time not known
        w.known = False
        w.boot()
        w.run(seconds)
        w.known = True
    w.schedules._turn()
    gc.collect()
    heap.append(gc.mem_alloc())
print("@heap", " ".join([str(n) for n in heap]))
