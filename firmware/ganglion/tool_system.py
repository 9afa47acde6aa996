"""Time and health."""

from . import clock
from .tools import ToolError

_DAYS = "MonTueWedThuFriSatSun"

SPECS = (
    ("get_time", "The date and time, UTC.", "", False, "It is {iso}"),
    ("get_health", "Heap, uptime, flash, resets.", "", False, ""),
)


def call(kit, name, args):
    if name == "get_time":
        now = clock.now()
        if now is None:
            raise ToolError("no_clock", "I do not know the time yet")
        iso = clock.iso(now)
        day = clock.weekday(now) * 3
        return {
            "epoch": now,
            "iso": iso,
            "say": "It is %s %s, %s UTC" % (_DAYS[day : day + 3], iso[:10], iso[11:16]),
        }
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
