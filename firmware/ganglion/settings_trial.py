"""Settings that have to prove themselves: kept once a broker has acknowledged our status under
them. After two minutes without that, or three boots, the old ones are back.

`/config.json` says so: `"trial": {"boot": n, "old": {…}}`, where boot n took them, and
`{"end": "kept"}` or `{"end": "back"}` until that is told. Loaded by start.py.
"""

import asyncio
import os

from micropython import const

from . import lazy
from .settings_file import read, write

_PROVE_S = const(120)
_BOOTS = const(3)
_BUSY_S = const(60)
_LOOK_MS = const(200)
_AGAIN_S = const(60)
_CAS = ("/ca.der", "/ca2.der")


def begin(agent, trial):
    """`trial` is that of `/config.json`."""
    asyncio.create_task(_run(agent, trial))


def give_back():
    """The old settings. Raises OSError."""
    config = read()
    old = config["trial"]["old"]
    for name in ("device", "secret", "host", "port", "ca"):
        config.pop(name, None)
        if name in old:
            config[name] = old[name]
    config["trial"] = {"end": "back"}
    write(config)
    _tidy(config)


def _keep():
    config = read()
    config["trial"] = {"end": "kept"}
    write(config)
    _tidy(config)


def _told():
    config = read()
    # Others may be in their place by now.
    if "end" in config.get("trial", ()):
        config.pop("trial")
        write(config)


def _tidy(config):
    for path in _CAS:
        if path != config.get("ca"):
            try:
                os.remove(path)
            except OSError:
                pass  # there is none


async def _run(agent, trial):
    link = agent.link
    end = trial.get("end")
    if not end:
        if await _proved(agent, trial):
            end = "kept"
            await _sure(_keep)
        else:
            await _back(agent.tools.kit)
    while not link.connected:
        await asyncio.sleep_ms(_LOOK_MS)
    agent.event("settings", {"end": end, "v": read().get("v"), "msg": _WORDS[end]})
    while not (link.connected and link.idle()):
        await asyncio.sleep_ms(_LOOK_MS)
    await _sure(_told)
    lazy.drop("settings_trial", "settings_file")


_WORDS = {
    "kept": "I am connected with the new settings",
    "back": "the new settings did not connect; the old ones are back",
}


async def _proved(agent, trial):
    """Whether this boot's status has come to a broker in time."""
    if agent.boot - trial["boot"] > _BOOTS:
        return False
    for _ in range(_PROVE_S * 1000 // _LOOK_MS):
        await asyncio.sleep_ms(_LOOK_MS)
        if agent.link.connected and agent.link.idle():
            return True
    return False


async def _back(kit):
    for _ in range(_BUSY_S):
        if not (kit.routines and kit.routines.running()):
            break
        await asyncio.sleep(1)
    await _sure(give_back)
    await lazy.load("tool_device").restart(kit)


async def _sure(write_it):
    """A flash that takes no write now may do so later; until then all stays as it is."""
    while True:
        try:
            return write_it()
        except OSError:
            await asyncio.sleep(_AGAIN_S)
