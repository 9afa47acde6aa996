"""An offer of another firmware: is it meant for us, by who has our key, now, newer, and is there
room? fetch.py then gets it. What an offer is: docs/protocol.md."""

import json
import os

from micropython import const

from . import VERSION, clock, lazy
from .inbox import good_id
from .signed import is_signed, update_key
from .slots import other, read, sha256
from .talk import dumps

_MAX_AHEAD_S = const(300)
_FLASH_BLOCK = const(4096)
_SPARE_BYTES = const(65536)  # for the store, which compacts into a second file
_FIELDS = (
    ("boot", int),
    ("exp", int),
    ("v", int),
    ("fw", str),
    ("size", int),
    ("manifest", str),
    ("mac", str),
)


def take(agent, view):
    """A message on `down/update` that is no chunk of what is being fetched: the offer, if it is
    one to take. Nobody is to keep this module afterwards."""
    try:
        return _take(agent, view)
    finally:
        lazy.drop("offer", "signed", "slots")


def _take(agent, view):
    if view is None or not len(view) or view[0] != 123:
        return None  # a chunk that came late
    msg = None
    try:
        msg = json.loads(view)
    except (ValueError, RuntimeError):
        pass
    if not isinstance(msg, dict) or not good_id(msg.get("id")):
        fields = {"on": "update", "code": "bad_message", "msg": "no offer and no chunk"}
        agent.event("bad_message", fields)
        return None
    refusal = _refusal(agent, msg)
    if not refusal:
        return msg
    agent.link.publish("update", dumps({"id": msg["id"], "refused": refusal[0], "msg": refusal[1]}))
    return None


def _refusal(agent, msg):
    """`(code, words)`, or None."""
    for field, kind in _FIELDS:
        if type(msg.get(field)) is not kind:
            return "bad_message", "%s is missing" % field
    if not _is_ours(agent.device, msg):
        return "mac", "it is not signed with my key"
    now = clock.now()
    if now is None:
        return "no_clock", "I do not know the time, so I cannot tell how old this is"
    if msg["boot"] != agent.boot:
        return "stale_boot", "it was meant for boot %d, it is boot %d now" % (
            msg["boot"],
            agent.boot,
        )
    if not now < msg["exp"] <= now + _MAX_AHEAD_S:
        return "expired", "it is too late for this offer"
    slots = read()
    if len(slots) > 2:
        return "busy", "%s has to prove itself first" % VERSION
    version = int(slots[1])
    if msg["v"] < version and not msg.get("older"):
        return "older", "I have %s, and this is %s" % (VERSION, msg["fw"])
    if msg["v"] == version and sha256(slots[0] + "/manifest.json") == msg["manifest"]:
        return "current", "I have this very %s" % VERSION
    routines = agent.tools.kit.routines
    if routines and routines.running():
        return "busy", "a routine runs"
    flash = os.statvfs("/")
    room = flash[0] * flash[3] - _SPARE_BYTES
    try:
        room += _taken(other(slots[0]))
    except OSError:
        pass  # there is none yet
    if msg["size"] > room:
        return "full", "it takes %d bytes of flash, and there are %d" % (msg["size"], room)
    return None


def _taken(path):
    """Bytes of whole blocks below a folder."""
    n = 0
    for entry in os.ilistdir(path):
        if entry[1] & 0x4000:
            n += _taken(path + "/" + entry[0])
        else:
            n += entry[3] // _FLASH_BLOCK * _FLASH_BLOCK + _FLASH_BLOCK
    return n


def _is_ours(device, msg):
    with open("/config.json") as f:
        key = update_key(json.load(f)["secret"])
    text = "ganglion update\n%s\n%s\n%d\n%d\n%d\n%s\n%d\n%s\n%d" % (
        device,
        msg["id"],
        msg["boot"],
        msg["exp"],
        msg["v"],
        msg["fw"],
        msg["size"],
        msg["manifest"],
        bool(msg.get("older")),
    )
    return is_signed(key, text, msg["mac"])
