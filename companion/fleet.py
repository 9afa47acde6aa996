"""What is known of the devices: presence, boot, tools, named points, facts.

Everything here comes from retained messages and asks, so a restarted companion knows it again a
moment after it connects. Nothing is stored.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias

from companion.backends.base import Point
from companion.toolset import Toolset, ToolSpec, build
from companion.wire import TOOLS_MAX, State, Status, Tools, parse

log = logging.getLogger(__name__)

DEVICES_MAX: Final = 10_000
_FACTS_KEPT: Final = 4
_TOOLSETS_KEPT: Final = 4
_INTERNED_MAX: Final = 256

Presence: TypeAlias = Literal["online", "offline", "boot", "clock"]
Listener: TypeAlias = Callable[[str, Presence], None]
"""Called with a device and what changed: ``boot`` when it came back with another boot counter
than before, ``clock`` when it came to know the time, ``online`` and ``offline``."""


class Credentials(Protocol):
    """Who may log in at the broker. The methods may block on files; they run in a thread."""

    def add(self, device: str) -> str:
        """Let ``device`` in and return its secret; a known device gets a new one, and the old
        one ends. Raises OSError when it cannot be written."""
        ...

    def admit(self, device: str, secret: str) -> None:
        """Let ``device`` in with this secret; an old one ends. Raises OSError."""
        ...

    def remove(self, device: str) -> None:
        """Lock ``device`` out; nothing happens when it is not known."""
        ...

    def known(self, device: str) -> bool:
        """Whether ``device`` has a secret."""
        ...

    def update_key(self, device: str) -> bytes | None:
        """What signs updates of ``device`` (docs/protocol.md, Updates); None where it is not
        kept."""
        ...

    def add_sender(
        self, name: str, devices: Iterable[str] = (), events: Iterable[str] = ()
    ) -> tuple[str, str]:
        """Let somebody tell ``devices`` of ``events`` and do nothing else; empty is any. Returns
        the user name and a secret, which is new each time. Raises ValueError for what is no name,
        OSError when it cannot be written."""
        ...

    def remove_sender(self, name: str) -> None:
        """Shut a sender out; nothing happens when it is not known."""
        ...

    def senders(self) -> Mapping[str, Sequence[str]]:
        """Name of a sender → the topics that it may write."""
        ...


@dataclass(slots=True)
class Device:
    """One device as last heard of. None and empty where it has not said."""

    id: str
    online: bool = False
    boot: int | None = None
    name: str | None = None
    fw: str | None = None
    board: str | None = None
    tools: str | None = None
    heap: int | None = None
    up: int | None = None
    clock: bool | None = None
    safe: bool | None = None
    points: tuple[Point, ...] = ()
    groups: tuple[str, ...] = ()
    toolsets: dict[str, Toolset] = field(default_factory=dict)
    facts: OrderedDict[str, Mapping[str, str]] = field(default_factory=OrderedDict)
    # Tool specs that are not all here yet: their hash and number of parts, and those that are.
    parts_of: tuple[str, int] | None = None
    parts: dict[int, bytes] = field(default_factory=dict)

    def public(self) -> dict[str, Any]:
        """As ``GET /devices`` shows it."""
        return {
            "device": self.id,
            "name": self.name,
            "online": self.online,
            "boot": self.boot,
            "fw": self.fw,
            "board": self.board,
            "heap": self.heap,
            "up": self.up,
            "clock": self.clock,
            "safe": self.safe,
            "points": {p.name: {"pin": p.pin, "dir": p.dir, "level": p.level} for p in self.points},
        }


class Fleet:
    """The registry."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._listeners: list[Listener] = []
        # A house of like devices publishes like specs: parsed and compiled once.
        self._interned: OrderedDict[bytes, Toolset] = OrderedDict()

    def __iter__(self) -> Iterator[Device]:
        return iter(sorted(self._devices.values(), key=lambda d: d.id))

    def __len__(self) -> int:
        return len(self._devices)

    def get(self, device: str) -> Device | None:
        """The device, or None when it was never heard of."""
        return self._devices.get(device)

    def called(self, text: str) -> list[Device]:
        """The device with this id, or else all that show this name, in any case."""
        entry = self._devices.get(text)
        if entry is not None:
            return [entry]
        wanted = " ".join(text.split()).casefold()
        return [d for d in self if d.name is not None and d.name.casefold() == wanted]

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hear of presence; the function returned stops it, and may be called again."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def toolset(self, device: str, hash_: str) -> Toolset | None:
        """The specs under that hash, None when this companion does not hold them."""
        entry = self._devices.get(device)
        return None if entry is None else entry.toolsets.get(hash_)

    def facts(self, device: str, token: str | None) -> Mapping[str, str] | None:
        """The facts under that token; {} without a token, None when they are not held here."""
        if token is None:
            return {}
        entry = self._devices.get(device)
        return None if entry is None else entry.facts.get(token)

    def learn_facts(self, device: str, token: str, facts: Mapping[str, str]) -> None:
        """Keep what a device sent after ``resend: ["mem"]``."""
        entry = self._entry(device)
        if entry is None:
            return
        entry.facts[token] = facts
        entry.facts.move_to_end(token)
        if len(entry.facts) > _FACTS_KEPT:
            entry.facts.popitem(last=False)

    # -- what arrives. Each raises WireError for bytes that are no such message.

    def on_status(self, device: str, payload: bytes) -> None:
        """Presence. A will of an older boot is ignored: it was published late, the device is
        long back."""
        if not payload:
            self._devices.pop(device, None)
            return
        status = parse(Status, payload)
        entry = self._entry(device)
        if entry is None:
            return
        if entry.boot is not None and status.boot < entry.boot and not status.online:
            return
        # Lower and online: its flash was wiped and it counts from the start.
        rebooted = entry.boot is not None and status.boot != entry.boot
        was_online, had_clock = entry.online, entry.clock
        entry.boot = status.boot
        entry.online = status.online
        if status.online:
            entry.fw, entry.board, entry.tools = status.fw, status.board, status.tools
            entry.heap, entry.up = status.heap, status.up
            entry.clock, entry.safe = status.clock, status.safe
            entry.name = status.name
        if rebooted:
            self._tell(device, "boot")
        if entry.online != was_online:
            self._tell(device, "online" if entry.online else "offline")
        if entry.clock and had_clock is False:
            self._tell(device, "clock")

    def on_tools(self, device: str, payload: bytes) -> None:
        """Tool specs. Bad ones are left out and logged."""
        entry = self._entry(device)
        if not payload or entry is None:
            return
        toolset = self._interned.get(payload) or self._assembled(entry, payload)
        if toolset is None:
            return
        entry.toolsets.pop(toolset.hash, None)
        entry.toolsets[toolset.hash] = toolset
        if len(entry.toolsets) > _TOOLSETS_KEPT:
            del entry.toolsets[next(iter(entry.toolsets))]

    def _assembled(self, entry: Device, payload: bytes) -> Toolset | None:
        """The toolset that ``payload`` is, or completes; None while parts are missing."""
        message = parse(Tools, payload)
        payloads = [payload]
        if message.of > 1:
            if entry.parts_of != (message.hash, message.of):
                entry.parts_of, entry.parts = (message.hash, message.of), {}
            entry.parts[message.part] = payload
            if len(entry.parts) < message.of:
                return None
            payloads = [entry.parts[n] for n in sorted(entry.parts)]
            entry.parts_of, entry.parts = None, {}
        key = b"\0".join(payloads)
        toolset = self._interned.get(key)
        if toolset is None:
            specs = [
                ToolSpec(s.name, s.desc, s.args, s.acts)
                for part in payloads
                for s in parse(Tools, part).specs
            ]
            toolset = build(message.hash, specs[:TOOLS_MAX], entry.id)
            self._interned[key] = toolset
            if len(self._interned) > _INTERNED_MAX:
                self._interned.popitem(last=False)
        return toolset

    def on_state(self, device: str, payload: bytes) -> None:
        """Named points."""
        entry = self._entry(device)
        if entry is None:
            return
        if not payload:
            entry.points = entry.groups = ()
            return
        state = parse(State, payload)
        entry.points = tuple(Point(name, p.pin, p.dir, p.level) for name, p in state.points.items())
        entry.groups = state.groups

    def _entry(self, device: str) -> Device | None:
        entry = self._devices.get(device)
        if entry is None:
            if len(self._devices) >= DEVICES_MAX:
                log.warning("%s is ignored: %d devices are known already", device, DEVICES_MAX)
                return None
            entry = self._devices[device] = Device(device)
        return entry

    def _tell(self, device: str, presence: Presence) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(device, presence)
            except Exception:
                log.exception("a listener for presence failed")
