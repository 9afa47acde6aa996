"""The floor: a worker that takes asks and sends them back, on the companion's own link.

Run as `python -m tools.bench.echo URL`; says `ready` when it is subscribed.
"""

from __future__ import annotations

import asyncio
import sys

from companion.link import PahoLink


async def main(url: str) -> None:
    """Echo until killed."""
    link = PahoLink(url)

    def echo(topic: str, payload: bytes, retained: bool) -> None:
        link.publish(f"gn/{topic.split('/')[1]}/down/answer", payload)

    link.subscribe("$share/companions/gn/+/up/ask", echo)
    running = asyncio.ensure_future(link.run())
    await link.connected.wait()
    print("ready", flush=True)
    await running


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(sys.argv[1]))
