"""An OpenAI-compatible upstream on loopback that follows a script. No model is behind it.

    with ScriptedUpstream() as upstream:
        upstream.script([{"status": 429, "retry_after_s": 2}, {"text": "Hello."}])
        ...                      # point a client at upstream.url
        upstream.requests[0]     # the body of the first request

Each request takes the next behaviour of the script; with none left it gets a 503. A behaviour
is a dict of these keys, all optional:

| key | meaning |
|---|---|
| ``text`` | the assistant's text |
| ``calls`` | list of ``(tool, args)``; args as a dict, or as the raw string to send |
| ``status`` | another HTTP status, with an error body |
| ``retry_after_s`` | the ``Retry-After`` header |
| ``headers`` | further headers of the answer |
| ``body``, ``content_type`` | send this as the whole body: text, bytes, or what becomes JSON |
| ``stream`` | parts of an event stream: dict or text an event, bytes as they are, a number waits |
| ``delay_s`` | wait, then answer |
| ``hang_s`` | wait that long, then close without an answer |
| ``cut`` | true: half of the body, or the parts of the stream, then close without an end |
| ``usage`` | the usage object; ``None``: leave it out |
| ``finish_reason`` | instead of the fitting one |

A request that asks for a stream gets ``text`` and ``calls`` as one, as ``chunks`` makes it.
"""

import json
import socket
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 8},
}


class ScriptedUpstream:
    """The server; runs in threads, so that tests on an event loop can use it too."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._script: deque[Mapping[str, Any]] = deque()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.gone = threading.Event()
        """A client closed its connection in the middle of a stream."""
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are two writes: 40 ms apart, did Nagle wait for the first one's ACK.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                upstream._serve(self)

            def log_message(self, *_: object) -> None:
                """Tests print what they need."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that gave up is what many tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def script(self, behaviours: Iterable[Mapping[str, Any]]) -> None:
        """Replace what is left of the script."""
        with self._lock:
            self._script = deque(behaviours)

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> "ScriptedUpstream":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- one request

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("content-length", "0")))
        with self._lock:
            self.requests.append(json.loads(raw))
            self.bodies.append(raw)
            self.paths.append(handler.path)
            self.headers.append({k.lower(): v for k, v in handler.headers.items()})
            behaviour = self._script.popleft() if self._script else {"status": 503}
        if "hang_s" in behaviour:
            self._closing.wait(behaviour["hang_s"])
            _cut(handler)
            return
        if self._closing.wait(behaviour.get("delay_s", 0)):
            return
        parts = behaviour.get("stream")
        if parts is None and self.requests[-1].get("stream") and _is_completion(behaviour):
            parts = chunks(**_known(behaviour))
        if parts is None:
            self._whole(handler, behaviour)
        else:
            self._stream(handler, behaviour, parts)

    def _head(
        self, handler: BaseHTTPRequestHandler, behaviour: Mapping[str, Any], kind: str
    ) -> None:
        handler.send_response(behaviour.get("status", 200))
        handler.send_header("Content-Type", behaviour.get("content_type", kind))
        if "retry_after_s" in behaviour:
            handler.send_header("Retry-After", str(behaviour["retry_after_s"]))
        for name, value in behaviour.get("headers", {}).items():
            handler.send_header(name, value)

    def _whole(self, handler: BaseHTTPRequestHandler, behaviour: Mapping[str, Any]) -> None:
        body = _body(behaviour)
        self._head(handler, behaviour, "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if behaviour.get("cut"):
            handler.wfile.write(body[: len(body) // 2])
            _cut(handler)
            return
        handler.wfile.write(body)

    def _stream(
        self, handler: BaseHTTPRequestHandler, behaviour: Mapping[str, Any], parts: Iterable[Any]
    ) -> None:
        self._head(handler, behaviour, "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in parts:
            if isinstance(part, int | float):
                if self._closing.wait(part):
                    return
                continue
            raw = part if isinstance(part, bytes) else _event(part)
            try:
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(raw), raw))
            except OSError:
                self.gone.set()  # the client gave up
                handler.close_connection = True
                return
        if behaviour.get("cut"):
            _cut(handler)
            return
        handler.wfile.write(b"0\r\n\r\n")


def _body(behaviour: Mapping[str, Any]) -> bytes:
    if "body" in behaviour:
        body = behaviour["body"]
        if isinstance(body, bytes):
            return body
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()
    status = behaviour.get("status", 200)
    if status != 200:
        error = {"message": "as scripted", "type": "scripted", "code": status}
        return json.dumps({"error": error}).encode()
    return json.dumps(completion(**_known(behaviour))).encode()


def _event(part: Any) -> bytes:
    return b"data: %b\n\n" % (part if isinstance(part, str) else json.dumps(part)).encode()


def _is_completion(behaviour: Mapping[str, Any]) -> bool:
    return "body" not in behaviour and behaviour.get("status", 200) == 200


def _known(behaviour: Mapping[str, Any]) -> dict[str, Any]:
    return {k: behaviour[k] for k in ("text", "calls", "usage", "finish_reason") if k in behaviour}


def _cut(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    try:
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the client was first


def completion(
    text: str | None = None,
    calls: Iterable[tuple[str, Any]] = (),
    usage: Mapping[str, Any] | None = USAGE,
    finish_reason: str | None = None,
) -> dict[str, Any]:
    """The body of a chat completion."""
    tool_calls = [
        {
            "id": f"scripted{n}",
            "type": "function",
            "function": {
                "name": tool,
                "arguments": args if isinstance(args, str) else json.dumps(args),
            },
        }
        for n, (tool, args) in enumerate(calls)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tool_calls:
        message["tool_calls"] = tool_calls
    reason = finish_reason or ("tool_calls" if tool_calls else "stop")
    body: dict[str, Any] = {
        "id": "scripted",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "finish_reason": reason, "message": message}],
    }
    if usage is not None:
        body["usage"] = usage
    return body


def chunks(
    text: str | None = None,
    calls: Iterable[tuple[str, Any]] = (),
    usage: Mapping[str, Any] | None = USAGE,
    finish_reason: str | None = None,
) -> list[Any]:
    """The parts of the same completion as a stream: texts and arguments in pieces, the usage in
    a chunk of its own without choices, ``[DONE]``."""
    calls = list(calls)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in _pieces(text or "")]
    for n, (tool, args) in enumerate(calls):
        function = {"name": tool, "arguments": ""}
        call = {"index": n, "id": f"scripted{n}", "type": "function", "function": function}
        deltas.append({"tool_calls": [call]})
        for piece in _pieces(args if isinstance(args, str) else json.dumps(args)):
            deltas.append({"tool_calls": [{"index": n, "function": {"arguments": piece}}]})
    reason = finish_reason or ("tool_calls" if calls else "stop")
    parts: list[Any] = [chunk(delta) for delta in deltas]
    parts.append(chunk({}, reason))
    if usage is not None:
        parts.append({**chunk({}), "choices": [], "usage": usage})
    return [*parts, "[DONE]"]


def chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """One chunk of a streamed completion."""
    return {
        "id": "scripted",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


def _pieces(text: str) -> list[str]:
    return [text[at : at + 5] for at in range(0, len(text), 5)]
