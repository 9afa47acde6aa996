"""What the device says unasked: who it is, its tools, its points. And the clock: it asks for it."""

import asyncio
import random
import time

from micropython import const

from . import clock, lazy

_STATE_EVERY_MS = const(5000)
_CLOCK_EVERY_MS = const(3600000)  # a crystal of 20 ppm is off by 0.1 s then
_SPECS = "/ganglion/tools-%d.json"


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
        self._time_id = None
        self._blind_s = 0  # for how long the time has not been known, connected
        self._clock_ms = time.ticks_ms()
        self._state_version = 0
        self._state_ms = 0

    def on_up(self):
        """The link has a new session: say who we are."""
        self.status()
        asyncio.create_task(self.tools())
        self._state()
        if clock.now() is None:
            self._ask_time()

    def tick(self):
        """Once a second, connected."""
        now = time.ticks_ms()
        self._mind_clock(now)
        if time.ticks_diff(now, self._state_ms) >= _STATE_EVERY_MS:
            self._state_ms = now
            if self.kit.points.look(self.kit.guard):
                self._state()

    def status(self):
        lazy.load("hello").status(self)
        lazy.drop("hello")

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

    def _ask_time(self):
        self._time_id = "t%d-%d" % (self.boot, random.getrandbits(30))
        self.link.publish("ask", '{"id":"%s","want":"time"}' % self._time_id)

    def take_time(self, msg):
        """Whether this answer is the time that was asked for; sets the clock."""
        if (
            self._time_id is None
            or msg.get("id") != self._time_id
            or type(msg.get("time")) is not int
        ):
            return False
        self._time_id = None
        knew = clock.now() is not None
        if clock.set_unix(msg["time"]) and not knew:
            self.status()
        return True

    def _mind_clock(self, now):
        """Ask a companion, which costs nothing; where none answers, NTP, which blocks a second."""
        if clock.now() is None:
            self._blind_s += 1
            if self._blind_s % 60 == 5 and clock.from_ntp():
                self._clock_ms = now
                self.status()
            elif self._blind_s <= 5 or self._blind_s % 5 == 0:
                self._ask_time()
        elif time.ticks_diff(now, self._clock_ms) > _CLOCK_EVERY_MS:
            self._clock_ms = now
            self._ask_time()
