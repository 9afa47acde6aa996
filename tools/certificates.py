"""A private authority for the broker of one house, and the broker's certificate.

All keys are P-256: an RSA chain does not fit an ESP32 beside the agent (docs/security.md). The
files lie in one folder, readable by their owner only:

    ca.key, ca.pem, ca.der    the authority; the DER is what boards get, as /ca.der
    broker.key, broker.pem    the broker's, signed by it
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.files import write_private
from tools.problem import Problem, Usage, shown

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CA_DAYS: Final = 3650
BROKER_DAYS: Final = 730
# A board whose clock is a little behind must not find it "not yet valid".
_EARLIER: Final = timedelta(days=1)
_NAME_MAX: Final = 253


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a broker's certificate says: DNS names and addresses, and its last moment (UTC)."""

    names: tuple[str, ...]
    until: datetime

    def covers(self, host: str) -> bool:
        """Would a client that dials ``host`` accept the name?"""
        return host.lower() in self.names

    def days_left(self, now: datetime) -> int:
        return (self.until - now).days


class Authority:
    """The authority in ``folder``, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca_pem = folder / "ca.pem"
        self.ca_der = folder / "ca.der"
        self.broker_pem = folder / "broker.pem"
        self.broker_key = folder / "broker.key"
        self._ca_key = folder / "ca.key"

    def exists(self) -> bool:
        return self._ca_key.exists()

    def make(self, names: Iterable[str]) -> Certificate:
        """A new authority and the broker's first certificate. Problem where there is one: boards
        trust that, and would all have to be provisioned anew."""
        if self.exists():
            raise Problem(
                f"there is an authority in {shown(self.folder)} already, and boards trust it. "
                "`ganglion ca renew` makes a new certificate for the broker. To begin anew, with "
                "every board, remove that folder"
            )
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding

        wanted = _checked(names)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _ca(key)
            write_private(self.ca_pem, certificate.public_bytes(Encoding.PEM).decode())
            _write_bytes(self.ca_der, certificate.public_bytes(Encoding.DER))
            # The key comes last: an authority that is half there is none.
            write_private(self._ca_key, _pem_of(key))
        except OSError as error:
            raise Problem(f"{shown(self.folder)} cannot be written: {error.strerror}") from error
        return self._issue(wanted)

    def renew(self, names: Iterable[str]) -> Certificate:
        """A new key and certificate for the broker, for ``names`` and those it had. Boards go on
        as they are: they trust the authority."""
        kept = self.certificate().names if self.broker_pem.exists() else ()
        return self._issue(_checked((*names, *kept)))

    def certificate(self) -> Certificate:
        """The broker's, as it is. Problem where there is none."""
        from cryptography import x509

        try:
            found = x509.load_pem_x509_certificate(self.broker_pem.read_bytes())
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except FileNotFoundError:
            raise Problem(
                f"there is no certificate in {shown(self.folder)}: run `ganglion ca init`"
            ) from None
        except (OSError, ValueError, x509.ExtensionNotFound) as error:
            raise Problem(f"{shown(self.broker_pem)} cannot be read: {error}") from None
        return Certificate(
            (
                *names.get_values_for_type(x509.DNSName),
                *(str(ip) for ip in names.get_values_for_type(x509.IPAddress)),
            ),
            found.not_valid_after_utc,
        )

    def _issue(self, names: tuple[str, ...]) -> Certificate:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

        try:
            issuer = x509.load_pem_x509_certificate(self.ca_pem.read_bytes())
            ca_key = load_pem_private_key(self._ca_key.read_bytes(), None)
        except FileNotFoundError:
            raise Problem(
                f"there is no authority in {shown(self.folder)}: run `ganglion ca init`"
            ) from None
        except (OSError, ValueError) as error:
            raise Problem(f"{shown(self.folder)}: the authority cannot be read: {error}") from None
        assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = broker_certificate(key, names, issuer, ca_key)
        write_private(self.broker_key, _pem_of(key))
        write_private(self.broker_pem, leaf.public_bytes(Encoding.PEM).decode())
        return self.certificate()


def own_names() -> list[str]:
    """What this machine is called and where it is reached: names and addresses."""
    host = socket.gethostname().lower()
    names = ["localhost", "127.0.0.1"]
    if host and host != "localhost":
        names += [host] if "." in host else [host, f"{host}.local"]
    return [*names, *addresses()]


def addresses() -> list[str]:
    """IPv4 addresses of this machine beside loopback, that of the default route first."""
    found = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # documentation's network; a UDP connect sends nothing
        found.append(str(probe.getsockname()[0]))
    with contextlib.suppress(OSError):
        found += [
            str(info[4][0])
            for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        ]
    usual = dict.fromkeys(found)  # once each, in order
    return [a for a in usual if not ipaddress.ip_address(a).is_loopback and a != "0.0.0.0"]


def broker_certificate(
    key: EllipticCurvePrivateKey,
    names: Iterable[str],
    issuer: x509.Certificate,
    issuer_key: EllipticCurvePrivateKey,
    *,
    now: datetime | None = None,
    days: int = BROKER_DAYS,
) -> x509.Certificate:
    """For a server with these DNS names and addresses, from a day before ``now`` on."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    begins = (now or datetime.now(UTC)) - _EARLIER
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ganglion broker")])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    basic = x509.BasicConstraints(ca=False, path_length=None)
    return _signed(
        _begun(subject, issuer.subject, key, begins, begins + timedelta(days=days))
        .add_extension(basic, critical=True)
        .add_extension(usage, critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        ),
        issuer_key,
    )


def _ca(key: EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    # Boards tell authorities apart by this name first, and there may be several houses.
    own = f"Ganglion {os.urandom(4).hex()}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, own)])
    usage = {
        "digital_signature": False,
        "content_commitment": False,
        "key_encipherment": False,
        "data_encipherment": False,
        "key_agreement": False,
        "key_cert_sign": True,
        "crl_sign": True,
        "encipher_only": False,
        "decipher_only": False,
    }
    begins = datetime.now(UTC) - _EARLIER
    return _signed(
        _begun(name, name, key, begins, begins + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False),
        key,
    )


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: EllipticCurvePrivateKey,
    begins: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _signed(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    from cryptography import x509

    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def _checked(names: Iterable[str]) -> tuple[str, ...]:
    """Each once, in lower case. Usage for what no certificate can say."""
    wanted = tuple(dict.fromkeys(name.strip().lower() for name in names))
    for name in wanted:
        if not name or len(name) > _NAME_MAX or not name.isascii() or set(name) & set(" /@*\t\n"):
            raise Usage(f"{name!r} is no host name and no address")
    return wanted


def _pem_of(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _write_bytes(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
