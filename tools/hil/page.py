"""A run of the bench as one HTML page: no script, nothing fetched, readable on paper and a phone.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which people with any kind of
colour vision tell apart; a word or a sign always says the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

from tools.hil.compare import Change, Comparison
from tools.hil.plots import line, strip
from tools.hil.record import Figure, Record, Run
from tools.hil.style import CSS
from tools.hil.summary import counts, gist
from tools.hil.units import count, duration, moment, quantity

REASON_LINES = 80
REASON_CHARS = 12_000
MOST_NAMES = 12

_SIGNS = {"passed": "✓", "failed": "✗", "skipped": "∘", "worse": "▼", "better": "▲"}

Changes = dict[tuple[str, str], Change]


def page(run: Run, comparison: Comparison | None) -> str:
    """The whole page, to be written as UTF-8."""
    failed = [record for record in run.tests if record.outcome == "failed"]
    changes: Changes = {}
    if comparison is not None:
        changes = {(change.test, change.what): change for change in comparison.changes}
    body = [
        _head(run),
        _failures(failed),
        _compared(comparison, run.tests) if comparison is not None else "",
        _families(run.tests),
        *(_family(name, records, changes) for name, records in _by_family(run.tests)),
        _bench(run),
    ]
    title = escape(f"Bench: {counts(run.tests)}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{title}</title>\n<style>{CSS}</style></head>\n<body><main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main></body></html>\n"
    )


def safe(text: str) -> str:
    """``text`` for HTML: without a terminal's colours, and other control characters as escapes."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text.encode("utf-8", "replace").decode("utf-8"))
    return escape(
        re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]", lambda at: ascii(at[0])[1:-1], text)
    )


def _badge(word: str) -> str:
    return f'<span class="badge {word}"><i>{_SIGNS.get(word, "•")}</i> {word}</span>'


def _by_family(records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    order = list(dict.fromkeys(record.family for record in records))
    in_order = sorted(records, key=lambda record: order.index(record.family))
    return [(name, list(of)) for name, of in groupby(in_order, lambda record: record.family)]


def _anchor(text: str) -> str:
    """An id for ``text``; what HTML or CSS would trip over is its code, so that none collide."""
    return "t-" + re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):x}", text)


def _link(record: Record) -> str:
    return f'<a href="#{_anchor(record.test)}">{safe(record.title or record.test)}</a>'


def _head(run: Run) -> str:
    failed = sum(record.outcome == "failed" for record in run.tests)
    passed = sum(record.outcome == "passed" for record in run.tests)
    if failed:
        word, verdict = "failed", f"{count(failed, 'test')} failed"
    elif passed:
        word, verdict = "passed", "Nothing failed"
    else:
        word, verdict = "skipped", "Nothing was shown"
    board = run.board
    where = f" at {safe(board.port)}" if board.port else ""
    ran = (
        f"{safe(board.kind)} {safe(board.chip)} <b>{safe(board.device)}</b>{where}, "
        f"firmware {safe(board.firmware)} on MicroPython {safe(board.micropython)}; "
        f"{moment(run.began)}, {duration(run.seconds)}"
    )
    planted = ""
    if run.planted:
        planted = (
            f'<p class="note warn"><b>A fault was planted on purpose</b> in this firmware: '
            f"{safe(run.planted)}. Tests are meant to fail.</p>"
        )
    return (
        f'<header class="{word}"><p class="kicker">Hardware bench</p>'
        f"<h1><i>{_SIGNS[word]}</i> {verdict}</h1>"
        f'<p class="counts">{_bar(run.tests)}</p><p>{ran}</p></header>{planted}'
    )


def _bar(records: Sequence[Record]) -> str:
    """The outcomes of ``records`` as a bar, and in words."""
    parts = []
    for word in ("passed", "failed", "skipped"):
        many = sum(record.outcome == word for record in records)
        if many:
            parts.append(f'<span class="{word}" style="flex-grow:{many}"></span>')
    return f'<span class="bar" aria-hidden="true">{"".join(parts)}</span> {counts(records)}'


def _failures(failed: Sequence[Record]) -> str:
    if not failed:
        return ""
    rows = "".join(
        f"<li>{_link(record)} <span class=muted>{safe(record.family)}</span>"
        f"<br><code>{safe(gist(record.reason))}</code></li>"
        for record in failed
    )
    return f"<section><h2>What failed</h2><ul class=failures>{rows}</ul></section>"


def _compared(comparison: Comparison, records: Sequence[Record]) -> str:
    known = {record.test: record for record in records}
    parts = [f"<section><h2>Against the run of {moment(comparison.began)}</h2>"]
    parts += [f'<p class="note">{safe(notice)}</p>' for notice in comparison.notices]
    worse, better = comparison.of("worse"), comparison.of("better")
    parts.append(_change_table("worse", worse, known) if worse else "<p>Nothing got worse.</p>")
    if better:
        parts.append(_change_table("better", better, known))
    for name, changes in (("New", comparison.of("new")), ("Gone", comparison.of("gone"))):
        parts.append(_names(name, changes, known))
    same = len(comparison.of("same"))
    parts.append(
        f'<p class="muted">{count(same, "other comparison")} came out the same. '
        "Figures are compared by their medians.</p>"
    )
    return "".join([*parts, "</section>"])


def _change_table(word: str, changes: Sequence[Change], known: Mapping[str, Record]) -> str:
    rows = "".join(
        f"<tr><td>{_named(change.test, known)}</td><td>{safe(change.what)}</td>"
        f'<td data-name="base">{safe(change.was)}</td><td data-name="now">{safe(change.now)}</td>'
        f"<td>{safe(change.why)}</td></tr>"
        for change in changes
    )
    return (
        f"<h3>{_badge(word)} {count(len(changes), 'change')}</h3>"
        "<table class=changes><thead><tr><th>Test</th><th>What</th><th>Base</th><th>Now</th>"
        f"<th>Difference</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _named(test: str, known: Mapping[str, Record]) -> str:
    return _link(known[test]) if test in known else f"<code>{safe(test)}</code>"


def _names(name: str, changes: Sequence[Change], known: Mapping[str, Record]) -> str:
    if not changes:
        return ""
    told = [
        _named(change.test, known) + ("" if change.what == "outcome" else f" ({safe(change.what)})")
        for change in changes[:MOST_NAMES]
    ]
    if len(changes) > MOST_NAMES:
        told.append(f"and {len(changes) - MOST_NAMES} more")
    return f"<p><b>{name}:</b> {', '.join(told)}</p>"


def _families(records: Sequence[Record]) -> str:
    rows = "".join(
        f'<li><a href="#{_anchor("family " + name)}">{safe(_family_name(name))}</a> {_bar(of)}</li>'
        for name, of in _by_family(records)
    )
    return f'<nav aria-label="Families"><h2>By family</h2><ul class=families>{rows}</ul></nav>'


def _family_name(name: str) -> str:
    return name.upper() if name in ("repl", "tls") else name.capitalize()


def _family(name: str, records: Sequence[Record], changes: Changes) -> str:
    rows = "".join(_test(record, changes) for record in records)
    return (
        f'<section id="{_anchor("family " + name)}"><h2>{safe(_family_name(name))}</h2>'
        "<table class=tests><thead><tr><th>Outcome</th><th>Test</th><th class=num>Time</th>"
        "<th class=num>Heap low-water</th><th class=num>Flash writes</th><th>Resets</th></tr>"
        f"</thead>{rows}</table></section>"
    )


def _test(record: Record, changes: Changes) -> str:
    took = "" if record.outcome == "skipped" else duration(record.seconds)
    heap = "" if record.heap_free_min is None else quantity(record.heap_free_min, "B")
    writes = "" if record.flash_writes is None else f"{record.flash_writes:,}"
    resets = " data-name=resets" if record.resets else ""
    cells = (
        f"<td>{_badge(record.outcome)}</td>"
        f"<td>{safe(record.title)} <code class=id>{safe(record.test)}</code></td>"
        f"<td class=num data-name=time>{took}</td>"
        f"<td class=num data-name=heap>{_beside(heap, record, 'heap low-water', changes)}</td>"
        f"<td class=num data-name=writes>{_beside(writes, record, 'flash writes', changes)}</td>"
        f"<td{resets}>{safe(_tally(record.resets))}</td>"
    )
    detail = [_reason(record)]
    detail += [_figure(record, figure, changes) for figure in record.figures]
    detail += [line(series) for series in record.series]
    below = "".join(detail)
    if below:
        below = f"<tr><td colspan=6 class=detail>{below}</td></tr>"
    return f'<tbody id="{_anchor(record.test)}"><tr>{cells}</tr>{below}</tbody>'


def _tally(words: Sequence[str]) -> str:
    many = Counter(words)
    return ", ".join(
        word if times == 1 else f"{word} ({times} times)" for word, times in many.items()
    )


def _beside(shown: str, record: Record, what: str, changes: Changes) -> str:
    change = changes.get((record.test, what))
    if change is None or change.verdict not in ("worse", "better"):
        return shown
    return f"{shown}<br>{_badge(change.verdict)}<br><small>base {safe(change.was)}</small>"


def _reason(record: Record) -> str:
    if not record.reason.strip():
        return ""
    if record.outcome != "failed":
        return f"<p>{safe(record.reason.strip())}</p>"
    lines = record.reason.rstrip().splitlines()
    # The end of a traceback says most.
    text = "\n".join(lines[-REASON_LINES:])[-REASON_CHARS:]
    left_out = len(lines) - len(text.splitlines())
    note = f"<p class=muted>{count(left_out, 'line')} before this left out.</p>" if left_out else ""
    return f'{note}<pre tabindex="0">{safe(text)}</pre>'


def _figure(record: Record, figure: Figure, changes: Changes) -> str:
    lower = figure.better == "lower"
    tail = ("p95", figure.p95) if lower else ("p5", figure.percentile(5))
    stats = [("median", figure.median), tail, ("max" if lower else "min", figure.worst)]
    if len(figure.values) == 1:
        stats = [("value", figure.median)]
    cells = [f"<span><small>{name}</small>{_amount(value, figure)}</span>" for name, value in stats]
    if figure.limit is not None:
        word = "limit" if not figure.past_limit else "past its limit"
        past = " class=past" if figure.past_limit else ""
        amount = _amount(figure.limit, figure)
        cells.append(f"<span{past}><small><i>{word}</i></small>{amount}</span>")
    note = f"{count(len(figure.values), 'value')}, {figure.better} is better"
    base = ""
    change = changes.get((record.test, figure.name))
    if change is not None and change.was and change.now:
        word = "" if change.verdict == "same" else f"{_badge(change.verdict)} "
        why = f", {safe(change.why)}" if change.why else ""
        base = f"<div class=base>{word}base {safe(change.was)}{why}</div>"
    return (
        f"<div class=figure><div>{safe(figure.name)}<small class=id>{note}</small></div>"
        f"{strip(figure)}<div class=stats>{''.join(cells)}{base}</div></div>"
    )


def _amount(value: float, figure: Figure) -> str:
    return safe(quantity(value, figure.unit))


def _bench(run: Run) -> str:
    board = run.board
    facts = [
        ("Board", f"{board.kind}, {board.chip}"),
        ("Device", board.device),
        ("Port", board.port),
        ("MicroPython", board.micropython),
        ("Firmware", board.firmware),
        ("Bench", run.machine),
        ("Began", run.began),
        ("Took", duration(run.seconds)),
        ("Wired", ", ".join(run.capabilities) or "nothing"),
    ]
    facts += [(f"Not wired: {name}", why) for name, why in run.missing.items()]
    rows = "".join(f"<dt>{safe(name)}</dt><dd>{safe(told)}</dd>" for name, told in facts if told)
    return f"<section><h2>The bench</h2><dl>{rows}</dl></section>"
