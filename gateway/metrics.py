"""What can be counted of a gateway, in Prometheus' format: calls, refreshes, sessions, what waits to be on record.

It listens to what is noted for the record, and knows nothing more: no person, account, client, argument or token is in
it. What names a tool is a tool that is registered, and the number of those is bounded, too, since toolkits from afar
come and go. Each process counts for itself.

Below: audit. Above: its page (`gateway.surfaces.web.metrics_page`), by way of the app.
Source: https://prometheus.io/docs/practices/naming/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.types import AuditEvent

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_TOOLS = 2_000
_OTHER = ("other", "other")
"""Calls of tools beyond that number, and of those that do not exist."""
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0)

disable_created_metrics()  # type: ignore[no-untyped-call] # when each began: as many lines again, for nobody


class Metrics:
    """`toolkit_of` gives the name of a registered tool's toolkit. At most `most` tools are told apart."""

    def __init__(self, toolkit_of: Callable[[str], str | None], most: int = MOST_TOOLS) -> None:
        self._toolkit_of = toolkit_of
        self._most = most
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "atp_gateway_calls",
            "Calls of tools, by how they ended.",
            ("toolkit", "tool", "outcome"),
            registry=self._registry,
        )
        self._took = Histogram(
            "atp_gateway_call_seconds",
            "How long calls took, from when they were decoded to how they ended.",
            ("toolkit", "tool"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._refreshes = Counter(
            "atp_gateway_refreshes",
            "Tokens that a provider renewed.",
            ("provider",),
            registry=self._registry,
        )
        self._tools: dict[str, tuple[str, str]] = {}
        ProcessCollector(registry=self._registry)

    def heard(self, event: AuditEvent) -> None:
        """Count what was noted."""
        if event.action == "tool.called":
            labels = self._tool(event.tool)
            self._calls.labels(*labels, event.outcome).inc()
            if event.duration_ms is not None:
                self._took.labels(*labels).observe(event.duration_ms / 1000)
        elif event.action == "connection.refreshed":
            self._refreshes.labels(event.provider or "").inc()

    def gauge(self, name: str, about: str, read: Callable[[], float]) -> None:
        """Have a number read whenever somebody asks."""
        self._registry.register(_Read(f"atp_gateway_{name}", about, read))

    def text(self) -> bytes:
        """Everything, as of now. Of five hundred tools that takes long enough to be done in a thread."""
        return generate_latest(self._registry)

    def _tool(self, name: str | None) -> tuple[str, str]:
        if name is None:
            return _OTHER
        known = self._tools.get(name)
        if known is None:
            toolkit = self._toolkit_of(name)
            if toolkit is None or len(self._tools) >= self._most:
                return _OTHER
            known = self._tools[name] = (toolkit, name)
        return known


class _Read(Collector):
    def __init__(self, name: str, about: str, read: Callable[[], float]) -> None:
        self._name, self._about, self._read = name, about, read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily(self._name, self._about, value=self._read())
