"""All backends of a configuration. Made anew only where something about one has changed, so that
another configuration costs no warm connection and no loaded model."""

from datetime import date
from pathlib import Path

from companion.backends.base import Backend
from companion.backends.make import complete, make
from companion.config import BackendConfig, Config, read_key


class Roster:
    """``folder`` holds the user's own profiles."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._made: dict[str, tuple[BackendConfig, str | None, Backend]] = {}
        self._commands: Backend | None = None

    def of(self, config: Config, today: date) -> list[Backend]:
        """``commands`` and the configured ones; with the policy ``order`` those that it names.
        Raises ConfigError for a key that is missing or a backend that cannot be, and then keeps
        those that it had."""
        made = {b.name: self._backend(b, today) for b in config.backends}
        backends = {"commands": self._grammar(), **{n: entry[2] for n, entry in made.items()}}
        self._made = made
        order = config.router.order
        return [backends[name] for name in order] if order else list(backends.values())

    def _backend(
        self, config: BackendConfig, today: date
    ) -> tuple[BackendConfig, str | None, Backend]:
        config = complete(config, self._folder)
        key = read_key(config)
        known = self._made.get(config.name)
        if known is not None and known[:2] == (config, key):
            return known
        return config, key, make(config, key, folder=self._folder, today=today)

    def _grammar(self) -> Backend:
        if self._commands is None:
            from companion.backends.commands import CommandsBackend

            self._commands = CommandsBackend()
        return self._commands
