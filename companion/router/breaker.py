"""Whether a backend may be asked: closed, open, half-open. Pure but for the time it is given.

Times are Unix seconds, so that several companions and a restarted one mean the same.
"""

import json
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

log = logging.getLogger(__name__)

FAILURES_IN_A_ROW: Final = 3
WINDOW: Final = 20
"""Results that are remembered; with more than half of them failures it opens."""
INVALID_IN_A_ROW: Final = 5
"""Answers that could not be used: a matter of quality, so it takes more of them."""
OPEN_S: Final = 5.0
OPEN_MAX_S: Final = 300.0
AUTH_S: Final = 600.0
RETRY_AFTER_MAX_S: Final = 3600.0
PROBE_S: Final = 60.0
"""A probe that has said nothing for so long was lost, with its companion perhaps."""

State: TypeAlias = Literal["closed", "open", "half-open"]

_QUALITY: Final = frozenset({"invalid", "bad_request", "refused"})
_NOT_ITS_FAULT: Final = frozenset({"declined", "canceled"})


class Breaker:
    """One backend's. Ask ``may`` before an attempt and ``take`` when it begins; then tell it
    ``succeeded`` or ``failed``."""

    __slots__ = ("_invalid", "_probe_until", "_recent", "_row", "_strikes", "at", "msg", "until")

    def __init__(self) -> None:
        self.at = 0.0
        """When it last opened or closed: of two companions' the newer one holds."""
        self.until = 0.0
        """0: closed. Else open until then, and half-open after."""
        self.msg = ""
        """Why it is open, a clause for people."""
        self._probe_until = 0.0
        self._row = 0
        self._invalid = 0
        self._strikes = 0
        self._recent: deque[bool] = deque(maxlen=WINDOW)

    def state(self, now: float) -> State:
        """What it is at ``now``."""
        if not self.until:
            return "closed"
        # A clock that was set back must not keep it open for longer than any reason could.
        return "open" if now < self.until <= now + RETRY_AFTER_MAX_S else "half-open"

    def may(self, now: float) -> bool:
        """Whether an attempt may begin."""
        state = self.state(now)
        return state == "closed" or (state == "half-open" and not self._probing(now))

    def take(self, now: float) -> bool:
        """Begin an attempt; False where it may not. While half-open it is the one probe."""
        if not self.until:
            return True
        if not self.may(now):
            return False
        self._probe_until = now + PROBE_S
        return True

    def probing_elsewhere(self, now: float) -> None:
        """Another companion has the probe."""
        self._probe_until = now + PROBE_S

    def why(self, now: float) -> str:
        """Why it may not be asked, for people; "" when it may."""
        if self.may(now):
            return ""
        if self.state(now) == "half-open":
            return f"{self.msg}; another ask is trying it now"
        return f"{self.msg}, left alone for {max(self.until - now, 1):.0f} s more"

    def succeeded(self, now: float) -> bool:
        """A valid answer. True when that closed it."""
        was_open = self.until > 0
        self._row = self._invalid = self._strikes = 0
        if was_open:
            self._close(now)
        self._recent.append(True)
        return was_open

    def failed(self, now: float, code: str, msg: str, retry_after_s: float | None = None) -> bool:
        """An attempt came to nothing; ``code`` is a BackendError's, "invalid", "declined" or
        "canceled". True when that opened it."""
        probed = self.state(now) == "half-open"
        if code in _NOT_ITS_FAULT:
            self._probe_until = 0.0
            return False
        if self.state(now) == "open" and code not in ("auth", "rate_limit"):
            # Begun before it opened, as others that told of the same thing.
            return False
        self._probe_until = 0.0
        if code == "auth":
            return self._open(now, AUTH_S, msg)
        if code == "rate_limit":
            if retry_after_s is None:
                return self.state(now) != "open" and self._strike(now, msg)
            open_s = min(max(retry_after_s, 0.0), RETRY_AFTER_MAX_S)
            return self._open(now, max(open_s, self.until - now), msg)
        if code in _QUALITY:
            self._invalid += 1
            # It was reached, so a probe that ended so has found out what it was for.
            self._row = 0
            if probed:
                self._close(now)
            return self._invalid >= INVALID_IN_A_ROW and self._strike(now, msg)
        self._row += 1
        self._recent.append(False)
        half = self._recent.count(False) * 2 > WINDOW
        if probed or half or self._row >= FAILURES_IN_A_ROW:
            return self._strike(now, msg)
        return False

    def reset(self, now: float) -> None:
        """Closed, with nothing held against it: the configuration was read again."""
        self._row = self._invalid = self._strikes = 0
        self._close(now)

    def _strike(self, now: float, msg: str) -> bool:
        open_s = min(OPEN_S * 2**self._strikes, OPEN_MAX_S)
        self._strikes = min(self._strikes + 1, 16)
        return self._open(now, open_s, msg)

    def _close(self, now: float) -> None:
        self.at = now
        self.until = self._probe_until = 0.0
        self.msg = ""
        self._recent.clear()

    def _open(self, now: float, open_s: float, msg: str) -> bool:
        self.at = now
        self.until = now + open_s
        self.msg = msg
        self._row = self._invalid = 0
        self._recent.clear()
        return True

    def _probing(self, now: float) -> bool:
        return now < self._probe_until <= now + PROBE_S

    # -- kept

    def to_json(self) -> str:
        """All of it but a running probe, which ends with its companion."""
        data = {
            "at": round(self.at, 3),
            "until": round(self.until, 3),
            "msg": self.msg,
            "row": self._row,
            "invalid": self._invalid,
            "strikes": self._strikes,
            "recent": "".join("1" if ok else "0" for ok in self._recent),
        }
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Breaker":
        """As it was; a fresh one for what is none."""
        breaker = cls()
        try:
            data: Mapping[str, Any] = json.loads(text)
            breaker.at = float(data["at"])
            breaker.until = max(float(data["until"]), 0.0)
            breaker.msg = str(data["msg"])[:200]
            breaker._row = int(data["row"])
            breaker._invalid = int(data["invalid"])
            breaker._strikes = min(max(int(data["strikes"]), 0), 16)
            breaker._recent.extend(c == "1" for c in str(data["recent"]))
        except (ValueError, KeyError, TypeError):
            if text not in ("", "{}"):
                log.warning("a breaker that was kept cannot be read and begins anew")
            return cls()
        return breaker
