"""Traces by OpenTelemetry, where ``[telemetry] otlp_url`` and the extra ``otel`` ask for them.

An ask is a span, each attempt at a backend a span below it. They hold names, numbers and codes;
never what a person said and never a key.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from companion.config.model import ConfigError
from companion.store.row import Row

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

log = logging.getLogger(__name__)

Value: TypeAlias = str | int | float | bool
CLOSE_MS: Final = 3000
"""What the end of the process gives to spans that wait."""


class Span(Protocol):
    """Something that takes time. Ended once."""

    def attempt(self, backend: str, tier: str = "", model: str = "") -> "Span":
        """Begin the span of an attempt below this one."""
        ...

    def end(self, error: str = "", **attributes: Value) -> None:
        """``error``: a code, "" where it went well. Attributes by name, as ``tokens_in=12``."""
        ...


class Tracer(Protocol):
    """Whoever keeps the spans."""

    def ask(self, device: str, ask: str, turn: str) -> Span:
        """Begin the span of an ask."""
        ...

    def close(self) -> None:
        """Send what waits. Takes up to ``CLOSE_MS``."""
        ...


class _NoSpan:
    __slots__ = ()

    def attempt(self, backend: str, tier: str = "", model: str = "") -> Span:
        return self

    def end(self, error: str = "", **attributes: Value) -> None:
        """Nothing began."""


class NoTracer:
    """Without traces: one object for all spans, and nothing kept."""

    def ask(self, device: str, ask: str, turn: str) -> Span:
        return NO_SPAN

    def close(self) -> None:
        """Nothing waits."""


NO_SPAN: Final = _NoSpan()
NO_TRACER: Final = NoTracer()


def make_tracer(otlp_url: str | None) -> Tracer:
    """Who sends spans in batches to an OTLP collector, as ``http://127.0.0.1:4318``; without a
    url ``NO_TRACER``. Raises ConfigError where the extra ``otel`` is missing."""
    if not otlp_url:
        return NO_TRACER
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise ConfigError(
            "telemetry.otlp_url needs the extra 'otel': pip install 'ganglion[otel]'"
        ) from None
    url = otlp_url if otlp_url.endswith("/v1/traces") else f"{otlp_url.rstrip('/')}/v1/traces"
    return OtelTracer(OTLPSpanExporter(endpoint=url, timeout=CLOSE_MS / 1000))


class OtelTracer:
    """Spans by the SDK, given to ``exporter`` in batches by a thread of the SDK's."""

    def __init__(self, exporter: "SpanExporter") -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "ganglion"}), shutdown_on_exit=False
        )
        self._processor = BatchSpanProcessor(exporter, export_timeout_millis=CLOSE_MS)
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("ganglion")

    def ask(self, device: str, ask: str, turn: str) -> Span:
        attributes = {"ganglion.device": device, "ganglion.ask": ask, "ganglion.turn": turn}
        return self._begin("ask", attributes, None)

    def close(self) -> None:
        self._processor.force_flush(CLOSE_MS)
        self._provider.shutdown()

    def _begin(self, name: str, attributes: Mapping[str, Value], above: object) -> "_OtelSpan":
        from opentelemetry import context, trace

        # An own context: nothing of a library's spans gets between ours.
        where = context.Context()
        if above is not None:
            where = trace.set_span_in_context(above, where)  # type: ignore[arg-type]
        return _OtelSpan(self, self._tracer.start_span(name, where, attributes=attributes))


class _OtelSpan:
    def __init__(self, tracer: OtelTracer, span: object) -> None:
        self._tracer = tracer
        self._span = span

    def attempt(self, backend: str, tier: str = "", model: str = "") -> Span:
        attributes = {"ganglion.backend": backend, "ganglion.tier": tier, "ganglion.model": model}
        return self._tracer._begin(f"attempt {backend}", attributes, self._span)

    def end(self, error: str = "", **attributes: Value) -> None:
        from opentelemetry.trace import Span as OtelApiSpan
        from opentelemetry.trace import Status, StatusCode

        span = self._span
        assert isinstance(span, OtelApiSpan)
        span.set_attributes({f"ganglion.{name}": value for name, value in attributes.items()})
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end()


def end_ask(span: Span, row: Row) -> None:
    """End the span of an ask with what it came to."""
    if span is NO_SPAN:
        return
    span.end(
        "" if row.outcome == "answered" else row.outcome,
        outcome=row.outcome,
        backend=row.backend,
        tier=row.tier,
        model=row.model,
        policy=row.policy,
        ms=row.ms,
        queue_ms=row.queue_ms,
        tokens_in=row.tokens_in,
        tokens_out=row.tokens_out,
        tokens_cached=row.tokens_cached,
        nano_usd=row.nano_usd,
    )
