"""Whether a message is signed with this device's update key: HMAC-SHA256, which a chip has no
module for. Loaded with what takes such messages."""

import binascii
import hashlib

from micropython import const

_BLOCK_BYTES = const(64)  # of SHA-256, for HMAC


def update_key(secret):
    return hmac(secret.encode(), b"ganglion update")


def is_signed(key, text, mac):
    """Is `mac`, in hex, that of `text`? Both are str."""
    want = binascii.hexlify(hmac(key, text.encode()))
    got = mac.encode()
    wrong = len(want) ^ len(got)
    for a, b in zip(want, got):  # noqa: B905 - all of it, so that the time tells nothing
        wrong |= a ^ b
    return not wrong


def hmac(key, text):
    """RFC 2104 with SHA-256."""
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key + bytes(_BLOCK_BYTES - len(key))
    inner = hashlib.sha256(bytes([b ^ 0x36 for b in key]))
    inner.update(text)
    outer = hashlib.sha256(bytes([b ^ 0x5C for b in key]))
    outer.update(inner.digest())
    return outer.digest()
