"""Stand-in images on loopback, where `ganglion flash` downloads a stock image elsewhere."""

from __future__ import annotations

import hashlib
import http.server
import threading
from pathlib import Path

from tools.vboard.stockimage import stock_image

_FILE = "ESP32.bin"


class Depot:
    """A server of them. ``cut_at`` ends an answer after so many bytes; ``asked`` are the Range
    headers that came; ``image`` is what is served, whatever the table says of it."""

    def __init__(self) -> None:
        self.image = stock_image("esp32")
        self.cut_at: int | None = None
        self.asked: list[str | None] = []
        self._sha256 = hashlib.sha256(self.image).hexdigest()
        depot = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                depot.asked.append(self.headers.get("Range"))
                if self.path != f"/{_FILE}":
                    self.send_error(404)
                    return
                at = 0
                if span := self.headers.get("Range"):
                    at = int(span.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206 if at else 200)
                self.send_header("Content-Length", str(len(depot.image) - at))
                self.end_headers()
                self.wfile.write(depot.image[at : depot.cut_at])

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def environment(self, folder: Path) -> dict[str, str]:
        """What makes `ganglion flash` download from here, into a cache of its own in ``folder``."""
        table = folder / "images.toml"
        base = f"http://127.0.0.1:{self._server.server_address[1]}"
        table.write_text(
            f'version = "0"\nbase = "{base}"\n'
            f'[esp32]\nfile = "{_FILE}"\nsha256 = "{self._sha256}"\noffset = 0x1000\n'
        )
        return {"GANGLION_IMAGES": str(table), "GANGLION_IMAGE_CACHE": str(folder / "images")}

    def close(self) -> None:
        """No more is served."""
        self._server.shutdown()
        self._server.server_close()
