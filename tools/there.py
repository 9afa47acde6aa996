"""Somebody at another broker who waits for one device to come: for ``ganglion change``."""

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
        self._topic = f"gn/{device}/up/status"
        self._came = threading.Event()
        self._ready = threading.Event()
        self._why = "no answer"
        self._client = client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(url.user, url.password)
        if url.tls:
            client.tls_set_context(ssl.create_default_context(cafile=ca and str(ca)))
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_message = self._on_message
        try:
            client.connect(url.host, url.port)
        except OSError as error:
            raise Problem(f"{self.address} is not reached from here: {error}") from error
        client.loop_start()
        if not self._ready.wait(_CONNECT_S):
            self.close()
            raise Problem(f"{self.address} does not let this login look there: {self._why}")

    @property
    def came(self) -> bool:
        """Whether the device has been online there since."""
        return self._came.is_set()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, _: Any, __: Any, code: Any, ___: Any) -> None:
        if code.is_failure:
            self._why = str(code)
        else:
            client.subscribe(self._topic, 1)

    def _on_message(self, _: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        if message.retain:
            return  # from an earlier stay
        try:
            online = json.loads(message.payload)["online"]
        except (ValueError, KeyError, TypeError):
            return
        if online is True:
            self._came.set()
