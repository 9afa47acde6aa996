"""Puts the parts together at boot; dropped when they run. Safe mode is here, too."""

import asyncio
import gc
import json
import os
import random
import sys

import machine
import network
from micropython import const

from . import lazy

_CONFIG = "/config.json"
_BOOT_COUNT = "/boot"
_SAFE_MODE_S = const(600)
_WATCHDOG_MS = const(30000)
# Collecting early keeps the heap in one piece; waiting until it is full does not.
_COLLECT_EVERY_BYTES = const(8192)
# One after the other, from the bottom: importing peaks at twice what stays, and nested imports
# would add their peaks up.
ORDER = (
    "store",
    "guard",
    "inbox",
    "points",
    "tools",
    "talk",
    "outbox",
    "mqtt",
    "link",
    "presence",
    "asker",
    "agent",
    "console",
)


def next_boot(path=_BOOT_COUNT):
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


def load_config(path=_CONFIG):
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


def outputs(config, back):
    """`(guard, store)`, and outputs where their limits want them: at their last level if `back`
    and they ask for it, else safe."""
    from .guard import Guard
    from .store import Store

    gc.collect()
    store = Store()
    gc.collect()
    guard = Guard(__import__("boards." + config.get("board", "esp32"), None, None, ("NAME",)))
    lazy.load("guard_set").boot(guard, store, back)
    lazy.drop("guard_set")
    return guard, store


def start(board, cause):
    """Build everything and start its tasks; `cause` is the reason of the reset, in a word."""
    gc.threshold(_COLLECT_EVERY_BYTES)
    board.config = config = load_config()
    # Before anything that takes time: until then the pins float.
    guard, store = outputs(config, True)
    for name in ORDER:
        gc.collect()
        __import__("ganglion." + name)
    from . import console
    from .agent import Agent
    from .inbox import Inbox
    from .link import Link
    from .outbox import Outbox
    from .points import Points
    from .tools import Kit, Tools

    board.kit = Kit(guard, Points(store), store, board.health)
    board.boot = next_boot()
    board.link = link = Link(
        config,
        network.WLAN(network.STA_IF),
        board.trouble,
    )
    Outbox.note = board.note
    board.agent = agent = Agent(
        config["device"], board.boot, Tools(board.kit), Inbox(board.boot), link, cause
    )
    link.agent = agent
    agent.event("boot", {"reset": cause, "cut": store.cut})
    gc.collect()
    board.kit.agent = agent
    if store.count("t:"):
        # What a power cut ended: its outputs are put right before the network is up.
        board.kit.routines = lazy.load("routines").Routines(board.kit)
        board.kit.routines.recover()
    for engine, prefix in (("schedule", "s:"), ("rules", "r:")):
        if store.count(prefix):
            board.kit.engine(engine)
    trial = config.pop("trial", None)
    if trial:
        lazy.load("settings_trial").begin(agent, trial)
    if lazy.loaded("trial"):
        lazy.loaded("trial").agent = agent
    asyncio.create_task(link.run())
    asyncio.create_task(agent.run())
    asyncio.create_task(console.run(board))
    print("ganglion: boot %d of %s, %d B free" % (board.boot, config["device"], gc.mem_free()))


class _Safe:
    """What is there of tools.Kit in safe mode: for the console."""

    engines = {}
    routines = None

    def __init__(self, guard, store):
        self.guard = guard
        self.store = store


async def safe(board, log):
    """Safe mode: outputs at their safe levels, the console, a normal boot after 10 minutes.
    `log` is what the boots that failed left there."""
    at = log.rfind(b"fault: ")
    if at >= 0:
        board.problem += "; " + repr(log[at:].split(b"\n")[0])[2:-1]
    try:
        board.boot = next_boot()
        board.note({"kind": "boot", "reset": board.health()["reset"], "msg": "in safe mode"})
        board.config = load_config()
        if "old" in board.config.get("trial", ()):
            lazy.load("settings_trial").give_back()
            lazy.drop("settings_trial", "settings_file")
            board.config = load_config()
        board.kit = _Safe(*outputs(board.config, False))
    except Exception as e:
        # Perhaps the very thing that safe mode is for: the console must come up.
        sys.print_exception(e)
    from . import console

    print("ganglion: SAFE MODE. %s. 'safe off' boots normally." % board.problem)
    watchdog = machine.WDT(timeout=_WATCHDOG_MS)
    asyncio.create_task(console.run(board))
    for _ in range(_SAFE_MODE_S):
        await asyncio.sleep(1)
        watchdog.feed()
        board.up_s()
    board.safe_off()
