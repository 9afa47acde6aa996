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
| ``body``, ``content_type`` | send this text as the whole body (default type: JSON) |
| ``delay_s`` | wait, then answer |
| ``hang_s`` | wait that long, then close without an answer |
| ``cut`` | true: half of the body, then close |
| ``usage`` | the usage object; ``None``: leave it out |
| ``finish_reason`` | instead of the fitting one |
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
        self.headers: list[dict[str, str]] = []
        self._script: deque[Mapping[str, Any]] = deque()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

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
            self.headers.append({k.lower(): v for k, v in handler.headers.items()})
            behaviour = self._script.popleft() if self._script else {"status": 503}
        if "hang_s" in behaviour:
            self._closing.wait(behaviour["hang_s"])
            _cut(handler)
            return
        if self._closing.wait(behaviour.get("delay_s", 0)):
            return
        status, body = self._answer(behaviour)
        handler.send_response(status)
        handler.send_header("Content-Type", behaviour.get("content_type", "application/json"))
        handler.send_header("Content-Length", str(len(body)))
        if "retry_after_s" in behaviour:
            handler.send_header("Retry-After", str(behaviour["retry_after_s"]))
        handler.end_headers()
        if behaviour.get("cut"):
            handler.wfile.write(body[: len(body) // 2])
            _cut(handler)
            return
        handler.wfile.write(body)

    def _answer(self, behaviour: Mapping[str, Any]) -> tuple[int, bytes]:
        status = behaviour.get("status", 200)
        if "body" in behaviour:
            body = behaviour["body"]
            return status, body if isinstance(body, bytes) else body.encode()
        if status != 200:
            error = {"message": "as scripted", "type": "scripted", "code": status}
            return status, json.dumps({"error": error}).encode()
        return 200, json.dumps(completion(**_known(behaviour))).encode()


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
