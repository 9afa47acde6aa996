"""A stream of server-sent events → the completion it would have been in one piece. Pure.

The events are those of the HTML standard, section 9.2.6 "Interpreting an event stream", of which
only ``data`` matters here. What is put together goes through ``completion`` as any answer does, so
that both are held to the same rules.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from companion.backends import completion
from companion.backends.base import BackendError

BYTES_MAX: Final = 8 * 1024 * 1024
"""Of a whole stream: some hundred bytes come around each token, and of those that a model thinks
nothing is kept."""
_KEPT_CHARS_MAX: Final = 1024 * 1024
_CALLS_MAX: Final = 64

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class Events:
    """Bytes as they come → the data of each event."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        """The pieces of a line that has not ended."""
        self._data: list[bytes] = []
        """The data lines of an event that has not ended."""
        self._size = 0
        self._cr = False
        """The last byte was a CR: an LF that follows belongs to it."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The events that end in this piece. Raises BackendError past ``BYTES_MAX``."""
        self._size += len(piece)
        if self._size > BYTES_MAX:
            raise BackendError("bad_response", "its stream is over 8 MiB")
        if self._cr and piece.startswith(b"\n"):
            piece = piece[1:]
        self._cr = piece.endswith(b"\r") if piece else self._cr
        *ended, rest = _LINE_END.split(piece)
        for end in ended:
            line = b"".join([*self._line, end])
            self._line.clear()
            if not line:
                yield from self.end()
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            # Comments (":"), "event", "id" and "retry" say nothing here.
        if rest:
            self._line.append(rest)

    def end(self) -> Iterator[bytes]:
        """The event that was begun, if any: after a blank line, or where the stream ends without
        one."""
        if self._line:
            line = b"".join(self._line)
            self._line.clear()
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
        if self._data:
            data = b"\n".join(self._data)
            self._data.clear()
            yield data


class Deltas:
    """Chunks → one completion. ``add`` each event's data; ``whole`` at the end."""

    def __init__(self) -> None:
        self.begun = False
        """A token has come, of text, of a call or of what a model thinks."""
        self.done = False
        """``[DONE]`` has come."""
        self._top: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[_Call] = []
        self._kept = 0

    def add(self, data: bytes) -> None:
        """Raises BackendError for an error in the stream, or for what is no chunk."""
        if self.done or not data.strip():
            return
        if data.strip() == b"[DONE]":
            self.done = True
            return
        chunk = completion.loads(data)
        completion.raise_error(chunk)
        # The last that was told holds: a count of tokens may come with each chunk.
        self._top.update({k: v for k, v in chunk.items() if k != "choices" and v is not None})
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return
        completion.raise_error(choice)
        self._choice.update({k: v for k, v in choice.items() if k != "delta" and v is not None})
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._delta(delta)

    def whole(self) -> dict[str, Any]:
        """The completion. Raises BackendError ``bad_response`` where the stream was cut."""
        if not self._choice.get("finish_reason"):
            raise BackendError("bad_response", "its stream ended without a finish reason")
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self._text) or None,
            "refusal": "".join(self._refusal) or None,
        }
        if self._calls:
            message["tool_calls"] = [call.whole() for call in self._calls]
        return {**self._top, "choices": [{**self._choice, "message": message}]}

    def _delta(self, delta: Mapping[str, Any]) -> None:
        text = completion.text_of(delta.get("content"))
        refusal = completion.text_of(delta.get("refusal"))
        self._text.append(text)
        self._refusal.append(refusal)
        self._keep(len(text) + len(refusal))
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                self._call(call)
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if text or refusal or calls or thought or delta.get("content"):
            self.begun = True

    def _call(self, raw: Mapping[str, Any]) -> None:
        function = raw.get("function")
        if not isinstance(function, dict):
            function = {}
        name, arguments = function.get("name"), function.get("arguments")
        call = self._of(raw.get("index"), raw.get("id"), bool(name))
        if isinstance(name, str) and name != call.name:
            call.name += name
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments)
        if isinstance(arguments, str):
            call.arguments.append(arguments)
            self._keep(len(arguments))

    def _of(self, index: Any, id_: Any, named: bool) -> "_Call":
        """The call that a delta belongs to. Its index says so. Some servers send none, or 0 for
        every call: there another id begins another call, and without ids a name does."""
        known: _Call | None
        if isinstance(index, int):
            known = next((c for c in reversed(self._calls) if c.index == index), None)
        elif id_:
            known = next((c for c in self._calls if c.id == id_), None)
        else:
            known = self._calls[-1] if self._calls and not named else None
        if known is not None and not (named and id_ and known.id and id_ != known.id):
            known.id = known.id or id_
            return known
        if len(self._calls) >= _CALLS_MAX:
            raise BackendError("bad_response", f"it makes more than {_CALLS_MAX} calls")
        self._calls.append(_Call(index, id_))
        return self._calls[-1]

    def _keep(self, chars: int) -> None:
        self._kept += chars
        if self._kept > _KEPT_CHARS_MAX:
            raise BackendError("bad_response", "its answer is over 1 MiB")


class _Call:
    """A tool call as far as it has come."""

    def __init__(self, index: Any, id_: Any) -> None:
        self.index = index
        self.id = id_
        self.name = ""
        self.arguments: list[str] = []

    def whole(self) -> dict[str, Any]:
        function = {"name": self.name or None, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": "function", "function": function}
