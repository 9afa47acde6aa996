"""The agent: what is said becomes calls, the calls' receipts become the reply.

It knows nothing of sockets: `send(leaf, text, retain)` puts a message on the wire, `handle`
takes one from it. One turn runs at a time; a `do` runs at once, beside it.
"""

import asyncio
import gc
import json
import random
import sys

from micropython import const

from . import clock, lazy
from .asker import OFFLINE, Asker, Turn
from .inbox import REPEAT, RUN, good_id
from .outbox import Outbox
from .presence import Presence
from .talk import Conversations, calls_text, dumps

_MAX_WAITING = const(4)
_MAX_ROUNDS = const(4)
_MAX_CALLS = const(8)
_MAX_TEXT_BYTES = const(1024)
_DRAIN_MS = const(1000)


class Agent:
    def __init__(self, device, boot, tools, inbox, link, reset_cause, safe=False, specs=None):
        self.device = device
        self.boot = boot
        self.tools = tools
        self.inbox = inbox
        self.link = link
        self.beat = 0
        self.presence = Presence(tools.kit, link, boot, reset_cause, safe, specs)
        self.talks = Conversations(tools.kit.store)
        self.asker = Asker(self)
        self._waiting = []  # (turn id, text, speaker, callback)
        self._work = asyncio.Event()
        self._outbox = Outbox(tools.kit.store, link)
        self._event_n = 0
        # A board whose flash was wiped counts boots from the start, and what it asked then must
        # not be answered from a companion's memory.
        self._console = "c%d_%x-" % (boot, random.getrandbits(12))
        self._turn_n = 0

    # ---- what comes in

    def handle(self, leaf, view):
        """A message from `gn/<device>/down/<leaf>`; `view` is None when it was too big.

        Raises nothing: a message must not end the link's session.
        """
        try:
            self._take(leaf, view)
        except Exception as e:
            gc.collect()
            sys.print_exception(e)
            self.event("error", {"on": leaf, "msg": repr(e)})

    def _take(self, leaf, view):
        if leaf == "update":
            fetch = lazy.loaded("fetch")
            if not (fetch and view and fetch.chunk(view)):
                msg = lazy.load("offer").take(self, view)
                if msg:
                    # Only now: the two together are more than a full heap has.
                    lazy.load("fetch").begin(self, msg)
            return
        if leaf == "config":
            return lazy.load("settings").take(self, view)
        if leaf not in ("say", "do", "answer"):
            return
        msg = None
        try:
            if view is not None:
                msg = json.loads(view)
        except (ValueError, RuntimeError):
            pass
        except MemoryError:
            # What was made of it may still be about: no time to load anything.
            gc.collect()
            fields = {"on": leaf, "code": "bad_json", "msg": "nested too deeply"}
            return self.event("bad_message", fields)
        if leaf == "answer" and isinstance(msg, dict):
            return self.presence.take_time(msg) or self.asker.take(msg)
        if not isinstance(msg, dict) or not good_id(msg.get("id")) or not _well_formed(leaf, msg):
            return self._amiss("malformed", leaf, view, msg)
        verdict, more = self.inbox.admit(msg, clock.now())
        if verdict == RUN:
            if leaf == "do":
                self._do(msg)
            else:
                self._queue(msg["id"], msg["text"], msg.get("from", ""), self._send_reply)
        elif verdict == REPEAT:
            self.link.publish(more[0], more[1])
        elif more:
            self._amiss("turn_away", leaf, msg["id"], verdict, more)

    def _amiss(self, what, *args):
        """`amiss.<what>(self)`: a message that does not run is told why. It is rare."""
        try:
            getattr(lazy.load("amiss"), what)(self, *args)
        finally:
            lazy.drop("amiss")

    def _do(self, msg):
        if self.tools.kit.routines:
            self.tools.kit.routines.turn += 1
        tool = msg["tool"]
        args = msg["args"]
        receipt = self._call(tool, args)[2]
        try:
            self._done(msg["id"], dumps(receipt))
        except MemoryError as e:
            self._fault(e)
            receipt = e = None
            gc.collect()
            self._done(msg["id"], '{"err":"internal","msg":"it ran; no memory to tell of it"}')
        self.presence.points_changed()

    def _done(self, cid, receipt):
        payload = ['{"id":"%s","receipt":' % cid, receipt, "}"]
        self.link.publish("done", payload)
        self.inbox.finish(cid, "done", payload)

    # ---- turns

    def _queue(self, tid, text, speaker, callback):
        if len(self._waiting) >= _MAX_WAITING:
            callback(tid, "I am busy with %d other requests." % _MAX_WAITING, [], "busy", None)
            return
        self._waiting.append((tid, text, speaker, callback))
        self._work.set()

    def say(self, text, speaker, callback):
        """A turn from the console. `callback(turn id, text, results, err, by)`."""
        self._turn_n += 1
        tid = self._console + str(self._turn_n)
        if not self.link.connected and not self._phrase(text):
            # Someone sits in front of it: no use to let them wait for a deadline.
            callback(tid, OFFLINE % self.link.problem, [], "offline", None)
            return
        self._queue(tid, text, speaker, callback)

    async def run(self):
        """For ever: one turn after the other."""
        while True:
            self.beat += 1
            if not self._waiting:
                self._work.clear()
                await self._work.wait()
                continue
            tid, text, speaker, callback = self._waiting.pop(0)
            results = []
            turn = None
            try:
                reply, err, by, turn = await self._turn(tid, text, speaker, results)
            except Exception as e:
                # A fault of ours must not silence the agent; what did run is still told.
                self._fault(e)
                reply = " ".join([r[3] for r in results] + ["Something went wrong in me: %r." % e])
                err, by = "internal", None
            try:
                callback(tid, reply, results, err, by)
            except Exception as e:
                self._fault(e)
                callback(tid, "I cannot tell all of it; look at what is set.", [], "internal", None)
            self.presence.points_changed()
            results = None
            if turn:
                await self._keep(turn, reply)
            turn = reply = None
            gc.collect()

    async def _keep(self, turn, reply):
        """To flash with what was said, but first the reply to whoever waits for it. A power cut
        between the two forgets the turn, whole."""
        for _ in range(_DRAIN_MS // 5):
            if self.link.drained():
                break
            await asyncio.sleep_ms(5)
        gc.collect()
        try:
            turn.ran()
            turn.messages.append(dumps(["a", reply]))
            self.talks.flash("add", turn.talk, turn.id, turn.messages)
        except Exception as e:
            turn.talk.last = None  # begin anew rather than go on from half of it
            turn.talk.turns = []
            self._fault(e)

    def _fault(self, e):
        sys.print_exception(e)
        if isinstance(e, MemoryError):
            gc.collect()
        self.event("error", {"msg": repr(e)})

    def _send_reply(self, tid, text, results, err, by):
        out = ['{"id":"%s","text":' % tid, dumps(text)]
        if results:
            out.append(',"calls":')
            out.append(calls_text([list(r[:3]) for r in results]))
        if by == "chip":
            out.append(',"by":"chip"')
        if err:
            out.append(',"err":"%s"' % err)
        out.append("}")
        self.inbox.finish(tid, "reply", out)
        self.link.publish("reply", out)

    async def _turn(self, tid, text, speaker, results):
        """Appends to `results`; returns `(reply, error code, by, Turn to keep)`, or None there."""
        routine = self._phrase(text)
        if routine:
            results.append(self._call("routine_run", {"name": routine}))
            return results[-1][3], None, "chip", None
        turn = Turn(tid, text, self.talks.of(speaker))
        for n in range(1, _MAX_ROUNDS + 1):
            answer = await self.asker.round(turn, n)
            by = answer.get("by")
            if "err" in answer:
                code, why = lazy.load("reply").fault(answer["err"])
                done = [r[3] for r in results]
                return " ".join(done + [why]), code, by, None
            last = self._run_calls(answer.get("calls"), results)
            failed = any("err" in r[2] for r in last)
            more = answer.get("more", 0)
            turn.last = last
            if not last or n == _MAX_ROUNDS or not (more == 2 or (more == 1 and failed)):
                break
            turn.ran()
        reply = lazy.load("reply").compose(answer.get("say"), last, failed, results)
        return reply, None, by, turn

    def _phrase(self, text):
        """The routine that these words run, with nobody asked."""
        routines = self.tools.kit.routines
        if routines:
            routines.turn += 1
            return routines.match(text)

    def _run_calls(self, calls, results):
        """Run what the answer calls, in order; returns this round's results."""
        last = []
        for call in calls if isinstance(calls, list) else ():
            if len(last) == _MAX_CALLS:
                break
            if isinstance(call, list) and len(call) == 2:
                tool, args = call
            else:
                tool, args = "?", {}
            result = self._call(tool, args)
            last.append(result)
            results.append(result)
        return last

    def act(self, tool, args):
        """Run a tool for a schedule or a rule; its receipt."""
        receipt = self._call(tool, args)[2]
        self.presence.points_changed()
        return receipt

    def sense(self, tool, args):
        """Ask a sensor for a rule; its receipt. A failure is no event: it would be one a second."""
        return self.tools.run(tool, args)[0]

    def _call(self, tool, args):
        """`(tool, args, receipt, its sentence, did it act)`."""
        receipt, sentence, acted = self.tools.run(tool, args)
        if receipt.get("err") == "refused":
            self.event("refused", {"tool": tool, "code": "refused", "msg": receipt["msg"]})
        return tool, args, receipt, sentence, acted

    # ---- what goes out unasked

    def on_up(self):
        """The link has a new session."""
        self.presence.on_up()
        self._outbox.pump()

    def will(self):
        return '{"online":false,"boot":%d}' % self.boot

    def tick(self):
        """Once a second, from the main program."""
        self._work.set()  # for the beat
        self._outbox.tick()
        if self.link.connected:
            self.presence.tick()

    def event(self, kind, fields):
        """Tell something, at once or when the broker is back."""
        self._event_n += 1
        fields["kind"] = kind
        fields["boot"] = self.boot
        fields["n"] = self._event_n
        self._outbox.add(fields)


def _well_formed(leaf, msg):
    """Is this a say or a do? amiss.py says what is wrong with one that is not."""
    if leaf == "do":
        return isinstance(msg.get("tool"), str) and isinstance(msg.get("args"), dict)
    text = msg.get("text")
    speaker = msg.get("from", "")
    if not isinstance(text, str) or not isinstance(speaker, str):
        return False
    return text.strip() and len(text.encode()) <= _MAX_TEXT_BYTES and len(speaker) <= 32
