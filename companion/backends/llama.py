"""A GGUF file, in this process: llama.cpp through ``xllamacpp`` (the extra ``llama``).

The model computes in one thread of its own, which does not hold Python's lock, one request at a
time; a few may wait. Nothing it is told leaves this process. The library also opens an HTTP port
on loopback, which cannot be switched off; nobody has its key.
"""

import asyncio
import importlib.util
import json
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from companion.backends import completion, prompt
from companion.backends import llama_shape as shape
from companion.backends.base import Answer, BackendError, Card, Request, ToolSpec
from companion.backends.fit import fit
from companion.backends.stream import Deltas
from companion.config import ConfigError

log = logging.getLogger(__name__)

CONTEXT_TOKENS: Final = 8192
"""Where the card says nothing: prompt and answer together. Fifty tools are 20 KB of JSON."""
WAITING_MAX: Final = 4
"""Requests that may wait for the one that is being answered."""
BATCH_TOKENS: Final = 128
"""Of a prompt, computed at a time; between two batches a request can be given up."""
_MAGIC: Final = b"GGUF"
_OURS: Final = frozenset({"messages", "stream", "stream_options", "grammar", "return_progress"})

_Result: TypeAlias = tuple[dict[str, Any], float | None]


@dataclass(slots=True)
class _Job:
    """One request on its way through the thread."""

    body: dict[str, Any]
    specs: tuple[ToolSpec, ...]
    stop: threading.Event = field(default_factory=threading.Event)
    deltas: Deltas = field(default_factory=Deltas)
    first: float | None = None
    error: BackendError | None = None

    def on_chunk(self, chunk: str) -> bool:
        """Whether to stop. llama.cpp swallows what is raised in here."""
        if self.stop.is_set():
            return True
        try:
            self.deltas.add(chunk.encode(errors="replace"))
        except BackendError as error:
            self.error = _clearer(error, chunk)
            return True
        if self.first is None and self.deltas.begun:
            self.first = time.monotonic()
        return False


class LlamaBackend:
    """One model file. ``answer`` raises BackendError with one of the codes ``server``,
    ``timeout``, ``bad_request``, ``bad_response``."""

    def __init__(
        self, card: Card, path: Path, *, threads: int = 1, extra: Mapping[str, Any] | None = None
    ) -> None:
        """The file is read by ``warm``, or else with the first request. ``extra``: further fields
        of the request's body, as ``{"temperature": 0.3}``; ``max_tokens`` among them becomes the
        card's. Raises ConfigError when the package or the file is not there, and for a card that
        is not local."""
        if not card.local:
            raise ConfigError(f"backend {card.name}: a model in this process is in the house")
        if importlib.util.find_spec("xllamacpp") is None:
            raise ConfigError(
                f'backend {card.name}: kind "llama" wants the package xllamacpp, which is not '
                "installed: pip install 'ganglion[llama]'"
            )
        _check_file(card.name, path)
        extra = dict(extra or {})
        bound = extra.get("max_tokens")
        self.card = replace(
            card,
            context_tokens=card.context_tokens or CONTEXT_TOKENS,
            output_tokens=bound if isinstance(bound, int) else card.output_tokens,
        )
        self._path = path
        self._threads = threads
        self._model = card.model or path.stem
        self._extra = {k: v for k, v in extra.items() if k not in _OURS}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="llama")
        self._server: Any = None
        self._broken: BackendError | None = None
        self._jobs: dict[Future[_Result], _Job] = {}
        self._closed = False
        self._grammar: tuple[tuple[ToolSpec, ...], str] | None = None

    def __repr__(self) -> str:
        return f"LlamaBackend({self.card.name!r}, {str(self._path)!r})"

    async def answer(self, request: Request) -> Answer:
        began = time.monotonic()
        left_s = request.deadline - began
        if left_s <= 0:
            raise BackendError("timeout", "there was no time left")
        if self._closed:
            raise BackendError("server", "it is being closed")
        if len(self._jobs) > WAITING_MAX:
            raise BackendError("server", f"{len(self._jobs)} others are waiting for it")
        request = fit(request, self._budget_tokens())
        body, sent = self._body(request)
        data, first = await self._run(_Job(body, request.tools), left_s)
        if request.tools:
            data = shape.completion_of(data, self._model)
        answer = completion.read({**data, "model": self._model}, request.tools, sent)
        return replace(answer, first_ms=None if first is None else round((first - began) * 1000))

    async def warm(self) -> None:
        """Read the file before the first request wants it. Never raises."""
        if not self._closed:
            await asyncio.wrap_future(self._pool.submit(self._load))

    async def aclose(self) -> None:
        """Give up what is being answered, and the model's memory."""
        self._closed = True
        for job in list(self._jobs.values()):
            job.stop.set()
        if self._server is not None or self._jobs:
            await asyncio.wrap_future(self._pool.submit(self._free))
        self._pool.shutdown(wait=False)

    # -- on the loop

    def _budget_tokens(self) -> int:
        form_tokens = -(-shape.FORM_BYTES // prompt.BYTES_PER_TOKEN)
        return self.card.context_tokens - self.card.output_tokens - form_tokens

    def _body(self, request: Request) -> tuple[dict[str, Any], completion.Sent]:
        messages = shape.messages(prompt.messages(request), request.tools)
        body = {
            "temperature": 0,
            **self._extra,
            "max_tokens": self.card.output_tokens,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            # Chunks while the prompt is computed, so that it can be given up then, too.
            "return_progress": True,
        }
        size = prompt.Size.of(len(prompt.encode(messages)), len(messages))
        return body, completion.Sent(size, self.card.output_tokens, self._model)

    async def _run(self, job: _Job, left_s: float) -> _Result:
        future = self._pool.submit(self._work, job)
        self._jobs[future] = job
        future.add_done_callback(lambda done: self._jobs.pop(done, None))
        try:
            async with asyncio.timeout(left_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise BackendError("timeout", f"no answer within {left_s:.1f} s") from None
        finally:
            # Also when nobody waits any more: the next one must not wait for what is of no use.
            job.stop.set()

    # -- in the thread

    def _work(self, job: _Job) -> _Result:
        self._load()
        if self._broken is not None:
            raise self._broken
        try:
            if job.specs:
                job.body["grammar"] = self._grammar_of(job.specs)
            if not job.stop.is_set():
                self._server.handle_chat_completions(prompt.encode(job.body).decode(), job.on_chunk)
        except (ValueError, RuntimeError) as error:
            # Its words may hold a piece of the prompt.
            log.info("%s: llama.cpp raised %s", self.card.name, type(error).__name__)
            raise BackendError("bad_request", "llama.cpp refuses the request") from None
        if job.stop.is_set():
            # Seen only by who waits in spite of it.
            raise BackendError("server", "it is being closed")
        if job.error is not None:
            raise job.error
        return job.deltas.whole(), job.first

    def _grammar_of(self, specs: tuple[ToolSpec, ...]) -> str:
        # Devices alike share their specs, so the last one is nearly always the one.
        if self._grammar is None or self._grammar[0] != specs:
            import xllamacpp  # type: ignore[import-untyped]

            schema = json.dumps(shape.schema(specs))
            self._grammar = specs, xllamacpp.json_schema_to_grammar(schema)
        return self._grammar[1]

    def _load(self) -> None:
        if self._server is not None or self._broken is not None:
            return
        began = time.monotonic()
        try:
            import xllamacpp

            self._server = xllamacpp.Server(self._params(xllamacpp))
        except Exception as error:
            log.error("%s: %s cannot be loaded: %s", self.card.name, self._path, error)
            self._broken = BackendError("server", "its model file cannot be loaded; see the log")
            return
        took_s = time.monotonic() - began
        log.info("%s: %s is loaded, in %.1f s", self.card.name, self._path, took_s)

    def _params(self, xllamacpp: Any) -> Any:
        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.n_ctx = self.card.context_tokens
        params.n_parallel = 1
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.warmup = params.fit_params = params.ui = params.endpoint_slots = False
        # By itself it would keep up to 8 GiB of prompts; the newest stays in the context anyway.
        params.cache_ram_mib = 0
        params.enable_reasoning = 0
        params.hostnames, params.port, params.n_threads_http = ["127.0.0.1"], 0, 1
        params.api_keys = [secrets.token_urlsafe()]
        params.verbosity = -1
        return params

    def _free(self) -> None:
        self._server = None


def _check_file(name: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"backend {name}: path {path} cannot be read: {reason}") from None
    if magic != _MAGIC:
        raise ConfigError(f"backend {name}: {path} is no GGUF file")


def _clearer(error: BackendError, chunk: str) -> BackendError:
    if "exceed_context_size_error" in chunk:
        return BackendError("bad_request", "the request is longer than its context")
    return error
