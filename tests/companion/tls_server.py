"""hypercorn on loopback over TLS, with a certificate of a CA made for the test."""

import asyncio
import contextlib
import datetime
import ipaddress
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.companion.scripted_upstream import completion


class Seen:
    """What came in: for each request its method, HTTP version, connection and headers."""

    def __init__(self) -> None:
        self.methods: list[str] = []
        self.versions: list[str] = []
        self.connections: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.hang = asyncio.Event()
        """Set: answers come; cleared: they wait."""
        self.hang.set()
        self.location = ""
        """Where to redirect to, "" to answer."""

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.methods.append(scope["method"])
        self.versions.append(scope["http_version"])
        self.connections.append(tuple(scope["client"]))
        self.headers.append({k.decode().lower(): v.decode() for k, v in scope["headers"]})
        while (await receive()).get("more_body"):
            pass
        await self.hang.wait()
        status, headers = 200, [(b"content-type", b"application/json")]
        if self.location:
            status, headers = 307, [(b"location", self.location.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(completion("Hi.")).encode()})


@contextlib.asynccontextmanager
async def tls_server(
    folder: Path, alpn: tuple[str, ...], idle_s: float = 5
) -> AsyncIterator[tuple[str, Seen]]:
    """Yields the base URL and what it saw. Its CA is ``ca.pem`` in ``folder``. Connections that
    are idle for ``idle_s`` are closed."""
    _certificates(folder)
    seen = Seen()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        config = Config()
        config.bind = [f"fd://{sock.fileno()}"]
        config.certfile, config.keyfile = str(folder / "cert.pem"), str(folder / "key.pem")
        config.alpn_protocols = list(alpn)
        config.loglevel = "ERROR"
        config.graceful_timeout = 0.1
        config.keep_alive_timeout = idle_s
        stop = asyncio.Event()
        task = asyncio.create_task(serve(seen.app, config, shutdown_trigger=stop.wait))
        try:
            yield f"https://127.0.0.1:{sock.getsockname()[1]}/v1", seen
        finally:
            seen.hang.set()
            stop.set()
            await task
            sock.detach()  # hypercorn has closed it


def _certificates(folder: Path) -> None:
    ca_key, ca = _certificate("test CA", None)
    key, cert = _certificate("127.0.0.1", (ca_key, ca))
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "cert.pem").write_bytes(cert.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _certificate(
    name: str, issuer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signer, issued_by = (key, subject) if issuer is None else (issuer[0], issuer[1].subject)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issued_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return key, cert
