"""Each shipped profile against its provider's documented shapes, byte by byte over HTTP.

``providers/<profile>.json`` holds them, and what must come of them: the usage, the cost in
nano-dollars (1e-9 USD), the calls, the errors. No provider is asked: the numbers are made up, the
shapes are those of the page that ``shapes`` names. ``usd_per_mtok`` holds prices where the
profile takes them from a package, whose next version may know others.
"""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from companion.backends.base import Answer, Backend, BackendError
from companion.backends.make import make
from companion.backends.profile import load, names
from companion.config import BackendConfig
from companion.meter import Prices, cost_nano_usd
from tests.companion.asking import GPIO_WRITE, request
from tests.companion.scripted_upstream import ScriptedUpstream

PROVIDERS = Path(__file__).parent / "providers"
DAY = date(2026, 11, 21)
KEY = "not-a-real-key"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


def shapes(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PROVIDERS / f"{name}.json").read_text())
    return found


def backend(name: str, upstream: ScriptedUpstream, *, stream: bool = False) -> Backend:
    known = shapes(name)
    usd = known.get("usd_per_mtok")
    prices = None
    if usd is not None:
        prices = Prices.per_million(
            usd["input"], usd["output"], usd.get("cached"), usd.get("cache_written")
        )
    url = upstream.url
    profile = load(name)
    if profile.kind == "anthropic":
        url = url.removesuffix("/v1")
    config = BackendConfig(
        "b",
        profile=name,
        model=known["model"],
        url=url,
        prices=prices,
        free=profile.free,
        stream=stream,
    )
    return make(config, KEY, today=DAY)


def parts(name: str, events: list[Any]) -> list[Any]:
    """Events as the upstream sends them: ``raw`` as it stands, Anthropic's with their names."""
    sent: list[Any] = []
    for event in events:
        if isinstance(event, dict) and "raw" in event:
            sent.append(event["raw"].encode())
        elif load(name).kind == "anthropic":
            sent.append(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        else:
            sent.append(event)
    return sent


def is_as_golden(answer: Answer, made: Backend, golden: dict[str, Any]) -> None:
    usage, wanted = answer.usage, golden["usage"]
    assert {key: getattr(usage, key) for key in wanted} == wanted
    assert usage.estimated is wanted.get("estimated", False) and not usage.suspect
    nano = cost_nano_usd(
        made.card.prices,
        usage.input,
        usage.output,
        usage.cached,
        cache_written_tokens=usage.cache_written,
    )
    assert nano == golden["nano_usd"]
    assert [[call.tool, call.args] for call in answer.calls] == golden["calls"]
    assert answer.say == golden["say"]


def test_every_profile_has_its_shapes() -> None:
    assert {path.stem for path in PROVIDERS.glob("*.json")} == set(names())


@pytest.mark.parametrize("name", names())
async def test_an_answer_in_one_piece(name: str, upstream: ScriptedUpstream) -> None:
    known = shapes(name)
    upstream.script([{"body": known["completion"]["body"]}])
    made = backend(name, upstream)
    try:
        is_as_golden(await made.answer(request()), made, known["completion"]["golden"])
    finally:
        await made.aclose()
    body = upstream.requests[-1]
    assert body["model"] == known["model"]
    assert {key: body.get(key) for key in known["sent"]} == known["sent"]
    assert not body.keys() & set(known["not_sent"])
    headers = upstream.headers[-1]
    assert headers.get("authorization", headers.get("x-api-key")) in (KEY, f"Bearer {KEY}")


@pytest.mark.parametrize("name", names())
async def test_a_stream_of_deltas(name: str, upstream: ScriptedUpstream) -> None:
    known = shapes(name)
    upstream.script([{"stream": parts(name, known["stream"]["events"])}])
    made = backend(name, upstream, stream=True)
    tools = (GPIO_WRITE,) if made.card.tools else ()
    try:
        answer = await made.answer(request(tools=tools))
    finally:
        await made.aclose()
    is_as_golden(answer, made, known["stream"]["golden"])
    assert answer.first_ms is not None
    body = upstream.requests[-1]
    assert body["stream"] is True and not body.keys() & set(known["not_sent"])


async def test_gemini_gets_its_calls_back_with_a_signature(upstream: ScriptedUpstream) -> None:
    upstream.script([{"text": "Done."}])
    made = backend("google", upstream)
    ran = ("d", [("gpio_write", {"pin": 5, "value": 1}, {"level": 1})])
    try:
        await made.answer(request(messages=(("u", "Turn the lamp on."), ran), tools=(GPIO_WRITE,)))
    finally:
        await made.aclose()
    (call,) = upstream.requests[-1]["messages"][2]["tool_calls"]
    assert call["function"]["name"] == "gpio_write" and call["id"]
    assert call["extra_content"]["google"]["thought_signature"]


@pytest.mark.parametrize("name", names())
async def test_an_error(name: str, upstream: ScriptedUpstream) -> None:
    known = shapes(name)["error"]
    behaviour = {"status": known["status"], "body": known["body"]}
    upstream.script([{**behaviour, "headers": known.get("headers", {})}])
    made = backend(name, upstream)
    try:
        with pytest.raises(BackendError) as caught:
            await made.answer(request())
    finally:
        await made.aclose()
    golden = known["golden"]
    assert (caught.value.code, caught.value.retry_after_s) == (
        golden["code"],
        golden["retry_after_s"],
    )
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "ended"])
@pytest.mark.parametrize("name", names())
async def test_a_stream_that_ends_too_soon(
    name: str, upstream: ScriptedUpstream, cut: bool
) -> None:
    """Whether the connection breaks or the body ends in order: what came is no answer."""
    known = shapes(name)
    events = parts(name, known["stream"]["events"][: known["cut_after"]])
    upstream.script([{"stream": events, "cut": cut}])
    made = backend(name, upstream, stream=True)
    try:
        with pytest.raises(BackendError) as caught:
            await made.answer(request(tools=(GPIO_WRITE,)))
    finally:
        await made.aclose()
    assert caught.value.code == ("connection" if cut else "bad_response")
