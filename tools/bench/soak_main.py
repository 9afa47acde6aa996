# main.py of the board that soaks: the firmware's own, which tells on its serial line what it does
# and when, by the world's clock. It lets no time be left out while an answer is under way.
import gc
import json

import _leap
import utime
from _hw import mem
from micropython import const

from ganglion import lazy

_NET_UP = const(1)
_NTP_UP = const(2)
_ANSWER_MS = const(10000)
_EVERY_MS = const(1800000)

# In the order of start.py, since what is imported out of order peaks higher.
for name in lazy.load("start").ORDER:
    gc.collect()
    __import__("ganglion." + name)
lazy.drop("start")
from ganglion import agent, clock, link, schedule, tools  # noqa: E402


class World:
    link = None
    kit = None
    peak = 0
    told_ms = 0
    known = False
    time_id = None
    asked_ms = 0


def tell(what, *more):
    print("@" + what, _leap.world_ms(), *more)


def after(cls, name, then):
    plain = getattr(cls, name)

    def both(self, *args):
        result = plain(self, *args)
        then(self, result, *args)
        return result

    setattr(cls, name, both)


def probe(*_):
    gc.collect()
    World.peak = max(World.peak, gc.mem_alloc())


def linked(self, _, *args):
    World.link = self


def equipped(self, _, kit):
    World.kit = kit


def acted(self, receipt, tool, args):
    tell("act", json.dumps([tool, args, receipt.get("err", "")]))
    probe()


def happened(self, _, kind, fields):
    tell("event", fields["boot"], fields["n"], kind, fields.get("by", "-"))


def ticked(self, _):
    now = _leap.world_ms()
    if not World.known and clock.now() is not None:
        World.known = True
        tell("clock")
    if now - World.told_ms > _EVERY_MS:
        World.told_ms = now
        gc.collect()
        tell("heap", gc.mem_alloc(), max(World.peak, gc.mem_alloc()))
        World.peak = 0


def began(self, _, *args):
    tell("engine", int(clock.now() is not None))


def asks_time(id_):
    """Is an answer with the time on its way? It must not become old. Where it was lost, it is not
    waited for without end."""
    if id_ != World.time_id:
        World.time_id = id_
        World.asked_ms = utime.ticks_ms()
    return id_ and utime.ticks_diff(utime.ticks_ms(), World.asked_ms) < _ANSWER_MS


def may():
    """Milliseconds until a schedule is due; 0 while there is something to wait for."""
    kit = World.kit
    if kit is None or kit.agent is None:
        return 0  # it boots
    if (mem[_NET_UP] and World.link.under_way()) or kit.agent.under_way():
        return 0
    if mem[_NTP_UP] and World.link.connected and asks_time(kit.agent.asked_time()):
        return 0
    engine = kit.engines.get("schedule")
    return engine.soonest_ms(_leap.world_ms()) if engine else 1 << 29


_leap.may = may
after(link.Link, "__init__", linked)
after(tools.Tools, "__init__", equipped)
after(agent.Agent, "act", acted)
after(agent.Agent, "handle", probe)
after(agent.Agent, "event", happened)
after(agent.Agent, "tick", ticked)
after(schedule.Schedules, "__init__", began)
tell("boot")
del after

from ganglion import board  # noqa: E402

board.main(0, "")
