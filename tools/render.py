"""A turn as a person reads it: the reply, what was really done, who answered and what it cost."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Paint:
    """ANSI colours where they are wanted: not in pipes, with NO_COLOR, or on dumb terminals."""

    def __init__(self, stream: IO[str] | None = None, on: bool | None = None) -> None:
        stream = stream or sys.stdout
        self.on = wants_colour(stream) if on is None else on
        encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
        self.unicode = encoding.startswith("utf")

    def __call__(self, text: str, style: str) -> str:
        if not self.on or not text:
            return text
        codes = ";".join(_CODES[word] for word in style.split())
        return f"\x1b[{codes}m{text}\x1b[0m"

    def sign(self, unicode: str, ascii_: str) -> str:
        return unicode if self.unicode else ascii_


def wants_colour(stream: IO[str]) -> bool:
    """https://no-color.org, TERM=dumb, and whether a person looks at all."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()


def turn_lines(turn: Mapping[str, Any], paint: Paint) -> list[str]:
    """The reply, a line a call, and lines about who answered, why, and for how much elsewhere."""
    reply = clean(str(turn.get("reply") or "")) or "(no reply)"
    calls = turn.get("calls") or []
    failed = any("err" in call.get("receipt", {}) for call in calls)
    style = "red" if not turn.get("answered") else "bold yellow" if failed else "bold"
    lines = [paint(line, style) for line in reply.split("\n")]
    lines += [call_line(call, paint) for call in calls]
    lines += ["  " + paint(line, "dim") for line in footing(turn, paint)]
    return lines


def call_line(call: Mapping[str, Any], paint: Paint) -> str:
    """``✓ gpio_write pin=5 value=1 → level=1``, or ``✗ … → mismatch: …``."""
    receipt = call.get("receipt")
    receipt = receipt if isinstance(receipt, dict) else {"err": "internal", "msg": str(receipt)}
    what = f"{clean(str(call.get('tool')))} {fields(call.get('args') or {})}".rstrip()
    arrow = paint.sign("→", "->")
    if "err" in receipt:
        mark, style = paint.sign("✗", "FAILED"), "red"
        facts = {k: v for k, v in receipt.items() if k not in ("err", "msg", "say")}
        result = f"{clean(str(receipt['err']))}: {clean(str(receipt.get('msg', '')))}"
        result += f" ({fields(facts)})" if facts else ""
    else:
        mark, style = paint.sign("✓", "ok"), "green"
        facts = {k: v for k, v in receipt.items() if k != "say"}  # the reply has said it
        result = fields(facts) or "done"
    return f"  {paint(mark, style)} {paint(what, 'cyan')} {arrow} {paint(result, style)}"


def fields(values: Mapping[str, Any]) -> str:
    """``pin=5 value=1``; nested objects in braces."""
    parts = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            text = "{" + fields(value) + "}"
        elif isinstance(value, bool):
            text = "true" if value else "false"
        elif value is None:
            text = "-"
        elif isinstance(value, list):
            text = clean(json.dumps(value, ensure_ascii=False))
        else:
            text = clean(str(value))
            if " " in text or text == "":
                text = f'"{text}"'
        key = clean(str(key))
        parts.append(f'"{key}"={text}' if " " in key else f"{key}={text}")
    return " ".join(parts)


def footing(turn: Mapping[str, Any], paint: Paint) -> list[str]:
    """Who answered at what cost, why, and what the others would have asked::

    commodity/groq · 712 ms · $0.0004 · 1180 tokens in (1024 cached), 42 out · 482 bytes
    why: the cheapest within 4 s: about $0.0004, 95 % within 0.7 s
    elsewhere: home free, claude $0.0028
    """
    tier, backend = turn.get("tier"), turn.get("backend")
    if backend:
        who = "/".join(clean(str(part)) for part in (tier, backend) if part)
    else:
        who = "another companion answered" if turn.get("answered") else "nobody answered"
    guess = "~" if turn.get("estimated") else ""
    usd = turn.get("usd") or 0
    parts = [who, milliseconds(turn.get("ms") or 0), (guess if usd else "") + cost(usd)]
    if turn.get("tokens"):
        parts.append(guess + tokens(turn))
    if turn.get("energy_how"):
        parts.append(f"{joules(turn.get('energy_j') or 0)} {clean(str(turn['energy_how']))}")
    size = int(turn.get("bytes_up") or 0) + int(turn.get("bytes_down") or 0)
    if size:
        parts.append(f"{size} bytes")
    if turn.get("err"):
        parts.append(f"error {clean(str(turn['err']))}")
    lines = [paint.sign(" · ", " | ").join(parts)]
    if turn.get("why"):
        lines.append(f"why: {clean(str(turn['why']))}")
    others = [f"{clean(str(o['backend']))} {cost(o['usd'])}" for o in turn.get("others") or ()]
    if others:
        lines.append(f"elsewhere: {', '.join(others)}")
    return lines


def tokens(turn: Mapping[str, Any]) -> str:
    """``1180 tokens in (1024 cached), 42 out (30 reasoning)``."""
    into, out = f"{turn.get('tokens_in') or 0} tokens in", f"{turn.get('tokens_out') or 0} out"
    if turn.get("tokens_cached"):
        into += f" ({turn['tokens_cached']} cached)"
    if turn.get("tokens_reasoning"):
        out += f" ({turn['tokens_reasoning']} reasoning)"
    return f"{into}, {out}"


def plan_lines(plan: Mapping[str, Any], paint: Paint) -> list[str]:
    """What ``ganglion explain`` shows: a line a backend, in the order of the plan."""
    taken = plan.get("taken_by")
    lines = [f"policy {clean(str(plan['policy']))}, about {plan['prompt_tokens']} tokens of prompt"]
    if plan.get("budget"):
        lines.append(paint(clean(str(plan["budget"])), "yellow"))
    rows = []
    for row in plan["candidates"]:
        rank = row["rank"]
        rows.append(
            [
                "-" if rank is None else str(rank),
                f"{clean(str(row['tier']))}/{clean(str(row['backend']))}",
                cost(row["usd"]),
                ("" if row["measured"] else "~") + milliseconds(row["p95_ms"]),
                clean(str(row["reason"])),
            ]
        )
    lines += table(["", "backend", "cost", "95 %", "why"], rows, paint)
    lines.append(_summary(plan["candidates"], taken))
    return lines


def _summary(candidates: Sequence[Mapping[str, Any]], taken: object) -> str:
    """Who it comes to. A grammar is asked beforehand, so what it says is known here."""
    if taken:
        return f"{clean(str(taken))} understands this; nobody else would be asked."
    names = [clean(str(row["backend"])) for row in candidates if row["rank"] is not None]
    models = [name for name in names if name != "commands"]
    who = f"{models[0]} would be asked" if models else "nobody is left to ask"
    if "commands" in names:
        return f"commands does not understand this; {who}."
    return f"{who}."


def joules(energy_j: float) -> str:
    """Two digits that mean something."""
    return f"{energy_j:.2g} J" if energy_j < 10 else f"{energy_j:,.0f} J"


def milliseconds(ms: float) -> str:
    if ms < 10:
        return f"{ms:.1f} ms"
    return f"{ms:.0f} ms" if ms < 10_000 else f"{ms / 1000:.1f} s"


def cost(usd: float) -> str:
    """USD with two digits that mean something; nothing is ``free``."""
    if usd <= 0:
        return "free"
    return f"${usd:.2f}" if usd >= 0.1 else f"${usd:.2g}" if usd >= 0.0001 else f"${usd:.7f}"


def clean(text: str) -> str:
    """Without control characters: what devices and models write must not steer a terminal."""
    return "".join(c if c == "\n" or c.isprintable() else "\ufffd" for c in text)


def json_line(value: object) -> str:
    """JSON for programs, in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def table(head: list[str], rows: list[list[str]], paint: Paint) -> list[str]:
    """Columns as wide as their widest entry."""
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]

    def line(row: list[str]) -> str:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        return "  ".join(cells).rstrip()

    return [paint(line(head), "dim"), *(line(row) for row in rows)]
