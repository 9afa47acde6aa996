"""The floor of a gateway: HTTP in, the same body to the upstream, its answer out. No more.

Run as `python -m tools.bench.passthrough UPSTREAM_URL`; prints its port.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
from aiohttp import web


async def main(upstream: str) -> None:
    """Serve until killed."""
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100))
    url = f"{upstream}/chat/completions"

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {"Content-Type": "application/json"}
        async with session.post(url, data=body, headers=headers) as answer:
            return web.Response(
                body=await answer.read(), status=answer.status, content_type="application/json"
            )

    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(sys.argv[1]))
