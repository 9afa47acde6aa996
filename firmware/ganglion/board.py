"""Boot: what starts, in which order, and what a failed boot leads to.

A boot has failed when it ends (an exception, the watchdog) before it has run for 10 s. main.py
counts, in RTC memory: that outlives `machine.reset()` and the watchdog and costs no flash, and
taking the power away is always a way back. Wi-Fi or a broker out of reach is no failure.
"""

import asyncio
import gc
import json
import os
import random
import sys
import time

import machine

from .console import Console

MAX_FAILED_BOOTS = 3
HEALTHY_AFTER_S = 10
SAFE_MODE_S = 600
WATCHDOG_MS = 30000
CONFIG = "/config.json"
BOOT_COUNT = "/boot"

# Collecting early keeps the heap in one piece; waiting until it is full does not.
_COLLECT_EVERY_BYTES = 8192
_MAGIC = b"GNG"  # main.py writes it, too
# Longest time without a beat: 15 s of joining Wi-Fi, 10 s of a companion's `busy`.
_STUCK_S = 25
_CAUSES = {
    machine.PWRON_RESET: "power_on",
    machine.HARD_RESET: "reset",
    machine.WDT_RESET: "watchdog",
    machine.DEEPSLEEP_RESET: "deep_sleep",
    machine.SOFT_RESET: "soft",
}


def forget_failed_boots():
    machine.RTC().memory(_MAGIC + b"\0")


def next_boot(path=BOOT_COUNT):
    """Count this boot, on flash. Where flash takes no write, a number far ahead is as good:
    what it must never be is one that was used before."""
    last = 0
    try:
        with open(path) as f:
            last = int(f.read())
    except OSError:
        pass  # the first boot
    except ValueError:
        last = random.getrandbits(24)
    try:
        with open(path + ".new", "w") as f:
            f.write(str(last + 1))
        os.rename(path + ".new", path)
        return last + 1
    except OSError:
        return last + 2 + random.getrandbits(24)


def load_config(path=CONFIG):
    """The device's own settings; raises ValueError with what is wrong."""
    try:
        with open(path) as f:
            config = json.load(f)
    except OSError:
        raise ValueError("%s is missing: provision this board" % path) from None
    except ValueError:
        raise ValueError("%s is not JSON" % path) from None
    for key, kind in (("device", str), ("secret", str), ("host", str), ("port", int)):
        if not isinstance(config.get(key), kind):
            raise ValueError("%s: %s must be %s" % (path, key, kind.__name__))
    return config


class Board:
    def __init__(self):
        self.agent = None
        self.problem = ""
        self._began = time.ticks_ms()
        self._up_s = 0
        self._kit = None
        self._link = None
        self.boot = 0

    # ---- for the console

    def status(self):
        out = "boot %d, up %d s, %d B of memory free" % (self.boot, self.up_s(), _free())
        if self._link:
            out += ", link " + ("up" if self._link.connected else self._link.problem)
        if self.problem:
            out += "\nsafe mode: " + self.problem
        return out

    def points(self):
        points = self._kit.points if self._kit else None
        if not points or not points.names():
            return "no points"
        return "\n".join(["%s: pin %d" % (n, points.get(n)[0]) for n in points.names()])

    def safe_off(self):
        forget_failed_boots()
        self.reboot()

    def reboot(self):
        if self._link:
            self._link.close()
        machine.reset()

    # ----

    def up_s(self):
        """Seconds since boot; called at least once a second, so the ticks cannot wrap unseen."""
        past = time.ticks_diff(time.ticks_ms(), self._began) // 1000
        if past > 0:
            self._up_s += past
            self._began = time.ticks_add(self._began, past * 1000)
        return self._up_s

    def health(self):
        s = os.statvfs("/")
        return {
            "heap": _free(),
            "up": self.up_s(),
            "boot": self.boot,
            "flash": s[0] * s[3],
            "reset": _CAUSES.get(machine.reset_cause(), "other"),
        }

    async def run(self):
        """The agent and its link, for ever."""
        # One after the other, from the bottom: importing peaks at twice what stays, and nested
        # imports would add their peaks up.
        for name in ("store", "guard", "inbox", "points", "tools", "talk", "mqtt", "link", "agent"):
            gc.collect()
            __import__("ganglion." + name)
        gc.threshold(_COLLECT_EVERY_BYTES)
        from .agent import Agent
        from .guard import Guard
        from .inbox import Inbox
        from .link import Link
        from .points import Points
        from .store import Store
        from .tools import Kit, Tools
        from .wifi import Wifi

        config = load_config()
        name = config.get("board", "esp32")
        module = __import__("boards." + name, None, None, ("NAME",))
        store = Store()
        self._kit = Kit(Guard(module), Points(store), store, self.health)
        self.boot = next_boot()
        wifi = config.get("wifi") or {}
        link = Link(
            config,
            Wifi(wifi.get("ssid", ""), wifi.get("password", "")),
            lambda: self.agent.will(),
            lambda leaf, view: self.agent.handle(leaf, view),
            lambda: self.agent.on_up(),
            print,
        )
        self._link = link
        cause = _CAUSES.get(machine.reset_cause(), "other")
        agent = Agent(config["device"], self.boot, Tools(self._kit), Inbox(self.boot), link, cause)
        self.agent = agent
        agent.event("boot", {"reset": cause, "cut": store.cut})
        gc.collect()
        asyncio.get_event_loop().set_exception_handler(_task_died)
        asyncio.create_task(link.run())
        asyncio.create_task(agent.run())
        asyncio.create_task(Console(self).run())
        print("ganglion: boot %d of %s, %d B free" % (self.boot, config["device"], _free()))
        await self._watch(link, agent)

    async def _watch(self, link, agent):
        """Feed the watchdog only while link and agent both turn; once a second, the rest."""
        watchdog = machine.WDT(timeout=WATCHDOG_MS)
        link_beat = agent_beat = None
        link_s = agent_s = 0  # seconds since each last beat
        healthy = False
        while True:
            await asyncio.sleep(1)
            link_s = 0 if link.beat != link_beat else link_s + 1
            agent_s = 0 if agent.beat != agent_beat else agent_s + 1
            link_beat = link.beat
            agent_beat = agent.beat
            if link_s < _STUCK_S and agent_s < _STUCK_S:
                watchdog.feed()
            if self.up_s() >= HEALTHY_AFTER_S and not healthy:
                healthy = True
                forget_failed_boots()
            agent.tick()

    async def run_safe(self):
        """Safe mode: the console, and a normal boot after 10 minutes."""
        print("ganglion: SAFE MODE. %s. 'safe off' boots normally." % self.problem)
        asyncio.create_task(Console(self).run())
        for _ in range(SAFE_MODE_S):
            await asyncio.sleep(1)
            self.up_s()
        self.safe_off()


def _free():
    gc.collect()
    return gc.mem_free()


def _task_died(loop, context):
    # A task that ends by an exception would leave half an agent: start over.
    sys.print_exception(context["exception"])
    rtc = machine.RTC()
    rtc.memory(bytes(rtc.memory())[:4] + repr(context["exception"])[:150].encode())
    machine.reset()


def main(failed, why):
    """`failed` boots in a row came before this one; `why` is what the last one said."""
    board = Board()
    if failed >= MAX_FAILED_BOOTS:
        board.problem = "%d boots failed: %s" % (failed, why or "no reason noted")
        asyncio.run(board.run_safe())
    else:
        asyncio.run(board.run())
