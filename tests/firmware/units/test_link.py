"""What the link remembers from one session to the next."""

import asyncio

from ganglion import link as module
from ganglion.link import Link, LinkError


class Wlan:
    def isconnected(self):
        return True


class Clock:
    """The link's clock, which tests put ahead."""

    def __init__(self):
        self.now = 0

    def ticks_ms(self):
        return self.now

    def ticks_diff(self, a, b):
        return a - b


def session(held_ms, connects, killed):
    """The back-off after a session that `held_ms`, the ones before having raised it to 8 s."""
    clock = module.time = Clock()
    link = Link({"device": "x", "host": "x", "port": 1}, Wlan(), print)
    link._backoff = 8000

    async def talk():
        if connects:
            link.connected = True
            link.sessions += 1
        clock.now += held_ms
        if killed:
            link._kill("no acknowledgement")
            await asyncio.sleep(1)
        raise LinkError("the broker closed")

    async def run():
        link._talk = talk
        try:
            await link._session()
        except LinkError:
            pass
        assert not link.connected

    asyncio.run(run())
    return link._backoff


def test_a_session_that_held_sets_the_back_off_back():
    for killed in (False, True):
        assert session(10001, True, killed) == 500, killed


def test_one_that_did_not_leaves_it():
    for killed in (False, True):
        assert session(9999, True, killed) == 8000, killed
        assert session(20000, False, killed) == 8000, killed
