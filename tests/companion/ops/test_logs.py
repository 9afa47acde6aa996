"""What the log says, in which form, and what it never says."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest

from companion.config.keys import secrets
from companion.config.model import LogConfig
from companion.ops import logs
from companion.ops.logs import Redact
from companion.store.row import Row

KEY = "sk-made-up-0123456789"
log = logging.getLogger("companion.somewhere")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What ``start`` writes to. The root logger is as before at the end."""
    root = logging.getLogger()
    level, chatty = root.level, {n: logging.getLogger(n).level for n in logs._CHATTY}
    yield io.StringIO()
    for handler in [h for h in root.handlers if h.get_name() == "ganglion"]:
        root.removeHandler(handler)
    root.setLevel(level)
    for name, was in chatty.items():
        logging.getLogger(name).setLevel(was)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_text_is_for_people(stream: io.StringIO) -> None:
    logs.start(LogConfig(), stream=stream)
    log.info("hello %s", "kitchen", extra={"device": "kitchen"})
    log.debug("not at info")
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d INFO    companion.somewhere: hello kitchen\n", stream.getvalue()
    )


def test_json_lines_hold_time_level_logger_message_and_fields(stream: io.StringIO) -> None:
    logs.start(LogConfig(format="json"), stream=stream)
    log.warning("two\nlines %d", 7, extra={"device": "küche", "ms": 12, "backend": None})
    (line,) = lines(stream)
    time = line.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert line == {
        "level": "warning",
        "logger": "companion.somewhere",
        "message": "two\nlines 7",
        "device": "küche",
        "ms": 12,
        "backend": None,
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_key_and_no_token_gets_into_the_log(stream: io.StringIO, form: Any) -> None:
    secrets.add(KEY)
    logs.start(LogConfig("debug", form), stream=stream)
    half, rest = KEY[:9], KEY[9:]
    log.info("the key is %s", KEY)
    log.info("in a structure: %s", {"headers": ("Authorization", f"Bearer {KEY}")})
    log.info("made of halves: %s%s", half, rest)
    log.info(f"in the text itself, with a percent sign: {KEY} 100%")
    log.info("unknown token: Authorization: Bearer abcdefgh.ijkl-mn_op==")
    log.info("url: mqtts://me:geheim@broker.lan and %s", f"https://h/?k={KEY}")
    log.info("in a field", extra={"request": {"key": KEY}, "url": f"https://h/{KEY}"})
    log.info("stack", stack_info=True, extra={"x": 1})
    try:
        raise RuntimeError(f"upstream said: bad key {KEY}")
    except RuntimeError:
        log.exception("it failed")
    # A logger of a library, below the root as well.
    logging.getLogger("some.library").warning("POST %s", f"Bearer {KEY}")
    text = stream.getvalue()
    assert KEY not in text and rest not in text and "geheim" not in text and "ijkl" not in text
    assert "the key is ***" in text and "100%" in text
    assert "me:***@broker.lan" in text
    assert "RuntimeError: upstream said: bad key ***" in text
    if form == "json":
        assert "request" in lines(stream)[6]


def test_a_second_start_replaces_the_first(stream: io.StringIO) -> None:
    logs.start(LogConfig("error"), stream=io.StringIO())
    logs.start(LogConfig("info", "json"), stream=stream)
    log.info("once")
    assert len(lines(stream)) == 1
    logs.start(LogConfig("error"), debug=True, stream=stream)
    log.debug("debug outweighs the level")
    assert "debug outweighs" in stream.getvalue()


PAID = Row(
    1.0, "kitchen", "t1.1", "t1", backend="cheap", tier="commodity", ms=420, nano_usd=1500,
    tokens_in=900, tokens_out=20, speaker="somebody",
)  # fmt: skip


def test_an_answer_that_costs_is_a_line_at_info_a_free_one_at_debug(stream: io.StringIO) -> None:
    logs.start(LogConfig("info", "json"), stream=stream)
    logs.log_answer(PAID)
    logs.log_answer(PAID._replace(nano_usd=0))
    (line,) = lines(stream)
    assert line["logger"] == "ganglion.answers"
    assert line["message"] == "kitchen t1.1: answered by cheap in 420 ms, 0.000002 USD"
    assert (line["device"], line["backend"], line["outcome"], line["ms"]) == (
        "kitchen",
        "cheap",
        "answered",
        420,
    )
    assert line["usd"] == 1.5e-6 and "somebody" not in stream.getvalue()
    logs.start(LogConfig("debug", "json"), stream=stream)
    logs.log_answer(PAID._replace(nano_usd=0))
    assert len(lines(stream)) == 2


def test_a_line_with_wrong_arguments_is_shown_and_masked() -> None:
    secrets.add(KEY)
    record = logging.makeLogRecord({"msg": "wrong %d", "args": (KEY,)})
    assert Redact().filter(record)
    assert record.getMessage() == "wrong %d ('***',)"


def test_a_record_without_secrets_is_left_as_it_is() -> None:
    record = logging.makeLogRecord({"msg": "100% plain", "fine": 3})
    assert Redact().filter(record)
    assert (record.msg, record.__dict__["fine"]) == ("100% plain", 3)


def test_each_field_is_masked_by_itself() -> None:
    secrets.add(KEY)
    fields = {"a": f"x{KEY}", "b": "Bearer", "c": "word", "d": ["mqtt://u:pw@h"], "e": "Bearer t0k"}
    record = logging.makeLogRecord({"msg": "plain", **fields})
    assert Redact().filter(record)
    assert record.msg == "plain"
    assert [record.__dict__[name] for name in "abcde"] == [
        *("x***", "Bearer", "word", "['mqtt://u:***@h']", "Bearer ***"),
    ]
    split = logging.makeLogRecord({"msg": "token of Bearer", "a": "kitchen"})
    assert Redact().filter(split)
    assert (split.getMessage(), split.__dict__["a"]) == ("token of Bearer", "kitchen")


@pytest.mark.parametrize("name", ["aiosqlite", "alembic.runtime.migration", "httpx2"])
def test_libraries_are_heard_from_a_warning_on(stream: io.StringIO, name: str) -> None:
    logs.start(LogConfig("debug"), stream=stream)
    logging.getLogger(name).info("each statement")
    logging.getLogger(name).warning("it is amiss")
    assert "each statement" not in stream.getvalue() and "it is amiss" in stream.getvalue()
