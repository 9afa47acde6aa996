"""What of routines stays in the heap: the phrases' table, the definition that waits for a yes, and
the way to the runner, which is loaded while something runs (docs/routines.md)."""

import binascii
import gc
import struct
import time

from micropython import const

from . import lazy
from .tools import ToolError

PREFIX = "t:"
_NOTE = "x:"  # as in runner.py, which is not loaded for this
_MAX_PHRASE_BYTES = const(64)
_PENDING_MS = const(600000)


def plain(text):
    """What is said, as phrases are compared: small letters, no punctuation, single spaces."""
    out = []
    for c in text.lower():
        out.append(c if c.isalpha() or c.isdigit() or ord(c) > 127 else " ")
    return " ".join("".join(out).split())


class Routines:
    def __init__(self, kit):
        self._kit = kit
        self._table = b""  # CRC-32 of each phrase, 4 bytes
        self._pending = None  # (token, name, record's text, ticks, turn)
        self.turn = 0  # counts what people sent: a definition and its yes are two of it
        self.runner = None
        self.refresh()

    # ---- what is stored

    def names(self):
        return self._kit.store.keys(PREFIX)

    def row(self, name):
        """A stored routine as routine.py records it, or None."""
        return self._kit.store.get(PREFIX + name)

    def plain_name(self, name):
        return " ".join(name.lower().split())

    def known(self, name):
        """`(its name as stored, row)`, or raises ToolError."""
        name = self.plain_name(name)
        row = self.row(name)
        if row is None:
            raise ToolError("not_found", "I know no routine '%s'" % name)
        return name, row

    def arguments(self, program, given):
        """All arguments of a run: what is given, and defaults."""
        args = {}
        params = program.get("params", {})
        for key in params:
            args[key] = given.get(key, params[key]["default"])
        for key in given:
            if key not in args:
                raise ToolError("bad_args", "%s has no parameter '%s'" % (program["name"], key))
        return args

    def refresh(self):
        """Read the phrases again; after a change and at boot."""
        table = bytearray()
        for name in self.names():
            for phrase in self._phrases(name):
                table.extend(struct.pack("<I", binascii.crc32(phrase.encode())))
        self._table = table

    def _phrases(self, name):
        row = self.row(name)  # None where its block of flash went bad
        return [plain(phrase) for phrase in row["r"].get("phrases", ())] if row else ()

    def match(self, text):
        """The name of the routine that this text runs, or None."""
        if len(text) > _MAX_PHRASE_BYTES or not self._table:
            return None
        text = plain(text)
        crc = struct.pack("<I", binascii.crc32(text.encode()))
        for at in range(0, len(self._table), 4):
            if self._table[at : at + 4] == crc:
                break
        else:
            return None
        for name in self.names():
            if text in self._phrases(name):
                return name
        return None

    # ---- the definition that waits

    def wait(self, name, text, token):
        self._pending = (token, name, text, time.ticks_ms(), self.turn)

    def waiting(self):
        """`(token, name, record's text, shown in this turn)` or None."""
        p = self._pending
        if p is None or time.ticks_diff(time.ticks_ms(), p[3]) > _PENDING_MS:
            self._pending = None
            return None
        return p[0], p[1], p[2], p[4] == self.turn

    def forget(self):
        self._pending = None

    # ---- running

    def running(self):
        """Name → "running" or "queued"."""
        return self.runner.states() if self.runner else {}

    def run(self, name, args, summary=None):
        """The receipt of a start. `summary` takes the place of the stored one. Raises ToolError
        and StoreFull."""
        if self.runner is None:
            try:
                self.runner = lazy.load("runner").Runner(self._kit, self._unload)
            except MemoryError:
                self._unload()  # half of it may be there
                raise
        # The program is read last: what stays longest lies lowest, and leaves no holes.
        gc.collect()
        row = self.row(name)
        if summary:
            row["s"] = summary
        return self.runner.start(name, row, args)

    def cancel(self, name):
        return self.runner is not None and self.runner.cancel(name)

    def _unload(self):
        self.runner = None
        lazy.drop("runner")
        lazy.drop("job")

    def recover(self):
        """At boot, before the network: the `finally` of what a power cut ended."""
        store = self._kit.store
        for name in store.keys(_NOTE):
            row = self.row(name)
            failed = None
            if row is not None:
                failed = lazy.load("starter").last(self._kit, row, store.get(_NOTE + name))
                for module in ("starter", "runner", "job"):
                    lazy.drop(module)
            try:
                store.delete(_NOTE + name)
            except Exception:
                pass  # flash is full; the next boot does it again, which does no harm
            fields = {"routine": name, "end": "cut"}
            if failed:
                fields["code"], fields["msg"] = failed
            if self._kit.agent:
                self._kit.agent.event("routine", fields)
