"""API tokens: who may ask what over HTTP.

The root token is made at each start and stands in ``run.json``. Named tokens are for whoever else
talks to the companion; each is shown once, when it is made, and only its hash is kept, in the
database, so that all companions of a house know it.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, get_args

from companion.config.keys import secrets as known_secrets
from companion.store import Away, StoreError
from companion.store.tokens import TokenRow

log = logging.getLogger(__name__)

TokenScope: TypeAlias = Literal["read", "act", "admin"]
SCOPES: Final[tuple[TokenScope, ...]] = get_args(TokenScope)
"""Each holds those before it: ``read`` looks, ``act`` also says and does, ``admin`` is all."""

FRESH_S: Final = 2.0
"""How old the known tokens may be: so long after another companion has made or removed one it
holds here."""
_USED_EACH_S: Final = 60.0
_PREFIX: Final = "gn_"
ROOT: Final = "root"


class TokenStore(Protocol):
    """Where tokens are kept. Every method raises StoreError."""

    async def load(self) -> Mapping[str, TokenRow]: ...
    async def add(self, row: TokenRow) -> bool: ...
    async def remove(self, name: str) -> bool: ...
    async def used(self, name: str, when: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Grant:
    """Who a request comes from and what he may."""

    name: str
    scope: TokenScope


class TokenBook:
    """The tokens as far as they are known here. While the database is away those known last go
    on; the root token never needs it."""

    def __init__(
        self,
        root: str,
        store: TokenStore | None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        known_secrets.add(root)
        self._root = root.encode()
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._rows: dict[str, TokenRow] = {}
        self._read_at = -FRESH_S
        self._reading = asyncio.Lock()
        self._away = False
        self._used: dict[str, float] = {}
        self._noting: set[asyncio.Task[None]] = set()

    async def grant(self, header: bytes) -> Grant | None:
        """What an ``Authorization`` header gives, None for nothing."""
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            return None
        if hmac.compare_digest(token, self._root):
            return Grant(ROOT, "admin")
        if self._store is None or not token.startswith(_PREFIX.encode()):
            return None
        await self._refresh(self._store)
        return self._find(hash_of(token))

    async def add(self, name: str, scope: TokenScope) -> str:
        """Make a token and return it; nobody can be shown it again. Raises ValueError where there
        is one of that name, and StoreError."""
        token = _PREFIX + secrets.token_urlsafe(32)
        known_secrets.add(token)
        row = TokenRow(name, hash_of(token.encode()), scope, self._clock())
        if not await self._need_store().add(row):
            raise ValueError(f"there is a token '{name}'; remove it first, or take another name")
        self._read_at = -FRESH_S
        return token

    async def remove(self, name: str) -> bool:
        """Shut a token out, here at once. Whether there was one. Raises StoreError."""
        found = await self._need_store().remove(name)
        self._rows.pop(name, None)
        return found

    async def rows(self) -> list[TokenRow]:
        """All named tokens, by name. Raises StoreError."""
        return sorted((await self._need_store().load()).values(), key=lambda row: row.name)

    async def settle(self) -> None:
        """Wait for what is being noted of their use."""
        await asyncio.gather(*self._noting)

    def _need_store(self) -> TokenStore:
        if self._store is None:
            raise StoreError("this companion keeps nothing, so it can have no tokens but its own")
        return self._store

    async def _refresh(self, store: TokenStore) -> None:
        async with self._reading:
            now = self._monotonic()
            if now - self._read_at < FRESH_S:
                return
            self._read_at = now
            try:
                self._rows = dict(await store.load())
            except StoreError as error:
                if not (self._away or isinstance(error, Away)):
                    log.error("API tokens cannot be read, those known go on: %s", error)
                self._away = True
            else:
                self._away = False

    def _find(self, hash_: str) -> Grant | None:
        found = None
        for row in self._rows.values():
            # All of them, each in constant time: how long it takes tells nothing of any.
            if hmac.compare_digest(row.hash, hash_):
                found = row
        if found is None or found.scope not in SCOPES:
            return None
        self._note(found.name)
        return Grant(found.name, SCOPES[SCOPES.index(found.scope)])

    def _note(self, name: str) -> None:
        """That a token was used, once a minute: it is only there to tell which may go."""
        now = self._clock()
        if self._store is None or now - self._used.get(name, 0.0) < _USED_EACH_S:
            return
        self._used[name] = now
        task = asyncio.get_running_loop().create_task(self._write_used(self._store, name, now))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _write_used(self, store: TokenStore, name: str, now: float) -> None:
        try:
            await store.used(name, now)
        except StoreError as error:
            log.debug("the use of token %s is not noted: %s", name, error)


def hash_of(token: bytes) -> str:
    """SHA-256 in hex. A token is 256 random bits: there is nothing to guess and no salt needed."""
    return hashlib.sha256(token).hexdigest()
