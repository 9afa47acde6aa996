"""Other settings by message: another broker, another authority, another id. Are they by who has our
key, newer than the last, and is now a time? Then they are written, with the old ones inside, and
the chip starts with them; settings_trial.py keeps them or gives them back. What they are:
docs/protocol.md, Settings.

Loaded for a message, and kept until the restart where it is taken.
"""

import asyncio
import binascii
import gc
import json

from micropython import const

from . import lazy
from .settings_file import read, write
from .signed import hmac, is_signed, update_key
from .slots import read as read_slots

_HEALTHY_AFTER_S = const(10)  # as in board.py: a boot that ends sooner counts as a failed one
_BUSY_S = const(60)
_MAX_HOST = const(253)
_MAX_ID = const(32)
_ID_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789-"
_KINDS = (("v", int), ("mac", str), ("host", str), ("port", int), ("ca", str), ("device", str))

_moving = False


def take(agent, view):
    """A message on `down/config`, or what is left of one: nothing."""
    try:
        if view is None or len(view):
            _take(agent, view)
    finally:
        if not _moving:
            lazy.drop("settings", "settings_file", "signed", "slots")


def _take(agent, view):
    global _moving
    msg = None
    try:
        if view is not None:
            msg = json.loads(view)
    except (ValueError, RuntimeError):
        pass
    wrong = _malformed(msg)
    if wrong:
        fields = {"on": "config", "code": "bad_message", "msg": wrong}
        return agent.event("bad_message", fields)
    config = read()
    key = update_key(config["secret"])
    v = msg["v"]
    if not is_signed(key, _text(agent.device, msg), msg["mac"]):
        return _refuse(agent, v, "mac", "they are not signed with my key")
    last = config.get("v", 0)
    if _moving or v == last:
        return  # what is being done, or was
    if v < last:
        return _refuse(agent, v, "older", "I have dealt with %d already" % last)
    busy = _busy(agent, config)
    if busy:
        return _refuse(agent, v, "busy", busy)
    try:
        if msg.get("ca"):
            msg["ca"] = _put_ca(config, msg["ca"])
    except OSError as e:
        return _refuse(agent, v, "full", "flash takes no write: %s" % e)
    _moving = True
    asyncio.create_task(_move(agent, msg, key))
    agent.event("settings", {"end": "taken", "v": v})


def _refuse(agent, v, code, msg):
    agent.event("settings", {"end": "refused", "v": v, "code": code, "msg": msg})


def _malformed(msg):
    """What is wrong with it, or ""."""
    if not isinstance(msg, dict):
        return "no object"
    for field, kind in _KINDS:
        if type(msg.get(field, kind())) is not kind:
            return "%s must be %s" % (field, kind.__name__)
    if "v" not in msg or "mac" not in msg:
        return "v or mac is missing"
    if ("host" in msg) != ("port" in msg):
        return "host and port go together"
    if "host" in msg and not (
        0 < len(msg["host"]) <= _MAX_HOST and " " < min(msg["host"]) and 0 < msg["port"] < 65536
    ):
        return "host or port cannot be"
    device = msg.get("device", "x")
    if not 0 < len(device) <= _MAX_ID or device == "all":
        return "device is no id"
    for c in device:
        if c not in _ID_CHARS:
            return "device is no id"
    try:
        # What stands for none in the signed text must not come from outside.
        if msg.get("ca") and not binascii.a2b_base64(msg["ca"]):
            return "ca is empty"
    except ValueError:
        return "ca is no base64"
    if not ("host" in msg or "ca" in msg or "device" in msg):
        return "it changes nothing"
    return ""


def _text(device, msg):
    """What is signed, a field a line. No field of a signer has a line feed in it, so what has one
    has too many lines to be signed."""
    return "ganglion settings\n%s\n%d\n%s\n%d\n%s\n%s" % (
        device,
        msg["v"],
        msg.get("host", ""),
        msg.get("port", 0),
        msg.get("ca", "-"),
        msg.get("device", ""),
    )


def _busy(agent, config):
    """Why not now, or ""."""
    if "old" in config.get("trial", ()):
        return "settings have to prove themselves first"
    if lazy.loaded("fetch") or len(read_slots()) > 2:
        return "an update runs"
    routines = agent.tools.kit.routines
    return "a routine runs" if routines and routines.running() else ""


def _put_ca(config, ca):
    """Where the authority is on flash then; nothing points to it before."""
    path = "/ca2.der" if config.get("ca") == "/ca.der" else "/ca.der"
    with open(path, "wb") as f:
        f.write(binascii.a2b_base64(ca))
    return path


def _changed(config, msg, key, boot):
    """The new `/config.json`; `ca` of `msg` is a path, or empty."""
    old = {}
    for name in ("device", "secret", "host", "port", "ca"):
        if name in config:
            old[name] = config[name]
    for name in ("host", "port", "device", "ca", "v"):
        if name in msg:
            config[name] = msg[name]
    if not config.get("ca"):
        config.pop("ca", None)
    if "device" in msg:
        # Who signed it has the key as well, and makes the same: no secret is sent.
        text = "ganglion name\n%s\n%d" % (msg["device"], msg["v"])
        config["secret"] = binascii.hexlify(hmac(key, text.encode())).decode()
    config["trial"] = {"boot": boot, "old": old}
    return config


async def _move(agent, msg, key):
    global _moving
    kit = agent.tools.kit
    for _ in range(_BUSY_S):
        busy = _busy(agent, {})
        if not busy and kit.health()["up"] >= _HEALTHY_AFTER_S:
            break
        await asyncio.sleep(1)
    try:
        if busy:
            _refuse(agent, msg["v"], "busy", busy)
        else:
            # Read only now: at the console it may have changed since.
            write(_changed(read(), msg, key, agent.boot))
    except OSError as e:
        busy = "flash takes no write: %s" % e
        _refuse(agent, msg["v"], "full", busy)
    if busy:
        _moving = False
        return lazy.drop("settings", "settings_file", "signed", "slots")
    # To whom it leaves: it may not be back.
    agent.link.publish("status", agent.will(), True)
    gc.collect()
    await lazy.load("tool_device").restart(kit)
