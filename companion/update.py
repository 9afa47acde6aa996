"""Updates of devices' firmware over MQTT: offers, chunks, and what came of it.

The device pulls, one chunk at a time, so what a slow one costs here is nothing. A device that
restarts, or was cut off, is offered the same again and goes on with what it has.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from companion import wire, wire_out
from companion.fleet import Fleet, Presence
from companion.link import LinkFull

log = logging.getLogger(__name__)

MANIFEST: Final = "manifest.json"
CHUNK_BYTES: Final = 1024
"""As firmware/ganglion/fetch.py has it: a shorter one ends a file of unknown size."""
PACKAGE_BYTES_MAX: Final = 2 << 20
JOBS_MAX: Final = 8
_FLASH_BLOCK: Final = 4096
_UPDATE_S: Final = 1800.0
_QUIET_S: Final = 20.0
"""A device asks again after 4 s; one that says nothing for so long is offered it anew."""
_REBOOT_S: Final = 30.0
_PROVEN_S: Final = 3.0
"""Within so long of its answer a device tells that the new firmware is kept."""
_AGAIN_S: Final = 2.0
_FOR_NOW: Final = frozenset({"busy", "no_clock", "stale_boot", "expired", "silent"})

State: TypeAlias = Literal["waiting", "sending", "proving", "done", "failed"]
Do: TypeAlias = Callable[[str, str, dict[str, Any]], Awaitable[dict[str, Any]]]


class UpdateError(Exception):
    """Nothing was started. ``status`` is the fitting HTTP status."""

    def __init__(self, status: int, code: str, msg: str) -> None:
        super().__init__(msg)
        self.status = status
        self.code = code
        self.msg = msg


@dataclass(frozen=True, slots=True)
class Package:
    """A firmware: its manifest's bytes and the files that it names."""

    fw: str
    v: int
    manifest: bytes
    files: Mapping[str, bytes]
    ends: Mapping[str, int]
    """Path → bytes up to the end of that file, in the order in which a device asks."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.manifest).hexdigest()

    @property
    def flash_bytes(self) -> int:
        """What it takes on flash, in whole blocks."""
        sizes = [len(self.manifest), *map(len, self.files.values())]
        return sum(size // _FLASH_BLOCK * _FLASH_BLOCK + _FLASH_BLOCK for size in sizes)

    @property
    def total(self) -> int:
        return max(self.ends.values(), default=0)

    def chunk(self, path: str, at: int) -> bytes | None:
        """None where there is no such file, or not so much of it."""
        content = self.manifest if path == MANIFEST else self.files.get(path)
        if content is None or not 0 <= at <= len(content):
            return None
        return content[at : at + CHUNK_BYTES]


def read_package(manifest: bytes, files: Mapping[str, bytes]) -> Package:
    """Raises UpdateError where the files are not those of the manifest."""
    try:
        said = json.loads(manifest)
        fw, v = str(said["fw"]), int(said["v"])
        rows = [(str(path), int(size), str(digest)) for path, size, digest in said["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UpdateError(422, "bad_manifest", f"the manifest cannot be read: {error}") from None
    ends, at = {MANIFEST: len(manifest)}, len(manifest)
    for path, size, digest in rows:
        content = files.get(path)
        if content is None or len(content) != size or hashlib.sha256(content).hexdigest() != digest:
            raise UpdateError(422, "bad_file", f"{path} is not what the manifest says")
        ends[path] = at = at + size
    if at > PACKAGE_BYTES_MAX:
        raise UpdateError(413, "too_big", f"{at} bytes; at most {PACKAGE_BYTES_MAX}")
    return Package(fw, v, manifest, {path: files[path] for path, _, _ in rows}, ends)


@dataclass(slots=True)
class Update:
    """One device on its way to another firmware."""

    device: str
    package: Package
    key: bytes
    older: bool
    began: float
    state: State = "waiting"
    code: str = ""
    msg: str = ""
    sent: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: float = 0.0
    ids: set[str] = field(default_factory=set)
    ready: bool = False
    again: bool = False
    refused: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed")

    def public(self) -> dict[str, Any]:
        """As ``GET /updates/{id}`` shows it; bytes are those of MQTT payloads and topics."""
        return {
            "device": self.device,
            "state": self.state,
            "code": self.code,
            "msg": self.msg,
            "sent": self.sent,
            "total": self.package.total,
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "s": round(self.seconds if self.ended else time.monotonic() - self.began, 3),
        }


class Updates:
    """All that run, and the last that did."""

    def __init__(
        self,
        publish: Callable[[str, bytes], None],
        fleet: Fleet,
        do: Do,
        *,
        clock: Callable[[], float] = time.time,
        update_s: float = _UPDATE_S,
    ) -> None:
        """``do`` is ``Dispatch.do``: what a new firmware answers proves it."""
        self._publish = publish
        self._fleet = fleet
        self._do = do
        self._clock = clock
        self._update_s = update_s
        self._ids = wire.CommandIds()
        self._jobs: dict[str, list[Update]] = {}
        self._running: dict[str, Update] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop_listening = fleet.listen(self._on_presence)

    def check(self, devices: Iterable[str]) -> None:
        """Raises UpdateError where an update of one of them cannot begin now."""
        for device in devices:
            if self.runs(device):
                msg = f"an update of '{device}' runs already"
                raise UpdateError(409, "busy", msg)
            entry = self._fleet.get(device)
            if entry is None:
                raise UpdateError(404, "unknown_device", f"'{device}' has not been heard of")
            if not entry.online:
                msg = f"'{device}' is not online: is it powered, and in reach of its Wi-Fi?"
                raise UpdateError(409, "offline", msg)

    def start(self, package: Package, keys: Mapping[str, bytes], *, older: bool = False) -> str:
        """Begin with each device of ``keys``; the job's id. Raises UpdateError."""
        self.check(keys)
        while len(self._jobs) >= JOBS_MAX:
            gone = next((i for i, job in self._jobs.items() if all(u.ended for u in job)), None)
            if gone is None:
                raise UpdateError(409, "busy", f"{JOBS_MAX} updates run; wait for one to end")
            del self._jobs[gone]
        id_ = self._ids.next()
        began = time.monotonic()
        job = [Update(device, package, key, older, began) for device, key in keys.items()]
        self._jobs[id_] = job
        for update in job:
            self._running[update.device] = update
            task = asyncio.create_task(self._run(update))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return id_

    def runs(self, device: str) -> bool:
        """Whether an update of that device is on its way."""
        running = self._running.get(device)
        return running is not None and not running.ended

    def job(self, id_: str) -> dict[str, Any]:
        """As ``GET /updates/{id}`` shows it. Raises UpdateError."""
        job = self._jobs.get(id_)
        if job is None:
            raise UpdateError(404, "not_found", f"there is no update '{id_}'")
        package = job[0].package
        return {
            "id": id_,
            "fw": package.fw,
            "v": package.v,
            "ended": all(update.ended for update in job),
            "devices": [update.public() for update in job],
        }

    async def aclose(self) -> None:
        """Give up. The devices keep what they have; the next offer goes on from there."""
        self._stop_listening()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what devices say

    def on_update(self, device: str, message: wire.Update, size: int) -> None:
        """A message on ``up/update``, of ``size`` bytes with its topic."""
        update = self._running.get(device)
        if update is None or message.id not in update.ids:
            return
        update.bytes_up += size
        if message.want is not None:
            self._serve(update, message.id, *message.want)
        elif message.ready:
            update.ready, update.state, update.sent = True, "proving", update.package.total
        else:
            update.refused, update.msg = message.refused, message.msg
        update.changed.set()

    def on_event(self, device: str, fields: Mapping[str, Any]) -> None:
        """An event ``update``: the new firmware was kept, or the old one is back."""
        update = self._running.get(device)
        if update is None or not update.ready or fields.get("v") != update.package.v:
            return
        if fields.get("end") == "kept":
            self._end(update, "done", "", f"it runs {update.package.fw}")
        elif fields.get("end") == "back":
            self._end(update, "failed", "back", str(fields.get("msg", "")))
        update.changed.set()

    def _on_presence(self, device: str, what: Presence) -> None:
        update = self._running.get(device)
        if update is not None:
            update.again |= what in ("boot", "online")
            update.changed.set()

    # -- the way of one

    async def _run(self, update: Update) -> None:
        try:
            async with asyncio.timeout(self._update_s):
                while not update.ended:
                    await self._reachable(update)
                    update.again = False
                    if update.ready:
                        await self._prove(update)
                    if not update.ended:
                        self._offer(update)
                        await self._follow(update)
        except TimeoutError:
            why = update.msg or "it is not there"
            self._end(update, "failed", update.refused or "timeout", why)
        except Exception as error:
            log.exception("the update of %s failed", update.device)
            self._end(update, "failed", "internal", repr(error))
        finally:
            if self._running.get(update.device) is update:
                del self._running[update.device]

    def _end(self, update: Update, state: State, code: str, msg: str) -> None:
        if not update.ended:
            update.state, update.code, update.msg = state, code, msg
            update.seconds = time.monotonic() - update.began

    async def _changed(self, update: Update, seconds: float) -> bool:
        """Wait for the next thing to happen; False when nothing does."""
        try:
            async with asyncio.timeout(seconds):
                await update.changed.wait()
            return True
        except TimeoutError:
            return False
        finally:
            update.changed.clear()

    async def _reachable(self, update: Update) -> None:
        while not update.ended:
            entry = self._fleet.get(update.device)
            if entry is not None and entry.online and entry.clock and entry.boot is not None:
                return
            await self._changed(update, _AGAIN_S)

    async def _prove(self, update: Update) -> None:
        """Ask it something: the answer proves it, and an event says so."""
        try:
            await self._do(update.device, "get_version", {})
        except Exception as error:  # the next boot, or the next offer, tells more
            log.debug("%s does not answer: %s", update.device, error)
        if not update.ended:
            await self._changed(update, _PROVEN_S)

    def _offer(self, update: Update) -> None:
        entry = self._fleet.get(update.device)
        if entry is None or entry.boot is None:
            return
        id_, package = self._ids.next(), update.package
        update.ids.add(id_)
        update.refused = ""
        payload = wire_out.encode_offer(
            update.key,
            update.device,
            wire_out.Terms(
                id_,
                entry.boot,
                int(self._clock()) + wire.LIFE_S,
                package.v,
                package.fw,
                package.flash_bytes,
                package.sha256,
                update.older,
            ),
        )
        self._send(update, payload)

    async def _follow(self, update: Update) -> None:
        """Until it ended, or has to be offered again."""
        while not update.ended:
            heard = await self._changed(update, _REBOOT_S if update.ready else _QUIET_S)
            if update.refused == "current":
                self._end(update, "done", "current", f"it runs {update.package.fw}")
            elif update.refused and update.refused not in _FOR_NOW:
                self._end(update, "failed", update.refused, update.msg)
            elif update.refused:
                await asyncio.sleep(_AGAIN_S)
                return
            if update.again or not heard:
                return

    def _serve(self, update: Update, id_: str, path: str, at: int) -> None:
        data = update.package.chunk(path, at)
        if data is None:
            self._end(update, "failed", "bad_want", f"it asks for {path} from byte {at}")
            return
        update.state = "sending"
        content = len(update.package.manifest if path == MANIFEST else update.package.files[path])
        update.sent = max(update.sent, update.package.ends[path] - content + at)
        self._send(update, wire_out.encode_chunk(id_, at, path, data))

    def _send(self, update: Update, payload: bytes) -> None:
        topic = wire.down(update.device, "update")
        try:
            self._publish(topic, payload)
        except LinkFull:
            return  # it asks again
        update.bytes_down += len(topic) + len(payload)
