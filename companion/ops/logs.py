"""The log: text for people or JSON lines for machines, with every known secret blackened.

Records carry fields by ``extra=``, as ``log.info("…", extra={"device": "kitchen", "ms": 12})``.
In text they are not shown: the message says what a person needs.
"""

import json
import logging
import os
import re
import sys
import time
from typing import Any, Final, TextIO

from companion.config.keys import Secrets, secrets
from companion.config.model import LogConfig
from companion.meter import usd
from companion.store.row import Row

answers: Final = logging.getLogger("ganglion.answers")
"""A line an answer: at info where it cost something, at debug where it did not."""

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_CHATTY: Final = (
    *("httpx", "httpx2", "httpcore", "openai", "anthropic"),
    *("asyncio", "uvicorn.error", "aiosqlite", "alembic"),
)
"""At info and debug: each request to a model, each event of the loop, each statement of SQL."""
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}

# Token characters of RFC 6750, and what stands before the host of a URL.
_BEARER: Final = re.compile(r"(?i)(\b(?:bearer|x-api-key:?)\s+)[A-Za-z0-9._~+/=-]+")
_USERINFO: Final = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+(?=@)")


class Redact(logging.Filter):
    """The last line of defence: blackens secrets in message, arguments, traceback and fields of
    every record that a handler writes. Put it on handlers: a logger's filter does not see what
    comes from loggers below it."""

    def __init__(self, known: Secrets = secrets) -> None:
        super().__init__()
        self._known = known

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True."""
        message = _message(record)
        fields = {
            name: value if isinstance(value, str) else repr(value)
            for name, value in record.__dict__.items()
            if name not in _OWN and not isinstance(value, bool | int | float | None)
        }
        # Looked at as one text first, since nearly always nothing is in it. What is found in one
        # of them is found in all of them: no pattern begins or ends with a line's end.
        together = "\n".join((message, *fields.values()))
        is_clean = self.clean(together) == together
        clean = message if is_clean else self.clean(message)
        if clean != message or record.args:
            # Formatted here: an argument may hold half of what the message makes whole.
            record.msg, record.args = clean, None
        if record.exc_info and not record.exc_text:
            record.exc_text = _PLAIN.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.clean(record.exc_text)
        if record.stack_info:
            record.stack_info = self.clean(record.stack_info)
        for name, text in fields.items():
            record.__dict__[name] = text if is_clean else self.clean(text)
        return True

    def clean(self, text: str) -> str:
        text = self._known.masked(text)
        return _USERINFO.sub(r"\1:***", _BEARER.sub(r"\1***", text))


_PLAIN: Final = logging.Formatter()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        # A fault of whoever wrote that line; what it wanted to say is worth more than a traceback.
        return f"{record.msg} {record.args!r}"


class JsonLines(logging.Formatter):
    """One object a line: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, the fields
    of the record, and ``error`` with a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in record.__dict__.items():
            if name not in _OWN:
                line.setdefault(name, value)
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["error"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False, default=str)


def start(config: LogConfig, *, debug: bool = False, stream: TextIO | None = None) -> None:
    """Send every record to stderr (``stream``), once. ``debug`` outweighs the level. Called
    again, as when the configuration was read again, it replaces what it made before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.set_name("ganglion")
    if config.format == "json":
        handler.setFormatter(JsonLines())
    else:
        form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
        handler.setFormatter(logging.Formatter(form, "%H:%M:%S"))
    handler.addFilter(Redact())
    root = logging.getLogger()
    for old in [h for h in root.handlers if h.get_name() == "ganglion"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else _LEVELS[config.level])
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def wants_debug() -> bool:
    """Whether GANGLION_DEBUG asks for more than the configuration does."""
    return bool(os.environ.get("GANGLION_DEBUG"))


def log_answer(row: Row) -> None:
    """A line for an answer: who answered whom, what it took. Never what was said."""
    level = logging.INFO if row.nano_usd else logging.DEBUG
    if not answers.isEnabledFor(level):
        return
    by, cost_usd = row.backend or "nobody", usd(row.nano_usd)
    answers.log(
        level,
        "%s %s: %s by %s in %d ms, %.6f USD",
        row.device,
        row.ask,
        row.outcome,
        by,
        row.ms,
        cost_usd,
        extra={
            "device": row.device,
            "ask": row.ask,
            "turn": row.turn,
            "backend": row.backend,
            "tier": row.tier,
            "model": row.model,
            "policy": row.policy,
            "outcome": row.outcome,
            "ms": row.ms,
            "queue_ms": row.queue_ms,
            "tokens_in": row.tokens_in,
            "tokens_out": row.tokens_out,
            "usd": cost_usd,
        },
    )
