"""Other settings for a device over MQTT: its broker, the authority of that broker's certificate,
its id. Signed as an update is; retained until it is known what came of it.

The device tries them and goes back by itself where they do not connect (docs/flashing.md). Here is
followed how it goes, and a new id's login is made before and the old one ended after.
"""

import asyncio
import base64
import contextlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from companion import wire, wire_out
from companion.config.house import is_loopback_url
from companion.fleet import Credentials, Fleet, Presence
from companion.link import LinkFull
from companion.update import Do, Updates

log = logging.getLogger(__name__)

KEPT_MAX: Final = 64
"""So many devices' last changes are remembered."""
_TAKEN_S: Final = 30.0
"""A device says at once whether it takes them."""
_LEAVES_S: Final = 120.0
"""It waits for a boot to be 10 s old, and at most 60 s for a routine to end."""
_TRIES_S: Final = 240.0
"""Two minutes it tries; the rest is a routine, the restart, and the way back to this broker."""
_ANSWERS_S: Final = 30.0
_AGAIN_S: Final = 2.0
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,253}")

State: TypeAlias = Literal["sent", "taken", "trying", "done", "gone", "failed"]
Publish: TypeAlias = Callable[[str, bytes, int, bool], None]


class SettingsError(Exception):
    """Nothing was sent. ``status`` is the fitting HTTP status."""

    def __init__(self, status: int, code: str, msg: str) -> None:
        super().__init__(msg)
        self.status = status
        self.code = code
        self.msg = msg


@dataclass(frozen=True, slots=True)
class Order:
    """What to change; None stays. ``ca`` is DER, empty: no TLS. ``insecure``: plain MQTT off
    loopback is meant."""

    name: str | None = None
    host: str | None = None
    port: int | None = None
    ca: bytes | None = None
    insecure: bool = False

    def check(self, device: str) -> None:
        """Raises SettingsError for what no device could be told."""
        if self.changes() == wire_out.Changes():
            msg = "it changes nothing: name, host and port, or ca"
            raise SettingsError(422, "bad_message", msg)
        if (self.host is None) != (self.port is None):
            raise SettingsError(422, "bad_message", "host and port go together")
        if self.name is not None and (self.host is not None or self.ca is not None):
            # Who logs in where, and who may end which login, would hang on two things at once.
            msg = "the name and the broker are changed one after the other"
            raise SettingsError(422, "bad_message", msg)
        if self.name is not None and not wire.is_device(self.name):
            msg = "a device id has 1 to 32 of a-z, 0-9 and -, and is not 'all'"
            raise SettingsError(422, "bad_device", msg)
        if self.name == device:
            raise SettingsError(422, "bad_device", f"it is called '{device}' already")
        if self.host is not None and not _HOST.fullmatch(self.host):
            raise SettingsError(422, "bad_message", "host is a name or an address")
        plain = self.ca == b"" and not is_loopback_url(f"mqtt://{self.host or ''}")
        if plain and not self.insecure:
            msg = "plain MQTT shows logins and sentences to everybody on the network: send a ca"
            raise SettingsError(422, "plain", msg)

    def changes(self) -> wire_out.Changes:
        ca = None if self.ca is None else base64.b64encode(self.ca).decode()
        return wire_out.Changes(self.host, self.port, ca, self.name)


class _End(NamedTuple):
    state: State
    code: str
    msg: str


@dataclass(slots=True)
class Change:
    """One device on its way to other settings."""

    device: str
    order: Order
    v: int
    began: float
    state: State = "sent"
    code: str = ""
    msg: str = ""
    seconds: float = 0.0
    end: str = ""
    """What the device said last: ``taken``, ``refused``, ``kept``, ``back``."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def to(self) -> str:
        """Its id, once it is done."""
        return self.order.name or self.device

    @property
    def told(self) -> bool:
        """Whether the device said how it ended."""
        return self.end in ("refused", "kept", "back")

    @property
    def ended(self) -> bool:
        return self.state in ("done", "gone", "failed")

    def public(self) -> dict[str, Any]:
        """As ``GET /devices/{d}/settings`` shows it."""
        return {
            "device": self.device,
            "name": self.order.name,
            "host": self.order.host,
            "port": self.order.port,
            "v": self.v,
            "state": self.state,
            "code": self.code,
            "msg": self.msg,
            "ended": self.ended,
            "s": round(self.seconds if self.ended else time.monotonic() - self.began, 3),
        }


class Settings:
    """Those that run, and the last of each device."""

    def __init__(
        self,
        publish: Publish,
        fleet: Fleet,
        updates: Updates,
        do: Do,
        credentials: Credentials | None,
        *,
        clock: Callable[[], float] = time.time,
        tries_s: float = _TRIES_S,
    ) -> None:
        """``do`` is ``Dispatch.do``: what the device answers under its new settings."""
        self._publish = publish
        self._fleet = fleet
        self._updates = updates
        self._do = do
        self._credentials = credentials
        self._clock = clock
        self._tries_s = tries_s
        self._last_v = 0
        self._changes: dict[str, Change] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop_listening = fleet.listen(self._on_presence)

    async def start(self, device: str, order: Order, key: bytes) -> dict[str, Any]:
        """Begin; as ``change`` shows it. ``key`` is the device's update key. Raises
        SettingsError."""
        self.check(device, order)
        if order.name is not None:
            await self._is_free(order.name)
        if self.runs(device) or (order.name is not None and self.runs(order.name)):
            raise SettingsError(409, "busy", f"other settings of '{device}' are being tried")
        if self._updates.runs(device):
            raise SettingsError(409, "busy", f"an update of '{device}' runs")
        # Unix time: a companion that lost everything still says more than it ever said.
        self._last_v = max(int(self._clock()), self._last_v + 1)
        change = Change(device, order, self._last_v, time.monotonic())
        try:
            payload = wire_out.encode_settings(key, device, change.v, order.changes())
        except wire.WireError as error:
            raise SettingsError(422, error.code, error.msg) from None
        self._changes.pop(device, None)
        self._changes[device] = change
        for old in [d for d, c in self._changes.items() if c.ended][:-KEPT_MAX]:
            del self._changes[old]
        task = asyncio.create_task(self._run(change, key, payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return change.public()

    def check(self, device: str, order: Order) -> None:
        """Raises SettingsError for an order that cannot be, and where ``device`` is not there."""
        order.check(device)
        entry = self._fleet.get(device)
        if entry is None:
            raise SettingsError(404, "unknown_device", f"'{device}' has not been heard of")
        if not entry.online:
            msg = f"'{device}' is not online: is it powered, and in reach of its Wi-Fi?"
            raise SettingsError(409, "offline", msg)

    def runs(self, device: str) -> bool:
        """Whether a change of that device, or to that id, is on its way."""
        return self._of(device) is not None

    def change(self, device: str) -> dict[str, Any]:
        """The last change of ``device``, by the id that it had. Raises SettingsError."""
        change = self._changes.get(device)
        if change is None:
            msg = f"no settings were sent to '{device}' since this companion runs"
            raise SettingsError(404, "not_found", msg)
        return change.public()

    async def aclose(self) -> None:
        """Give up. A device that has taken them goes on by itself."""
        self._stop_listening()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what devices say

    def on_event(self, device: str, fields: Mapping[str, Any]) -> None:
        """An event ``settings``."""
        change = self._of(device)
        end = fields.get("end")
        if change is None or fields.get("v") != change.v:
            return
        # Kept is what the new id says; the rest is what the old one does.
        if end not in ("taken", "refused", "kept", "back"):
            return
        if device != (change.to if end == "kept" else change.device):
            return
        change.end = end
        change.msg = str(fields.get("msg", ""))
        if end == "taken":
            change.state = "taken"
        elif end == "refused":
            change.code = str(fields.get("code", "refused"))
        change.changed.set()

    def _on_presence(self, device: str, what: Presence) -> None:
        change = self._of(device)
        if change is not None and change.state == "taken" and what in ("offline", "boot"):
            change.state = "trying"
            change.changed.set()

    def _of(self, device: str) -> Change | None:
        for change in self._changes.values():
            if not change.ended and device in (change.device, change.to):
                return change
        return None

    # -- the way of one

    async def _run(self, change: Change, key: bytes, payload: bytes) -> None:
        topic = wire.down(change.device, "config")
        try:
            if change.order.name is not None and self._credentials is not None:
                secret = wire_out.name_secret(key, change.order.name, change.v)
                await asyncio.to_thread(self._credentials.admit, change.order.name, secret)
            self._publish(topic, payload, 1, True)
            end = await self._follow(change)
        except (LinkFull, OSError) as error:
            end = _End("failed", "not_sent", str(error))
        except Exception as error:
            log.exception("the settings of %s failed", change.device)
            end = _End("failed", "internal", repr(error))
        finally:
            self._take_back(topic)
        if end.state == "failed" and not self._may_be_new(change):
            await self._login_ends(change.order.name)
        # Last: who sees that it ended may begin again.
        change.state, change.code, change.msg = end
        change.seconds = time.monotonic() - change.began
        log.info("settings of %s: %s %s %s", change.device, *end)

    def _may_be_new(self, change: Change) -> bool:
        """Whether it may have kept its new id. It keeps none that it never was online with; without
        the login of that one it goes back."""
        if change.end in ("refused", "back"):
            return False
        return change.end == "kept" or self._fleet.get(change.to) is not None

    async def _follow(self, change: Change) -> _End:
        await self._until(change, lambda: bool(change.end), _TAKEN_S)
        if change.end == "taken":
            await self._until(change, lambda: change.state == "trying" or change.told, _LEAVES_S)
            await self._until(change, lambda: change.told, self._tries_s)
        if change.end == "refused":
            return _End("failed", change.code, change.msg)
        if change.end == "back":
            return _End("failed", "back", change.msg)
        if change.end == "kept":
            if change.order.name is not None:
                self._forget(change.device)
                await self._login_ends(change.device)
            return await self._answers(change)
        if change.end == "taken" and change.order.host is not None:
            msg = (
                f"it left for {change.order.host}:{change.order.port} and did not come back here: "
                "it is there, or without power"
            )
            return _End("gone", "gone", msg)
        if change.end == "taken":
            return _End("failed", "timeout", "it took them, and was not heard of since")
        msg = "it does not say whether it takes them: is its firmware older than this?"
        return _End("failed", "silent", msg)

    async def _answers(self, change: Change) -> _End:
        """Whoever changed them wants to know that it works, and not only that it is connected."""
        why = "it is not there"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWERS_S):
                while True:
                    try:
                        await self._do(change.to, "get_version", {})
                    except Exception as error:  # the next try, or the time that is over
                        why = str(error)
                        await asyncio.sleep(_AGAIN_S)
                    else:
                        return _End("done", "", f"'{change.to}' answers")
        return _End("failed", "no_answer", f"it keeps them, but does not answer: {why}")

    async def _until(self, change: Change, probe: Callable[[], bool], seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not probe():
                    change.changed.clear()
                    await change.changed.wait()

    async def _is_free(self, name: str) -> None:
        if self._credentials is None:
            msg = (
                "this companion does not manage the broker's logins, so it cannot let the new "
                "name in: change it over USB (ganglion provision --change name)"
            )
            raise SettingsError(409, "no_credentials", msg)
        known = await asyncio.to_thread(self._credentials.known, name)
        entry = self._fleet.get(name)
        if known or (entry is not None and entry.online):
            raise SettingsError(409, "known", f"there is a device '{name}' already")

    async def _login_ends(self, device: str | None) -> None:
        if device is not None and self._credentials is not None:
            try:
                await asyncio.to_thread(self._credentials.remove, device)
            except OSError as error:
                log.warning("the login of %s cannot be ended: %s", device, error)

    def _forget(self, device: str) -> None:
        """What the device retained under a name that nobody has any more."""
        parts = [f"tools/{n}" for n in range(2, wire.TOOLS_PARTS_MAX + 1)]
        # The status last: it is what a device is known by.
        for leaf in ("state", "tools", *parts, "status"):
            self._take_back(f"gn/{device}/up/{leaf}")

    def _take_back(self, topic: str) -> None:
        try:
            self._publish(topic, b"", 1, True)
        except LinkFull:
            log.warning("%s stays retained: too much waits for the broker", topic)
