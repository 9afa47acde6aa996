"""What this device is: its versions, its name, a new start."""

import asyncio
import sys

import machine
from micropython import const

from . import VERSION
from .tools import ToolError

# A boot that ends sooner counts as a failed one, and three of them lead to safe mode (board.py).
_HEALTHY_AFTER_S = const(10)
_POLL_MS = const(50)
_MAX_POLLS = const(500)  # 25 s: a turn has 20
_GOODBYE_MS = const(100)

SPECS = (
    ("get_version", "Versions of firmware, MicroPython, board, tools; names.", "", False, ""),
    (
        "rename_device",
        "Give this device a name to show; without one, take it away. Its id stays.",
        "name?:str24",
        True,
        "",
    ),
    (
        "reboot",
        "Restart the board, once what was asked is answered.",
        "",
        True,
        "I restart now; outputs go to their safe or last state",
    ),
)


def call(kit, tool, args):
    if tool == "get_version":
        return _version(kit)
    if tool == "rename_device":
        return _rename(kit, args.get("name"))
    up = kit.health()["up"]
    if up < _HEALTHY_AFTER_S:
        raise ToolError(
            "busy", "I started %d s ago: ask again in %d s" % (up, _HEALTHY_AFTER_S - up)
        )
    asyncio.create_task(restart(kit))
    return {"boot": kit.agent.boot}


async def restart(kit):
    """Ends when every command that runs has its result, and the broker all that was sent. What
    comes then is for another boot, so nothing restarts this device twice."""
    agent = kit.agent
    for _ in range(_MAX_POLLS):
        await asyncio.sleep_ms(_POLL_MS)
        if not agent.inbox.running and agent.link.idle():
            break
    kit.guard.tick(0)  # puts the last levels on flash
    agent.link.close()
    await asyncio.sleep_ms(_GOODBYE_MS)
    machine.reset()


def _version(kit):
    python = "%d.%d.%d" % sys.implementation.version[:3]
    board = kit.guard.board.NAME
    agent = kit.agent
    name = kit.store.get("c:name")
    say = "I am %s, an %s with Ganglion %s on MicroPython %s, tools %s" % (
        "%s (%s)" % (name, agent.device) if name else agent.device,
        board,
        VERSION,
        python,
        agent.presence.digest,
    )
    receipt = {"fw": VERSION, "micropython": python, "board": board, "tools": agent.presence.digest}
    receipt.update({"device": agent.device, "name": name, "say": say})
    return receipt


def _rename(kit, name):
    if name is None:
        kit.store.delete("c:name")
        say = "I have no name but %s" % kit.agent.device
    else:
        for c in name:
            if c < " " or c == "/":  # people name it in paths, too
                raise ToolError("bad_args", "a name is one line and has no /")
        name = " ".join(name.split())
        if not name:
            raise ToolError("bad_args", "the name is empty")
        kit.store.set("c:name", name)
        say = "I am called %s now" % name
    kit.agent.presence.status()
    return {"name": name, "say": say}
