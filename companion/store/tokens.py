"""API tokens, by name; of each only a hash."""

from dataclasses import dataclass
from typing import Final

from companion.store.driver import Driver

_ALL: Final = "SELECT name, hash, scope, created, last_used FROM tokens ORDER BY name"
_ADD: Final = (
    "INSERT INTO tokens (name, hash, scope, created, last_used) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT DO NOTHING RETURNING name"
)
_REMOVE: Final = "DELETE FROM tokens WHERE name = $1 RETURNING name"
_USED: Final = "UPDATE tokens SET last_used = $2 WHERE name = $1 AND last_used < $2"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """Times are Unix seconds; ``last_used`` 0: never."""

    name: str
    hash: str
    scope: str
    created: float
    last_used: float = 0.0


class Tokens:
    """The table ``tokens``. Every method raises StoreError."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def load(self) -> dict[str, TokenRow]:
        return {row[0]: TokenRow(*row) for row in await self._driver.fetch(_ALL)}

    async def add(self, row: TokenRow) -> bool:
        """False where the name is taken; then nothing is changed."""
        values = (row.name, row.hash, row.scope, row.created, row.last_used)
        return bool(await self._driver.fetch(_ADD, *values))

    async def remove(self, name: str) -> bool:
        """Whether there was one."""
        return bool(await self._driver.fetch(_REMOVE, name))

    async def used(self, name: str, when: float) -> None:
        await self._driver.fetch(_USED, name, when)
