# main.py of the board that `make bench` measures: the firmware's own, with a probe at the places
# where most is alive: as a packet is written, as an answer is taken, as a tool runs.
import gc

import micropython

from ganglion import lazy

# In the order of start.py, since what is imported out of order peaks higher.
for name in lazy.load("start").ORDER:
    gc.collect()
    __import__("ganglion." + name)
lazy.drop("start")
from ganglion import agent, link, tools  # noqa: E402

peak = 0


def probe():
    global peak
    gc.collect()
    used = gc.mem_alloc()
    if used > peak:
        peak = used
        print("@peak", used)


def watched(cls, name):
    plain = getattr(cls, name)

    def with_probe(self, *args):
        probe()
        result = plain(self, *args)
        probe()
        return result

    setattr(cls, name, with_probe)


watched(link.Link, "publish")
watched(agent.Agent, "handle")
watched(tools.Tools, "run")
tick = agent.Agent.tick


def tick_and_tell(self):
    tick(self)
    gc.collect()
    print("@retained", gc.mem_alloc())
    micropython.qstr_info()


agent.Agent.tick = tick_and_tell
del watched

from ganglion import board  # noqa: E402

board.main(0, b"")
