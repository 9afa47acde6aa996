"""`check` against a scripted upstream: each line, and the cure where something does not work."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from companion.backends.check import Finding, check
from companion.config import BackendConfig
from tests.companion.scripted_upstream import ScriptedUpstream, chunk

DAY = date(2026, 11, 21)
KEY = "not-a-real-key"
TEXT = {"text": "ready"}
CALL = {"calls": [("set_light", {"on": True})]}
JSON = {"text": '{"room": "kitchen", "lamps": 3}'}
FINE = [TEXT, CALL, TEXT, JSON]

PROFILE = """
title = "Mine"
kind = "openai"
url = "https://api.mine.example/v1"
key_env = "MINE_API_KEY"
checked = 2026-11-21

[[model]]
id = "small"
tier = "commodity"
json_schema = true

[[model.price]]
from = 2026-11-01
source = "https://mine.example/prices"
input_usd_per_mtok = 1
cached_usd_per_mtok = 0.1
output_usd_per_mtok = 2
"""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


async def found(
    script: Iterable[Mapping[str, Any]], upstream: ScriptedUpstream, tmp_path: Path, **said: Any
) -> dict[str, Finding]:
    (tmp_path / "mine.toml").write_text(PROFILE)
    upstream.requests.clear()
    upstream.script(script)
    config = BackendConfig(
        "b", **{"profile": "mine", "url": upstream.url, "key_env": "MINE_API_KEY", **said}
    )
    findings = [f async for f in check(config, KEY, folder=tmp_path, today=DAY)]
    for finding in findings:
        assert KEY not in f"{finding}"
        assert bool(finding.cure) == (finding.ok is False)
    return {finding.what: finding for finding in findings}


async def test_all_that_works_is_told(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    got = await found(FINE, upstream, tmp_path)
    assert list(got) == [
        *("reachable", "key", "text", "usage", "tool call", "streaming", "usage in a stream"),
        *("JSON by schema", "cost"),
    ]
    assert all(finding.ok is not False for finding in got.values())
    assert got["reachable"].detail.startswith("HTTP/1.")
    assert got["usage"].detail == "in 100 (64 cached), out 20 (8 reasoning)"
    assert "first token after" in got["streaming"].detail
    # Four answers of 36 tokens at 1, 64 at 0.1 and 20 at 2 USD a million.
    assert got["cost"].detail == "0.000330 USD for these calls (mine 2026-11-01)"


async def test_what_is_asked_is_what_each_line_says(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    await found(FINE, upstream, tmp_path)
    text, call, stream, schema = upstream.requests
    assert not text.keys() & {"tools", "stream", "response_format"}
    assert call["tools"][0]["function"]["name"] == "set_light"
    assert stream["stream"] is True and "tools" not in stream
    assert schema["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize(
    ("behaviour", "what", "detail", "cure"),
    [
        ({"status": 401}, "key", "refuses the key", "Renew the key in MINE_API_KEY."),
        ({"status": 404}, "text", "no such model", "Does it have a model 'small'"),
        ({"status": 429, "retry_after_s": 7}, "text", "rate limit", "Try again in 7 s."),
        ({"status": 429}, "text", "rate limit", "Try again later"),
        ({"status": 422}, "text", "refuses the request", "--debug"),
        ({"status": 500}, "text", "failed", "its provider has trouble"),
        ({"body": "<html>"}, "text", "HTML", "Is this url that of chat completions?"),
        ({"hang_s": 0.01}, "text", "cut", "Is it up"),
    ],
)
async def test_the_first_failure_ends_it_with_its_cure(
    behaviour: Mapping[str, Any],
    what: str,
    detail: str,
    cure: str,
    upstream: ScriptedUpstream,
    tmp_path: Path,
) -> None:
    got = await found([behaviour, *FINE], upstream, tmp_path)
    assert list(got) == ["reachable", what]
    assert got[what].ok is False and detail in got[what].detail and cure in got[what].cure
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("at", "behaviour", "what", "detail"),
    [
        (0, {"text": "ready", "usage": None}, "usage", "not reported"),
        (1, TEXT, "tool call", "called no tool"),
        (1, {"calls": [("set_light", {"on": "yes"})]}, "tool call", "do not fit"),
        (1, {"calls": [("open_door", {})]}, "tool call", "that there is not"),
        (1, {**CALL, "finish_reason": "length"}, "tool call", "token limit"),
        (1, {"status": 400}, "tool call", "refuses the request"),
        (2, {"stream": [chunk({"content": "one"})], "cut": True}, "streaming", "cut"),
        (2, {"text": "one", "usage": None}, "usage in a stream", "not reported"),
        (3, TEXT, "JSON by schema", "no JSON"),
        (3, {"text": '{"room": "kitchen"}'}, "JSON by schema", "lamps"),
        (3, {"status": 400}, "JSON by schema", "refuses the request"),
    ],
)
async def test_what_does_not_work_is_told_and_the_rest_goes_on(
    at: int,
    behaviour: Mapping[str, Any],
    what: str,
    detail: str,
    upstream: ScriptedUpstream,
    tmp_path: Path,
) -> None:
    script = [*FINE[:at], behaviour, *FINE[at + 1 :]]
    got = await found(script, upstream, tmp_path)
    assert [finding.what for finding in got.values() if finding.ok is False] == [what]
    assert detail in got[what].detail
    assert got["cost"].ok is None and len(upstream.requests) == 4


async def test_who_is_not_there_is_not_asked(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with ScriptedUpstream() as gone:
        url = gone.url
    got = await found([], upstream, tmp_path, profile="ollama", model="m", url=url, key_env=None)
    assert list(got) == ["reachable"]
    assert url in got["reachable"].detail and "Start it" in got["reachable"].cure


async def test_a_model_without_tools_is_not_asked_to_call_one(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    got = await found([TEXT, TEXT], upstream, tmp_path, profile="bitnet", model=None, key_env=None)
    assert "tool call" not in got and "JSON by schema" not in got
    assert got["cost"].detail == "free"
