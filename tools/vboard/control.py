"""The control socket: one JSON object a line each way. Server, and two clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tools.vboard.hardware import BadOperation

if TYPE_CHECKING:
    from tools.vboard.board import VirtualBoard

SOCKET = "control.sock"
# sun_path holds 108 bytes on Linux and 104 on macOS, the final zero included.
_PATH_MAX = 103
# Says where the socket is when the folder's own path is too long for one.
_POINTER = "control.path"
_LINE_MAX = 1 << 20


class BoardError(RuntimeError):
    """The board refused an operation; the text is its error."""


def socket_path(folder: Path) -> Path:
    """Where the control socket of the board in ``folder`` is. FileNotFoundError: it runs not."""
    with contextlib.suppress(FileNotFoundError):
        return Path((folder / _POINTER).read_text())
    return folder / SOCKET


class ControlServer:
    """Serves one board; ``start`` puts the socket into its folder (mode 0600)."""

    def __init__(self, board: VirtualBoard) -> None:
        self._board = board
        self._server: asyncio.Server | None = None
        self._aside: Path | None = None
        self._folder: Path | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def start(self, folder: Path) -> None:
        self._folder = folder
        # The folder's lock is ours, so a socket that is there is a dead one's.
        for stale in (SOCKET, _POINTER):
            (folder / stale).unlink(missing_ok=True)
        path = folder / SOCKET
        if len(os.fsencode(path)) > _PATH_MAX:
            self._aside = Path(tempfile.mkdtemp(prefix="ganglion-"))
            path = self._aside / SOCKET
        self._server = await asyncio.start_unix_server(self._serve, path, limit=_LINE_MAX)
        path.chmod(0o600)
        if self._aside:
            (folder / _POINTER).write_text(str(path))

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for writer in list(self._clients):
            writer.close()
        if self._folder:
            for name in (SOCKET, _POINTER):
                (self._folder / name).unlink(missing_ok=True)
        if self._aside:
            shutil.rmtree(self._aside, ignore_errors=True)
            self._aside = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        position = 0
        try:
            while line := await reader.readline():
                try:
                    request = json.loads(line)
                    if not isinstance(request, dict):
                        raise BadOperation("a request is an object")
                    result = await self._run(request)
                    if request.get("op") == "serial":
                        result = {"text": self._board.serial.since(position)}
                        position = self._board.serial.end
                    answer: dict[str, Any] = {"ok": True, **result}
                except (ValueError, KeyError, TypeError, TimeoutError, OverflowError) as error:
                    answer = {"ok": False, "error": _explained(error)}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            pass  # the client left, sent a line without end, or we end
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do one operation; the fields of its answer."""
        board = self._board
        match request.get("op"):
            case "pads":
                return {"pads": board.pads()}
            case "hold":
                board.hold(request["pin"], request["level"])
            case "drive":
                board.drive(request["pin"], request["level"])
            case "jumper":
                board.jumper(request["a"], request["b"])
            case "adc":
                board.adc(request["pin"], request["mv"])
            case "i2c":
                regs = request["regs"]
                board.i2c(request["addr"], None if regs is None else bytes.fromhex(regs))
            case "sensor":
                what = {k: v for k, v in request.items() if k not in ("op", "pin", "kind")}
                if what.get("rom") is not None:
                    what["rom"] = bytes.fromhex(what["rom"])
                board.sensor(request["pin"], request["kind"], **what)
            case "strip":
                return {"colours": board.strip(request["pin"])}
            case "net":
                await board.net(_flag(request, "up"))
            case "clock":
                board.clock(_flag(request, "known"))
            case "power":
                await board.power(_flag(request, "on"))
            case "cut_at_write":
                board.cut_at_write(
                    request["n"], bool(request.get("torn", True)), bool(request.get("auto", False))
                )
            case "reset":
                await board.reset()
            case "flash_full":
                await board.flash_full(request["bytes_left"])
            case "serial":
                if request.get("send"):
                    board.send(request["send"])
                if request.get("hex"):
                    board.send(bytes.fromhex(request["hex"]))
            case "stats":
                return board.stats()
            case other:
                raise BadOperation(f"no operation {other!r}")
        return {}


def _flag(request: dict[str, Any], name: str) -> bool:
    value = request[name]
    if not isinstance(value, bool):
        raise BadOperation(f"{name} is true or false")
    return value


def _explained(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error) or type(error).__name__


class BoardControl:
    """Talks to a running board. ``async with await BoardControl.of(folder) as control: …``"""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    @classmethod
    async def of(cls, folder: Path) -> BoardControl:
        """Connect to the board in ``folder``; OSError when none runs there."""
        return cls(*await asyncio.open_unix_connection(socket_path(folder), limit=_LINE_MAX))

    async def call(self, op: str, **fields: Any) -> dict[str, Any]:
        """One operation; the answer's fields. BoardError when refused, OSError when it is gone."""
        async with self._turn:
            self._writer.write(json.dumps({"op": op, **fields}).encode() + b"\n")
            await self._writer.drain()
            return _answer(await self._reader.readline())

    async def wait_serial(self, text: str, seconds: float = 10.0) -> str:
        """All this client has not yet read of the serial line, once ``text`` is in it."""
        printed = ""
        until = time.monotonic() + seconds
        while text not in printed:
            if time.monotonic() > until:
                raise TimeoutError(f"{text!r} was not printed; what was: {printed[-2000:]}")
            printed += (await self.call("serial"))["text"]
            await asyncio.sleep(0.005)
        return printed

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def __aenter__(self) -> BoardControl:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class SyncBoardControl:
    """The same without asyncio."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._file = sock.makefile("rb")

    @classmethod
    def of(cls, folder: Path, timeout_s: float = 30.0) -> SyncBoardControl:
        """Connect to the board in ``folder``; OSError when none runs there."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout_s)
        try:
            sock.connect(str(socket_path(folder)))
        except OSError:
            sock.close()
            raise
        return cls(sock)

    def call(self, op: str, **fields: Any) -> dict[str, Any]:
        """As `BoardControl.call`."""
        self._socket.sendall(json.dumps({"op": op, **fields}).encode() + b"\n")
        return _answer(self._file.readline())

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> SyncBoardControl:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _answer(line: bytes) -> dict[str, Any]:
    if not line:
        raise ConnectionError("the board has ended")
    answer: dict[str, Any] = json.loads(line)
    if not answer.pop("ok"):
        raise BoardError(answer["error"])
    return answer
