"""Plain TCP on loopback in, verified TLS out: how a virtual board reaches an ``mqtts://`` broker.

A chip is provisioned with the one authority that its broker uses. A virtual board on a person's
machine rather trusts what that machine trusts, so the TLS ends here, outside the board.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from pathlib import Path

from tools.ports import LOOPBACK

log = logging.getLogger("ganglion.tls")

_CONNECT_S = 10.0


class TlsRelay:
    """Relays each connection to ``host:port``. ``ca``: a PEM file; None: the system's authorities.

    Raises OSError (ssl.SSLError is one) for a ``ca`` that cannot be used.
    """

    def __init__(self, host: str, port: int, ca: Path | None = None) -> None:
        self._target = (host, port)
        self._context = ssl.create_default_context(cafile=ca)
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> TlsRelay:
        self._server = await asyncio.start_server(self._relay, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                far_reader, far_writer = await asyncio.open_connection(
                    *self._target, ssl=self._context
                )
        except (OSError, TimeoutError) as error:
            log.warning("no TLS connection to %s:%d: %s", *self._target, error or "timed out")
            writer.close()
            return
        # Either end closing ends both: the board must see the broker go, and the other way round.
        ways = [
            asyncio.ensure_future(_copy(reader, far_writer)),
            asyncio.ensure_future(_copy(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, far_writer):
                with contextlib.suppress(OSError):
                    end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
