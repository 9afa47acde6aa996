# A kit with the points of docs/routines.md, an agent that records events, and its routines.
import asyncio

import rig

POINTS = (
    ("kitchen light", 5, "out"),
    ("hall light", 13, "out"),
    ("fan", 14, "out"),
    ("porch light", 16, "out"),
    ("valve", 17, "out"),
    ("pump", 18, "out"),
    ("blind up", 19, "out"),
    ("blind down", 21, "out"),
    ("door", 34, "in"),
    ("window", 35, "in"),
    ("motion", 39, "in"),
)


class Events:
    """An agent without a network."""

    connected = False

    def __init__(self):
        self.seen = []
        self.link = self

    def event(self, kind, fields):
        fields["kind"] = kind
        self.seen.append(fields)


def tools(store=None):
    from ganglion.tools import Tools

    t = Tools(rig.kit(store))
    if store is None:
        for name, pin, way in POINTS:
            r = t.run("point_set", {"name": name, "pin": pin, "dir": way})[0]
            assert "err" not in r, r
    t.kit.agent = Events()
    return t


def call(t, tool, **args):
    return t.run(tool, args)[0]


def define(t, program, approve=True):
    """Define and approve; the receipt of the definition."""
    r = call(t, "routine_define", program=program)
    assert "err" not in r, r
    if approve and "stored" not in r:
        t.kit.routines.turn += 1
        a = call(t, "routine_approve", token=r["token"])
        assert a == {"routine": program["name"]}, a
    return r


def play(story):
    asyncio.run(story())


async def until(condition):
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep_ms(2)
    raise AssertionError("it never happened")
