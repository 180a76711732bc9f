"""Metrics: what is counted, measured and shown at /metrics, in one place.

One worker keeps its figures to itself. Several share a directory (`PROMETHEUS_MULTIPROC_DIR`, set by the supervisor
before they start), and whichever of them is asked tells the figures of all. This module must never carry anything of a
request but its method, the pattern of its route and its status.
"""

import os
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

REGISTRY: Final = CollectorRegistry()

REQUESTS: Final = Counter(
    "ledger_http_requests_total",
    "Requests answered.",
    ("method", "route", "status"),
    registry=REGISTRY,
)
REQUEST_SECONDS: Final = Histogram(
    "ledger_http_request_seconds",
    "From the request's head to the last byte of its answer.",
    ("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
HEAD: Final = Gauge(
    "ledger_head_position", "The position of the last event.", registry=REGISTRY, multiprocess_mode="livemax"
)
CHECKPOINT: Final = Gauge(
    "ledger_checkpoint_position",
    "How far the projections have come, as the slowest worker serves them.",
    registry=REGISTRY,
    multiprocess_mode="livemin",
)
LAG_POSITIONS: Final = Gauge(
    "ledger_projection_lag_positions", "Events not yet folded.", registry=REGISTRY, multiprocess_mode="livemax"
)
LAG_SECONDS: Final = Gauge(
    "ledger_projection_lag_seconds",
    "For how long the oldest event that is not folded has been recorded.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
SEALED: Final = Gauge(
    "ledger_sealed_position",
    "How many events the newest published tree head covers.",
    registry=REGISTRY,
    multiprocess_mode="livemin",
)
SEAL_AGE: Final = Gauge(
    "ledger_seal_age_seconds",
    "For how long the newest published tree head has been the newest.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
UNSEALED: Final = Gauge(
    "ledger_unsealed_seconds",
    "For how long the oldest event that no published tree head covers has been recorded.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
PETITIONS: Final = Gauge(
    "ledger_petitions_held", "Petitions held in memory by a worker.", registry=REGISTRY, multiprocess_mode="livemax"
)
POLLED: Final = Gauge(
    "ledger_polled_timestamp_seconds",
    "When the projections were last polled, as the most belated worker did.",
    registry=REGISTRY,
    multiprocess_mode="livemin",
)
POLLS_FAILED: Final = Counter("ledger_polls_failed_total", "Polls that the database did not answer.", registry=REGISTRY)
DOCUMENTS: Final = Counter(
    "ledger_documents_total", "Documents served from memory (held) or built.", ("source",), registry=REGISTRY
)


def answered(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request. `route` is the pattern that matched, never the path."""
    REQUESTS.labels(method, route, str(status)).inc()
    REQUEST_SECONDS.labels(method, route).observe(seconds)


def exposition() -> bytes:
    """Every figure in Prometheus' text format 0.0.4, of all workers where they share a directory."""
    if DIRECTORY not in os.environ:
        return generate_latest(REGISTRY)
    gathered = CollectorRegistry()
    multiprocess.MultiProcessCollector(gathered)  # type: ignore[no-untyped-call]
    return generate_latest(gathered)


def forget(pid: int) -> None:
    """Leave a worker that ended out of the gauges. Its counters stay: what it counted did happen."""
    if DIRECTORY in os.environ:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
