"""IANA time zone names → the POSIX TZ strings that boards compute local time with.

The string is the footer of the zone's TZif file (RFC 8536, section 3.3): the rule for the time
after the file's last listed change. For nearly all zones that is now; a zone that announces its
changes year by year (Morocco's and Western Sahara's Ramadan) has a rule without them.
"""

import difflib
import functools
import importlib.resources
import re
import zoneinfo
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
_NEAR = 5


def posix(name: str) -> str:
    """The POSIX TZ string of ``name``, as ``CET-1CEST,M3.5.0,M10.5.0/3`` of Europe/Berlin.

    ValueError for a name that is not known; the text has near matches.
    """
    footer = _footer(_tzif(name)) if _NAME.fullmatch(name) else ""
    if not footer:
        near = nearest(name)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise ValueError(f"no time zone {name!r}; a name is as Europe/Berlin or UTC{hint}")
    return footer


def nearest(name: str) -> list[str]:
    """Known names that ``name`` may have meant, at most five, the likeliest first."""
    wanted = _plain(name)
    known = {_plain(zone): zone for zone in sorted(names())}
    # A city or a part of one without its continent, then misspellings of either.
    places: dict[str, list[str]] = {}
    for plain, zone in known.items():
        places.setdefault(plain.rpartition("/")[2], []).append(zone)
    place = wanted.rpartition("/")[2]
    found = [known[wanted]] if wanted in known else []
    found += places.get(place, [])
    for near in difflib.get_close_matches(place, places, n=_NEAR, cutoff=0.75):
        found += places[near]
    found += [known[n] for n in difflib.get_close_matches(wanted, known, n=_NEAR, cutoff=0.75)]
    return list(dict.fromkeys(found))[:_NEAR]


@functools.cache
def names() -> frozenset[str]:
    """Every zone name that can be asked for."""
    return frozenset(zoneinfo.available_timezones())


def _plain(name: str) -> str:
    return re.sub(r"[ _]+", "_", name.strip().casefold())


def _tzif(name: str) -> bytes:
    """The zone's file: the system's, else the one of the `tzdata` package; empty when none."""
    for folder in zoneinfo.TZPATH:
        try:
            return Path(folder, name).read_bytes()
        except OSError:
            continue
    try:
        return importlib.resources.files("tzdata").joinpath("zoneinfo", name).read_bytes()
    except (ModuleNotFoundError, OSError):
        return b""


def _footer(tzif: bytes) -> str:
    """What stands between the last two newlines; empty in version 1 and in what is no TZif."""
    if tzif[:4] != b"TZif" or tzif[4:5] < b"2" or tzif[-1:] != b"\n":
        return ""
    return tzif[:-1].rpartition(b"\n")[2].decode("ascii")
