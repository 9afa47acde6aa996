"""Time, health, and the manner in which it talks."""

import gc

import network
from micropython import const

from . import clock, lazy
from .tools import ToolError

_ROW_BYTES = const(9)  # as in store.py
_PERSONA = "c:persona"  # asker.py tells it to companions
_NEUTRAL = "neutral"
_DAYS = "MonTueWedThuFriSatSun"

SPECS = (
    ("get_time", "The date and time.", "", False, "It is {iso}"),
    ("get_health", "Heap, uptime, flash, resets.", "", False, ""),
    (
        "get_diagnostics",
        "Figures of flash store, broker link, Wi-Fi, heap.",
        "scope?:store|link|wifi|heap|all",
        False,
        "",
    ),
    ("persona_get", "The manner in which I talk.", "", False, "My persona is {persona}"),
    (
        "persona_set",
        "Choose the manner in which I talk.",
        "persona:neutral|friendly|technical|witty",
        True,
        "My persona is {persona} from now on",
    ),
    (
        "persona_reset",
        "Talk in the neutral manner again.",
        "",
        True,
        "My persona is {persona} again",
    ),
)


def call(kit, name, args):
    if name == "get_diagnostics":
        return _diagnostics(kit, args.get("scope", "all"))
    if name[0] == "p":
        return _persona(kit.store, name, args)
    if name == "get_time":
        now = clock.now()
        if now is None:
            raise ToolError("no_clock", "I do not know the time yet")
        return _time(kit.store.get("c:tz"), now)
    health = kit.health()
    up = health["up"]
    health["say"] = "I am well: up %d:%02d h, %d KB of memory and %d KB of flash free, boot %d" % (
        up // 3600,
        up // 60 % 60,
        health["heap"] // 1024,
        health["flash"] // 1024,
        health["boot"],
    )
    return health


def _persona(store, name, args):
    if name != "persona_get":
        persona = args.get("persona", _NEUTRAL)
        if persona == _NEUTRAL:
            store.delete(_PERSONA)
        else:
            store.set(_PERSONA, persona)
    return {"persona": store.get(_PERSONA, _NEUTRAL)}


def _time(zone, now):
    offset = 0
    if zone:
        try:
            tz = lazy.load("tz")
            offset = tz.offset(tz.parse(zone), now)[0]
        finally:
            lazy.drop("tz", "civil")
    local = clock.iso(now + offset)
    day = clock.weekday(now + offset) * 3
    said = "It is %s %s, %s" % (_DAYS[day : day + 3], local[:10], local[11:16])
    receipt = {"epoch": now, "iso": clock.iso(now), "say": said if zone else said + " UTC"}
    if zone:
        receipt["local"] = local[:16]
    return receipt


def _diagnostics(kit, scope):
    receipt = {}
    said = []
    if scope in ("store", "all"):
        store = kit.store
        up = max(kit.health()["up"], 1)
        # Of a short time an estimate would be a guess.
        day = store.writes * 86400 // up if up >= 3600 else None
        receipt["store"] = {
            "keys": store.end // _ROW_BYTES,
            "bytes": store.size,
            "live": store.live,
            "writes": store.writes,
            "writes_a_day": day,
            "cut": store.cut,
        }
        said.append(
            "%d flash writes since boot%s"
            % (store.writes, "" if day is None else ", %d a day" % day)
        )
    link = kit.agent.link if kit.agent else None
    if link and scope in ("link", "all"):
        receipt["link"] = {"up": link.connected, "sessions": link.sessions}
        if link.problem:
            receipt["link"]["problem"] = link.problem
        said.append("%d sessions with the broker" % link.sessions)
    if scope in ("wifi", "all"):
        receipt["wifi"] = _wifi(said)
    if scope in ("heap", "all"):
        gc.collect()
        receipt["heap"] = {"free": gc.mem_free(), "used": gc.mem_alloc()}
        said.append("%d KB of memory free" % (receipt["heap"]["free"] // 1024))
    receipt["say"] = ", ".join(said) or "there is no link yet"
    return receipt


def _wifi(said):
    wlan = network.WLAN(network.STA_IF)
    if not wlan.isconnected():
        said.append("Wi-Fi is down")
        return {"up": False}
    shown = {"up": True, "ip": wlan.ifconfig()[0]}
    try:
        shown["rssi"] = wlan.status("rssi")  # dBm
        said.append("Wi-Fi at %d dBm" % shown["rssi"])
    except (OSError, ValueError):
        said.append("Wi-Fi is up")  # a port that measures no signal
    return shown
