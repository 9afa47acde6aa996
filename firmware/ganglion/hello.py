"""What a session begins with: status, tool specs, the time. Loaded for it: it is rare."""

import asyncio
import os
import random
import time

from micropython import const

from . import VERSION, clock
from .talk import dumps

_DRAIN_MS = const(2000)
_PIECE = const(256)
_TIME_LATE_MS = const(5000)  # an answer that took longer is that much behind


def status(presence):
    """On `up/status`, retained."""
    health = presence.kit.health()
    presence.link.publish(
        "status",
        dumps(
            {
                "online": True,
                "boot": presence.boot,
                "name": presence.kit.store.get("c:name"),
                "fw": VERSION,
                "board": presence.kit.guard.board.NAME,
                "tools": presence.digest,
                "heap": health["heap"],
                "up": health["up"],
                "clock": clock.now() is not None,
                "safe": presence.safe,
                "reset": presence.reset_cause,
            }
        ),
        True,
    )


async def specs(link, paths):
    """The specs, from flash as the build made them: a message, and the next when that is on its
    way, since all of them are more than the heap can hold."""
    n = 1
    try:
        while link.stream("tools/%d" % n if n > 1 else "tools", _pieces(paths % n), True):
            for _ in range(_DRAIN_MS // 5):
                if link.drained():
                    break
                await asyncio.sleep_ms(5)
            n += 1
            os.stat(paths % n)
    except OSError:
        pass  # there is no such part


def _pieces(path):
    def pieces():
        with open(path) as f:
            while True:
                piece = f.read(_PIECE)
                if not piece:
                    return
                yield piece

    return pieces


def ask_time(presence):
    presence.time_ms = time.ticks_ms()
    presence.time_id = "t%d-%d" % (presence.boot, random.getrandbits(30))
    presence.link.publish("ask", '{"id":"%s","want":"time"}' % presence.time_id)


def take_time(presence, msg):
    """The answer to it; True when it has the time."""
    if type(msg.get("time")) is not int:
        return False
    presence.time_id = None
    if time.ticks_diff(time.ticks_ms(), presence.time_ms) > _TIME_LATE_MS:
        return True
    knew = clock.now() is not None
    if clock.set_unix(msg["time"]) and not knew:
        status(presence)
    return True


def mind_clock(presence, now):
    """Ask a companion, which costs nothing; where none answers, NTP, which blocks a second."""
    if clock.now() is not None:
        presence.clock_ms = now
        return ask_time(presence)
    presence.blind_s += 1
    if presence.blind_s % 60 == 5 and clock.from_ntp():
        presence.clock_ms = now
        status(presence)
    elif presence.blind_s <= 5 or presence.blind_s % 5 == 0:
        ask_time(presence)
