"""What is private opens no connection to the world outside, whatever fails in the house."""

import sys
from typing import Any

import pytest

from companion.backends.base import Backend, Card
from companion.backends.openai import OpenAIBackend
from companion.config.model import RouterConfig, Rule
from companion.router import Answered, NoAnswer, Router, Signal
from tests.companion.conftest import Phrases
from tests.companion.router.fakes import carry_out, request
from tests.companion.scripted_upstream import ScriptedUpstream

OUTSIDE = "192.0.2.1"  # RFC 5737: nobody's

_connected: list[Any] | None = None


def _hear(event: str, args: tuple[Any, ...]) -> None:
    # An audit hook cannot be taken away again, so it listens only while somebody wants it.
    if _connected is not None and event in ("socket.connect", "socket.getaddrinfo"):
        _connected.append(args[1] if event == "socket.connect" else args[:2])


sys.addaudithook(_hear)


@pytest.mark.parametrize("policy", ["private", "best"])
async def test_every_connection_is_watched(policy: Any) -> None:
    global _connected
    with ScriptedUpstream() as upstream:
        upstream.script(
            [{"text": "from home"}, {"status": 500}, {"cut": True}, {"calls": [("no", {})]}]
        )
        home = OpenAIBackend(Card("home", local=True, quality=20, model="m"), upstream.url)
        far = OpenAIBackend(Card("far", quality=90, model="m"), f"http://{OUTSIDE}:9/v1")
        backends: list[Backend] = [Phrases(), far, home]
        rules = (Rule(devices=("kitchen",), policy=policy),)
        router = Router(backends, RouterConfig(rules=rules))
        _connected = heard = []
        try:
            outcomes = []
            for asked in (None, "best", "fastest", "auto"):
                settings = router.settings("kitchen", asked)  # type: ignore[arg-type]
                signal = Signal(True, policy=settings.policy)
                outcomes.append(await carry_out(router, request(seconds=0.4), signal))
            await router.aclose()
        finally:
            _connected = None
    port = int(upstream.url.rsplit(":", 1)[1].split("/")[0])
    assert ("127.0.0.1", port) in heard
    outside = [address for address in heard if address != ("127.0.0.1", port)]
    if policy == "private":
        assert outside == []
        assert isinstance(outcomes[0], Answered)
        assert all(isinstance(outcome, Answered | NoAnswer) for outcome in outcomes)
    else:
        # The watch sees what there is to see.
        assert (OUTSIDE, 9) in outside
