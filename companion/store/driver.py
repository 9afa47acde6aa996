"""What the store needs of a database: texts of SQL, and one transaction for a batch.

The texts are for both databases. They write parameters as ``$1``, which SQLite is given as
``?1``.
"""

import time
from typing import Any, Final, Protocol, TypeAlias

from companion.store.account import ALIVE_S, Entries, Work

Rows: TypeAlias = list[tuple[Any, ...]]

LOCK_LEDGER: Final = 0x67616E676C
LOCK_RETENTION: Final = LOCK_LEDGER + 1
LOCK_SCHEMA: Final = LOCK_LEDGER + 2
"""Keys of PostgreSQL's advisory locks: "gangl" and what follows it."""


class StoreError(Exception):
    """The database cannot be read or written; the message names it and says what to do."""


class Away(StoreError):
    """It cannot be used now; later it may. The store tells that once, whoever sees it."""


class Unfit(Exception):
    """What was to be written never can be, as a text with half a surrogate pair."""


class Trust:
    """After an outage the other companions may come back a little later than we: for a while none
    is taken for dead."""

    def __init__(self) -> None:
        self._connected = False
        self._until = 0.0

    def connected(self) -> None:
        if self._connected:
            self._until = time.monotonic() + ALIVE_S
        self._connected = True

    def __bool__(self) -> bool:
        return time.monotonic() < self._until


class Driver(Protocol):
    """One database. Every method raises Away when it cannot be used now."""

    name: str
    """For people: a path, or a URL without a password."""

    async def open(self) -> None:
        """Connect, and bring the schema to this version. Raises StoreError where it is newer."""
        ...

    async def fetch(self, text: str, *params: Any) -> Rows:
        """Run one statement by itself. Raises Unfit for parameters that cannot be stored."""
        ...

    async def transact(self, lock: int, *statements: tuple[str, tuple[Any, ...]]) -> None:
        """Run statements in one transaction, alone among those with the same ``lock``."""
        ...

    async def post(self, work: Work) -> Entries:
        """Do a batch in one transaction. Raises Unfit when a part of it cannot be stored; then
        none of it is."""
        ...

    async def shrink(self) -> None:
        """Give the system back what space is free."""
        ...

    async def aclose(self) -> None: ...
