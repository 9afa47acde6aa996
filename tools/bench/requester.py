"""Who asks a board for things over the broker, and answers what it asks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tools.problem import Problem

_DO_S = 30.0


class Requester:
    """Sends commands to one board and keeps what comes back; answers when it asks for the time.

    ``now()`` is the time of the world the board lives in, in Unix seconds.
    """

    def __init__(
        self,
        device: str,
        port: int,
        user: str,
        secret: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.boot = 0
        self.clock = False  # the board knows the time
        self.listening = False  # what the board says from here on is heard
        self.done: dict[str, dict[str, Any]] = {}
        self._device = device
        self._now = now
        self._n = 0
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, user)
        self.client.username_pw_set(user, secret)
        self.client.on_connect = lambda c, *_: c.subscribe(f"gn/{device}/up/#", 1)
        self.client.on_message = self._came
        self.client.on_subscribe = self._heard
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _heard(self, *_: Any) -> None:
        self.listening = True

    def _came(self, _client: Any, _user: Any, message: mqtt.MQTTMessage) -> None:
        if message.payload:
            self.take(message.topic.split("/", 3)[3], json.loads(message.payload))

    def take(self, leaf: str, body: dict[str, Any]) -> None:
        """A message from the board; on paho's thread."""
        if leaf == "status" and body["online"]:
            self.boot = body["boot"]
            self.clock = body["clock"]
        elif leaf == "done":
            self.done[body["id"]] = body["receipt"]
        elif leaf == "ask" and body.get("want") == "time":
            self.send("answer", {"id": body["id"], "time": int(self._now())})

    def send(self, leaf: str, body: dict[str, Any]) -> None:
        self.client.publish(f"gn/{self._device}/down/{leaf}", json.dumps(body), 1)

    def command(self, leaf: str, **fields: Any) -> str:
        """A say or do with an id of its own, which is returned."""
        self._n += 1
        id_, exp = f"bench-{self._n}", int(self._now()) + 60
        self.send(leaf, {"id": id_, "boot": self.boot, "exp": exp, **fields})
        return id_

    async def do(self, tool: str, /, **args: Any) -> dict[str, Any]:
        """The receipt of one call; Problem when it fails or does not come."""
        id_ = self.command("do", tool=tool, args=args)
        until = time.monotonic() + _DO_S
        while id_ not in self.done:
            if time.monotonic() > until:
                raise Problem(f"{tool} {args}: no receipt within {_DO_S:g} s")
            await asyncio.sleep(0.002)
        if "err" in self.done[id_]:
            raise Problem(f"{tool} {args}: {self.done[id_]}")
        return self.done[id_]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
