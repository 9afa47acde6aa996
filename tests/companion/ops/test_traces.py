"""Spans, by the SDK's own exporter in memory and by OTLP to a server of the test's."""

import http.server
import sys
import threading

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from companion.config import ConfigError
from companion.ops.traces import NO_SPAN, NO_TRACER, OtelTracer, end_ask, make_tracer
from companion.store.row import Row

ROW = Row(
    1.0, "kitchen", "t1.1", "t1", backend="b", tier="premium", ms=70, nano_usd=9, err="geheim"
)


def test_an_ask_and_its_attempts() -> None:
    exporter = InMemorySpanExporter()
    tracer = OtelTracer(exporter)
    ask = tracer.ask("kitchen", "t1.1", "t1")
    ask.attempt("a", "commodity", "small").end("timeout", ms=50)
    ask.attempt("b").end(tokens_in=12)
    end_ask(ask, ROW)
    tracer.close()
    first, second, whole = exporter.get_finished_spans()
    assert [s.name for s in (first, second, whole)] == ["attempt a", "attempt b", "ask"]
    assert whole.parent is None and whole.context is not None
    for attempt in (first, second):
        assert attempt.parent is not None
        assert attempt.parent.span_id == whole.context.span_id
    assert first.status.status_code is StatusCode.ERROR and first.status.description == "timeout"
    assert second.status.status_code is StatusCode.UNSET
    assert dict(first.attributes or {}) == {
        "ganglion.backend": "a",
        "ganglion.tier": "commodity",
        "ganglion.model": "small",
        "ganglion.ms": 50,
    }
    told = dict(whole.attributes or {})
    assert (told["ganglion.device"], told["ganglion.backend"], told["ganglion.nano_usd"]) == (
        "kitchen",
        "b",
        9,
    )
    # Errors for people may hold what an upstream said.
    assert "geheim" not in str(told)


def test_without_a_url_nothing_is_kept_or_imported() -> None:
    tracer = make_tracer(None)
    assert tracer is NO_TRACER
    span = tracer.ask("kitchen", "t1.1", "t1")
    assert span is NO_SPAN and span.attempt("a") is NO_SPAN
    end_ask(span, ROW)
    tracer.close()


def test_the_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"pip install 'ganglion\[otel\]'"):
        make_tracer("http://127.0.0.1:4318")


def test_spans_reach_a_collector() -> None:
    taken: list[tuple[str, bytes]] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        tracer = make_tracer(f"http://127.0.0.1:{server.server_port}")
        end_ask(tracer.ask("kitchen", "t1.1", "t1"), ROW)
        tracer.close()
    finally:
        server.shutdown()
        server.server_close()
    ((path, body),) = taken
    assert path == "/v1/traces"
    (spans,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert spans.scope_spans[0].spans[0].name == "ask"
    assert spans.resource.attributes[-1].value.string_value == "ganglion" or any(
        a.key == "service.name" and a.value.string_value == "ganglion"
        for a in spans.resource.attributes
    )
