"""The companion's HTTP interface, from the command line: standard library only, so it starts fast.

Every failure is a :class:`Problem` that says what to do.
"""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tools.problem import Problem, Usage
from tools.state import Running

TEXT_MAX_BYTES = 1024  # docs/protocol.md, Bounds
# The companion gives every request an end of its own; this is for one that hangs.
_ANSWER_S = 150.0


class Refused(Problem):
    """The companion answered with an error. ``code`` is its code, ``status`` the HTTP status."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class Client:
    """One running companion. A connection a request: also safe to use from several threads."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self._address = urlsplit(running.url)
        self._open: http.client.HTTPConnection | None = None

    def health(self) -> dict[str, Any]:
        """``{"ok", "broker", "backends", "problems"?}``, also while the broker is away."""
        return dict(self._request("GET", "/healthz", fine=(503,)))

    def devices(self) -> list[dict[str, Any]]:
        answer = self._request("GET", "/devices")
        return list(answer)

    def register(self, device: str, *, renew: bool = False) -> dict[str, Any]:
        """``{"device", "secret", "broker"}``. Refused with status 409 when it is known."""
        body = {"device": device, "renew": True} if renew else {"device": device}
        return dict(self._request("POST", "/devices", body))

    def remove_device(self, device: str) -> None:
        """Shut it out. Refused with status 404 when it is not known."""
        self._request("DELETE", f"/devices/{quote(device, safe='')}")

    def senders(self) -> list[dict[str, Any]]:
        """``[{"sender", "topics"}]``: who may tell devices of events."""
        return list(self._request("GET", "/senders"))

    def add_sender(
        self, name: str, devices: list[str], events: list[str], *, renew: bool = False
    ) -> dict[str, Any]:
        """``{"user", "secret", "topics", "broker"}``. Refused with status 409 when it is known."""
        body = {"sender": name, "devices": devices, "events": events, "renew": renew}
        return dict(self._request("POST", "/senders", body))

    def remove_sender(self, name: str) -> None:
        self._request("DELETE", f"/senders/{quote(name, safe='')}")

    def tokens(self) -> list[dict[str, Any]]:
        """``[{"name", "scope", "created", "last_used"}]``, times in Unix seconds."""
        return list(self._request("GET", "/tokens"))

    def add_token(self, name: str, scope: str) -> dict[str, Any]:
        """``{"name", "scope", "token"}``. Refused with status 409 when there is one."""
        return dict(self._request("POST", "/tokens", {"name": name, "scope": scope}))

    def remove_token(self, name: str) -> None:
        self._request("DELETE", f"/tokens/{quote(name, safe='')}")

    def say(self, device: str, text: str, speaker: str = "", policy: str = "") -> dict[str, Any]:
        """A turn, answered or not; Usage for a text that no message can carry."""
        check_text(text)
        body = {"text": text}
        if speaker:
            body["from"] = speaker
        if policy:
            body["policy"] = policy
        return dict(self._request("POST", f"/devices/{quote(device, safe='')}/say", body))

    def explain(self, device: str, text: str, policy: str = "") -> dict[str, Any]:
        """Who would be asked for ``text`` and why, as the route of that name returns it."""
        check_text(text)
        query = urlencode({"text": text, "policy": policy} if policy else {"text": text})
        path = f"/devices/{quote(device, safe='')}/explain?{query}"
        return dict(self._request("GET", path))

    def do(self, device: str, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        """``{"id", "receipt"}``."""
        body = {"tool": tool, "args": args}
        return dict(self._request("POST", f"/devices/{quote(device, safe='')}/do", body))

    def start_update(self, body: dict[str, Any]) -> str:
        """``POST /updates``; the id of what began."""
        return str(self._request("POST", "/updates", body)["id"])

    def update(self, job: str) -> dict[str, Any]:
        """How far it is: ``{"id", "fw", "v", "ended", "devices"}``."""
        return dict(self._request("GET", f"/updates/{quote(job, safe='')}"))

    def change_settings(self, device: str, body: dict[str, Any]) -> dict[str, Any]:
        """``POST /devices/{d}/settings``; as `settings` shows it."""
        return dict(self._request("POST", f"/devices/{quote(device, safe='')}/settings", body))

    def settings(self, device: str) -> dict[str, Any]:
        """How its last change goes: ``{"device", "v", "state", "code", "msg", "ended", …}``."""
        return dict(self._request("GET", f"/devices/{quote(device, safe='')}/settings"))

    def get(self, path: str, **query: str) -> Any:
        """What a GET answers; a query that is "" is left out."""
        return self._request("GET", _with(path, query))

    def content(self, path: str, **query: str) -> bytes:
        """The same for what is no JSON: the bytes as they come."""
        status, content = self._fetch("GET", _with(path, query))
        if status >= 400:
            raise _refused(status, _json(content))
        return content

    def abandon(self) -> None:
        """Close the connection of a request that another thread waits for."""
        connection = self._open
        if connection is not None and connection.sock is not None:
            connection.sock.close()

    def _request(
        self, method: str, path: str, body: object = None, *, fine: tuple[int, ...] = ()
    ) -> Any:
        status, content = self._fetch(method, path, body)
        answer = _json(content)
        if answer is None:
            raise Problem(
                f"{self.running.url} answers, but not as a Ganglion companion does. "
                "Start `ganglion serve` again."
            )
        if status >= 400 and status not in fine:
            raise _refused(status, answer)
        return answer

    def _fetch(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Status and content."""
        connection = http.client.HTTPConnection(
            self._address.hostname or "", self._address.port, timeout=_ANSWER_S
        )
        self._open = connection
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body).encode(),
                headers={
                    "Authorization": f"Bearer {self.running.token}",
                    "Content-Type": "application/json",
                },
            )
            response = connection.getresponse()
            return response.status, response.read()
        except ConnectionRefusedError as error:
            raise Problem(
                f"nothing listens at {self.running.url}: the companion has ended. "
                "Start it with `ganglion serve`, in another terminal."
            ) from error
        except TimeoutError as error:
            raise Problem(
                f"the companion (pid {self.running.pid}) gave no answer in {_ANSWER_S:.0f} s. "
                "Stop `ganglion serve` and start it again."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise Problem(
                f"the companion at {self.running.url} ended while it answered "
                f"({error or type(error).__name__}). What was asked may have been done. "
                "Is `ganglion serve` still running?"
            ) from error
        finally:
            self._open = None
            connection.close()


def _with(path: str, query: dict[str, str]) -> str:
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def _json(content: bytes) -> Any:
    """None for what is none."""
    try:
        return json.loads(content)
    except ValueError:
        return None


def check_text(text: str) -> None:
    """Usage unless ``text`` fits the ``text`` of a say."""
    if not text.strip():
        raise Usage("there is nothing to say: the text is empty")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Usage("the text is not valid UTF-8") from None
    if size > TEXT_MAX_BYTES:
        raise Usage(f"the text has {size} bytes; a device takes {TEXT_MAX_BYTES}: say it in parts")


def _refused(status: int, answer: Any) -> Refused:
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return Refused(status, "internal", f"the companion answers with HTTP status {status}")
    code, text = str(error.get("code", "internal")), str(error.get("msg", ""))
    if status == 401:
        text = "the companion does not take our token; was it started again? Try once more"
    return Refused(status, code, text or code)
