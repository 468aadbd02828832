"""Prometheus metrics of the web process and of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from timelinelabels.store import Statistics

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 100)


class Monitoring:
    """Request times, and what the store holds at the moment of a scrape.

    Args:
        statistics: asks the store.
    """

    def __init__(self, statistics: Callable[[], Statistics]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "timelinelabels_request_seconds",
            "Time to answer a request",
            ["method", "route", "status"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_StoreCollector(statistics))

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def render(self) -> tuple[bytes, str]:
        """The metrics and their content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class _StoreCollector(Collector):
    """Gauges that are read from the store when they are asked for."""

    def __init__(self, statistics: Callable[[], Statistics]) -> None:
        self._statistics = statistics

    def describe(self) -> Iterator[Metric]:
        yield from ()  # names are known without asking the store

    def collect(self) -> Iterator[Metric]:
        statistics = self._statistics()
        for name, text, value in (
            ("projects", "Projects known", statistics.projects),
            ("annotations", "Annotations that are learned from", statistics.current_annotations),
            ("model_versions", "Model versions published", statistics.versions),
        ):
            yield GaugeMetricFamily(f"timelinelabels_{name}", text, value=value)
        for name, text, counts in (
            ("work_outstanding", "Pieces of work to do or being done", statistics.outstanding),
            ("work_running", "Pieces of work being done", statistics.running),
            ("work_failed", "Pieces of work given up", statistics.failed),
        ):
            family = GaugeMetricFamily(f"timelinelabels_{name}", text, labels=["kind"])
            for kind in ("weights", "extract", "train", "push", "push-task", "reconcile"):
                family.add_metric([kind], counts.get(kind, 0))
            yield family
