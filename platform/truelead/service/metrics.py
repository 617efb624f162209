"""What Prometheus may read of the service: counts and times, never content.

Kept by the ingress, through which every request goes; replicas send what they know of an answer
with the answer. Labels are routes, status codes and verdicts, so their number is bounded.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from truelead.service.exchange import Reply

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class ServiceMetrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "truelead_requests",
            "Requests by route and status.",
            ("route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "truelead_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "truelead_requests_in_flight",
            "Requests that wait or are being answered.",
            registry=self._registry,
        )
        self._waited = Histogram(
            "truelead_queue_seconds",
            "How long a question waited in its replica for its batch.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batch = Histogram(
            "truelead_batch_size",
            "Questions answered together, observed once a question.",
            buckets=_BATCHES,
            registry=self._registry,
        )
        self._hits = Counter(
            "truelead_ecg_cache_hits",
            "ECGs of questions that did not have to be encoded.",
            registry=self._registry,
        )
        self._prefix_hits = Counter(
            "truelead_prefix_cache_hits",
            "Questions whose ECGs the language model had read before.",
            registry=self._registry,
        )
        self._encoded = Counter(
            "truelead_ecg_encodings",
            "ECGs of questions that were encoded.",
            registry=self._registry,
        )
        self._verdicts = Counter(
            "truelead_answers",
            "Answers by whether they rest on the ECG: true, false, or unknown.",
            ("rests_on_ecg",),
            registry=self._registry,
        )

    def begin(self) -> None:
        """A request has come."""
        self._in_flight.inc()

    def end(self, route: str, status: int, seconds: float) -> None:
        """A request is done.

        Args:
            route: the route's pattern, never the path that was asked for.
        """
        self._in_flight.dec()
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def answered(self, reply: Reply) -> None:
        """A replica has answered a question."""
        self._waited.observe(reply.work.waited_seconds)
        self._batch.observe(reply.work.batch_size)
        self._hits.inc(reply.work.cached_ecgs)
        self._prefix_hits.inc(int(reply.work.prefix_cached))
        self._encoded.inc(reply.work.encoded_ecgs)
        known = reply.reliance.rests_on_ecg
        self._verdicts.labels("unknown" if known is None else str(known).lower()).inc()

    def text(self) -> bytes:
        """Prometheus' text format."""
        return bytes(generate_latest(self._registry))
