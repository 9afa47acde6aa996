"""An event loop in a thread: the bench's tests are plain functions, its parts are not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_CALL_S = 120.0


class LoopThread:
    """Starts at once; `close` ends it, with whatever still runs in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bench", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T], seconds: float = _CALL_S) -> T:
        """Run it in the loop and wait. Raises what it raises, or TimeoutError."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise

    def do(self, work: Callable[[], T]) -> T:
        """Call a plain function in the loop's thread."""

        async def wrapped() -> T:
            return work()

        return self.call(wrapped())

    def close(self) -> None:
        """Cancel what runs, and end the thread. Safe to repeat."""
        if self._loop.is_closed():
            return

        async def ended() -> None:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        self.call(ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
