"""A provider on the test's own loop that takes hundreds of requests at once, each path with a fault
of its own. A fake: no model is behind it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from aiohttp import web

from tests.companion.scripted_upstream import USAGE, completion

FAULTS = ("hang", "slow", "error", "limited", "lying", "garbled", "unknown", "cut")
ANSWERING = ("slow", "lying")
"""Faults that an answer comes with in the end."""
SLOW_S = 1.0
"""Of the path ``slow``."""
LIES = {"prompt_tokens": 10**12, "completion_tokens": 10**12, "total_tokens": 2 * 10**12}
ANSWER_NANO = (USAGE["prompt_tokens"] * 1_000_000 + USAGE["completion_tokens"] * 2_000_000) // 1000
"""What an answer with true usage costs at 1 and 2 USD per million tokens in and out."""


class Provider:
    """``url`` + ``/`` + a fault is a base URL; any other word there is a provider that is well.
    No two answers are alike."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        fault = request.match_info["fault"]
        self.asked[fault] += 1
        n = self.asked[fault]
        await request.read()
        if fault == "hang":
            await asyncio.sleep(60)
        if fault == "slow":
            await asyncio.sleep(SLOW_S)
        if fault == "error":
            return web.json_response({"error": {"message": "as it happens"}}, status=500)
        if fault == "limited":
            return web.json_response({}, status=429, headers={"Retry-After": "30"})
        if fault == "garbled":
            return web.Response(body=b'{"choices": [{"mess', content_type="application/json")
        if fault == "unknown":
            return web.json_response(completion(calls=[("launch_rocket", {"now": True})]))
        if fault == "cut":
            return web.Response(
                body=b'data: {"choices":[{"index":0,"delta":{"content":"Half an ans"}}]}\n\n',
                content_type="text/event-stream",
            )
        usage = LIES if fault == "lying" else USAGE
        return web.json_response(completion(f"answer {n} of {fault}", usage=usage))


@contextlib.asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    app = web.Application()
    app.router.add_post("/{fault}/chat/completions", made.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()
