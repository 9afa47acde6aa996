"""The main program: the watchdog, the log, and what a failed boot leads to.

A boot has failed when it ends (an exception, the watchdog) before it has run for 10 s. main.py
counts, in RTC memory: that outlives `machine.reset()` and the watchdog and costs no flash, and
taking the power away is always a way back. Wi-Fi or a broker out of reach is no failure. Behind
the count is the log (log.py).
"""

import asyncio
import gc
import os
import sys
import time

import machine
from micropython import const

from . import lazy

_MAX_FAILED_BOOTS = const(3)
_HEALTHY_AFTER_S = const(10)
_WATCHDOG_MS = const(30000)

_MAGIC = b"GNG"  # main.py writes it, too
# Longest time without a beat: 15 s of joining Wi-Fi, 10 s of a companion's `busy`.
_STUCK_S = const(25)


def _cause():
    """Why the chip was reset, in a word."""
    cause = machine.reset_cause()
    for name in ("PWRON", "HARD", "WDT", "DEEPSLEEP", "SOFT"):
        if cause == getattr(machine, name + "_RESET"):
            return {"PWRON": "power_on", "HARD": "reset", "WDT": "watchdog"}.get(name, name.lower())
    return "other"


def _forget_failed_boots():
    rtc = machine.RTC()
    rtc.memory(_MAGIC + b"\0" + bytes(rtc.memory())[4:])


class Board:
    """What start.py fills in: `config`, `kit`, `link`, `agent`, `boot`; `link` and `agent` are None
    in safe mode."""

    def __init__(self):
        self.config = None
        self.kit = None
        self.link = None
        self.agent = None
        self.boot = 0
        self.problem = ""
        self._began = time.ticks_ms()
        self._up_s = 0
        self._told = ""  # the link's problem

    def note(self, event):
        """For the log. A fault must not come of it."""
        gc.collect()  # else what of it stays (names) comes to lie high, and parts the heap
        try:
            lazy.load("log").note(self.boot, self.up_s(), event)
        except Exception:
            pass
        lazy.drop("log")

    # ---- for the link, which is there before the agent

    def will(self):
        return self.agent.will()

    def handle(self, leaf, view):
        self.agent.handle(leaf, view)

    def on_up(self):
        self.agent.on_up()

    def trouble(self, why):
        """The link says why it is down: after each try, but it is told once."""
        if why != self._told:
            self._told = why
            lazy.loaded("console").show(why)
            self.note({"kind": "link", "msg": why})

    # ---- for the console

    def safe_off(self):
        _forget_failed_boots()
        self.reboot()

    def reboot(self):
        if self.link:
            self.link.close()
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
            "reset": _cause(),
        }

    async def run(self):
        """The agent and its link, for ever."""
        asyncio.get_event_loop().set_exception_handler(self._task_died)
        lazy.load("start").start(self, _cause())
        lazy.drop("start")
        await self._watch(self.link, self.agent)

    def _task_died(self, loop, context):
        # A task that ends by an exception would leave half an agent: start over.
        try:
            if self.kit:
                self.kit.guard.safe()
        finally:
            sys.print_exception(context["exception"])
            self.note({"kind": "fault:", "msg": repr(context["exception"])})
            machine.reset()

    async def _watch(self, link, agent):
        """Feed the watchdog only while link and agent both turn; once a second, the rest."""
        watchdog = machine.WDT(timeout=_WATCHDOG_MS)
        link_beat = agent_beat = None
        link_s = agent_s = 0  # seconds since each last beat
        down_s = 0
        healthy = False
        while True:
            await asyncio.sleep(1)
            down_s = 0 if link.connected else down_s + 1
            for gpio, why in self.kit.guard.tick(down_s):
                agent.event("limit", {"pin": gpio, "msg": why})
            link_s = 0 if link.beat != link_beat else link_s + 1
            agent_s = 0 if agent.beat != agent_beat else agent_s + 1
            link_beat = link.beat
            agent_beat = agent.beat
            if link_s < _STUCK_S and agent_s < _STUCK_S:
                watchdog.feed()
            elif link_s == _STUCK_S or agent_s == _STUCK_S:
                self.note({"kind": "fault:", "msg": "agent %d s, link %d s" % (agent_s, link_s)})
            if link.connected:
                self._told = ""
            if self.up_s() >= _HEALTHY_AFTER_S and not healthy:
                healthy = True
                _forget_failed_boots()
            agent.tick()


def _free():
    gc.collect()
    return gc.mem_free()


def main(failed, log):
    """`failed` boots in a row came before this one; `log` is what the last ones left."""
    board = Board()
    try:
        if failed < _MAX_FAILED_BOOTS:
            asyncio.run(board.run())
        else:
            board.problem = "%d boots failed" % failed
            asyncio.run(lazy.load("start").safe(board, log))
    except KeyboardInterrupt:
        _forget_failed_boots()
        lazy.load("halt").halt(board)
