"""Runs routines (docs/routines.md). In the heap while one runs.

`Runner` drives up to 4 jobs as tasks, keeps their pins apart, ends what outlives its bounds, and
notes on flash what must run its `finally` at the next boot.
"""

import asyncio
import gc
import sys
import time

from micropython import const

from .job import DO, LAST, Job, RunError
from .store import StoreFull
from .tools import ToolError, Tools

NOTE = "x:"
_MAX_RUNNING = const(4)
_MAX_QUEUED = const(4)
_MAX_BYTES = const(2048)
_AT_ONCE = const(32)  # steps that run before the caller goes on


def _pins(kit, row, args):
    """A mask of the pins that a routine acts on."""
    mask = 0
    for ref in row["p"]:
        if isinstance(ref, str) and ref[:1] == "$":
            ref = args[ref[1:]]
        mask |= 1 << kit.resolve(ref)[0]
    return mask


class _Task:
    """A job with what the runner knows of it."""

    def __init__(self, name, job, mask, size):
        self.name = name
        self.job = job
        self.mask = mask
        self.size = size
        self.gen = job.go()
        self.began = time.ticks_ms()
        self.most_ms = job.ms - job.last_ms
        self.noted = False
        self.task = None
        self.started = False
        self.end = "done"


class Runner:
    def __init__(self, kit, idle):
        """`idle()` is called when nothing runs any more."""
        self._kit = kit
        self._idle = idle
        self._act = Tools(kit).run
        self._tasks = []
        self._queue = []  # (name, args)

    def states(self):
        """Name → "running" or "queued"."""
        out = {}
        for name, _ in self._queue:
            out[name] = "queued"
        for t in self._tasks:
            out[t.name] = "running"
        return out

    def start(self, name, row, args):
        """Run a stored routine, its arguments complete: its receipt. Raises ToolError.

        What comes before its first wait has happened when this returns.
        """
        try:
            return self._start(name, row, args)
        finally:
            self._rest()

    def _start(self, name, row, args):
        mask = _pins(self._kit, row, args)
        size = row["n"]
        for t in self._tasks:
            if t.name == name or t.mask & mask:
                why = "'%s' runs and uses the same pins" % t.name
                if t.name == name:
                    why = "it runs already"
                if row["r"].get("on_conflict") != "queue":
                    raise ToolError("busy", why)
                if len(self._queue) >= _MAX_QUEUED:
                    raise ToolError("busy", "%s, and %d wait" % (why, _MAX_QUEUED))
                self._queue.append((name, args))
                return {"routine": name, "state": "queued", "say": "%s waits: %s" % (name, why)}
        if len(self._tasks) >= _MAX_RUNNING:
            raise ToolError("busy", "%d routines run already" % _MAX_RUNNING)
        if sum([t.size for t in self._tasks]) + size > _MAX_BYTES:
            raise ToolError("busy", "the routines that run leave no memory for it")
        job = Job(row, args, self._act, self._read, lambda text: self._tell(name, text))
        t = _Task(name, job, mask, size)
        if job.acts and "finally" in job.program:
            self._kit.store.set(NOTE + name, args)  # StoreFull: it does not start
            t.noted = True
        self._tasks.append(t)
        # Up to the first wait at once: what the caller replies comes from receipts.
        ms = 0
        for _ in range(_AT_ONCE):
            ms = self._next(t)
            if ms != 0:
                break
        told = job.told
        job.told = None
        if ms is None:
            self._finish(t)
        else:
            t.task = asyncio.create_task(self._drive(t, ms))
        receipt = {"routine": name, "state": "done" if ms is None else "running", "did": told}
        if job.failed:
            receipt["err"], receipt["msg"] = job.failed
            if ms is not None:
                receipt["msg"] += "; its 'finally' runs"
        else:
            say = " ".join(told)
            if ms is not None:
                say += " %s runs, %d s at most." % (name, -(-job.ms // 1000))
            receipt["say"] = say.strip() or "%s is done" % name
        return receipt

    def _read(self, ref):
        try:
            return self._kit.guard.read(self._kit.resolve(ref)[0])
        except ToolError as e:
            raise RunError(e.args[0], e.args[1]) from None
        except Exception as e:
            raise RunError("refused", str(e)) from None

    def _tell(self, name, text):
        if self._kit.agent:
            self._kit.agent.event("notify", {"routine": name, "text": text})

    def _next(self, t):
        """One step further: ms to wait, or None at the end. Raises nothing."""
        try:
            return next(t.gen)
        except StopIteration:
            return None
        except Exception as e:
            # A fault of ours, or no memory.
            gc.collect()
            sys.print_exception(e)
            return self._break_off(t, "failed", ("internal", repr(e)))

    def _break_off(self, t, end, why):
        """Leave `do`; goes on with `finally`, or ends where that is what broke."""
        job = t.job
        if job.failed is None:
            job.failed = why
        if t.end == "done":
            t.end = end
        if job.phase != DO:
            return None
        t.gen = job.last()
        t.began = time.ticks_ms()
        t.most_ms = job.last_ms + 5000
        job.phase = LAST
        return 0

    async def _drive(self, t, ms):
        t.started = True
        try:
            if t.end == "canceled":  # before it came to run
                ms = self._break_off(t, "canceled", ("canceled", "it was canceled"))
            while ms is not None:
                try:
                    if t.job.phase == LAST and t.most_ms != t.job.last_ms + 5000:
                        t.began = time.ticks_ms()  # finally has a time of its own
                        t.most_ms = t.job.last_ms + 5000
                    left = t.most_ms - time.ticks_diff(time.ticks_ms(), t.began)
                    if left < ms:
                        await asyncio.sleep_ms(max(0, left))
                        ms = self._break_off(t, "failed", ("timeout", "it took longer than it may"))
                        continue
                    await asyncio.sleep_ms(ms)
                except asyncio.CancelledError:
                    if t.job.phase == DO:
                        ms = self._break_off(t, "canceled", ("canceled", "it was canceled"))
                        continue
                ms = self._next(t)
        finally:
            self._finish(t)
            self._rest()

    def _finish(self, t):
        if t in self._tasks:
            self._tasks.remove(t)
            if t.noted:
                try:
                    self._kit.store.delete(NOTE + t.name)
                except StoreFull:
                    pass  # its finally runs once more at the next boot, which does no harm
            if t.job.failed and t.end == "done":
                t.end = "failed"
            if self._kit.agent and t.task and t.end != "done":
                self._report(t)

    def _report(self, t):
        fields = {"routine": t.name, "end": t.end}
        if t.end == "failed":
            fields["code"], fields["msg"] = t.job.failed
        self._kit.agent.event("routine", fields)

    def _rest(self):
        """Start what waits and can; say so when nothing is left."""
        for at in range(len(self._queue)):
            name, args = self._queue[at]
            row = self._kit.routines.row(name)
            if row is None:
                self._queue.pop(at)
                return self._rest()
            mask = _pins_or_none(self._kit, row, args)
            if mask is not None:
                for t in self._tasks:
                    if t.name == name or t.mask & mask:
                        break
                else:
                    if len(self._tasks) >= _MAX_RUNNING:
                        break
                    if sum([t.size for t in self._tasks]) + row["n"] > _MAX_BYTES:
                        break
                    self._queue.pop(at)
                    return self._from_queue(name, row, args)
            else:
                self._queue.pop(at)
                return self._rest()
        if not self._tasks and not self._queue:
            self._idle()

    def _from_queue(self, name, row, args):
        try:
            receipt = self._start(name, row, args)
        except (ToolError, StoreFull) as e:
            receipt = {"err": "busy", "msg": e.args[-1]}
        if "err" in receipt and self._kit.agent:
            self._kit.agent.event(
                "routine",
                {"routine": name, "end": "failed", "code": receipt["err"], "msg": receipt["msg"]},
            )
        self._rest()

    def cancel(self, name):
        """False when no such routine runs or waits."""
        for at in range(len(self._queue)):
            if self._queue[at][0] == name:
                self._queue.pop(at)
                self._rest()
                return True
        for t in self._tasks:
            if t.name == name:
                if t.job.phase == DO:
                    t.end = "canceled"
                    if t.started:  # a task that was not would end without its finally
                        t.task.cancel()
                return True
        return False

    def last(self, row, args):
        """At boot: run a `finally` to its end, here and now."""
        job = Job(row, args, self._act, self._read, lambda text: None)
        try:
            for ms in job.last():
                time.sleep_ms(min(ms, 5000))
        except Exception as e:
            sys.print_exception(e)
        return job.failed


def _pins_or_none(kit, row, args):
    try:
        return _pins(kit, row, args)
    except ToolError:
        return None
