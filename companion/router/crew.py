"""The backends of one configuration, kept until the last ask on them has ended."""

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from companion.backends.base import Backend, FastBackend
from companion.config.model import RouterConfig
from companion.router.rules import Groups


@dataclass(slots=True, eq=False)
class Crew:
    """``config`` and ``groups`` are what they were configured with. Raises ValueError when two
    backends have the same name."""

    backends: Sequence[Backend]
    config: RouterConfig
    groups: Groups
    by_name: dict[str, Backend] = field(init=False)
    fast: dict[str, FastBackend] = field(init=False)
    models: int = field(init=False)
    """How many of them read the conversation."""
    retired: bool = field(init=False, default=False)
    _users: int = field(init=False, default=0)
    _keep: Collection[Backend] = field(init=False, default=())
    _closing: "asyncio.Task[None] | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.by_name = {b.card.name: b for b in self.backends}
        self.fast = {b.card.name: b for b in self.backends if isinstance(b, FastBackend)}
        self.models = sum(b.card.needs_context for b in self.backends)
        if len(self.by_name) != len(self.backends):
            raise ValueError("two backends have the same name")

    @property
    def closed(self) -> bool:
        """Whether it can no longer be asked."""
        return self._closing is not None

    def hold(self) -> None:
        """Somebody works with it."""
        self._users += 1

    def release(self) -> None:
        """He has ended. The last one closes what is retired."""
        self._users -= 1
        self._maybe_close()

    def retire(self, keep: Collection[Backend]) -> None:
        """Others take its place; those in ``keep`` go on with them."""
        self.retired = True
        self._keep = keep
        self._maybe_close()

    def _maybe_close(self) -> None:
        if self.retired and not self._users and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self.aclose())

    async def aclose(self) -> None:
        """Close its backends, but for those that go on elsewhere."""
        for backend in self.backends:
            if not any(backend is kept for kept in self._keep):
                with contextlib.suppress(Exception):
                    await backend.aclose()
