"""``python watched.py FILE serve …``: ganglion's command line, with each address that the process
connects or sends to and each name that it looks up written to FILE, a line each.

On asyncio's own loop: uvloop connects in C, where Python's audit hooks see nothing. Names under
``.example`` stand for machines that are not in the house: their address is 127.0.0.9.
"""

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

AWAY = "127.0.0.9"


def _watch(file: Path) -> None:
    out = file.open("w", buffering=1)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            print(event, args[1][0] if isinstance(args[1], tuple) else args[1], file=out)
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            print(event, args[0], file=out)

    sys.addaudithook(hook)
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if str(name).endswith(".example"):
            print("socket.getaddrinfo", name, file=out)
            host = AWAY
        return resolve(host, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo


if __name__ == "__main__":
    _watch(Path(sys.argv.pop(1)))
    import uvloop

    uvloop.run = asyncio.run

    from tools.cli import main

    main()
