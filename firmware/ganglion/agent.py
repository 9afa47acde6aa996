"""The agent: what is said becomes calls, the calls' receipts become the reply.

It knows nothing of sockets: `send(leaf, text, retain)` puts a message on the wire, `handle`
takes one from it. One turn runs at a time; a `do` runs at once, beside it.
"""

import asyncio
import gc
import json
import os
import random
import sys
import time

from micropython import const

from . import VERSION, clock
from .inbox import REPEAT, RUN, good_id
from .outbox import Outbox
from .talk import Conversations, calls_text, dumps
from .tools import fill, show

_MAX_WAITING = const(4)
_MAX_ROUNDS = const(4)
_MAX_CALLS = const(8)
_MAX_TEXT_BYTES = const(1024)
_DEADLINE_MS = const(20000)
_RETRY_MS = const(4000)

_MAX_ASKS = const(12)  # of one round: repeats, resends and waits together
_STATE_EVERY_MS = const(5000)
_TIME_LATE_MS = const(5000)  # an answer that took longer is that much behind
_CLOCK_EVERY_MS = const(3600000)  # a crystal of 20 ppm is off by 0.1 s then
_FACT_BYTES = const(1536)
_DRAIN_MS = const(2000)
_PIECE = const(256)
_FACT = "m:"  # as in tool_memory.py, which is not loaded for this
_SPECS = "/ganglion/tools-%d.json"
_OFFLINE = (
    "I am not connected (%s), so nobody can work out what you mean. What is set up already runs."
)


class Agent:
    def __init__(self, device, boot, tools, inbox, link, reset_cause, safe=False, specs=_SPECS):
        """`specs` is where the build put the messages of `up/tools`."""
        self.device = device
        self.boot = boot
        self.tools = tools
        self.inbox = inbox
        self.link = link
        self.beat = 0
        self._reset_cause = reset_cause
        self._safe = safe
        self._talks = Conversations()
        self._waiting = []  # (turn id, text, speaker, callback)
        self._work = asyncio.Event()
        self._open = None  # id of the ask that waits for an answer
        self._answer = None
        self._answered = asyncio.Event()
        self._specs = specs
        with open(specs % 1) as f:
            self._digest = f.read(15)[9:]  # {"hash":"a8Kd0f"
        self._sending = False
        self._outbox = Outbox(tools.kit.store, link)
        self._event_n = 0
        self._turn_n = 0
        self._time_id = None
        self._time_ms = 0  # ticks when it was asked
        self._blind_s = 0  # for how long the time has not been known, connected
        self._clock_ms = time.ticks_ms()
        self._state_version = 0
        self._state_ms = 0

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
        if leaf not in ("say", "do", "answer"):
            return
        if view is None:
            return self._bad(leaf, "too_big", "over 4096 bytes")
        try:
            msg = json.loads(view)
        except (ValueError, MemoryError, RuntimeError):
            gc.collect()
            if _is_utf8(view):
                return self._bad(leaf, "bad_json", "not JSON, or nested too deeply")
            return self._bad(leaf, "bad_utf8", "not UTF-8")
        if not isinstance(msg, dict):
            return self._bad(leaf, "bad_message", "not an object")
        if leaf == "answer":
            return self._take_answer(msg)
        if not good_id(msg.get("id")):
            return self._bad(leaf, "bad_message", "id must be 1 to 16 of A-Z a-z 0-9 _ -")
        problem = self._say_problem(msg) if leaf == "say" else self._do_problem(msg)
        if problem:
            return self._turn_away(leaf, msg["id"], "bad_message", problem)
        verdict, more = self.inbox.admit(msg, clock.now())
        if verdict == RUN:
            if leaf == "do":
                self._do(msg)
            else:
                self._queue(msg["id"], msg["text"], msg.get("from", ""), self._send_reply)
        elif verdict == REPEAT:
            self.link.publish(more[0], more[1])
        elif more:
            self._turn_away(leaf, msg["id"], verdict, more)

    def _say_problem(self, msg):
        text = msg.get("text")
        if not isinstance(text, str) or not text.strip():
            return "text is missing"
        if len(text.encode()) > _MAX_TEXT_BYTES:
            return "text is over %d bytes" % _MAX_TEXT_BYTES
        speaker = msg.get("from", "")
        if not isinstance(speaker, str) or len(speaker) > 32:
            return "from must be a string of 32 characters at most"
        return None

    def _do_problem(self, msg):
        if not isinstance(msg.get("tool"), str):
            return "tool is missing"
        if not isinstance(msg.get("args"), dict):
            return "args must be an object"
        return None

    def _bad(self, leaf, code, why):
        self.event("bad_message", {"on": leaf, "code": code, "msg": why})

    def _turn_away(self, leaf, cid, code, why):
        """A command that does not run, and is not remembered as one that did."""
        self.event("refused", {"id": cid, "code": code, "msg": why})
        if leaf == "do":
            self.link.publish("done", dumps({"id": cid, "receipt": {"err": code, "msg": why}}))
        else:
            self.link.publish("reply", dumps({"id": cid, "text": why, "err": code}))

    def _do(self, msg):
        if self.tools.kit.routines:
            self.tools.kit.routines.turn += 1
        tool = msg["tool"]
        args = msg["args"]
        receipt = self._call(tool, args)[2]
        payload = ['{"id":"%s","receipt":' % msg["id"], dumps(receipt), "}"]
        self.inbox.finish(msg["id"], "done", payload)
        self.link.publish("done", payload)
        self._points_changed()

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
        tid = "c%d-%d" % (self.boot, self._turn_n)
        if not self.link.connected and not self._phrase(text):
            # Someone sits in front of it: no use to let them wait for a deadline.
            callback(tid, _OFFLINE % self.link.problem, [], "offline", None)
            return
        self._queue(tid, text, speaker, callback)

    async def run(self):
        """For ever: one turn after the other."""
        while True:
            self.beat += 1
            if not self._waiting:
                self._work.clear()
                try:
                    await asyncio.wait_for_ms(self._work.wait(), 2000)
                except asyncio.TimeoutError:
                    continue
            tid, text, speaker, callback = self._waiting.pop(0)
            results = []
            try:
                reply, err, by = await self._turn(tid, text, speaker, results)
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
            self._points_changed()
            gc.collect()

    def _fault(self, e):
        sys.print_exception(e)
        if isinstance(e, MemoryError):
            # What was said before is a comfort, and 4 KB: it gives way.
            self._talks = Conversations()
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
        """Appends to `results`; returns `(reply, error code or None, by)`."""
        routine = self._phrase(text)
        if routine:
            results.append(self._call("routine_run", {"name": routine}))
            return results[-1][3], None, "chip"
        talk = self._talks.of(speaker)
        messages = [dumps(["u", text])]
        began = time.ticks_ms()
        sent = 0
        by = None
        for n in range(1, _MAX_ROUNDS + 1):
            ask = "%s.%d" % (tid, n)
            ctx = talk.last if n == 1 else "%s.%d" % (tid, n - 1)
            answer = await self._ask(ask, ctx, n == 1, talk, messages, sent, speaker, began)
            sent = len(messages)
            if "err" in answer:
                code, why = self._error_of(answer["err"])
                done = [r[3] for r in results]
                return " ".join(done + [why]), code, by
            by = answer.get("by")
            last = self._run_calls(answer.get("calls"), results)
            failed = any("err" in r[2] for r in last)
            more = answer.get("more", 0)
            if last:
                messages.append('["d",%s]' % calls_text([list(r[:3]) for r in last]))
            if n < _MAX_ROUNDS and last and (more == 2 or (more == 1 and failed)):
                continue
            break
        reply = self._compose(answer.get("say"), last, failed, results)
        messages.append(dumps(["a", reply]))
        talk.add(tid, messages)
        return reply, None, by

    def _phrase(self, text):
        """The routine that these words run, with nobody asked."""
        routines = self.tools.kit.routines
        if routines:
            routines.turn += 1
            return routines.match(text)

    def _error_of(self, err):
        if isinstance(err, dict) and isinstance(err.get("msg"), str):
            return str(err.get("code", "no_answer")), err["msg"]
        return "no_answer", "The companion answered with an error it did not explain."

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
        self._points_changed()
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

    def _compose(self, say, last, failed, results):
        """The reply, from receipts; a model's words are never alone."""
        if failed or not isinstance(say, str):
            told = results if failed else last
            text = " ".join([r[3] for r in told]) or "I have no answer to that."
        else:
            # What was tried and failed in an earlier round is shown, too.
            shown = "; ".join([r[3].rstrip(".") for r in results if r[4] or "err" in r[2]])
            text = "%s [%s]" % (
                fill(say, lambda name: _receipt_field(name, last)),
                shown or "nothing was changed",
            )
        return text

    # ---- asking

    async def _ask(self, ask, ctx, turn_ctx, talk, messages, sent, speaker, began):
        """One round's answer, however many messages that takes. A failure has `err`."""
        whole = ctx is None
        facts = False
        for _ in range(_MAX_ASKS):
            left = _DEADLINE_MS - time.ticks_diff(time.ticks_ms(), began)
            if left <= 0:
                break
            self._open = ask
            self._answer = None
            self._answered.clear()
            self._publish_ask(ask, ctx, turn_ctx, talk, messages, sent, speaker, whole, facts, left)
            answer = await self._wait(min(_RETRY_MS, left))
            if answer is None:
                continue
            if "resend" in answer:
                parts = answer["resend"]
                whole = whole or "ctx" in parts
                facts = facts or "mem" in parts
                if "tools" in parts:
                    await self.publish_tools()
                continue
            if "busy" in answer:
                pause = answer["busy"] if type(answer["busy"]) is int else 1000
                await asyncio.sleep_ms(max(1, min(pause, 10000, left)))
                continue
            return answer
        self._open = None
        self.link.publish("cancel", '{"id":"%s"}' % ask)
        if self.link.connected:
            return _failure("timeout", "No companion answered in time. Is one running?")
        return _failure("offline", _OFFLINE % self.link.problem)

    async def _wait(self, ms):
        self.beat += 1
        try:
            await asyncio.wait_for_ms(self._answered.wait(), ms)
        except asyncio.TimeoutError:
            return None
        answer = self._answer
        self._answer = None  # up to 4 KB, which the link may need before the next ask
        return answer

    def _publish_ask(self, ask, ctx, turn_ctx, talk, messages, sent, speaker, whole, facts, left):
        out = ['{"id":"%s","tools":"%s"' % (ask, self._digest)]
        if speaker:
            out.append(',"from":' + dumps(speaker))
        if left < _DEADLINE_MS - 100:
            out.append(',"ms":%d' % left)
        store = self.tools.kit.store
        if store.count(_FACT):
            out.append(',"mem":"%d.%d"' % (self.boot, store.writes))
            if facts:
                self._add_facts(out, store)
        if not whole:
            out.append(',"ctx":"%s"' % ctx)
            if turn_ctx:
                out.append(',"n":%d' % len(talk.turns))
        out.append(',"new":[')
        fixed = len(out)
        old = len(talk.turns) if whole else 0
        while True:
            # The oldest turns give way where the whole conversation does not fit.
            for text in talk.turns[len(talk.turns) - old :] + messages[0 if whole else sent :]:
                out.append(text)
                out.append(",")
            out[-1] = "]}"
            if self.link.publish("ask", out) or not old:
                return
            old -= 1
            del out[fixed:]

    def _add_facts(self, out, store):
        size = 0
        lead = ',"facts":{'
        for key in store.keys(_FACT):
            item = dumps(key) + ":" + dumps(store.get(_FACT + key))
            size += len(item)
            if size > _FACT_BYTES:
                break
            out.append(lead)
            out.append(item)
            lead = ","
        out.append("}")

    def _take_answer(self, msg):
        aid = msg.get("id")
        if aid is not None and aid == self._time_id and type(msg.get("time")) is int:
            self._time_id = None
            if time.ticks_diff(time.ticks_ms(), self._time_ms) > _TIME_LATE_MS:
                return
            knew = clock.now() is not None
            if clock.set_unix(msg["time"]) and not knew:
                self.publish_status()
            return
        # Only the ask that is open now is answered, and once.
        if aid is not None and aid == self._open:
            self._open = None
            self._answer = msg
            self._answered.set()

    # ---- what goes out unasked

    def on_up(self):
        """The link has a new session: say who we are."""
        self.publish_status()
        asyncio.create_task(self.publish_tools())
        self._publish_state()
        self._outbox.pump()
        if clock.now() is None:
            self.ask_time()

    def will(self):
        return '{"online":false,"boot":%d}' % self.boot

    def publish_status(self):
        health = self.tools.kit.health()
        self.link.publish(
            "status",
            dumps(
                {
                    "online": True,
                    "boot": self.boot,
                    "fw": VERSION,
                    "board": self.tools.kit.guard.board.NAME,
                    "tools": self._digest,
                    "heap": health["heap"],
                    "up": health["up"],
                    "clock": clock.now() is not None,
                    "safe": self._safe,
                    "reset": self._reset_cause,
                }
            ),
            True,
        )

    async def publish_tools(self):
        """The specs, from flash as the build made them: a message, and the next when that is on
        its way, since all of them are more than the heap can hold."""
        while self._sending:
            await asyncio.sleep_ms(20)
        self._sending = True
        try:
            n = 1
            while self.link.stream("tools/%d" % n if n > 1 else "tools", self._pieces(n), True):
                for _ in range(_DRAIN_MS // 5):
                    if self.link.drained():
                        break
                    await asyncio.sleep_ms(5)
                n += 1
                os.stat(self._specs % n)
        except OSError:
            pass  # there is no such part
        finally:
            self._sending = False

    def _pieces(self, n):
        def pieces():
            with open(self._specs % n) as f:
                while True:
                    piece = f.read(_PIECE)
                    if not piece:
                        return
                    yield piece

        return pieces

    def _points_changed(self):
        if self.tools.kit.points.version != self._state_version:
            self._publish_state()

    def _publish_state(self):
        points = self.tools.kit.points
        points.look(self.tools.kit.guard)
        # Streamed: 64 names are 4 KB, and each new session tells them anyway.
        if self.link.stream("state", points.chunks, True):
            self._state_version = points.version
        self._state_ms = time.ticks_ms()

    def ask_time(self):
        self._time_id = "t%d-%d" % (self.boot, random.getrandbits(30))
        self._time_ms = time.ticks_ms()
        self.link.publish("ask", '{"id":"%s","want":"time"}' % self._time_id)

    def tick(self):
        """Once a second, from the main program."""
        self._outbox.tick()
        if not self.link.connected:
            return
        now = time.ticks_ms()
        self._mind_clock(now)
        if time.ticks_diff(now, self._state_ms) >= _STATE_EVERY_MS:
            self._state_ms = now
            if self.tools.kit.points.look(self.tools.kit.guard):
                self._publish_state()

    def _mind_clock(self, now):
        """Ask a companion, which costs nothing; where none answers, NTP, which blocks a second."""
        if clock.now() is None:
            self._blind_s += 1
            if self._blind_s % 60 == 5 and clock.from_ntp():
                self._clock_ms = now
                self.publish_status()
            elif self._blind_s <= 5 or self._blind_s % 5 == 0:
                self.ask_time()
        elif time.ticks_diff(now, self._clock_ms) > _CLOCK_EVERY_MS:
            self._clock_ms = now
            self.ask_time()

    def event(self, kind, fields):
        """Tell something, at once or when the broker is back."""
        self._event_n += 1
        fields["kind"] = kind
        fields["boot"] = self.boot
        fields["n"] = self._event_n
        self._outbox.add(fields)


def _is_utf8(view):
    try:
        str(view, "utf-8")
    except UnicodeError:
        return False
    return True


def _failure(code, msg):
    return {"err": {"code": code, "msg": msg}}


def _receipt_field(name, last):
    """`c1.level` of this round's receipts, in words; None leaves the text as it is."""
    call, dot, key = name.partition(".")
    if not dot or call[:1] != "c" or not call[1:].isdigit():
        return None
    at = int(call[1:]) - 1
    if not 0 <= at < len(last) or key not in last[at][2]:
        return None
    return show(key, last[at][2][key])
