"""Somebody at another broker who hears what one device says there: for ``ganglion change``."""

from __future__ import annotations

import json
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tools.problem import Problem

if TYPE_CHECKING:
    from companion.link import BrokerUrl

_CONNECT_S: Final = 10.0


class There:
    """Connected from the beginning; Problem where that fails. ``ca`` is a PEM file, for TLS."""

    def __init__(self, url: BrokerUrl, ca: Path | None, device: str) -> None:
        self.address = f"{url.host}:{url.port}"
        self._topic = f"gn/{device}/up/event"
        self._kept = 0
        self._settled = threading.Event()
        self._why = "no answer"
        self._client = client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(url.user, url.password)
        if url.tls:
            client.tls_set_context(ssl.create_default_context(cafile=ca and str(ca)))
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        try:
            client.connect(url.host, url.port)
        except OSError as error:
            raise Problem(f"{self.address} is not reached from here: {error}") from error
        client.loop_start()
        self._settled.wait(_CONNECT_S)
        if self._why:
            self.close()
            raise Problem(f"{self.address} does not let this login look there: {self._why}")

    def kept(self, v: int) -> bool:
        """Whether the device said there that it keeps settings number ``v``."""
        return self._kept == v

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, _: Any, __: Any, code: Any, ___: Any) -> None:
        if code.is_failure:
            self._why = str(code)
            self._settled.set()
        else:
            client.subscribe(self._topic, 1)

    def _on_subscribe(self, _: mqtt.Client, __: Any, ___: int, codes: Any, ____: Any) -> None:
        self._why = str(codes[0]) if codes[0].is_failure else ""
        self._settled.set()

    def _on_message(self, _: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        try:
            event = json.loads(message.payload)
            if (event["kind"], event["end"]) == ("settings", "kept"):
                self._kept = int(event["v"])
        except (ValueError, KeyError, TypeError):
            return  # another event, or none
