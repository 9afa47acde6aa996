"""Runs routines (docs/routines.md). In the heap while one runs.

`Runner` drives up to 4 jobs as tasks, keeps their pins apart, ends what outlives its bounds, and
notes on flash what must run its `finally` at the next boot.
"""

import asyncio
import gc
import sys
import time

from . import lazy
from .job import DO, LAST, RunError
from .store import StoreFull
from .tools import ToolError, Tools

NOTE = "x:"


# Not in starter.py, nor a function of a job: whatever lives on would hold that in the heap.
class Task:
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
        self.kit = kit
        self._idle = idle
        self.act = Tools(kit).run
        self.tasks = []
        self.queue = []  # (name, args)

    def states(self):
        """Name → "running" or "queued"."""
        out = {}
        for name, _ in self.queue:
            out[name] = "queued"
        for t in self.tasks:
            out[t.name] = "running"
        return out

    def start(self, name, row, args):
        """Run a stored routine, its arguments complete: its receipt. Raises ToolError.

        What comes before its first wait has happened when this returns.
        """
        try:
            return lazy.load("starter").start(self, name, row, args)
        finally:
            lazy.drop("starter")
            self.rest()

    def read(self, ref):
        try:
            return self.kit.guard.read(self.kit.resolve(ref)[0])
        except ToolError as e:
            raise RunError(e.args[0], e.args[1]) from None
        except Exception as e:
            raise RunError("refused", str(e)) from None

    def teller(self, name):
        def tell(text):
            if self.kit.agent:
                self.kit.agent.event("notify", {"routine": name, "text": text})

        return tell

    def asker(self, name):
        def ask(text, ms):
            agent = self.kit.agent
            try:
                said = None
                if agent:
                    said = yield from lazy.load("question").ask(agent, name, text, ms)
                return said
            except MemoryError:
                return None
            finally:
                lazy.drop("question")

        return ask

    def next(self, t):
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
        try:
            t.gen.close()  # a question that waits is taken back
        except Exception as e:
            sys.print_exception(e)
        t.gen = job.last()
        t.began = time.ticks_ms()
        t.most_ms = job.last_ms + 5000
        job.phase = LAST
        return 0

    async def drive(self, t, ms):
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
                ms = self.next(t)
        finally:
            self.finish(t)
            self.rest()

    def finish(self, t):
        if t in self.tasks:
            self.tasks.remove(t)
            if t.noted:
                try:
                    self.kit.store.delete(NOTE + t.name)
                except StoreFull:
                    pass  # its finally runs once more at the next boot, which does no harm
            if t.job.failed and t.end == "done":
                t.end = "failed"
            if t.task and t.end != "done":
                self.report(t.name, t.end, t.job.failed if t.end == "failed" else None)

    def report(self, name, end, failed):
        fields = {"routine": name, "end": end}
        if failed:
            fields["code"], fields["msg"] = failed
        if self.kit.agent:
            self.kit.agent.event("routine", fields)

    def rest(self):
        """Start what waits and can; say so when nothing is left."""
        if self.queue:
            lazy.load("starter").next_of(self)
            lazy.drop("starter")
        if not self.tasks and not self.queue:
            self._idle()

    def cancel(self, name):
        """False when no such routine runs or waits."""
        for at in range(len(self.queue)):
            if self.queue[at][0] == name:
                self.queue.pop(at)
                self.rest()
                return True
        for t in self.tasks:
            if t.name == name:
                if t.job.phase == DO:
                    t.end = "canceled"
                    if t.started:  # a task that was not would end without its finally
                        t.task.cancel()
                return True
        return False
