"""Gets another firmware into the slot that is not in use: the manifest first, then each file that
is not there yet, from the running slot where that has it, else in chunks from the companion. Then
/slot is rewritten, and the chip starts again.

A file comes aside and gets its name once its hash is right. So what a power cut leaves is whole
files, and the next offer finds them by their hashes. Loaded while an update runs.
"""

import asyncio
import binascii
import gc
import hashlib
import json
import os
import sys

import machine
from micropython import const

from . import lazy
from .slots import other, read, sha256, write

_CHUNK_BYTES = const(1024)
_AGAIN_MS = const(4000)
_POLL_MS = const(5)
_SILENT = const(45)  # so often it asks in vain: three minutes
_BUSY_S = const(600)
_DRAIN_MS = const(5000)
_GOODBYE_MS = const(100)
_TRIES = "3"
_MANIFEST = "manifest.json"


class _Refused(Exception):
    """Code and words."""


_job = None


def begin(agent, msg):
    """Start, or go on under the new id."""
    global _job
    if _job is None:
        _job = _Job(agent, msg, read())
        asyncio.create_task(_job.run())
    elif _job.digest != msg["manifest"]:
        agent.link.publish(
            "update",
            '{"id":"%s","refused":"busy","msg":"another update runs"}' % msg["id"],
        )
    else:
        _job.id = msg["id"]
        _job.ask()


def chunk(view):
    """Take a chunk: `<id> <offset> <path>`, a line feed, bytes. False for an offer."""
    if not len(view) or view[0] == 123:
        return False
    _job.take(view)
    return True


class _Job:
    def __init__(self, agent, msg, slots):
        self.id = msg["id"]
        self.digest = msg["manifest"]
        self._v = msg["v"]
        self._agent = agent
        self._slots = slots
        self._slot = other(slots[0])
        self._path = None  # of the file that comes
        self._at = 0
        self._left = 0  # bytes still to come, or -1: until a chunk is short
        self._whole = False
        self._file = self._hash = self._error = None

    async def run(self):
        global _job
        try:
            await self._all()
        except _Refused as e:
            self._tell('"refused":"%s","msg":"%s"' % e.args)
        except Exception as e:
            sys.print_exception(e)
            self._tell('"refused":"internal","msg":%s' % json.dumps(repr(e)))
        _job = None
        lazy.drop("fetch", "slots")

    def _tell(self, what):
        self._agent.link.publish("update", '{"id":"%s",%s}' % (self.id, what))

    # ---- the way of it

    async def _all(self):
        slot = self._slot
        _mkdir(slot)
        manifest = slot + "/" + _MANIFEST
        if sha256(manifest) != self.digest:
            await self._pull(_MANIFEST, -1, self.digest)
        self._tidy(manifest)
        with open(manifest) as f:
            for line in f:
                if line[0] == "[":
                    path, size, digest = json.loads(line.rstrip(",\n"))
                    if ".." in path or path[0] == "/":
                        raise _Refused("bad_manifest", path)
                    line = None
                    if sha256(slot + "/" + path) != digest:
                        _mkdir(slot + "/" + path.rsplit("/", 1)[0])
                        if sha256(self._slots[0] + "/" + path) != digest or not _copied(
                            self._slots[0], slot, path, digest
                        ):
                            await self._pull(path, size, digest)
                    await asyncio.sleep_ms(0)
        await self._switch()

    def _tidy(self, manifest):
        """Take away what the new firmware does not have."""
        names = set()
        with open(manifest) as f:
            for line in f:
                if line[0] == "[":
                    names.add(_mark(line[2 : line.find('"', 2)]))
        for folder in os.ilistdir(self._slot):
            if folder[1] & 0x4000:
                path = folder[0] + "/"
                for name in [entry[0] for entry in os.ilistdir(self._slot + "/" + folder[0])]:
                    if _mark(path + name) not in names:
                        os.remove(self._slot + "/" + path + name)

    async def _switch(self):
        agent = self._agent
        kit = agent.tools.kit
        for _ in range(_BUSY_S):
            if not (agent.inbox.running or (kit.routines and kit.routines.running())):
                break
            await asyncio.sleep(1)
        else:
            raise _Refused("busy", "a routine runs")
        self._tell('"ready":true')
        for _ in range(_DRAIN_MS // _POLL_MS):
            await asyncio.sleep_ms(_POLL_MS)
            if agent.link.idle():
                break
        used, version = self._slots
        write([used or "/", version, self._slot, str(self._v), _TRIES])
        kit.guard.tick(0)  # puts the last levels on flash
        agent.link.close()
        await asyncio.sleep_ms(_GOODBYE_MS)
        machine.reset()

    # ---- a file from the companion

    async def _pull(self, path, size, digest):
        gc.collect()
        self._path = path
        self._at = 0
        self._left = size
        self._whole = size == 0
        self._hash = hashlib.sha256()
        new = self._slot + "/new"
        self._file = open(new, "wb")
        try:
            silent = 0
            while not self._whole:
                if silent == _SILENT:
                    raise _Refused("silent", "nobody sends %s" % path)
                at = self._at
                self.ask()
                for _ in range(_AGAIN_MS // _POLL_MS):
                    if self._whole:
                        break
                    await asyncio.sleep_ms(_POLL_MS)
                silent = silent + 1 if self._at == at else 0
        finally:
            self._path = None
            self._file.close()
            self._file = None
        if self._error:
            raise self._error
        if binascii.hexlify(self._hash.digest()).decode() != digest:
            os.remove(new)
            raise _Refused("hash", "%s is not what was signed" % path)
        os.rename(new, self._slot + "/" + path)

    def ask(self):
        if self._path and not self._whole and self._agent.link.connected:
            self._tell('"want":["%s",%d]' % (self._path, self._at))

    def take(self, view):
        """Doubles, and what comes late, do not begin as the one that is wanted."""
        if self._path is None or self._whole:
            return
        head = ("%s %d %s\n" % (self.id, self._at, self._path)).encode()
        n = len(head)
        if bytes(view[:n]) != head:
            return
        data = view[n:]
        n = len(data)
        try:
            self._file.write(data)
        except OSError as e:
            self._error = e
        self._hash.update(data)
        self._at += n
        if self._left >= 0:
            self._left -= n
            # One byte too many ends it, too: the hash will not be right.
            self._whole = self._left <= 0
        if n < _CHUNK_BYTES or self._error:
            self._whole = True
        self.ask()


def _mark(path):
    return binascii.crc32(path.encode()) & 0x3FFFFFFF  # what fits a word


def _copied(source, target, path, digest):
    """Copy a file from slot to slot; whether it is what it has to be."""
    new = target + "/new"
    block = bytearray(512)
    with open(source + "/" + path, "rb") as f:
        with open(new, "wb") as to:
            while True:
                n = f.readinto(block)
                if not n:
                    break
                to.write(memoryview(block)[:n])
    if sha256(new) != digest:
        return False
    os.rename(new, target + "/" + path)
    return True


def _mkdir(path):
    try:
        os.mkdir(path)
    except OSError:
        pass  # it is there
