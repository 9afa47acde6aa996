"""Keys of backends: from the environment, a file, or the keyring of the system.

Every key that is read is remembered as a secret, so that the log can keep it out
(``ops.logs``). No key is in any message of an error.
"""

import logging
import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from companion.config.model import BackendConfig, ConfigError

log = logging.getLogger(__name__)

KEYRING_S: Final = 10.0
"""How long a keyring may take: a locked one asks somebody who may not be there."""
_SHORTEST: Final = 6
"""Characters of a secret that is worth looking for: a shorter one would blacken ordinary words."""


class Secrets:
    """What must not be shown, as far as this process knows it."""

    def __init__(self) -> None:
        self._known: tuple[str, ...] = ()

    def add(self, secret: str) -> None:
        """Remember a secret, also as it stands in a URL."""
        if len(secret) >= _SHORTEST:
            spelt = {secret, quote(secret, safe="")}
            # The longest first: one secret may be the beginning of another.
            self._known = tuple(sorted({*self._known, *spelt}, key=len, reverse=True))

    def masked(self, text: str) -> str:
        """The text with every known secret blackened."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, "***")
        return text


secrets: Final = Secrets()
"""Those of this process."""


def read_key(
    config: BackendConfig, environ: Mapping[str, str] | None = None, name: str = ""
) -> str | None:
    """The key of a backend, None where none is configured. Raises ConfigError when it is
    configured and not there. A keyring that must be unlocked first takes up to ``KEYRING_S``:
    from an event loop call it in a thread."""
    where = f"backend {name or config.name}"
    key = None
    if config.key_env is not None:
        key = (os.environ if environ is None else environ).get(config.key_env, "").strip()
        if not key:
            raise ConfigError(
                f"{where}: the environment variable {config.key_env} is not set; in the terminal "
                f"in which serve is started say `export {config.key_env}=…`, or have "
                "key_file or key_keyring say where the key is (docs/backends.md)"
            )
        where += f": {config.key_env}"
    elif config.key_file is not None:
        key = read_secret_file(config.key_file, where)
        where += f": {config.key_file}"
    elif config.key_keyring is not None:
        key = _from_keyring(config.key_keyring, where)
    if key is None:
        return None
    secrets.add(key)
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(f"{where}: this is no key: it has blanks or letters that none has")
    return key


_warned: set[str] = set()
"""A start reads each key twice: to see whether all are there, and to use them."""


def read_secret_file(path: Path, where: str) -> str:
    """What a file holds, without blanks around it. Warns once where others can read it. Raises
    ConfigError; ``where`` begins its message."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"{where}: {path} cannot be read: {why}") from None
    if not text:
        raise ConfigError(f"{where}: {path} is empty")
    warning = exposed(path)
    if warning and warning not in _warned:
        _warned.add(warning)
        log.warning("%s: %s", where, warning)
    return text


def exposed(path: Path) -> str:
    """What to do about a file that others can read, "" where they cannot or there is none."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return ""
    if os.name == "nt" or not mode & 0o077:
        return ""
    return f"{path} can be read by others (mode {mode:03o}); make it yours with chmod 600"


def _from_keyring(entry: str, where: str) -> str:
    service, _, user = entry.partition("/")
    found: list[str | Exception | None] = []

    def ask() -> None:
        try:
            import keyring

            found.append(keyring.get_password(service, user))
        except Exception as error:
            found.append(error)

    # A thread that nobody waits for at the end: a keyring may wait for a password for ever.
    thread = threading.Thread(target=ask, name="ganglion-keyring", daemon=True)
    thread.start()
    thread.join(KEYRING_S)
    if not found:
        raise ConfigError(
            f"{where}: the keyring gave no answer in {KEYRING_S:g} s; unlock it, "
            "or use key_env or key_file"
        )
    (key,) = found
    if isinstance(key, ImportError):
        raise ConfigError(
            f"{where}: key_keyring needs the extra 'keyring': pip install 'ganglion[keyring]'"
        )
    if isinstance(key, Exception):
        raise ConfigError(
            f"{where}: this machine's keyring cannot be used ({type(key).__name__}); "
            "use key_env or key_file"
        )
    if not key or not key.strip():
        raise ConfigError(
            f"{where}: the keyring holds nothing for {entry}; "
            f"put it there with `keyring set {service} {user}`"
        )
    return key.strip()
