"""What the device says unasked: who it is, its tools, its points. And the clock: it asks for it."""

import asyncio
import time

from micropython import const

from . import clock, lazy

_STATE_EVERY_MS = const(5000)
_CLOCK_EVERY_MS = const(3600000)  # a crystal of 20 ppm is off by 0.1 s then
_SPECS = "ganglion/tools-%d.json"  # in the slot


class Presence:
    def __init__(self, kit, link, boot, reset_cause, safe, specs):
        """`specs` is where the build put the messages of `up/tools`, None for the usual place."""
        self.kit = kit
        self.link = link
        self.boot = boot
        self.reset_cause = reset_cause
        self.safe = safe
        self._specs = specs or _SPECS
        with open(self._specs % 1) as f:
            self.digest = f.read(15)[9:]  # {"hash":"a8Kd0f"
        self._sending = False
        self.time_id = None
        self.time_ms = 0  # ticks when it was asked
        self.blind_s = 0  # for how long the time has not been known, connected
        self.clock_ms = time.ticks_ms()
        self._state_version = 0
        self._state_ms = 0

    def on_up(self):
        """The link has a new session: say who we are."""
        self.status()
        asyncio.create_task(self.tools())
        self._state()
        if clock.now() is None:
            self._hello("ask_time")

    def tick(self):
        """Once a second, connected."""
        now = time.ticks_ms()
        if clock.now() is None or time.ticks_diff(now, self.clock_ms) > _CLOCK_EVERY_MS:
            self._hello("mind_clock", now)
        if time.ticks_diff(now, self._state_ms) >= _STATE_EVERY_MS:
            self._state_ms = now
            if self.kit.points.look(self.kit.guard):
                self._state()

    def status(self):
        self._hello("status")

    async def tools(self):
        """The specs; one sending at a time."""
        while self._sending:
            await asyncio.sleep_ms(20)
        self._sending = True
        try:
            await lazy.load("hello").specs(self.link, self._specs)
        finally:
            lazy.drop("hello")
            self._sending = False

    def points_changed(self):
        """Tell the points at once where one was named, or forgotten."""
        if self.kit.points.version != self._state_version:
            self._state()

    def _state(self):
        points = self.kit.points
        points.look(self.kit.guard)
        # Streamed: 64 names are 4 KB, and each new session tells them anyway.
        if self.link.stream("state", points.chunks, True):
            self._state_version = points.version
        self._state_ms = time.ticks_ms()

    # ---- the clock

    def take_time(self, msg):
        """Whether this answer is the time that was asked for; sets the clock."""
        if self.time_id is None or msg.get("id") != self.time_id:
            return False
        return self._hello("take_time", msg)

    def _hello(self, what, *args):
        """`hello.<what>(self)`: what is done once a session, or once an hour."""
        try:
            return getattr(lazy.load("hello"), what)(self, *args)
        finally:
            lazy.drop("hello")
